"""How the contenders of a comparison stand: as plain data, as tables, and in words.

The tests of a table are corrected together (`tinr.evaluation.comparison`): metrics of all splits
are one family, grades and kinds of deficiency over all queries another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as PrintedTable
from rich.text import Text

from tinr.evaluation.comparison import Contenders, Difference, cells, differences
from tinr.evaluation.contenders import ALL, CALLS
from tinr.evaluation.errors.faults import FAULTS, GRADES
from tinr.evaluation.metrics import UNPRINTED
from tinr.evaluation.report.tables import Row, Table, as_text, filled

TESTED = ("name_em", "call_em", "abstain_acc")  # the others only stand in the table
COMPARED = (
    "name_em",
    "call_em",
    "call_em_strict",
    "call_em_lenient",
    "answer_acc",
    "format_ok",
    "abstain_acc",
)


def standing(runs: Contenders) -> dict[str, Any]:
    """Cells and tests against the first contender, as plain data.

    {"cells": contender -> split -> metric -> cell, "differences": [...], "faults": contender ->
    grade or kind -> cell, "changes": [...]}.
    """
    splits = dict.fromkeys(split for some in runs.values() for one in some for split in one)
    metrics = [split for split in splits if split != ALL]
    return {
        "cells": _cells(runs, metrics, (*COMPARED, *UNPRINTED)),
        "differences": [asdict(one) for one in differences(runs, TESTED)],
        "faults": {name: one[ALL] for name, one in _cells(runs, [ALL], FAULTS).items()},
        "changes": [asdict(one) for one in differences(runs, _met(runs))],
    }


def _cells(runs: Contenders, splits: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """Contender -> split -> metric -> cell; what a contender lacks is left out."""
    found: dict[str, Any] = {name: {split: {} for split in splits} for name in runs}
    for split in splits:
        for metric in metrics:
            for name, one in cells(runs, split, metric).items():
                found[name][split][metric] = asdict(one)
    return found


def _met(runs: Contenders) -> list[str]:
    """The grades and kinds that some reply has."""
    tables = [one.get(ALL, {}) for some in runs.values() for one in some]
    return [name for name in FAULTS if any(any(t.get(name, {}).values()) for t in tables)]


def standing_tables(found: Mapping[str, Any]) -> list[Table]:
    """The metrics by split, and grades and deficiencies, a contender a column."""
    names = tuple(found["cells"])
    of_all = dict.fromkeys(split for one in found["cells"].values() for split in one)
    splits = sorted(of_all, key=lambda split: split == CALLS)  # those of all splits last
    rows = [
        _row(metric, [found["cells"][name].get(split, {}).get(metric) for name in names], split)
        for split in splits
        for metric in COMPARED
    ]
    faults = [
        _row(
            fault.replace("_", " "),
            [found["faults"][name].get(fault) for name in names],
            "grade" if fault in GRADES else "deficiency",
        )
        for fault in FAULTS
    ]
    cells = [cell for one in found["cells"].values() for of in one.values() for cell in of.values()]
    several = any(cell["spread"] is not None for cell in cells)
    note = f"Percent (95 %){', ± spread over seeds' if several else ''}."
    given = (
        Table("standing", "Contenders", (*names, "n"), tuple(rows), "metric", note),
        Table("faults", "Grades and deficiencies, all queries", (*names, "n"), tuple(faults),
              "share of replies with", note),
    )  # fmt: skip
    return [table for table in map(filled, given) if table]


def _row(label: str, cells: Sequence[Mapping[str, Any] | None], group: str) -> Row:
    if group == "deficiency" and not any(one and one["value"] for one in cells):
        return Row(label, (None,) * (len(cells) + 1), group)  # nobody has it: no row
    n = next((one["n"] for one in cells if one), None)
    return Row(label, (*map(_words, cells), n), group)


def _words(cell: Mapping[str, Any] | None) -> str | None:
    if cell is None:
        return None
    spread = "" if cell["spread"] is None else f" ±{100 * cell['spread']:.1f}"
    return f"{100 * cell['value']:.1f}{spread} ({100 * cell['low']:.0f}-{100 * cell['high']:.0f})"


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Every tested difference in words; of grades and deficiencies those that can be told apart."""
    said = [Difference(**one).words() for one in found["differences"]]
    tested = [Difference(**one) for one in found["changes"]]
    apart = [one for one in tested if one.distinguishable]
    said += [_change_words(one) for one in apart]
    if tested:
        said.append(
            f"Of {len(tested)} comparisons of a grade or kind of deficiency {len(apart)} can be "
            "told apart."
        )
    return said


def _change_words(one: Difference) -> str:
    which = "more" if one.difference > 0 else "fewer"
    return (
        f"{one.other} has {which} replies with {one.metric.replace('_', ' ')} than {one.first}: "
        f"{100 * one.difference:+.1f} points (95 % {100 * one.low:+.1f} to {100 * one.high:+.1f}, "
        f"p = {one.p_holm:.2g} after Holm, n = {one.n})."
    )


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print tables and sentences."""
    for table in standing_tables(found):
        kind = "split" if table.key == "standing" else "what"
        title = f"{table.title}. {table.note}"
        shown = PrintedTable(kind, table.head, *table.columns, title=title)
        for row in table.rows:
            shown.add_row(row.group, row.label, *(Text(as_text(cell)) for cell in row.cells))
        console.print(shown)
    for sentence in sentences(found):
        console.print(f"- {sentence}", markup=False, highlight=False)
