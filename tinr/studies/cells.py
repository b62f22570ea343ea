"""What a study keeps of each finished model: one JSON object a line, read back or refused."""

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
    """All cells of a file, none where it is missing; BadInput with the line that is no cell.

    check: raises ValueError for values that a cell of this kind cannot have.
    """
    if not path.exists():
        return []
    found = []
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != names:
                raise ValueError("its keys are not those of a cell")
            check(row)
            found.append(kind(**row))
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: not a cell of a study ({error}); take the line out, "
                "or give another --out"
            ) from error
    return found


def write_lines(path: Path, cells: Sequence[Any]) -> None:
    """Write all cells, whole or not at all."""
    write_text(path, (json.dumps(asdict(cell)) + "\n" for cell in cells))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Within, this process alone runs a study that keeps its models in `path`.

    BadInput where another one does: each would write over what the other has trained since. The
    kernel lets go of what a killed process held.
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
    """ValueError where one of these is no number."""
    wrong = [
        n for n in sorted(names) if not isinstance(row[n], int | float) or isinstance(row[n], bool)
    ]
    if wrong:
        raise ValueError(f"{wrong[0]} is no number")
