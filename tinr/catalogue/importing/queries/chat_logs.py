"""Chat logs as queries: each turn of a user, with the calls and the answer that followed.

OpenAI's messages and Responses items, ShareGPT's conversations, Anthropic's typed parts, Hermes'
tags. A turn with a message in an unknown format is a problem: it is never read as an answer
without a call.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.problems import Problem
from tinr.catalogue.importing.queries.questions import Asked, Place, call

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "observation": "tool",
    "function": "tool",
    "tool_response": "tool",
    "function_call_output": "tool",
    "ipython": "tool",
    "tool_call": "function_call",
}
SILENT = ("system", "developer", "reasoning")
ARGUMENTS = ("arguments", "parameters", "input")
MARKED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)  # Hermes' form, in the text
# how calls begin in the text of other models
FOREIGN = re.compile(
    r"<functioncall>|<\|python_tag\|>|\[TOOL_CALLS\]|<function=|<function_calls?>|<invoke |"
    r"<｜tool▁call|<\|tool_calls?_|```tool_|<tool_code>|<start_function_call>"
)
Call = tuple[Any, str, Mapping[str, Any]]  # the log's id, the tool, the arguments


@dataclass
class _Exchange:
    """A turn of a user, and what followed it."""

    number: int
    history: list[dict[str, str]]  # up to the user's own message
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)  # the log's id of each call
    results: list[tuple[Any, str]] = field(default_factory=list)  # (id of the call, text)
    turns: int = 0
    reply: str = ""  # the assistant's last text
    fault: str = ""  # why it cannot become a query

    def add_message(self, message: Mapping[str, Any], role: str, text: str) -> bool:
        """Add a message; return whether it has calls."""
        if role not in ("assistant", "tool", "function_call"):
            self.fault = self.fault or f"a message of {role[:40]!r}, which is no role that is known"
            return False
        try:
            calls = list(_calls_in(message, role, text))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.fault = f"a call that cannot be read ({type(error).__name__}: {error})"
            return True
        for identifier, name, arguments in calls:
            self.ids.append(identifier)
            self.calls.append(call(name, arguments, self.turns))
        self.turns += bool(calls)
        if role == "tool":
            self.add_result(message.get("tool_call_id", message.get("call_id")), text)
        self.reply = text.strip() if role == "assistant" and not calls else ""
        return bool(calls)

    def add_result(self, identifier: Any, text: str) -> None:
        """Add the result of a call."""
        self.results.append((identifier, text))
        self.reply = ""

    def query_or_problem(self, row: Mapping[str, Any], place: Place) -> Asked | Problem:
        """Return the query, or a problem if the log has no usable reference."""
        if not self.fault and self.results and not self.calls:
            self.fault = "results of tools, but no call that is known as one"
        if not self.fault and not self.calls and not self.reply:
            self.fault = "nobody answered"
        if self.fault:
            reason = f"turn {self.number} of a conversation: {self.fault}"
            return Problem(place.file, place.pointer, reason[:200])
        extra: dict[str, Any] = {"reply": self.reply} if self.reply else {}
        if self.calls and len(self.results) == len(self.calls):
            extra["observations"] = _in_order(self.ids, self.results)
        return Asked(
            place.file,
            place.pointer,
            f"{place.name}-{self.number}",
            self.history,
            self.calls,
            candidates=[row.get("tools") or ""],
            extra=extra,
        )


def conversation(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Yield each turn of a user in a chat log as a query.

    A query has the assistant's last text as its reply. It has the results of its calls if the
    log has one result for each call.
    """
    history: list[dict[str, str]] = []
    exchange: _Exchange | None = None
    number = 0
    for message in row.get("messages") or row["conversations"]:
        role = str(message.get("role", message.get("from", message.get("type"))))
        content = message.get("content", message.get("value", message.get("output")))
        role, text = ROLES.get(role, role), text_of(content)
        results = _parts_of(message, "tool_result") if role == "user" else []
        for result in results:  # Anthropic's: the user's message has the results
            result_text = text_of(result.get("content"))
            history = [*history, {"role": "tool", "content": result_text}]
            if exchange is not None:
                exchange.add_result(result.get("tool_use_id"), result_text)
        if results and not text.strip():
            continue
        if role == "user":
            if exchange is not None:
                yield exchange.query_or_problem(row, place)
            number += 1
            history = [*history, {"role": "user", "content": text}]
            exchange = _Exchange(number, history)
        elif exchange is not None and role not in SILENT:
            has_calls = exchange.add_message(message, role, text)
            if not has_calls and role in ("assistant", "tool"):
                history = [*history, {"role": role, "content": text}]
    if exchange is not None:
        yield exchange.query_or_problem(row, place)


def _in_order(ids: Sequence[Any], results: Sequence[tuple[Any, str]]) -> list[str]:
    """Return results in the order of their calls if the ids match, else in the log's order."""
    by_id = dict(results)
    if len(by_id) == len(ids) and set(by_id) == set(ids):
        return [by_id[identifier] for identifier in ids]
    return [text for _, text in results]


def text_of(content: Any) -> str:
    """Return the text of a message; its typed text parts are joined."""
    if isinstance(content, list):
        kinds = ("text", "input_text", "output_text")
        parts = (p for p in content if isinstance(p, Mapping) and p.get("type") in kinds)
        return "".join(str(p.get("text", p.get("value", ""))) for p in parts)
    return "" if content is None else str(content)


def _parts_of(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [p for p in parts if isinstance(p, Mapping) and p.get("type") == kind]


def _calls_in(message: Mapping[str, Any], role: str, text: str) -> Iterator[Call]:
    """Yield the calls of one message.

    Reads OpenAI's `tool_calls`, the older `function_call` and Responses' items, roles of calls,
    typed parts, Hermes' tags, and a text that has only calls. Raises ValueError for calls in an
    unknown format.
    """
    pairs = [(c.get("id"), c.get("function", c)) for c in message.get("tool_calls") or ()]
    if message.get("function_call"):
        pairs.append((None, message["function_call"]))
    if role == "function_call" and "name" in message:
        pairs.append((message.get("call_id"), message))
    elif role == "function_call":
        value = json.loads(text)
        pairs += [(None, item) for item in (value if isinstance(value, list) else [value])]
    for part in _parts_of(message, "tool_call"):
        value = part.get("value", part)
        pairs.append((part.get("id"), json.loads(value) if isinstance(value, str) else value))
    pairs += [(part.get("id"), part) for part in _parts_of(message, "tool_use")]
    if role == "assistant":
        tagged_calls = MARKED.findall(text)
        if len(tagged_calls) < text.count("<tool_call>"):
            raise ValueError("<tool_call> without its end")
        foreign_tag = FOREIGN.search(text)
        if foreign_tag and not pairs:
            raise ValueError(f"{foreign_tag[0]} begins a form that is not known")
        pairs += [(None, json.loads(item)) for item in tagged_calls]
        pairs += [(None, item) for item in _calls_of_json(text)] if not pairs else []
    for identifier, item in pairs:
        arguments = next((item[key] for key in ARGUMENTS if key in item), {})
        if isinstance(arguments, str):
            arguments = json.loads(arguments) if arguments.strip() else {}
        yield identifier, item["name"], arguments


def _calls_of_json(text: str) -> list[Mapping[str, Any]]:
    """Return the calls of a text that is only a JSON call or a list of them."""
    if not text.lstrip().startswith(("{", "[")):
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    items = value if isinstance(value, list) else [value]
    calls = [
        item
        for item in items
        if isinstance(item, Mapping) and "name" in item and any(key in item for key in ARGUMENTS)
    ]
    return calls if len(calls) == len(items) else []
