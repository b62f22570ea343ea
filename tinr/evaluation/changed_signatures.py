"""Signatures with one property changed: what a tool might take, and does not.

Each function gives the changed lines of one kind, the best first, with repeats and without
the promise that they differ from the right one; none where the tool has no such property.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import signature
from tinr.catalogue.similar import nearest_neighbours
from tinr.data.sample_words import like, random_word
from tinr.records import ToolDoc

LOOKED_AT = 24  # neighbours that are looked at
DRAWS = 40  # types tried for a tool
TRIED = 3  # values tried for an enum or a default of text
TYPE_KEYS = ("type", "items", "format", "properties")  # of a schema: what kind of value it wants
PYTHON_TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": str}
_NONE = object()  # no default


class Surroundings:
    """A catalogue with what is near each tool, and the enum values and defaults there are."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue

    @cached_property
    def near(self) -> dict[str, list[ToolDoc]]:
        """Name -> the documents most like its own, nearest first."""
        found = nearest_neighbours(self.catalogue.tools, LOOKED_AT)
        return {name: [self.catalogue.by_name[o] for o in others] for name, others in found.items()}

    @cached_property
    def kinds(self) -> list[Mapping[str, Any]]:
        """The kinds of value of properties without an enum, as often as they occur, and once more
        the plain ones."""
        found = [
            {key: spec[key] for key in TYPE_KEYS if key in spec}
            for doc in self.catalogue.tools
            for spec in _specs(doc).values()
            if "enum" not in spec
        ]
        return [*found, *({"type": name} for name in PYTHON_TYPES)]

    @cached_property
    def defaults(self) -> list[Any]:
        """Every default of the catalogue, none twice."""
        specs = (spec for doc in self.catalogue.tools for spec in _specs(doc).values())
        return _unlike(spec["default"] for spec in specs if "default" in spec)

    @cached_property
    def enum_values(self) -> list[Any]:
        """Every value of an enum in the catalogue, none twice."""
        return _unlike(v for doc in self.catalogue.tools for v in _enum_values(doc))


def changed_types(doc: ToolDoc, around: Surroundings, rng: Random) -> list[str]:
    """A property without an enum gets another type of the catalogue, common ones more often.

    Its default stays, so types that the default fits come first: the others give it away.
    """
    open_ones = {name: spec for name, spec in _specs(doc).items() if "enum" not in spec}
    fitting, others = [], []
    for _ in range(DRAWS if open_ones else 0):
        name = rng.choice(list(open_ones))
        kind, default = rng.choice(around.kinds), open_ones[name].get("default", _NONE)
        changed = kind if default is _NONE else {**kind, "default": default}
        lines = fitting if default is _NONE or _fits(default, kind) else others
        lines.append(_with(doc, name, changed))
    return [*fitting, *others]


def changed_defaults(doc: ToolDoc, around: Surroundings, rng: Random) -> list[str]:
    """Another default; where a tool has too few to change, one is dropped."""
    changed, dropped = [], []
    for name, spec in _specs(doc).items():
        if "default" not in spec:
            continue
        values = _other_defaults(spec, around, rng)
        changed += [_with(doc, name, {**spec, "default": value}) for value in values]
        dropped.append(_with(doc, name, {k: v for k, v in spec.items() if k != "default"}))
    rng.shuffle(changed)
    return [*changed, *dropped]


def changed_enums(doc: ToolDoc, around: Surroundings, rng: Random) -> list[str]:
    """One value of an enum, not its default, becomes one of a neighbour's or of any other tool."""
    near = _unlike(value for one in around.near[doc.name] for value in _enum_values(one))
    wrong: list[str] = []
    for name, spec in _specs(doc).items():
        inner = _with_enum(spec)
        if inner is None:
            continue
        values = list(inner["enum"])
        places = [i for i, v in enumerate(values) if v != spec.get("default")] or [0]
        for _ in range(TRIED):
            place = rng.choice(places)
            new = _stranger(values, values[place], near, around.enum_values, rng)
            swapped = {**inner, "enum": [*values[:place], new, *values[place + 1 :]]}
            wrong.append(_with(doc, name, swapped if inner is spec else {**spec, "items": swapped}))
    rng.shuffle(wrong)
    return wrong


def changed_needs(doc: ToolDoc, around: Surroundings, rng: Random) -> list[str]:
    """A property becomes optional, with a default where the catalogue has one for its type, or
    needed, without its default: a `?` alone would show where every optional one has a default.
    """
    required = list(doc.parameters.get("required", ()))
    wrong: list[str] = []
    for name, spec in _specs(doc).items():
        bare = {key: value for key, value in spec.items() if key != "default"}
        if name in required:
            fitting = spec.get("enum") or [v for v in around.defaults if _fits(v, spec)]
            changed = {**bare, "default": rng.choice(list(fitting))} if fitting else bare
            wrong.append(_with(doc, name, changed, [one for one in required if one != name]))
        else:
            wrong.append(_with(doc, name, bare, [*required, name]))
    rng.shuffle(wrong)
    return wrong


def _with(
    doc: ToolDoc, name: str, spec: Mapping[str, Any], required: Sequence[str] | None = None
) -> str:
    """The signature with another schema for one property, and with others required."""
    parameters = {**doc.parameters, "properties": {**doc.parameters["properties"], name: spec}}
    if required is not None:
        parameters["required"] = list(required)
    return signature(replace(doc, parameters=parameters))


def _fits(value: Any, spec: Mapping[str, Any]) -> bool:
    """Whether a default may belong to a schema's type."""
    kind = spec.get("type")
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    fitting = PYTHON_TYPES.get(kind, ()) if isinstance(kind, str) else ()
    return isinstance(value, fitting) and "format" not in spec


def _specs(doc: ToolDoc) -> dict[str, Mapping[str, Any]]:
    """The properties of the signature whose schema is one."""
    properties = doc.parameters.get("properties", {})
    return {name: spec for name, spec in properties.items() if isinstance(spec, Mapping)}


def _with_enum(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema that lists the values: the property's own, or that of an array's items."""
    items = spec.get("items")
    for inner in (spec, items if spec.get("type") == "array" else None):
        if isinstance(inner, Mapping) and inner.get("enum"):
            return inner
    return None


def _enum_values(doc: ToolDoc) -> list[Any]:
    return [v for s in _specs(doc).values() if (inner := _with_enum(s)) for v in inner["enum"]]


def _stranger(
    values: Sequence[Any], old: Any, near: Sequence[Any], far: Sequence[Any], rng: Random
) -> Any:
    """A value of the same kind that the enum lacks: a neighbour's, any tool's, an invented one."""
    for pool in (near, far):
        fitting = [v for v in pool if type(v) is type(old) and v not in values]
        if fitting:
            return rng.choice(fitting)
    if isinstance(old, int | float) and not isinstance(old, bool):
        return max(v for v in values if isinstance(v, int | float)) + 1
    return random_word(rng)


def _other_defaults(spec: Mapping[str, Any], around: Surroundings, rng: Random) -> list[Any]:
    """Defaults of the same kind that might stand there instead."""
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
        found = [v for v in around.defaults if isinstance(v, str) and v != value]
        return [*rng.sample(found, min(TRIED, len(found))), like(rng, value)]
    return []


def _unlike(values: Iterable[Any]) -> list[Any]:
    """The values in order, none twice; True is not 1."""
    return list({repr(value): value for value in values}.values())
