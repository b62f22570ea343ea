"""Store the verdicts of an evaluation in a small file: whether the reply to each query is right.

`tinr compare FILES` compares evaluations from different days and machines. A file has one line of
facts, then one line per split: query ids, hashes of the questions, numbers of reference calls,
phrasings, and per metric a string with one character per query: 1, 0, or - if the metric does not
apply.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinr.catalogue.load import read_jsonl
from tinr.evaluation.comparison import Contenders, Phrasings
from tinr.evaluation.contenders import values_from
from tinr.evaluation.evaluate import SuiteResult, split_of
from tinr.evaluation.standing import COMPARED
from tinr.files import write_text
from tinr.records import BadInput, Query

SIGNS = {True: "1", False: "0", None: "-"}
VALUES = {sign: value for value, sign in SIGNS.items()}
# facts that all files of an arm must share -> default for files without the fact
ALIKE = {"documents": None, "tools": None, "earlier": 0}


@dataclass(frozen=True)
class Verdicts:
    """One evaluation of one training run."""

    path: Path
    arm: str  # what is compared: runs of one arm differ in their seeds
    seed: int | None  # None: the arm is the same for every seed
    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]  # per query: id, mark, split, calls, phrasings and metrics


def write_verdicts(
    path: Path, result: SuiteResult, *, arm: str, seed: int | None, facts: Mapping[str, Any]
) -> None:
    """Write the verdicts of all queries that can be scored. facts: further facts about the run."""
    splits: dict[str, dict[str, Any]] = {}
    for conversation, outcome in result.scored():
        query = conversation.query
        columns: dict[str, Any] = {"ids": [], "marks": [], "calls": [], "phrasings": []}
        split = splits.setdefault(split_of(query), columns | dict.fromkeys(COMPARED, ""))
        split["ids"].append(query.id)
        split["marks"].append(_mark_of(query))
        split["calls"].append(len(query.calls))
        split["phrasings"].append([_mark(phrasing) for phrasing in query.phrasings])
        for metric in COMPARED:
            split[metric] += SIGNS[getattr(outcome, metric)]
    lines = [
        {"arm": arm, "seed": seed, **facts},
        *({"split": name, **split} for name, split in splits.items()),
    ]
    write_text(path, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))


def _mark_of(query: Query) -> str:
    """A hash that tells questions with the same id apart: ids of generated queries are numbers."""
    turns = [[asdict(call) for call in turn] for turn in query.turns]
    earlier = [[asdict(message) for message in query.history]] if query.history else []
    return _mark(json.dumps([query.text, turns, *earlier], sort_keys=True))


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read_verdicts(path: Path) -> Verdicts:
    """Read a file written by `write_verdicts`; raise BadInput for any other file."""
    lines = [line for _, line in read_jsonl(path)]
    first = lines[0] if lines else {}
    arm, seed = first.get("arm"), first.get("seed", "")
    if not isinstance(arm, str) or not arm or not (seed is None or type(seed) is int):
        raise BadInput(f"{path}: not a verdict file; give files written by `tinr eval --verdicts`")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows += _rows(line)
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"{path}: line {number}: not a split of verdicts ({error}); write the file again"
            ) from error
    return Verdicts(path, arm, seed, first, rows)


def _rows(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A split's queries; KeyError, TypeError or ValueError if the line is invalid."""
    columns: dict[str, Sequence[Any]] = {"id": _texts(line["ids"]), "mark": _texts(line["marks"])}
    columns["calls"] = [int(count) for count in line["calls"]]
    columns["phrasings"] = [_texts(own) for own in line["phrasings"]]
    columns |= {metric: [VALUES[sign] for sign in line[metric]] for metric in COMPARED}
    if len(set(map(len, columns.values()))) > 1:
        raise ValueError("its columns differ in length")
    (split,) = _texts([line["split"]])
    return [
        {"split": split, **dict(zip(columns, values, strict=True))}
        for values in zip(*columns.values(), strict=True)
    ]


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"not a list of strings: {str(values)[:40]}")
    return values


Run = dict[str, Mapping[str, Any]]  # query id -> its row


def pooled(
    files: Sequence[Verdicts], baseline: str = "", several: bool = False
) -> tuple[Contenders, Phrasings]:
    """The runs of each arm, the baseline's first, and the phrasings of the queries.

    Files of one arm and seed form one run (they hold its suites). Runs of different arms are
    paired by seed, so only seeds that every arm has are used; an arm without seeds is the same for
    every seed. several: only queries that expect two or more calls. Raise BadInput if the files do
    not belong together.
    """
    for file in files:
        first = next(other for other in files if other.arm == file.arm)
        for key, default in ALIKE.items():
            own, other = (verdicts.facts.get(key, default) for verdicts in (file, first))
            if own != other:
                raise BadInput(
                    f"{file.path}: {key} {own}, but {first.path} of the same arm has {other}; give "
                    "them different arms"
                )
    runs: dict[str, dict[int | None, Run]] = {}
    marks: dict[str, tuple[str, Path]] = {}
    phrasings: dict[str, tuple[str, ...]] = {}
    for file in files:
        run = runs.setdefault(file.arm, {}).setdefault(file.seed, {})
        for row in file.rows:
            name = row["id"]
            if name in run:
                raise BadInput(
                    f"{file.path}: query {name!r} of arm {file.arm!r}, seed {file.seed}, occurs "
                    "in two files; omit one"
                )
            mark, where = marks.setdefault(name, (row["mark"], file.path))
            if mark != row["mark"]:
                raise BadInput(
                    f"{file.path}: query {name!r} differs from the one in {where}; compare "
                    "files of the same suite and tools"
                )
            if row["calls"] > 1 or not several:
                run[name] = row
                phrasings[name] = phrasings.get(name, ()) or tuple(row["phrasings"])
    if several and not phrasings:
        raise BadInput("compare: no query expects several calls; omit --several")
    if len(runs) < 2:
        raise BadInput(f"compare: all files are of one arm ({', '.join(runs)}); add another arm")
    if baseline and baseline not in runs:
        raise BadInput(f"--baseline {baseline}: unknown arm; choose one of {', '.join(runs)}")
    seeds = _shared_seeds(runs)
    arms = sorted(runs, key=lambda arm: arm != baseline)
    contenders = {
        arm: [
            values_from(list(run.values()))
            for run in ([runs[arm][None]] * len(seeds) if None in runs[arm] else
                        [runs[arm][seed] for seed in seeds])
        ]
        for arm in arms
    }  # fmt: skip
    shared = set.intersection(*({*run} for by_seed in runs.values() for run in by_seed.values()))
    if not shared:
        raise BadInput("compare: no query is in all files; give files of the same suites")
    return contenders, phrasings


def _shared_seeds(runs: Mapping[str, Mapping[int | None, Run]]) -> list[int]:
    """The seeds that every arm has; BadInput if there is none."""
    seeded = [{seed for seed in by_seed if seed is not None} for by_seed in runs.values()]
    seeded = [seeds for seeds in seeded if seeds]
    seeds = sorted(set.intersection(*seeded)) if seeded else [0]
    if not seeds:
        raise BadInput("compare: the arms share no seed; give runs of the same seeds")
    return seeds
