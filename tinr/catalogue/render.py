"""A tool document as text: what the model memorises, recalls and is shown."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from tinr.records import ToolDoc

DEEPEST = 8  # levels of a schema that are spelled out; references may lead back to themselves


def signature(doc: ToolDoc) -> str:
    """The parameters in one line, enough to write a valid call.

    `length: number, source: metre|foot, digits?: integer = 2`: name, `?` where optional,
    type or alternatives, default.
    """
    schema = doc.parameters
    required = set(schema.get("required", []))
    parts = [
        f"{name}{'' if name in required else '?'}: {_kind(spec, schema)}{_default(spec)}"
        for name, spec in schema.get("properties", {}).items()
    ]
    return ", ".join(parts)


def sentences(doc: ToolDoc) -> list[str]:
    """The description's sentences; one empty one where there is none."""
    return re.split(r"(?<=[.!?])\s+", doc.description.strip())


def describe(doc: ToolDoc) -> str:
    """The whole document: description, each parameter with its words, what comes back."""
    schema = doc.parameters
    required = set(schema.get("required", []))
    lines = [doc.description]
    for name, spec in schema.get("properties", {}).items():
        optional = "" if name in required else "?"
        about = spec.get("description", "") if isinstance(spec, Mapping) else ""
        lines.append(
            f"{name}{optional}: {_kind(spec, schema)}{_default(spec)}. {about}".rstrip(". ")
        )
    if doc.returns:
        lines.append(f"returns: {doc.returns}")
    return "\n".join(lines)


def _kind(spec: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """A schema's type or alternatives in words; `root` is what its `$ref`s lead into."""
    if not isinstance(spec, Mapping) or depth > DEEPEST:
        return "any"
    inside = partial(_kind, root=root, depth=depth + 1)
    if "$ref" in spec:
        return inside(referred(str(spec["$ref"]), root))
    if spec.get("enum"):
        return "|".join(map(_value, spec["enum"]))
    if "const" in spec:
        return _value(spec["const"])
    parts = spec.get("allOf")
    if isinstance(parts, list) and parts:
        own = {key: value for key, value in spec.items() if key != "allOf"}
        said = [inside(own)] if "type" in own or "properties" in own else []
        return " & ".join(dict.fromkeys([*said, *map(inside, parts)]))
    options = spec.get("anyOf", spec.get("oneOf"))
    if isinstance(options, list) and options and "type" not in spec:
        return "|".join(dict.fromkeys(map(inside, options)))
    kind = spec.get("type") or "any"
    if isinstance(kind, list):
        return "|".join(inside({**spec, "type": one}) for one in kind)
    if kind == "array":
        items = inside(spec.get("items", {}))
        return f"({items})[]" if "|" in items and "anyOf" in spec.get("items", {}) else f"{items}[]"
    if kind == "object" and isinstance(spec.get("properties"), Mapping):
        return "{" + ", ".join(f"{n}: {inside(s)}" for n, s in spec["properties"].items()) + "}"
    if kind == "string" and spec.get("format") in ("date", "time"):
        return str(spec["format"])
    return str(kind)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def referred(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within a document leads to; nothing where it leads nowhere or out."""
    target: Any = root if reference.startswith("#/") else None
    for part in reference.removeprefix("#/").split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        target = target.get(part) if isinstance(target, Mapping) else None
    return target


def _default(spec: Any) -> str:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return ""
    return f" = {_value(spec['default'])}"
