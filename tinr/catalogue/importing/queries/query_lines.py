"""Query lines in the common format, with their implicit content made explicit.

The flags of a query say what it lacks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinr.catalogue.load import query_from
from tinr.records import HISTORY_CUT, NO_ARGUMENTS, OTHER_REFERENCE, SOME_CALL, BadInput

Line = Mapping[str, Any]


def common(line: Line, place: str, chained: bool = False) -> dict[str, Any]:
    """Complete a line for `query_from`; BadInput for a malformed one.

    chained: each call is a separate turn, although the line does not say so.
    """
    calls = line.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        query_from(line, place)  # raises BadInput with the fault
        raise BadInput(f'{place}: "calls" must contain objects; write {{"name", "arguments"}}')
    copy: dict[str, Any] = dict(line)
    source_flags = line.get("flags") or []
    if not isinstance(source_flags, list):
        raise BadInput(f'{place}: "flags" must be a list of strings')
    flags: list[Any] = list(source_flags)
    if any(call.get("arguments", {}) is None for call in calls):
        flags.append(NO_ARGUMENTS)
    if line.get("expect") == "some_call":
        flags.append(SOME_CALL)
    if line.get("alt_calls") or line.get("alt_tools"):
        flags.append(OTHER_REFERENCE)
    turns = range(len(calls)) if chained else _turns(calls)
    copy["calls"] = [
        {"turn": turn}
        | call
        | {"arguments": {} if (arguments := call.get("arguments")) is None else arguments}
        for turn, call in zip(turns, calls, strict=True)
    ]
    if isinstance(line.get("messages"), list) and line["messages"]:
        copy["messages"] = list(_messages(line["messages"], line.get("suffix")))
        if not _is_user(copy["messages"][-1]):
            flags.append(HISTORY_CUT)
    return _with_context(copy | {"flags": list(dict.fromkeys(flags))}, line)


def _turns(calls: Sequence[Line]) -> Iterator[int]:
    """Yield each call's turn: one after the latest call whose result it uses ("$var1.x$")."""
    turns: dict[str, int] = {}
    for call in calls:
        labels = re.findall(r"\$(\w+)", json.dumps(call.get("arguments")))
        turn = max((turns[label] + 1 for label in labels if label in turns), default=0)
        turns[str(call.get("label", ""))] = turn
        yield turn


def _messages(messages: Sequence[Any], suffix: Any) -> Iterator[Any]:
    """Yield the messages with past calls as JSON, and the source's closing line `suffix`."""
    role = None
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role == "assistant" and message.get("calls") and not message.get("content"):
            message = {"role": role, "content": json.dumps(message["calls"], ensure_ascii=False)}
        yield message
    if suffix and role != "user":
        yield {"role": "user", "content": str(suffix)}


def _with_context(line: dict[str, Any], source: Line) -> dict[str, Any]:
    """Put the source's context (a date, a profile) in front of the question."""
    context = source.get("context")
    texts = map(str, context.values()) if isinstance(context, dict) else ()
    preamble = "\n".join(text.strip() for text in texts if text.strip())
    if preamble and isinstance(line.get("query"), str):
        line["query"] = f"{preamble}\n\n{line['query']}"
    elif preamble and isinstance(line.get("messages"), list):
        question = next((m for m in reversed(line["messages"]) if _is_user(m)), None)
        line["messages"] = [
            {**m, "content": f"{preamble}\n\n{m.get('content')}"} if m is question else m
            for m in line["messages"]
        ]
    return line


def _is_user(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"
