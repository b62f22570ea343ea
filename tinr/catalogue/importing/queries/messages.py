"""One message of a chat log from any API: its role, text, calls and results.

OpenAI's messages and Responses items, Anthropic's, Vercel's, Bedrock's and Gemini's parts,
LangChain's and Cohere's messages, ShareGPT's. A part of an unknown kind is a fault of the message:
nothing is dropped silently.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.queries.call_objects import IDS, stated_call
from tinr.catalogue.importing.queries.literals import json_value, literal
from tinr.catalogue.importing.queries.suspicion import holds_call
from tinr.catalogue.importing.queries.tool_names import ToolNames, key_of, spellings

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "humanmessage": "user",
    "systemmessage": "system",
    "toolmessage": "tool",
    "functionmessage": "tool",
    "developer": "system",
    "observation": "tool",
    "function": "tool",
    "tool_response": "tool",
    "tool-response": "tool",
    "tool_result": "tool",
    "function_call_output": "tool",
    "function_response": "tool",
    "ipython": "tool",
    "tool_call": "call",
    "tool-call": "call",
    "function-call": "call",
    "function_call": "call",
}
THOUGHTS = {"reasoning", "thinking", "redacted_thinking", "thought", "think"}
TEXTS = {"text", "input_text", "output_text"}
NOTHING = {"step-start", "cachePoint", "cache_control", "citations"}
CALLS = {"tool_call", "tool-call", "tool_use", "function_call"}
RESULTS = {"tool_result", "tool-result", "function_response", "function_call_output"}
# Bedrock's and Gemini's parts have no type: a key says what they are
KEYED = {
    "text": "text", "toolUse": "tool_use", "functionCall": "function_call",
    "function_call": "function_call", "toolResult": "tool_result", "json": "json",
    "functionResponse": "function_response", "function_response": "function_response",
    "reasoningContent": "reasoning", "cachePoint": "cachePoint", "image": "image",
    "inlineData": "image", "inline_data": "image", "fileData": "file", "file_data": "file",
    "document": "document", "video": "video", "executableCode": "code", "refusal": "refusal",
}  # fmt: skip
CONTENTS = ("content", "value", "output", "parts", "message", "text")
READ_KEYS = {  # keys of a message that are read, or that are unrelated to calls
    *CONTENTS, *IDS, "tool_calls", "function_call", "additional_kwargs", "tool_results", "usage",
    "tool_use_id", "invalid_tool_calls", "tool_call_chunks", "toolInvocations", "name", "role",
    "from", "type", "annotations", "logprobs", "usage_metadata", "reasoning", "reasoning_details",
    "reasoning_content", "thinking", "summary", "citations", "tool_plan", "finish_reason",
    "tool_name",
}  # fmt: skip
PICTURES = {"image", "image_url", "input_image", "file", "media", "video", "audio"}
RESULT_MARKS = [  # around results that a template put into a user message
    (f"<{tag}>", f"</{tag}>")
    for tag in ("tool_response", "function_response", "function_result", "function_results",
                "tool_result", "observation", "obs")
] + [
    ("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    ("<|tool_response|>", "<|/tool_response|>"),
    ("<|tool_response>", "<tool_response|>"),
]  # fmt: skip
RESULT_LABEL = re.compile(r"(?:Observation|FUNCTION RESPONSE)[ \t]*\d{0,3}[ \t]*:")
Identified = tuple[Any, str, Mapping[str, Any]]  # a call: id in the log, tool name, arguments


@dataclass(frozen=True)
class Result:
    """The result of a call, with the id and the name that the log gives it."""

    id: Any
    name: str | None
    text: str


@dataclass
class Said:
    """The content of one message. A fault is a reason why it cannot be kept."""

    role: str
    text: str = ""
    calls: list[Identified] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    fault: str = ""


def said(message: Any) -> list[Said]:
    """Read a message; one of Vercel's interface has several steps, each read as a message.

    Unreadable content is a fault of the message, never an exception.
    """
    if not isinstance(message, Mapping):
        return [Said("", fault=f"a message that is not an object but {type(message).__name__}")]
    message = _unwrapped(message)
    role = _role(message)
    read: list[Said] = []
    for step in _steps(message):
        result = Said(role)
        read.append(result)
        try:
            _read(step, result)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            result.fault = f"a message that cannot be read ({type(error).__name__}: {error})"
        if role not in ("user", "assistant", "tool", "call", "system", "reasoning"):
            result.fault = f"a message with the unknown role {role[:40]!r}"
    return read


def _steps(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a message, split into steps if its parts are calls with their results."""
    content = message.get("parts") or message.get("content")
    parts = content if isinstance(content, list) else []
    if not _are_parts(parts) or not any(_is_invocation(part) for part in parts):
        yield message
        return
    step: list[Any] = []
    for part in parts:
        is_new = _kind(part) == "step-start" or not _is_invocation(part)
        if step and is_new and _is_invocation(step[-1]):
            yield {"role": message.get("role"), "parts": step}
            step = []
        step.append(part)
    yield {"role": message.get("role"), "parts": step}


def _is_invocation(part: Any) -> bool:
    kind = _kind(part)
    return kind in ("tool-invocation", "dynamic-tool") or (
        kind.startswith("tool-") and kind not in CALLS | RESULTS
    )


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a message that LangChain stored; other messages unchanged."""
    if isinstance(message.get("kwargs"), Mapping) and isinstance(message.get("id"), list):
        return {"role": str(message["id"][-1])} | dict(message["kwargs"])
    if isinstance(message.get("data"), Mapping) and "type" in message:
        return dict(message["data"]) | {"role": message["type"]}
    return message


def _role(message: Mapping[str, Any]) -> str:
    if message.get("channel") == "analysis":  # Harmony's thought, as a separate message
        return "reasoning"
    keys = ("role", "from", "type", "author")
    role = next((message[key] for key in keys if isinstance(message.get(key), str)), None)
    name = str(role).strip().lower()
    return ROLES.get(name, name)


def _read(message: Mapping[str, Any], result: Said) -> None:
    if result.role == "reasoning":
        return
    keys = ("parts", *CONTENTS) if message.get("parts") else CONTENTS
    content = next((message[key] for key in keys if message.get(key) is not None), None)
    for key, value in message.items():
        if result.role != "call" and key not in READ_KEYS and _looks_like_call(key, value):
            result.fault = f"a message with an unknown key, {key[:40]!r}"
    if message.get("invalid_tool_calls"):
        raise ValueError("invalid_tool_calls")
    _read_calls(message, result)
    if result.role == "call":
        _read_call(message, content, result)
    elif result.role == "tool":
        _read_result(message, content, result)
    else:
        stated, result.calls = result.calls, []
        _read_content(content, result)
        result.calls = _one_of(stated, result.calls)
        if not result.text and isinstance(message.get("refusal"), str):
            result.text = message["refusal"]
    if not (result.text or result.calls or result.results or set(message) & set(CONTENTS)):
        result.fault = result.fault or "a message without any known content"


def _looks_like_call(key: str, value: Any) -> bool:
    """Whether a key that is not read holds a call, an image or the like."""
    if value in (None, "", [], {}, False) or isinstance(value, int | float):
        return False
    if re.search(r"attach|image|audio|file", key, re.IGNORECASE):
        return True
    words = r"call|tool|function|action|arguments|args|recipient|invocation"
    if re.search(words, key, re.IGNORECASE):
        return value not in ("all", "user", "assistant", "auto", "none")
    try:
        is_call = holds_call(value, ToolNames(()))
    except ValueError:
        return True
    keyed = re.search(r'"\w*(?:tool|function)\w*"\s*:\s*[\[{"]', _json(value), re.IGNORECASE)
    return is_call or keyed is not None


def _read_calls(message: Mapping[str, Any], result: Said) -> None:
    """Read the calls that a message states beside its content; calls stated twice count once."""
    extra = message.get("additional_kwargs")
    extra = extra if isinstance(extra, Mapping) else {}
    content = message.get("content")
    invocations = message.get("toolInvocations") if isinstance(content, str) else None
    stated: list[Identified] = []
    for calls in (
        _listed(message.get("tool_calls")),
        [message["function_call"]] if message.get("function_call") else [],
        _listed(extra.get("tool_calls")),
        [extra["function_call"]] if extra.get("function_call") else [],
    ):
        if result.role == "call" and message.get("role") is None:
            break  # the item itself is the call
        stated = _one_of(stated, [_identified(call) for call in calls])
    result.calls = stated
    if not stated and not message.get("parts"):
        for invocation in invocations or ():
            _add_invocation(invocation, result)
    if message.get("tool_call_chunks") and not result.calls:
        raise ValueError("incomplete calls in tool_call_chunks")


def _listed(calls: Any) -> list[Any]:
    """Return a list of calls, also from its JSON."""
    calls = json_value(calls) if isinstance(calls, str) and calls.strip() else calls
    if not isinstance(calls or [], list):
        raise ValueError("tool_calls that are not a list")
    return list(calls or ())


def _one_of(first: list[Identified], second: list[Identified]) -> list[Identified]:
    """Return the calls that two places state; ValueError if they state different ones."""
    if not first or not second:
        return first or second
    if [call[1:] for call in first] != [call[1:] for call in second]:
        raise ValueError("two places that state different calls")
    return first


def _read_call(message: Mapping[str, Any], content: Any, result: Said) -> None:
    """Read a message that is a call: a Responses item, or a role for calls."""
    if isinstance(message.get("name"), str):
        result.calls.append(_identified(message))
        return
    text = _text(content, result)
    text = re.sub(r"^\s*Calling tools:\s*", "", text)  # smolagents
    try:
        value = literal(text)
    except ValueError:  # a notation
        result.role, result.text = "assistant", text
        return
    for item in value if isinstance(value, list) else [value]:
        result.calls.append(_identified(item))


def _read_result(message: Mapping[str, Any], content: Any, result: Said) -> None:
    if isinstance(message.get("tool_results"), list):  # Cohere's
        for item in message["tool_results"]:
            result.results.append(Result(None, item["call"].get("name"), _json(item["outputs"])))
        return
    if _are_parts(content) and any(_kind(part) in RESULTS for part in content):
        _read_content(content, result)
        return
    text = _result_text(content, result)
    for found in results_in(text) or [text]:
        result.results.append(Result(_id_of(message), message.get("name"), found))


def _id_of(result: Mapping[str, Any]) -> Any:
    """Return the id of the call that a result answers, not the result's own id."""
    keys = ("tool_call_id", "tool_use_id", "toolUseId", "toolCallId", "call_id")
    return next((result[key] for key in keys if result.get(key) is not None), None)


def _read_content(content: Any, result: Said) -> None:
    if isinstance(content, Mapping):
        content = [content]
    if content is None or isinstance(content, str):
        result.text = content or ""
        return
    if not isinstance(content, list):
        raise ValueError(f"content that is not a string but {type(content).__name__}")
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Mapping):
            raise ValueError(f"a part that is not an object but {type(part).__name__}")
        kind = _kind(part)
        if kind in TEXTS:
            if part.get("thought") is not True:
                texts.append(_part_text(part))
        elif kind == "refusal":
            texts.append(str(part.get("refusal", "")))
        elif kind in CALLS:
            result.calls.append(_identified(_inner_call(part)))
        elif kind in RESULTS:
            _add_result(part, result)
        elif kind == "tool-invocation" and isinstance(part.get("toolInvocation"), Mapping):
            _add_invocation(part["toolInvocation"], result)
        elif kind == "dynamic-tool" or (kind.startswith("tool-") and "toolCallId" in part):
            _add_invocation({"toolName": kind.removeprefix("tool-")} | dict(part), result)
        elif kind in THOUGHTS or kind in NOTHING or kind.startswith("source"):
            continue
        else:
            texts.append(f"[{kind}]")
            result.fault = result.fault or f"a part of unsupported kind {kind[:40]!r}"
    result.text = "".join(texts)


def _kind(part: Any) -> str:
    if not isinstance(part, Mapping):
        return type(part).__name__
    if isinstance(part.get("type"), str):
        return part["type"]
    kinds = [kind for key, kind in KEYED.items() if part.get(key) is not None]
    return kinds[0] if kinds else next(iter(part), "nothing")


def _part_text(part: Mapping[str, Any]) -> str:
    text = part.get("text", part.get("value", part.get("content", "")))
    if isinstance(text, Mapping):  # {"value": .., "annotations": ..}
        text = text.get("value", "")
    return "" if text is None else str(text)


def _inner_call(part: Mapping[str, Any]) -> Any:
    value = part.get("value", part)
    if isinstance(value, str):
        value = literal(value)
    return next((part[k] for k in KEYED if k != "text" and isinstance(part.get(k), Mapping)), value)


def _identified(call: Any) -> Identified:
    name, arguments = stated_call(call)
    keys = ("call_id", *IDS)
    return next((call[key] for key in keys if call.get(key) is not None), None), name, arguments


def _add_result(part: Mapping[str, Any], result: Said) -> None:
    keyed = ("toolResult", "functionResponse", "function_response")
    inner = next((part[key] for key in keyed if isinstance(part.get(key), Mapping)), part)
    bodies = ("content", "result", "output", "response", "value")
    body = next((inner[key] for key in bodies if inner.get(key) is not None), None)
    identifier = _id_of(inner)
    identifier = inner.get("id") if identifier is None else identifier
    name = inner.get("name", inner.get("toolName"))
    result.results.append(Result(identifier, name, _result_text(body, result)))


def _add_invocation(part: Mapping[str, Any], result: Said) -> None:
    """Add a call from a message of Vercel's interface, and its result if it has one."""
    if part.get("state") in ("partial-call", "input-streaming"):
        raise ValueError("an incomplete call")
    call = {"name": part.get("toolName"), "id": part.get("toolCallId")}
    keys = [key for key in ("args", "input") if key in part]
    result.calls.append(_identified(call | ({"arguments": part[keys[0]]} if keys else {})))
    outcomes = [part[key] for key in ("result", "output", "errorText") if key in part]
    if outcomes:
        text = "null" if outcomes[0] is None else _result_text(outcomes[0], result)
        result.results.append(Result(part.get("toolCallId"), part.get("toolName"), text))


def _are_parts(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(part, Mapping) for part in content)


def _result_text(content: Any, result: Said) -> str:
    """Return a result as text: parts joined, anything else as JSON."""
    if content is None or isinstance(content, str):
        return content or ""
    if _are_parts(content) and content and all(_kind(p) in TEXTS | {"json"} for p in content):
        return "".join(
            _json(part["json"]) if "json" in part else _part_text(part) for part in content
        )
    if isinstance(content, Mapping) and set(content) == {"type", "value"}:  # Vercel's typed output
        return _result_text(content["value"], result)
    if _are_parts(content) and any(_kind(part) in PICTURES for part in content):
        result.fault = "a result with an image or a file, which is not supported"
    if _are_parts(content) and content and all(_kind(p) == "document" for p in content):  # Cohere's
        documents = [part.get("document") for part in content]
        datas = [d.get("data", d) if isinstance(d, Mapping) else d for d in documents]
        return "\n".join(map(_json, datas))
    return _json(content)


def results_in(text: str) -> list[str]:
    """Return the results in a text that consists of marked results; [] for any other text."""
    text = text.strip()
    label = RESULT_LABEL.match(text)
    if label:
        return [text[label.end() :].strip()]
    found: list[str] = []
    while text:
        begin, end = next((m for m in RESULT_MARKS if text.startswith(m[0])), ("", ""))
        stop = text.find(end, len(begin)) if begin else -1
        if stop < 0:
            return []
        found.append(text[len(begin) : stop].strip())
        text = text[stop + len(end) :].lstrip()
    return found


def _text(content: Any, result: Said) -> str:
    _read_content(content, result)
    text, result.text = result.text, ""
    return text


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def in_order(calls: Sequence[tuple[Any, str]], results: Sequence[Result]) -> list[str] | None:
    """Return the results in the order of the calls (id, name); None if they do not match.

    They are matched by id, else by name; without either, they keep the log's order.
    """
    results = _split(calls, results)
    if len(results) != len(calls):
        return None
    names = [_key(result.name) for result in results]
    for given, wanted in (
        ([result.id for result in results], [identifier for identifier, _ in calls]),
        (names, [_key(name) for _, name in calls]),
    ):
        if None not in given and sorted(map(str, given)) == sorted(map(str, wanted)):
            left = list(zip(map(str, given), results, strict=True))
            ordered: list[str] = []
            for key in map(str, wanted):
                index = next(i for i, (name, _) in enumerate(left) if name == key)
                ordered.append(left.pop(index)[1].text)
            return ordered
    has_no_names = not any(names)
    has_no_ids = not any(result.id is not None for result in results)
    calls_have_no_ids = all(identifier is None for identifier, _ in calls)
    if len(calls) == 1 or (has_no_names and (has_no_ids or calls_have_no_ids)):
        return [result.text for result in results]
    return None


def _key(name: str | None) -> str | None:
    return None if name is None else key_of(spellings(name)[-1])


def _split(calls: Sequence[tuple[Any, str]], results: Sequence[Result]) -> Sequence[Result]:
    """Split the results of several calls that one message holds as a JSON list."""
    if len(results) != 1 or len(calls) < 2:
        return results
    try:
        values = literal(results[0].text)
    except ValueError:
        return results
    if not isinstance(values, list) or len(values) != len(calls):
        return results
    split: list[Result] = []
    for value in values:
        name = value.get("name") if isinstance(value, Mapping) else None
        keys = [key for key in ("results", "result", "output", "content") if name and key in value]
        split.append(Result(None, name, _json(value[keys[0]] if keys else value)))
    return split
