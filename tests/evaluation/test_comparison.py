"""Paired comparison of checkpoints: known differences are found, noise is not."""

import numpy as np
import pytest

from tinr.evaluation.comparison import (
    _corrected,
    _interval,
    _permutation_p,
    _t_p,
    _variance,
    cells,
    differences,
)

METRIC = ["call_em"]


def run(values: list[float]) -> dict:
    return {"seen": {"call_em": {f"q{n}": v for n, v in enumerate(values)}}}


def test_one_run_each_is_mcnemars_exact_test():
    """6 gained, none lost: p = 2 / 64; the difference is 6 of 20."""
    one, two = [1.0] * 8 + [0.0] * 12, [1.0] * 14 + [0.0] * 6
    found = differences({"a": [run(one)], "b": [run(two)]}, METRIC)[0]
    assert found.p == found.p_holm == pytest.approx(0.03125)
    assert found.difference == pytest.approx(0.3) and found.n == 20
    assert found.low < 0.3 < found.high
    assert found.distinguishable and "b is better than a" in found.words()


def test_equal_checkpoints_cannot_be_told_apart_and_the_words_say_what_could_be():
    values = [float(n % 2) for n in range(100)]
    found = differences({"a": [run(values)], "b": [run(values)]}, METRIC)[0]
    assert (found.difference, found.p) == (0.0, 1.0)
    assert "cannot be told apart" in found.words()
    assert found.low < -0.01 < 0.01 < found.high, "100 queries alike do not exclude a point"
    assert found.least > 0.02 and f": {100 * found.least:.0f} points." in found.words()


def test_several_seeds_are_averaged_by_query():
    """Query by query b is 1 where a is 0 in two of three seeds: mean difference 2/3."""
    a = [run([0.0] * 30)] * 3
    b = [run([1.0] * 30), run([1.0] * 30), run([0.0] * 30)]
    found = differences({"a": a, "b": b}, METRIC)[0]
    assert found.difference == pytest.approx(2 / 3)
    assert found.by_seed == (1.0, 1.0, 0.0) and found.p < 0.001
    made = cells({"b": b}, "seen", "call_em")["b"]
    assert made.spread == pytest.approx(3**-0.5)  # of 1, 1, 0
    assert (made.n, made.seeds, made.value) == (30, 3, pytest.approx(2 / 3))


def test_a_difference_that_one_seed_makes_is_said_to_hold_for_these_runs_alone():
    """Over queries it is beyond doubt; t of (1, 1, 0) over seeds is 2, p = .18 with two degrees."""
    found = differences(
        {"a": [run([0.0] * 30)] * 3, "b": [run([v] * 30) for v in (1.0, 1.0, 0.0)]}, METRIC
    )[0]
    assert found.p < 0.001 and found.p_seeds == pytest.approx(0.1835, abs=1e-3)
    assert found.low < 0 and found.high == 1.0  # three seeds say little
    assert "not for others" in found.words()


def test_a_difference_that_all_seeds_make_is_said_without_that():
    rng = np.random.default_rng(0)
    a = [run(list((rng.random(200) < 0.3).astype(float))) for _ in range(3)]
    b = [run(list((rng.random(200) < 0.6).astype(float))) for _ in range(3)]
    found = differences({"a": a, "b": b}, METRIC)[0]
    assert found.p_seeds is not None and found.p_seeds < 0.05
    assert "p over seeds" in found.words() and "not for others" not in found.words()


def test_one_run_each_says_nothing_of_seeds():
    found = differences({"a": [run([0.0] * 9)], "b": [run([1.0] * 9)]}, METRIC)[0]
    assert found.p_seeds is None and "seeds" not in found.words()


def test_an_interval_over_seeds_is_wider_than_one_over_queries():
    """Three runs at 40, 50 and 60 % on 400 queries each: the seeds are most of the doubt."""
    rng = np.random.default_rng(0)
    table = (rng.random((3, 400)) < np.array([[0.4], [0.5], [0.6]])).astype(float)
    low, high = _interval(0.5, _variance(table), (0.0, 1.0))
    alone, top = _interval(0.5, _variance(table.mean(0)[None]), (0.0, 1.0))
    assert high - low > 1.5 * (top - alone)
    assert low < 0.5 < high and alone < 0.5 < top


def test_cells_of_a_row_are_over_the_queries_that_all_contenders_share():
    one, two = run([1.0, 0.0, 1.0]), run([1.0, 0.0])
    made = cells({"a": [one], "b": [two], "c": [{"unseen": {}}]}, "seen", "call_em")
    assert {name: (c.value, c.n) for name, c in made.items()} == {"a": (0.5, 2), "b": (0.5, 2)}


def test_false_alarms_come_as_often_as_the_level_says():
    """Two coins of the same kind, 200 times: p below 5 % in about one of twenty."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        one, two = rng.random((2, 60)) < 0.5
        alarms += _permutation_p(two.astype(float) - one) < 0.05
    assert alarms <= 18  # 10 expected


def test_a_phrasing_that_flips_as_a_whole_is_one_difference():
    """b gains 12 queries of 60: of one phrasing that is chance, of twelve it is not."""
    one, two = [0.0] * 60, [1.0] * 12 + [0.0] * 48
    runs = {"a": [run(one)], "b": [run(two)]}
    of_one = {f"q{n}": (f"p{n // 12}",) for n in range(60)}
    of_many = {f"q{n}": (f"p{n}",) for n in range(60)}
    few, many = (differences(runs, METRIC, given)[0] for given in (of_one, of_many))
    assert few.difference == many.difference == 0.2
    assert few.p > 0.3 and not few.distinguishable
    assert many.p < 0.01 and many.distinguishable
    assert few.low < 0 < many.low
    wide, narrow = (cells(runs, "seen", "call_em", p)["b"] for p in (of_one, None))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_false_alarms_by_phrasing_come_as_often_as_the_level_says():
    """Coins decide for whole phrasings; every fourth query has two, and needs both."""
    rng = np.random.default_rng(4)
    for phrasings, size in ((10, 6), (40, 3)):
        clusters = [(str(n // size),) for n in range(phrasings * size)]
        clusters = [
            (*own, str(rng.integers(phrasings))) if n % 4 == 0 else own
            for n, own in enumerate(clusters)
        ]
        alarms = alarms_by_query = 0
        for _ in range(200):
            coins = rng.random((2, phrasings)) < 0.8
            one, two = (
                np.array([float(all(side[int(name)] for name in own)) for own in clusters])
                for side in coins
            )
            alarms += _t_p(two - one, clusters) < 0.05
            alarms_by_query += _permutation_p(two - one) < 0.05
        assert alarms <= 18 < alarms_by_query, phrasings


def test_only_shared_queries_count():
    one, two = run([1.0, 0.0, 1.0]), run([1.0, 0.0])
    assert differences({"a": [one], "b": [two]}, METRIC)[0].n == 2
    assert differences({"a": [one], "b": [{"seen": {}}]}, METRIC) == []


def test_holm_multiplies_the_smallest_most_and_never_falls():
    """p = .01, .03, .04 of three: .03, .06, max(.06, .04) = .06."""
    values = [0.0, 1.0]
    base = differences({"a": [run(values)], "b": [run(values)]}, METRIC)[0]
    from dataclasses import replace

    given = [replace(base, p=p) for p in (0.04, 0.01, 0.03)]
    assert [round(d.p_holm, 6) for d in _corrected(given)] == [0.06, 0.03, 0.06]


def test_an_interval_of_one_run_is_wilsons_even_where_all_are_alike():
    """0 of 3: a bootstrap would say 0 to 0; Wilson's upper end is z^2 / (n + z^2) = .56."""
    made = cells({"a": [run([0.0] * 3)]}, "seen", "call_em")["a"]
    assert (made.low, made.high) == (0.0, pytest.approx(3.8416 / 6.8416, abs=1e-3))


def test_seeds_that_are_all_alike_are_no_proof():
    """Two seeds that each gain 6 of 50: over queries beyond doubt, of others it says nothing."""
    a, b = [run([0.0] * 50)] * 2, [run([1.0] * 6 + [0.0] * 44)] * 2
    found = differences({"a": a, "b": b}, METRIC)[0]
    assert found.by_seed == (0.12, 0.12) and found.p_seeds is None
    assert "no conclusion for other seeds" in found.words()
    nothing = cells({"a": a}, "seen", "call_em")["a"]
    assert nothing.low == 0.0 and nothing.high > 0.05


def test_p_values_over_seeds_are_corrected_together():
    rng = np.random.default_rng(0)

    def runs(share: float) -> list[dict]:
        values = [(rng.random((2, 90)) < share).astype(float) for _ in range(3)]
        return [run(list(one)) | {"unseen": run(list(two))["seen"]} for one, two in values]

    given = {"a": runs(0.3), "b": runs(0.6)}
    alone = [differences({n: [{s: r[s]} for r in rs] for n, rs in given.items()}, METRIC)[0]
             for s in ("seen", "unseen")]  # fmt: skip
    both = differences(given, METRIC)
    least = min(one.p_seeds or 1.0 for one in alone)
    assert min(one.p_seeds or 1.0 for one in both) == pytest.approx(min(1.0, 2 * least))
    assert {one.family for one in both} == {2}


@pytest.mark.parametrize(
    ("seeds", "queries", "spread"), [(3, 400, 0.0), (3, 400, 0.06), (5, 99, 0.04)]
)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(seeds, queries, spread):
    """Runs that differ by seeds, queries and luck alone: 0 is within nine times of ten or more."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        table = rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 0.2, (1, queries))
        table = table + rng.normal(0, 0.4, (seeds, queries))
        low, high = _interval(float(table.mean()), _variance(table), (-1.0, 1.0))
        held += low <= 0 <= high
    assert 270 <= held < 300
