"""Align the calls of a reply with those of the reference, and find their differences.

Calls of the same tool are aligned first, then those with the fewest wrong parameters; ties go to
the earlier calls. Correcting one difference that an alignment finds does not change the alignment,
so a judge that reads it never punishes a correction.
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
    """A reference call with all accepted alternatives and the texts that were visible before it."""

    call: Call
    document: ToolDoc | None
    accept: Accepted | None  # accepted values; None: only the call itself, with or without defaults
    kind: str  # of the query; tells how values are written
    names_only: bool  # the reference states no arguments
    known: tuple[str, ...]  # texts before the call: messages and observations

    @property
    def listed(self) -> Accepted | None:
        """The accepted values, if the query states them and the tool has a document with types."""
        return self.accept if self.document else None

    @property
    def values(self) -> dict[str, Sequence[Any]]:
        """Parameter -> its accepted values, the most likely first."""
        if self.listed is not None:
            return {key: [v for v in values if v != ""] for key, values in self.listed.items()}
        return {key: [value] for key, value in self.call.arguments.items()}

    def schema(self, key: str) -> Mapping[str, Any]:
        """The parameter's schema; empty if the document has none."""
        schema = self._properties.get(key)
        return schema if isinstance(schema, Mapping) else {}

    @property
    def _properties(self) -> Mapping[str, Any]:
        return self.document.parameters.get("properties", {}) if self.document else {}

    def takes(self, key: str, value: Any) -> bool:
        """Whether a value is right for a parameter of the reference."""
        if self.listed is not None:
            schema = {"properties": {key: self._properties[key]} if key in self._properties else {}}
            return accepts({key: value}, {key: self.listed[key]}, schema, language_of(self.kind))
        return alike(value, self.call.arguments[key], self.schema(key))

    def optional(self, key: str, value: Any = None) -> bool:
        """Whether a parameter may be left out, or may be present with this value without effect."""
        if self.listed is not None:
            required = self.document.parameters.get("required", ()) if self.document else ()
            return "" in self.listed.get(key, ()) and key not in required
        schema = self.schema(key)
        value = self.call.arguments.get(key, value)
        return "default" in schema and alike(value, schema["default"], schema)


@dataclass(frozen=True)
class Facing:
    """A reference call and the call aligned with it (None: missing)."""

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
        """Parameter of the reference -> the wrong key that has its right value."""
        values = {key: self.given.arguments[key] for key in self._surplus} if self.given else {}
        wrong_keys: dict[str, str] = {}
        for key in self._lacking:
            wrong_key = next(
                (k for k, value in values.items() if self.wanted.takes(key, value)), None
            )
            if wrong_key is not None:
                wrong_keys[key] = wrong_key
                del values[wrong_key]
        return wrong_keys

    @property
    def missing(self) -> list[str]:
        """Parameters of the reference that the call lacks, under any key."""
        return [key for key in self._lacking if key not in self.renamed]

    @property
    def extra(self) -> list[str]:
        """Parameters of the call that the reference does not need."""
        return [key for key in self._surplus if key not in self.renamed.values()]

    @property
    def distance(self) -> int:
        """The number of differing parameters; another tool outweighs any number of them."""
        mistakes = len(self._lacking) + len(self._surplus) + list(self.shared.values()).count(False)
        return mistakes + (0 if self.right_name else ANOTHER_TOOL)

    @cached_property
    def _lacking(self) -> list[str]:
        if self.wanted.names_only:
            return []
        arguments = self.given.arguments if self.given else {}
        return [k for k in self.wanted.values if k not in arguments and not self.wanted.optional(k)]

    @cached_property
    def _surplus(self) -> list[str]:
        if self.given is None or self.wanted.names_only:
            return []
        values, arguments = self.wanted.values, self.given.arguments
        return [
            k for k, v in arguments.items() if k not in values and not self.wanted.optional(k, v)
        ]


@dataclass(frozen=True)
class Alignment:
    """Every reference call with its aligned call, and the extra calls."""

    facing: tuple[Facing, ...]
    extra: tuple[Call, ...]

    @property
    def size(self) -> int:
        """The number of calls on the longer side."""
        return len(self.facing) + len(self.extra)


def align(calls: Sequence[Call], query: Query, catalogue: Catalogue) -> Alignment:
    """Align a reply's calls with a query's; as many calls as possible are paired."""
    references = wanted_calls(query, catalogue)
    distances = np.array([[Facing(w, g).distance for g in calls] for w in references])
    rows = _first_optimum(distances.reshape(len(references), len(calls)))
    facings = (Facing(w, calls[rows[n]] if n in rows else None) for n, w in enumerate(references))
    extra = (call for number, call in enumerate(calls) if number not in rows.values())
    return Alignment(tuple(facings), tuple(extra))


def wanted_calls(query: Query, catalogue: Catalogue) -> list[Wanted]:
    """The reference calls in order, each with the texts before its turn."""
    messages = (query.text, *(message.content for message in query.history))
    accept = iter(query.accept or (None,) * len(query.calls))
    references: list[Wanted] = []
    for turn in query.turns:
        texts = (*messages, *query.observations[: len(references)])
        references += [
            Wanted(
                call,
                catalogue.by_name.get(call.name),
                next(accept),
                query.kind,
                not query.states_arguments,
                texts,
            )
            for call in turn
        ]
    return references


def _first_optimum(distances: np.ndarray) -> dict[int, int]:
    """Row -> column of the cheapest matching; ties go to the first in the order of columns.

    distances (W, G). Only the order of columns breaks ties. A correction that makes the chosen
    matching cheaper therefore never breaks a tie differently.
    """
    least_cost = _cost(distances)
    matching: dict[int, int] = {}
    rows, columns, total = list(range(len(distances))), list(range(distances.shape[1])), 0
    while rows and columns:
        row, next_rows = rows[0], rows[1:]
        for column in columns:
            other_columns = [c for c in columns if c != column]
            cost = total + distances[row, column]
            if cost + _cost(distances[np.ix_(next_rows, other_columns)]) == least_cost:
                matching[row], columns, total = column, other_columns, cost
                break
        rows = next_rows
    return matching


def _cost(distances: np.ndarray) -> int:
    rows, columns = linear_sum_assignment(distances)
    return int(distances[rows, columns].sum())
