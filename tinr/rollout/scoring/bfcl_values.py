"""Values of Java and JavaScript calls: JSON to source text, and source text to plain values.

BFCL states the arguments of its Java and JavaScript categories as source text and reads
them with regular expressions. `text_of` writes a JSON value as such text, `value_of` reads
text as the official scorer does, faults included: text that it does not know stays text.
Source: bfcl-eval 2026.3.23, eval_checker/ast_eval/type_convertor.
"""

import json
import re
from typing import Any, Literal

Language = Literal["python", "java", "javascript"]
VALUE_CHARACTERS = 4000  # characters of a text that is read; a longer one stays text
INTEGER, LONG = r"-?\d+", r"-?\d+[lL]"
DECIMAL = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
# JSON Schema's type -> what the source may have called it, the likeliest first
WORDS: dict[Language, dict[str, tuple[str, ...]]] = {
    "java": {
        "boolean": ("boolean",),
        "integer": ("integer", "long"),
        "number": ("double", "float"),
        "string": ("String",),
        "array": ("Array", "ArrayList"),
        "object": ("HashMap",),
    },
    "javascript": {
        "boolean": ("Boolean",),
        "integer": ("integer", "Bigint"),
        "number": ("float",),
        "string": ("String",),
        "array": ("array",),
        "object": ("dict",),
    },
}


def language_of(category: str) -> Language:
    """The language of a BFCL category: simple_java, simple_javascript; all others are Python."""
    last = category.rsplit("_", 1)[-1]
    return last if last in WORDS else "python"  # type: ignore[return-value]


def text_of(value: Any, language: Language, word: str, items: str = "any") -> str:
    """A JSON value as source text of a parameter that the source calls `word` (of `items`).

    A text is source text already.
    """
    if isinstance(value, str):
        return value
    try:
        return _java(value, word, items) if language == "java" else _script(value, word, items)
    except RecursionError:  # no such depth can be right
        return ""


def _java(value: Any, word: str, items: str) -> str:
    if isinstance(value, list):
        quoted = word == "ArrayList" and items == "String"
        inside = ", ".join(_element(_java(v, items, "any"), v, quoted) for v in value)
        kind = {"integer": "int", "any": "Object"}.get(items, items)
        if word != "ArrayList":
            return f"new {kind}[]{{{inside}}}"
        return f"new ArrayList<>(Arrays.asList({inside}))" if value else "new ArrayList<>()"
    if isinstance(value, dict):
        puts = (
            f"put({json.dumps(k)}, {_element(_java(v, 'any', 'any'), v, True)});"
            for k, v in value.items()
        )
        return f"new HashMap<String, Object>() {{{{ {' '.join(puts)} }}}}"
    if isinstance(value, str):
        return value
    text = json.dumps(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and word == "long":
        return f"{text}L"
    return f"{text}f" if word == "float" and isinstance(value, int | float) else text


def _script(value: Any, word: str, items: str) -> str:
    if isinstance(value, list):
        quoted = items not in ("any", "integer", "float", "Bigint", "Boolean")
        return f"[{', '.join(_element(_script(v, items, 'any'), v, quoted) for v in value)}]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text}n" if word == "Bigint" and type(value) is int else text


def _element(text: str, value: Any, quoted: bool) -> str:
    return f'"{text}"' if quoted and isinstance(value, str) else text


def value_of(text: str, language: Language, word: str, items: str | None = None) -> Any:
    """The plain value of source text, as BFCL reads it for a parameter called `word`."""
    if len(text) > VALUE_CHARACTERS:
        return text
    try:
        if language == "java":
            return _java_value(text, word, items)
        return _script_value(text, word, items)
    except (ValueError, OverflowError):  # digits without end
        return text


def _java_value(text: str, word: str, items: str | None) -> Any:
    if word == "integer" and re.match(rf"^{INTEGER}$", text):
        return int(text)
    if word == "long" and re.match(rf"^{LONG}$", text):
        return int(text[:-1])
    if word == "float" and re.match(rf"^{DECIMAL}[fF]$", text):
        return float(text[:-1])
    if word == "double" and re.match(rf"^{DECIMAL}$", text):
        return float(text)
    if word == "boolean" and text in ("true", "false"):
        return text == "true"
    if word == "Array":
        found = re.search(r"new\s+\w+\[\]\s*\{(.*?)\}", text)
        parts = [p.strip() for p in found[1].split(",") if p.strip()] if found else []
        return [_java_item(p, items) for p in parts] if found else text
    if word == "ArrayList":
        return _array_list(text, items)
    return _hash_map(text) if word == "HashMap" else text


def _java_item(text: str, items: str | None) -> Any:
    return _java_value(text, items, None) if items else _java_literal(text)


def _array_list(text: str, items: str | None) -> Any:
    found = re.search(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)", text)
    added = re.search(r"new\s+ArrayList<\w*>\(\)\s*\{\{", text)
    end = text.rfind("}}") if added else -1
    if found:
        parts = found[1].split(",")
    elif added and end > added.end():
        parts = re.findall(r"add\((.+?)\)", text[added.end() : text.find("}}", added.end() + 1)])
    else:
        return [] if re.search(r"new\s+ArrayList<\w*>\(\)", text) else text
    quoted = items in ("char", "String")
    return [p.strip()[1:-1] if quoted else _java_item(p.strip(), items) for p in parts]


def _hash_map(text: str) -> Any:
    # one pattern for head and body, as the official one, can take for ever on blanks
    found = re.search(r"new\s+HashMap<.*?>\s*\(\)\s*\{", text, re.DOTALL)
    end = text.find("}", found.end()) if found else -1
    if found and end >= 0:
        inside = text[found.end() : end].strip()
        pairs = re.findall(r"put\(\"(.*?)\",\s*(.*?)\)", inside[: inside.rfind(")") + 1])
        return {key: _java_literal(value.strip()) for key, value in pairs}
    return {} if re.search(r"new\s+HashMap<.*?>\s*\(\)", text) else text


def _java_literal(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    if re.match(rf"^{LONG}$", text):
        return int(text[:-1])
    if re.match(rf"^{DECIMAL}[fF]$", text):
        return float(text[:-1])
    return _number(text)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _script_value(text: str, word: str, items: str | None) -> Any:
    if word == "String":
        return text[1:-1] if _is_quoted(text) else text
    if word == "integer" and re.match(rf"^{INTEGER}$", text):
        return int(text)
    if word == "float" and re.match(r"^-?\d+(\.\d+)?$", text):
        return float(text)
    if word == "Bigint" and re.match(rf"^{INTEGER}n$", text):
        return int(text[:-1])
    if word == "Boolean" and text in ("true", "false"):
        return text == "true"
    if word == "array":
        return _script_array(text.strip(), items)
    return _script_object(text.strip()) if word == "dict" else text


def _is_quoted(text: str) -> bool:
    return any(text.startswith(mark) and text.endswith(mark) for mark in "\"'")


def _script_array(text: str, items: str | None) -> Any:
    # the official pattern repeats an inner group and can take for ever; this one cannot
    nested = re.match(r"\[\s*\[.*?\]\s*\]|new\s+Array\(\s*\[.*?\]\s*\)", text)
    if nested:
        inner = [part.strip() for part in re.findall(r"\[(.*?)\]", nested[0])]
        inner[:1] = [part.removeprefix("[") for part in inner[:1]]
        return [[_script_literal(e) for e in part.split(",")] for part in inner]
    found = re.match(r"\[(.*?)\]|new\s+Array\((.*?)\)", text)
    if not found:
        return text
    inside = (found[1] if found[1] is not None else found[2]).strip()
    parts = [part.strip() for part in inside.split(",")] if inside else []
    return [_script_value(p, items, None) if items else _script_literal(p) for p in parts]


def _script_object(text: str) -> Any:
    found = re.match(r"\{(.*?)\}", text)
    if not found:
        return text
    pairs = re.findall(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)", found[1])
    return {key.strip().strip("'\""): _script_member(value.strip()) for key, value in pairs}


def _script_member(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return _script_array(text, None)
    if text.startswith("{") and text.endswith("}"):
        return _script_object(text)
    return _script_literal(text.strip("'\""))


def _script_literal(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if _is_quoted(text) else _number(text)
