"""What in a text looks like a call of a tool: names of tools where calls have them, and marks.

Ordinary code, brackets and JSON do not look like one: it takes a mark of a notation, an object
with a name and arguments, or the name of a tool that is known, written as a call. A name that
is an ordinary word (`add`, `search`) needs more than one that is not (`get_weather`).
"""

import builtins
import re
from collections.abc import Iterator

from tinr.catalogue.importing.queries.call_objects import written_calls
from tinr.catalogue.importing.queries.literals import closing, has_literals_only, value_at
from tinr.catalogue.importing.queries.tool_names import ToolNames, is_compound

MARKS = re.compile(
    r"<\|[^<>|\n]{0,40}(?:tool|func|plugin|python_tag|ACTION|recipient)[^<>|\n]{0,40}\|?>|"
    r"<｜[^<>\n]{0,40}tool[^<>\n]{0,40}>|"
    r"</?(?:[\w-]+:)?(?:tool_?calls?|tool_?use|function_?calls?|tool_code|tool_name|tool_token|"
    r"start_function_call|arg_key)\b[^<>\n]{0,80}>|"
    r"<(?:[\w-]+:)?invoke\s+name=|<function=|\[/?TOOL_CALLS?\]|\w\[ARGS\]|\bfunctools\[|"
    r"```tool_|<\|channel\|>commentary|\bto=functions\.|Action[ \t]+Input[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
KEY = r"(?:(?:tool_?|function_?|api_?|recipient_)?name|tool|function|action|api|recipient)"
BEGUN = re.compile(  # an object with a name and arguments, whole or not
    rf"[\"']{KEY}[\"']\s*:\s*[\"'][^\"'\n]{{1,128}}[\"']\s*,\s*"
    r"[\"'](?:arguments|args|tool_input|action_input|parameters)[\"']\s*:"
)
WORD = r"(?P<name>[^\W\d][\w.:/-]*)"
OF_ANY = [  # where any name of a tool is the name of a call
    re.compile(rf"[\"']{KEY}[\"']\s*:\s*[\"'](?P<name>[^\"'\n]{{1,128}})[\"']", re.IGNORECASE),
    re.compile(rf"<\w+=[\"']?{WORD}[\"']?>"),
    re.compile(
        r"^[ \t>*-]*(?:action|tool|function|api|call|invoke|tool[ _]?(?:name|call)|"
        rf"function[ _]?(?:name|call))[*_]*[ \t]*[:=][ \t*_`\"']*{WORD}"
        r"(?=[`\"'*]*[ \t]*(?:[\[({,;|]|$))",
        re.IGNORECASE | re.MULTILINE,
    ),
]
OF_COMPOUND = [  # where a name is the name of a call if it is no ordinary word
    re.compile(
        r"(?:^|[\n*_`(\[{>.-])[ \t]*[\"']?(?:action|tool|function|api|call|calling|invoke|invoking|"
        r"command|recipient|name|(?:tool|function)[ _]?(?:name|call))[\"'*_]*[ \t]*[:=]"
        rf"[ \t*_`\"']*{WORD}",
        re.IGNORECASE,
    ),
    re.compile(rf"</?{WORD}[^<>\n]*>"),
    re.compile(rf"[\"']{WORD}[\"']?\s*[,:}}\]]"),
    re.compile(rf"{WORD}[\"']\s*[,:}}\]]"),
    re.compile(rf"=\s*[\"']{WORD}[\"']"),
    re.compile(rf"[(\[{{]\s*{WORD}\s+[:\"'-]"),
    re.compile(rf"[(\[{{]\s*[\"']{WORD}"),
    re.compile(rf"(?:^|\s)[@/!$]{WORD}"),
    re.compile(rf"{WORD}\s+--?\w"),
]
ANNOUNCED = re.compile(
    r"\b(?:let me|let's|i'll|i will|i'm going to|i am going to|i need to|i should|calling|"
    r"invoking|executing|running)\b(?P<words>[^.\n]{0,60})",
    re.IGNORECASE,
)
CALLED = re.compile(
    r"(?P<name>(?:[^\W\d][\w-]*[ ]){0,5}?[^\W\d][\w.:/-]*)[`\"']?(?P<gap>\s*)(?P<open>[(\[{])"
)
WITH_KEY = re.compile(rf"{WORD}[`\"']?\s+(?:with\s+)?[\"'`]?(?P<key>\w+)[\"'`]?\s*[=:]")
DEFINED = re.compile(
    r"\b(?:def|function|func|fn|fun|sub|class|void|int|double|float|bool|string|auto)\s+(\w+)\s*\("
)
BUILT_IN = frozenset(dir(builtins))


def looks_like_call(text: str, known: ToolNames) -> str:
    """Return what in a text looks like a call of a tool; empty if nothing does."""
    mark = MARKS.search(text) or BEGUN.search(text)
    if mark:
        return repr(mark[0].strip()[:60])
    return next((repr(found.strip()[:60]) for found in _suspects(text, known)), "")


def _suspects(text: str, known: ToolNames) -> Iterator[str]:
    for match in re.finditer(r"\{\s*[\"']|\[\s*\{", text):
        try:
            value, end = value_at(text, match.start())
            if _holds_call(value, known):
                yield text[match.start() : end]
        except ValueError:
            continue
    for pattern in (*OF_ANY, *OF_COMPOUND):
        for match in pattern.finditer(text):
            name = match["name"].rstrip(".:/-")
            if name in known and (pattern in OF_ANY or is_compound(name)):
                yield match[0]
    for match in WITH_KEY.finditer(text):
        parameters = known.parameters(match["name"]) or ()
        if match["key"] in parameters and is_compound(match["name"]):
            yield match[0]
    for match in ANNOUNCED.finditer(text):
        names = re.findall(r"[^\W\d]\w+", match["words"])
        if any(name in known and is_compound(name) for name in names):
            yield match[0]
    defined = set(DEFINED.findall(text))
    for match in CALLED.finditer(text):
        for name in _names(match["name"]):
            if name in known and name not in defined and _is_called(text, match, name, known):
                yield text[match.start() : match.start() + 60]


def _holds_call(value: object, known: ToolNames) -> bool:
    """Whether a JSON value is a call, or has one inside."""
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return False
    return bool(written_calls(value, known)) or any(_holds_call(item, known) for item in inner)


def _names(words: str) -> Iterator[str]:
    """Yield the names that may end at a bracket: the last word, the last two, ..."""
    parts = words.split(" ")
    yield from (" ".join(parts[-count:]) for count in range(1, len(parts) + 1))


def _is_called(text: str, match: re.Match[str], name: str, known: ToolNames) -> bool:
    """Whether a known name before a bracket is written as a call."""
    begin, gap, bracket = match["open"], match["gap"], match.start("open")
    after = text[bracket + 1 :]
    if " " in name:
        return begin == "(" and not gap and is_compound(name)
    if is_compound(name):
        if begin == "(":
            return "\n" not in gap
        return bool(re.match(r"\s*[\"'{}\]]" if gap else r"\s*[\"'{\w\]}]", after))
    if begin == "{":
        return not gap and re.match(r"\s*\"", after) is not None
    if gap or begin != "(" or text[: match.end("name")].endswith(f".{name}"):
        return False
    end = closing(text, bracket)
    inside = text[bracket + 1 : end - 1] if end else after
    if not inside.strip() or name in BUILT_IN:
        line_start = text.rfind("\n", 0, bracket) + 1
        opening = text[line_start : match.end("name") - len(name)]
        ending = text[end or len(text) :].split("\n", 1)[0]
        is_alone = re.fullmatch(r"[\s`\[]*(?:\w+\s*=\s*)?(?:print\()?", opening)
        if not is_alone or not re.fullmatch(r"[\s`\])]*", ending):
            return False
        if not inside.strip():
            return True
    keys = re.findall(r"(?:^|,)\s*(\w+)\s*=(?!=)", inside)
    parameters = known.parameters(name) or frozenset()
    return (bool(keys) and set(keys) <= parameters) or has_literals_only(inside)
