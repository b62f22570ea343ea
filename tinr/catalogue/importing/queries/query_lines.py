"""Lines of queries in the common form, with what they leave to be read between the lines.

What a query lacks stands in its flags.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinr.catalogue.load import query_from
from tinr.records import HISTORY_CUT, NO_ARGUMENTS, OTHER_REFERENCE, SOME_CALL, BadInput

Line = Mapping[str, Any]


def common(line: Line, place: str, chained: bool = False) -> dict[str, Any]:
    """A line with what `query_from` needs to take it in whole; BadInput for a malformed one.

    chained: its calls follow one another, though it does not say so.
    """
    calls = line.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        query_from(line, place)  # says what is wrong
        raise BadInput(f'{place}: "calls" must hold objects; write {{"name", "arguments"}}')
    out: dict[str, Any] = dict(line)
    stated = line.get("flags") or []
    if not isinstance(stated, list):
        raise BadInput(f'{place}: "flags" must be a list of texts')
    flags: list[Any] = list(stated)
    if any(call.get("arguments", {}) is None for call in calls):
        flags.append(NO_ARGUMENTS)
    if line.get("expect") == "some_call":
        flags.append(SOME_CALL)
    if line.get("alt_calls") or line.get("alt_tools"):
        flags.append(OTHER_REFERENCE)
    turns = range(len(calls)) if chained else _turns(calls)
    out["calls"] = [
        {"turn": turn} | call | {"arguments": {} if (a := call.get("arguments")) is None else a}
        for turn, call in zip(turns, calls, strict=True)
    ]
    if isinstance(line.get("messages"), list) and line["messages"]:
        out["messages"] = list(_messages(line["messages"], line.get("suffix")))
        if not _is_user(out["messages"][-1]):
            flags.append(HISTORY_CUT)
    return _told(out | {"flags": list(dict.fromkeys(flags))}, line)


def _turns(calls: Sequence[Line]) -> Iterator[int]:
    """A call that uses an earlier one's result ("$var1.x$") stands one turn after it."""
    turns: dict[str, int] = {}
    for call in calls:
        used = re.findall(r"\$(\w+)", json.dumps(call.get("arguments")))
        turn = max((turns[label] + 1 for label in used if label in turns), default=0)
        turns[str(call.get("label", ""))] = turn
        yield turn


def _messages(messages: Sequence[Any], suffix: Any) -> Iterator[Any]:
    """The conversation: past calls as JSON, and the line with which its source asks to go on."""
    last = None
    for message in messages:
        last = message.get("role") if isinstance(message, dict) else None
        if last == "assistant" and message.get("calls") and not message.get("content"):
            message = {"role": last, "content": json.dumps(message["calls"], ensure_ascii=False)}
        yield message
    if suffix and last != "user":
        yield {"role": "user", "content": str(suffix)}


def _told(line: dict[str, Any], source: Line) -> dict[str, Any]:
    """With what the source says in its system prompt (a date, a profile) before the question."""
    system = (m for m in source.get("messages") or () if isinstance(m, dict))
    said = [str(m.get("content")) for m in system if m.get("role") == "system"]
    context = source.get("context")
    said += map(str, context.values()) if isinstance(context, dict) else ()
    before = "\n".join(text.strip() for text in said if text.strip())
    if before and isinstance(line.get("query"), str):
        line["query"] = f"{before}\n\n{line['query']}"
    elif before and isinstance(line.get("messages"), list):
        asked = next((m for m in reversed(line["messages"]) if _is_user(m)), None)
        line["messages"] = [
            {**m, "content": f"{before}\n\n{m.get('content')}"} if m is asked else m
            for m in line["messages"]
        ]
    return line


def _is_user(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"
