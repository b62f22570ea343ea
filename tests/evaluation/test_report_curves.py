"""Curves and plots: what is drawn of the logs, and that a drawing is the page's own."""

import re

import pytest

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.curves import binned, curve_table, curves, smoothed
from tinr.evaluation.report.plots import COLOURS, curve_plot, heat_plot, phase_plot

LOSSES = [{"step": s, "seconds": s, "train/loss": 4.0 / s} for s in (1, 2, 4)]
REWARDS = [
    {"step": s, "reward/total": 0.5, "reward/format": 1.0, "rollout/flat_groups": s / 4}
    for s in (1, 2, 3)
]
NAME = "<b>$x_1$ --> </svg>"


def test_curves_are_those_that_were_logged() -> None:
    drawn = curves({"align": LOSSES, "sft": [], "grpo": REWARDS})
    assert [curve.key for curve in drawn] == ["align-loss", "grpo-rewards", "grpo-groups"]
    assert list(drawn[1].series) == ["total", "format"]
    assert drawn[2].series == {"flat groups": [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75)]}
    assert drawn[0].said == "loss from 4 at step 1 to 1 at step 4, smoothed."


def test_rows_without_a_finite_number_are_left_out() -> None:
    rows = [
        {"step": 1, "train/loss": 2.0},
        {"step": 2, "train/loss": float("nan")},
        {"step": True, "train/loss": 1.0},
        {"step": 3, "train/loss": "<b>"},
        {"step": 10**400, "train/loss": 1.0},
        ["no row"],
    ]
    (curve,) = curves({"sft": rows})
    assert curve.series == {"loss": [(1.0, 2.0)]}


@pytest.mark.parametrize(
    ("values", "log"),
    [((10, 1, 0.1), True), ((10, 1, 0.0), False), ((20, 1), False), ((10, -1), False)],
)
def test_a_loss_over_orders_of_magnitude_has_a_log_axis(values, log) -> None:
    (curve,) = curves({"sft": [{"step": n, "train/loss": v} for n, v in enumerate(values)]})
    assert curve.log is log
    # on a log axis 0.1, 1 and 10 are labelled; else the axis begins at 0
    labels = re.findall(r">([\d.]+)</text>", curve_plot(curve))
    assert ({"0.1", "1", "10"} if log else set()) <= set(labels)
    assert log or "0" in labels


def test_a_loss_below_zero_is_drawn() -> None:
    """A policy's loss: the axis reaches down to it."""
    (curve,) = curves({"grpo": [{"step": n, "train/loss": (-1) ** n} for n in range(9)]})
    assert "−1" in re.findall(r">([−\d.]+)</text>", curve_plot(curve))


def test_smoothing_and_bins() -> None:
    # 20 points: one neighbour to each side; a single 6 at index 10 spreads into 2, 2, 2
    points = [(float(i), 6.0 * (i == 10)) for i in range(20)]
    assert [y for _, y in smoothed(points)] == [2.0 * (9 <= i <= 11) for i in range(20)]
    # 5 rows in at most 2 bins: three and two of them, named by their last steps
    assert binned([(1, 1), (2, 2), (3, 6), (4, 4), (5, 5)], most=2) == [(3, 3.0), (5, 4.5)]
    assert binned([]) == []


def test_the_table_of_a_curve_holds_its_figures() -> None:
    (curve,) = curves({"align": LOSSES})
    rows = [(row.label, row.cells) for row in curve_table(curve).rows]
    assert rows == [("1", ("4.000",)), ("2", ("2.000",)), ("4", ("1.000",))]


def plots() -> dict[str, str]:
    (curve,) = curves({NAME: LOSSES})
    rates = {NAME: [Rate(0.5, 10, 0.4, 0.6), None, Rate(0.7, 10, None, None)]}
    return {
        "curve": curve_plot(curve),
        "phases": phase_plot("p", NAME, ["a", "b", NAME], rates),
        "heat": heat_plot("h", [NAME, "b", "a"], {(NAME, "a"): 3, ("b", NAME): 1}),
    }


@pytest.mark.parametrize("kind", plots())
def test_a_plot_belongs_to_the_page(kind: str) -> None:
    svg = plots()[kind]
    assert svg == plots()[kind]  # the same data, the same bytes
    # colours are the page's variables; fonts are the page's
    assert "var(--" in svg and not re.search(r"#[0-9a-f]{6}\b|font-family", svg)
    assert all(colour not in svg for colour in COLOURS)
    # no two elements share an id, and every reference finds its own
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
    named = set(re.findall(r'aria-(?:labelledby|describedby)="([^"]*)"', svg))
    assert set(ids) == used | named
    # what a tool is called is text, and all of it stands there
    said = "&lt;b&gt;$x_1$ --&gt; &lt;/svg&gt;"
    assert said in svg and (kind == "curve" or f">{said}</text>" in svg)
    assert not re.search(r"<(b|style|metadata|script|!--)", svg) and svg.count("</svg>") == 1


def test_a_plot_is_told_to_those_who_do_not_see_it() -> None:
    for svg in plots().values():
        label, said = re.findall(r'aria-(?:labelledby|describedby)="([^"]*)"', svg)
        assert f'<title id="{label}">' in svg and f'<desc id="{said}">' in svg
    assert "b, called" in plots()["heat"] and "a 50.0" in plots()["phases"]


def test_ids_of_two_plots_never_meet() -> None:
    first, second = (set(re.findall(r'\bid="([^"]*)"', svg)) for svg in list(plots().values())[:2])
    assert first and second and not first & second
