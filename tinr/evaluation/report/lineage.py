"""The cards of the last checkpoint's lineage as tables."""

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
    """The cards from the base to the summary's last checkpoint; [] if there is no registry."""
    names = [at(summary, "phases", phase, "checkpoint") for phase in phases_of(summary)]
    registry = Registry(folder)
    registry_ids = set(registry.ids())
    names = [name for name in names if name in registry_ids]
    return registry.lineage(names[-1]) if names else []


def lineage_tables(cards: Sequence[Card]) -> list[Table]:
    """The facts of each checkpoint, and the packages and machine that made it."""
    columns = tuple(card.phase for card in cards)
    facts: dict[str, list[Cell]] = {
        "checkpoint": [Code(card.id) for card in cards],
        "parent": [Code(card.parent) if card.parent else None for card in cards],
        "published": [card.created[:16].replace("T", " ") + " UTC" for card in cards],
        "base model": [card.base_model for card in cards],
        "base": [_short_hash(card.base_hash) for card in cards],
        "catalogue": [_short_hash(card.catalogue_hash) for card in cards],
        "tokenizer": [_short_hash(card.tokenizer_hash) for card in cards],
        "git commit": [_short_hash(card.git_commit) for card in cards],
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
        machine[name.replace("_", " ")] = [_value_text(card.hardware.get(name)) for card in cards]
    tables = (
        Table("lineage", "Checkpoints", columns, _rows(facts), "", "Hashes are shortened."),
        Table("packages", "Packages and machine", columns, _rows(machine), folded=True),
    )
    return [table for table in map(filled, tables) if table]


def gate_tables(cards: Sequence[Card]) -> list[Table]:
    """The measured values and limits of the gates, one column per phase."""
    names = dict.fromkeys(name for card in cards for name in card.gates)
    rows = [
        Row(name.replace("_", " "), tuple(cell(card.gates.get(name)) for card in cards), group)
        for group, cell in (("measured", _measurement), ("minimum", _limit))
        for name in names
    ]
    columns = tuple(card.phase for card in cards)
    note = "Percent of the catalogue's tools; a measure without a minimum is not gated."
    table = filled(Table("gates", "Gates", columns, tuple(rows), "gate", note))
    return [table] if table else []


def _measurement(gate: Any) -> Rate | None:
    parts = [at(gate, key) for key in ("value", "n", "low", "high")]
    return Rate(*parts) if is_finite(parts[0]) else None


def _limit(gate: Any) -> Rate | None:
    limit = at(gate, "limit")
    return Rate(limit, 0, None, None) if is_finite(limit) else None


def _rows(facts: Mapping[str, Sequence[Cell]]) -> tuple[Row, ...]:
    return tuple(Row(name, tuple(cells)) for name, cells in facts.items())


def _short_hash(text: str | None) -> Code | None:
    """The beginning of a hash, with a note if the commit has local changes."""
    if not text:
        return None
    suffix = " with changes" if text.endswith("-dirty") else ""
    return Code(text[:SHORT] + suffix, text)


def _value_text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def read_configs(logs: Path, cards: Sequence[Card]) -> dict[str, Mapping[str, Any]]:
    """Phase -> resolved configuration: from its card, else from `PHASE.config.json` in the logs."""
    configs = _logged_configs(logs) | {card.phase: card.config for card in cards}
    return {phase: configs[phase] for phase in in_order(configs)}


def of_other_runs(logs: Path, cards: Sequence[Card]) -> set[str]:
    """Phases whose logs come from a run with other settings than the card's.

    A reused checkpoint writes no log, so the log of an earlier run stays.
    """
    logged_configs = _logged_configs(logs)

    def run_settings(config: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key not in MACHINE_KEYS}

    return {
        card.phase
        for card in cards
        if card.phase in logged_configs
        and card.config
        and run_settings(logged_configs[card.phase]) != run_settings(card.config)
    }


def _logged_configs(logs: Path) -> dict[str, Mapping[str, Any]]:
    configs: dict[str, Mapping[str, Any]] = {}
    for path in sorted(logs.glob("*.config.json")):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path}: invalid JSON ({error}); repair or move it") from error
        if not isinstance(config, Mapping):
            raise BadInput(f"{path}: not an object; repair or move it")
        configs[path.name.removesuffix(".config.json")] = config
    return configs


def config_tables(
    configs: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Mapping[str, Any]]
) -> list[Table]:
    """Each phase's configuration by dotted key, with the default of each changed value.

    defaults: phase -> default configuration; a phase without one has no default column.
    """
    tables = []
    for phase, config in configs.items():
        default_values = dict(_leaves(defaults.get(phase, {})))
        rows, change_count = [], 0
        for key, value in _leaves(config):
            is_changed = bool(default_values) and (
                key not in default_values or default_values[key] != value
            )
            change_count += is_changed
            default = (
                (Code(default_values[key]) if key in default_values else "new")
                if is_changed
                else ""
            )
            default = default if default_values else None  # unknown: no column
            rows.append(Row(key, (Code(value), default)))
        note = (
            f"{change_count} of {len(rows)} values differ from the default."
            if default_values
            else ""
        )
        title = f"{phase}: {len(rows)} values"
        columns = ("value", "default, if different")
        table = filled(Table(f"config-{phase}", title, columns, tuple(rows), "key", note, True))
        tables += [table] if table else []
    return tables


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value as JSON) of every leaf."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False)
