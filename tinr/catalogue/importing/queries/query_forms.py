"""Readers for the formats in which benchmarks publish query sets.

BFCL, ACEBench, API-Bank, NESTFUL, ToolAlpaca, ToolBench, RestBench, chat logs, and our own lines.
The keys of a row determine its format.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.openapi import operation_name
from tinr.catalogue.importing.problems import Problem, step
from tinr.catalogue.importing.queries.bfcl_rows import bfcl, bfcl_turns, user_message
from tinr.catalogue.importing.queries.call_objects import stated_call
from tinr.catalogue.importing.queries.chat_logs import conversation
from tinr.catalogue.importing.queries.messages import said
from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.query_lines import common
from tinr.catalogue.importing.queries.questions import Asked, Place, call
from tinr.records import HISTORY_CUT, BadInput


def has(row: Any, *keys: str) -> bool:
    """Whether a row is a mapping with these keys."""
    return isinstance(row, Mapping) and all(key in row for key in keys)


def read_row(row: Any, place: Place) -> Iterator[Asked | Problem]:
    """Yield the queries of a row in any known format; a row in another format is a problem."""
    for keys, reader in READERS:
        if has(row, *keys):
            try:
                yield from reader(row, place)
            except (
                LookupError,
                TypeError,
                ValueError,
                AttributeError,
                SyntaxError,
                RecursionError,
                MemoryError,
                BadInput,
            ) as error:
                reason = f"a query that cannot be read ({type(error).__name__}: {error})"
                yield Problem(place.file, place.pointer, reason[:200])
            return
    keys = ", ".join(map(str, list(row)[:5])) if isinstance(row, Mapping) else type(row).__name__
    yield Problem(place.file, place.pointer, f"no query recognised (keys: {keys})")


def _own(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read one of our own lines, as a suite reads it.

    In a line without calls, the assistant's last message is the reply. A line that continues after
    the user's last message is flagged: its reference may depend on what follows.
    """
    line = common(row, str(row["id"]))
    messages = line.get("messages")
    if isinstance(messages, list) and messages:
        messages = [{"role": m["role"], "content": _text_of(m)} for m in messages]
        is_reply = not line["calls"] and not row["messages"][-1].get("calls")
        if is_reply and [m["role"] for m in messages[-2:]] == ["user", "assistant"]:
            line = {"reply": messages.pop()["content"]} | line
            line["flags"] = [flag for flag in line["flags"] if flag != HISTORY_CUT]
        while messages and messages[-1]["role"] != "user":
            messages.pop()
        if messages and isinstance(line.get("query"), str):
            messages[-1] = user_message(line["query"])[0]
    else:
        messages = user_message(line["query"])
    if line.get("reply") and read_text(str(line["reply"]), place.names).calls:
        raise ValueError("a reply that contains a call")
    calls = [call(c["name"], c["arguments"], c["turn"]) for c in line["calls"]]
    keys = ("answer", "split", "kind", "reply", "observations", "category")
    keys += ("thought", "tools", "group")
    yield Asked(
        place.file,
        place.pointer,
        str(line["id"]),
        messages,
        calls,
        accept=line.get("accept") or (),
        flags=line["flags"],
        extra={key: line[key] for key in keys if key in line},
        stated=True,
    )


def _text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text; ValueError if it contains anything else."""
    (read,) = said(message)
    if read.fault or read.calls:
        raise ValueError(read.fault or "a message with calls that are not in our own format")
    texts = [result.text for result in read.results]
    return read.text if message["role"] != "tool" else "".join(texts)


def _apibank(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    passages = re.findall(r"<(user|response|obs)>(.*?)</\1>", row["user"], re.DOTALL)
    roles = {"user": "user", "response": "assistant", "obs": "tool"}
    messages = [{"role": roles[tag], "content": text.strip()} for tag, text in passages]
    answer = row["answer"]
    calls = [
        call(reference["name"], reference.get("parameters", reference.get("arguments")))
        for reference in (answer if isinstance(answer, list) else [answer])
    ]
    while messages and messages[-1]["content"].startswith("Based on our conversation above"):
        messages.pop()  # API-Bank's processing added this line
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    candidates = {"system": row["system"]}
    yield Asked(place.file, place.pointer, place.name, messages, calls, candidates=[candidates])


def _nestful(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read calls in turns; an argument may be the result of an earlier call ("$var1.x$")."""
    turns: dict[str, int] = {}
    calls, has_references = [], False
    output = row["output"]
    for step_call in json.loads(output) if isinstance(output, str) else output:
        if (
            not str(step_call.get("label", "")).startswith("var")
            or step_call["name"] == "var_result"
        ):
            continue
        labels = re.findall(r"\$(var\d+)", json.dumps(step_call["arguments"]))
        has_references |= bool(labels)
        turn = max((turns.get(label, -1) + 1 for label in labels), default=0)
        turns[step_call["label"]] = turn
        calls.append(call(step_call["name"], step_call["arguments"], turn))
    if not calls:
        raise ValueError("an output without a labelled call")
    flags = ["nested_reference"] if has_references else []
    yield Asked(
        place.file, place.pointer, place.name, user_message(row["input"]), calls, flags=flags
    )


def _toolalpaca(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    instructions, answers = _data(row["Instructions"]), _data(row["Golden_Answers"])
    for number, (text, golden) in enumerate(zip(instructions, answers, strict=True)):
        calls, flags = [], []
        for action in golden:
            try:
                arguments = json.loads(action["Action_Input"])
            except ValueError:
                arguments, flags = None, ["gold_arguments_unparsed"]
            calls.append(call(action["Action"], arguments, len(calls)))
        name = f"toolalpaca-{row.get('Name', '')}-{number}"
        pointer = step(place.pointer, "Instructions", number)
        candidates = [row.get("Documentation", "")]
        yield Asked(
            place.file, pointer, name, user_message(text), calls, candidates=candidates, flags=flags
        )


def _data(value: Any) -> Any:
    return ast.literal_eval(value) if isinstance(value, str) else value


def _toolbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = [call(api, None) | {"namespace": tool} for tool, api in row["relevant APIs"]]
    name = f"toolbench-{Path(place.file).stem}-{row.get('query_id', place.pointer)}"
    candidates = row.get("api_list") or ()
    yield Asked(
        place.file, place.pointer, name, user_message(row["query"]), calls, candidates=candidates
    )


def _restbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = []
    for turn, request in enumerate(row["solution"]):
        method, _, path = request.strip().partition(" ")
        calls.append(call(request.strip(), None, turn) | {"also": operation_name(method, path)})
    yield Asked(place.file, place.pointer, place.name, user_message(row["query"]), calls)


def _xlam(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of xLAM: the query, its calls and its tools, the last two as JSON."""
    answers = row["answers"]
    answers = json.loads(answers) if isinstance(answers, str) else answers
    if not isinstance(answers, list):
        raise ValueError(f"answers that are not a list but {type(answers).__name__}")
    calls = [call(*stated_call(item)) for item in answers]
    name = str(row["id"]) if "id" in row else place.name
    candidates = [row.get("tools") or ""]
    yield Asked(
        place.file,
        place.pointer,
        name,
        user_message(row["query"]),
        calls,
        candidates=candidates,
        stated="id" in row,
    )


def _glaive(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of glaive: a system prompt, and a chat as one text."""
    parts = re.split(r"(?m)^\s*(USER|ASSISTANT|FUNCTION RESPONSE|SYSTEM):\s*", row["chat"])
    roles = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}
    if parts[0].strip():
        raise ValueError(f"a chat that begins with {parts[0].strip()[:40]!r}")
    messages = [
        {"role": roles.get(role, "system"), "content": text.replace("<|endoftext|>", "").strip()}
        for role, text in zip(parts[1::2], parts[2::2], strict=True)
    ]
    system = re.sub(r"^\s*SYSTEM:\s*", "", str(row.get("system") or ""))
    yield from conversation({"system": system, "messages": messages}, place)


def _completion(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read TRL's prompt and completion: two lists of messages, or two texts."""
    messages: list[Any] = []
    for role, key in (("user", "prompt"), ("assistant", "completion")):
        value = row[key]
        messages += [{"role": role, "content": value}] if isinstance(value, str) else value
    yield from conversation({**row, "messages": messages}, place)


def _items(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row with input and output: a request of the Responses API, or one of NESTFUL."""
    output = row["output"]
    is_items = isinstance(output, list) and any(
        has(item, "type") or has(item, "role") for item in output
    )
    if not is_items:
        yield from _nestful(row, place)
        return
    asked = row["input"]
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
    yield from conversation({**row, "messages": [*messages, *output]}, place)


def _alpaca(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of Alpaca's format: an instruction, its input, and the answer."""
    asked = "\n".join(text for text in (row["instruction"], row.get("input")) if text)
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]
    yield from conversation({**row, "messages": messages}, place)


def _state(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a stored state of LangGraph."""
    yield from conversation(row["values"], place)


Reader = Callable[[Mapping[str, Any], Place], Iterator[Asked | Problem]]
READERS: Sequence[tuple[tuple[str, ...], Reader]] = (
    (("question", "function"), bfcl),
    (("question", "involved_classes"), bfcl_turns),
    (("id", "calls"), _own),
    (("system", "user", "answer"), _apibank),
    (("Instructions", "Golden_Answers"), _toolalpaca),
    (("query", "relevant APIs"), _toolbench),
    (("query", "solution"), _restbench),
    (("query", "answers"), _xlam),
    (("prompt", "completion"), _completion),
    (("messages",), conversation),
    (("conversations",), conversation),
    (("conversation",), conversation),
    (("contents",), conversation),
    (("chat",), _glaive),
    (("values",), _state),
    (("instruction", "output"), _alpaca),
    (("input", "output"), _items),
)
