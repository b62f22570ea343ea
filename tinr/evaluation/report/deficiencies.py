"""Calibration in a run's registry: grades and deficiencies before and after, and what it took.

Cards of one parent share what was measured before, so they stand beside one another: the four
losses, and rejection sampling. The queries are those that every phase kept apart.
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
    """The cards of calibration, and of what it is held against, that counted deficiencies."""
    cards = Registry(folder).cards() if folder.is_dir() else []
    return [card for card in cards if card.phase in PREFERENCE_PHASES and _counts(card, "before")]


def deficiency_tables(cards: Sequence[Card]) -> list[Table]:
    """For each parent grades and kinds before and after, a card a column; and what each took."""
    by_parent: dict[str, list[Card]] = {}
    for card in cards:
        by_parent.setdefault(str((card.parent, _counts(card, "before"))), []).append(card)
    tables = [_changed(some, number) for number, some in enumerate(by_parent.values())]
    return [table for table in (*tables, _taken(cards)) if table]


def _changed(cards: Sequence[Card], number: int) -> Table | None:
    columns = ("before", *map(_name, cards))
    counts = [_counts(cards[0], "before"), *(_counts(card, "after") for card in cards)]
    rows = [
        Row(name.replace("_", " "), tuple(_share(one, part, name) for one in counts), part)
        for part, names in PARTS.items()
        for name in names
        if any(at(one, part, name) for one in counts)
    ]
    note = (
        "Percent of the greedy replies to queries that were kept apart. A reply has one grade, and "
        "may have several deficiencies."
    )
    title = f"Before, and after calibrating {cards[0].parent}"
    return filled(Table(f"deficiencies-{number}", title, columns, tuple(rows), "", note))


def _share(counts: Mapping[str, Any], part: str, name: str) -> Rate | None:
    n, count = at(counts, "n"), at(counts, part, name) or 0
    return rate([True] * count + [False] * (n - count)) if n else None


def _taken(cards: Sequence[Card]) -> Table | None:
    """Tokens written to find what was trained on, and time."""
    rows = []
    for card in cards:
        rounds = card.metrics.get("rounds") or []
        spent = [one for one in (*rounds, card.metrics.get("sampled")) if isinstance(one, Mapping)]
        cells: tuple[Cell, ...] = (
            Code(card.id),
            _sum(spent, "queries"),
            _sum(spent, "tokens"),
            _sum(spent, "pairs") or _sum(spent, "kept"),
            Seconds(seconds) if (seconds := _sum(spent, "seconds")) else None,
            Seconds(card.seconds) if card.seconds else None,
        )
        rows.append(Row(_name(card), cells))
    columns = ("checkpoint", "queries", "tokens written", "pairs or replies", "search", "time")
    note = "A search that several losses trained on is counted with each; the time is the phase's."
    return filled(Table("search", "What it took", columns, tuple(rows), "", note))


def _sum(parts: Sequence[Mapping[str, Any]], key: str) -> Any:
    found = [part[key] for part in parts if is_finite(part.get(key))]
    return sum(found) if found else None


def changes_in_words(cards: Sequence[Card]) -> str:
    """The changes that can be told apart from chance; "" where none was tested."""
    tested, said = 0, []
    for card in cards:
        for name, change in (at(card.metrics, "changes") or {}).items():
            difference, p = at(change, "difference"), at(change, "p_holm")
            if not (is_finite(difference) and is_finite(p)):
                continue
            tested += 1
            if p < LEVEL:
                which = "more" if difference > 0 else "fewer"
                points = f"{abs(100 * difference):.1f} points {which} {name.replace('_', ' ')}"
                said.append(f"{_name(card)} ({card.id}): {points} (p = {p:.2g} after Holm).")
    if not tested:
        return ""
    rest = f"{tested - len(said)} of {tested} changes cannot be told apart from chance."
    return " ".join([*said, rest])


def _name(card: Card) -> str:
    """The loss; of rejection sampling and of what states none, the phase."""
    return at(card.config, "preference", "loss") or card.phase


def _counts(card: Card, when: str) -> dict[str, Any]:
    found = at(card.metrics, when)
    whole = isinstance(found, Mapping) and isinstance(found.get("n"), int)
    return dict(found) if whole and found else {}
