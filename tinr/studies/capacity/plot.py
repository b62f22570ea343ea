"""The plot of the capacity study: recall against load, and measured against predicted recall."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinr.studies.capacity.cells import ASKED
from tinr.studies.capacity.table import NAMES
from tinr.studies.plots import as_svg

COLOURS = dict(zip(ASKED, ("#1f6f8b", "#b3541e", "#4b7f3a"), strict=True))
MARKS = dict(zip(ASKED, "os^", strict=True))
PUBLISHED = ((0.8, "safe"), (1.25, "refuse"))  # arXiv 2508.20755


def draw(study: Mapping[str, Any]) -> str:
    """Both panels as SVG; the same study gives the same bytes.

    Cells without the usual number of exposures are hollow and not fitted.
    """

    def paint(axes: Sequence[Any]) -> None:
        _against_load(axes[0], study)
        _against_foreseen(axes[1], study)
        for axis in axes:
            axis.set_ylim(-0.05, 1.05)

    return as_svg(paint, panels=2)


def _against_load(axis: Any, study: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for name in ASKED:
        colour = COLOURS[name]
        for row in study["cells"]:
            face = colour if row["usual"] else "none"
            axis.plot(row["load"], row[name] / row["asked"], MARKS[name], color=colour,
                      markerfacecolor=face, markersize=5)  # fmt: skip
        if study["calibration"]:
            loads, value, low, high = zip(*study["calibration"]["recall"][name], strict=True)
            axis.plot(loads, value, "-", color=colour)
            axis.fill_between(loads, low, high, color=colour, alpha=0.08)
    for load, word in PUBLISHED:
        axis.axvline(load, color="#777777", linewidth=0.8, linestyle=":")
        axis.annotate(f"{word}, published", (load, 0.02), rotation=90, fontsize=7,
                      color="#777777", ha="right", va="bottom")  # fmt: skip
    axis.set(xscale="log", xlabel="load, bits per parameter", ylabel="recall",
             title="hollow: other exposures, not fitted")  # fmt: skip
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _against_foreseen(axis: Any, study: Mapping[str, Any]) -> None:
    axis.plot([0, 1], [0, 1], color="#777777", linewidth=0.8)
    rows = [row for row in study["cells"] if row["foreseen"]]
    for name in ASKED:
        intervals = [row["foreseen"][name] for row in rows]
        values = [interval["value"] for interval in intervals]
        spread = [[interval["value"] - interval["low"] for interval in intervals],
                  [interval["high"] - interval["value"] for interval in intervals]]  # fmt: skip
        measured_recalls = [row[name] / row["asked"] for row in rows]
        axis.errorbar(values, measured_recalls, xerr=spread, fmt=MARKS[name], color=COLOURS[name],
                      markersize=5, linewidth=0.6, capsize=2, label=NAMES[name])  # fmt: skip
    if rows:
        axis.legend(frameon=False, loc="upper left")
    title = "catalogue size left out of the fit" if rows else "too few sizes to leave one out"
    axis.set(xlim=(-0.05, 1.05), xlabel="predicted recall", ylabel="measured recall", title=title)
