"""One message of a chat log, whatever API wrote it: who says what, which calls, which results.

OpenAI's messages and Responses items, Anthropic's, Vercel's, Bedrock's and Gemini's parts,
LangChain's and Cohere's messages, ShareGPT's. A part of an unknown kind is a fault of the message:
nothing is left out in silence.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.queries.call_objects import IDS, stated_call
from tinr.catalogue.importing.queries.literals import literal

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
    "function_call": "call",
}
THOUGHTS = {"reasoning", "thinking", "redacted_thinking", "thought", "think"}
TEXTS = {"text", "input_text", "output_text"}
NOTHING = {"step-start", "cachePoint", "cache_control", "citations", "source"}
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
READ_KEYS = {  # keys of a message whose objects and lists are read, or say nothing of a call
    *CONTENTS, "tool_calls", "function_call", "additional_kwargs", "function", "arguments", "args",
    "input", "parameters", "results", "tool_results", "annotations", "logprobs", "usage",
    "metadata", "response_metadata", "usage_metadata", "tool_call_chunks", "summary", "citations",
    "invalid_tool_calls", "reasoning_details", "reasoning", "thinking", "reasoning_content",
    "provider_specific_fields", "id", "lc_attributes", "toolInvocations", "documents",
}  # fmt: skip
RESULT_TEXT = re.compile(  # results that a template put into a message of the user
    r"\s*(?:<(tool_response|function_response|function_results?|tool_result|observation|obs)>"
    r"\s*(.*?)\s*</\1>|\[TOOL_RESULTS\]\s*(.*?)\s*\[/TOOL_RESULTS\]|"
    r"<\|tool_response\|?>\s*(.*?)\s*(?:<\|/tool_response\|>|<tool_response\|>)|"
    r"(?:Observation|FUNCTION RESPONSE):\s*(.*?)\s*$)\s*",
    re.DOTALL,
)
Identified = tuple[Any, str, Mapping[str, Any]]  # a call: the log's id, the tool, the arguments


@dataclass
class Said:
    """What one message says. A fault is a reason why it cannot be kept."""

    role: str
    text: str = ""
    calls: list[Identified] = field(default_factory=list)
    results: list[tuple[Any, str]] = field(default_factory=list)  # (the id of the call, text)
    fault: str = ""


def said(message: Any) -> Said:
    """Read a message; what cannot be read is a fault of it, never an error."""
    if not isinstance(message, Mapping):
        return Said("", fault=f"a message that is no object but {type(message).__name__}")
    message = _unwrapped(message)
    role = _role(message)
    result = Said(role)
    try:
        _read(message, result)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        result.fault = f"a message that cannot be read ({type(error).__name__}: {error})"
    if role not in ("user", "assistant", "tool", "call", "system", "reasoning"):
        result.fault = f"a message of {role[:40]!r}, which is no role that is known"
    return result


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return LangChain's stored messages as the fields that they store."""
    if isinstance(message.get("kwargs"), Mapping) and isinstance(message.get("id"), list):
        return {"role": str(message["id"][-1])} | dict(message["kwargs"])
    if isinstance(message.get("data"), Mapping) and "type" in message:
        return dict(message["data"]) | {"role": message["type"]}
    return message


def _role(message: Mapping[str, Any]) -> str:
    keys = ("role", "from", "type", "author")
    role = next((message[key] for key in keys if isinstance(message.get(key), str)), None)
    name = str(role).strip().lower()
    return ROLES.get(name, name)


def _read(message: Mapping[str, Any], result: Said) -> None:
    if result.role == "reasoning":
        return
    keys = ("parts", *CONTENTS) if message.get("parts") else CONTENTS
    content = next((message[key] for key in keys if message.get(key) is not None), None)
    unread = [k for k, v in message.items() if isinstance(v, list | Mapping) and v]
    unread = [key for key in unread if key not in READ_KEYS]
    if unread:
        result.fault = f"a message with {unread[0][:40]!r}, a key that is not read"
    for call in message.get("tool_calls") or ():
        _add_call(call, result)
    extra = message.get("additional_kwargs")
    if isinstance(extra, Mapping) and not result.calls:
        for call in extra.get("tool_calls") or ():
            _add_call(call, result)
    if isinstance(content, str) and not result.calls:  # Vercel's older messages have both
        for invocation in message.get("toolInvocations") or ():
            _add_invocation(invocation, result)
    if message.get("invalid_tool_calls"):
        raise ValueError("invalid_tool_calls")
    if message.get("function_call"):
        _add_call(message["function_call"], result)
    if result.role == "call":
        _read_call(message, content, result)
    elif result.role == "tool":
        _read_result(message, content, result)
    else:
        _read_content(content, result)
        if not result.text and isinstance(message.get("refusal"), str):
            result.text = message["refusal"]
    if not (result.text or result.calls or result.results or set(message) & set(CONTENTS)):
        result.fault = result.fault or "a message without a content that is known"


def _read_call(message: Mapping[str, Any], content: Any, result: Said) -> None:
    """Read a message that is a call: a Responses item, or a role for calls."""
    if isinstance(message.get("name"), str):
        _add_call(message, result)
        return
    text = _text(content, result)
    text = re.sub(r"^\s*Calling tools:\s*", "", text)  # smolagents
    value = literal(text)
    for item in value if isinstance(value, list) else [value]:
        _add_call(item, result)


def _read_result(message: Mapping[str, Any], content: Any, result: Said) -> None:
    identifier = next((message[k] for k in (*IDS, "name") if message.get(k) is not None), None)
    if isinstance(message.get("tool_results"), list):  # Cohere's
        result.results += [(None, _json(item.get("outputs"))) for item in message["tool_results"]]
        return
    if _are_parts(content) and any(_kind(part) in RESULTS for part in content):
        _read_content(content, result)
        return
    text = _result_text(content, result)
    result.results += [(identifier, found) for found in results_in(text) or [text]]


def _read_content(content: Any, result: Said) -> None:
    if isinstance(content, Mapping):
        content = [content]
    if content is None or isinstance(content, str):
        result.text = content or ""
        return
    if not isinstance(content, list):
        raise ValueError(f"a content that is no text but {type(content).__name__}")
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Mapping):
            raise ValueError(f"a part that is no object but {type(part).__name__}")
        kind = _kind(part)
        if kind in TEXTS:
            if part.get("thought") is not True:
                texts.append(_part_text(part))
        elif kind == "refusal":
            texts.append(str(part.get("refusal", "")))
        elif kind in CALLS:
            _add_call(_inner_call(part), result)
        elif kind in RESULTS:
            _add_result(part, result)
        elif kind == "tool-invocation" and isinstance(part.get("toolInvocation"), Mapping):
            _add_invocation(part["toolInvocation"], result)
        elif kind == "dynamic-tool" or (kind.startswith("tool-") and "toolCallId" in part):
            _add_invocation({"toolName": kind.removeprefix("tool-")} | dict(part), result)
        elif kind in THOUGHTS or kind in NOTHING:
            continue
        else:
            texts.append(f"[{kind}]")
            result.fault = result.fault or f"a part of kind {kind[:40]!r}, which cannot be kept"
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


def _add_call(call: Any, result: Said) -> None:
    name, arguments = stated_call(call)
    inner = call.get("function") if isinstance(call.get("function"), Mapping) else call
    keys = ("call_id", *IDS)
    identifier = next((call[key] for key in keys if call.get(key) is not None), None)
    result.calls.append((inner.get("name") if identifier is None else identifier, name, arguments))


def _add_result(part: Mapping[str, Any], result: Said) -> None:
    keyed = ("toolResult", "functionResponse", "function_response")
    inner = next((part[key] for key in keyed if isinstance(part.get(key), Mapping)), part)
    keys = ("tool_use_id", "toolUseId", "toolCallId", "tool_call_id", "call_id", "id", "name")
    identifier = next((inner[key] for key in keys if inner.get(key) is not None), None)
    bodies = ("content", "result", "output", "response", "value")
    body = next((inner[key] for key in bodies if inner.get(key) is not None), None)
    if isinstance(body, Mapping) and set(body) == {"type", "value"}:  # Vercel's typed output
        body = body["value"]
    result.results.append((identifier, _result_text(body, result)))


def _add_invocation(part: Mapping[str, Any], result: Said) -> None:
    """Add a call of Vercel's messages of the user's interface, and its result if it has one."""
    call = {"name": part.get("toolName"), "id": part.get("toolCallId")}
    keys = [key for key in ("args", "input") if key in part]
    _add_call(call | ({"arguments": part[keys[0]]} if keys else {}), result)
    outcome = next((part[key] for key in ("result", "output") if key in part), None)
    if outcome is not None:
        result.results.append((part.get("toolCallId"), _result_text(outcome, result)))


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
    if _are_parts(content) and any(_kind(p) in ("image", "image_url", "file") for p in content):
        result.fault = "a result with an image or a file, which cannot be kept"
    return _json(content)


def results_in(text: str) -> list[str]:
    """Return the results in a text that is only results, each between the marks of a template."""
    position, found = 0, []
    while position < len(text):
        match = RESULT_TEXT.match(text, position)
        if match is None or match.end() == position:
            return []
        found.append(next((group for group in match.groups()[1:] if group is not None), ""))
        position = match.end()
    return found


def _text(content: Any, result: Said) -> str:
    _read_content(content, result)
    text, result.text = result.text, ""
    return text


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def in_order(ids: Sequence[Any], results: Sequence[tuple[Any, str]]) -> list[str]:
    """Return results in the order of their calls if the ids match, else in the log's order."""
    by_id = dict(results)
    if len(by_id) == len(ids) == len(results) and set(by_id) == set(ids):
        return [by_id[identifier] for identifier in ids]
    return [text for _, text in results]
