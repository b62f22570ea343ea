"""Values and calls as models write them: JSON, Python's literals, calls as in Python."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

Written = tuple[str, dict[str, Any]]  # a call in a text: the tool's name, its arguments
OPEN, CLOSE = "([{", ")]}"
LONGEST = 200_000  # characters of one value
SPOKEN = {"true": True, "false": False, "null": None}  # JSON's words where Python's are expected
NAME = re.compile(r"[^\W\d][\w.:/-]*(?:[ ][\w.:/-]+){0,5}")
KEY = re.compile(r"\s*([^\W\d][\w.-]*)\s*=(?!=)\s*")


def json_value(text: str) -> Any:
    """Read strict JSON: ValueError for a key that stands twice, NaN and an infinite number."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)


def value_at(text: str, index: int) -> tuple[Any, int]:
    """Read the object or list that begins at an index; return it and the index after it.

    Reads JSON, or a Python literal (with JSON's words too). Raises ValueError for neither.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
    try:
        return decoder.raw_decode(text, index)
    except (ValueError, RecursionError) as error:
        end = closing(text, index)
        if end is None:
            raise ValueError("a value without its end") from error
    return literal(text[index:end]), end


def literal(text: str) -> Any:
    """Read one JSON value or Python literal; ValueError for anything else."""
    text = text.strip()
    if text in SPOKEN:
        return SPOKEN[text]
    if len(text) > LONGEST:
        raise ValueError(f"a value of {len(text):,} characters")
    try:
        return json_value(text)
    except (ValueError, RecursionError):
        pass
    try:
        tree = ast.parse(text, mode="eval").body
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict) and _repeats([k for k in node.keys if k is not None]):
                raise ValueError("a key stands twice")
        value = ast.literal_eval(_Spoken().visit(tree))
        json.dumps(value, allow_nan=False)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"no value can be read in {text[:40]!r}") from error
    return json.loads(json.dumps(value))  # tuples become lists, keys become texts


def closing(text: str, index: int) -> int | None:
    """Return the index after the bracket that closes the one at an index; None for none."""
    depth, quote, position = 0, "", index
    while position < min(len(text), index + LONGEST):
        sign = text[position]
        if quote:
            if sign == "\\":
                position += 1
            elif sign == quote:
                quote = ""
        elif sign in "\"'":
            quote = sign
        elif sign in OPEN:
            depth += 1
        elif sign in CLOSE:
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return None


def python_calls(text: str) -> list[Written] | None:
    """Read a text that has only calls as in Python, in a list or not; None for any other text.

    A name may hold blanks, as in ToolACE. All arguments are given by their names and are
    literals; raises ValueError for others.
    """
    text = text.strip()
    if text.startswith("[") and closing(text, 0) == len(text):
        text = text[1:-1].strip()
    calls: list[Written] = []
    position = 0
    while position < len(text):
        name = NAME.match(text, position)
        if name is None or name.end() >= len(text) or text[name.end()] != "(":
            return None
        end = closing(text, name.end())
        if end is None:
            return None
        arguments = named_arguments(text[name.end() + 1 : end - 1])
        if arguments is None:
            return None
        calls.append((name[0], arguments))
        between = re.compile(r"\s*[,;]?\s*").match(text, end)
        position = between.end() if between else end
    return calls or None


def python_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Read one call as in Python: its name, its arguments by place, and those by name."""
    name = NAME.match(text.strip())
    if name is None or text.strip()[name.end() : name.end() + 1] != "(":
        raise ValueError(f"{text[:60]!r} is no call")
    inside = text.strip()[name.end() + 1 : (closing(text.strip(), name.end()) or 1) - 1]
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for part in _parts(inside):
        key = KEY.match(part)
        if key is not None:
            named[key[1]] = literal(part[key.end() :])
        else:
            positional.append(literal(part))
    return name[0], positional, named


def named_arguments(text: str) -> dict[str, Any] | None:
    """Read `key=value, ...`; None if an argument has no name, ValueError if one is no literal."""
    arguments: dict[str, Any] = {}
    for part in _parts(text):
        key = KEY.match(part)
        if key is None:
            return None
        if key[1] in arguments:
            raise ValueError(f"the argument {key[1]!r} stands twice")
        arguments[key[1]] = literal(part[key.end() :])
    return arguments


def has_literals_only(text: str) -> bool:
    """Whether the arguments of a call are literals, with names or without."""
    try:
        for part in _parts(text):
            key = KEY.match(part)
            literal(part[key.end() :] if key else part)
    except ValueError:
        return False
    return True


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between its commas; those in brackets and quotes do not count."""
    start, position, quote = 0, 0, ""
    while position < len(text):
        sign = text[position]
        if quote:
            position += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in OPEN:
            position = (closing(text, position) or len(text)) - 1
        elif sign == ",":
            yield text[start:position]
            start = position + 1
        position += 1
    if text[start:].strip():
        yield text[start:]


class _Spoken(ast.NodeTransformer):
    """Makes JSON's words literals."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(SPOKEN[node.id]) if node.id in SPOKEN else node


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key stands twice")
    return mapping


def _repeats(keys: list[Any]) -> bool:
    spelled = [ast.dump(key) for key in keys]
    return len(set(spelled)) < len(spelled)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
