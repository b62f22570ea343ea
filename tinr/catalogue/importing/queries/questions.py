"""A query as its source states it, and its place in the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.queries.tool_names import ToolNames


@dataclass(frozen=True)
class Asked:
    """A query as its source states it; a call's arguments are None if it states none."""

    file: str
    pointer: str
    id: str
    messages: Sequence[Mapping[str, str]]  # the last one is the user's
    calls: Sequence[Mapping[str, Any]]  # name, arguments, turn
    accept: Sequence[Mapping[str, Any]] = ()  # accepted values for each parameter, per call
    candidates: Sequence[Any] = ()  # tool documents that come with the query
    flags: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    stated: bool = False  # whether the id is the source's own; else it is derived from the place


@dataclass(frozen=True)
class Place:
    """The place of a row, the reference answers from another file, and the known tools."""

    file: str
    pointer: str
    answers: Mapping[str, Any]
    names: ToolNames

    @property
    def name(self) -> str:
        """Return an id for a query whose source has no id."""
        return f"{Path(self.file).stem}{self.pointer}".replace("/", "-")


def call(name: str, arguments: Any, turn: int = 0) -> dict[str, Any]:
    """Return a reference call; arguments are None if the source does not state them."""
    return {"name": name, "arguments": arguments, "turn": turn}
