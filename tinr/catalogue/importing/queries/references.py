"""Check reference calls against the documents of their tools, before they are trained on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from tinr.catalogue.checks import DIALECT
from tinr.catalogue.importing.queries.literals import Untyped, literal
from tinr.catalogue.render import referred

UNKNOWN, MISSING, TYPE = "unknown parameter", "missing parameter", "wrong type"
OPTION, OTHER = "value not among those allowed", "other"
KINDS = {"Type": TYPE, "Required": MISSING, "AdditionalProperties": UNKNOWN, "Enum": OPTION,
         "Constant": OPTION, "UnevaluatedProperties": UNKNOWN}  # fmt: skip
# placeholder for the result of an earlier call, as NESTFUL writes it
RESULT = re.compile(r"\$[A-Za-z_]\w*(?:\.[\w.\[\]-]+)?\$?")
DEEPEST = 8  # levels of nested alternatives
Call = Mapping[str, Any]


class Documents:
    """The tools' parameters, against which reference calls are checked."""

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]]):
        self._parameters = parameters
        self._validators: dict[str, Any] = {}

    def named(self, name: str, call: Call) -> dict[str, Any]:
        """Return a call's arguments; positional ones get the names of their parameters."""
        positional, arguments = call.get("positional") or (), call["arguments"]
        if not positional:
            return {} if arguments is None else typed_arguments(arguments, self._parameters[name])
        names = list(self._parameters[name].get("properties") or ())[: len(positional)]
        if len(names) < len(positional) or set(names) & set(arguments):
            raise ValueError(f"call of {name!r}: {len(positional)} positional arguments do not fit")
        return dict(zip(names, positional, strict=True)) | arguments

    def without_refused_nulls(self, call: Call) -> tuple[dict[str, Any], list[str]]:
        """Return a call's arguments without nulls that its document rejects, and the dropped names.

        An Arrow table gives every row the columns of all rows and fills them with nulls.
        """
        schema = self._parameters[call["name"]]
        dropped: list[str] = []
        return _cleaned(call["arguments"], schema, schema, dropped), dropped

    def faults(self, call: Call) -> Iterator[tuple[str, str]]:
        """Yield (kind, reason) for everything in a call that its document does not allow."""
        schema = self._parameters[call["name"]]
        arguments = call["arguments"]
        try:
            validator = self._validator(call["name"])
            errors = list(validator.iter_errors(arguments))
        except (ValueError, TypeError) as error:
            yield OTHER, f"its schema cannot be read ({error})"
            return
        for name in _unknown(arguments, schema, schema):
            yield UNKNOWN, f"{name!r} is not one of its parameters"
        for error in errors:
            path = list(error.instance_path)
            value = _at(arguments, path)
            if not (isinstance(value, str) and RESULT.fullmatch(value)):
                where = "/".join(map(str, path))
                kind = KINDS.get(type(error.kind).__name__, OTHER)
                yield kind, f"{where}: {error.message}" if where else error.message

    def _validator(self, name: str) -> Any:
        if name not in self._validators:
            schema = {**self._parameters[name], "$schema": DIALECT}
            self._validators[name] = jsonschema_rs.Draft202012Validator(schema)
        return self._validators[name]


def _options(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and the alternatives and parts that it is composed of."""
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        schema = referred(schema["$ref"], root)
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return
    yield schema
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key) or ():
            yield from _options(option, root, depth + 1)


def _members(schema: Any, root: Mapping[str, Any]) -> tuple[dict[str, Any], bool, Any]:
    """Return an object's declared members, whether it accepts others, and their schema."""
    members: dict[str, Any] = {}
    is_open, others = False, None
    for option in _options(schema, root):
        members |= option.get("properties") or {}
        more = option.get("additionalProperties", False)
        is_open |= more is not False or bool(option.get("patternProperties"))
        others = more if isinstance(more, Mapping) else others
    return members, is_open, others


def _items(schema: Any, root: Mapping[str, Any]) -> Any:
    return next((o["items"] for o in _options(schema, root) if "items" in o), None)


def _unknown(value: Any, schema: Any, root: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the names in a value that its document does not have, nested ones too."""
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, _items(schema, root), root, path)
    if not isinstance(value, Mapping):
        return
    members, is_open, others = _members(schema, root)
    is_open |= not members and (path != "" or set(schema) <= {"type", "description"})
    for key, item in value.items():
        if key in members or is_open:
            yield from _unknown(item, members.get(key, others), root, f"{path}{key}/")
        else:
            yield f"{path}{key}"


def _cleaned(value: Any, schema: Any, root: Mapping[str, Any], dropped: list[str]) -> Any:
    if isinstance(value, list):
        return [_cleaned(item, _items(schema, root), root, dropped) for item in value]
    if not isinstance(value, Mapping):
        return value
    members, _, others = _members(schema, root)
    is_free = not members and others is None and schema is not root
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if item is None and not is_free and not _takes(None, members.get(key, others), root):
            dropped.append(key)
        else:
            kept[key] = _cleaned(item, members.get(key, others), root, dropped)
    return kept


def typed_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Convert each untyped value to the type of its schema; it stays text if text is accepted."""
    properties = schema.get("properties") or {}
    return {
        key: _read_as(value, properties.get(key), schema) if isinstance(value, Untyped) else value
        for key, value in arguments.items()
    }


def _read_as(text: Untyped, schema: Any, root: Mapping[str, Any]) -> Any:
    """Return a text as a value of a schema: the text itself if valid, else what it spells."""
    if schema is not None and _takes(str(text), schema, root):
        return str(text)
    try:
        return literal(text)
    except ValueError:
        return str(text)


def _takes(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(schema, Mapping):
        return schema is True
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    try:
        whole = {**schema, **definitions, "$schema": DIALECT}
        return bool(jsonschema_rs.Draft202012Validator(whole).is_valid(value))
    except (ValueError, TypeError):
        return True


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value
