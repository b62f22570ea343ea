"""Chat logs as queries: each user turn, with the calls and the answer that follow.

A turn that contains anything unreadable is a problem: it is never read as an answer without a
call.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.formats import from_prompt
from tinr.catalogue.importing.problems import Found, Problem
from tinr.catalogue.importing.queries.messages import (
    Identified,
    Result,
    Said,
    in_order,
    results_in,
    said,
)
from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.questions import Asked, Place, call
from tinr.catalogue.importing.queries.tool_names import ToolNames

PYTHON_DOCUMENT = re.compile(r"'name'\s*:\s*'[^'\n]{1,128}'\s*,\s*'(?:description|parameters)'\s*:")


@dataclass
class _Round:
    """The calls of one message, and their results."""

    calls: list[tuple[Any, str]]  # id in the log, name of the tool
    results: list[Result] = field(default_factory=list)


@dataclass
class _Exchange:
    """A user turn and what follows it."""

    number: int
    history: list[dict[str, str]]  # up to and including the user's message
    names: ToolNames
    fault: str = ""  # why it cannot become a query
    follows_open_call: bool = False  # the user's message may be the result of the previous call
    calls: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[_Round] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)  # the assistant's last texts
    is_open: bool = False  # whether the last message has calls, or could not be read

    def add(self, message: Said) -> str:
        """Add a message; return the part of its text that later turns see."""
        text, calls = message.text, list(message.calls)
        try:
            read = read_text(text, self.names) if message.role == "assistant" and text else None
        except (ValueError, RecursionError) as error:
            read = None
            if not any(name in text for _, name, _ in calls):
                message.fault = message.fault or str(error)
        if read and calls and read.calls and [c[1:] for c in calls] != list(read.calls):
            message.fault = message.fault or "calls in the text differ from those of the message"
        elif read and not calls:
            text = read.text
            calls = [(None, name, arguments) for name, arguments in read.calls]
        self.fault = self.fault or message.fault
        if calls:
            self._add_calls(calls)
        for result in message.results:
            self.add_result(result)
        self.is_open = bool(message.fault) or bool(calls and not message.results)
        if message.fault or calls or message.role != "assistant":
            return ""
        self.replies += [text.strip()] if text.strip() else []
        return text

    def _add_calls(self, calls: Sequence[Identified]) -> None:
        """Add the calls of a message; calls before any result are made in parallel."""
        if not self.rounds or self.rounds[-1].results:
            self.rounds.append(_Round([]))
        self.replies = []
        for identifier, name, arguments in calls:
            self.calls.append(call(name, arguments, len(self.rounds) - 1))
            self.rounds[-1].calls.append((identifier, name))

    def add_result(self, result: Result) -> None:
        """Add the result of a call to the last message with calls."""
        self.replies = []
        if not self.rounds:
            self.fault = self.fault or "tool results, but no call was recognised"
            return
        self.rounds[-1].results.append(result)

    def expects_results(self, text: str) -> bool:
        """Whether a user message may be the results of calls, written as text."""
        return self.is_open or bool(self.fault) or text.lstrip().startswith(("<", "[TOOL_RESULTS]"))

    def query(self, candidates: Any, place: Place) -> Iterator[Asked | Problem]:
        """Yield the query and notes on it, or a problem if the log has no usable reference."""
        if not self.number:
            self.fault = self.fault or "no user message before it"
        if not self.fault and not self.calls and not self.replies:
            self.fault = "no answer"
        if self.follows_open_call and not self.calls:
            self.fault = self.fault or "the user message may be the result of the previous call"
        where = f"turn {self.number} of a conversation"
        if self.fault:
            yield Problem(place.file, place.pointer, f"{where}: {self.fault}"[:200])
            return
        extra: dict[str, Any] = {"reply": "\n\n".join(self.replies)} if self.replies else {}
        ordered = [in_order(one.calls, one.results) for one in self.rounds]
        if self.calls and None not in ordered:
            extra["observations"] = [text for texts in ordered for text in texts or ()]
        elif any(one.results for one in self.rounds):
            reason = f"{where}: results were left out because they do not match the calls"
            yield Problem(place.file, place.pointer, reason, "note")
        yield Asked(
            place.file,
            place.pointer,
            f"{place.name}-{self.number}",
            self.history,
            self.calls,
            candidates=[candidates or ""],
            extra=extra,
        )


def conversation(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Yield each user turn of a chat log as a query.

    A query has the assistant's last texts as its reply. It has the results of its calls if the
    log has one result per call. System messages are part of its history, except those that
    contain tool documents: a model that has learned the tools is not shown them.
    """
    candidates = row.get("tools") or row.get("functions")
    names = place.names.with_candidates(candidates or {"system": _system(row)})
    history: list[dict[str, str]] = []
    exchange = _Exchange(0, history, names)  # messages before the first user message
    number, system_fault = 0, ""
    for message in itertools.chain.from_iterable(map(said, _messages(row))):
        role, text = message.role, message.text
        if role == "system":
            system_fault = system_fault or message.fault
            if text.strip() and not _is_tool_prompt(text):
                history = [*history, {"role": "system", "content": text.strip()}]
        elif role == "user":
            found = results_in(text) if exchange.expects_results(text) else []
            message.results += [Result(None, None, result) for result in found]
            text = "" if found else text
            if message.results:
                history = [*history, *_tool_messages(message)]
                exchange.add(Said("tool", results=message.results, fault=message.fault))
            if message.results and not text.strip():
                continue
            if number or exchange.calls or exchange.fault:
                yield from exchange.query(candidates, place)
            number += 1
            history = [*history, {"role": "user", "content": text}]
            fault = message.fault or system_fault
            exchange = _Exchange(number, history, names, fault, exchange.is_open)
        elif role != "reasoning":
            text = exchange.add(message)
            if number and text.strip():
                history = [*history, {"role": "assistant", "content": text.strip()}]
            history = [*history, *_tool_messages(message)]
    yield from exchange.query(candidates, place)


def _messages(row: Mapping[str, Any]) -> Sequence[Any]:
    """Return a row's messages, from a list or from its JSON."""
    keys = ("messages", "conversations", "conversation", "contents")
    messages = next((row[key] for key in keys if row.get(key)), [])
    if isinstance(messages, str):
        messages = json.loads(messages)
    if not isinstance(messages, list):
        raise ValueError(f"messages that are not a list but {type(messages).__name__}")
    system = _system(row)
    return [{"role": "system", "content": system}, *messages] if system else messages


def _system(row: Mapping[str, Any]) -> str:
    """Return the system text beside a row's messages."""
    keys = ("system", "systemInstruction", "system_instruction", "system_prompt")
    keys += ("preamble", "instructions")
    content = next((row[key] for key in keys if row.get(key)), None)
    if isinstance(content, Mapping):
        content = content.get("parts", [content])
    return said({"role": "system", "content": content})[0].text if content else ""


def _tool_messages(message: Said) -> list[dict[str, str]]:
    return [{"role": "tool", "content": result.text} for result in message.results]


def _is_tool_prompt(text: str) -> bool:
    """Whether a system text contains tool documents, as JSON or as Python writes them."""
    if PYTHON_DOCUMENT.search(text):
        return True
    return any(isinstance(item, Found) for item in from_prompt(text, "", "", ""))
