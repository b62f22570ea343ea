"""The plot of a study: both curves beside the published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinr.studies.in_tool.curves import PUBLISHED
from tinr.studies.in_tool.table import NAMES, STATES
from tinr.studies.plots import as_svg

COLOURS = {"in_weight": "#b3541e", "in_tool": "#1f6f8b"}


def draw(study: Mapping[str, Any]) -> str:
    """Parameters by facts, both axes logarithmic, as SVG; the same study gives the same bytes.

    A point with an unknown smallest model is drawn as a hollow triangle at the largest model that
    was tried, labelled with its status. The line skips it.
    """

    def paint(axes: Sequence[Any]) -> None:
        [axis] = axes
        for form, points in study["curves"].items():
            _plot_published(axis, form)
            _plot_own(axis, form, points)
        axis.set(xscale="log", yscale="log", xlabel="facts", ylabel="parameters")
        axis.set_title(f"smallest model with recall of at least {study['threshold']:g}")
        axis.legend(frameon=False)

    return as_svg(paint, size=(6.5, 4))


def _plot_published(axis: Any, form: str) -> None:
    sizes = PUBLISHED[form]
    axis.plot(
        list(sizes), list(sizes.values()), "x--", color=COLOURS[form], alpha=0.5, linewidth=1,
        label=f"{NAMES[form]}, published",
    )  # fmt: skip


def _plot_own(axis: Any, form: str, points: list[Mapping[str, Any]]) -> None:
    found_points = [point for point in points if point["status"] == "found"]
    sizes = [point["parameters"] for point in found_points]
    spread = [
        [size - point["low"] for size, point in zip(sizes, found_points, strict=True)],
        [point["high"] - size for size, point in zip(sizes, found_points, strict=True)],
    ]
    facts = [point["facts"] for point in found_points]
    label = f"{NAMES[form]}, lowest to highest seed"
    axis.errorbar(facts, sizes, spread, fmt="o-", color=COLOURS[form], capsize=3, label=label)
    for point in points:
        if point["status"] != "found" and point["largest_tried"]:
            position = (point["facts"], point["largest_tried"])
            axis.plot(*position, "^", color=COLOURS[form], markerfacecolor="none")
            axis.annotate(
                STATES[point["status"]], position, xytext=(4, 4), textcoords="offset points",
                color=COLOURS[form],
            )  # fmt: skip
