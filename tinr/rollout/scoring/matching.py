"""Strict and lenient matching of a reply's calls against a query's. Pure, no torch.

Strict is JSON-identical, in the reference's order. Lenient forgives what no tool would
mind: the order of parallel calls, 3 for 3.0 where a number is asked for, case and
punctuation of texts, and a default that is spelled out or left out. Where a query says
what else is accepted (`Query.accept`), lenient is BFCL's own verdict. What a model wrote
is never an error. A reference without arguments (`Query.states_arguments`) cannot be matched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tinr.records import Accepted, Call, Query, ToolDoc
from tinr.rollout.scoring.bfcl_rules import accepts, kind_of, standard
from tinr.rollout.scoring.bfcl_values import language_of


def strict_calls(given: Sequence[Call], query: Query) -> bool:
    """JSON-identical to the reference, call by call in its order: 1 is not 1.0, true not 1."""
    if query.any_call:
        return bool(given)
    return len(given) == len(query.calls) and all(
        g.name == e.name and identical(dict(g.arguments), dict(e.arguments))
        for g, e in zip(given, query.calls, strict=True)
    )


def lenient_calls(
    given: Sequence[Call],
    query: Query,
    documents: Mapping[str, ToolDoc],
    same: Mapping[str, str] | None = None,
) -> bool:
    """Whether each given call stands for one of the reference's, under the best matching.

    documents: by the names that the query's calls carry. same: name -> the name of its group
    of equivalent tools; with it, neither side has to be renamed before (`metrics.as_one`
    would put the document of another tool of the group in the place of the query's).
    """
    if query.any_call:
        return bool(given)
    if len(given) != len(query.calls):
        return False
    if not given:
        return True
    accept = query.accept or (None,) * len(query.calls)
    right = np.array(
        [
            [_stands_for(g, e, a, query.kind, documents.get(e.name), same or {}) for g in given]
            for e, a in zip(query.calls, accept, strict=True)
        ]
    )
    rows, columns = linear_sum_assignment(right, maximize=True)
    return bool(right[rows, columns].all())


def _stands_for(
    given: Call,
    expected: Call,
    accept: Accepted | None,
    kind: str,
    document: ToolDoc | None,
    same: Mapping[str, str],
) -> bool:
    names = (same.get(given.name, given.name), same.get(expected.name, expected.name))
    if names[0] != names[1]:
        return False
    schema = document.parameters if document else {}
    if accept is None or document is None:
        return alike(dict(given.arguments), dict(expected.arguments), schema)
    return accepts(given.arguments, accept, schema, language_of(kind))


def identical(given: Any, expected: Any) -> bool:
    """Equality of JSON values, types included; the order of an object's keys says nothing."""
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(
            identical(given[key], expected[key]) for key in expected
        )
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(identical, given, expected))
    return type(given) is type(expected) and given == expected


def alike(given: Any, expected: Any, schema: Any) -> bool:
    """Lenient equality of JSON values under a JSON Schema.

    Numbers by value, except that 3.0 is not an integer where the schema and the reference
    have one (as BFCL has it); texts as BFCL compares them; defaults count as left out.
    """
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(given, bool) or isinstance(expected, bool):
        return given is expected
    if isinstance(given, int | float) and isinstance(expected, int | float):
        whole = kind_of(schema) == "integer" and isinstance(expected, int)
        return given == expected and not (whole and isinstance(given, float))
    if isinstance(given, str) and isinstance(expected, str):
        return standard(given) == standard(expected)
    if isinstance(given, list) and isinstance(expected, list):
        items = schema.get("items")
        return len(given) == len(expected) and all(
            alike(g, e, items) for g, e in zip(given, expected, strict=True)
        )
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        return _same_members(given, expected, schema.get("properties") or {})
    return type(given) is type(expected) and given == expected


def _same_members(
    given: Mapping[str, Any], expected: Mapping[str, Any], properties: Mapping[str, Any]
) -> bool:
    """Each key has the same value on both sides, a missing one its default."""
    for key in given.keys() | expected.keys():
        schema = properties.get(key)
        schema = schema if isinstance(schema, Mapping) else {}
        if key in given and key in expected:
            if not alike(given[key], expected[key], schema):
                return False
        elif "default" not in schema or not alike(
            given.get(key, schema["default"]), expected.get(key, schema["default"]), schema
        ):
            return False
    return True
