"""Values of Java and JavaScript calls: JSON to source text, and source text to plain values.

BFCL writes the arguments of its Java and JavaScript categories as source text and reads them with
regular expressions. `text_of` converts a JSON value to such text. `value_of` reads text as the
official scorer does, including its faults: text that it cannot parse stays text.
Source: bfcl-eval 2026.3.23, eval_checker/ast_eval/type_convertor.
"""

import json
import re
from typing import Any, Literal

Language = Literal["python", "java", "javascript"]
VALUE_CHARACTERS = 4000  # longest text that is parsed; longer text stays text
INTEGER, LONG = r"-?\d+", r"-?\d+[lL]"
DECIMAL = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
# JSON Schema's type -> possible names in the source, most likely first
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
    """Return the language of a BFCL category; all but simple_java, simple_javascript are Python."""
    word = category.rsplit("_", 1)[-1]
    return word if word in WORDS else "python"  # type: ignore[return-value]


def text_of(value: Any, language: Language, word: str, items: str = "any") -> str:
    """Convert a JSON value to source text for a parameter of type `word` (of `items`).

    A string is already source text.
    """
    if isinstance(value, str):
        return value
    try:
        return _java(value, word, items) if language == "java" else _script(value, word, items)
    except RecursionError:  # no value of that depth can be right
        return ""


def _java(value: Any, word: str, items: str) -> str:
    if isinstance(value, list):
        is_quoted = word == "ArrayList" and items == "String"
        content = ", ".join(_element(_java(v, items, "any"), v, is_quoted) for v in value)
        kind = {"integer": "int", "any": "Object"}.get(items, items)
        if word != "ArrayList":
            return f"new {kind}[]{{{content}}}"
        return f"new ArrayList<>(Arrays.asList({content}))" if value else "new ArrayList<>()"
    if isinstance(value, dict):
        puts = (
            f"put({json.dumps(k)}, {_element(_java(v, 'any', 'any'), v, True)});"
            for k, v in value.items()
        )
        return f"new HashMap<String, Object>() {{{{ {' '.join(puts)} }}}}"
    if isinstance(value, str):
        return value
    text = json.dumps(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if is_integer and word == "long":
        return f"{text}L"
    return f"{text}f" if word == "float" and isinstance(value, int | float) else text


def _script(value: Any, word: str, items: str) -> str:
    if isinstance(value, list):
        is_quoted = items not in ("any", "integer", "float", "Bigint", "Boolean")
        return f"[{', '.join(_element(_script(v, items, 'any'), v, is_quoted) for v in value)}]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text}n" if word == "Bigint" and type(value) is int else text


def _element(text: str, value: Any, is_quoted: bool) -> str:
    return f'"{text}"' if is_quoted and isinstance(value, str) else text


def value_of(text: str, language: Language, word: str, items: str | None = None) -> Any:
    """Convert source text to a plain value, as BFCL does for a parameter of type `word`."""
    if len(text) > VALUE_CHARACTERS:
        return text
    try:
        if language == "java":
            return _java_value(text, word, items)
        return _script_value(text, word, items)
    except (ValueError, OverflowError):  # too many digits
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
        match = re.search(r"new\s+\w+\[\]\s*\{(.*?)\}", text)
        texts = [p.strip() for p in match[1].split(",") if p.strip()] if match else []
        return [_java_item(p, items) for p in texts] if match else text
    if word == "ArrayList":
        return _array_list(text, items)
    return _hash_map(text) if word == "HashMap" else text


def _java_item(text: str, items: str | None) -> Any:
    return _java_value(text, items, None) if items else _java_literal(text)


def _array_list(text: str, items: str | None) -> Any:
    match = re.search(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)", text)
    head = re.search(r"new\s+ArrayList<\w*>\(\)\s*\{\{", text)
    end = text.rfind("}}") if head else -1
    if match:
        texts = match[1].split(",")
    elif head and end > head.end():
        texts = re.findall(r"add\((.+?)\)", text[head.end() : text.find("}}", head.end() + 1)])
    else:
        return [] if re.search(r"new\s+ArrayList<\w*>\(\)", text) else text
    is_quoted = items in ("char", "String")
    return [p.strip()[1:-1] if is_quoted else _java_item(p.strip(), items) for p in texts]


def _hash_map(text: str) -> Any:
    # the official pattern, for head and body together, can backtrack forever on spaces
    match = re.search(r"new\s+HashMap<.*?>\s*\(\)\s*\{", text, re.DOTALL)
    end = text.find("}", match.end()) if match else -1
    if match and end >= 0:
        content = text[match.end() : end].strip()
        pairs = re.findall(r"put\(\"(.*?)\",\s*(.*?)\)", content[: content.rfind(")") + 1])
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
    # the official pattern repeats an inner group and can backtrack forever; this one cannot
    nested_match = re.match(r"\[\s*\[.*?\]\s*\]|new\s+Array\(\s*\[.*?\]\s*\)", text)
    if nested_match:
        rows = [row.strip() for row in re.findall(r"\[(.*?)\]", nested_match[0])]
        rows[:1] = [row.removeprefix("[") for row in rows[:1]]
        return [[_script_literal(e) for e in row.split(",")] for row in rows]
    match = re.match(r"\[(.*?)\]|new\s+Array\((.*?)\)", text)
    if not match:
        return text
    content = (match[1] if match[1] is not None else match[2]).strip()
    texts = [item.strip() for item in content.split(",")] if content else []
    return [_script_value(p, items, None) if items else _script_literal(p) for p in texts]


def _script_object(text: str) -> Any:
    match = re.match(r"\{(.*?)\}", text)
    if not match:
        return text
    pairs = re.findall(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)", match[1])
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
