"""Make signatures with one property changed, as wrong options.

Each function returns the changed lines of one kind, the best first; none if the tool has no such
property. Lines may repeat, and may equal the right one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import signature
from tinr.catalogue.similar import nearest_neighbours
from tinr.catalogue.words import like, random_word
from tinr.records import ToolDoc

NEIGHBOURS = 24  # nearest neighbours of a tool
DRAWS = 40  # types tried for a tool
VALUE_TRIES = 3  # values tried for an enum or a default of text
TYPE_KEYS = ("type", "items", "format", "properties")  # keys of a schema that say the kind of value
PYTHON_TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": str}
_NONE = object()  # no default


class Surroundings:
    """A catalogue with each tool's neighbours, and all its enum values and defaults."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue

    @cached_property
    def near(self) -> dict[str, list[ToolDoc]]:
        """Name -> the documents most like its own, nearest first."""
        neighbours = nearest_neighbours(self.catalogue.tools, NEIGHBOURS)
        return {
            name: [self.catalogue.by_name[n] for n in names] for name, names in neighbours.items()
        }

    @cached_property
    def kinds(self) -> list[Mapping[str, Any]]:
        """The kinds of value of properties without an enum, as often as they occur.

        Each plain type is added once.
        """
        specs = [
            {key: spec[key] for key in TYPE_KEYS if key in spec}
            for doc in self.catalogue.tools
            for spec in _specs(doc).values()
            if "enum" not in spec
        ]
        return [*specs, *({"type": name} for name in PYTHON_TYPES)]

    @cached_property
    def defaults(self) -> list[Any]:
        """Every default of the catalogue, without repeats."""
        specs = (spec for doc in self.catalogue.tools for spec in _specs(doc).values())
        return _distinct(spec["default"] for spec in specs if "default" in spec)

    @cached_property
    def enum_values(self) -> list[Any]:
        """Every enum value of the catalogue, without repeats."""
        return _distinct(v for doc in self.catalogue.tools for v in _enum_values(doc))


def changed_types(doc: ToolDoc, surroundings: Surroundings, rng: Random) -> list[str]:
    """Give a property without an enum another type of the catalogue, common types more often.

    The default stays, so types that fit it come first: other types reveal the change.
    """
    specs = {name: spec for name, spec in _specs(doc).items() if "enum" not in spec}
    fitting_lines, other_lines = [], []
    for _ in range(DRAWS if specs else 0):
        name = rng.choice(list(specs))
        kind, default = rng.choice(surroundings.kinds), specs[name].get("default", _NONE)
        new_spec = kind if default is _NONE else {**kind, "default": default}
        lines = fitting_lines if default is _NONE or _fits(default, kind) else other_lines
        lines.append(_changed_signature(doc, name, new_spec))
    return [*fitting_lines, *other_lines]


def changed_defaults(doc: ToolDoc, surroundings: Surroundings, rng: Random) -> list[str]:
    """Change a default; lines that drop a default come last."""
    changed_lines, dropped_lines = [], []
    for name, spec in _specs(doc).items():
        if "default" not in spec:
            continue
        values = _other_defaults(spec, surroundings, rng)
        changed_lines += [
            _changed_signature(doc, name, {**spec, "default": value}) for value in values
        ]
        dropped_lines.append(
            _changed_signature(doc, name, {k: v for k, v in spec.items() if k != "default"})
        )
    rng.shuffle(changed_lines)
    return [*changed_lines, *dropped_lines]


def changed_enums(doc: ToolDoc, surroundings: Surroundings, rng: Random) -> list[str]:
    """Replace an enum value, not the default, by a value of a neighbour or of any other tool."""
    neighbour_values = _distinct(
        value for neighbour in surroundings.near[doc.name] for value in _enum_values(neighbour)
    )
    lines: list[str] = []
    for name, spec in _specs(doc).items():
        enum_spec = _with_enum(spec)
        if enum_spec is None:
            continue
        values = list(enum_spec["enum"])
        indices = [i for i, v in enumerate(values) if v != spec.get("default")] or [0]
        for _ in range(VALUE_TRIES):
            index = rng.choice(indices)
            new_value = _new_value(
                values, values[index], neighbour_values, surroundings.enum_values, rng
            )
            new_spec = {**enum_spec, "enum": [*values[:index], new_value, *values[index + 1 :]]}
            lines.append(
                _changed_signature(
                    doc, name, new_spec if enum_spec is spec else {**spec, "items": new_spec}
                )
            )
    rng.shuffle(lines)
    return lines


def changed_needs(doc: ToolDoc, surroundings: Surroundings, rng: Random) -> list[str]:
    """Make a required property optional, or an optional one required.

    An optional property gets a default if the catalogue has one for its type, and a required one
    loses its default: where every optional property has a default, a `?` alone would reveal the
    change.
    """
    required = list(doc.parameters.get("required", ()))
    lines: list[str] = []
    for name, spec in _specs(doc).items():
        spec_without_default = {key: value for key, value in spec.items() if key != "default"}
        if name in required:
            defaults = spec.get("enum") or [v for v in surroundings.defaults if _fits(v, spec)]
            new_spec = (
                {**spec_without_default, "default": rng.choice(list(defaults))}
                if defaults
                else spec_without_default
            )
            lines.append(
                _changed_signature(
                    doc, name, new_spec, [other for other in required if other != name]
                )
            )
        else:
            lines.append(_changed_signature(doc, name, spec_without_default, [*required, name]))
    rng.shuffle(lines)
    return lines


def _changed_signature(
    doc: ToolDoc, name: str, spec: Mapping[str, Any], required: Sequence[str] | None = None
) -> str:
    """The signature with another schema for one property, and another list of required ones."""
    parameters = {**doc.parameters, "properties": {**doc.parameters["properties"], name: spec}}
    if required is not None:
        parameters["required"] = list(required)
    return signature(replace(doc, parameters=parameters))


def _fits(value: Any, spec: Mapping[str, Any]) -> bool:
    """Whether a default may belong to a schema's type."""
    kind = spec.get("type")
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    types = PYTHON_TYPES.get(kind, ()) if isinstance(kind, str) else ()
    return isinstance(value, types) and "format" not in spec


def _specs(doc: ToolDoc) -> dict[str, Mapping[str, Any]]:
    """The properties of the signature whose schema is an object."""
    properties = doc.parameters.get("properties", {})
    return {name: spec for name, spec in properties.items() if isinstance(spec, Mapping)}


def _with_enum(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema that lists the values: the property's own, or that of an array's items."""
    items = spec.get("items")
    for schema in (spec, items if spec.get("type") == "array" else None):
        if isinstance(schema, Mapping) and schema.get("enum"):
            return schema
    return None


def _enum_values(doc: ToolDoc) -> list[Any]:
    return [v for s in _specs(doc).values() if (schema := _with_enum(s)) for v in schema["enum"]]


def _new_value(
    values: Sequence[Any],
    old_value: Any,
    near_values: Sequence[Any],
    all_values: Sequence[Any],
    rng: Random,
) -> Any:
    """A value of the same type that the enum lacks: a neighbour's, any tool's, or a random one."""
    for candidates in (near_values, all_values):
        choices = [v for v in candidates if type(v) is type(old_value) and v not in values]
        if choices:
            return rng.choice(choices)
    if isinstance(old_value, int | float) and not isinstance(old_value, bool):
        return max(v for v in values if isinstance(v, int | float)) + 1
    return random_word(rng)


def _other_defaults(spec: Mapping[str, Any], surroundings: Surroundings, rng: Random) -> list[Any]:
    """Other defaults of the same kind."""
    value = spec["default"]
    if spec.get("enum"):
        return [v for v in spec["enum"] if v != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [
            v
            for v in (value + 1, value - 1, value * 2, value * 10)
            if v != value and (v >= 0 or value < 0)
        ]
    if isinstance(value, str):
        texts = [v for v in surroundings.defaults if isinstance(v, str) and v != value]
        return [*rng.sample(texts, min(VALUE_TRIES, len(texts))), like(rng, value)]
    return []


def _distinct(values: Iterable[Any]) -> list[Any]:
    """The values in order, without repeats; True is not 1."""
    return list({repr(value): value for value in values}.values())
