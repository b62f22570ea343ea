"""The results of a study as Markdown, with the differences from the published work."""

from collections.abc import Mapping
from typing import Any

from tinr.studies.in_tool.curves import PUBLISHED, PUBLISHED_SLOPE, slope

NAMES = {"in_weight": "in weights", "in_tool": "in tool"}
STATES = {
    "not_reached": "not reached",
    "open": "open: time ended",
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
        "| form | facts | bits | parameters | published | load, bits a parameter | exposures "
        "of a fact | recall there | recall, unseen first names |",
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
            size += f"; {point['seeds_found']} of {point['seeds']} seeds found one)"
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
        "fewer than three points are known, so no slope"
        if line is None
        else f"{line[0]:.2f} parameters a fact, intercept {line[1]:,.0f}"
    )
    notes = [
        f"- In weights, least squares over the points above: {fit} (published: {PUBLISHED_SLOPE}).",
        "- Differences: names, lists, phrasings and lengths are our own; "
        f"{optimiser['name']} with rate {optimiser['rate']:g} (published: AdamW, 1e-3); "
        f"{min(steps):,} to {max(steps):,} steps of {min(batch)} to {max(batch)} conversations "
        "(published: 100,000 of 128), so a fact is seen far less often and an in-weight model "
        "needs more room for it than it would with patience; a model stops when it reaches the "
        "threshold.",
        f"- Asked: all facts, at most {recipe['asked']:,} of a model drawn by its seed; the "
        f"unseen names {recipe['unseen']:,}. The in-tool reply is decoded up to its query, the "
        "SQLite database answers through the executor, and the reply goes on from the bare value.",
        "- Unseen first names are asked of the smallest model at the moment it reached the "
        "threshold, apart from the curve.",
        "- not reached: the largest width of the grid stayed below the threshold within its "
        "budget. open: the study's time ended; the same command goes on. Neither is extrapolated.",
        f"- Dependence of facts on last names: {study['dependence']:g}. Device: {study['device']}, "
        f"{study['threads']} threads; {study['seconds_trained']:,.0f} s of training in all.",
    ]
    if study["preset"] == "smoke":
        notes.append("- Preset smoke shows that everything runs; its figures mean nothing.")
    return notes
