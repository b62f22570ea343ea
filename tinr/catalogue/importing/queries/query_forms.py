"""Rows of the forms that benchmarks publish query sets in -> what each of them asks.

BFCL, ACEBench, API-Bank, NESTFUL, ToolAlpaca, ToolBench, RestBench, chat logs, and our own lines;
which form a row has is seen from its keys.
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
    """What a row of any known form asks; a row of another form is a problem."""
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
    """Our own lines, as a suite reads them; what was said last is the reply of one without calls.

    A line that goes on after the user's last message is flagged: its reference may depend on that.
    """
    line = common(row, str(row["id"]))
    messages = line.get("messages")
    if isinstance(messages, list) and messages:
        messages = [
            {"role": m["role"], "content": text_of(m["content"])}
            for m in messages
            if m["role"] != "system"  # it stands before the question now
        ]
        spoken = not line["calls"] and not row["messages"][-1].get("calls")
        if spoken and [m["role"] for m in messages[-2:]] == ["user", "assistant"]:
            line = {"reply": messages.pop()["content"]} | line
            line["flags"] = [flag for flag in line["flags"] if flag != HISTORY_CUT]
        while messages and messages[-1]["role"] != "user":
            messages.pop()
        if messages and isinstance(line.get("query"), str):
            messages[-1] = _user(line["query"])[0]
    else:
        messages = _user(line["query"])
    calls = [call(c["name"], c["arguments"], c["turn"]) for c in line["calls"]]
    kept = ("answer", "split", "kind", "reply", "observations", "category")
    kept += ("thought", "tools", "group")
    yield Asked(
        place.file,
        place.pointer,
        str(line["id"]),
        messages,
        calls,
        accept=line.get("accept") or (),
        flags=line["flags"],
        extra={key: line[key] for key in kept if key in line},
        stated=True,
    )


def _bfcl(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """BFCL and ACEBench: a question, candidate functions, answers in another file."""
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
    plain = isinstance(truth, Mapping) or _is_plain(truth)
    if isinstance(truth, Mapping):  # ACEBench: calls by name, a suffix where one is repeated
        names = {str(f.get("name")) for f in row["function"]}
        truth = [{_unsuffixed(n, names): arguments} for n, arguments in truth.items()]
    accept: list[dict[str, Any]] = []
    if plain:
        calls = [call(n, a) for one in truth or [] for n, a in one.items()]
    else:
        accept = [
            {"name": name, "arguments": values}
            for one in truth or []
            for name, values in one.items()
        ]
        calls = [call(one["name"], _first_accepted(one["arguments"])) for one in accept]
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
    """Whether reference calls state their arguments, not lists of accepted values (ACEBench)."""
    arguments = [a for one in truth or [] for a in one.values()]
    return not all(isinstance(v, list) for a in arguments for v in a.values())


def _unsuffixed(name: str, names: set[str]) -> str:
    return name if name in names else re.sub(r"_\d+$", "", name)


def _first_accepted(values: Mapping[str, Any]) -> dict[str, Any]:
    """One value for each parameter of BFCL's lists of accepted ones; "" first: left out."""
    out = {}
    for name, accepted in values.items():
        options = accepted if isinstance(accepted, list) else [accepted]
        if "" in options and (not options or options[0] == ""):
            continue
        value = options[0] if options else None
        if isinstance(value, Mapping):
            value = _first_accepted(value)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            value = [_first_accepted(v) for v in value]
        out[name] = value
    return out


def _dialogue(text: str) -> list[dict[str, str]]:
    """`user: ... system: ...` in one text; "system" is the assistant there."""
    parts = re.split(r"(?m)^(user|system|assistant):\s*", text)
    roles = {"user": "user", "system": "assistant", "assistant": "assistant"}
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    found = [{"role": roles[role], "content": said.strip()} for role, said in pairs]
    return found or _user(text)


def _apibank(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    said = re.findall(r"<(user|response|obs)>(.*?)</\1>", row["user"], re.DOTALL)
    roles = {"user": "user", "response": "assistant", "obs": "tool"}
    messages = [{"role": roles[tag], "content": text.strip()} for tag, text in said]
    answer = row["answer"]
    calls = [
        call(one["name"], one.get("parameters", one.get("arguments")))
        for one in (answer if isinstance(answer, list) else [answer])
    ]
    while messages and messages[-1]["content"].startswith("Based on our conversation above"):
        messages.pop()  # a line its processing added
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    candidates = {"system": row["system"]}
    yield Asked(place.file, place.pointer, place.name, messages, calls, candidates=[candidates])


def _nestful(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Calls whose arguments may be an earlier one's result ("$var1.x$"): turn after turn."""
    turns: dict[str, int] = {}
    calls, nested = [], False
    output = row["output"]
    for one in json.loads(output) if isinstance(output, str) else output:
        if not str(one.get("label", "")).startswith("var") or one["name"] == "var_result":
            continue
        used = re.findall(r"\$(var\d+)", json.dumps(one["arguments"]))
        nested |= bool(used)
        turn = max((turns.get(label, -1) + 1 for label in used), default=0)
        turns[one["label"]] = turn
        calls.append(call(one["name"], one["arguments"], turn))
    flags = ["nested_reference"] if nested else []
    yield Asked(place.file, place.pointer, place.name, _user(row["input"]), calls, flags=flags)


def _toolalpaca(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    instructions, answers = _data(row["Instructions"]), _data(row["Golden_Answers"])
    for number, (text, golden) in enumerate(zip(instructions, answers, strict=True)):
        calls, flags = [], []
        for one in golden:
            try:
                arguments = json.loads(one["Action_Input"])
            except ValueError:
                arguments, flags = None, ["gold_arguments_unparsed"]
            calls.append(call(one["Action"], arguments, len(calls)))
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
    for turn, one in enumerate(row["solution"]):
        method, _, path = one.strip().partition(" ")
        calls.append(call(one.strip(), None, turn) | {"also": operation_name(method, path)})
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
