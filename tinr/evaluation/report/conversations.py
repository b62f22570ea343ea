"""Read the conversations sampled in a policy's log: turns and rewards, step by step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.evaluation.report.cases import CaseTurn, turns_of
from tinr.evaluation.report.summary import in_order, is_finite
from tinr.records import REWARDS, BadInput
from tinr.run_log import read_log

SUFFIX = ".conversations.jsonl"
STEPS = 8  # of a phase, including the first and the last
AT_A_STEP = 4  # conversations per step
TURN_CHARACTERS = 4000  # characters of one turn


@dataclass(frozen=True)
class Sample:
    """One conversation with its rewards; a reward is None if it could not be scored."""

    query: str
    turns: tuple[CaseTurn, ...]
    rewards: Mapping[str, float | None]


@dataclass(frozen=True)
class Moment:
    """The conversations of one step."""

    phase: str
    step: int
    samples: tuple[Sample, ...]


def read_conversations(folder: Path) -> list[Moment]:
    """Read `PHASE.conversations.jsonl` in a folder of logs, at most STEPS steps per phase."""
    files = {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    return [moment for phase in in_order(files) for moment in _moments(phase, files[phase])]


def _moments(phase: str, path: Path) -> Iterator[Moment]:
    try:
        rows: list[Any] = read_log(path)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: unreadable ({error}); repair or move it") from error
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if isinstance(row, Mapping) and is_finite(row.get("step")):
            steps.setdefault(int(row["step"]), []).append(row)
    for step in spread(sorted(steps), STEPS):
        yield Moment(phase, step, tuple(map(_sample, steps[step][:AT_A_STEP])))


def spread(steps: Sequence[int], most: int) -> list[int]:
    """Choose at most `most` evenly spaced steps, including the first and the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(n * (len(steps) - 1) / (most - 1))] for n in range(most)]


def _sample(row: Mapping[str, Any]) -> Sample:
    turns = (CaseTurn("user", str(row.get("prompt") or "")), *turns_of(str(row.get("reply") or "")))
    rewards = {name: row[name] if is_finite(row.get(name)) else None for name in REWARDS}
    return Sample(str(row.get("query", "")), tuple(map(_shortened, turns)), rewards)


def _shortened(turn: CaseTurn) -> CaseTurn:
    excess = len(turn.text) - TURN_CHARACTERS
    return (
        turn
        if excess <= 0
        else CaseTurn(turn.role, f"{turn.text[:TURN_CHARACTERS]} … and {excess:,} more")
    )
