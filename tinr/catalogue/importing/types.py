"""Words for types, in any of the spellings that catalogues use, to JSON Schema."""

import ast
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinr.catalogue.render import referred

LARGEST = 20_000  # values in one schema; references that multiply are cut there
VALUES = ("default", "const", "enum", "required", "example", "examples")  # no schemas inside
DEEPEST = 32  # levels of a schema; what lies deeper is cut, with a note
LONGEST_WORDS = 1000  # characters of a type's words
KINDS = {
    "string": "str string char character text varchar url uri file path email phone color password "
    "enum unicode bytes callable function regex binary query",
    "integer": "int integer long short byte biginteger bigint int32 int64 timestamp",
    "number": "float double number decimal numeric real bigdecimal float32 float64 currency",
    "boolean": "bool boolean",
    "array": "list array tuple set arraylist sequence iterable vector queue stack deque frozenset",
    "object": "dict object map hashmap hashtable mapping json struct record dictionary",
    "null": "none null nonetype void",
    "": "any anytype mixed unknown variant",
}
JSON_TYPES = {kind for kind in KINDS if kind}
WORDS = {word: kind for kind, words in KINDS.items() for word in words.split()}
FORMATS = {"date": "date", "datetime": "date-time", "time": "time", "uuid": "uuid"}
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "patternProperties", "$defs", "definitions")
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
SINGLES = ("items", "additionalProperties", "not", "contains", "propertyNames")

Note = Callable[[str], None]


def from_words(text: str, depth: int = 0) -> dict[str, Any] | None:
    """`List[Union[int, float]]`, `str, optional`, `HashMap<String, Integer>`, `int[]`, ...

    None where nothing of it is known. An `optional` in it is for `is_optional` to see.
    """
    if depth > DEEPEST or len(text) > LONGEST_WORDS:
        return None
    text = text.strip().strip("\"'")
    if re.fullmatch(r"\[.*\]", text):  # "['string', 'null']": any of these
        return _either([from_words(part, depth + 1) for part in _parts(text[1:-1])])
    text = re.sub(r"(?i),?\s*\boptional\b\s*$|^optional\s+|\(optional\)", "", text).strip()
    found = re.fullmatch(r"(?i)(?:typing\.)?literal\s*\[(.*)\]", text, re.DOTALL)
    if found and (values := _literals(found[1])):
        return {"enum": values}
    if text.endswith("[]"):
        return {"type": "array", "items": from_words(text[:-2], depth + 1) or {}}
    if len(_parts(text, "|")) > 1:
        return _either([from_words(part, depth + 1) for part in _parts(text, "|")])
    if " or " in text:
        return _either([from_words(part, depth + 1) for part in text.split(" or ")])
    found = re.fullmatch(r"(?:typing\.)?(\w+)\s*[\[<(](.*)[\]>)]", text, re.DOTALL)
    head, inner = (found[1].lower(), found[2]) if found else (text.lower(), "")
    if head in ("optional", "union") and inner:
        options = [from_words(part, depth + 1) for part in _parts(inner)]
        return _either([*options, {"type": "null"}] if head == "optional" else options)
    if head == "literal" and inner:  # with names among them
        return {"enum": [(_literals(part) or [part])[0] for part in _parts(inner)]}
    if head in ("annotated", "final", "required", "notrequired"):
        return from_words(_parts(inner)[0], depth + 1) if _parts(inner) else None
    word = re.sub(r"[^a-z0-9]", "", head.split(".")[-1])
    if word in FORMATS or re.match(r"date\s*\(", head):
        return {"type": "string", "format": FORMATS.get(word, "date")}
    kind = WORDS.get(word)
    if kind is None:
        return None
    if kind == "array":
        items = [from_words(part, depth + 1) or {} for part in _parts(inner)] or [{}]
        return {"type": "array", "items": items[0] if all(i == items[0] for i in items) else {}}
    if kind == "object" and inner and len(_parts(inner)) == 2:
        values = from_words(_parts(inner)[1], depth + 1)
        return {"type": "object", "additionalProperties": values or {}}
    return {"type": kind} if kind else {}


def is_optional(text: Any) -> bool:
    """Whether a type's words say that it may be left out."""
    return isinstance(text, str) and bool(re.search(r"(?i)\boptional\b", text[:LONGEST_WORDS]))


def _literals(text: str) -> list[Any] | None:
    """Python's literals with commas between them; None where something else is among them."""
    try:
        return list(ast.literal_eval(f"[{text}]"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _parts(text: str, at: str = ",") -> list[str]:
    """Split at separators outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        if character in "[<({":
            depth += 1
        elif character in "]>)}":
            depth -= 1
        elif character == at and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _either(options: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    known = [option for option in options if option is not None]
    if not known or len(known) < len(options) or {} in known:
        return {} if {} in known else None
    distinct = [o for n, o in enumerate(known) if o not in known[:n]]
    if len(distinct) == 1:
        return distinct[0]
    if all(set(option) == {"type"} for option in distinct):
        return {"type": [option["type"] for option in distinct]}
    return {"anyOf": distinct}


def schema(raw: Any, note: Note, depth: int = 0) -> Any:
    """A JSON Schema (draft 2020-12) of what a source gives for one.

    Types are JSON's own words, `required` is a list, an enum is a list, and bounds that
    are no numbers are left out; whatever had to be changed beyond words is noted.
    """
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        return _from_text(raw, note)
    if not isinstance(raw, Mapping):
        note(f"a schema of type {type(raw).__name__} was read as any value")
        return {}
    if depth > DEEPEST:
        note(f"a schema deeper than {DEEPEST} levels was cut")
        return {}
    out = {str(k): v for k, v in raw.items()}
    out.pop("$schema", None)
    marks: dict[str, Any] = {}  # "required": true at a property itself
    out |= _types(out, note)
    for key in LISTS:
        if key in out:
            options = out[key] if isinstance(out[key], list) else []
            out[key] = [_inner(one, note, depth) for one in options]
            if not options:
                del out[key]
    for key in MAPS:
        if key in out:
            inner = out[key] if isinstance(out[key], Mapping) else {}
            apart = {str(k): _unmarked(one) for k, one in inner.items()}
            out[key] = {name: schema(one, note, depth + 1) for name, (one, _) in apart.items()}
            if key == "properties":
                marks = {name: mark for name, (_, mark) in apart.items()}
    for key in SINGLES:
        if key in out:
            inner = out[key]
            if key == "items" and isinstance(inner, list):  # draft 4: a tuple
                out["prefixItems"], inner = [_inner(i, note, depth) for i in inner], {}
            out[key] = _inner(inner, note, depth)
    _required(out, marks)
    _enum(out, note)
    _bounds(out, note)
    return out


def _inner(raw: Any, note: Note, depth: int) -> Any:
    """A schema that is no property: a mark "required" has no meaning there."""
    return schema(_unmarked(raw)[0], note, depth + 1)


def _unmarked(raw: Any) -> tuple[Any, Any]:
    """A schema without the mark that says whether it is required, and the mark; None: none."""
    if not isinstance(raw, Mapping) or isinstance(raw.get("required", []), list):
        return raw, None
    return {key: value for key, value in raw.items() if key != "required"}, raw["required"]


def _is_set(mark: Any) -> bool:
    return str(mark).lower() == "true"


def _from_text(text: str, note: Note) -> dict[str, Any]:
    """A bare type's word, or a sentence about the parameter."""
    known = from_words(text)
    if known is not None:
        return known
    first = re.match(r"\s*(\w+)\s*[(:,]\s*(.*)", text, re.DOTALL)
    known = from_words(first[1]) if first else None
    if first and known:
        return known | {"description": first[2].rstrip(") ")}
    return {"type": "string", "description": text}


def _types(out: dict[str, Any], note: Note) -> dict[str, Any]:
    """What the words of "type" mean, beside what is there."""
    raw = out.pop("type", None)
    if raw is None:
        if "properties" in out:
            return {"type": "object"}
        return {"type": "array"} if "items" in out else {}
    if isinstance(raw, list) and raw and all(one in JSON_TYPES for one in raw):
        distinct = list(dict.fromkeys(raw))  # what stands beside them, as items, is of them
        return {"type": distinct[0] if len(distinct) == 1 else distinct}
    if isinstance(raw, list):
        known = _either([from_words(str(one)) for one in raw])
    else:
        known = from_words(str(raw)) if str(raw).strip() else {}
    if known is None:
        note(f"unknown type {str(raw)[:60]!r} was read as any value")
        return {}
    return {key: value for key, value in known.items() if key == "type" or key not in out}


def _required(out: dict[str, Any], marks: Mapping[str, Any]) -> None:
    """ "required" as a list, with the properties that are marked so themselves."""
    given, properties = out.pop("required", None), out.get("properties")
    names = [str(n) for n in given] if isinstance(given, list) else []
    names += [name for name, mark in marks.items() if _is_set(mark)]
    known = [n for n in dict.fromkeys(names) if properties is None or n in properties]
    if known:
        out["required"] = known


def _enum(out: dict[str, Any], note: Note) -> None:
    options = out.get("enum", out.pop("allowed_values", None))
    if isinstance(options, list) and options:
        texts = [json.dumps(option, sort_keys=True, default=str) for option in options]
        out["enum"] = list(dict(zip(texts, options, strict=True)).values())
    elif "enum" in out:
        del out["enum"]
        note("an enum without options was left out")


def _bounds(out: dict[str, Any], note: Note) -> None:
    for key, high in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if out.get(high) is True and isinstance(out.get(key), int | float):  # draft 4
            out[high] = out.pop(key)
        elif isinstance(out.get(high), bool):
            del out[high]
    for key in NUMBERS:
        if isinstance(out.get(key), str):
            with contextlib.suppress(ValueError):
                out[key] = float(out[key]) if "." in out[key] else int(out[key])
        if key in out and (isinstance(out[key], bool) or not isinstance(out[key], int | float)):
            note(f"{key} {out.pop(key)!r} is no number and was left out")
    for key in COUNTS:
        if key in out and (isinstance(out[key], bool) or not isinstance(out[key], int)):
            note(f"{key} {out.pop(key)!r} is no whole number and was left out")
    pattern = out.get("pattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError, OverflowError, RecursionError):
            note(f"pattern {str(pattern)[:60]!r} is no regular expression and was left out")
            del out["pattern"]
    if "description" in out and not isinstance(out["description"], str):
        out["description"] = str(out["description"])
    if "title" in out and not isinstance(out["title"], str):
        del out["title"]
    for key in ("$ref", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor"):
        if key in out and not isinstance(out[key], str):
            del out[key]


def object_schema(raw: Any, note: Note) -> dict[str, Any]:
    """The parameters of a tool as a schema of type object, from a schema or a flat mapping.

    A flat mapping has a parameter's name beside its schema, its type's word, or prose; one
    without a word of "optional", a default or a mark is required.
    """
    if raw is None or raw in ([], "", {}):
        return {"type": "object", "properties": {}}
    if isinstance(raw, list):
        if any(not isinstance(one, Mapping) for one in raw):
            note("parameters without a schema were read as text")
        named = [
            one if isinstance(one, Mapping) else {"name": one, "type": "string"} for one in raw
        ]
        raw = {str(one.get("name", "")): one for one in named}
    if not isinstance(raw, Mapping):
        note(f"parameters of type {type(raw).__name__} were left out")
        return {"type": "object", "properties": {}}
    if is_schema(raw):
        made = _inner(resolved(raw, note), note, 0)
        if made.get("type") != "object":
            made = {**made, "type": "object"}
        made.setdefault("properties", {})
        return made
    return _from_flat(raw, note)


def is_schema(raw: Mapping[str, Any]) -> bool:
    """Whether a mapping is a schema of type object itself, not parameters by name."""
    if isinstance(raw.get("properties"), Mapping):
        return True
    if isinstance(raw.get("$ref"), str) or isinstance(raw.get("$schema"), str):
        return True
    if any(isinstance(raw.get(key), list) for key in ("anyOf", "oneOf", "allOf")):
        return True
    known = from_words(raw["type"]) if isinstance(raw.get("type"), str) else None
    return bool(known and known.get("type") == "object" and not _flat_values(raw))


def resolved(raw: Any, note: Note) -> Any:
    """A schema with its references into itself put in: what leads back, out or nowhere is cut."""
    left = LARGEST

    def put_in(one: Any, above: tuple[str, ...], depth: int, by_name: bool = False) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > 2 * DEEPEST:
            note("a very large schema was cut")
            return {}
        if isinstance(one, list):
            return [put_in(inner, above, depth + 1) for inner in one]
        if not isinstance(one, Mapping):
            return one
        if by_name:  # keys are names here, whatever they spell
            return {key: put_in(value, above, depth + 1) for key, value in one.items()}
        reference = one.get("$ref")
        beside = {
            key: value if key in VALUES else put_in(value, above, depth + 1, key in MAPS)
            for key, value in one.items()
            if key != "$ref"
        }
        if not isinstance(reference, str):
            return beside
        if reference in above:
            note(f"the circular reference {reference[:80]!r} was cut")
            return beside
        target = referred(reference, raw)
        if not isinstance(target, Mapping):
            note(f"the reference {reference[:80]!r} leads out of the schema or nowhere")
            return beside
        return {**put_in(target, (*above, reference), depth + 1), **beside}

    if not isinstance(raw, Mapping):
        return raw
    return put_in({k: v for k, v in raw.items() if k not in ("$defs", "definitions")}, (), 0)


def _flat_values(raw: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) for value in raw.values())


def _from_flat(raw: Mapping[str, Any], note: Note) -> dict[str, Any]:
    properties, required = {}, []
    for name, one in raw.items():
        bare, mark = _unmarked(one)
        made = schema(bare, note)
        made = made if isinstance(made, dict) else {}
        made.pop("name", None)
        if made.get("default") == "":  # how several sources write that there is none
            del made["default"]
        words = one.get("type") if isinstance(one, Mapping) else one
        free = is_optional(words) or "default" in made
        if _is_set(mark) if mark is not None else not free:
            required.append(str(name))
        properties[str(name)] = made
    made = {"type": "object", "properties": properties}
    return made | ({"required": required} if required else {})
