"""The table of results in the README: medians over runs of several seeds."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tinr.evaluation.report.measures import phase_table
from tinr.evaluation.report.summary import at, phases_of


def markdown_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table in percent: one row per measure, one column per phase.

    One run: each cell has its 95 % interval. Several runs: the median, then the value of every
    run in the given order, "-" if a run lacks it.
    """
    head = phase_table(summaries[0])[0]
    tables = [{row[0]: row for row in phase_table(summary)[1:]} for summary in summaries]
    phases = [phase for phase in dict.fromkeys(p for t in tables for p in t) if phase != "base"]
    lines = ["| | " + " | ".join(phases) + " |", "|---" * (len(phases) + 1) + "|"]
    for column, title in enumerate(head[1:], 1):
        rows = ([t[phase][column] if phase in t else "-" for t in tables] for phase in phases)
        lines.append(f"| {title} | " + " | ".join(map(_cell, rows)) + " |")
    return "\n".join([*lines, "", *(_run_line(summary) for summary in summaries)])


def _cell(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    values = [None if text == "-" else float(text.split()[0]) for text in texts]
    measurements = [value for value in values if value is not None]
    if not measurements:
        return "-"
    listing = ", ".join("-" if value is None else f"{value:.1f}" for value in values)
    return f"**{median(measurements):.1f}** ({listing})"


def _run_line(summary: Mapping[str, Any]) -> str:
    """The cost and the gain of one run, if its summary has them."""
    seconds = {p: at(summary, "phases", p, "seconds") for p in phases_of(summary)}
    phase_times = ", ".join(f"{phase} {value:.0f}" for phase, value in seconds.items() if value)
    total, peak_gib = at(summary, "seconds"), at(summary, "peak_rss_gib")
    costs = [f"{total:.0f} s in total ({phase_times})"] if total is not None else []
    costs += [f"peak {peak_gib:.1f} GiB"] if peak_gib is not None else []
    gains, losses, p, n = (at(summary, "comparison", key) for key in ("gained", "lost", "p", "n"))
    comparison = (
        f"; calls after grpo against sft on {n} queries: {gains} gained, {losses} lost, p = {p:.3f}"
        if None not in (gains, losses, p, n)
        else ""
    )
    return f"- seed {at(summary, 'seed')}: {', '.join(costs)}{comparison}"
