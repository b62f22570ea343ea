"""The output of importers: tools as their source declares them, and problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """A tool as a source declares it; `schema` is its parameters verbatim."""

    file: str
    pointer: str  # JSON pointer into the file
    name: str
    description: str
    schema: Any
    parameters: Mapping[str, Any]  # JSON Schema of type object
    namespace: str = ""  # the source's own name: a server, an API or a file
    returns: str = ""
    domain: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)  # kept in the document's line


@dataclass(frozen=True)
class Problem:
    """Something in a source that was not imported ("lost") or was changed on import ("note")."""

    file: str
    pointer: str
    reason: str
    kind: str = "lost"
    fault: str = ""  # why a tool's document rejects a reference call

    @property
    def place(self) -> str:
        """The file and the pointer into it."""
        return f"{self.file}#{self.pointer}" if self.pointer else self.file

    def __str__(self) -> str:
        """Return the problem as one line; unprintable characters are replaced."""
        text = f"{self.place}: {self.reason}"
        return "".join(character if character.isprintable() else "\ufffd" for character in text)


Item = Found | Problem


def split(items: Iterator[Item] | Sequence[Item]) -> tuple[list[Found], list[Problem]]:
    """Separate tools and problems."""
    tools: list[Found] = []
    problems: list[Problem] = []
    for item in items:
        if isinstance(item, Found):
            tools.append(item)
        else:
            problems.append(item)
    return tools, problems


def step(pointer: str, *parts: str | int) -> str:
    """Extend a JSON pointer (RFC 6901) by `parts`."""
    segments = (str(segment).replace("~", "~0").replace("/", "~1") for segment in parts)
    return "/".join([pointer, *segments])
