"""The result of a comparison of contenders: as plain data, as tables, and in words.

The tests of a table are corrected together (`tinr.evaluation.comparison`): metrics of all splits
are one family, grades and kinds of deficiency over all queries another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as PrintedTable
from rich.text import Text

from tinr.evaluation.comparison import Contenders, Difference, Phrasings, cells, differences
from tinr.evaluation.contenders import ALL, CALLS
from tinr.evaluation.errors.faults import FAULTS, GRADES
from tinr.evaluation.report.tables import Row, Table, as_text, filled

TESTED = ("name_em", "call_em", "abstain_acc")  # the others appear only in the table
COMPARED = (
    "name_em",
    "call_em",
    "call_em_strict",
    "call_em_lenient",
    "answer_acc",
    "format_ok",
    "abstain_acc",
)


def standing(runs: Contenders, phrasings: Phrasings | None = None) -> dict[str, Any]:
    """Cells and tests against the first contender, as plain data.

    phrasings: per query, see `comparison`. {"cells": contender -> split -> metric ->
    cell, "differences": [...], "faults": contender -> grade or kind -> cell, "changes": [...]}.
    """
    splits = dict.fromkeys(split for seeds in runs.values() for run in seeds for split in run)
    metrics = [split for split in splits if split != ALL]
    return {
        "cells": _cells(runs, metrics, COMPARED, phrasings),
        "differences": [asdict(row) for row in differences(runs, TESTED, phrasings)],
        "faults": {
            name: by_split[ALL] for name, by_split in _cells(runs, [ALL], FAULTS, phrasings).items()
        },
        "changes": [asdict(row) for row in differences(runs, _fault_names(runs), phrasings)],
    }


def _cells(
    runs: Contenders,
    splits: Sequence[str],
    metrics: Sequence[str],
    phrasings: Phrasings | None,
) -> dict[str, Any]:
    """Contender -> split -> metric -> cell; values that a contender lacks are left out."""
    table: dict[str, Any] = {name: {split: {} for split in splits} for name in runs}
    for split in splits:
        for metric in metrics:
            for name, cell in cells(runs, split, metric, phrasings).items():
                table[name][split][metric] = asdict(cell)
    return table


def _fault_names(runs: Contenders) -> list[str]:
    """The grades and kinds of deficiency that at least one reply has."""
    tables = [run.get(ALL, {}) for seeds in runs.values() for run in seeds]
    return [name for name in FAULTS if any(any(t.get(name, {}).values()) for t in tables)]


def standing_tables(comparison: Mapping[str, Any]) -> list[Table]:
    """The metrics by split, and grades and deficiencies, one column per contender."""
    names = tuple(comparison["cells"])
    splits = dict.fromkeys(split for by_split in comparison["cells"].values() for split in by_split)
    ordered_splits = sorted(
        splits, key=lambda split: split == CALLS
    )  # CALLS covers all splits: last
    rows = [
        _row(
            metric, [comparison["cells"][name].get(split, {}).get(metric) for name in names], split
        )
        for split in ordered_splits
        for metric in COMPARED
    ]
    faults = [
        _row(
            fault.replace("_", " "),
            [comparison["faults"][name].get(fault) for name in names],
            "grade" if fault in GRADES else "deficiency",
        )
        for fault in FAULTS
    ]
    cells = [
        cell
        for by_split in comparison["cells"].values()
        for by_metric in by_split.values()
        for cell in by_metric.values()
    ]
    has_spread = any(cell["spread"] is not None for cell in cells)
    note = f"Percent (95 % interval){', ± spread over seeds' if has_spread else ''}."
    tables = (
        Table("standing", "Contenders", (*names, "n"), tuple(rows), "metric", note),
        Table("faults", "Grades and deficiencies, all queries", (*names, "n"), tuple(faults),
              "share of replies with", note),
    )  # fmt: skip
    return [table for table in map(filled, tables) if table]


def _row(label: str, cells: Sequence[Mapping[str, Any] | None], group: str) -> Row:
    if group == "deficiency" and not any(cell and cell["value"] for cell in cells):
        return Row(
            label, (None,) * (len(cells) + 1), group
        )  # no reply has it: an empty row, which `filled` drops
    n = next((cell["n"] for cell in cells if cell), None)
    return Row(label, (*map(_words, cells), n), group)


def _words(cell: Mapping[str, Any] | None) -> str | None:
    if cell is None:
        return None
    spread = "" if cell["spread"] is None else f" ±{100 * cell['spread']:.1f}"
    return f"{100 * cell['value']:.1f}{spread} ({100 * cell['low']:.0f}-{100 * cell['high']:.0f})"


def sentences(comparison: Mapping[str, Any]) -> list[str]:
    """The tested differences in words; for grades and deficiencies only distinguishable ones."""
    texts = [Difference(**values).words() for values in comparison["differences"]]
    changes = [Difference(**values) for values in comparison["changes"]]
    findings = [change for change in changes if change.distinguishable]
    texts += [_change_words(change) for change in findings]
    if changes:
        texts.append(
            f"{len(findings)} of {len(changes)} comparisons of grades and deficiencies are "
            "distinguishable."
        )
    return texts


def _change_words(change: Difference) -> str:
    amount = "more" if change.difference > 0 else "fewer"
    return (
        f"{change.other} has {amount} replies with {change.metric.replace('_', ' ')} than "
        f"{change.first}: {100 * change.difference:+.1f} points "
        f"(95 % {100 * change.low:+.1f} to {100 * change.high:+.1f}, "
        f"p = {change.p_holm:.2g} after Holm, n = {change.n})."
    )


def show(comparison: Mapping[str, Any], console: Console) -> None:
    """Print tables and sentences."""
    for table in standing_tables(comparison):
        kind = "split" if table.key == "standing" else "kind"
        title = f"{table.title}. {table.note}"
        printed_table = PrintedTable(kind, table.head, *table.columns, title=title)
        for row in table.rows:
            printed_table.add_row(
                row.group, row.label, *(Text(as_text(cell)) for cell in row.cells)
            )
        console.print(printed_table)
    for sentence in sentences(comparison):
        console.print(f"- {sentence}", markup=False, highlight=False)
