"""The results of a study: one JSON line per finished model, validated when read."""

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
    """Read all cells of a file, none if it is missing; BadInput names an invalid line.

    check: raises ValueError for invalid values of this kind of cell.
    """
    if not path.exists():
        return []
    cells = []
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != names:
                raise ValueError("unexpected keys")
            check(row)
            cells.append(kind(**row))
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: not a valid cell ({error}); remove the line, "
                "or give another --out"
            ) from error
    return cells


def write_lines(path: Path, cells: Sequence[Any]) -> None:
    """Write all cells atomically."""
    write_text(path, (json.dumps(asdict(cell)) + "\n" for cell in cells))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Lock `path`, so that only this process runs a study that writes its results there.

    BadInput if another process holds the lock: each would overwrite the other's results.
    The kernel releases the lock of a killed process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                f"{path}: another process is running a study there; wait, or give another --out"
            ) from error
        yield


def need_numbers(row: Mapping[str, Any], names: set[str]) -> None:
    """Raise ValueError if one of these values is not a number."""
    non_numbers = [
        name
        for name in sorted(names)
        if not isinstance(row[name], int | float) or isinstance(row[name], bool)
    ]
    if non_numbers:
        raise ValueError(f"{non_numbers[0]} is not a number")
