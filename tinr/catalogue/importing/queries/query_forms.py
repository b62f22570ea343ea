"""Readers for the formats in which benchmarks publish query sets.

BFCL, ACEBench, API-Bank, NESTFUL, ToolAlpaca, ToolBench, RestBench, chat logs, and our own lines.
The keys of a row decide which format it has.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.openapi import operation_name
from tinr.catalogue.importing.problems import Problem, step
from tinr.catalogue.importing.queries.chat_logs import conversation, text_of
from tinr.catalogue.importing.queries.query_lines import common
from tinr.catalogue.importing.queries.questions import Asked, Place, call
from tinr.records import HISTORY_CUT, BadInput

NO_CALL = ("irrelevance",)  # categories in which no call is expected


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


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text.strip()}]


def _own(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read one of our own lines, as a suite reads it.

    In a line without calls the assistant's last message is the reply. A line that goes on after
    the user's last message is flagged: its reference may depend on what follows.
    """
    line = common(row, str(row["id"]))
    messages = line.get("messages")
    if isinstance(messages, list) and messages:
        messages = [
            {"role": m["role"], "content": text_of(m["content"])}
            for m in messages
            if m["role"] != "system"  # it stands before the question now
        ]
        is_reply = not line["calls"] and not row["messages"][-1].get("calls")
        if is_reply and [m["role"] for m in messages[-2:]] == ["user", "assistant"]:
            line = {"reply": messages.pop()["content"]} | line
            line["flags"] = [flag for flag in line["flags"] if flag != HISTORY_CUT]
        while messages and messages[-1]["role"] != "user":
            messages.pop()
        if messages and isinstance(line.get("query"), str):
            messages[-1] = _user(line["query"])[0]
    else:
        messages = _user(line["query"])
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


def _bfcl(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of BFCL or ACEBench: question, candidate functions; answers in another file."""
    identifier, question = str(row["id"]), row["question"]
    if isinstance(question, str):
        messages = _dialogue(question)
    else:
        messages = [m for turn in question for m in turn if m["role"] != "system"]
    truth = place.answers.get(identifier)
    category = re.sub(r"_\d[\d-]*$", "", identifier)
    if truth is None and not any(word in category for word in NO_CALL):
        yield Problem(place.file, place.pointer, f"query {identifier!r} has no reference answer")
        return
    is_plain = isinstance(truth, Mapping) or _is_plain(truth)
    if isinstance(truth, Mapping):  # ACEBench: calls by name, a suffix where one is repeated
        names = {str(function.get("name")) for function in row["function"]}
        truth = [{_unsuffixed(name, names): arguments} for name, arguments in truth.items()]
    accept: list[dict[str, Any]] = []
    if is_plain:
        calls = [
            call(name, arguments)
            for reference in truth or []
            for name, arguments in reference.items()
        ]
    else:
        accept = [
            {"name": name, "arguments": values}
            for reference in truth or []
            for name, values in reference.items()
        ]
        calls = [
            call(reference["name"], _first_accepted(reference["arguments"])) for reference in accept
        ]
    yield Asked(
        place.file,
        place.pointer,
        identifier,
        messages,
        calls,
        accept=accept,
        candidates=row.get("function") or (),
        extra={"category": category},
        stated=True,
    )


def _is_plain(truth: Any) -> bool:
    """Whether reference calls have plain arguments (ACEBench), not lists of accepted values."""
    arguments = [a for reference in truth or [] for a in reference.values()]
    return not all(isinstance(values, list) for a in arguments for values in a.values())


def _unsuffixed(name: str, names: set[str]) -> str:
    return name if name in names else re.sub(r"_\d+$", "", name)


def _first_accepted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take one of BFCL's accepted values for each parameter; skip a parameter with "" first."""
    arguments = {}
    for name, accepted_values in values.items():
        options = accepted_values if isinstance(accepted_values, list) else [accepted_values]
        if "" in options and (not options or options[0] == ""):
            continue
        value = options[0] if options else None
        if isinstance(value, Mapping):
            value = _first_accepted(value)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            value = [_first_accepted(v) for v in value]
        arguments[name] = value
    return arguments


def _dialogue(text: str) -> list[dict[str, str]]:
    """Split a text `user: ... system: ...` into messages; "system" is the assistant there."""
    parts = re.split(r"(?m)^(user|system|assistant):\s*", text)
    roles = {"user": "user", "system": "assistant", "assistant": "assistant"}
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    messages = [{"role": roles[role], "content": text.strip()} for role, text in pairs]
    return messages or _user(text)


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
    flags = ["nested_reference"] if has_references else []
    yield Asked(place.file, place.pointer, place.name, _user(row["input"]), calls, flags=flags)


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
            place.file, pointer, name, _user(text), calls, candidates=candidates, flags=flags
        )


def _data(value: Any) -> Any:
    return ast.literal_eval(value) if isinstance(value, str) else value


def _toolbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = [call(api, None) | {"namespace": tool} for tool, api in row["relevant APIs"]]
    name = f"toolbench-{Path(place.file).stem}-{row.get('query_id', place.pointer)}"
    candidates = row.get("api_list") or ()
    yield Asked(place.file, place.pointer, name, _user(row["query"]), calls, candidates=candidates)


def _restbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = []
    for turn, request in enumerate(row["solution"]):
        method, _, path = request.strip().partition(" ")
        calls.append(call(request.strip(), None, turn) | {"also": operation_name(method, path)})
    yield Asked(place.file, place.pointer, place.name, _user(row["query"]), calls)


Reader = Callable[[Mapping[str, Any], Place], Iterator[Asked | Problem]]
READERS: Sequence[tuple[tuple[str, ...], Reader]] = (
    (("question", "function"), _bfcl),
    (("id", "calls"), _own),
    (("system", "user", "answer"), _apibank),
    (("Instructions", "Golden_Answers"), _toolalpaca),
    (("query", "relevant APIs"), _toolbench),
    (("query", "solution"), _restbench),
    (("input", "output"), _nestful),
    (("messages",), conversation),
    (("conversations",), conversation),
)
