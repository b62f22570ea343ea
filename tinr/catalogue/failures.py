"""Failing calls: why a document rejects arguments, and synthetic failures for training."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import jsonschema
from referencing import Registry

from tinr.catalogue.words import random_word
from tinr.records import Call, ToolDoc

REFUSAL_CHARACTERS = 200  # maximum length of a reason
REASONS = (  # why a correct call fails; {name} and {value} come from one of its arguments
    "{name}: {value} is greater than the maximum of {bound}",
    "{name}: {value} is less than the minimum of {bound}",
    "{name}: {value} is not known",
    "ValueError: {value} is no {name} of this kind",
    "ValueError: the {name} must not be {value}",
    "KeyError: {value}",
    "nothing was found for {value}",
    "HTTP 404: no {name} {value}",
    "HTTP 500: internal error",
    "HTTP 429: too many requests, wait {bound} seconds",
    "the tool took more than {bound} seconds",
    "the service is not available",
    "permission denied",
)


def misfit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Return why arguments do not fit a document's parameters; None if they fit. Never raises."""
    is_composed = {"$ref", "allOf", "anyOf", "oneOf"} & set(schema)
    key = "unevaluatedProperties" if is_composed else "additionalProperties"
    closed_schema = {key: False, **schema}
    try:
        # an empty registry fetches no remote schemas
        validator = jsonschema.Draft202012Validator(closed_schema, registry=Registry())
        for error in validator.iter_errors(dict(arguments)):
            path = "/".join(map(str, error.absolute_path))
            return f"{path}: {error.message}" if path else str(error.message)
    except Exception as error:  # the checker itself failed: nesting too deep, number too large
        return f"{type(error).__name__}: {error}"
    if any(isinstance(v, float) and not math.isfinite(v) for v in arguments.values()):
        return "a number is not finite"
    return None


def refusal(message: str) -> str:
    """Return the observation of a failed call: `{"error": message}`, with the message cut."""
    return json.dumps({"error": message[:REFUSAL_CHARACTERS]}, ensure_ascii=False)


def refusal_reason(observation: str) -> str | None:
    """Return the reason if an observation is `{"error": text}`; None if it is a result."""
    try:
        value = json.loads(observation)
    except (ValueError, RecursionError):
        return None
    reason = value.get("error") if isinstance(value, dict) and len(value) == 1 else None
    return reason if isinstance(reason, str) else None


def spoiled(
    call: Call, doc: ToolDoc, rng: Random, words: Sequence[str] = ()
) -> tuple[Call, str] | None:
    """Corrupt one argument of a call so that the document rejects it.

    Returns the call and the environment's answer. Returns None if the document accepts every
    corruption, or rejects the call itself: the corrected call would be rejected for the same
    reason. The corruptions are errors that models make: a word outside the fixed values, a value
    out of bounds or of another type, a missing required argument, a misspelled or invented
    parameter. words: words of the query, used in place of fixed values.
    """
    if misfit(call.arguments, doc.parameters) is not None:
        return None
    specs = doc.parameters.get("properties", {})
    for arguments in _spoilings(dict(call.arguments), specs, words, rng):
        reason = misfit(arguments, doc.parameters)
        if reason is not None:
            return Call(call.name, arguments), refusal(reason)
    return None


def _spoilings(
    arguments: Mapping[str, Any], specs: Mapping[str, Any], words: Sequence[str], rng: Random
) -> Iterator[dict[str, Any]]:
    candidates: list[dict[str, Any]] = [{**arguments, random_word(rng): random_word(rng)}]
    if arguments:
        name, misspelled = rng.choice([*arguments]), rng.choice([*arguments])
        candidates.append({key: value for key, value in arguments.items() if key != name})
        candidates.append(
            {f"{key}s" if key == misspelled else key: value for key, value in arguments.items()}
        )
    for name, value in arguments.items():
        wrong_values = _wrong_values(name, value, specs.get(name), words, rng)
        candidates += [{**arguments, name: wrong} for wrong in wrong_values]
    yield from rng.sample(candidates, len(candidates))


def _wrong_values(
    name: str, value: Any, spec: Any, words: Sequence[str], rng: Random
) -> Iterator[Any]:
    if isinstance(spec, Mapping) and {"enum", "const"} & set(spec):
        yield rng.choice([*words] or [name, random_word(rng)])
    for bound, sign in (("maximum", 1), ("minimum", -1)):
        if isinstance(spec, Mapping) and isinstance(spec.get(bound), int | float):
            yield spec[bound] + sign * rng.randint(1, 99)
    if isinstance(value, list):
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, int | float):
        yield str(value)
    else:
        yield [value]


def invented_reason(call: Call, rng: Random) -> str:
    """Draw a reason why a correct call fails: its tool rejects a value or does not answer."""
    name, value = rng.choice([*call.arguments.items()] or [("request", "it")])
    text = json.dumps(value, ensure_ascii=False) if rng.random() < 0.5 else str(value)
    return rng.choice(REASONS).format(name=name, value=text, bound=rng.randint(1, 100))
