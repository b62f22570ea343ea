"""Rows of the forms that benchmarks publish query sets in -> what each of them asks.

BFCL, ACEBench, API-Bank, NESTFUL, ToolAlpaca, ToolBench, RestBench, chat logs, and our own lines;
which form a row has is seen from its keys.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.found import Problem, step
from tinr.catalogue.importing.openapi import operation_name

NO_CALL = ("irrelevance",)  # categories in which no call is expected


@dataclass(frozen=True)
class Asked:
    """A query as its source states it; a call's arguments may be None: not stated."""

    file: str
    pointer: str
    id: str
    messages: Sequence[Mapping[str, str]]  # the last one is the user's
    calls: Sequence[Mapping[str, Any]]  # name, arguments, turn
    accept: Sequence[Mapping[str, Any]] = ()  # accepted values for each parameter, per call
    candidates: Sequence[Any] = ()  # documents that stand beside the query
    flags: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    stated: bool = False  # whether the source gives the id; else it is made of the place


Reader = Callable[[Mapping[str, Any], "Place"], Iterator[Asked | Problem]]


@dataclass(frozen=True)
class Place:
    """Where a row stands, and the reference answers that its file has elsewhere."""

    file: str
    pointer: str
    answers: Mapping[str, Any]

    @property
    def name(self) -> str:
        """An id for a query whose source gives none."""
        return f"{Path(self.file).stem}{self.pointer}".replace("/", "-")


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
            ) as error:
                reason = f"a query that cannot be read ({type(error).__name__}: {error})"
                yield Problem(place.file, place.pointer, reason[:200])
            return
    keys = ", ".join(map(str, list(row)[:5])) if isinstance(row, Mapping) else type(row).__name__
    yield Problem(place.file, place.pointer, f"no query recognised (keys: {keys})")


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text.strip()}]


def _call(name: str, arguments: Any, turn: int = 0) -> dict[str, Any]:
    return {"name": name, "arguments": arguments, "turn": turn}


def _canonical(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    stated = row.get("messages")
    if isinstance(stated, list):
        messages = [{"role": m["role"], "content": _text_of(m["content"])} for m in stated]
        while messages and messages[-1]["role"] != "user":
            messages.pop()
    else:
        messages = _user(row["query"])
    calls = [_call(c["name"], c.get("arguments"), c.get("turn", 0)) for c in row["calls"]]
    kept = ("answer", "split", "kind", "reply", "observations", "category")
    kept += ("thought", "tools", "group")
    yield Asked(
        place.file,
        place.pointer,
        str(row["id"]),
        messages,
        calls,
        accept=row.get("accept") or (),
        flags=row.get("flags") or (),
        extra={key: row[key] for key in kept if key in row},
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
        calls = [_call(n, a) for one in truth or [] for n, a in one.items()]
    else:
        accept = [
            {"name": name, "arguments": values}
            for one in truth or []
            for name, values in one.items()
        ]
        calls = [_call(one["name"], _first_accepted(one["arguments"])) for one in accept]
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
        _call(one["name"], one.get("parameters", one.get("arguments")))
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
        calls.append(_call(one["name"], one["arguments"], turn))
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
            calls.append(_call(one["Action"], arguments, len(calls)))
        name = f"toolalpaca-{row.get('Name', '')}-{number}"
        pointer = step(place.pointer, "Instructions", number)
        candidates = [row.get("Documentation", "")]
        yield Asked(
            place.file, pointer, name, _user(text), calls, candidates=candidates, flags=flags
        )


def _data(value: Any) -> Any:
    return ast.literal_eval(value) if isinstance(value, str) else value


def _toolbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = [_call(api, None) | {"namespace": tool} for tool, api in row["relevant APIs"]]
    name = f"toolbench-{Path(place.file).stem}-{row.get('query_id', place.pointer)}"
    candidates = row.get("api_list") or ()
    yield Asked(place.file, place.pointer, name, _user(row["query"]), calls, candidates=candidates)


def _restbench(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    calls = []
    for turn, one in enumerate(row["solution"]):
        method, _, path = one.strip().partition(" ")
        calls.append(_call(one.strip(), None, turn) | {"also": operation_name(method, path)})
    yield Asked(place.file, place.pointer, place.name, _user(row["query"]), calls)


@dataclass
class _Asking:
    """A turn of a user in a chat log, and what followed it."""

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
        try:
            called = list(_calls_in(message, role, text))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.wrong = f"a call that cannot be read ({type(error).__name__}: {error})"
            return True
        for identifier, name, arguments in called:
            self.ids.append(identifier)
            self.calls.append(_call(name, arguments, self.turns))
        self.turns += bool(called)
        if role == "tool":
            self.results.append((message.get("tool_call_id"), text))
        self.said = text.strip() if role == "assistant" and not called else ""
        return bool(called)

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


def _conversation(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Chat logs (OpenAI's messages, ShareGPT's conversations): each turn of a user is a query.

    What its calls returned comes with it where the log has one result for each call, and what
    the assistant said last.
    """
    history: list[dict[str, str]] = []
    asking: _Asking | None = None
    number = 0
    for message in row.get("messages") or row["conversations"]:
        role = str(message.get("role", message.get("from")))
        role, text = ROLES.get(role, role), _text_of(message.get("content", message.get("value")))
        if role == "user" and not text and _parts_of(message, "tool_result"):
            role = "tool"  # Anthropic's: a result is said by the user
            text = "\n".join(_text_of(p.get("content")) for p in _parts_of(message, "tool_result"))
        if role == "user":
            if asking is not None:
                yield asking.asked(row, place)
            number += 1
            history = [*history, {"role": "user", "content": text}]
            asking = _Asking(number, history)
        elif asking is not None and role != "system":
            called = asking.read(message, role, text)
            if not called and role in ("assistant", "tool"):
                history = [*history, {"role": role, "content": text}]
    if asking is not None:
        yield asking.asked(row, place)


ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function": "tool"}
MARKED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)  # Hermes' form, in the text


def _in_order(made: Sequence[Any], results: Sequence[tuple[Any, str]]) -> list[str]:
    """Results in the order of their calls where the log says whose they are, else in its own."""
    by_id = dict(results)
    if len(by_id) == len(made) and set(by_id) == set(made):
        return [by_id[one] for one in made]
    return [text for _, text in results]


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        parts = (p for p in content if isinstance(p, Mapping) and p.get("type") == "text")
        return "".join(str(p.get("text", p.get("value", ""))) for p in parts)
    return "" if content is None else str(content)


def _parts_of(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [p for p in parts if isinstance(p, Mapping) and p.get("type") == kind]


def _calls_in(
    message: Mapping[str, Any], role: str, text: str
) -> Iterator[tuple[Any, str, Mapping[str, Any]]]:
    """The calls of one message with what the log calls them by: OpenAI's `tool_calls` and the
    older `function_call`, ShareGPT's role of that name, typed parts, and Hermes' tags."""
    stated = [(c.get("id"), c.get("function", c)) for c in message.get("tool_calls") or ()]
    if message.get("function_call"):
        stated.append((None, message["function_call"]))
    if role == "function_call":
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
        stated += [(None, json.loads(one)) for one in found]
    for identifier, one in stated:
        arguments = next((one[key] for key in ARGUMENTS if key in one), {})
        if isinstance(arguments, str):
            arguments = json.loads(arguments) if arguments.strip() else {}
        yield identifier, one["name"], arguments


ARGUMENTS = ("arguments", "parameters", "input")


READERS: Sequence[tuple[tuple[str, ...], Reader]] = (
    (("question", "function"), _bfcl),
    (("id", "calls"), _canonical),
    (("system", "user", "answer"), _apibank),
    (("Instructions", "Golden_Answers"), _toolalpaca),
    (("query", "relevant APIs"), _toolbench),
    (("query", "solution"), _restbench),
    (("input", "output"), _nestful),
    (("messages",), _conversation),
    (("conversations",), _conversation),
)
