"""Find what looks like a tool call in a text: marks, and tool names in the position of calls.

Ordinary code, brackets and JSON do not look like one: it takes a mark of a notation, an object
with a name and arguments, or the name of a known tool, written as a call. A name that is an
ordinary word (`add`, `search`) needs more evidence than one that is not (`get_weather`).
"""

import builtins
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from tinr.catalogue.importing.queries.call_objects import is_document, written_calls
from tinr.catalogue.importing.queries.literals import (
    NAME,
    closing,
    has_literals_only,
    python_statements,
    value_at,
)
from tinr.catalogue.importing.queries.tool_names import ToolNames, is_compound

WIDE = str.maketrans("（）：［］｛｝＂＝，“”‘’", '():[]{}"=,""\'\'')
HIDDEN = re.compile(r"[\u200b-\u200d\u2060\ufeff]")
WINDOW = 64  # characters checked on each side of a name
LONGEST_NAME = 128
LONGEST_PROGRAM = 4  # lines; in a longer text, a word and its arguments are part of code
LONGEST_ARGUMENTS = 2_000  # characters, in a call of an ordinary word
MOST_VALUES = 50  # brackets that do not start a value, after which no other is tried
KEY = r"(?:(?:tool_?|function_?|api_?|recipient_)?name|tool|function|action|api|recipient|method)"
MARKS = re.compile(
    r"<\|[^<>|\n]{0,40}(?:tool|func|plugin|python_tag|ACTION|recipient)[^<>|\n]{0,40}\|?>|"
    r"｜[^｜\n]{0,20}tool[^｜\n]{0,20}｜|✿(?:FUNCTION|ARGS)✿|"
    r"</?(?:[\w-]{1,40}:)?(?:\w{1,20}_)?(?:tool[_-]?calls?|tool[_-]?use|function[_-]?calls?|"
    r"tool_code|tool_name|tool_token|tool_input|start_function_call|arg_key)\b|"
    r"^[ \t]*name:[ \t]*[\w.-]{1,80}[ \t]*\n[ \t]*(?:arguments|parameters|args):[ \t]*$|"
    r"<(?:[\w-]{1,40}:)?invoke\s+name=|<function=|\[/?TOOL_CALLS?\]|\w\[ARGS\]|\bfunctools\[|"
    r"```tool_|<\|channel\|>commentary|\bto=functions\.|\bAction[ \t]+Input[ \t]*:|"
    r"^[ \t]*Action[ \t]*\d{0,3}[ \t]*:[ \t]*\w{1,60}\[[^\n]{0,200}\][ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
BEGUN = re.compile(  # an object with a name and arguments, complete or not
    rf"(?:[\"']{KEY}[\"']|\b(?:name|tool|function|action))\s{{0,8}}:\s{{0,8}}"
    r"[\"'][^\"'\n]{1,128}[\"']\s{0,8},\s{0,8}"
    r"[\"']?(?:arguments|args|tool_input|action_input|parameters)[\"']?\s{0,8}:"
    r"\s{0,8}(?:\{|[\"'][ ]?\{|$)|"
    r"\bname\s{0,4}=\s{0,4}[\"'][^\"'\n]{1,128}[\"']\s{0,8},\s{0,8}"
    r"(?:arguments|args|parameters|input)\s{0,4}=\s{0,4}[{\"']"
)
WORD = re.compile(r"(?<![\w])[^\W\d][\w.:/-]*")
LABEL = (
    r"(?:(?:tool|function|api)[ _]?(?:name|call)|action|tool|function|api|call|invoke|command|"
    r"recipient)"
)
# text directly before a name: before any name, and before one that is not an ordinary word
BEFORE_ANY = re.compile(
    rf"[\"']{KEY}[\"']\s*:\s*[\"']$|<\w+=[\"']?$|<\|$|call_?tool\(\s*[\"']$|"
    r"<(?:tool|function|call|invoke|action)(?:\s+name\s*=\s*[\"']|>\s*)$",
    re.IGNORECASE,
)
ACTION = re.compile(
    r"(?:^|\n)[ \t>*#-]*(?:action|call|invoke|(?:tool|function)[ _]?call)"
    r"[*_ \t\d]*[:=][ \t*_`\"']*$",
    re.IGNORECASE,
)
LABELLED = re.compile(rf"(?:^|[\n*_`(\[{{>.#-])[ \t]*[\"']?{LABEL}[\"'*_ \t\d]*[:=][ \t*_`\"']*$",
                      re.IGNORECASE)  # fmt: skip
BEFORE_COMPOUND = re.compile(
    rf"\b{LABEL}[\"'*_ \t\d]*[:=][ \t*_`\"']*$|[\"']name[\"']?\s*:\s*[\"']?$|\bname\s*:\s*$|"
    r"</?$|<\w[^<>\n]{0,30}=\s*[\"']$|[({]\s*[\"']$|(?:^|\n)[ \t]*[@/!$]$",
    re.IGNORECASE,
)
ANNOUNCED = re.compile(
    r"\b(?:let me|let's|i'll|i will|i'm going to|i am going to|i should|i now)\b"
    r"[^.!?\n]{0,24}\b(?:call|use|run|invoke|execute|try|query)\b[^.!?\n]{0,16}$|"
    r"(?:^|[.!?\n]\s*)(?:calling|invoking|executing|running|using)\s[^.!?\n]{0,24}$",
    re.IGNORECASE,
)
CONDITION = re.compile(  # a sentence that continues like this does not announce a call
    r"[^.!?\n]*\b(?:once|if|when|but|until|after you|need|missing|please|tell me|could you|found|"
    r"got|shows?|was|were|would)\b|[^.!?\n]*\?",
    re.IGNORECASE,
)
AFTER_COMPOUND = re.compile(  # text after a name that is not an ordinary word
    r"[`\"'*]{0,3}\(|[ \t]+\((?:\s*\)|[^()\n]{0,60}(?:[=\"'\d]|$|\n))|"
    r"[\"'`]?\s{0,8}(?::|=|->|=>)?\s{0,8}[{\[]\s{0,8}[\"'{}\]]|[\"'`]?\s{0,8}:\s{0,8}\{|[\[{]\w|"
    r"[\"']\s{0,8},\s{0,8}[\"']?(?:arguments|args|parameters|input|tool_input|action_input)\b|"
    r"[\"']?\s{0,8}:\s{0,8}[\"'\[]|[\"']\s{0,8}[}]|\s{1,8}--?\w|\s{1,8}:\w|"
    r"[ \t]{1,4}[\"'][^\"'\n]{1,60}[\"'][ \t]*(?:\n|$)"
)
ALONE = re.compile(
    r"[`\"'*]*[ \t]*(?:[\[({,;|]|\n[ \t]*\n|\n[ \t]*(?:action|[{\[])|\s*$)", re.IGNORECASE
)
INPUT = re.compile(
    r"[`\"'*]*[ \t]*(?:[\[({|]|"
    r"\n[ \t*_#-]*(?:action[ _])?(?:input|args|arguments|param\w*|query)\b|"
    r"\n[ \t]*(?:```\w*\n)?[{\[])",
    re.IGNORECASE,
)
WITH_KEY = re.compile(r"[`\"']?\s{1,8}(?:with\s{1,8})?[\"'`]?(?P<key>\w{1,64})[\"'`]?\s{0,8}[=:]")
WITH_OBJECT = re.compile(
    r"\W{0,4}(?:tool|function)?\s{0,4}(?:with|using)?\s{0,4}(?:arguments|parameters|input)?:?"
    r"\s{0,4}\{"
)
RUN = re.compile(r"(?P<name>.+)\.(?:a?invoke|a?run|a?call|execute|forward)$")  # NAME.invoke(
SPACED = re.compile(r"(?:[^\W\d][\w-]{0,40} ){1,5}[^\W\d][\w-]{0,40}$")  # a name with spaces
DEFINED = re.compile(  # names that code defines or imports itself
    r"\bclass\s+(\w+)|\b(?:def|function|func|fn|fun|sub)\s+(\w+)\s*\(|"
    r"\b(?:const|let|var)\s+(\w+)\s*=|^[ \t]*(\w+)\s*(?:<-|=)\s*(?:function|lambda|async|\()|"
    r"^[ \t]*(?:[\w<>*&]+[ \t]+){1,3}(\w+)[ \t]*\((?:\w[\w<>*&]*[ \t]+[\w*&]+[ \t,]*)+\)|"
    r"\bimport\s+(?:[\w, ]*,\s*)?(\w+)",
    re.MULTILINE,
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
    """Return what looks like a tool call in a text; empty if nothing does."""
    text = text.translate(WIDE)
    for variant in dict.fromkeys((text, _unescaped(text))):
        mark = MARKS.search(variant) or BEGUN.search(variant)
        found = mark[0] if mark else next(_suspects(variant, known), "")
        if found:
            return repr(found.strip()[:60])
    return ""


def _unescaped(text: str) -> str:
    """Undo what can hide a name in a text: escapes, wide letters, zero-width characters."""
    text = html.unescape(text) if "&lt;" in text or "&quot;" in text else text
    text = unicodedata.normalize("NFKC", HIDDEN.sub("", text))
    return text.replace("\\_", "_").replace('\\"', '"')


def _suspects(text: str, known: ToolNames) -> Iterator[str]:
    values = list(json_values(text))
    yield from (text[start:end] for start, end, value in values if _may_hold_call(value, known))
    yield from _lone_call(text, known)
    for start, end, value in values:
        if _has_document(value):  # the text shows a tool's document
            text = text[:start] + " " * (end - start) + text[end:]
    defined = {name for group in DEFINED.findall(text) for name in group if name}
    for match in WORD.finditer(text):
        name = match[0][:LONGEST_NAME].rstrip(".:/-")
        start, end = match.start(), match.start() + len(name)
        run = RUN.match(name)
        if run and run["name"] in known and text[end : end + 1] == "(":
            yield text[start : end + 32]
        is_word = not name.startswith("_") and "://" not in name
        is_tool = is_word and name in known and name not in defined
        if is_tool and _is_called(text, start, end, name, known):
            yield text[max(0, start - 16) : end + 32]
    for match in re.finditer(r"\(", text):
        spaced = SPACED.search(text[max(0, match.start() - WINDOW) : match.start()])
        if spaced and any(name in known for name in _spaced_names(spaced[0])):
            yield text[match.start() - len(spaced[0]) : match.start() + 32]


def json_values(text: str) -> Iterator[tuple[int, int, Any]]:
    """Yield (start, end, value) of the JSON objects and lists of objects in a text."""
    position, failures = 0, 0
    pattern = re.compile(r"\{\s{0,8}[\"'}]|\[\s{0,8}\{")
    while failures < MOST_VALUES and (match := pattern.search(text, position)) is not None:
        try:
            value, end = value_at(text, match.start())
        except ValueError:
            position, failures = match.start() + 1, failures + 1
            continue
        yield match.start(), end, value
        position = end


def _has_document(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_document, value))
    if not isinstance(value, dict):
        return False
    return is_document(value) or any(map(_has_document, value.values()))


def _may_hold_call(value: Any, known: ToolNames) -> bool:
    """Whether a JSON value is or contains a call, even one that cannot be read."""
    try:
        return holds_call(value, known)
    except ValueError:
        return True


def holds_call(value: Any, known: ToolNames) -> bool:
    """Whether a JSON value is or contains a call; ValueError for a call that cannot be read."""
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    else:
        return False
    return bool(written_calls(value, known)) or any(holds_call(item, known) for item in inner)


def _lone_call(text: str, known: ToolNames) -> Iterator[str]:
    """Yield a text that is only a call with named literals, or only a tool's name."""
    lone = text.strip()
    if lone.startswith("```") and lone.endswith("```"):
        lone = lone[3:-3].partition("\n")[2]
    lone = lone.strip("`\"'. \n")
    if lone in known and NAME.fullmatch(lone):
        yield lone
    if len(lone) < 2_000 and lone.endswith(")") and NAME.match(lone):
        try:
            calls = python_statements(lone) or []
        except ValueError:
            return
        if any("_" in name and "." not in name and arguments for name, arguments in calls):
            yield lone


def _spaced_names(words: str) -> Iterator[str]:
    """Yield the names with spaces that may end at a bracket: the last two words, three, ..."""
    parts = words.split(" ")
    yield from (" ".join(parts[-count:]) for count in range(2, len(parts) + 1))


def _is_called(text: str, start: int, end: int, name: str, known: ToolNames) -> bool:
    """Whether a known name in a text is written as a call."""
    before, after = text[max(0, start - WINDOW) : start], text[end : end + WINDOW]
    parameters = known.parameters(name) or frozenset()
    if BEFORE_ANY.search(before) or (ACTION.search(before) and ALONE.match(after)):
        return True
    if LABELLED.search(before) and INPUT.match(after):
        return True
    if re.search(r"</?$", before) and name.lower() not in ELEMENTS:
        attribute = re.match(r"\s+(\w+)\s*=", after)
        is_only = len(set(re.findall(r"<(\w+)", text))) <= 1
        if (attribute and attribute[1] in parameters) or (is_only and re.match(r"\s*/?>", after)):
            return True
    if is_compound(name):
        return _is_compound_called(text, end, before, after, parameters)
    with_object = WITH_OBJECT.match(after)
    if with_object and _has_parameters(text, end + with_object.end() - 1, parameters):
        return True
    return after.startswith("(") and _is_word_called(text, start, end, name, parameters)


def _is_compound_called(
    text: str, end: int, before: str, after: str, parameters: frozenset[str]
) -> bool:
    """Whether a name that is not an ordinary word is written as a call."""
    if before.endswith("[") and after.startswith("]("):
        return False  # a link
    if re.match(r"[`*]*\(", after) and _is_signature(text, text.index("(", end), parameters):
        return False
    if ANNOUNCED.search(before) and not CONDITION.match(text[end : end + 4 * WINDOW]):
        return True
    if BEFORE_COMPOUND.search(before) or AFTER_COMPOUND.match(after):
        return True
    if re.search(r"(?:^|\n\s*\n)[ \t`]*$", before) and re.match(r"[ \t`]*(?:\n\s*\n|\s*$)", after):
        return True  # a separate paragraph
    keyed = WITH_KEY.match(after)
    return keyed is not None and keyed["key"] in parameters


def _is_signature(text: str, bracket: int, parameters: frozenset[str]) -> bool:
    """Whether a bracket contains the parameters of a tool themselves, without values."""
    end = closing(text, bracket, LONGEST_ARGUMENTS)
    inside = text[bracket + 1 : end - 1] if end else "("
    parts = re.findall(r"\s*(\w+)\s*(\??:\s*[^\W\d][^,()\"':=]*|\?)?(=[^,()]+)?(?:,|$)", inside)
    is_whole = len("".join(inside.split())) == sum(
        len("".join(f"{name}{kind}{default}".split())) for name, kind, default in parts
    ) + max(0, len(parts) - 1)
    return (
        bool(parts)
        and is_whole
        and all(name in parameters and (kind or not default) for name, kind, default in parts)
    )


def _has_parameters(text: str, index: int, parameters: frozenset[str]) -> bool:
    """Whether the object at an index contains only parameters of a tool."""
    try:
        value, _ = value_at(text, index)
    except ValueError:
        return re.match(r"\{\s*[\"']\w", text[index : index + 8]) is not None
    return isinstance(value, dict) and bool(value) and set(value) <= parameters


def _is_word_called(text: str, start: int, end: int, name: str, parameters: frozenset[str]) -> bool:
    """Whether an ordinary word before a round bracket is a call of the tool of that name."""
    if OWN.match(name):
        return True
    if text[max(0, start - 1) : start] == ".":
        return False  # a method of something
    closed = closing(text, end, LONGEST_ARGUMENTS)
    inside = text[end + 1 : closed - 1] if closed else text[end + 1 : end + WINDOW]
    keys = re.findall(r"(?:^|,|\{)\s*(\w+)\s*(?:=(?!=)|:)", inside)
    if keys and set(keys) <= parameters and not _is_signature(text, end, parameters):
        return True
    line_start = text.rfind("\n", 0, start) + 1
    opening, ending = text[line_start:start], text[closed or len(text) :].split("\n", 1)[0]
    is_alone = re.fullmatch(r"[\s`\[*-]*(?:\w+\s*=\s*)?(?:print\()?", opening) is not None
    is_alone = is_alone and re.fullmatch(r"[\s`\])]*", ending) is not None
    is_told = (
        name not in BUILT_IN
        and inside.strip()
        and re.search(
            r"\b(?:use|using|call|calling|run|running|invoke|with)\s+[`\"']?$|:\s*[`\"']?$", opening
        )
    )
    if not (is_alone or is_told) or not (has_literals_only(inside) or not closed):
        return False
    return len([line for line in text.split("\n") if line.strip()]) <= LONGEST_PROGRAM
