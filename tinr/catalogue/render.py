"""A tool document as text: what the model memorises, recalls and is shown."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tinr.records import ToolDoc


def signature(doc: ToolDoc) -> str:
    """The parameters in one line, enough to write a valid call.

    `length: number, source: metre|foot, digits?: integer = 2`: name, `?` where optional,
    type or alternatives, default.
    """
    schema = doc.parameters
    required = set(schema.get("required", []))
    parts = [
        f"{name}{'' if name in required else '?'}: {_kind(spec)}{_default(spec)}"
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
        lines.append(f"{name}{optional}: {_kind(spec)}{_default(spec)}. {about}".rstrip(". "))
    if doc.returns:
        lines.append(f"returns: {doc.returns}")
    return "\n".join(lines)


def _kind(spec: Any) -> str:
    if not isinstance(spec, Mapping):
        return "any"
    if "enum" in spec:
        return "|".join(v if isinstance(v, str) else json.dumps(v) for v in spec["enum"])
    kind = spec.get("type", "any")
    if isinstance(kind, list):
        return "|".join(map(str, kind))
    if kind == "array":
        return f"{_kind(spec.get('items', {}))}[]"
    if kind == "object" and isinstance(spec.get("properties"), Mapping):
        inner = ", ".join(f"{n}: {_kind(s)}" for n, s in spec["properties"].items())
        return "{" + inner + "}"
    if kind == "string" and spec.get("format") in ("date", "time"):
        return str(spec["format"])
    return str(kind)


def _default(spec: Any) -> str:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return ""
    value = spec["default"]
    return f" = {value if isinstance(value, str) else json.dumps(value)}"
