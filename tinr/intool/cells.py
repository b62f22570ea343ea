"""What one model of a study came to, and the file that keeps it. No torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tinr.files import write_text
from tinr.intool.people import FORMS, Form
from tinr.records import BadInput


@dataclass(frozen=True)
class Cell:
    """One model: which it was, and how it ended."""

    form: Form
    facts: int
    width: int
    seed: int
    settings: str  # hash of everything else that decides the result
    parameters: int
    bits: float  # information in its facts
    reached: bool  # the threshold, within the budget
    right: int
    asked: int
    unseen_right: int | None  # in-tool alone: of people with unseen first names
    unseen_asked: int
    steps: int
    exposures: float  # of each fact
    seconds: float

    @property
    def key(self) -> tuple[str, int, int, int, str]:
        return self.form, self.facts, self.width, self.seed, self.settings


def read_cells(path: Path) -> list[Cell]:
    """All cells of a file, none where it is missing; BadInput with the line that is no cell."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != {one.name for one in fields(Cell)}:
                raise ValueError("its keys are not those of a cell")
            if row["form"] not in FORMS or not isinstance(row["reached"], bool):
                raise ValueError("form or reached has no such value")
            numbers = set(row) - {"form", "settings", "reached", "unseen_right"}
            if wrong := [name for name in numbers if not isinstance(row[name], int | float)]:
                raise ValueError(f"{wrong[0]} is no number")
            found.append(Cell(**row))
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: not a cell of a study ({error}); take the line out, "
                "or give another --out"
            ) from error
    return found


def write_cells(path: Path, cells: Sequence[Cell]) -> None:
    """Write all cells, whole or not at all."""
    write_text(path, (json.dumps(asdict(cell)) + "\n" for cell in cells))
