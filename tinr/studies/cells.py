"""The results of a study: one JSON object a line for each finished model, validated on reading."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from tinr.files import write_text
from tinr.records import BadInput

Cell = TypeVar("Cell")


def read_lines(
    path: Path, kind: type[Cell], check: Callable[[Mapping[str, Any]], None]
) -> list[Cell]:
    """All cells of a file, none where it is missing; BadInput names a line that is not a cell.

    check: raises ValueError for values that a cell of this kind cannot have.
    """
    if not path.exists():
        return []
    cells = []
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != names:
                raise ValueError("its keys are not those of a cell")
            check(row)
            cells.append(kind(**row))
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: not a cell of a study ({error}); take the line out, "
                "or give another --out"
            ) from error
    return cells


def write_lines(path: Path, cells: Sequence[Any]) -> None:
    """Write all cells atomically."""
    write_text(path, (json.dumps(asdict(cell)) + "\n" for cell in cells))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Lock `path`, so that this process alone runs a study that writes its results there.

    BadInput where another process holds the lock: each would overwrite the results of the other.
    The kernel releases the lock of a killed process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                f"{path}: another process runs a study there; wait for it, or give another --out"
            ) from error
        yield


def need_numbers(row: Mapping[str, Any], names: set[str]) -> None:
    """Raise ValueError where one of these values is not a number."""
    non_numbers = [
        name
        for name in sorted(names)
        if not isinstance(row[name], int | float) or isinstance(row[name], bool)
    ]
    if non_numbers:
        raise ValueError(f"{non_numbers[0]} is no number")
