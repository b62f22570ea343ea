"""Reference calls held against the documents of their tools, before anything is taught by them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from tinr.catalogue.checks import DIALECT
from tinr.catalogue.render import referred

UNKNOWN, MISSING, TYPE = "unknown parameter", "missing parameter", "wrong type"
OPTION, OTHER = "value not among those allowed", "other"
KINDS = {"Type": TYPE, "Required": MISSING, "AdditionalProperties": UNKNOWN, "Enum": OPTION,
         "Constant": OPTION, "UnevaluatedProperties": UNKNOWN}  # fmt: skip
RESULT = re.compile(r"\$\w[\w.\[\]-]*\$?")  # stands for the result of an earlier call
Call = Mapping[str, Any]


class Documents:
    """The parameters of the tools that reference calls are held against."""

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]]):
        self._parameters = parameters
        self._validators: dict[str, Any] = {}

    def named(self, name: str, call: Call) -> dict[str, Any]:
        """Return a call's arguments, those that its source gives by place under their names."""
        positional, arguments = call.get("positional") or (), call["arguments"]
        if not positional:
            return {} if arguments is None else arguments
        names = list(self._parameters[name].get("properties") or ())[: len(positional)]
        if len(names) < len(positional) or set(names) & set(arguments):
            raise ValueError(f"call of {name!r}: {len(positional)} arguments without a name")
        return dict(zip(names, positional, strict=True)) | arguments

    def without_refused_nulls(self, call: Call) -> tuple[dict[str, Any], list[str]]:
        """Return a call's arguments without each null that its document refuses, and their names.

        A table of Arrow gives every row the columns of all rows and fills them with nulls.
        """
        schema = self._parameters[call["name"]]
        dropped: list[str] = []
        return _cleaned(call["arguments"], schema, schema, dropped), dropped

    def faults(self, call: Call) -> Iterator[tuple[str, str]]:
        """Yield (kind, reason) of everything in a call that its document does not allow."""
        schema = self._parameters[call["name"]]
        arguments = call["arguments"]
        try:
            validator = self._validator(call["name"])
            errors = list(validator.iter_errors(arguments))
        except (ValueError, TypeError) as error:
            yield OTHER, f"its schema cannot be read ({error})"
            return
        for name in arguments:
            if not _allows(schema, name):
                yield UNKNOWN, f"{name!r} is no parameter of it"
        for error in errors:
            path = list(error.instance_path)
            value = _at(arguments, path)
            if not (isinstance(value, str) and RESULT.search(value)):
                where = "/".join(map(str, path))
                kind = KINDS.get(type(error.kind).__name__, OTHER)
                yield kind, f"{where}: {error.message}" if where else error.message

    def _validator(self, name: str) -> Any:
        if name not in self._validators:
            schema = {**self._parameters[name], "$schema": DIALECT}
            self._validators[name] = jsonschema_rs.Draft202012Validator(schema)
        return self._validators[name]


def _allows(schema: Mapping[str, Any], name: str) -> bool:
    """Whether a schema has a parameter of a name, or says itself that it takes others."""
    if name in (schema.get("properties") or {}):
        return True
    if set(schema) <= {"type", "description"}:  # a document that does not speak of parameters
        return True
    if any(re.search(pattern, name) for pattern in schema.get("patternProperties") or {}):
        return True
    return schema.get("additionalProperties", False) is not False or any(
        _allows(option, name)
        for key in ("anyOf", "oneOf", "allOf")
        for option in schema.get(key) or ()
        if isinstance(option, Mapping)
    )


def _cleaned(value: Any, schema: Any, root: Mapping[str, Any], dropped: list[str]) -> Any:
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = referred(schema["$ref"], root)
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, list):
        items = schema.get("items")
        return [_cleaned(item, items, root, dropped) for item in value]
    if not isinstance(value, Mapping):
        return value
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        properties = {}
    is_open = not properties and schema is not root
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if item is None and not is_open and not _takes_null(properties.get(key), root):
            dropped.append(key)
        else:
            kept[key] = _cleaned(item, properties.get(key), root, dropped)
    return kept


def _takes_null(schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(schema, Mapping):
        return schema is True
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    try:
        whole = {**schema, **definitions, "$schema": DIALECT}
        return bool(jsonschema_rs.Draft202012Validator(whole).is_valid(None))
    except (ValueError, TypeError):
        return True


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value
