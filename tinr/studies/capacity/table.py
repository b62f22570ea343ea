"""The capacity study as Markdown: every cell with its predicted recall, and notes."""

from collections.abc import Mapping
from typing import Any

from tinr.studies.capacity.cells import ASKED

NAMES = {
    "document_to_token": "document -> token",
    "token_to_document": "token -> document",
    "token_to_schema": "token -> schema",
}


def markdown(study: Mapping[str, Any]) -> str:
    """The table and its notes."""
    kinds = " | ".join(f"{NAMES[name]} | predicted" for name in ASKED)
    lines = [
        "# Capacity: recall against load",
        "",
        "Alignments of real documents in models from scratch. Parameters: those that can hold "
        "new information, without the rows of tokens that the base knew. Load: bits to learn per "
        "such parameter. Predicted: by a curve fitted to the cells of all other catalogue sizes, "
        "with a 95 % interval for a new training run.",
        "",
        f"| documents | parameters | bits | load | exposures | steps | {kinds} |",
        f"|{'---|' * (6 + 2 * len(ASKED))}",
        *map(_row, study["cells"]),
        "",
        *_notes(study),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    cells = [f"{row['documents']:,}", f"{row['holding']:,}", f"{row['bits']:,.0f}",
             f"{row['load']:.2f}", f"{row['exposures']:g}", f"{row['steps']:,}"]  # fmt: skip
    for name in ASKED:
        cells.append(f"{row[name] / row['asked']:.3f}")
        expectation = (row["foreseen"] or {}).get(name)
        cells.append(
            f"{expectation['value']:.2f} ({expectation['low']:.2f} to {expectation['high']:.2f})"
            if expectation
            else "-"
        )
    return f"| {' | '.join(cells)} |"


def _notes(study: Mapping[str, Any]) -> list[str]:
    """Notes that a reader needs beside the figures."""
    settings, calibration = study["settings"], study["calibration"]
    notes = [
        f"- {len(study['cells'])} of {study['points']} cells; sources: "
        f"{', '.join(study['sources'])}; documents of at most {settings['longest']} characters, "
        "all distinct; exposures: examples per tool in the whole training, a third each of "
        "document -> token, token -> document and token -> schema.",
        f"- Asked: at most {settings['asked']} tools per model, decoded greedily and compared "
        "exactly. Bases: trained on "
        f"{settings['base_tokens']:,} tokens of generic tasks. "
        f"{study['seconds_trained']:,.0f} s of alignment in total, on {study['made']}.",
    ]
    for name, error in (study["errors"] or {}).items():
        notes.append(
            f"- {NAMES[name]}: mean prediction error {error['mean']:.3f}; "
            f"{error['inside']} of {error['cells']} cells within their interval."
        )
    for row in study["crossings"]:
        notes.append(
            f"- {row['documents']:,} documents: recall of document -> token and token -> schema "
            f"crosses 0.95 between {row['below']:,} and {row['above']:,} parameters, at about "
            f"{row['measured']:,.0f}; predicted {row['foreseen']:,.0f}, off by "
            f"{100 * row['apart']:.1f} % of the measured size's logarithm."
        )
    if study["errors"] is None:
        notes.append("- Too few catalogue sizes to leave one out: nothing was validated.")
    if calibration is None:
        notes.append(f"- No calibration: {study['left_out']}.")
    else:
        notes += _loads(calibration)
    if study["preset"] == "smoke":
        notes.append("- Preset smoke only tests that everything runs; ignore its figures.")
    return notes


def _loads(calibration: Mapping[str, Any]) -> list[str]:
    """Notes on the three loads, including those not observed, and on the exposures."""
    meanings = {
        "safe": "recall of at least 0.95 of document -> token and token -> schema",
        "marginal": "of at least 0.8",
        "refuse": "of less than 0.5 above it",
    }
    texts = [
        f"{key} {calibration[key]:.2f} ({meaning})" if calibration[key] is not None
        else f"{key}: not observed"
        for key, meaning in meanings.items()
    ]  # fmt: skip
    number = calibration["exposures"]
    practice = (
        "no number of exposures was enough at a safe load" if number is None
        else f"{number:g} or more exposures were enough at a safe load, with cells pooled"
    )  # fmt: skip
    return [f"- Loads, bits per parameter: {'; '.join(texts)}.", f"- Exposures: {practice}."]
