"""The table of results in the README: medians over runs of several seeds."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tinr.report import phase_table


def markdown_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table, a measure a row and a phase a column, percent.

    One run: each cell with its 95 % interval. Several: their median, and behind it every
    run's value in the order given.
    """
    tables = [phase_table(summary) for summary in summaries]
    head, phases = tables[0][0], [row[0] for row in tables[0][1:]]
    shown = [n for n, phase in enumerate(phases) if phase != "base"]
    lines = [
        "| | " + " | ".join(phases[n] for n in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for column, title in enumerate(head[1:], 1):
        cells = [_cell([table[n + 1][column] for table in tables]) for n in shown]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(_run_line(summary) for summary in summaries)])


def _cell(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    values = [float(text.split()[0]) for text in texts if text != "-"]
    if not values:
        return "-"
    return f"**{median(values):.1f}** ({', '.join(f'{value:.1f}' for value in values)})"


def _run_line(summary: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{phase} {part['seconds']:.0f}" for phase, part in summary["phases"].items())
    compared = summary["comparison"]
    return (
        f"- seed {summary['seed']}: {summary['seconds']:.0f} s in all ({parts}), peak "
        f"{summary['peak_rss_gib']:.1f} GiB; calls after grpo against sft on {compared['n']} "
        f"queries: {compared['gained']} gained, {compared['lost']} lost, p = {compared['p']:.3f}"
    )
