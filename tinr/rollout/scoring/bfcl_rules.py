"""Whether the arguments of a call are among the accepted ones, as BFCL's checker decides.

`accept` holds a list of accepted values for each parameter; "" among them says that it may
be left out. The document gives each parameter's type. What the official checker does is
done here as well, also where one would do otherwise; where it would fail with an exception,
the call is wrong. Source: bfcl-eval 2026.3.23, eval_checker/ast_eval/ast_checker.py.
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
    """Whether all arguments are accepted, none is missing and none is too many.

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
    """A string without what BFCL looks past: case, blanks, ,./-_*^ and the kind of quotes."""
    return re.sub(r"[ \,\.\/\-\_\*\^]", "", text).lower().replace("'", '"')


def kind_of(schema: Any) -> str:
    """The JSON type of a schema, the first one where there are several; "" for any."""
    kind = schema.get("type", "") if isinstance(schema, Mapping) else ""
    kinds = kind if isinstance(kind, list) else [kind]
    return next((k for k in kinds if k != "null"), "")


def _accepts(value: Any, options: Sequence[Any], schema: Any, language: Language) -> bool:
    kind = kind_of(schema)
    items = kind_of(schema.get("items", {})) if kind == "array" else ""
    expected = KINDS.get(kind, str)  # BFCL writes "any" where text is meant
    nested = KINDS.get(items)
    if language == "python":
        if expected is float and type(value) is int:
            value = _as_float(value)
        return _fits(value, options, expected, nested)
    words = WORDS[language]
    return any(
        _fits(value_of(text_of(value, language, w, i), language, w, i), options, expected, nested)
        for w in words.get(kind, ("any",))
        for i in words.get(items, ("any",))
    )


def _as_float(value: int) -> Any:
    try:
        return float(value)
    except OverflowError:
        return value


def _fits(value: Any, options: Sequence[Any], expected: type, nested: type | None) -> bool:
    """A value against its accepted ones; another type is right where they have it, too."""
    valid, variable = _typed(value, options, expected, nested)
    if not valid:
        return False
    if variable:  # the name of a variable stands for the value: nothing is looked past
        return value in options
    if expected is dict:
        return any(_same_object(value, one) for one in options if one != "")
    if expected is list and nested is dict:
        return any(_same_objects(value, one) for one in options)
    if expected is str:
        return standard(value) in [standard(one) for one in options if isinstance(one, str)]
    if expected is list:
        return any(_plain(value) == _plain(one) for one in options)
    return value in options


def _typed(
    value: Any, options: Sequence[Any], expected: type, nested: type | None
) -> tuple[bool, bool]:
    """Whether the type is right, and whether the accepted values are of another type."""
    stated = next((type(one) for one in options if one != ""), None)
    if type(value) is expected:
        variable = stated is not None and stated is not expected
        if nested is None:
            return True, variable
        for one in options:
            if type(one) is not list or all(_typed(v, one, nested, None)[0] for v in value):
                return True, variable
        return False, variable
    return stated is not None and type(value) is stated, True


def _plain(value: Any) -> Any:
    """A list with its strings made standard; "" among accepted lists stands for an empty one."""
    if not isinstance(value, list):
        return [] if value == "" else value
    return [standard(v) if isinstance(v, str) else v for v in value]


def _same_object(value: Any, accept: Any) -> bool:
    """An object against its accepted values, key by key, one level deep."""
    if not isinstance(value, dict) or not isinstance(accept, dict):
        return False
    if not all(isinstance(options, list) for options in accept.values()):
        return False
    if any(key not in value and "" not in options for key, options in accept.items()):
        return False
    return all(key in accept and _listed(value[key], accept[key]) for key in value)


def _listed(value: Any, options: Sequence[Any]) -> bool:
    value = standard(value) if isinstance(value, str) else value
    return value in [standard(one) if isinstance(one, str) else one for one in options]


def _same_objects(value: Any, accept: Any) -> bool:
    if accept == "":
        return value == []
    return (
        isinstance(accept, list)
        and len(value) == len(accept)
        and all(map(_same_object, value, accept))
    )
