"""Which call of a reply stands for which of the reference, and what is wrong within the two.

Calls of one tool are aligned first, then those with the fewest wrong parameters; among equals
the earlier ones. Mending one of the things that an alignment finds wrong does not change it,
which is why a judge that reads it never punishes a correction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tinr.catalogue.load import Catalogue
from tinr.records import Accepted, Call, Query, ToolDoc
from tinr.rollout.scoring.bfcl_rules import accepts
from tinr.rollout.scoring.bfcl_values import language_of
from tinr.rollout.scoring.matching import alike

ANOTHER_TOOL = 10**6  # more than any number of wrong parameters


@dataclass(frozen=True)
class Wanted:
    """One reference call with all that is right in its place, and what a reply could know."""

    call: Call
    document: ToolDoc | None
    accept: Accepted | None  # what else is right; None: the call itself, defaults left out or not
    kind: str  # of the query: how values are written
    names_only: bool  # the reference states no arguments
    known: tuple[str, ...]  # texts that stand before the call: what was said, and observed

    @property
    def listed(self) -> Accepted | None:
        """What is accepted, where that and the types it is read by are stated."""
        return self.accept if self.document else None

    @property
    def values(self) -> dict[str, Sequence[Any]]:
        """Parameter -> its accepted values, the likeliest first."""
        if self.listed is not None:
            return {key: [v for v in values if v != ""] for key, values in self.listed.items()}
        return {key: [value] for key, value in self.call.arguments.items()}

    def schema(self, key: str) -> Mapping[str, Any]:
        """The parameter's schema; empty where the document has none."""
        schema = self._properties.get(key)
        return schema if isinstance(schema, Mapping) else {}

    @property
    def _properties(self) -> Mapping[str, Any]:
        return self.document.parameters.get("properties", {}) if self.document else {}

    def takes(self, key: str, value: Any) -> bool:
        """Whether a value is right for a parameter of the reference."""
        if self.listed is not None:
            one = {"properties": {key: self._properties[key]} if key in self._properties else {}}
            return accepts({key: value}, {key: self.listed[key]}, one, language_of(self.kind))
        return alike(value, self.call.arguments[key], self.schema(key))

    def optional(self, key: str, value: Any = None) -> bool:
        """Whether a parameter may be left out, or, with its value, be there for nothing."""
        if self.listed is not None:
            required = self.document.parameters.get("required", ()) if self.document else ()
            return "" in self.listed.get(key, ()) and key not in required
        schema = self.schema(key)
        value = self.call.arguments.get(key, value)
        return "default" in schema and alike(value, schema["default"], schema)


@dataclass(frozen=True)
class Facing:
    """A reference call and the call that stands for it (None: missing)."""

    wanted: Wanted
    given: Call | None

    @property
    def right_name(self) -> bool:
        """Whether the tool is the right one."""
        return self.given is not None and self.given.name == self.wanted.call.name

    @cached_property
    def shared(self) -> dict[str, bool]:
        """Parameter that both sides have -> whether its value is right."""
        if self.given is None or self.wanted.names_only:
            return {}
        arguments, values = self.given.arguments, self.wanted.values
        return {k: self.wanted.takes(k, arguments[k]) for k in values if k in arguments}

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Parameter of the reference -> the wrong key under which its right value stands."""
        free = {key: self.given.arguments[key] for key in self._surplus} if self.given else {}
        found: dict[str, str] = {}
        for key in self._lacking:
            right = next((k for k, value in free.items() if self.wanted.takes(key, value)), None)
            if right is not None:
                found[key] = right
                del free[right]
        return found

    @property
    def missing(self) -> list[str]:
        """Parameters of the reference that stand nowhere."""
        return [key for key in self._lacking if key not in self.renamed]

    @property
    def extra(self) -> list[str]:
        """Parameters given for nothing."""
        return [key for key in self._surplus if key not in self.renamed.values()]

    @property
    def distance(self) -> int:
        """How many parameters differ, another tool above all."""
        wrong = len(self._lacking) + len(self._surplus) + list(self.shared.values()).count(False)
        return wrong + (0 if self.right_name else ANOTHER_TOOL)

    @cached_property
    def _lacking(self) -> list[str]:
        if self.wanted.names_only:
            return []
        given = self.given.arguments if self.given else {}
        return [k for k in self.wanted.values if k not in given and not self.wanted.optional(k)]

    @cached_property
    def _surplus(self) -> list[str]:
        if self.given is None or self.wanted.names_only:
            return []
        values, given = self.wanted.values, self.given.arguments
        return [k for k, v in given.items() if k not in values and not self.wanted.optional(k, v)]


@dataclass(frozen=True)
class Alignment:
    """Every reference call with what stands for it, and the calls that stand for none."""

    facing: tuple[Facing, ...]
    extra: tuple[Call, ...]

    @property
    def size(self) -> int:
        """Calls of the longer side."""
        return len(self.facing) + len(self.extra)


def align(given: Sequence[Call], query: Query, catalogue: Catalogue) -> Alignment:
    """The alignment of a reply's calls with a query's; as many are paired as can be."""
    wanted = wanted_calls(query, catalogue)
    distances = np.array([[Facing(w, g).distance for g in given] for w in wanted])
    rows = _first_optimum(distances.reshape(len(wanted), len(given)))
    facing = (Facing(w, given[rows[n]] if n in rows else None) for n, w in enumerate(wanted))
    extra = (call for number, call in enumerate(given) if number not in rows.values())
    return Alignment(tuple(facing), tuple(extra))


def wanted_calls(query: Query, catalogue: Catalogue) -> list[Wanted]:
    """The reference calls in order, each with what stood before its turn."""
    said = (query.text, *(message.content for message in query.history))
    accept = iter(query.accept or (None,) * len(query.calls))
    found: list[Wanted] = []
    for turn in query.turns:
        known = (*said, *query.observations[: len(found)])
        found += [
            Wanted(
                call,
                catalogue.by_name.get(call.name),
                next(accept),
                query.kind,
                not query.states_arguments,
                known,
            )
            for call in turn
        ]
    return found


def _first_optimum(distances: np.ndarray) -> dict[int, int]:
    """Row -> column of the cheapest matching, of several the first by its columns in order.

    distances (W, G). The order of columns alone decides, so that a tie is not decided
    otherwise when a correction has made the chosen matching cheaper.
    """
    least = _cost(distances)
    found: dict[int, int] = {}
    rows, columns, spent = list(range(len(distances))), list(range(distances.shape[1])), 0
    while rows and columns:
        row, rest = rows[0], rows[1:]
        for column in columns:
            others = [c for c in columns if c != column]
            cost = spent + distances[row, column]
            if cost + _cost(distances[np.ix_(rest, others)]) == least:
                found[row], columns, spent = column, others, cost
                break
        rows = rest
    return found


def _cost(distances: np.ndarray) -> int:
    rows, columns = linear_sum_assignment(distances)
    return int(distances[rows, columns].sum())
