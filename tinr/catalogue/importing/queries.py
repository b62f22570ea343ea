"""Query sets with reference calls, from the forms benchmarks publish them in.

Each query becomes a line of `queries.jsonl`: messages, calls, and what else is accepted.
Names are those of the catalogue, found by the candidate documents a query carries, or else
by the tools' original names; a query whose tools are not in the catalogue is reported.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.found import Found, Problem, step
from tinr.catalogue.importing.names import clean_name, content_hash
from tinr.catalogue.importing.openapi import operation_name
from tinr.catalogue.importing.read import Data, files_of, read
from tinr.catalogue.load import query_from, read_jsonl
from tinr.records import BadInput

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


Reader = Callable[[Mapping[str, Any], "Place"], Iterator[Asked | Problem]]


@dataclass(frozen=True)
class Place:
    """Where a row stands, and the reference answers that its file has elsewhere."""

    file: str
    pointer: str
    answers: Mapping[str, Any]


def import_queries(sources: Sequence[str], catalogue: Path) -> tuple[list[dict], list[Problem]]:
    """Lines of queries, and each query that could not be one, with its reason.

    Raises BadInput for a missing source or catalogue and where no query arrives.
    """
    index = _Index(catalogue / "tools.jsonl" if catalogue.is_dir() else catalogue)
    lines: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for asked in _asked(sources):
        line = _line(index, asked) if isinstance(asked, Asked) else asked
        if isinstance(line, Problem):
            problems.append(line)
        elif line["id"] in lines:
            reason = f"the id {line['id']!r} stands twice; the first one is kept"
            problems.append(Problem(asked.file, asked.pointer, reason))
        else:
            lines[line["id"]] = line
    if not lines:
        reason = str(problems[0]) if problems else "no rows"
        raise BadInput(f"no query could be imported: {reason}; give a file of queries")
    return list(lines.values()), problems


def _line(index: "_Index", asked: Asked) -> dict[str, Any] | Problem:
    """A query's line, as `read_queries` will read it back; else the reason."""
    try:
        line = index.line(asked)
        if not isinstance(line, Problem):
            json.dumps(line, allow_nan=False, ensure_ascii=False).encode()
            query_from(line, "the line")
    except (BadInput, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = f"query {asked.id[:80]!r} cannot be kept ({type(error).__name__}: {error})"
        return Problem(asked.file, asked.pointer, reason[:240])
    return line


def _asked(sources: Sequence[str]) -> Iterator[Asked | Problem]:
    for source in sources:
        for path in files_of(source):
            if path.parent.name == "possible_answer":
                continue
            answers = _answers(path)
            for data in read(path):
                if isinstance(data, Problem):
                    yield data
                    continue
                rows = data.value if isinstance(data.value, list) else [data.value]
                for number, row in enumerate(rows):
                    pointer = step(data.pointer, number) if rows is data.value else data.pointer
                    yield from _read_row(row, Place(str(path), pointer, answers))


def _answers(questions: Path) -> dict[str, Any]:
    """id -> reference answer, of the file that BFCL and ACEBench keep beside the questions."""
    folder, name = questions.parent / "possible_answer", questions.name.removesuffix(".gz")
    files = [folder / spelled for spelled in (name, f"{name}.gz")]
    found = [data for path in files if path.is_file() for data in read(path)]
    values = [data.value for data in found if isinstance(data, Data)]
    rows = [row for value in values for row in (value if isinstance(value, list) else [value])]
    return {str(r["id"]): r["ground_truth"] for r in rows if _has(r, "id", "ground_truth")}


def _has(row: Any, *keys: str) -> bool:
    return isinstance(row, Mapping) and all(key in row for key in keys)


def _read_row(row: Any, place: Place) -> Iterator[Asked | Problem]:
    for keys, reader in READERS:
        if _has(row, *keys):
            try:
                yield from reader(row, place)
            except (LookupError, TypeError, ValueError, AttributeError, SyntaxError) as error:
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
    else:
        messages = _user(row["query"])
    calls = [_call(c["name"], c.get("arguments"), c.get("turn", 0)) for c in row["calls"]]
    kept = ("answer", "split", "kind", "reply", "observations", "category")
    yield Asked(
        place.file,
        place.pointer,
        str(row["id"]),
        messages,
        calls,
        accept=row.get("accept") or (),
        flags=row.get("flags") or (),
        extra={key: row[key] for key in kept if key in row},
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
    name = f"{Path(place.file).stem}{place.pointer}".replace("/", "-")
    candidates = {"system": row["system"]}
    yield Asked(place.file, place.pointer, name, messages, calls, candidates=[candidates])


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
    name = f"{Path(place.file).stem}{place.pointer}".replace("/", "-")
    flags = ["nested_reference"] if nested else []
    yield Asked(place.file, place.pointer, name, _user(row["input"]), calls, flags=flags)


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
    name = f"{Path(place.file).stem}{place.pointer}".replace("/", "-")
    yield Asked(place.file, place.pointer, name, _user(row["query"]), calls)


def _conversation(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Chat logs (OpenAI's messages, ShareGPT's conversations): each turn of a user is a query."""
    history: list[dict[str, str]] = []
    waiting: list[dict[str, Any]] | None = None  # calls since the user's last turn
    turn, asked = 0, 0

    def close() -> Iterator[Asked]:
        if waiting is not None:
            name = f"{Path(place.file).stem}{place.pointer}-{asked}".replace("/", "-")
            last = max(n for n, m in enumerate(history) if m["role"] == "user")
            candidates = [row.get("tools") or ""]
            yield Asked(
                place.file, place.pointer, name, history[: last + 1], waiting, candidates=candidates
            )

    roles = {"human": "user", "gpt": "assistant", "observation": "tool", "function": "tool"}
    for message in row.get("messages") or row["conversations"]:
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value")) or ""
        if role == "system":
            continue
        role = roles.get(str(role), str(role))
        if role == "user":
            yield from close()
            waiting, turn, asked = [], 0, asked + 1
            history = [*history, {"role": "user", "content": _text_of(content)}]
            continue
        called = list(_calls_in(message, role, content))
        if called and waiting is not None:
            waiting += [_call(name, arguments, turn) for name, arguments in called]
            turn += 1
        elif role in ("assistant", "tool"):
            history = [*history, {"role": role, "content": _text_of(content)}]
    yield from close()


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        parts = (p for p in content if p.get("type") == "text")
        return "".join(str(p.get("text", p.get("value", ""))) for p in parts)
    return str(content)


def _calls_in(
    message: Mapping[str, Any], role: str, content: Any
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The calls of one message, as OpenAI, ShareGPT or typed parts write them."""
    stated = [c.get("function", c) for c in message.get("tool_calls") or ()]
    if role == "function_call":
        value = json.loads(content)
        stated = value if isinstance(value, list) else [value]
    if isinstance(content, list):
        for part in (p for p in content if p.get("type") == "tool_call"):
            value = part.get("value", part)
            stated.append(json.loads(value) if isinstance(value, str) else value)
    for one in stated:
        arguments = one.get("arguments", one.get("parameters", {}))
        yield one["name"], json.loads(arguments) if isinstance(arguments, str) else arguments


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


class _Index:
    """Finds the catalogue's name of a tool that a query speaks of."""

    def __init__(self, path: Path):
        self.by_hash: dict[str, str] = {}
        self.by_name: dict[str, set[str]] = defaultdict(set)
        self.names: set[str] = set()
        # candidates' JSON -> their own names and those here
        self.known: dict[str, list[tuple[str, str]]] = {}
        self.spaces: dict[str, str] = {}  # name here -> the namespace of its source
        for _, line in read_jsonl(path):
            name, original = str(line.get("name")), line.get("original", {}).get("name", "")
            self.names.add(name)
            self.by_hash[str(line.get("hash"))] = name
            self.spaces[name] = str(line.get("original", {}).get("namespace", ""))
            for spelled in {original, clean_name(original), line.get("orig_name", "")} - {""}:
                self.by_name[spelled].add(name)
            extra = line.get("extra") or {}
            if "path" in extra:
                self.by_name[f"{extra['method']} {extra['path']}"].add(name)

    def line(self, asked: Asked) -> dict[str, Any] | Problem:
        """The query's line with the catalogue's names, or why there is none."""
        beside = self._beside(asked.candidates)
        names: list[str] = []
        for call in asked.calls:
            found = self._find(call, beside)
            if len(found) != 1:
                known = f"{len(found)} tools have that name" if found else "no such tool"
                reason = f"query {asked.id!r}: {call['name']!r}: {known} in the catalogue"
                return Problem(asked.file, asked.pointer, reason)
            names += found
        spelled = {call["name"]: name for call, name in zip(asked.calls, names, strict=True)}
        if not asked.messages or not str(asked.messages[-1].get("content", "")).strip():
            return Problem(asked.file, asked.pointer, f"query {asked.id!r} has no text of a user")
        flags = list(asked.flags)
        if any(call["arguments"] is None for call in asked.calls):
            flags.append("no_reference_arguments")
        line: dict[str, Any] = {"id": asked.id, "query": asked.messages[-1]["content"]}
        if len(asked.messages) > 1:
            line["messages"] = list(asked.messages)
        line["calls"] = [
            {
                "name": name,
                "arguments": {} if call["arguments"] is None else call["arguments"],
                "turn": call.get("turn", 0),
            }
            for call, name in zip(asked.calls, names, strict=True)
        ]
        if asked.accept:
            line["accept"] = [
                {**a, "name": spelled.get(a["name"], a["name"])} for a in asked.accept
            ]
        if beside:
            line["tools"] = sorted({name for some in beside.values() for name in some})
        return line | dict(asked.extra) | ({"flags": flags} if flags else {})

    def _beside(self, candidates: Sequence[Any]) -> dict[str, set[str]]:
        """Original name -> catalogue's names, of the documents that stand beside a query."""
        found: dict[str, set[str]] = defaultdict(set)
        for candidate in candidates:
            if not candidate:
                continue
            key = json.dumps(candidate, sort_keys=True)
            if key not in self.known:
                items = (i for i in auto(Data("", "", candidate)) if isinstance(i, Found))
                named = ((item.name, self.by_hash.get(content_hash(item))) for item in items)
                self.known[key] = [(said, name) for said, name in named if name is not None]
            for said, name in self.known[key]:
                found[said].add(name)
        return found

    def _find(self, call: Mapping[str, Any], beside: Mapping[str, set[str]]) -> set[str]:
        """The catalogue's names that a call may mean; the call's namespace decides between them."""
        name, space = call["name"], call.get("namespace")
        found: set[str] = beside.get(name) or set()
        for spelled in (name, call.get("also", ""), clean_name(name)):
            found = found or ({spelled} & self.names) or self.by_name.get(spelled, set())
        if space:
            inside = {n for n in found if self.spaces.get(n) == space}
            inside |= {n for n in (f"{space}/{name}", f"{space}.{name}") if n in self.names}
            return inside or found
        return found
