"""The results of a study as Markdown, with the differences from the published work."""

from collections.abc import Mapping
from typing import Any

from tinr.studies.in_tool.curves import PUBLISHED, PUBLISHED_SLOPE, slope

NAMES = {"in_weight": "in weights", "in_tool": "in tool"}
STATES = {
    "not_reached": "not reached",
    "open": "open: out of time",
    "at_most": "open: smaller ones not tried",
}


def markdown(study: Mapping[str, Any]) -> str:
    """A table of both curves beside the published ones, and notes on the differences."""
    lines = [
        "# In-tool against in-weight learning",
        "",
        f"Smallest model whose greedy recall is at least {study['threshold']:g}: parameters, mean "
        f"of {study['seeds']} seeds (lowest to highest seed). Published: arXiv 2508.20755, mean "
        "of 10 seeds.",
        "",
        "| form | facts | bits | parameters | published | load, bits per parameter | exposures "
        "per fact | recall | recall, unseen first names |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for form, points in study["curves"].items():
        lines += [_row(form, point) for point in points]
    return "\n".join([*lines, "", *_notes(study)]) + "\n"


def _row(form: str, point: Mapping[str, Any]) -> str:
    published_size = PUBLISHED[form].get(point["facts"])
    if point["status"] == "found":
        size = f"{point['parameters']:,} ({point['low']:,} to {point['high']:,})"
    else:
        best_recall, largest_size = point["best_recall"], point["largest_tried"]
        size = STATES[point["status"]]
        if best_recall is not None:
            size += f" (largest tried {largest_size:,}, best recall {best_recall:.3f}"
            size += f"; found for {point['seeds_found']} of {point['seeds']} seeds)"
    cells = [
        NAMES[form],
        f"{point['facts']:,}",
        f"{point['bits']:,.0f}",
        size,
        "-" if published_size is None else f"{published_size:,}",
        "-" if point["load"] is None else f"{point['load']:.2f}",
        "-" if point["exposures"] is None else f"{point['exposures']:.0f}",
        _share(point["recall"]),
        _share(point["unseen"]),
    ]
    return f"| {' | '.join(cells)} |"


def _share(rate: Mapping[str, Any]) -> str:
    if rate["value"] is None:
        return "-"
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f}, n = {rate['n']})"


def _notes(study: Mapping[str, Any]) -> list[str]:
    """Notes that a reader needs beside the figures."""
    recipe, optimiser = study["recipe"], study["recipe"]["optimiser"]
    budgets = [point["budget"] for points in study["curves"].values() for point in points]
    steps, batch = ([budget[key] for budget in budgets] for key in ("steps", "batch"))
    line = slope(study["curves"].get("in_weight", []))
    fit = (
        "no slope, because fewer than three points are known"
        if line is None
        else f"{line[0]:.2f} parameters per fact, intercept {line[1]:,.0f}"
    )
    notes = [
        f"- In weights, least squares over the points above: {fit} (published: {PUBLISHED_SLOPE}).",
        "- Differences: names, lists, phrasings and lengths are our own; "
        f"{optimiser['name']} with rate {optimiser['rate']:g} (published: AdamW, 1e-3); "
        f"{min(steps):,} to {max(steps):,} steps of {min(batch)} to {max(batch)} conversations "
        "(published: 100,000 of 128), so each fact is seen far less often and an in-weight model "
        "needs more parameters than with longer training; training stops at the threshold.",
        f"- Asked: at most {recipe['asked']:,} facts per model, sampled by its seed, and at most "
        f"{recipe['unseen']:,} for unseen names. The in-tool reply is decoded up to its query, the "
        "SQLite database answers through the executor, and decoding continues after the value.",
        "- Unseen first names are asked of the smallest model when it reached the threshold; they "
        "do not count in the curve.",
        "- not reached: the grid's largest width stayed below the threshold within its budget. "
        "open: the study ran out of time; rerunning resumes it. Neither is extrapolated.",
        f"- Dependence of facts on last names: {study['dependence']:g}. Device: {study['device']}, "
        f"{study['threads']} threads; {study['seconds_trained']:,.0f} s of training in total.",
    ]
    if study["preset"] == "smoke":
        notes.append("- Preset smoke only tests that everything runs; ignore its figures.")
    return notes
