"""A query as its source states it, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A query as its source states it; a call's arguments may be None: not stated."""

    file: str
    pointer: str
    id: str
    messages: Sequence[Mapping[str, str]]  # the last one is the user's
    calls: Sequence[Mapping[str, Any]]  # name, arguments, turn
    accept: Sequence[Mapping[str, Any]] = ()  # accepted values for each parameter, per call
    candidates: Sequence[Any] = ()  # documents that stand beside the query
    flags: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    stated: bool = False  # whether the source gives the id; else it is made of the place


@dataclass(frozen=True)
class Place:
    """Where a row stands, and the reference answers that its file has elsewhere."""

    file: str
    pointer: str
    answers: Mapping[str, Any]

    @property
    def name(self) -> str:
        """An id for a query whose source gives none."""
        return f"{Path(self.file).stem}{self.pointer}".replace("/", "-")


def call(name: str, arguments: Any, turn: int = 0) -> dict[str, Any]:
    """A reference call; arguments None: not stated."""
    return {"name": name, "arguments": arguments, "turn": turn}
