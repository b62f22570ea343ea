"""The plot of a study: both curves beside the published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinr.studies.in_tool.curves import PUBLISHED
from tinr.studies.in_tool.table import NAMES, STATES
from tinr.studies.plots import as_svg

COLOURS = {"in_weight": "#b3541e", "in_tool": "#1f6f8b"}


def draw(study: Mapping[str, Any]) -> str:
    """Parameters by facts, both axes logarithmic, as SVG; the same study gives the same bytes.

    A point whose smallest model is not known stands as a hollow triangle at the largest that was
    tried, named as what it is; the line leaves it out.
    """

    def paint(axes: Sequence[Any]) -> None:
        [axis] = axes
        for form, points in study["curves"].items():
            _published(axis, form)
            _own(axis, form, points)
        axis.set(xscale="log", yscale="log", xlabel="facts", ylabel="parameters")
        axis.set_title(f"smallest model with recall of at least {study['threshold']:g}")
        axis.legend(frameon=False)

    return as_svg(paint, size=(6.5, 4))


def _published(axis: Any, form: str) -> None:
    known = PUBLISHED[form]
    axis.plot(
        list(known), list(known.values()), "x--", color=COLOURS[form], alpha=0.5, linewidth=1,
        label=f"{NAMES[form]}, published",
    )  # fmt: skip


def _own(axis: Any, form: str, points: list[Mapping[str, Any]]) -> None:
    found = [point for point in points if point["status"] == "found"]
    sizes = [point["parameters"] for point in found]
    spread = [
        [size - point["low"] for size, point in zip(sizes, found, strict=True)],
        [point["high"] - size for size, point in zip(sizes, found, strict=True)],
    ]
    facts = [point["facts"] for point in found]
    label = f"{NAMES[form]}, lowest to highest seed"
    axis.errorbar(facts, sizes, spread, fmt="o-", color=COLOURS[form], capsize=3, label=label)
    for point in points:
        if point["status"] != "found" and point["largest_tried"]:
            place = (point["facts"], point["largest_tried"])
            axis.plot(*place, "^", color=COLOURS[form], markerfacecolor="none")
            axis.annotate(
                STATES[point["status"]], place, xytext=(4, 4), textcoords="offset points",
                color=COLOURS[form],
            )  # fmt: skip
