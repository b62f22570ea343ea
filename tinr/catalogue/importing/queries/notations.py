"""Calls in the text of an assistant, in the notations of the usual models.

`read_text` is an allow-list: it returns a text without calls only if nothing in the text looks
like a call. What looks like one and cannot be read is a ValueError.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinr.catalogue.importing.queries.call_objects import arguments_of, written_calls
from tinr.catalogue.importing.queries.literals import (
    Written,
    closing,
    literal,
    python_calls,
    value_at,
)
from tinr.catalogue.importing.queries.suspicion import looks_like_call
from tinr.catalogue.importing.queries.tool_names import ToolNames

# where a call begins and where it ends; without its end it goes on to the end of the text
MARKS = [
    (r"<tool_calls?>", r"</tool_calls?>"),  # Hermes, Qwen, GLM, Hunyuan
    (r"<minimax:tool_call>", r"</minimax:tool_call>"),
    (r"<seed:tool_call>", r"</seed:tool_call>"),
    (r"<TOOLCALL>", r"</TOOLCALL>"),  # Nemotron
    (r"<(?:antml:|｜DSML｜)?function_calls?>", r"</(?:antml:|｜DSML｜)?function_calls?>"),
    (r"<functioncall>", r"</functioncall>|<\|endoftext\|>|(?=<functioncall>)"),  # glaive
    (r"<\|tool_call\|>", r"<\|/tool_call\|>"),  # Granite, Phi-4
    (r"<\|tool_call>", r"<tool_call\|>"),  # Gemma 4
    (r"<start_function_call>", r"<end_function_call>"),  # FunctionGemma
    (r"<\|tool_call_start\|>", r"<\|tool_call_end\|>"),  # LFM2
    (r"<\|tool_call_begin\|>", r"<\|tool_call_end\|>"),  # Kimi
    (r"<｜tool▁call▁begin｜>", r"<｜tool▁call▁end｜>"),  # DeepSeek
    (r"<\|python_tag\|>", r"<\|eom_id\|>"),  # Llama
    (r"\[TOOL_CALLS\]", r"(?=\[TOOL_CALLS\])"),  # Mistral
    (r"<tool_code>", r"</tool_code>"),
    (r"```tool_(?:code|calls?)\b", r"```"),  # Gemma 3
    (r"<\|action_start\|>\s*<\|plugin\|>", r"<\|action_end\|>"),  # InternLM
    (r"<\|START_ACTION\|>", r"<\|END_ACTION\|>"),  # Command A
    (r"<\|tools_prefix\|>", r"<\|tools_suffix\|>"),  # Apertus
    (r"\bfunctools(?=\[)", r"(?!.)"),  # Phi
    (r"(?=<function=)", r"(?<=</function>)"),  # Llama, Qwen-Coder
    (r"(?=<(?:antml:)?invoke\s)", r"(?<=invoke>)"),
]
MARK = re.compile("|".join(f"(?P<m{n}>{begin})" for n, (begin, _) in enumerate(MARKS)))
ENDS = [re.compile(end) for _, end in MARKS]
AROUND = re.compile(r"<\|tool_calls_section_(?:begin|end)\|>|<｜tool▁calls▁(?:begin|end)｜>")
HARMONY = re.compile(
    r"(?:<\|start\|>assistant)?(?:<\|channel\|>commentary)?\s+to=(?P<name>[\w.:/-]+)"
    r"(?:<\|channel\|>commentary)?\s*(?:<\|constrain\|>)?\s*(?:json|code)?\s*"
    r"<\|message\|>(?P<arguments>.*?)(?:<\|call\|>|$)",
    re.DOTALL,
)
RECIPIENT = re.compile(  # Functionary
    r"(?:<\|recipient\|>\s*|>>>)(?P<name>[\w.:/-]+)\s*\n(?:<\|content\|>)?"
    r"(?P<arguments>\{.*?\})\s*(?=<\|from\|>|<\|stop\|>|>>>|$)",
    re.DOTALL,
)
REACT = re.compile(
    r"^[ \t]*Action[ \t]*:[ \t]*(?P<name>[^\n]+?)[ \t]*\n+[ \t]*Action[ \t]+Input[ \t]*:[ \t]*"
    r"(?P<arguments>(?:(?!^[ \t]*(?:Action|Thought|Observation)[ \t]*:).)*)",
    re.DOTALL | re.MULTILINE,
)
END_OF_TURN = re.compile(
    r"(?:\s*(?:<\|(?:im_end|eot_id|eom_id|eot|end|end_of_text|endoftext|stop|return|user)\|>|</s>|"
    r"<\uff5cend\u2581of\u2581sentence\uff5c>|<end_of_turn>|<turn\|>|<\|end_of_role\|>))+\s*$"
)
THOUGHT = re.compile(
    r"^\s*(?:<(think|thinking|thought|seed:think)>|\[THINK\]).*?(?:</\1>|\[/THINK\])\s*|"
    r"^\s*<\|channel\|>analysis<\|message\|>.*?<\|end\|>\s*(?:<\|start\|>assistant)?|"
    r"^(?:(?!<think>).)*?</think>\s*",  # a template that opened the thought itself
    re.DOTALL,
)
FINAL = re.compile(
    r"^(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|"
    r"^\s*Thought:.*?^\s*Final Answer:\s*",
    re.DOTALL | re.MULTILINE,
)
FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)```", re.DOTALL)
# NAME and an object, with whatever a model writes between the two
NAMED = re.compile(
    r"(?:function\s*<｜tool▁sep｜>)?\s*(?P<name>[\w./-]+(?::(?!\d)[\w./-]+)*)(?::\d+)?\s*"
    r"(?:<\|tool_call_argument_begin\|>|<｜tool▁sep｜>|(?:\[CALL_ID\]\w+)?\[ARGS\])?\s*"
    r"(?:```(?:json)?\s*)?(?P<arguments>\{.*\})\s*(?:```)?",
    re.DOTALL,
)
XML_CALL = re.compile(
    r"<(?:antml:|｜DSML｜)?(?:function=(?P<equal>[^>\s]+)|invoke\s+name=\"(?P<named>[^\"]+)\")\s*>"
    r"(?P<body>.*?)</(?:antml:|｜DSML｜)?(?:function|invoke)>",
    re.DOTALL,
)
XML_PARAMETER = re.compile(
    r"<(?:antml:|｜DSML｜)?parameter(?:=(?P<equal>[^>\s]+)|\s+name=\"(?P<named>[^\"]+)\"[^>]*)>"
    r"(?P<value>.*?)</(?:antml:|｜DSML｜)?parameter>",
    re.DOTALL,
)
PAIRS = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
BRACED = re.compile(r"call:(?P<name>[\w.:/-]+)\s*(?=\{)")
QUOTES = re.compile(r"<escape>(.*?)<escape>|<\|\"\|>(.*?)<\|\"\|>", re.DOTALL)
BARE_KEY = re.compile(r"(?<=[{,])\s*([^\W\d]\w*)\s*:")
GLAIVE = re.compile(r"(?P<quote>[\"'])arguments(?P=quote)\s*:\s*'(?P<value>\{.*\})'", re.DOTALL)
PRINTED = re.compile(r"^(?:[^\W\d]\w*\s*=\s*)?(?:print\s*\()?(?P<call>.*?)$", re.DOTALL)


@dataclass(frozen=True)
class Read:
    """What an assistant's text says: its calls, and what is left beside them."""

    calls: tuple[Written, ...]
    text: str


def read_text(text: str, known: ToolNames) -> Read:
    """Read an assistant's text: its calls, or the answer without the thought before it.

    Raises ValueError for a call that cannot be read, and for a text that looks like a call.
    """
    text = THOUGHT.sub("", END_OF_TURN.sub("", text), count=1)
    calls, rest = _marked(text, known)
    if not calls:
        calls, rest = _unmarked(rest, known)
    rest = FINAL.sub("", rest, count=1).strip()
    reason = looks_like_call(rest, known)
    if reason:
        raise ValueError(f"looks like a call, in a form that is not known: {reason}")
    return Read(tuple(calls), rest)


def _marked(text: str, known: ToolNames) -> tuple[list[Written], str]:
    """Return the calls between the marks of a notation, and the text without them."""
    found: list[tuple[int, list[Written]]] = []
    text = AROUND.sub("", text)
    for pattern in (HARMONY, RECIPIENT, REACT):
        for match in pattern.finditer(text):
            found.append((match.start(), [_pair(match["name"], match["arguments"])]))
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    position, rest = 0, []
    while (mark := MARK.search(text, position)) is not None:
        end = ENDS[int((mark.lastgroup or "m0")[1:])].search(text, mark.end())
        payload = text[mark.end() : end.start() if end else len(text)]
        found.append((mark.start(), _payload(payload, known)))
        rest.append(text[position : mark.start()])
        position = max(end.end() if end else len(text), mark.end() + 1)
    rest.append(text[position:])
    ordered = sorted(found, key=lambda item: item[0])
    return [call for _, group in ordered for call in group], "".join(rest)


def _pair(name: str, arguments: str) -> Written:
    name = name.strip().strip("`*\"'")
    try:
        value, end = value_at(arguments.strip(), 0)
    except (ValueError, IndexError) as error:
        raise ValueError(f"call of {name[:60]!r}: arguments that are no object") from error
    if arguments.strip()[end:].strip():
        raise ValueError(f"call of {name[:60]!r}: more than its arguments")
    return name, arguments_of(value)


def _payload(text: str, known: ToolNames) -> list[Written]:
    """Read what stands between the marks of calls; ValueError if it is no call."""
    text = END_OF_TURN.sub("", text).strip()
    inner = MARK.search(text)
    if inner is not None and inner[0] and not XML_CALL.match(text):
        calls, rest = _marked(text, known)
        if rest.strip():
            raise ValueError(f"marks of calls and {rest.strip()[:40]!r} between them")
        return calls
    for reader in (_xml, _arg_pairs, _braced):
        calls = reader(text)
        if calls:
            return calls
    fence = FENCE.fullmatch(text)
    text = fence[1].strip() if fence else text
    if text.startswith(("{", "[")) and (calls := _objects(text, known)):
        return calls
    named = NAMED.fullmatch(text)
    if named:
        return [_pair(named["name"], named["arguments"])]
    calls = python_calls(re.sub(r"\.call(?=\()", "", _unprinted(text)))
    if calls:
        return calls
    raise ValueError(f"a call that cannot be read: {text[:60]!r}")


def _unprinted(text: str) -> str:
    """Return the lines of a code without `x =` and `print(..)` around each call."""
    lines = []
    for line in text.split("\n"):
        inner = re.sub(r"^\s*(?:[^\W\d]\w*\s*=\s*)?", "", line)
        printed = re.fullmatch(r"print\((.*)\)\s*", inner)
        lines.append(printed[1] if printed else inner)
    return "\n".join(lines)


def _objects(text: str, known: ToolNames) -> list[Written]:
    """Read a text that is only JSON values, each a call; [] for any other text."""
    glaive = GLAIVE.search(text)
    if glaive:
        text = f'{text[: glaive.start()]}"arguments": {glaive["value"]}{text[glaive.end() :]}'
    calls: list[Written] = []
    position = 0
    while position < len(text):
        if text[position] not in "{[":
            return []
        try:
            value, position = value_at(text, position)
        except ValueError:
            if python := python_calls(text):
                return python
            raise
        if isinstance(value, dict) and isinstance(value.get("token"), str):
            value = value | {"token": value["token"].strip("<>")}  # our own tool token
        found = written_calls(value, known)
        if not found:
            return []
        calls += found
        between = re.compile(r"[\s,;]*").match(text, position)
        position = between.end() if between else position
    return calls


def _xml(text: str) -> list[Written]:
    """Read `<function=NAME>..</function>` and `<invoke name="NAME">..</invoke>`."""
    calls: list[Written] = []
    for match in XML_CALL.finditer(text):
        body, arguments = match["body"].strip(), {}
        if body.startswith("{"):
            arguments = _pair("", body)[1]
        else:
            for parameter in XML_PARAMETER.finditer(body):
                key = parameter["equal"] or parameter["named"]
                arguments[key] = _plain_value(parameter["value"])
            if XML_PARAMETER.sub("", body).strip():
                raise ValueError("a call with text between its parameters")
        calls.append((match["equal"] or match["named"], arguments))
    if XML_CALL.sub("", text).strip():
        return []
    return calls


def _arg_pairs(text: str) -> list[Written]:
    """Read GLM's `NAME <arg_key>..</arg_key> <arg_value>..</arg_value>`."""
    pairs = PAIRS.findall(text)
    name = PAIRS.sub("", text).strip()
    if not pairs and not re.fullmatch(r"[\w.:/-]+", name):
        return []
    if not re.fullmatch(r"[\w.:/-]+", name):
        raise ValueError("a call with text between its arguments")
    return [(name, {key.strip(): _plain_value(value) for key, value in pairs})]


def _braced(text: str) -> list[Written]:
    """Read Gemma's `call:NAME{key:<escape>text<escape>,other:3}`."""
    calls: list[Written] = []
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[1] if match[1] is not None else match[2])
        return f'"\x00{len(held) - 1}"'

    text = QUOTES.sub(hold, text)

    def released(value: object) -> object:
        if isinstance(value, dict):
            return {key: released(item) for key, item in value.items()}
        if isinstance(value, list):
            return [released(item) for item in value]
        is_held = isinstance(value, str) and value.startswith("\x00")
        return held[int(str(value)[1:])] if is_held else value

    position = 0
    while (match := BRACED.match(text, position)) is not None:
        end = closing(text, match.end())
        if end is None:
            raise ValueError("a call without its end")
        body = BARE_KEY.sub(lambda key: f'"{key[1]}":', text[match.end() : end])
        body = re.sub("\x00", r"\\u0000", body)
        arguments = released(literal(body))
        calls.append((match["name"], arguments_of(arguments)))
        between = re.compile(r"[\s,;]*").match(text, end)
        position = between.end() if between else end
    return calls if position >= len(text) else []


def _plain_value(text: str) -> object:
    """Return a parameter in XML: JSON if it is JSON, else the text."""
    text = text.removeprefix("\n").removesuffix("\n")
    try:
        return literal(text) if not text.strip().startswith(("'", '"""')) else text
    except ValueError:
        return text


def _unmarked(text: str, known: ToolNames) -> tuple[list[Written], str]:
    """Return the calls of a text that marks none, and the text without them."""
    whole = FENCE.fullmatch(text.strip())
    inner = whole[1].strip() if whole else text.strip()
    if calls := _whole(inner, known):
        return calls, ""
    spans: list[tuple[int, int, list[Written]]] = []
    for start, end, value in _values(text):
        if calls := written_calls(value, known):
            spans.append((start, end, calls))
    for match in re.finditer(r"[^\n]+", text):
        line = match[0].strip().strip("`").strip()
        inside = any(start <= match.start() < end for start, end, _ in spans)
        if not inside and line.endswith((")", ")]")) and (calls := _whole(line, known)):
            spans.append((match.start(), match.end(), calls))
    spans.sort(key=lambda span: span[0])
    rest, position = [], 0
    for start, end, _ in spans:
        rest.append(text[position:start])
        position = end
    rest.append(text[position:])
    left = re.sub(r"```[\w+-]*\s*```", "", "".join(rest)) if spans else text
    return [call for _, _, calls in spans for call in calls], left


def _whole(text: str, known: ToolNames) -> list[Written]:
    """Return the calls that a whole text is; [] if it is something else."""
    if text.startswith(("{", "[{", "[ {", "[\n")):
        try:
            return _objects(text, known)
        except ValueError:
            return []
    if text.startswith("<") and (element := _element(text, known)):
        return [element]
    named = NAMED.fullmatch(text)
    if named and named["name"] in known:
        return [_pair(named["name"], named["arguments"])]
    try:
        calls = python_calls(_unprinted(text)) or []
    except ValueError:
        return []
    is_list = text.startswith("[") and text.endswith("]")
    return calls if is_list or all(name in known for name, _ in calls) else []


def _element(text: str, known: ToolNames) -> Written | None:
    """Read `<NAME><key>value</key></NAME>` of a known tool."""
    match = re.fullmatch(r"<([\w.:-]+)>(.*)</\1>", text, re.DOTALL)
    if match is None or (parameters := known.parameters(match[1])) is None:
        return None
    children = re.compile(r"<([\w.:-]+)>(.*?)</\1>", re.DOTALL)
    arguments = {key: _plain_value(value) for key, value in children.findall(match[2])}
    if children.sub("", match[2]).strip() or not set(arguments) <= parameters:
        return None
    return match[1], arguments


def _values(text: str) -> Iterator[tuple[int, int, object]]:
    """Yield the JSON objects and lists of objects in a text, with their places."""
    position = 0
    while (match := re.compile(r"\{\s*[\"'}]|\[\s*\{").search(text, position)) is not None:
        try:
            value, end = value_at(text, match.start())
        except ValueError:
            position = match.start() + 1
            continue
        yield match.start(), end, value
        position = end
