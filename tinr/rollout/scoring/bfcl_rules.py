"""Decide whether the arguments of a call are accepted, as BFCL's checker does.

`accept` maps each parameter to a list of accepted values; "" in the list means that it may be
omitted. The document has each parameter's type. This module follows the official checker, even
where its rules are debatable. If the checker would raise an exception, the call is wrong.
Source: bfcl-eval 2026.3.23, eval_checker/ast_eval/ast_checker.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tinr.records import Accepted
from tinr.rollout.scoring.bfcl_values import WORDS, Language, text_of, value_of

KINDS: dict[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def accepts(
    arguments: Mapping[str, Any],
    accept: Accepted,
    parameters: Mapping[str, Any],
    language: Language = "python",
) -> bool:
    """Whether all arguments are accepted, and none is missing or extra.

    parameters: the document's JSON Schema of type object.
    """
    properties = parameters.get("properties", {})
    if any(name not in arguments for name in parameters.get("required", ())):
        return False
    if any(name not in arguments and "" not in accept[name] for name in accept):
        return False
    return all(
        name in properties
        and name in accept
        and _accepts(value, accept[name], properties[name], language)
        for name, value in arguments.items()
    )


def standard(text: str) -> str:
    """Normalise what BFCL ignores in a string: case, spaces, ,./-_*^ and the kind of quotes."""
    return re.sub(r"[ \,\.\/\-\_\*\^]", "", text).lower().replace("'", '"')


def kind_of(schema: Any) -> str:
    """Return the JSON type of a schema, the first of several; "" for any."""
    kind = schema.get("type", "") if isinstance(schema, Mapping) else ""
    kinds = kind if isinstance(kind, list) else [kind]
    return next((k for k in kinds if k != "null"), "")


def _accepts(value: Any, options: Sequence[Any], schema: Any, language: Language) -> bool:
    kind = kind_of(schema)
    items = kind_of(schema.get("items", {})) if kind == "array" else ""
    value_type = KINDS.get(kind, str)  # BFCL writes "any" for text
    item_type = KINDS.get(items)
    if language == "python":
        if value_type is float and type(value) is int:
            value = _as_float(value)
        return _fits(value, options, value_type, item_type)
    words = WORDS[language]
    return any(
        _fits(
            value_of(text_of(value, language, word, item_word), language, word, item_word),
            options,
            value_type,
            item_type,
        )
        for word in words.get(kind, ("any",))
        for item_word in words.get(items, ("any",))
    )


def _as_float(value: int) -> Any:
    try:
        return float(value)
    except OverflowError:
        return value


def _fits(value: Any, options: Sequence[Any], value_type: type, item_type: type | None) -> bool:
    """Whether a value is accepted. A type other than the schema's is right if `options` have it."""
    is_typed, is_variable = _type_match(value, options, value_type, item_type)
    if not is_typed:
        return False
    if is_variable:  # the value is the name of a variable: compare it exactly
        return value in options
    if value_type is dict:
        return any(_same_object(value, option) for option in options if option != "")
    if value_type is list and item_type is dict:
        return any(_same_objects(value, option) for option in options)
    if value_type is str:
        return standard(value) in [
            standard(option) for option in options if isinstance(option, str)
        ]
    if value_type is list:
        return any(_plain_list(value) == _plain_list(option) for option in options)
    return value in options


def _type_match(
    value: Any, options: Sequence[Any], value_type: type, item_type: type | None
) -> tuple[bool, bool]:
    """Return whether the type is right, and whether the accepted values have another type."""
    stated_type = next((type(option) for option in options if option != ""), None)
    if type(value) is value_type:
        is_variable = stated_type is not None and stated_type is not value_type
        if item_type is None:
            return True, is_variable
        for option in options:
            if type(option) is not list or all(
                _type_match(v, option, item_type, None)[0] for v in value
            ):
                return True, is_variable
        return False, is_variable
    return stated_type is not None and type(value) is stated_type, True


def _plain_list(value: Any) -> Any:
    """Normalise the strings of a list. "" among accepted lists means an empty list."""
    if not isinstance(value, list):
        return [] if value == "" else value
    return [standard(v) if isinstance(v, str) else v for v in value]


def _same_object(value: Any, accept: Any) -> bool:
    """Compare an object with its accepted values, key by key, one level deep."""
    if not isinstance(value, dict) or not isinstance(accept, dict):
        return False
    if not all(isinstance(options, list) for options in accept.values()):
        return False
    if any(key not in value and "" not in options for key, options in accept.items()):
        return False
    return all(key in accept and _is_listed(value[key], accept[key]) for key in value)


def _is_listed(value: Any, options: Sequence[Any]) -> bool:
    value = standard(value) if isinstance(value, str) else value
    return value in [standard(option) if isinstance(option, str) else option for option in options]


def _same_objects(value: Any, accept: Any) -> bool:
    if accept == "":
        return value == []
    return (
        isinstance(accept, list)
        and len(value) == len(accept)
        and all(map(_same_object, value, accept))
    )
