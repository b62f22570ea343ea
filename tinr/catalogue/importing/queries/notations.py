"""Calls in the text of an assistant, in the notations of common models.

`read_text` is an allow-list: it returns a text without calls only if nothing in the text looks
like a call. If something looks like one but cannot be read, it raises ValueError.
"""

import re
from dataclasses import dataclass

from tinr.catalogue.importing.queries.call_objects import arguments_of, written_calls
from tinr.catalogue.importing.queries.literals import (
    Untyped,
    Written,
    closing,
    literal,
    python_calls,
    python_statements,
    value_at,
)
from tinr.catalogue.importing.queries.suspicion import json_values, looks_like_call
from tinr.catalogue.importing.queries.tool_names import ToolNames

MOST_CALLS = 100  # in one text
LONGEST = 200_000  # characters of one text
# where a call begins and ends; without an end mark, it continues to the end of the text
MARKS = [
    (r"<tool_calls?>", r"</tool_calls?>"),  # Hermes, Qwen, GLM, Hunyuan
    (r"<longcat_tool_call>", r"</longcat_tool_call>"),
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
    (r"\bfunctools(?=\[)", r"\Z"),  # Phi
    (r"(?=<function=)", r"(?<=</function>)"),  # Llama, Qwen-Coder
    (r"(?=<(?:antml:)?invoke\s)", r"(?<=invoke>)"),
]
MARK = re.compile("|".join(f"(?P<m{n}>{begin})" for n, (begin, _) in enumerate(MARKS)))
ENDS = [re.compile(end) for _, end in MARKS]
AROUND = re.compile(
    r"<\|tool_calls_section_(?:begin|end)\|>|<｜tool▁calls▁(?:begin|end)｜>|"
    r"<\|recipient\|>all\s*\n?<\|content\|>|<\|from\|>assistant\s*\n?"
)
BEGIN = re.compile(r"<\|message\|>|<\|recipient\|>|>>>|^[ \t]*Action\b", re.MULTILINE)
HARMONY_TEXT = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(?:commentary|final)<\|message\|>|<\|end\|>"
)
HARMONY = re.compile(
    r"(?:<\|start\|>assistant)?(?:<\|channel\|>commentary)?\s{1,4}to=(?P<name>[\w.:/-]{1,128})"
    r"(?:<\|channel\|>commentary)?\s{0,4}(?:<\|constrain\|>)?\s{0,4}(?:json|code)?\s{0,4}"
    r"<\|message\|>(?P<arguments>(?:(?!<\|call\|>|<\|start\|>).)*)(?:<\|call\|>)?",
    re.DOTALL,
)
RECIPIENT = re.compile(  # Functionary
    r"(?:<\|recipient\|>\s{0,4}|>>>)(?P<name>[\w.:/-]{1,128})[ \t]*\n(?:<\|content\|>)?"
    r"(?P<arguments>(?:(?!<\|from\|>|<\|stop\|>|>>>|<\|recipient\|>).)*)(?:<\|stop\|>)?",
    re.DOTALL,
)
REACT = re.compile(
    r"^[ \t]{0,8}Action[ \t]{0,4}\d{0,3}[ \t]{0,4}:[ \t]{0,4}(?P<name>[^\n]{1,128})\n{1,3}"
    r"[ \t]{0,8}Action[ \t]{1,4}Input[ \t]{0,4}\d{0,3}[ \t]{0,4}:[ \t]{0,4}"
    r"(?P<arguments>(?:(?!^[ \t]*(?:Action|Thought|Observation)\b).)*)",
    re.DOTALL | re.MULTILINE,
)
END_OF_TURN = re.compile(
    r"(?:<\|(?:im_end|eot_id|eom_id|eot|end|end_of_text|endoftext|stop|return|user|observation|"
    r"tool_response|tool_response>)\|?>?|</s>|<｜end▁of▁sentence｜>|<end_of_turn>|<turn\|>|"
    r"<\|end_of_role\|>|<end_code>|<\|tool_response>)$"
)
THOUGHTS = [  # where a thought begins and ends
    (f"<{name}>", f"</{name}>")
    for name in ("think", "thinking", "thought", "seed:think", "reasoning", "scratch_pad")
] + [
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|end|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
]
LATER_THOUGHT = re.compile(  # after a sentence or a line, not in the middle of one
    r"(?:(?<=[.!?:])[ ]?|^)<think>(?:(?!</?think>).)*</think>\s{0,4}", re.DOTALL | re.MULTILINE
)
ANSWER = re.compile(r"^[ \t]*(?:Final Answer|AI)[ \t]*:[ \t]*", re.MULTILINE)
RESULTS = re.compile(r"^[ \t]*Observation[ \t]*\d{0,3}[ \t]*:|<tool_response>|<obs>", re.MULTILINE)
FINISH = ("finish", "final answer")  # the ReAct action that answers
FENCE = re.compile(r"```[\w+-]*[ \t]*\n?((?:(?!```).)*)```", re.DOTALL)
# NAME and an object, with anything that models write between them
NAMED = re.compile(
    r"(?:function\s{0,4}<｜tool▁sep｜>)?\s{0,4}(?P<name>[\w./-]{1,128}(?::(?!\d)[\w./-]{1,64}){0,4})"
    r"(?::\d+)?\s{0,4}"
    r"(?:<\|tool_call_argument_begin\|>|<｜tool▁sep｜>|(?:\[CALL_ID\]\w+)?\[ARGS\])?\s{0,4}"
    r"(?:```(?:json)?\s{0,4})?(?P<arguments>\{.*\})\s{0,4}(?:```)?",
    re.DOTALL,
)
XML_BEGIN = re.compile(
    r"<(?:antml:|｜DSML｜)?(?:function=([^>\s]{1,128})|invoke\s+name=\"([^\"]{1,128})\")\s*>"
)
XML_END = re.compile(r"</(?:antml:|｜DSML｜)?(?:function|invoke)>")
XML_PARAMETER = re.compile(
    r"<(?:antml:|｜DSML｜)?parameter(?:=(?P<equal>[^>\s]{1,128})|\s+name=\"(?P<named>[^\"]{1,128})\""
    r"(?P<more>[^>]{0,80}))>(?P<value>(?:(?!</(?:antml:|｜DSML｜)?parameter>).)*)"
    r"</(?:antml:|｜DSML｜)?parameter>",
    re.DOTALL,
)
PAIRS = re.compile(r"<arg_key>([^<]*)</arg_key>\s*<arg_value>((?:(?!</arg_value>).)*)</arg_value>",
                   re.DOTALL)  # fmt: skip
BRACED = re.compile(r"call:(?P<name>[\w.:/-]{1,128})\s*(?=\{)")
QUOTES = re.compile(r"<escape>((?:(?!<escape>).)*)<escape>|<\|\"\|>((?:(?!<\|\"\|>).)*)<\|\"\|>",
                    re.DOTALL)  # fmt: skip
BARE_KEY = re.compile(r"(?<=[{,])\s*([^\W\d]\w*)\s*:")
GLAIVE = re.compile(r"([\"'])arguments\1\s*:\s*'(?=\{)")


@dataclass(frozen=True)
class Read:
    """The content of an assistant's text: its calls, and the rest of the text."""

    calls: tuple[Written, ...]
    text: str


def read_text(text: str, known: ToolNames) -> Read:
    """Read an assistant's text: its calls, or the answer without the thought before it.

    Raises ValueError for a call that cannot be read, and for other text that looks like a call.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a text of {len(text):,} characters is too long")
    text = _without_thoughts(_without_end(text))
    if len(MARK.findall(text)) + len(BEGIN.findall(text)) > MOST_CALLS:
        raise ValueError(f"more than {MOST_CALLS} calls in one text")
    calls, rest = _marked(text, known)
    if not calls:
        calls, rest = _unmarked(rest, known)
    if calls and RESULTS.search(text):
        raise ValueError("calls and their results in one text")
    rest = HARMONY_TEXT.sub("", rest)
    reason = looks_like_call(rest, known)
    if reason:
        raise ValueError(f"looks like a call in an unknown notation: {reason}")
    return Read(tuple(calls), _answer(rest))


def _without_end(text: str) -> str:
    """Return a text without end-of-turn marks."""
    text = text.rstrip()
    while len(shorter := END_OF_TURN.sub("", text[-40:])) < len(text[-40:]):
        text = (text[:-40] + shorter).rstrip()
    return text


def _without_thoughts(text: str) -> str:
    """Return a text without its thoughts; ValueError for a thought without an end."""
    text = text.lstrip()
    for _ in range(MOST_CALLS):
        begin, end = next(((b, e) for b, e in THOUGHTS if text.startswith(b)), ("", ""))
        if not begin:
            break
        stop = text.find(end, len(begin))
        if stop < 0:
            raise ValueError("a thought without an end")
        text = text[stop + len(end) :].lstrip()
    text = LATER_THOUGHT.sub("", text)
    before, end, after = text.partition("</think>")  # the template opened the thought
    is_thought = bool(end) and not MARK.search(before) and not re.match(r" \S", after)
    return after.lstrip() if is_thought else text


def _answer(text: str) -> str:
    """Return the answer of a text, without the thought that ReAct writes before it."""
    if re.match(r"\s*(?:Thought|Final Answer)[ \t]*:", text) and (answer := ANSWER.search(text)):
        return text[answer.end() :].strip()
    final = re.fullmatch(r"\s*<(final|answer|response)>(.*)</\1>\s*", text, re.DOTALL)
    return final[2].strip() if final else text.strip()


def _marked(text: str, known: ToolNames) -> tuple[list[Written], str]:
    """Return the calls between the marks of a notation, and the text without them."""
    found: list[tuple[int, list[Written]]] = []
    whole, text = text, AROUND.sub("", text)
    for pattern in (HARMONY, RECIPIENT, REACT):
        for match in pattern.finditer(text):
            name = match["name"].strip().strip("`*\"'")
            if pattern is REACT and name.lower() in FINISH:
                final = _final(match["arguments"])
                text = text[: match.start()] + f"Final Answer: {final}" + text[match.end() :]
                break
            found.append((match.start(), [_pair(name, match["arguments"], is_whole=False)]))
        else:
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
    calls = [call for _, group in ordered for call in group]
    is_addressed = "<|recipient|>all" in whole or "Final Answer" in text
    return calls, "".join(rest) if calls or is_addressed else whole


def _final(text: str) -> str:
    """Return the answer in the arguments of ReAct's last action."""
    try:
        value = literal(text)
    except ValueError:
        return text.strip()
    if isinstance(value, dict):
        return str(value.get("final_answer", value.get("answer", "")))
    return str(value)


def _pair(name: str, arguments: str, is_whole: bool = True) -> Written:
    """Return a call from a name and its arguments; unless `is_whole`, they may be missing."""
    fence = FENCE.fullmatch(arguments.strip())
    arguments = fence[1].strip() if fence else arguments.strip()
    if not is_whole and arguments in ("", "None", "null"):
        return name, {}
    try:
        value, end = value_at(arguments, 0)
    except (ValueError, IndexError) as error:
        raise ValueError(f"call of {name[:60]!r}: arguments that are not an object") from error
    if arguments[end:].strip():
        raise ValueError(f"call of {name[:60]!r}: text after its arguments")
    return name, arguments_of(value)


def _payload(text: str, known: ToolNames) -> list[Written]:
    """Read the text between call marks; ValueError if it is not a call."""
    text = _without_end(text).strip()
    inner = MARK.search(text)
    if inner is not None and inner[0] and not XML_BEGIN.match(text):
        calls, rest = _marked(text, known)
        if rest.strip():
            raise ValueError(f"{rest.strip()[:40]!r} between the marks of calls")
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
    calls = python_calls(text, known) or python_statements(text)
    if calls:
        return calls
    raise ValueError(f"a call that cannot be read: {text[:60]!r}")


def _objects(text: str, known: ToolNames) -> list[Written]:
    """Read a text that consists of JSON values, each a call; [] for any other text."""
    glaive = GLAIVE.search(text)
    end = closing(text, glaive.end()) if glaive else None
    if glaive and end and text[end : end + 1] == "'":
        arguments = text[glaive.end() : end]
        text = f'{text[: glaive.start()]}"arguments": {arguments}{text[end + 1 :]}'
    calls: list[Written] = []
    position = 0
    while position < len(text):
        if text[position] not in "{[":
            return []
        try:
            value, position = value_at(text, position)
        except ValueError:
            if python := python_calls(text, known):
                return python
            raise
        if isinstance(value, dict) and isinstance(value.get("token"), str):
            value = value | {"token": value["token"].strip("<>")}  # our own tool token
        found = written_calls(value, known)
        if not found:
            return []
        calls += found
        position = _after_separators(text, position)
    return calls


def _after_separators(text: str, position: int) -> int:
    """Return the index of the next call after one that ends at a position."""
    while position < len(text) and (text[position].isspace() or text[position] in ",;"):
        position += 1
    return position


def _xml(text: str) -> list[Written]:
    """Read `<function=NAME>..</function>` and `<invoke name="NAME">..</invoke>`."""
    calls: list[Written] = []
    position = 0
    while position < len(text):
        begin = XML_BEGIN.match(text, position)
        end = XML_END.search(text, begin.end()) if begin else None
        if begin is None or end is None:
            return []
        body = text[begin.end() : end.start()].strip()
        name = begin[1] or begin[2]
        calls.append(_pair(name, body) if body.startswith("{") else (name, _parameters(body)))
        position = end.end() + len(text[end.end() :]) - len(text[end.end() :].lstrip())
    return calls


def _parameters(body: str) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for parameter in XML_PARAMETER.finditer(body):
        key = parameter["equal"] or parameter["named"]
        value = _trimmed(parameter["value"])
        is_text = 'string="true"' in (parameter["more"] or "")  # DeepSeek states the type
        _add(arguments, key, value if is_text else Untyped(value))
    if XML_PARAMETER.sub("", body).strip():
        raise ValueError("a call with text between its parameters")
    return arguments


def _add(arguments: dict[str, object], key: str, value: object) -> None:
    if key in arguments:
        raise ValueError(f"the argument {key!r} occurs twice")
    arguments[key] = value


def _arg_pairs(text: str) -> list[Written]:
    """Read GLM's `NAME <arg_key>..</arg_key> <arg_value>..</arg_value>`."""
    pairs = PAIRS.findall(text)
    name = PAIRS.sub("", text).strip()
    if not re.fullmatch(r"[\w.:/-]{1,128}", name):
        if pairs:
            raise ValueError("a call with text between its arguments")
        return []
    arguments: dict[str, object] = {}
    for key, value in pairs:
        _add(arguments, key.strip(), Untyped(_trimmed(value)))
    return [(name, arguments)]


def _braced(text: str) -> list[Written]:
    """Read Gemma's `call:NAME{key:<escape>text<escape>,other:3}`."""
    if not BRACED.match(text) or "\x00" in text:
        return []
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
        number = value[1:] if isinstance(value, str) and value.startswith("\x00") else ""
        is_held = number.isdecimal() and int(number) < len(held)  # a text may contain \x00 itself
        return held[int(number)] if is_held else value

    position = 0
    while (match := BRACED.match(text, position)) is not None:
        end = closing(text, match.end())
        if end is None:
            raise ValueError("a call without an end")
        body = BARE_KEY.sub(lambda key: f'"{key[1]}":', text[match.end() : end])
        arguments = released(literal(body.replace("\x00", "\\u0000")))
        calls.append((match["name"], arguments_of(arguments)))
        position = _after_separators(text, end)
    return calls if position >= len(text) else []


def _trimmed(text: str) -> str:
    return text.removeprefix("\n").removesuffix("\n")


def _unmarked(text: str, known: ToolNames) -> tuple[list[Written], str]:
    """Return the calls of a text that has no call marks, and the text without them."""
    whole = FENCE.fullmatch(text.strip())
    inner = whole[1].strip() if whole else text.strip().strip("`").strip()
    if calls := _whole(inner, known):
        return calls, ""
    spans: list[tuple[int, int, list[Written]]] = []
    for start, end, value in json_values(text):
        if calls := written_calls(value, known):
            spans.append((start, end, calls))
    for match in re.finditer(r"^[ \t]*\[[^\n]*\)\][ \t]*$", text, re.MULTILINE):
        inside = any(start <= match.start() < end for start, end, _ in spans)
        if not inside and (calls := _whole(match[0].strip(), known)):
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
    """Return the calls of a text that consists of calls; [] for any other text."""
    if text.startswith("{") or re.match(r"\[\s*\{", text):
        try:
            return _objects(text, known)
        except ValueError:
            return []
    if text.startswith("<") and (element := _element(text, known)):
        return [element]
    named = NAMED.fullmatch(text) if text.endswith(("}", "```")) else None
    if named and named["name"] in known:
        return [_pair(named["name"], named["arguments"])]
    try:
        calls = python_calls(text, known) or python_statements(text) or []
    except ValueError:
        return []
    is_list = text.startswith("[") and text.endswith("]")
    return calls if is_list or all(name in known for name, _ in calls) else []


def _element(text: str, known: ToolNames) -> Written | None:
    """Read `<NAME><key>value</key></NAME>` of a known tool."""
    match = re.match(r"<([\w.:-]{1,128})>", text)
    end = f"</{match[1]}>" if match else ""
    parameters = known.parameters(match[1]) if match else None
    if match is None or parameters is None or not text.endswith(end):
        return None
    inside, arguments = text[match.end() : -len(end)], {}
    while child := re.match(r"\s*<([\w.:-]{1,128})>", inside):
        stop = inside.find(f"</{child[1]}>", child.end())
        if stop < 0 or child[1] not in parameters or child[1] in arguments:
            return None
        arguments[child[1]] = Untyped(_trimmed(inside[child.end() : stop]))
        inside = inside[stop + len(child[1]) + 3 :]
    return None if inside.strip() else (match[1], arguments)
