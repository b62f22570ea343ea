"""Figures: shares with Wilson's interval, ratios with a bootstrap over sequences."""

import json

import numpy as np
import pytest

from tinr.evaluation.intervals import Figure, plain, ratio, share


def test_a_share_keeps_chance_and_what_was_hit_blindly() -> None:
    found = share([True] * 8 + [False] * 2, 0.25, [True, False])
    assert found.value == pytest.approx(0.8) and found.n == 10
    assert found.low == pytest.approx(0.49016, abs=2e-5)  # Wilson, as in test_metrics
    assert (found.chance, found.blind) == (0.25, 0.5)


def test_nothing_measured_is_no_figure() -> None:
    assert share([]) == Figure(None, None, None, 0)
    assert ratio([], []) == Figure(None, None, None, 0)
    assert ratio([1.0, 2.0], [0, 0]) == Figure(None, None, None, 0)
    assert ratio([6.0], [3]) == Figure(2.0, None, None, 1), "one sequence says nothing of others"


def test_a_ratio_weighs_sequences_by_their_length() -> None:
    """(6 + 1) / (3 + 1) = 1.75, not the mean of 2 and 1; transformed: 3.5."""
    found = ratio([6.0, 1.0], [3, 1])
    assert found.value == pytest.approx(1.75) and found.n == 2
    assert pytest.approx(found.low) == 1.0 and found.high == pytest.approx(2.0)
    assert ratio([6.0, 1.0], [3, 1], transform=lambda x: 2 * x).value == pytest.approx(3.5)


def test_sequences_that_agree_leave_no_doubt() -> None:
    assert ratio([2.0] * 5, [4] * 5) == Figure(0.5, 0.5, 0.5, 5)


def test_the_bootstrap_agrees_with_the_normal_interval_where_that_holds() -> None:
    """400 means of a known spread: half width 1.96 * s / sqrt(400), within a tenth."""
    drawn = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = ratio(drawn.tolist(), [1] * 400)
    half = 1.96 * drawn.std() / 20
    assert found.low == pytest.approx(found.value - half, abs=half / 10)
    assert found.high == pytest.approx(found.value + half, abs=half / 10)
    assert found == ratio(drawn.tolist(), [1] * 400)  # the same seed, the same interval


def test_plain_figures_are_json() -> None:
    figures = plain({"x": ratio([1.0, 2.0], [1, 1])})
    assert set(json.loads(json.dumps(figures))["x"]) == {
        "value", "low", "high", "n", "chance", "blind",
    }  # fmt: skip
