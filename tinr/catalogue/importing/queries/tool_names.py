"""The tools that a chat log may call, found by any usual spelling of their names."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.names import clean_name, words_of
from tinr.catalogue.importing.problems import Found
from tinr.catalogue.importing.read import Data

COMPOUND = re.compile(r"[_\d./:-]|\s|[a-z][A-Z]")  # never part of an ordinary word
PREFIX = re.compile(r"^(?:(.*)[./:]|(mcp)__.*?__)")  # functions.NAME, api.NAME, mcp__server__NAME
# prefixes of calls; after any other prefix, an ordinary word is a method of something else
OWN = {"functions", "default_api", "tools", "tool", "api", "client", "agent", "mcp"}


class ToolNames:
    """Spelling of a tool's name -> the names of its parameters."""

    def __init__(
        self, tools: Iterable[tuple[str, Iterable[str]]], known: "ToolNames | None" = None
    ):
        self._known = known
        self._parameters: dict[str, frozenset[str]] = {}
        for name, parameters in tools:
            key = key_of(name)
            self._parameters[key] = self._parameters.get(key, frozenset()) | set(parameters)

    def with_candidates(self, candidates: Any) -> "ToolNames":
        """Add the tools that come with a row, as documents in any format."""
        tools = [
            (tool.name, tool.parameters.get("properties", {})) for tool in documents(candidates)
        ]
        return ToolNames(tools, self) if tools else self

    def parameters(self, spelling: str) -> frozenset[str] | None:
        """Return the parameters of the tool that a spelling may mean; None if it means none."""
        return next((found for name in spellings(spelling) for found in self._exact(name)), None)

    def _exact(self, name: str) -> Iterator[frozenset[str]]:
        found = self._parameters.get(key_of(name))
        if found is not None:
            yield found
        elif self._known is not None:
            yield from self._known._exact(name)

    def __contains__(self, spelling: str) -> bool:
        return self.parameters(spelling) is not None


def spellings(name: str) -> list[str]:
    """Return a name as written and, if it may have an API's prefix, the name without it."""
    prefix = PREFIX.match(name)
    bare = name[prefix.end() :] if prefix else ""
    if not prefix or not bare:
        return [name]
    owner = re.split(r"[./:]", prefix[1] or prefix[2] or "")[-1]
    return [name, bare] if COMPOUND.search(bare.strip("_")) or owner in OWN else [name]


def is_compound(name: str) -> bool:
    """Whether a name cannot be an ordinary word of a text: it has several words or a digit."""
    return bool(COMPOUND.search((PREFIX.sub("", name) or name).strip("_")))


def documents(candidates: Any) -> tuple[Found, ...]:
    """Return the tool documents that come with a row; () for anything else."""
    return _documents(json.dumps(candidates, sort_keys=True)) if candidates else ()


@lru_cache(maxsize=4096)
def _documents(text: str) -> tuple[Found, ...]:
    return tuple(item for item in auto(Data("", "", json.loads(text))) if isinstance(item, Found))


@lru_cache(maxsize=65_536)
def key_of(name: str) -> str:
    """Return a key that all spellings of a name share: `Get Weather`, `getWeather`."""
    return words_of(clean_name(name)).casefold()


def properties_of(line: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of a document's parameters."""
    parameters = line.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    return properties if isinstance(properties, Mapping) else ()
