"""Where the last checkpoint came from: the cards of its lineage as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.config import MACHINE_KEYS
from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.summary import at, in_order, is_finite, phases_of
from tinr.evaluation.report.tables import Cell, Code, Row, Seconds, Table, filled
from tinr.records import BadInput

SHORT = 12  # characters of a hash


def read_cards(folder: Path, summary: Mapping[str, Any]) -> list[Card]:
    """The cards from the base to the summary's last checkpoint; [] where there is no registry."""
    names = [at(summary, "phases", phase, "checkpoint") for phase in phases_of(summary)]
    registry = Registry(folder)
    known = set(registry.ids())
    names = [name for name in names if name in known]
    return registry.lineage(names[-1]) if names else []


def lineage_tables(cards: Sequence[Card]) -> list[Table]:
    """What each checkpoint is, and the packages and machine it was made with."""
    columns = tuple(card.phase for card in cards)
    facts: dict[str, list[Cell]] = {
        "checkpoint": [Code(card.id) for card in cards],
        "parent": [Code(card.parent) if card.parent else None for card in cards],
        "published": [card.created[:16].replace("T", " ") + " UTC" for card in cards],
        "base model": [card.base_model for card in cards],
        "base": [_short(card.base_hash) for card in cards],
        "catalogue": [_short(card.catalogue_hash) for card in cards],
        "tokenizer": [_short(card.tokenizer_hash) for card in cards],
        "git commit": [_short(card.git_commit) for card in cards],
        "seed": [card.seed for card in cards],
        "tokens trained on": [card.tokens for card in cards],
        "time": [Seconds(card.seconds) for card in cards],
        "size, MiB": [sum(f["bytes"] for f in card.files) / 2**20 for card in cards],
        "notes": ["; ".join(card.notes) or None for card in cards],
    }
    machine: dict[str, list[Cell]] = {}
    for name in dict.fromkeys(name for card in cards for name in card.packages):
        machine[name] = [card.packages.get(name) for card in cards]
    for name in dict.fromkeys(name for card in cards for name in card.hardware):
        machine[name.replace("_", " ")] = [_said(card.hardware.get(name)) for card in cards]
    tables = (
        Table("lineage", "Checkpoints", columns, _rows(facts), "", "Hashes by their beginning."),
        Table("packages", "Packages and machine", columns, _rows(machine), folded=True),
    )
    return [table for table in map(filled, tables) if table]


def gate_tables(cards: Sequence[Card]) -> list[Table]:
    """What the gates measured, and the least that each let pass, a phase a column."""
    names = dict.fromkeys(name for card in cards for name in card.gates)
    rows = [
        Row(name.replace("_", " "), tuple(cell(card.gates.get(name)) for card in cards), group)
        for group, cell in (("measured", _measured), ("least that passes", _least))
        for name in names
    ]
    columns = tuple(card.phase for card in cards)
    note = "Percent of the catalogue's tools; without a limit it is measured, not gated."
    table = filled(Table("gates", "Gates", columns, tuple(rows), "gate", note))
    return [table] if table else []


def _measured(gate: Any) -> Rate | None:
    parts = [at(gate, key) for key in ("value", "n", "low", "high")]
    return Rate(*parts) if is_finite(parts[0]) else None


def _least(gate: Any) -> Rate | None:
    limit = at(gate, "limit")
    return Rate(limit, 0, None, None) if is_finite(limit) else None


def _rows(facts: Mapping[str, Sequence[Cell]]) -> tuple[Row, ...]:
    return tuple(Row(name, tuple(cells)) for name, cells in facts.items())


def _short(text: str | None) -> Code | None:
    """The beginning of a hash, and behind it what makes a commit unclean."""
    if not text:
        return None
    dirty = " with changes" if text.endswith("-dirty") else ""
    return Code(text[:SHORT] + dirty, text)


def _said(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def read_configs(logs: Path, cards: Sequence[Card]) -> dict[str, Mapping[str, Any]]:
    """Phase -> resolved configuration: of its card, else of `PHASE.config.json` in the logs."""
    configs = _logged_configs(logs) | {card.phase: card.config for card in cards}
    return {phase: configs[phase] for phase in in_order(configs)}


def of_other_runs(logs: Path, cards: Sequence[Card]) -> set[str]:
    """Phases whose logs were written by a run with other settings than the card's: a checkpoint
    that is reused writes no log, and the one before stays."""
    logged = _logged_configs(logs)

    def what(config: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key not in MACHINE_KEYS}

    return {
        card.phase
        for card in cards
        if card.phase in logged and card.config and what(logged[card.phase]) != what(card.config)
    }


def _logged_configs(logs: Path) -> dict[str, Mapping[str, Any]]:
    configs: dict[str, Mapping[str, Any]] = {}
    for path in sorted(logs.glob("*.config.json")):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path}: no valid JSON ({error}); mend or move it") from error
        if not isinstance(config, Mapping):
            raise BadInput(f"{path}: not an object; mend or move it")
        configs[path.name.removesuffix(".config.json")] = config
    return configs


def config_tables(
    configs: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Mapping[str, Any]]
) -> list[Table]:
    """Each phase's configuration by dotted key; what differs from the defaults is said.

    defaults: phase -> the configuration with nothing set; a phase without one has no marks.
    """
    tables = []
    for phase, config in configs.items():
        usual = dict(_flat(defaults.get(phase, {})))
        rows, changed = [], 0
        for key, value in _flat(config):
            differs = bool(usual) and (key not in usual or usual[key] != value)
            changed += differs
            default = (Code(usual[key]) if key in usual else "new") if differs else ""
            default = default if usual else None  # unknown, so no column
            rows.append(Row(key, (Code(value), default)))
        note = f"{changed} of {len(rows)} values differ from the default." if usual else ""
        title = f"{phase}: {len(rows)} values"
        columns = ("value", "default, where it differs")
        table = filled(Table(f"config-{phase}", title, columns, tuple(rows), "key", note, True))
        tables += [table] if table else []
    return tables


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value as JSON) of every leaf."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False)
