"""What in a text looks like a call of a tool: names of tools where calls have them, and marks.

Ordinary code, brackets and JSON do not look like one: it takes a mark of a notation, an object
with a name and arguments, or the name of a tool that is known, written as a call. A name that
is an ordinary word (`add`, `search`) needs more than one that is not (`get_weather`).
"""

import builtins
import html
import re
from collections.abc import Iterator
from typing import Any

from tinr.catalogue.importing.queries.call_objects import written_calls
from tinr.catalogue.importing.queries.literals import (
    NAME,
    closing,
    has_literals_only,
    python_statements,
    value_at,
)
from tinr.catalogue.importing.queries.tool_names import ToolNames, is_compound

WIDE = str.maketrans("（）：［］｛｝＂＝，", '():[]{}"=,')
WINDOW = 64  # characters beside a name that are looked at
LONGEST_NAME = 128
LONGEST_ARGUMENTS = 2_000  # of a call of an ordinary word
MOST_VALUES = 50  # brackets that begin no value, after which no other is tried
KEY = r"(?:(?:tool_?|function_?|api_?|recipient_)?name|tool|function|action|api|recipient|method)"
MARKS = re.compile(
    r"<\|[^<>|\n]{0,40}(?:tool|func|plugin|python_tag|ACTION|recipient)[^<>|\n]{0,40}\|?>|"
    r"<｜[^<>\n]{0,40}tool[^<>\n]{0,40}>|✿(?:FUNCTION|ARGS)✿|"
    r"</?(?:[\w-]{1,40}:)?(?:\w{1,20}_)?(?:tool_?calls?|tool_?use|function_?calls?|tool_code|"
    r"tool_name|tool_token|tool_input|start_function_call|arg_key)\b[^<>\n]{0,80}>|"
    r"<(?:[\w-]{1,40}:)?invoke\s+name=|<function=|\[/?TOOL_CALLS?\]|\w\[ARGS\]|\bfunctools\[|"
    r"```tool_|<\|channel\|>commentary|\bto=functions\.|\bAction[ \t]+Input[ \t]*:|"
    r"^[ \t]*Action[ \t]*\d{0,3}[ \t]*:[ \t]*\w{1,60}\[[^\n]{0,200}\][ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
BEGUN = re.compile(  # an object with a name and arguments, whole or not
    rf"[\"']{KEY}[\"']\s{{0,8}}:\s{{0,8}}[\"'][^\"'\n]{{1,128}}[\"']\s{{0,8}},\s{{0,8}}"
    r"[\"'](?:arguments|args|tool_input|action_input|parameters)[\"']\s{0,8}:|"
    r"\bname\s{0,4}=\s{0,4}[\"'][^\"'\n]{1,128}[\"']\s{0,8},\s{0,8}"
    r"(?:arguments|args|parameters|input)\s{0,4}="
)
WORD = re.compile(r"(?<![\w])[^\W\d][\w.:/-]*")
LABEL = (
    r"(?:(?:tool|function|api)[ _]?(?:name|call)|action|tool|function|api|call|invoke|command|"
    r"recipient)"
)
# what stands before a name, up to it: of any name, and of one that is no ordinary word
BEFORE_ANY = re.compile(
    rf"[\"']{KEY}[\"']\s*:\s*[\"']$|<\w+=[\"']?$|"
    r"(?:^|\n)[ \t>*#-]*(?:action|call|invoke|(?:tool|function)[ _]?call)"
    r"[*_ \t\d]*[:=][ \t*_`\"']*$",
    re.IGNORECASE,
)
BEFORE_COMPOUND = re.compile(
    rf"\b{LABEL}[\"'*_ \t\d]*[:=][ \t*_`\"']*$|[\"']name[\"']?\s*:\s*[\"']?$|\bname\s*:\s*$|"
    r"</?$|=\s*[\"']$|[(\[{]\s*[\"']$|(?:^|\s)[@/!$]$|"
    r"\b(?:let me|let's|i'll|i will|i'm going to|i am going to|i need to|i should|i now)\b"
    r"[^.!?\n]{0,24}\b(?:call|use|run|invoke|execute|try|query)\b[^.!?\n]{0,16}$|"
    r"(?:^|[.!?\n]\s*)(?:calling|invoking|executing|running|using)\s[^.!?\n]{0,24}$",
    re.IGNORECASE,
)
AFTER_COMPOUND = re.compile(  # what stands after such a name
    r"[`\"'*]{0,3}[ \t]*\(|[\"'`]?\s{0,8}[:=-]{0,2}>?\s{0,8}[{\[]\s{0,8}[\"'{}\]]|[\[{]\w|"
    r"[\"']?\s{0,8}[\"']\s{0,8}[,:}\]]|[\"']\s{0,8}[,:}\]]|\s{1,8}--?\w|\s{1,8}:\w"
)
INPUT = re.compile(r"[`\"'*]*[ \t]*(?:[\[({,;|\n]|$)")
WITH_KEY = re.compile(r"[`\"']?\s{1,8}(?:with\s{1,8})?[\"'`]?(?P<key>\w{1,64})[\"'`]?\s{0,8}[=:]")
WITH_OBJECT = re.compile(r"\W{0,4}(?:with|using)?\s{0,4}(?:arguments|parameters|input)?:?\s{0,4}\{")
SPACED = re.compile(r"(?:[^\W\d][\w-]{0,40} ){1,5}[^\W\d][\w-]{0,40}$")  # a name with blanks
DEFINED = re.compile(
    r"\bclass\s+(\w+)|"
    r"\b(?:def|function|func|fn|fun|sub|void|int|double|float|bool|string|auto)\s+(\w+)\s*\("
)
OWN = re.compile(r"(?:functions|default_api|tools?|api|agent|mcp)\.\w+$")
BUILT_IN = frozenset(dir(builtins))
ELEMENTS = frozenset(
    "a abbr address article aside audio b base body br button canvas caption cite code col data "
    "details dialog div dl dt em embed figure footer form frame h1 h2 h3 head header hr html i "
    "iframe img input kbd label legend li link main map mark menu meta meter nav object ol option "
    "output p param picture pre progress q s samp script section select slot small source span "
    "strong style sub summary sup svg table tbody td template text textarea tfoot th thead time "
    "title tr track u ul use var video wbr".split()
)


def looks_like_call(text: str, known: ToolNames) -> str:
    """Return what in a text looks like a call of a tool; empty if nothing does."""
    text = text.translate(WIDE)
    for variant in dict.fromkeys((text, _unescaped(text))):
        mark = MARKS.search(variant) or BEGUN.search(variant)
        found = mark[0] if mark else next(_suspects(variant, known), "")
        if found:
            return repr(found.strip()[:60])
    return ""


def _unescaped(text: str) -> str:
    """Return a text without the escapes of Markdown, HTML and JSON inside JSON."""
    text = html.unescape(text) if "&lt;" in text or "&quot;" in text else text
    return text.replace("\\_", "_").replace('\\"', '"')


def _suspects(text: str, known: ToolNames) -> Iterator[str]:
    yield from _objects(text, known)
    yield from _lone_call(text)
    defined = {name for pair in DEFINED.findall(text) for name in pair if name}
    for match in WORD.finditer(text):
        name = match[0][:LONGEST_NAME].rstrip(".:/-")
        if not name.startswith("_") and name in known and name not in defined:
            start, end = match.start(), match.start() + len(name)
            if _is_called(text, start, end, name, known):
                yield text[max(0, start - 16) : end + 32]
    for match in re.finditer(r"\(", text):
        spaced = SPACED.search(text[max(0, match.start() - WINDOW) : match.start()])
        if spaced and any(name in known for name in _spaced_names(spaced[0])):
            yield text[match.start() - len(spaced[0]) : match.start() + 32]


def _objects(text: str, known: ToolNames) -> Iterator[str]:
    """Yield the JSON in a text that is a call, or has one inside."""
    failures = 0
    position = 0
    pattern = re.compile(r"\{\s{0,8}[\"']|\[\s{0,8}\{")
    while failures < MOST_VALUES and (match := pattern.search(text, position)) is not None:
        try:
            value, position = value_at(text, match.start())
        except ValueError:
            failures, position = failures + 1, match.start() + 1
            continue
        try:
            if holds_call(value, known):
                yield text[match.start() : position]
        except ValueError:  # a call that cannot be read
            yield text[match.start() : position]


def holds_call(value: Any, known: ToolNames) -> bool:
    """Whether a JSON value is a call, or has one inside. ValueError for one that is not whole."""
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    else:
        return False
    return bool(written_calls(value, known)) or any(holds_call(item, known) for item in inner)


def _lone_call(text: str) -> Iterator[str]:
    """Yield a text that is one call with named literals, of whatever it calls."""
    lone = text.strip().strip("`").strip()
    if len(lone) < 2_000 and lone.endswith(")") and NAME.match(lone):
        try:
            calls = python_statements(lone) or []
        except ValueError:
            return
        if any(is_compound(name) and arguments for name, arguments in calls):
            yield lone


def _spaced_names(words: str) -> Iterator[str]:
    """Yield the names with blanks that may end at a bracket: the last two words, three, ..."""
    parts = words.split(" ")
    yield from (" ".join(parts[-count:]) for count in range(2, len(parts) + 1))


def _is_called(text: str, start: int, end: int, name: str, known: ToolNames) -> bool:
    """Whether a known name in a text is written as a call."""
    before, after = text[max(0, start - WINDOW) : start], text[end : end + WINDOW]
    if BEFORE_ANY.search(before) and (INPUT.match(after) or before[-1:] in "\"'="):
        return True
    if re.search(r"</?$", before) and re.match(r"\s*/?>", after) and name.lower() not in ELEMENTS:
        return True
    if is_compound(name):
        if before.endswith("[") and after.startswith("]("):
            return False  # a link
        if BEFORE_COMPOUND.search(before) or AFTER_COMPOUND.match(after):
            return True
        keyed = WITH_KEY.match(after)
        return keyed is not None and keyed["key"] in (known.parameters(name) or ())
    with_object = WITH_OBJECT.match(after)
    if with_object and _has_parameters(text, end + with_object.end() - 1, name, known):
        return True
    return after.startswith("(") and _is_word_called(text, start, end, name, known)


def _has_parameters(text: str, index: int, name: str, known: ToolNames) -> bool:
    """Whether the object at an index has parameters of a tool and nothing else."""
    try:
        value, _ = value_at(text, index)
    except ValueError:
        return re.match(r"\{\s*[\"']\w", text[index : index + 8]) is not None
    parameters = known.parameters(name) or frozenset()
    return isinstance(value, dict) and bool(value) and set(value) <= parameters


def _is_word_called(text: str, start: int, end: int, name: str, known: ToolNames) -> bool:
    """Whether an ordinary word before a round bracket is a call of the tool of that name."""
    if OWN.match(name):
        return True
    if text[max(0, start - 1) : start] == ".":
        return False  # a method of something
    closed = closing(text, end, LONGEST_ARGUMENTS)
    inside = text[end + 1 : closed - 1] if closed else text[end + 1 : end + WINDOW]
    if not inside.strip() or name in BUILT_IN:
        opening = text[text.rfind("\n", 0, start) + 1 : start]
        ending = text[closed or len(text) :].split("\n", 1)[0]
        is_alone = re.fullmatch(r"[\s`\[]*(?:\w+\s*=\s*)?(?:print\()?", opening)
        if not is_alone or not re.fullmatch(r"[\s`\])]*", ending):
            return False
        if not inside.strip():
            return True
    keys = re.findall(r"(?:^|,)\s*(\w+)\s*=(?!=)", inside)
    parameters = known.parameters(name) or frozenset()
    return (bool(keys) and set(keys) <= parameters) or has_literals_only(inside)
