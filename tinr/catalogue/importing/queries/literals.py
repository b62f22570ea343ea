"""Parse values and calls as models write them: JSON, Python literals, Python calls."""

import ast
import json
import re
import warnings
from collections.abc import Container, Iterator
from typing import Any

Written = tuple[str, dict[str, Any]]  # a call in a text: the tool's name, its arguments
LONGEST = 200_000  # characters of one value
SPOKEN = {"true": True, "false": False, "null": None}  # JSON constants in Python literals
NAME = re.compile(r"[^\W\d][\w.:/-]*")
KEY = re.compile(r"\s*([^\W\d][\w.-]*)\s*=(?!=)\s*")
SIGN = re.compile(r"\\.|[\"'()\[\]{},]", re.DOTALL)
SPACED_NAME = re.compile(r"\w[\w.:/-]*(?: [\w.:/-]+)*")
NAME_BEFORE = 128  # maximum characters of a name before its bracket
BRACKETS_IN_NAME = 4


class Untyped(str):
    """A value that its notation writes without quotes; the tool's schema determines its type."""


def json_value(text: str) -> Any:
    """Parse strict JSON; ValueError for a duplicate key, NaN or infinity."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)


def value_at(text: str, index: int) -> tuple[Any, int]:
    """Read the object or list that begins at an index; return it and the index after it.

    Reads JSON, or a Python literal (also with JSON constants). Raises ValueError for anything else.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
    try:
        return decoder.raw_decode(text, index)
    except (ValueError, RecursionError) as error:
        end = closing(text, index)
        if end is None:
            raise ValueError("a value without an end") from error
    return literal(text[index:end]), end


def literal(text: str) -> Any:
    """Read one JSON value or Python literal; ValueError for anything else."""
    text = text.strip()
    if text in SPOKEN:
        return SPOKEN[text]
    if len(text) > LONGEST:
        raise ValueError(f"a value of {len(text):,} characters is too long")
    try:
        return json_value(text)
    except (ValueError, RecursionError):
        pass
    try:
        tree = _parsed(text, "eval").body
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict) and _repeats([k for k in node.keys if k is not None]):
                raise ValueError("a key occurs twice")
        value = ast.literal_eval(_Spoken().visit(tree))
        return json.loads(json.dumps(value, allow_nan=False))  # tuples become lists
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"no value can be read from {text[:40]!r}") from error


def closing(text: str, index: int, longest: int = LONGEST) -> int | None:
    """Return the index after the bracket that closes the one at an index; None if none does."""
    depth = 0
    for match in _signs(text, index, min(len(text), index + longest)):
        depth += match[0] in "([{"
        if match[0] in ")]}":
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def _signs(text: str, start: int, stop: int) -> Iterator[re.Match[str]]:
    """Yield the brackets and commas of a text outside quotes."""
    quote = ""
    for match in SIGN.finditer(text, start, stop):
        sign = match[0]
        if len(sign) > 1:
            continue  # escaped
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            yield match


def python_calls(text: str, known: Container[str] = ()) -> list[Written] | None:
    """Parse a text that consists of Python calls, in a list or not; None for any other text.

    A name in a list may contain spaces, as in ToolACE; a known name may contain any characters.
    All arguments are named; raises ValueError for one that is not a literal.
    """
    text = text.strip()
    is_list = text.startswith("[") and text.endswith("]")
    inside = text[1:-1].strip() if is_list else text
    calls: list[Written] = []
    position = 0
    while position < len(inside):
        found = _call_at(inside, position, is_list, known)
        if found is None:
            return None
        name, arguments, end = found
        calls.append((name, arguments))
        between = re.compile(r"\s*[,;]?\s*").match(inside, end)
        position = between.end() if between else end
    return calls or None


def _call_at(
    text: str, position: int, in_list: bool, known: Container[str]
) -> tuple[str, dict[str, Any], int] | None:
    """Return the call that begins at a position, and the position after it; None if none does."""
    bracket, fault = position, None
    for _ in range(BRACKETS_IN_NAME if in_list else 1):
        bracket = text.find("(", bracket, position + NAME_BEFORE)
        if bracket < 0:
            break
        name = text[position:bracket].strip()
        is_spaced = in_list and SPACED_NAME.fullmatch(name) is not None
        is_known = ": " not in name and name in known
        if not NAME.fullmatch(name) and not is_spaced and not is_known:
            bracket += 1
            continue
        end = closing(text, bracket)
        after = text[end : end + 1] if end else ""
        if end and (not after or after in ",; \n\t"):
            try:
                arguments = named_arguments(text[bracket + 1 : end - 1])
            except ValueError as error:
                fault = fault or error
            else:
                is_name = not is_spaced or bool(arguments) or " " not in name or name in known
                if arguments is not None and is_name:
                    return name, arguments, end
        bracket += 1
    if fault:
        raise fault
    return None


def python_statements(text: str) -> list[Written] | None:
    """Parse code that consists of calls, possibly assigned or printed; None for any other code."""
    try:
        statements = _parsed(text.strip(), "exec").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls: list[Written] = []
    for statement in statements:
        node = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
        if _called_name(node) == "print" and isinstance(node, ast.Call) and len(node.args) == 1:
            node = node.args[0]
        name = _called_name(node)
        if not name or not isinstance(node, ast.Call):
            return None
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError(f"call of {name!r}: arguments without names")
        segments = [(k.arg, ast.get_source_segment(text.strip(), k.value)) for k in node.keywords]
        calls.append((name, {str(key): literal(segment or "") for key, segment in segments}))
    return calls or None


def _called_name(node: ast.AST | None) -> str:
    name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return name.removesuffix(".call") if NAME.fullmatch(name) else ""


def python_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Parse one Python call: its name, its positional and its named arguments."""
    text = text.strip()
    name = NAME.match(text)
    if name is None or text[name.end() : name.end() + 1] != "(":
        raise ValueError(f"{text[:60]!r} is not a call")
    end = closing(text, name.end()) or 1
    return name[0], *_arguments(text[name.end() + 1 : end - 1])


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Parse positional and named arguments; ValueError if one is not a literal."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for part in _parts(text):
        key = KEY.match(part)
        if key is not None:
            named[key[1]] = literal(part[key.end() :])
        else:
            positional.append(literal(part))
    return positional, named


def named_arguments(text: str) -> dict[str, Any] | None:
    """Parse `key=value, ...`; None if an argument is unnamed, ValueError if one is no literal."""
    arguments: dict[str, Any] = {}
    for part in _parts(text):
        key = KEY.match(part)
        if key is None:
            return None
        if key[1] in arguments:
            raise ValueError(f"the argument {key[1]!r} occurs twice")
        arguments[key[1]] = literal(part[key.end() :])
    return arguments


def has_literals_only(text: str) -> bool:
    """Whether the arguments of a call are literals, with names or without."""
    try:
        _arguments(text)
    except ValueError:
        return False
    return True


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between the commas that are outside brackets and quotes."""
    start, depth = 0, 0
    for match in _signs(text, 0, len(text)):
        depth += (match[0] in "([{") - (match[0] in ")]}")
        if match[0] == "," and depth == 0:
            yield text[start : match.start()]
            start = match.end()
    if text[start:].strip():
        yield text[start:]


def _parsed(text: str, mode: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about literals that Python discourages
        return ast.parse(text, mode=mode)


class _Spoken(ast.NodeTransformer):
    """Turns JSON constants into Python literals."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(SPOKEN[node.id]) if node.id in SPOKEN else node


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key occurs twice")
    return mapping


def _repeats(keys: list[Any]) -> bool:
    spelled = [ast.dump(key) for key in keys]
    return len(set(spelled)) < len(spelled)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
