"""Tables of calibration in a run: grades and deficiencies before and after, and the cost.

Cards of one parent share the values before calibration, so they share a table: the four losses,
and rejection sampling. The queries are those that every phase held out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.evaluation.errors.faults import GRADES, KINDS
from tinr.evaluation.metrics import Rate, rate
from tinr.evaluation.report.summary import at, is_finite
from tinr.evaluation.report.tables import Cell, Code, Row, Seconds, Table, filled

PREFERENCE_PHASES = ("calibrate", "reject")
LEVEL = 0.05
PARTS = {"grades": GRADES, "deficiencies": KINDS}


def read_calibrated(folder: Path) -> list[Card]:
    """The cards of calibration and of its baselines that counted deficiencies."""
    cards = Registry(folder).cards() if folder.is_dir() else []
    return [card for card in cards if card.phase in PREFERENCE_PHASES and _counts(card, "before")]


def deficiency_tables(cards: Sequence[Card]) -> list[Table]:
    """A table per parent: grades and kinds before and after, a column per card; and the cost."""
    by_parent: dict[str, list[Card]] = {}
    for card in cards:
        by_parent.setdefault(str((card.parent, _counts(card, "before"))), []).append(card)
    tables = [_change_table(group, number) for number, group in enumerate(by_parent.values())]
    return [table for table in (*tables, _cost_table(cards)) if table]


def _change_table(cards: Sequence[Card], number: int) -> Table | None:
    columns = ("before", *map(_name, cards))
    counts = [_counts(cards[0], "before"), *(_counts(card, "after") for card in cards)]
    rows = [
        Row(
            name.replace("_", " "),
            tuple(_share(counts_of_card, part, name) for counts_of_card in counts),
            part,
        )
        for part, names in PARTS.items()
        for name in names
        if any(at(counts_of_card, part, name) for counts_of_card in counts)
    ]
    note = (
        "Percent of the greedy replies to held-out queries. A reply has one grade, and may have "
        "several deficiencies."
    )
    title = f"Before and after calibrating {cards[0].parent}"
    return filled(Table(f"deficiencies-{number}", title, columns, tuple(rows), "", note))


def _share(counts: Mapping[str, Any], group: str, name: str) -> Rate | None:
    n, count = at(counts, "n"), at(counts, group, name) or 0
    return rate([True] * count + [False] * (n - count)) if n else None


def _cost_table(cards: Sequence[Card]) -> Table | None:
    """The tokens generated to find training data, and the time."""
    rows = []
    for card in cards:
        rounds = card.metrics.get("rounds") or []
        searches = [
            search
            for search in (*rounds, card.metrics.get("sampled"))
            if isinstance(search, Mapping)
        ]
        cells: tuple[Cell, ...] = (
            Code(card.id),
            _sum(searches, "queries"),
            _sum(searches, "tokens"),
            _sum(searches, "pairs") or _sum(searches, "kept"),
            Seconds(seconds) if (seconds := _sum(searches, "seconds")) else None,
            Seconds(card.seconds) if card.seconds else None,
        )
        rows.append(Row(_name(card), cells))
    columns = ("checkpoint", "queries", "generated tokens", "pairs or replies", "search", "time")
    note = "A search used by several losses counts for each of them; time is that of the phase."
    return filled(Table("search", "Search and training cost", columns, tuple(rows), "", note))


def _sum(parts: Sequence[Mapping[str, Any]], key: str) -> Any:
    values = [part[key] for part in parts if is_finite(part.get(key))]
    return sum(values) if values else None


def changes_in_words(cards: Sequence[Card]) -> str:
    """The distinguishable changes as sentences; "" if none was tested."""
    test_count, clauses = 0, []
    for card in cards:
        for name, change in (at(card.metrics, "changes") or {}).items():
            difference, p = at(change, "difference"), at(change, "p_holm")
            if not (is_finite(difference) and is_finite(p)):
                continue
            test_count += 1
            if p < LEVEL:
                direction = "more" if difference > 0 else "fewer"
                points = f"{abs(100 * difference):.1f} points {direction} {name.replace('_', ' ')}"
                clauses.append(f"{_name(card)} ({card.id}): {points} (p = {p:.2g} after Holm).")
    if not test_count:
        return ""
    remainder = (
        f"{test_count - len(clauses)} of {test_count} changes cannot be told apart from chance."
    )
    return " ".join([*clauses, remainder])


def _name(card: Card) -> str:
    """The loss; the phase if the card has no loss, as for rejection sampling."""
    return at(card.config, "preference", "loss") or card.phase


def _counts(card: Card, when: str) -> dict[str, Any]:
    counts = at(card.metrics, when)
    is_complete = isinstance(counts, Mapping) and isinstance(counts.get("n"), int)
    return dict(counts) if is_complete and counts else {}
