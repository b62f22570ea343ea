"""A tool document as text, for the model to memorise and recall, and for prompts."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from tinr.records import ToolDoc

DEEPEST = 8  # levels of a schema that are written out; references may be circular


def signature(doc: ToolDoc) -> str:
    """Return the parameters in one line, enough to write a valid call.

    `length: number, source: metre|foot, digits?: integer = 2`: name, `?` if optional,
    type or alternatives, default.
    """
    schema = doc.parameters
    required = set(schema.get("required", []))
    parameters = [
        f"{name}{'' if name in required else '?'}: {_kind(spec, schema)}{_default(spec)}"
        for name, spec in schema.get("properties", {}).items()
    ]
    return ", ".join(parameters)


def sentences(doc: ToolDoc) -> list[str]:
    """Return the description's sentences; one empty text if there is no description."""
    return re.split(r"(?<=[.!?])\s+", doc.description.strip())


def describe(doc: ToolDoc) -> str:
    """Return the whole document: description, each parameter with its description, returns."""
    schema = doc.parameters
    required = set(schema.get("required", []))
    lines = [doc.description]
    for name, spec in schema.get("properties", {}).items():
        mark = "" if name in required else "?"
        text = spec.get("description", "") if isinstance(spec, Mapping) else ""
        lines.append(f"{name}{mark}: {_kind(spec, schema)}{_default(spec)}. {text}".rstrip(". "))
    if doc.returns:
        lines.append(f"returns: {doc.returns}")
    return "\n".join(lines)


def _kind(spec: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """Return a schema's type or alternatives in words; `$ref`s are resolved in `root`."""
    if not isinstance(spec, Mapping) or depth > DEEPEST:
        return "any"
    kind_of = partial(_kind, root=root, depth=depth + 1)
    if "$ref" in spec:
        return kind_of(referred(str(spec["$ref"]), root))
    if spec.get("enum"):
        return "|".join(map(_value, spec["enum"]))
    if "const" in spec:
        return _value(spec["const"])
    parts = spec.get("allOf")
    if isinstance(parts, list) and parts:
        siblings = {key: value for key, value in spec.items() if key != "allOf"}
        sibling_kinds = (
            [kind_of(siblings)] if "type" in siblings or "properties" in siblings else []
        )
        return " & ".join(dict.fromkeys([*sibling_kinds, *map(kind_of, parts)]))
    options = spec.get("anyOf", spec.get("oneOf"))
    if isinstance(options, list) and options and "type" not in spec:
        return "|".join(dict.fromkeys(map(kind_of, options)))
    kind = spec.get("type") or "any"
    if isinstance(kind, list):
        return "|".join(kind_of({**spec, "type": type_name}) for type_name in kind)
    if kind == "array":
        items = kind_of(spec.get("items", {}))
        return f"({items})[]" if "|" in items and "anyOf" in spec.get("items", {}) else f"{items}[]"
    if kind == "object" and isinstance(spec.get("properties"), Mapping):
        return "{" + ", ".join(f"{n}: {kind_of(s)}" for n, s in spec["properties"].items()) + "}"
    if kind == "string" and spec.get("format") in ("date", "time"):
        return str(spec["format"])
    return str(kind)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def referred(reference: str, root: Mapping[str, Any]) -> Any:
    """Return the target of a reference within a document; None if it is outside or missing."""
    target: Any = root if reference.startswith("#/") else None
    for key in reference.removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        target = target.get(key) if isinstance(target, Mapping) else None
    return target


def _default(spec: Any) -> str:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return ""
    return f" = {_value(spec['default'])}"
