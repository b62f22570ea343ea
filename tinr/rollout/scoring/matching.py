"""Strict and lenient matching of a reply's calls against a query's. Pure, no torch.

Strict matching requires identical JSON in the reference's order. Lenient matching ignores what
makes no difference to a tool: the order of parallel calls, 3 for 3.0 where the schema has a
number, case and punctuation of texts, and whether a default is written out. If a query lists
accepted values (`Query.accept`), lenient matching follows BFCL. No model output raises an
exception. A reference without arguments (`Query.states_arguments`) cannot be matched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tinr.records import Accepted, Call, Query, ToolDoc
from tinr.rollout.scoring.bfcl_rules import accepts, kind_of, standard
from tinr.rollout.scoring.bfcl_values import language_of


def strict_calls(calls: Sequence[Call], query: Query) -> bool:
    """Whether calls equal the reference's as JSON, in its order: 1 is not 1.0, true is not 1."""
    if query.any_call:
        return bool(calls)
    return len(calls) == len(query.calls) and all(
        call.name == reference.name and identical(dict(call.arguments), dict(reference.arguments))
        for call, reference in zip(calls, query.calls, strict=True)
    )


def lenient_calls(
    calls: Sequence[Call],
    query: Query,
    documents: Mapping[str, ToolDoc],
    same: Mapping[str, str] | None = None,
) -> bool:
    """Whether each call matches one of the reference's, under the best one-to-one matching.

    documents: name -> document, for the query's calls. same: name -> the name of its group of
    equivalent tools; with it, neither side needs to be renamed first (`metrics.as_one` would
    replace the query's document with that of another tool of the group).
    """
    if query.any_call:
        return bool(calls)
    if len(calls) != len(query.calls):
        return False
    if not calls:
        return True
    accept = query.accept or (None,) * len(query.calls)
    fits = np.array(
        [
            [
                _stands_for(
                    call, reference, options, query.kind, documents.get(reference.name), same or {}
                )
                for call in calls
            ]
            for reference, options in zip(query.calls, accept, strict=True)
        ]
    )
    rows, columns = linear_sum_assignment(fits, maximize=True)
    return bool(fits[rows, columns].all())


def _stands_for(
    call: Call,
    reference: Call,
    accept: Accepted | None,
    kind: str,
    document: ToolDoc | None,
    same: Mapping[str, str],
) -> bool:
    names = (same.get(call.name, call.name), same.get(reference.name, reference.name))
    if names[0] != names[1]:
        return False
    schema = document.parameters if document else {}
    if accept is None or document is None:
        return alike(dict(call.arguments), dict(reference.arguments), schema)
    return accepts(call.arguments, accept, schema, language_of(kind))


def identical(value: Any, reference: Any) -> bool:
    """Compare JSON values including their types. The order of an object's keys is ignored."""
    if isinstance(value, dict) and isinstance(reference, dict):
        return value.keys() == reference.keys() and all(
            identical(value[key], reference[key]) for key in reference
        )
    if isinstance(value, list) and isinstance(reference, list):
        return len(value) == len(reference) and all(map(identical, value, reference))
    return type(value) is type(reference) and value == reference


def alike(value: Any, reference: Any, schema: Any) -> bool:
    """Compare JSON values leniently under a JSON Schema.

    Numbers are compared by value, except that 3.0 is not an integer if schema and reference have
    one (as in BFCL). Text is compared as in BFCL. An argument with its default counts as omitted.
    """
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, bool) or isinstance(reference, bool):
        return value is reference
    if isinstance(value, int | float) and isinstance(reference, int | float):
        is_integer = kind_of(schema) == "integer" and isinstance(reference, int)
        return value == reference and not (is_integer and isinstance(value, float))
    if isinstance(value, str) and isinstance(reference, str):
        return standard(value) == standard(reference)
    if isinstance(value, list) and isinstance(reference, list):
        items = schema.get("items")
        return len(value) == len(reference) and all(
            alike(item, reference_item, items)
            for item, reference_item in zip(value, reference, strict=True)
        )
    if isinstance(value, Mapping) and isinstance(reference, Mapping):
        return _same_members(value, reference, schema.get("properties") or {})
    return type(value) is type(reference) and value == reference


def _same_members(
    values: Mapping[str, Any], references: Mapping[str, Any], properties: Mapping[str, Any]
) -> bool:
    """Whether each key has the same value on both sides; a missing key has its default."""
    for key in values.keys() | references.keys():
        schema = properties.get(key)
        schema = schema if isinstance(schema, Mapping) else {}
        if key in values and key in references:
            if not alike(values[key], references[key], schema):
                return False
        elif "default" not in schema or not alike(
            values.get(key, schema["default"]), references.get(key, schema["default"]), schema
        ):
            return False
    return True
