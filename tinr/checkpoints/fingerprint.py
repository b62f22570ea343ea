"""What determines a checkpoint: hashes of its settings, its data and its vocabulary."""

import hashlib
import json
from pathlib import Path
from typing import Any

import tinr
from tinr.config import MACHINE_KEYS, as_dict


def fingerprint(*parts: Any) -> str:
    """sha256 of what determines a checkpoint, the version of this code included."""
    text = json.dumps([tinr.__version__, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def settings(config: Any) -> dict[str, Any]:
    """What of a configuration determines a checkpoint, as plain data."""
    kept = {k: v for k, v in as_dict(config).items() if k not in MACHINE_KEYS}
    return {
        key: {k: v for k, v in value.items() if k != "checkpoint_steps"}
        if isinstance(value, dict)
        else value
        for key, value in kept.items()
    }


def contents(config: Any) -> list[str]:
    """sha256 of the file of queries that a configuration names, if it names one."""
    path = Path(getattr(config, "queries", ""))
    return [hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else []


def tokenizer_hash(tokenizer: Any) -> str:
    """sha256 of the vocabulary with its ids."""
    text = json.dumps(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]))
    return hashlib.sha256(text.encode()).hexdigest()
