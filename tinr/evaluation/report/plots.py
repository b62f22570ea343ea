"""Drawing, by matplotlib: SVG for a page, whose colours are the page's own.

A plot has no colour of its own: every colour that is given to matplotlib stands for a
variable of the page's style sheet, so that a plot is right in light, in dark and in print.
Text stays text. The same data gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.curves import Curve, smoothed
from tinr.evaluation.report.errors import Pair

COLOURS = {  # what is said to matplotlib -> the variable of the page
    "#010100": "ink",
    "#010101": "soft",
    "#010102": "line",
    "#010103": "paper",
    "#010110": "c0",
    "#010111": "c1",
    "#010112": "c2",
    "#010113": "c3",
}
INK, SOFT, LINE, PAPER, *LINES = COLOURS
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
MARKERS = ("o", "s", "^", "D")
LABEL = 30  # characters of a tool's name
SERIES = len(LINES)  # that a plot tells apart
SETTINGS: Any = {
    "svg.hashsalt": "tinr",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a tool may have dollars in its name
    "font.size": 11,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.width": 0.8,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
PIXEL = 1 / 72  # of an inch: matplotlib's points are the SVG's pixels


def curve_plot(curve: Curve) -> str:
    """A phase's curves by step: faint as measured, strong as smoothed."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _canvas(340, 190)
        for (_, points), colour, dash in zip(curve.series.items(), LINES, DASHES, strict=False):
            axes.plot(*_columns(points), color=colour, alpha=0.3, linewidth=0.8)
            marker = "o" if len(points) == 1 else ""
            smooth = _columns(smoothed(points))
            axes.plot(*smooth, color=colour, linestyle=dash, linewidth=1.7, marker=marker)
        if curve.log:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_locator(FixedLocator(_steps(*axes.get_ylim())))
        else:
            least = min(y for points in curve.series.values() for _, y in points)
            if least >= 0:  # a policy's loss may be less
                axes.set_ylim(bottom=0, top=1 if curve.drawn.share else None)
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.4g}".replace("-", "−"))
        )
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        return _svg(figure, curve.key, f"{curve.phase}, {curve.drawn.title}", curve.said)


def _tick(value: float, _: object) -> str:
    return f"{value:.4g}".replace("-", "−")


def _steps(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten in [low, high]; the powers alone where they suffice."""
    powers = [10.0**n for n in range(-12, 13)]
    whole = [power for power in powers if low <= power <= high]
    finer = [m * power for power in powers for m in (1, 2, 5) if low <= m * power <= high]
    return whole if len(whole) > 2 else finer


def phase_plot(
    key: str, title: str, phases: Sequence[str], rates: Mapping[str, Sequence[Rate | None]]
) -> str:
    """Rates of several splits over the phases, each with its interval; percent."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _canvas(340, 200)
        said = []
        for index, (name, row) in enumerate(list(rates.items())[: len(LINES)]):
            shift = 0.07 * (index - (min(len(rates), len(LINES)) - 1) / 2)
            points = [(n + shift, rate) for n, rate in enumerate(row) if _value(rate) is not None]
            xs, ys = [x for x, _ in points], [100 * (_value(rate) or 0) for _, rate in points]
            axes.plot(
                xs, ys, color=LINES[index], linestyle=DASHES[index], linewidth=1.5,
                marker=MARKERS[index], markersize=4.5,
            )  # fmt: skip
            for x, rate in points:
                if rate and rate.low is not None and rate.high is not None:
                    axes.plot([x, x], [100 * rate.low, 100 * rate.high], color=LINES[index],
                              linewidth=1.1, alpha=0.75)  # fmt: skip
            values = (f"{phases[round(x - shift)]} {y:.1f}" for x, y in zip(xs, ys, strict=True))
            said.append(f"{name}: {', '.join(values)}")
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.35, len(phases) - 0.65)
        axes.set_xticks(range(len(phases)), phases)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        return _svg(figure, key, title, f"Percent. {'; '.join(said)}.")


def heat_plot(key: str, tools: Sequence[str], counts: Mapping[Pair, int]) -> str:
    """Counts of confused pairs: expected tools downwards, the same across as called."""
    cell, letter = 26, 6.4  # pixels of a square, and of a letter
    labels, side = list(map(_label, tools)), cell * len(tools)
    longest = letter * max(map(len, labels))
    left, top = round(longest + 14), round(longest * 0.72 + 18)
    reach = max(cell * (n + 0.5) + 0.72 * letter * len(name) for n, name in enumerate(labels))
    width, height = left + round(max(side, reach)) + 6, top + side + 6
    most = max(counts.values())
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width * PIXEL, height * PIXEL))
        axes = figure.add_axes((left / width, 6 / height, side / width, side / height))
        axes.set_xlim(0, len(tools))
        axes.set_ylim(len(tools), 0)
        for y, wanted in enumerate(tools):
            for x, given in enumerate(tools):
                _heat_cell(axes, x, y, counts.get((wanted, given), 0), most)
        middles = [n + 0.5 for n in range(len(tools))]
        axes.xaxis.tick_top()
        axes.set_xticks(middles, labels, rotation=46, ha="left", color=INK)
        axes.set_yticks(middles, labels, color=INK)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        said = "; ".join(f"{e} called as {c}: {n}" for (e, c), n in sorted(counts.items()))
        return _svg(figure, key, "Confusion between tools", f"{said}.")


def _heat_cell(axes: Axes, x: int, y: int, count: int, most: int) -> None:
    """A square as strong as its count, which stands in it."""
    place, size = (x + 0.04, y + 0.04), 0.92
    strength = 0.12 + 0.43 * count / most if count else 1.0
    colour = LINES[0] if count else LINE
    fill, edge = (colour, "none") if count else ("none", colour)
    square = Rectangle(
        place, size, size, facecolor=fill, edgecolor=edge, linewidth=0.6, alpha=strength
    )
    axes.add_patch(square)
    if count:
        axes.text(x + 0.5, y + 0.52, str(count), ha="center", va="center", color=INK)


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of so many pixels with room for the labels beside and below its field."""
    figure = Figure(figsize=(width * PIXEL, height * PIXEL))
    field = (40 / width, 24 / height, (width - 50) / width, (height - 34) / height)
    axes = figure.add_axes(field)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _value(rate: Rate | None) -> float | None:
    return None if rate is None else rate.value


def _svg(figure: Figure, key: str, title: str, said: str) -> str:
    """The figure as an element of a page, named for those who do not see it.

    Its ids begin with `key`, so that two plots of a page never share one.
    """
    out = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", metadata=nothing)
    slug = "plot-" + re.sub(r"[^A-Za-z0-9]+", lambda found: f"-{len(found[0])}-", key)
    drawn = _own_ids(out.getvalue(), slug)
    drawn = re.sub(r"font-family: [^;\"]*;? ?", "", drawn)  # the page's
    for given, name in COLOURS.items():
        drawn = drawn.replace(given, f"var(--{name})")
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    head = (
        f'<svg class="plot" viewBox="0 0 {width} {height}" style="--width: {width}px" role="img" '
        f'aria-labelledby="{slug}-title" aria-describedby="{slug}-said">'
        f'<title id="{slug}-title">{escape(title)}</title>'
        f'<desc id="{slug}-said">{escape(said)}</desc>'
    )
    return head + drawn


def _own_ids(svg: str, slug: str) -> str:
    """What is inside of an SVG file, its ids made the page's, those nobody refers to left out."""
    svg = svg[svg.index(">", svg.index("<svg")) + 1 :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.S
    )
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', svg))
    svg = re.sub(
        r' id="([^"]*)"', lambda found: f' id="{slug}-{found[1]}"' if found[1] in used else "", svg
    )
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{slug}-", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _label(name: str) -> str:
    """A tool's name in one line that is not longer than a label may be."""
    name = " ".join(name.split())
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
