"""The table of results in the README: medians over runs of several seeds."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tinr.evaluation.report.measures import phase_table
from tinr.evaluation.report.summary import at, phases_of


def markdown_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table, a measure a row and a phase a column, percent.

    One run: each cell with its 95 % interval. Several: their median, and behind it every
    run's value in the order given, "-" where a run lacks it.
    """
    head = phase_table(summaries[0])[0]
    tables = [{row[0]: row for row in phase_table(summary)[1:]} for summary in summaries]
    shown = [phase for phase in dict.fromkeys(p for t in tables for p in t) if phase != "base"]
    lines = ["| | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for column, title in enumerate(head[1:], 1):
        rows = ([t[phase][column] if phase in t else "-" for t in tables] for phase in shown)
        lines.append(f"| {title} | " + " | ".join(map(_cell, rows)) + " |")
    return "\n".join([*lines, "", *(_run_line(summary) for summary in summaries)])


def _cell(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    values = [None if text == "-" else float(text.split()[0]) for text in texts]
    measured = [value for value in values if value is not None]
    if not measured:
        return "-"
    each = ", ".join("-" if value is None else f"{value:.1f}" for value in values)
    return f"**{median(measured):.1f}** ({each})"


def _run_line(summary: Mapping[str, Any]) -> str:
    """What one run cost and gained, as far as its summary says."""
    seconds = {p: at(summary, "phases", p, "seconds") for p in phases_of(summary)}
    each = ", ".join(f"{phase} {value:.0f}" for phase, value in seconds.items() if value)
    whole, peak = at(summary, "seconds"), at(summary, "peak_rss_gib")
    said = [f"{whole:.0f} s in all ({each})"] if whole is not None else []
    said += [f"peak {peak:.1f} GiB"] if peak is not None else []
    gained, lost, p, n = (at(summary, "comparison", key) for key in ("gained", "lost", "p", "n"))
    against = (
        f"; calls after grpo against sft on {n} queries: {gained} gained, {lost} lost, p = {p:.3f}"
        if None not in (gained, lost, p, n)
        else ""
    )
    return f"- seed {at(summary, 'seed')}: {', '.join(said)}{against}"
