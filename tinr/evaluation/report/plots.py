"""Draw SVG plots with matplotlib, in the colours of the page.

Every colour passed to matplotlib is a placeholder for a variable of the page's style sheet, so a
plot fits the light, dark and print styles. Text stays text. The same data gives the same bytes.
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

COLOURS = {  # colour for matplotlib -> variable of the page
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
LABEL = 30  # maximum characters of a tool's name
SERIES = len(LINES)  # maximum series per plot
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
PIXEL = 1 / 72  # in inches: matplotlib's points are the SVG's pixels


def curve_plot(curve: Curve) -> str:
    """A phase's curves by step: measured values faint, smoothed values strong."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _canvas(340, 190)
        for (_, points), colour, dash in zip(curve.series.items(), LINES, DASHES, strict=False):
            axes.plot(*_columns(points), color=colour, alpha=0.3, linewidth=0.8)
            marker = "o" if len(points) == 1 else ""
            smooth_line = _columns(smoothed(points))
            axes.plot(*smooth_line, color=colour, linestyle=dash, linewidth=1.7, marker=marker)
        if curve.log:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_locator(FixedLocator(_steps(*axes.get_ylim())))
        else:
            lowest = min(y for points in curve.series.values() for _, y in points)
            if lowest >= 0:  # a policy's loss may be negative
                axes.set_ylim(bottom=0, top=1 if curve.drawn.share else None)
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(_tick))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        return _svg(figure, curve.key, f"{curve.phase}, {curve.drawn.title}", curve.said)


def _tick(value: float, _: object) -> str:
    return f"{value:.4g}".replace("-", "−")


def _steps(low: float, high: float) -> list[float]:
    """Ticks in [low, high]: powers of ten, and if these are few also 2 and 5 times them."""
    powers = [10.0**n for n in range(-12, 13)]
    whole_powers = [power for power in powers if low <= power <= high]
    ticks = [m * power for power in powers for m in (1, 2, 5) if low <= m * power <= high]
    return whole_powers if len(whole_powers) > 2 else ticks


def phase_plot(
    key: str, title: str, phases: Sequence[str], rates: Mapping[str, Sequence[Rate | None]]
) -> str:
    """Rates of several splits over the phases, with intervals; percent."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _canvas(340, 200)
        clauses = []
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
            clauses.append(f"{name}: {', '.join(values)}")
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.35, len(phases) - 0.65)
        axes.set_xticks(range(len(phases)), phases)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        return _svg(figure, key, title, f"Percent. {'; '.join(clauses)}.")


def heat_plot(key: str, tools: Sequence[str], counts: Mapping[Pair, int]) -> str:
    """Counts of confused pairs: a row per expected tool, a column per called tool."""
    cell, letter = 26, 6.4  # pixels of a square and of a letter
    labels, side = list(map(_label, tools)), cell * len(tools)
    label_width = letter * max(map(len, labels))
    margin, top = round(label_width + 14), round(label_width * 0.72 + 18)
    reach = max(cell * (n + 0.5) + 0.72 * letter * len(name) for n, name in enumerate(labels))
    width, height = margin + round(max(side, reach)) + 6, top + side + 6
    largest = max(counts.values())
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width * PIXEL, height * PIXEL))
        axes = figure.add_axes((margin / width, 6 / height, side / width, side / height))
        axes.set_xlim(0, len(tools))
        axes.set_ylim(len(tools), 0)
        for y, expected in enumerate(tools):
            for x, called in enumerate(tools):
                _heat_cell(axes, x, y, counts.get((expected, called), 0), largest)
        centres = [n + 0.5 for n in range(len(tools))]
        axes.xaxis.tick_top()
        axes.set_xticks(centres, labels, rotation=46, ha="left", color=INK)
        axes.set_yticks(centres, labels, color=INK)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        description = "; ".join(
            f"expected {e}, called {c}: {n}" for (e, c), n in sorted(counts.items())
        )
        return _svg(figure, key, "Confusion between tools", f"{description}.")


def _heat_cell(axes: Axes, x: int, y: int, count: int, largest: int) -> None:
    """A square with its count in it; a larger count is more opaque."""
    corner, size = (x + 0.04, y + 0.04), 0.92
    strength = 0.12 + 0.43 * count / largest if count else 1.0
    colour = LINES[0] if count else LINE
    fill, edge = (colour, "none") if count else ("none", colour)
    square = Rectangle(
        corner, size, size, facecolor=fill, edgecolor=edge, linewidth=0.6, alpha=strength
    )
    axes.add_patch(square)
    if count:
        axes.text(x + 0.5, y + 0.52, str(count), ha="center", va="center", color=INK)


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of this size in pixels, with space for labels left of and below its axes."""
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


def _svg(figure: Figure, key: str, title: str, description: str) -> str:
    """The figure as an element of a page, with title and description for screen readers.

    Its ids begin with `key`, so that two plots of a page never share an id.
    """
    buffer = StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata)
    slug = "plot-" + re.sub(r"[^A-Za-z0-9]+", lambda match: f"-{len(match[0])}-", key)
    svg = _own_ids(buffer.getvalue(), slug)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # use the font of the page
    for colour, name in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    head = (
        f'<svg class="plot" viewBox="0 0 {width} {height}" style="--width: {width}px" role="img" '
        f'aria-labelledby="{slug}-title" aria-describedby="{slug}-said">'
        f'<title id="{slug}-title">{escape(title)}</title>'
        f'<desc id="{slug}-said">{escape(description)}</desc>'
    )
    return head + svg


def _own_ids(svg: str, slug: str) -> str:
    """The content of an SVG file; ids get the prefix `slug`, unreferenced ids are dropped."""
    svg = svg[svg.index(">", svg.index("<svg")) + 1 :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.S
    )
    used_ids = set(re.findall(r'(?:href="|url\()#([\w.-]+)', svg))
    svg = re.sub(
        r' id="([^"]*)"',
        lambda match: f' id="{slug}-{match[1]}"' if match[1] in used_ids else "",
        svg,
    )
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{slug}-", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _label(name: str) -> str:
    """A tool's name in one line, cut to LABEL characters."""
    name = " ".join(name.split())
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
