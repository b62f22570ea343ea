"""The result of one model of a study, and the file that stores it. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.studies.cells import need_numbers, read_lines
from tinr.studies.in_tool.people import FORMS, Form


@dataclass(frozen=True)
class FitCell:
    """The configuration of one model and its result."""

    form: Form
    facts: int
    width: int
    seed: int
    settings: str  # hash of everything else that determines the result
    parameters: int
    bits: float  # information in its facts
    reached: bool  # whether it reached the threshold within the budget
    right: int
    asked: int
    unseen_right: int | None  # in-tool only: for people with unseen first names
    unseen_asked: int
    steps: int
    exposures: float  # per fact
    seconds: float

    @property
    def key(self) -> tuple[str, int, int, int, str]:
        return self.form, self.facts, self.width, self.seed, self.settings


def read_cells(path: Path) -> list[FitCell]:
    """Read all cells of a file, none if it is missing; BadInput names an invalid line."""
    return read_lines(path, FitCell, _check)


def _check(row: Mapping[str, Any]) -> None:
    if row["form"] not in FORMS or not isinstance(row["reached"], bool):
        raise ValueError("invalid form or reached")
    need_numbers(row, set(row) - {"form", "settings", "reached", "unseen_right"})
    if not 0 <= row["right"] <= row["asked"] or not row["asked"]:
        raise ValueError("asked is 0, or right is not between 0 and asked")
