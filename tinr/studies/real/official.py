"""BFCL's own scores of a study's cells, beside ours.

`run_cell` writes the result files, and `scripts/bfcl_official.py` runs the package's scorer.
This module compares its verdicts with `call_em_lenient`.
"""

from dataclasses import dataclass
from pathlib import Path

from tinr.evaluation.bfcl_export import read_scores
from tinr.evaluation.verdicts import read_verdicts
from tinr.records import BadInput

OFFICIAL = "bfcl"  # folder below OUT, with a folder per cell


@dataclass(frozen=True)
class OfficialScore:
    """A cell's questions, and how many replies each scorer accepts."""

    cell: str
    n: int
    official: int
    ours: int
    differing: tuple[str, ...]  # ids of questions


def official_scores(out: Path, results: Path) -> list[OfficialScore]:
    """Read the scores of all scored cells. BadInput if there are none."""
    folders = sorted(path.parent for path in (out / OFFICIAL).glob("*/score"))
    if not folders:
        raise BadInput(
            f"{out / OFFICIAL}: no scores; run scripts/real_tools.sh, which runs BFCL's scorer"
        )
    return [_score(folder, results / f"{folder.name}.jsonl") for folder in folders]


def _score(folder: Path, verdicts: Path) -> OfficialScore:
    scores = read_scores(folder)
    wrong = {name for _, names in scores.values() for name in names}
    rows = read_verdicts(verdicts).rows
    official = {row["id"]: row["id"] not in wrong for row in rows}
    ours = {row["id"]: bool(row["call_em_lenient"]) for row in rows}
    differing = tuple(sorted(name for name in ours if ours[name] != official[name]))
    return OfficialScore(
        folder.name, len(rows), sum(official.values()), sum(ours.values()), differing
    )
