"""A tool document as text, for the model to memorise and recall, and for prompts."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from tinr.catalogue.forms import stated_form
from tinr.records import ToolDoc

DEEPEST = 8  # levels of a schema that are rendered; references may be circular


def signature(doc: ToolDoc) -> str:
    """Return the parameters in one line, enough to write a valid call.

    `length: number, source: metre|foot, digits?: integer = 2, day: string 'MM/DD/YYYY'`: name, `?`
    if optional, type or alternatives, the form of a text if its description states one, default.
    """
    return _fields(doc.parameters, doc.parameters, 0)


def sentences(doc: ToolDoc) -> list[str]:
    """Return the description's sentences; one empty text if there is no description."""
    return re.split(r"(?<=[.!?])\s+", doc.description.strip())


def describe(doc: ToolDoc) -> str:
    """Return the whole document: description, each parameter with its description, returns.

    Described members of objects and lists get their own lines: `body.unit`, `stops[].name`.
    """
    lines = [doc.description, *_lines(doc.parameters, doc.parameters, "", 0)]
    if doc.returns:
        lines.append(f"returns: {doc.returns}")
    return "\n".join(lines)


def _lines(
    schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str, depth: int
) -> list[str]:
    """Return a line for each property, and for each nested one with a description."""
    lines: list[str] = []
    required = _names(schema.get("required"))
    for name, spec in _properties(schema).items():
        mark = "" if name in required else "?"
        text = spec.get("description", "") if isinstance(spec, Mapping) else ""
        if not depth or text or _is_deprecated(spec):
            kind = f"{_kind(spec, root)}{_default(spec)}"
            end = " Deprecated." if _is_deprecated(spec) else ""
            line = f"{prefix}{name}{mark}: {kind}. {text}".rstrip(". ")
            lines.append(f"{line}.{end}" if end else line)
        for inner, step in _inside(spec, root) if depth < DEEPEST else ():
            lines += _lines(inner, root, f"{prefix}{name}{step}.", depth + 1)
    return lines


def _inside(spec: Any, root: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    """Return the objects directly inside a property's schema, each with its path step."""
    step, schema = "", spec
    for _ in range(DEEPEST):
        if not isinstance(schema, Mapping):
            return []
        if isinstance(schema.get("$ref"), str):
            schema = referred(schema["$ref"], root)
        elif isinstance(schema.get("items"), Mapping):
            step, schema = f"{step}[]", schema["items"]
        else:
            break
    options = [schema] if isinstance(schema, Mapping) else []
    for key in ("anyOf", "oneOf", "allOf"):
        members = schema.get(key) if isinstance(schema, Mapping) else None
        options += (
            [o for o in members if isinstance(o, Mapping)] if isinstance(members, list) else []
        )
    return [(option, step) for option in options if _properties(option)]


def _is_deprecated(spec: Any) -> bool:
    return isinstance(spec, Mapping) and spec.get("deprecated") is True


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _names(required: Any) -> list[str]:
    return required if isinstance(required, list) else []


def _fields(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    """Return an object's properties in one line; see `signature`."""
    required = _names(schema.get("required"))
    parts = [
        f"{name}{'' if name in required else '?'}: {_field(spec, root, depth)}{_default(spec)}"
        for name, spec in _properties(schema).items()
    ]
    patterns = schema.get("patternProperties")
    if isinstance(patterns, Mapping):
        parts += [
            f"/{pattern}/: {_kind(value, root, depth)}" for pattern, value in patterns.items()
        ]
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping) and extra:
        parts.append(f"*: {_kind(extra, root, depth)}")
    return ", ".join(parts)


def _field(spec: Any, root: Mapping[str, Any], depth: int) -> str:
    """Return a property's type, for a text with the form that its description states."""
    kind = _kind(spec, root, depth)
    form = stated_form(spec) if kind == "string" else ""
    return f"{kind} '{form}'" if form else kind


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
        prefix = spec.get("prefixItems")
        if isinstance(prefix, list) and prefix:
            rest = [] if spec.get("items") is False else [f"{kind_of(spec.get('items', {}))}..."]
            return f"[{', '.join([*map(kind_of, prefix), *rest])}]"
        items = kind_of(spec.get("items", {}))
        return f"({items})[]" if "|" in items and "anyOf" in spec.get("items", {}) else f"{items}[]"
    if kind == "object":
        fields = _fields(spec, root, depth + 1)
        return "{" + fields + "}" if fields else "object"
    if kind == "string" and spec.get("format") in ("date", "time"):
        return str(spec["format"])
    return str(kind)


def _value(value: Any) -> str:
    """Return a value as text; a string that looks like a number or a constant keeps its quotes."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(value, ensure_ascii=False)


def referred(reference: str, root: Mapping[str, Any]) -> Any:
    """Return the target of a reference within a document; None if it is outside or missing.

    `#` is the document itself; pointers may lead into lists and may be percent-encoded.
    """
    if reference == "#":
        return root
    target: Any = root if reference.startswith("#/") else None
    for key in unquote(reference).removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list):
            target = target[int(key)] if key.isdigit() and int(key) < len(target) else None
        else:
            target = target.get(key) if isinstance(target, Mapping) else None
    return target


def _default(spec: Any) -> str:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return ""
    return f" = {_value(spec['default'])}"
