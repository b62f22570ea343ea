"""Hash what determines a checkpoint: its settings, its data and its vocabulary."""

import hashlib
import json
from pathlib import Path
from typing import Any

import tinr
from tinr.config import MACHINE_KEYS, as_dict


def fingerprint(*parts: Any) -> str:
    """Return the sha256 of what determines a checkpoint, including the version of this code."""
    text = json.dumps([tinr.__version__, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def settings(config: Any) -> dict[str, Any]:
    """Return the settings that determine a checkpoint, as plain data."""
    values = {
        name: setting for name, setting in as_dict(config).items() if name not in MACHINE_KEYS
    }
    return {
        key: {name: setting for name, setting in value.items() if name != "checkpoint_steps"}
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def contents(config: Any) -> list[str]:
    """Return the sha256 of each file of queries or executors that a configuration names."""
    names = ("queries", "own_queries", "executors")
    paths = [Path(getattr(config, name, "")) for name in names]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()]


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the sha256 of the vocabulary with its ids."""
    text = json.dumps(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]))
    return hashlib.sha256(text.encode()).hexdigest()
