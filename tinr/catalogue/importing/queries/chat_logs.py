"""Chat logs as queries: each turn of a user, with the calls and the answer that followed.

A turn with anything in it that cannot be read is a problem: it is never read as an answer
without a call.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.formats import from_prompt
from tinr.catalogue.importing.problems import Found, Problem
from tinr.catalogue.importing.queries.messages import Said, in_order, results_in, said
from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.questions import Asked, Place, call
from tinr.catalogue.importing.queries.tool_names import ToolNames


@dataclass
class _Round:
    """The calls of one message, and their results."""

    ids: list[Any]
    results: list[tuple[Any, str]] = field(default_factory=list)


@dataclass
class _Exchange:
    """A turn of a user, and what followed it."""

    number: int
    history: list[dict[str, str]]  # up to the user's own message
    names: ToolNames
    fault: str = ""  # why it cannot become a query
    follows_open_call: bool = False  # the user's message may be the result of the call before it
    calls: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[_Round] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)  # the assistant's last texts

    def add(self, message: Said) -> str:
        """Add a message; return the text of it that later turns see."""
        self.fault = self.fault or message.fault
        calls = [(i, name, arguments) for i, name, arguments in message.calls]
        text = message.text
        if message.role == "assistant" and not calls and text.strip():
            try:
                read = read_text(text, self.names)
            except (ValueError, RecursionError) as error:
                self.fault = self.fault or str(error)
                return ""
            text = read.text
            calls = [(None, name, arguments) for name, arguments in read.calls]
        if calls:
            self.calls += [call(name, arguments, len(self.rounds)) for _, name, arguments in calls]
            self.rounds.append(_Round([identifier for identifier, *_ in calls]))
            self.replies = []
        for identifier, result in message.results:
            self.add_result(identifier, result)
        if message.role == "assistant" and not calls and text.strip():
            self.replies.append(text.strip())
        return "" if calls else text

    def add_result(self, identifier: Any, text: str) -> None:
        """Add the result of a call: of the last message with calls."""
        self.replies = []
        if not self.rounds:
            self.fault = self.fault or "results of tools, but no call that is known as one"
            return
        self.rounds[-1].results.append((identifier, text))

    @property
    def is_open(self) -> bool:
        """Whether its last calls have no results."""
        return bool(self.rounds) and len(self.rounds[-1].results) < len(self.rounds[-1].ids)

    def expects_results(self, text: str) -> bool:
        """Whether a message of the user may be the results of calls, written as a text."""
        return self.is_open or bool(self.fault) or text.lstrip().startswith(("<", "[TOOL_RESULTS]"))

    def query_or_problem(self, candidates: Any, place: Place) -> Asked | Problem:
        """Return the query, or a problem if the log has no usable reference."""
        if not self.number:
            self.fault = self.fault or "nobody asked before it"
        if not self.fault and not self.calls and not self.replies:
            self.fault = "nobody answered"
        if self.follows_open_call and not self.calls:
            self.fault = self.fault or "what the user says may be the result of the call before it"
        if self.fault:
            reason = f"turn {self.number} of a conversation: {self.fault}"
            return Problem(place.file, place.pointer, reason[:200])
        extra: dict[str, Any] = {"reply": "\n\n".join(self.replies)} if self.replies else {}
        if self.calls and all(len(one.results) == len(one.ids) for one in self.rounds):
            ordered = [in_order(one.ids, one.results) for one in self.rounds]
            extra["observations"] = [text for texts in ordered for text in texts]
        return Asked(
            place.file,
            place.pointer,
            f"{place.name}-{self.number}",
            self.history,
            self.calls,
            candidates=[candidates or ""],
            extra=extra,
        )


def conversation(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Yield each turn of a user in a chat log as a query.

    A query has the assistant's last texts as its reply. It has the results of its calls if the
    log has one result for each call. What a system message says is a part of its history,
    without the documents of tools: a model that has learned the tools is not shown them.
    """
    candidates = row.get("tools") or row.get("functions")
    names = place.names.with_candidates(candidates or {"system": _system(row)})
    history: list[dict[str, str]] = []
    exchange = _Exchange(0, history, names)  # what was said before anybody asked
    number = 0
    for message in map(said, _messages(row)):
        role, text = message.role, message.text
        if role == "system":
            if text.strip() and not _is_tool_prompt(text):
                history = [*history, {"role": "system", "content": text.strip()}]
        elif role == "user":
            if exchange.expects_results(text):
                message.results += [(None, found) for found in results_in(text)]
                text = "" if message.results else text
            if message.results:
                history = [*history, *_tool_messages(message)]
                exchange.add(Said("tool", results=message.results, fault=message.fault))
            if message.results and not text.strip():
                continue
            if number or exchange.calls or exchange.fault:
                yield exchange.query_or_problem(candidates, place)
            number += 1
            history = [*history, {"role": "user", "content": text}]
            exchange = _Exchange(number, history, names, message.fault, exchange.is_open)
        elif role != "reasoning":
            text = exchange.add(message)
            if number and role == "assistant" and text.strip():
                history = [*history, {"role": "assistant", "content": text.strip()}]
            history = [*history, *_tool_messages(message)]
    yield exchange.query_or_problem(candidates, place)


def _messages(row: Mapping[str, Any]) -> Sequence[Any]:
    """Return a row's messages, from a list or from its JSON."""
    keys = ("messages", "conversations", "conversation", "contents")
    messages = next((row[key] for key in keys if row.get(key)), [])
    if isinstance(messages, str):
        messages = json.loads(messages)
    if not isinstance(messages, list):
        raise ValueError(f"messages that are no list but {type(messages).__name__}")
    system = _system(row)
    return [{"role": "system", "content": system}, *messages] if system else messages


def _system(row: Mapping[str, Any]) -> str:
    """Return the system text that stands beside a row's messages."""
    keys = ("system", "systemInstruction", "system_instruction", "system_prompt", "preamble")
    content = next((row[key] for key in keys if row.get(key)), None)
    if isinstance(content, Mapping) and "parts" not in content:
        content = [content]
    return said({"role": "system", "content": content}).text if content else ""


def _tool_messages(message: Said) -> list[dict[str, str]]:
    return [{"role": "tool", "content": text} for _, text in message.results]


def _is_tool_prompt(text: str) -> bool:
    """Whether a system text has the documents of tools."""
    return any(isinstance(item, Found) for item in from_prompt(text, "", "", ""))
