"""Tables as data: the only source of the page, report.json and report.md.

A cell is None (not measured), text, a number, or one of the classes below. A value that was not
measured is None in every format, never 0.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinr.evaluation.metrics import Rate


@dataclass(frozen=True)
class Figure:
    """A value that is not a share, with its interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Count:
    """`count` of `of`."""

    count: int
    of: int


@dataclass(frozen=True)
class Code:
    """An id, a hash or a configuration value; `full` is the text if `text` is shortened."""

    text: str
    full: str = ""


@dataclass(frozen=True)
class Seconds:
    """A time, shown in words."""

    seconds: float


Cell = None | str | int | float | Rate | Figure | Count | Code | Seconds


@dataclass(frozen=True)
class Row:
    """A labelled row; rows of one group are shown together under the group's name."""

    label: str
    cells: tuple[Cell, ...]
    group: str = ""


@dataclass(frozen=True)
class Table:
    """Rows with a cell for each column; `head` is the head of the label column."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    head: str = ""
    note: str = ""
    folded: bool = False  # collapsed at first


def filled(table: Table) -> Table | None:
    """The table without empty rows and columns; None if nothing is left."""
    rows = [row for row in table.rows if any(cell is not None for cell in row.cells)]
    column_numbers = [
        n for n in range(len(table.columns)) if any(r.cells[n] is not None for r in rows)
    ]
    if not rows:
        return None
    filled_rows = tuple(
        Row(r.label, tuple(r.cells[n] for n in column_numbers), r.group) for r in rows
    )
    columns = tuple(table.columns[n] for n in column_numbers)
    return Table(table.key, table.title, columns, filled_rows, table.head, table.note, table.folded)


def sizes(row: Row) -> str:
    """The sample sizes behind the rates of a row, in words: "250" or "250, 125"."""
    counts = [c.n for c in row.cells if isinstance(c, Rate | Figure) and c.n]
    return ", ".join(f"{n:,}" for n in dict.fromkeys(counts))


def as_text(cell: Cell) -> str:
    """A cell as text: "93.2 (90.1-95.4, n=300)", a rate in percent; "-" is missing."""
    match cell:
        case None:
            return "-"
        case Rate(value=float() | int() as value):
            return _with_interval(f"{100 * value:.1f}", cell.low, cell.high, cell.n, 100, ".1f")
        case Rate():
            return "-"
        case Figure(value=value):
            unit = f" {cell.unit}" if cell.unit else ""
            return _with_interval(f"{value:.4g}{unit}", cell.low, cell.high, cell.n, 1, ".4g")
        case Count(count=count, of=of):
            return f"{count:,}" + (f" ({100 * count / of:.1f} %)" if of else "")
        case Code(text=text):
            return text
        case Seconds(seconds=seconds):
            return duration(seconds)
        case int() | float():
            return number(cell)
    return cell


def _with_interval(
    value: str, low: float | None, high: float | None, n: int, scale: int, form: str
) -> str:
    details = [] if low is None or high is None else [f"{scale * low:{form}}-{scale * high:{form}}"]
    details += [f"n={n}"] if n else []
    return value + (f" ({', '.join(details)})" if details else "")


def number(value: int | float) -> str:
    """1,234 or 1,234.5 or 1.23."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """9.5 s, 43 s, 3 min 20 s, 1 h 05 min."""
    rounded = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02} min"


def as_data(table: Table) -> dict[str, Any]:
    """A table as plain JSON; rates in [0, 1], times in seconds, null is missing."""
    columns = list(table.columns)
    rows = [
        {
            "label": row.label,
            "group": row.group,
            "cells": [_plain_value(cell) for cell in row.cells],
        }
        for row in table.rows
    ]
    header = {"key": table.key, "title": table.title, "note": table.note}
    return header | {"head": table.head, "columns": columns, "rows": rows}


def _plain_value(cell: Cell) -> Any:
    match cell:
        case Rate(value=None):
            return None
        case Rate() | Figure() | Count():
            data = asdict(cell)
            return data | ({"n": data["n"] or None} if "n" in data else {})
        case Code(text=text, full=full):
            return full or text
        case Seconds(seconds=seconds):
            return seconds
    return cell


def as_markdown(table: Table) -> str:
    """A table in Markdown; text that could be markup is escaped."""
    has_groups = any(row.group for row in table.rows)
    labels = [f"{row.group}: {row.label}" if has_groups and row.group else row.label for row in
              table.rows]  # fmt: skip
    lines = [_line([table.head, *table.columns]), "|---" * (len(table.columns) + 1) + "|"]
    lines += [
        _line([label, *map(as_text, row.cells)])
        for label, row in zip(labels, table.rows, strict=True)
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"


def escaped(text: str) -> str:
    """Text as one line of Markdown without markup."""
    return re.sub(r"([\\`*_\[\]<>|&#~$])", r"\\\1", " ".join(text.split()))
