"""What makes a tool document valid."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import jsonschema_rs

from tinr.records import BadInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEEPEST = 100  # levels of a document's parameters
NAME = re.compile(r"[^\s<>\"\\\x00-\x1f]{1,128}")


def check_document(line: Any, place: str) -> None:
    """Raise BadInput, with `place` and the fault, unless `line` is a valid tool document.

    Valid: a name without blanks, angle brackets, quotes and backslashes (it becomes `<<name>>`), a
    description that is not empty, parameters that are a JSON Schema of type object.
    """
    if not isinstance(line, dict):
        raise BadInput(f"{place}: a tool document must be a JSON object")
    name = line.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadInput(
            f"{place}: tool name {name!r} is not valid; "
            "use 1 to 128 characters without blanks, angle brackets, quotes and backslashes"
        )
    description = line.get("description")
    if not isinstance(description, str) or not description.strip():
        raise BadInput(f"{place}: tool {name!r} has no description; say what it does")
    schema = line.get("parameters")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise BadInput(f'{place}: tool {name!r}: "parameters" must be a JSON Schema of type object')
    if not _shallow(schema):
        raise BadInput(f"{place}: tool {name!r}: parameters nested deeper than {DEEPEST} levels")
    fault = schema_fault(schema)
    if fault:
        raise BadInput(f"{place}: tool {name!r}: parameters/{fault}; correct the schema")
    properties = schema.get("properties", {})
    unknown = [key for key in schema.get("required", []) if key not in properties]
    if unknown:
        raise BadInput(
            f"{place}: tool {name!r}: required {unknown} not among its properties; "
            "add or remove them"
        )


def _shallow(value: Any) -> bool:
    """Whether nothing is nested deeper than DEEPEST levels, without a recursion that could end."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False


def schema_fault(schema: Mapping[str, Any]) -> str:
    """Why a schema is none of draft 2020-12, as `pointer: reason`; empty where it is one.

    The fast validator decides what is valid (a thousandth of the time, which 50,000 documents
    need); the slow one says what is wrong with the rest. A "$schema" of another draft is not
    looked at: it could name any address.
    """
    try:
        if jsonschema_rs.meta.is_valid({**schema, "$schema": DIALECT}):
            return ""
    except (ValueError, TypeError):  # what it cannot take in, the other one judges
        pass
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
    return ""
