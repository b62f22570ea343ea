"""Check that a tool document is valid."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import jsonschema_rs

from tinr.records import BadInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEEPEST = 100  # maximum nesting depth of a document's parameters
NAME = re.compile(r"[^\s<>\"\\\x00-\x1f]{1,128}")


def check_document(line: Any, place: str) -> None:
    """Raise BadInput, naming `place` and the error, unless `line` is a valid tool document.

    A valid document has a name without spaces, angle brackets, quotes or backslashes (it becomes
    `<<name>>`), a non-empty description, and parameters that are a JSON Schema of type object.
    """
    if not isinstance(line, dict):
        raise BadInput(f"{place}: a tool document must be a JSON object")
    name = line.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadInput(
            f"{place}: tool name {name!r} is not valid; "
            "use 1 to 128 characters without spaces, angle brackets, quotes or backslashes"
        )
    description = line.get("description")
    if not isinstance(description, str) or not description.strip():
        raise BadInput(f"{place}: tool {name!r} has no description; say what it does")
    schema = line.get("parameters")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise BadInput(f'{place}: tool {name!r}: "parameters" must be a JSON Schema of type object')
    if not _is_shallow(schema):
        raise BadInput(f"{place}: tool {name!r}: parameters nested deeper than {DEEPEST} levels")
    fault = schema_fault(schema)
    if fault:
        raise BadInput(f"{place}: tool {name!r}: parameters/{fault}; correct the schema")
    properties = schema.get("properties", {})
    unknown_names = [key for key in schema.get("required", []) if key not in properties]
    if unknown_names:
        raise BadInput(
            f"{place}: tool {name!r}: required {unknown_names} missing from its properties; "
            "add or remove them"
        )


def _is_shallow(tree: Any) -> bool:
    """Whether nothing is nested deeper than DEEPEST levels; checked without recursion."""
    level = [tree]
    for _ in range(DEEPEST):
        level = [
            value
            for container in level
            if isinstance(container, dict | list)
            for value in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return True
    return False


def schema_fault(schema: Mapping[str, Any]) -> str:
    """Return why a schema is invalid in draft 2020-12, as `pointer: reason`; empty if valid."""
    error = schema_error(schema)
    return f"{'/'.join(map(str, error.absolute_path))}: {error.message}" if error else ""


def schema_error(schema: Mapping[str, Any]) -> jsonschema.SchemaError | None:
    """Return the error of a schema that is invalid in draft 2020-12; None if it is valid.

    The fast validator decides whether a schema is valid: it takes a thousandth of the time, which
    matters for 50,000 documents. The slow validator finds the error of an invalid schema. A
    "$schema" of another draft is ignored: it could name any address.
    """
    try:
        if jsonschema_rs.meta.is_valid({**schema, "$schema": DIALECT}):
            return None
    except (ValueError, TypeError):  # the fast validator cannot read it: the slow one decides
        pass
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error
    return None
