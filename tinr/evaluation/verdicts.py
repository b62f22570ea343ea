"""Verdicts of an evaluation in a small file: for each query whether its reply is right.

What was measured on different days and machines is compared by `tinr compare FILES`. A file has
one line of facts, then one line for each split: ids, numbers of reference calls, phrasings, and
for each metric a text with one character a query: 1, 0, or - if the metric does not apply.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.catalogue.load import read_jsonl
from tinr.evaluation.comparison import Contenders, Phrasings
from tinr.evaluation.contenders import values_from
from tinr.evaluation.evaluate import SuiteResult, split_of
from tinr.evaluation.standing import COMPARED
from tinr.files import write_text
from tinr.records import BadInput

SIGNS = {True: "1", False: "0", None: "-"}
VALUES = {sign: value for value, sign in SIGNS.items()}


@dataclass(frozen=True)
class Verdicts:
    """One evaluation of one training run."""

    path: Path
    arm: str  # what is compared: runs of one arm differ in their seeds
    seed: int
    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]  # of each query id, split, calls, phrasings and metrics


def write_verdicts(
    path: Path, result: SuiteResult, *, arm: str, seed: int, facts: Mapping[str, Any]
) -> None:
    """Write the verdicts of all queries that can be scored. facts: what else to know of the run."""
    splits: dict[str, dict[str, Any]] = {}
    for conversation, outcome in result.scored():
        query = conversation.query
        columns: dict[str, Any] = {"ids": [], "calls": [], "phrasings": []}
        split = splits.setdefault(split_of(query), columns | dict.fromkeys(COMPARED, ""))
        split["calls"].append(len(query.calls))
        split["ids"].append(query.id)
        split["phrasings"].append([_mark(phrasing) for phrasing in query.phrasings])
        for metric in COMPARED:
            split[metric] += SIGNS[getattr(outcome, metric)]
    lines = [
        {"arm": arm, "seed": seed, **facts},
        *({"split": name, **split} for name, split in splits.items()),
    ]
    write_text(path, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))


def _mark(phrasing: str) -> str:
    return hashlib.sha256(phrasing.encode()).hexdigest()[:8]


def read_verdicts(path: Path) -> Verdicts:
    """Read a file of `write_verdicts`; BadInput if it is none."""
    lines = [line for _, line in read_jsonl(path)]
    first = lines[0] if lines else {}
    arm, seed = first.get("arm"), first.get("seed")
    if not isinstance(arm, str) or not isinstance(seed, int):
        raise BadInput(f"{path}: no verdicts; give files that `tinr eval --verdicts` wrote")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            count = len(line["ids"])
            columns = {metric: [VALUES[sign] for sign in line[metric]] for metric in COMPARED}
            columns |= {key: line[key] for key in ("calls", "phrasings")}
            is_whole = {count} == set(map(len, columns.values()))
        except (KeyError, TypeError) as error:
            raise BadInput(f"{path}: line {number}: not a split of verdicts ({error})") from error
        if not is_whole:
            raise BadInput(f"{path}: line {number}: its columns differ in length; write it anew")
        for place, name in enumerate(line["ids"]):
            values = {key: column[place] for key, column in columns.items()}
            rows.append({"id": name, "split": line["split"], **values})
    return Verdicts(path, arm, seed, first, rows)


def pooled(
    files: Sequence[Verdicts], baseline: str = "", several: bool = False
) -> tuple[Contenders, Phrasings]:
    """The runs of each arm, the baseline's first, and the phrasings of the queries.

    Files of one arm and seed are one run (its suites). several: only queries that expect two or
    more calls. BadInput if files share a query, or if there are fewer than two arms, or none of
    that name, or no such query.
    """
    runs: dict[str, dict[int, dict[str, Mapping[str, Any]]]] = {}
    for file in files:
        rows = runs.setdefault(file.arm, {}).setdefault(file.seed, {})
        for row in file.rows:
            if row["id"] in rows:
                raise BadInput(
                    f"{file.path}: query {row['id']!r} of {file.arm!r}, seed {file.seed}, stands "
                    "in two files; leave one out"
                )
            if row["calls"] > 1 or not several:
                rows[row["id"]] = row
    if len(runs) < 2:
        raise BadInput(f"compare: verdicts of one arm ({', '.join(runs)}); give those of another")
    if baseline and baseline not in runs:
        raise BadInput(f"--baseline {baseline}: not among the arms; one of {', '.join(runs)}")
    arms = sorted(runs, key=lambda arm: arm != baseline)
    contenders = {
        arm: [values_from(list(rows.values())) for _, rows in sorted(runs[arm].items())]
        for arm in arms
    }
    phrasings = {
        row["id"]: tuple(row["phrasings"])
        for by_seed in runs.values()
        for rows in by_seed.values()
        for row in rows.values()
    }
    if not phrasings:
        raise BadInput("compare: no query expects several calls; leave --several out")
    return contenders, phrasings
