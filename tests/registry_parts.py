"""What the registry tests share: small cards, publications, old folders."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry

ROOT = Path(__file__).parents[1]
A_DAY_AND_AN_HOUR = 90000  # seconds


def make_card(phase: str = "base", **changes: Any) -> Card:
    """A card as a phase hands it to `publish`."""
    given = {
        "base_model": "tiny",
        "base_hash": "b" * 64,
        "tokenizer_hash": "tok-1",
        "config": {"seed": 1},
        "seed": 1,
        "fingerprint": "f1",
    }
    return Card(phase=phase, **{**given, **changes})


def write_model(folder: Path) -> None:
    """Two files, one of them in a folder."""
    (folder / "model.bin").write_bytes(b"weights" * 100)
    (folder / "trainer").mkdir()
    (folder / "trainer" / "state.json").write_text("{}")


def moment(number: int) -> str:
    """The time of the n-th publication, n seconds after midnight."""
    return f"2025-01-31T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z"


def publish(registry: Registry, phase: str, number: int, parent: Card | None = None) -> Card:
    """A checkpoint published at the n-th second."""
    wanted = make_card(phase, created=moment(number), parent=parent.id if parent else None)
    return registry.publish(wanted, write_model)


def make_old(*folders: Path) -> None:
    """Lets folders and all in them look as if last written more than a day ago."""
    then = time.time() - A_DAY_AND_AN_HOUR
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (then, then))


@contextmanager
def quick_registry() -> Iterator[Registry]:
    """A registry for one example of a property; it does not wait for the disk."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
        yield Registry(folder)
