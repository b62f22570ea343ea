"""Chat logs as queries: each turn of a user, with the calls and the answer that followed.

OpenAI's messages and Responses items, ShareGPT's conversations, Anthropic's typed parts, Hermes'
tags. What a log says in a form that is not known costs its turn: it is never taken for an answer
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
Call = tuple[Any, str, Mapping[str, Any]]  # what the log calls it by, its tool, its arguments


@dataclass
class _Asking:
    """A turn of a user, and what followed it."""

    number: int
    history: list[dict[str, str]]  # up to the user's own message
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)  # what the log calls each of them by
    results: list[tuple[Any, str]] = field(default_factory=list)  # what they returned, by the same
    turns: int = 0
    said: str = ""  # last by the assistant
    wrong: str = ""  # what of it could not be read

    def read(self, message: Mapping[str, Any], role: str, text: str) -> bool:
        """Take in a message; whether it was one of calls."""
        if role not in ("assistant", "tool", "function_call"):
            self.wrong = self.wrong or f"a message of {role[:40]!r}, which is no role that is known"
            return False
        try:
            called = list(_calls_in(message, role, text))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.wrong = f"a call that cannot be read ({type(error).__name__}: {error})"
            return True
        for identifier, name, arguments in called:
            self.ids.append(identifier)
            self.calls.append(call(name, arguments, self.turns))
        self.turns += bool(called)
        if role == "tool":
            self.returned(message.get("tool_call_id", message.get("call_id")), text)
        self.said = text.strip() if role == "assistant" and not called else ""
        return bool(called)

    def returned(self, identifier: Any, text: str) -> None:
        """Take in what a call returned."""
        self.results.append((identifier, text))
        self.said = ""

    def asked(self, row: Mapping[str, Any], place: Place) -> Asked | Problem:
        """The query; a problem where the log does not say what is right."""
        if not self.wrong and self.results and not self.calls:
            self.wrong = "results of tools, but no call that is known as one"
        if not self.wrong and not self.calls and not self.said:
            self.wrong = "nobody answered"
        if self.wrong:
            said = f"turn {self.number} of a conversation: {self.wrong}"
            return Problem(place.file, place.pointer, said[:200])
        extra: dict[str, Any] = {"reply": self.said} if self.said else {}
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
    """Each turn of a user in a chat log.

    What its calls returned comes with it where the log has one result for each call, and what
    the assistant said last.
    """
    history: list[dict[str, str]] = []
    asking: _Asking | None = None
    number = 0
    for message in row.get("messages") or row["conversations"]:
        role = str(message.get("role", message.get("from", message.get("type"))))
        content = message.get("content", message.get("value", message.get("output")))
        role, text = ROLES.get(role, role), text_of(content)
        results = _parts_of(message, "tool_result") if role == "user" else []
        for one in results:  # Anthropic's: results are said by the user
            said = text_of(one.get("content"))
            history = [*history, {"role": "tool", "content": said}]
            if asking is not None:
                asking.returned(one.get("tool_use_id"), said)
        if results and not text.strip():
            continue
        if role == "user":
            if asking is not None:
                yield asking.asked(row, place)
            number += 1
            history = [*history, {"role": "user", "content": text}]
            asking = _Asking(number, history)
        elif asking is not None and role not in SILENT:
            called = asking.read(message, role, text)
            if not called and role in ("assistant", "tool"):
                history = [*history, {"role": role, "content": text}]
    if asking is not None:
        yield asking.asked(row, place)


def _in_order(made: Sequence[Any], results: Sequence[tuple[Any, str]]) -> list[str]:
    """Results in the order of their calls where the log says whose they are, else in its own."""
    by_id = dict(results)
    if len(by_id) == len(made) and set(by_id) == set(made):
        return [by_id[one] for one in made]
    return [text for _, text in results]


def text_of(content: Any) -> str:
    """What a message says, its typed parts of text joined."""
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
    """The calls of one message: OpenAI's `tool_calls`, the older `function_call` and Responses'
    items, roles of calls, typed parts, Hermes' tags, and a text that is nothing but calls.

    ValueError for calls in a form that is not known.
    """
    stated = [(c.get("id"), c.get("function", c)) for c in message.get("tool_calls") or ()]
    if message.get("function_call"):
        stated.append((None, message["function_call"]))
    if role == "function_call" and "name" in message:
        stated.append((message.get("call_id"), message))
    elif role == "function_call":
        value = json.loads(text)
        stated += [(None, one) for one in (value if isinstance(value, list) else [value])]
    for part in _parts_of(message, "tool_call"):
        value = part.get("value", part)
        stated.append((part.get("id"), json.loads(value) if isinstance(value, str) else value))
    stated += [(part.get("id"), part) for part in _parts_of(message, "tool_use")]
    if role == "assistant":
        found = MARKED.findall(text)
        if len(found) < text.count("<tool_call>"):
            raise ValueError("<tool_call> without its end")
        foreign = FOREIGN.search(text)
        if foreign and not stated:
            raise ValueError(f"{foreign[0]} begins a form that is not known")
        stated += [(None, json.loads(one)) for one in found]
        stated += [(None, one) for one in _bare(text)] if not stated else []
    for identifier, one in stated:
        arguments = next((one[key] for key in ARGUMENTS if key in one), {})
        if isinstance(arguments, str):
            arguments = json.loads(arguments) if arguments.strip() else {}
        yield identifier, one["name"], arguments


def _bare(text: str) -> list[Mapping[str, Any]]:
    """The calls of a text that is a call in JSON, or a list of them, and nothing else."""
    if not text.lstrip().startswith(("{", "[")):
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    listed = value if isinstance(value, list) else [value]
    calls = [
        one
        for one in listed
        if isinstance(one, Mapping) and "name" in one and any(key in one for key in ARGUMENTS)
    ]
    return calls if len(calls) == len(listed) else []
