"""Convert type words, in any spelling that catalogues use, to JSON Schema."""

import ast
import contextlib
import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinr.catalogue.checks import schema_error
from tinr.catalogue.render import referred
from tinr.catalogue.values import merged

LARGEST = 20_000  # values in one schema; the rest is cut: references can multiply
VALUES = ("default", "const", "enum", "required", "example", "examples")  # no schemas inside
DEEPEST = 32  # levels of a schema; deeper ones are cut, with a note
LONGEST_WORDS = 1000  # maximum characters of a type's words
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
PYTHON_TYPES: Mapping[str, Any] = {
    "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip
CONSTANTS = {"true": "True", "false": "False"}
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "patternProperties", "$defs", "definitions")
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
SINGLES = ("items", "additionalProperties", "not", "contains", "propertyNames")

ANNOTATIONS = (  # keywords that do not constrain values
    "title", "description", "examples", "deprecated", "readOnly", "writeOnly", "format", "$comment",
    "contentEncoding", "contentMediaType",
)  # fmt: skip
MOST_ODD = 50  # annotations of the wrong type in one schema

Note = Callable[[str], None]


def from_words(text: str, depth: int = 0) -> dict[str, Any] | None:
    """Convert `List[Union[int, float]]`, `str, optional`, `HashMap<String, Integer>`, `int[]`, ...

    Returns None for an unknown type. The word `optional` is ignored: see `is_optional`.
    """
    if depth > DEEPEST or len(text) > LONGEST_WORDS:
        return None
    text = text.strip().strip("\"'")
    if re.fullmatch(r"\[.*\]", text):  # "['string', 'null']": any of these
        return _either([from_words(part, depth + 1) for part in _parts(text[1:-1])])
    text = re.sub(r"(?i),?\s*\boptional\b\s*$|^optional\s+|\(optional\)", "", text).strip()
    literal = re.fullmatch(r"(?i)(?:typing\.)?literal\s*\[(.*)\]", text, re.DOTALL)
    if literal and (values := _literals(literal[1])):
        return {"enum": values}
    if text.endswith("[]"):
        return {"type": "array", "items": from_words(text[:-2], depth + 1) or {}}
    if len(_parts(text, "|")) > 1:
        return _either([from_words(part, depth + 1) for part in _parts(text, "|")])
    if " or " in text:
        return _either([from_words(part, depth + 1) for part in text.split(" or ")])
    generic = re.fullmatch(r"(?:typing\.)?(\w+)\s*[\[<(](.*)[\]>)]", text, re.DOTALL)
    type_name, argument_text = (generic[1].lower(), generic[2]) if generic else (text.lower(), "")
    if type_name in ("optional", "union") and argument_text:
        options = [from_words(part, depth + 1) for part in _parts(argument_text)]
        return _either([*options, {"type": "null"}] if type_name == "optional" else options)
    if type_name == "literal" and argument_text:  # some members are names
        return {"enum": [(_literals(part) or [part])[0] for part in _parts(argument_text)]}
    if type_name in ("annotated", "final", "required", "notrequired"):
        return from_words(_parts(argument_text)[0], depth + 1) if _parts(argument_text) else None
    word = re.sub(r"[^a-z0-9]", "", type_name.split(".")[-1])
    if word in FORMATS or re.match(r"date\s*\(", type_name):
        return {"type": "string", "format": FORMATS.get(word, "date")}
    kind = WORDS.get(word)
    if kind is None:
        return None
    if kind == "array":
        items = [from_words(part, depth + 1) or {} for part in _parts(argument_text)] or [{}]
        return {
            "type": "array",
            "items": items[0] if all(item == items[0] for item in items) else {},
        }
    if kind == "object" and argument_text and len(_parts(argument_text)) == 2:
        values = from_words(_parts(argument_text)[1], depth + 1)
        return {"type": "object", "additionalProperties": values or {}}
    return {"type": kind} if kind else {}


def is_optional(text: Any) -> bool:
    """Whether a type's words mark a parameter as optional."""
    return isinstance(text, str) and bool(re.search(r"(?i)\boptional\b", text[:LONGEST_WORDS]))


def _literals(text: str) -> list[Any] | None:
    """Parse comma-separated Python literals; None if the text contains anything else."""
    try:
        return list(ast.literal_eval(f"[{text}]"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _parts(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside brackets."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        if character in "[<({":
            depth += 1
        elif character in "]>)}":
            depth -= 1
        elif character == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _either(options: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    schemas = [option for option in options if option is not None]
    if not schemas or len(schemas) < len(options) or {} in schemas:
        return {} if {} in schemas else None
    alternatives = [option for n, option in enumerate(schemas) if option not in schemas[:n]]
    if len(alternatives) == 1:
        return alternatives[0]
    if all(set(option) == {"type"} for option in alternatives):
        return {"type": [option["type"] for option in alternatives]}
    return {"anyOf": alternatives}


def schema(raw: Any, note: Note, depth: int = 0) -> Any:
    """Convert the schema of a source into a JSON Schema (draft 2020-12).

    Type words become JSON types. `required` and `enum` become lists. A bound that is not a number
    is left out. `note` receives every change except renamed types.
    """
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        return _from_text(raw, note)
    if not isinstance(raw, Mapping):
        note(f"a schema of type {type(raw).__name__} was read as any type")
        return {}
    if depth > DEEPEST:
        note(f"a schema deeper than {DEEPEST} levels was cut")
        return {}
    target = {str(k): v for k, v in raw.items()}
    target.pop("$schema", None)
    marks: dict[str, Any] = {}  # "required": true in a property itself
    target |= _types(target, note)
    for key in LISTS:
        if key in target:
            options = target[key] if isinstance(target[key], list) else []
            target[key] = [_inner(value, note, depth) for value in options]
            if not options:
                del target[key]
    for key in MAPS:
        if key in target:
            inner = target[key] if isinstance(target[key], Mapping) else {}
            pairs = {str(k): _unmarked(value) for k, value in inner.items()}
            target[key] = {
                name: schema(value, note, depth + 1) for name, (value, _) in pairs.items()
            }
            if key == "properties":
                marks = {name: mark for name, (_, mark) in pairs.items()}
    for key in SINGLES:
        if key in target:
            inner = target[key]
            if key == "items" and isinstance(inner, list):  # draft 4: a tuple
                target["prefixItems"], inner = [_inner(i, note, depth) for i in inner], {}
            target[key] = _inner(inner, note, depth)
    _required(target, marks)
    if target.get("type") == "string":
        for key in ("enum", "default", "const", "examples"):
            if key in target:
                target[key] = as_spelled(target[key])
    _enum(target, note)
    _bounds(target, note)
    _default(target)
    return target


def as_spelled(value: Any) -> Any:
    """Return the numbers of a YAML file as they are spelled there; other values unchanged."""
    if isinstance(value, list):
        return [as_spelled(member) for member in value]
    return getattr(value, "text", value)


def _inner(raw: Any, note: Note, depth: int) -> Any:
    """Convert a schema that is not a property: a "required" mark has no meaning there."""
    return schema(_unmarked(raw)[0], note, depth + 1)


def _unmarked(raw: Any) -> tuple[Any, Any]:
    """Split a schema from its mark `"required": true`; the mark is None if there is none."""
    if not isinstance(raw, Mapping) or isinstance(raw.get("required", []), list):
        return raw, None
    return {key: value for key, value in raw.items() if key != "required"}, raw["required"]


def _is_set(mark: Any) -> bool:
    return str(mark).lower() == "true"


def _from_text(text: str, note: Note) -> dict[str, Any]:
    """Convert a string: type words, or a sentence that describes the parameter."""
    type_schema = from_words(text)
    if type_schema is not None:
        return type_schema
    words = re.match(r"\s*(\w+)\s*[(:,]\s*(.*)", text, re.DOTALL)
    type_schema = from_words(words[1]) if words else None
    if words and type_schema:
        return type_schema | {"description": words[2].rstrip(") ")}
    return {"type": "string", "description": text}


def _types(source: dict[str, Any], note: Note) -> dict[str, Any]:
    """Return the keywords that "type" implies, except those that the schema already has."""
    type_words = source.pop("type", None)
    if type_words is None:
        if "properties" in source:
            return {"type": "object"}
        return {"type": "array"} if "items" in source else {}
    if (
        isinstance(type_words, list)
        and type_words
        and all(word in JSON_TYPES for word in type_words)
    ):
        type_names = list(dict.fromkeys(type_words))  # sibling keywords (items) apply to them
        return {"type": type_names[0] if len(type_names) == 1 else type_names}
    if isinstance(type_words, list):
        type_schema = _either([from_words(str(word)) for word in type_words])
    else:
        type_schema = from_words(str(type_words)) if str(type_words).strip() else {}
    if type_schema is None:
        note(f"unknown type {str(type_words)[:60]!r} was read as any type")
        return {}
    return {key: value for key, value in type_schema.items() if key == "type" or key not in source}


def _required(target: dict[str, Any], marks: Mapping[str, Any]) -> None:
    """Write "required" as a list, including the properties that are marked themselves."""
    name_list, properties = target.pop("required", None), target.get("properties")
    names = [str(n) for n in name_list] if isinstance(name_list, list) else []
    names += [name for name, mark in marks.items() if _is_set(mark)]
    required = [n for n in dict.fromkeys(names) if properties is None or n in properties]
    if required:
        target["required"] = required


def _enum(target: dict[str, Any], note: Note) -> None:
    options = target.get("enum", target.pop("allowed_values", None))
    if isinstance(options, list) and options:
        texts = [json.dumps(option, sort_keys=True, default=str) for option in options]
        target["enum"] = list(dict(zip(texts, options, strict=True)).values())
    elif "enum" in target:
        del target["enum"]
        note("an enum without options was left out")


def _default(target: dict[str, Any]) -> None:
    """Convert a default written as a string (`"5"` for an integer) to a value of its type."""
    text, kind = target.get("default"), target.get("type")
    expected = PYTHON_TYPES.get(kind) if isinstance(kind, str) else None
    if expected is None or not isinstance(text, str):
        return
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(CONSTANTS.get(text.strip().lower(), text.strip()))
        if isinstance(value, expected) and (kind == "boolean") == isinstance(value, bool):
            target["default"] = value


def _bounds(target: dict[str, Any], note: Note) -> None:
    for key, high in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if target.get(high) is True and isinstance(target.get(key), int | float):  # draft 4
            target[high] = target.pop(key)
        elif isinstance(target.get(high), bool):
            del target[high]
    for key in NUMBERS:
        if isinstance(target.get(key), str):
            with contextlib.suppress(ValueError):
                target[key] = float(target[key]) if "." in target[key] else int(target[key])
        if key in target and (
            isinstance(target[key], bool) or not isinstance(target[key], int | float)
        ):
            note(f"{key} {target.pop(key)!r} is not a number and was left out")
    for key in COUNTS:
        if key in target and (isinstance(target[key], bool) or not isinstance(target[key], int)):
            note(f"{key} {target.pop(key)!r} is not an integer and was left out")
    pattern = target.get("pattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError, OverflowError, RecursionError):
            note(f"pattern {str(pattern)[:60]!r} is not a regular expression and was left out")
            del target["pattern"]
    if "description" in target and not isinstance(target["description"], str):
        target["description"] = str(target["description"])
    if "title" in target and not isinstance(target["title"], str):
        del target["title"]
    for key in ("$ref", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor"):
        if key in target and not isinstance(target[key], str):
            del target[key]


def object_schema(raw: Any, note: Note, is_schema: bool = False) -> dict[str, Any]:
    """Convert a tool's parameters, a schema or a flat mapping, into a schema of type object.

    is_schema: `raw` is known to be a schema. A schema of another type becomes one parameter,
    `value`. A flat mapping has a parameter's name -> its schema, its type words, or prose. A
    parameter without a "required" mark is required if it has no default and no word "optional".
    """
    if raw is None or raw in ([], "", {}):
        return {"type": "object", "properties": {}}
    if isinstance(raw, list):
        if any(not isinstance(parameter, Mapping) for parameter in raw):
            note("parameters without a schema were read as strings")
        parameters = [
            parameter if isinstance(parameter, Mapping) else {"name": parameter, "type": "string"}
            for parameter in raw
        ]
        raw = {str(parameter.get("name", "")): parameter for parameter in parameters}
    if not isinstance(raw, Mapping):
        note(f"parameters of type {type(raw).__name__} were left out")
        return {"type": "object", "properties": {}}
    if is_schema or describes_object(raw):
        source = resolved(raw, note)
        kinds = source.get("type", "object") if isinstance(source, Mapping) else "object"
        if isinstance(kinds, str):
            kinds = [(from_words(kinds) or {}).get("type", "object")]
        if isinstance(kinds, list) and "object" not in kinds and "properties" not in source:
            note(f"a schema of type {'|'.join(map(str, kinds))} was read as one parameter, value")
            source = {"properties": {"value": source}, "required": ["value"]}
        parameters_schema = _inner(source, note, 0)
        required = source.get("required")
        names = (
            [name for name in required if isinstance(name, str)]
            if isinstance(required, list)
            else []
        )
        if names:  # `_composed` declares names that are required but not declared
            parameters_schema["required"] = names
        return without_odd_notes(_composed({**parameters_schema, "type": "object"}), note)
    return without_odd_notes(_from_flat(raw, note), note)


def without_odd_notes(root: dict[str, Any], note: Note) -> dict[str, Any]:
    """Drop annotations of the wrong type (`examples: {}`): they do not constrain values."""
    for _ in range(MOST_ODD):
        error = schema_error(root)
        path = list(error.absolute_path) if error else []
        if not path or path[-1] not in ANNOTATIONS:
            break
        root = copy.deepcopy(root)
        parent: Any = root
        for key in path[:-1]:
            parent = parent[key]
        note(f"{'/'.join(map(str, path))} {str(parent.pop(path[-1]))[:60]!r} was left out")
    return root


def _composed(root: dict[str, Any]) -> dict[str, Any]:
    """Merge the composition of a root into the root, so that every parameter is visible.

    `allOf` is merged. The properties of alternatives become properties of the root, required if
    all alternatives require them; `oneOf` and `anyOf` stay and say which belong together.
    """
    for part in root.pop("allOf", ()) if isinstance(root.get("allOf"), list) else ():
        rest = {key: value for key, value in part.items() if key in ("if", "then", "else", "not")}
        root = merged(root, {key: value for key, value in part.items() if key not in rest})
        root |= {"allOf": [*root.get("allOf", ()), rest]} if rest else {}
    properties = dict(root.get("properties") or {})
    required = list(root.get("required") or ())
    for key in ("oneOf", "anyOf"):
        options = [option for option in root.get(key, ()) if isinstance(option, Mapping)]
        for option in options:
            for name, spec in (option.get("properties") or {}).items():
                known = properties.setdefault(name, spec)
                forms = known.get("anyOf", ()) if isinstance(known, Mapping) else ()
                if known != spec and spec not in forms:
                    properties[name] = _either_of(known, spec)
        for name in (options[0].get("required") or ()) if options else ():
            if all(name in (option.get("required") or ()) for option in options):
                required.append(name)
    root["properties"] = properties
    root.pop("required", None)
    root["properties"] |= {name: {} for name in required if name not in properties}
    return root | ({"required": list(dict.fromkeys(required))} if required else {})


def _either_of(one: Any, other: Any) -> Any:
    """Combine two schemas of a property from alternatives; constants become one enumeration."""
    values = [
        [spec["const"]] if "const" in spec else list(spec.get("enum", ()))
        for spec in (one, other)
        if isinstance(spec, Mapping)
    ]
    if len(values) == 2 and all(values):
        kinds = {spec.get("type") for spec in (one, other)} - {None}
        kind = {"type": kinds.pop()} if len(kinds) == 1 else {}
        return {**kind, "enum": [*values[0], *(v for v in values[1] if v not in values[0])]}
    options = one["anyOf"] if isinstance(one, Mapping) and set(one) == {"anyOf"} else [one]
    return {"anyOf": [*options, other]}


def describes_object(raw: Mapping[str, Any]) -> bool:
    """Whether a mapping is itself a schema of type object, not parameters by name."""
    if isinstance(raw.get("properties"), Mapping):
        return True
    if isinstance(raw.get("$ref"), str) or isinstance(raw.get("$schema"), str):
        return True
    if any(isinstance(raw.get(key), list) for key in ("anyOf", "oneOf", "allOf")):
        return True
    type_schema = from_words(raw["type"]) if isinstance(raw.get("type"), str) else None
    return bool(type_schema and type_schema.get("type") == "object" and not _flat_values(raw))


def resolved(raw: Any, note: Note) -> Any:
    """Resolve a schema's references into itself; cut circular, external and dangling ones."""
    values_left = LARGEST

    def resolve(node: Any, ancestors: tuple[str, ...], depth: int, by_name: bool = False) -> Any:
        nonlocal values_left
        values_left -= 1
        if values_left < 0 or depth > 2 * DEEPEST:
            note("a very large schema was cut")
            return {}
        if isinstance(node, list):
            return [resolve(item, ancestors, depth + 1) for item in node]
        if not isinstance(node, Mapping):
            return node
        if by_name:  # keys are names here, not keywords
            return {key: resolve(value, ancestors, depth + 1) for key, value in node.items()}
        reference = node.get("$ref")
        siblings = {
            key: value if key in VALUES else resolve(value, ancestors, depth + 1, key in MAPS)
            for key, value in node.items()
            if key != "$ref"
        }
        if not isinstance(reference, str):
            return siblings
        if reference in ancestors:
            note(f"the circular reference {reference[:80]!r} was cut")
            return siblings
        target = referred(reference, raw)
        if not isinstance(target, Mapping):
            note(f"the reference {reference[:80]!r} is external or has no target")
            return siblings
        return {**resolve(target, (*ancestors, reference), depth + 1), **siblings}

    if not isinstance(raw, Mapping):
        return raw
    return resolve({k: v for k, v in raw.items() if k not in ("$defs", "definitions")}, (), 0)


def _flat_values(mapping: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) for value in mapping.values())


def _from_flat(parameters: Mapping[str, Any], note: Note) -> dict[str, Any]:
    properties, required = {}, []
    for name, parameter in parameters.items():
        schema_source, mark = _unmarked(parameter)
        property_schema = schema(schema_source, note)
        property_schema = property_schema if isinstance(property_schema, dict) else {}
        property_schema.pop("name", None)
        if property_schema.get("default") == "":  # how several sources write "no default"
            del property_schema["default"]
        words = parameter.get("type") if isinstance(parameter, Mapping) else parameter
        optional = is_optional(words) or "default" in property_schema
        if _is_set(mark) if mark is not None else not optional:
            required.append(str(name))
        properties[str(name)] = property_schema
    parameters_schema = {"type": "object", "properties": properties}
    return parameters_schema | ({"required": required} if required else {})
