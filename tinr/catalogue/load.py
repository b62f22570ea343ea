"""Catalogue and suite folders: `tools.jsonl` and `queries.jsonl`, one JSON object per line."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tool_corpora
from tinr.catalogue.checks import check_document
from tinr.files import without_halves, write_text
from tinr.records import Accepted, BadInput, Call, Mention, Message, Query, ToolDoc


@dataclass(frozen=True)
class Catalogue:
    """A checked set of tool documents with unique names, in the order of loading."""

    tools: tuple[ToolDoc, ...]

    @cached_property
    def by_name(self) -> dict[str, ToolDoc]:
        """Name -> document."""
        return {doc.name: doc for doc in self.tools}

    @cached_property
    def hash(self) -> str:
        """sha256 of the documents, independent of their order and source."""
        lines = sorted(
            json.dumps(asdict(doc) | {"source": ""}, sort_keys=True) for doc in self.tools
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def names(self) -> list[str]:
        """The tools' names, sorted."""
        return sorted(self.by_name)


def load_catalogue(sources: str | Path | Sequence[str | Path]) -> Catalogue:
    """Load the tools of one or more sources: names of shipped corpora or catalogue folders.

    Raises BadInput for a missing source, a malformed line, an invalid document, or a name
    that two documents share (the message names both places).
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    docs: dict[str, ToolDoc] = {}
    places: dict[str, str] = {}
    for source in sources:
        for place, line in documents(source):
            doc = document_from(line, place, source=str(source))
            if doc.name in docs:
                raise BadInput(
                    f"{place}: tool {doc.name!r} is already defined at {places[doc.name]}; "
                    "rename one of them or add a namespace prefix"
                )
            docs[doc.name], places[doc.name] = doc, place
    if not docs:
        raise BadInput(f"no tools in {', '.join(map(str, sources))}; give at least one document")
    return Catalogue(tuple(docs.values()))


def documents(source: str | Path) -> Iterator[tuple[str, Any]]:
    """Yield `(place, line)` for every document of a corpus or a catalogue folder, unchecked."""
    if str(source) in tool_corpora.NAMES:
        corpus = tool_corpora.load(str(source))
        yield from ((f"{source}/{tool.domain}", tool.document()) for tool in corpus.values())
        return
    path = Path(source)
    if path.is_dir():
        path = file_of(path, "tools.jsonl")
    if not path.is_file():
        raise BadInput(
            f"{path}: no such catalogue; give a folder with tools.jsonl or one of "
            f"{', '.join(tool_corpora.NAMES)}"
        )
    yield from read_jsonl(path)


def document_from(line: Any, place: str, source: str = "") -> ToolDoc:
    """Check one catalogue line and return its document; BadInput names `place` and the error."""
    check_document(line, place)
    return ToolDoc(
        name=line["name"],
        description=line["description"],
        parameters=line["parameters"],
        returns=line.get("returns") if isinstance(line.get("returns"), str) else "",
        source=str(line.get("source") or source),
        domain=str(line.get("domain") or ""),
    )


def file_of(folder: Path, name: str) -> Path:
    """Return a folder's file, or the gzipped one (`name.gz`) if the folder has only that."""
    zip_path = folder / f"{name}.gz"
    return zip_path if zip_path.is_file() and not (folder / name).is_file() else folder / name


def read_jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield `("file:line", object)` for every non-empty line; a `.gz` file is decompressed.

    Raises BadInput for a line that is not JSON.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; check the path")
    try:
        content = path.read_bytes()
        lines = (
            (gzip.decompress(content) if path.suffix == ".gz" else content)
            .decode("utf-8")
            .split("\n")
        )
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 ({error}); convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); give a complete file") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = without_halves(json.loads(line), line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise BadInput(
                f"{path}:{number}: not JSON ({reason}{column}); write one JSON object per line"
            ) from error
        if not isinstance(value, dict):
            raise BadInput(f"{path}:{number}: not a JSON object; write one JSON object per line")
        yield f"{path}:{number}", value


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line; the file is written completely or not at all."""
    write_text(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_queries(path: Path, catalogue: Catalogue | None = None) -> list[Query]:
    """Read a `queries.jsonl`; BadInput for an invalid line, an unknown tool or no queries."""
    queries: list[Query] = []
    id_places: dict[str, str] = {}
    for place, line in read_jsonl(path):
        query = query_from(line, place, catalogue)
        if query.id in id_places:
            raise BadInput(f"{place}: id {query.id!r} is already used at {id_places[query.id]}")
        id_places[query.id] = place
        queries.append(query)
    if not queries:
        raise BadInput(f"{path}: contains no queries; write one per line")
    return queries


def query_from(line: Mapping[str, Any], place: str, catalogue: Catalogue | None = None) -> Query:
    """Read a query from a suite line. A call's optional "turn" (0, 1, ...) groups chained calls."""
    identifier, calls = line.get("id"), line.get("calls")
    if not isinstance(identifier, str | int):
        raise BadInput(f'{place}: no "id"; give each query its own id')
    if not isinstance(calls, list):
        raise BadInput(f'{place}: "calls" must be a list; write [] if no call is expected')
    turns: dict[int, list[Call]] = {}
    places: dict[int, list[int]] = {}  # turn -> indices of its calls in the line
    for index, call in enumerate(calls):
        parsed_call, turn = _call_from(call, f"{place}: calls[{index}]")
        if catalogue is not None and parsed_call.name not in catalogue.by_name:
            raise BadInput(
                f"{place}: calls[{index}]: unknown tool {parsed_call.name!r}; "
                "add its document to the catalogue or correct the name"
            )
        turns.setdefault(turn, []).append(parsed_call)
        places.setdefault(turn, []).append(index)
    thought = _thought(line.get("thought"), place)
    for segment in thought:
        if isinstance(segment, Mention) and catalogue and segment.tool not in catalogue.by_name:
            raise BadInput(f"{place}: thought: unknown tool {segment.tool!r}; correct the name")
    accept, implied = _accept(line, place), _implied(line, place)
    order = [index for turn in sorted(places) for index in places[turn]]
    answer, observations = line.get("answer"), line.get("observations", [])
    are_texts = isinstance(observations, list) and all(
        isinstance(text, str) for text in observations
    )
    if not are_texts or len(observations) not in (0, len(calls)):
        raise BadInput(f'{place}: "observations" must be a list of strings, one per call')
    return Query(
        id=str(identifier),
        text=_query_text(line, place),
        turns=tuple(tuple(turns[number]) for number in sorted(turns)),
        answer=None if answer is None else _as_text(answer),
        split=_split(line, place),
        group=str(line.get("group") or ""),
        kind=str(line.get("kind") or line.get("category") or ""),
        reply=str(line.get("reply", "")),
        observations=tuple(observations),
        thought=thought,
        history=_history(line.get("messages"), place),
        tools=_texts(line, "tools", place),
        accept=tuple(accept[index] for index in order) if accept else (),
        flags=_texts(line, "flags", place),
        implied=tuple(implied[index] for index in order) if implied else (),
        phrasings=_texts(line, "phrasings", place),
    )


def _implied(line: Mapping[str, Any], place: str) -> list[Mapping[str, str]]:
    """Return the words that ask for the values of each call; empty if not given."""
    implied = line.get("implied") or []
    is_list = isinstance(implied, list) and len(implied) in (0, len(line["calls"]))
    if not is_list or not all(isinstance(words, dict) for words in implied):
        raise BadInput(
            f'{place}: "implied" must be a list of objects, one per call: '
            "parameter -> words of the query"
        )
    if not all(isinstance(text, str) for words in implied for text in words.values()):
        raise BadInput(f'{place}: "implied": the words of a parameter must be a string')
    return implied


def _split(line: Mapping[str, Any], place: str) -> Any:
    """Return the split: seen, unseen, ood, no_tool, or the source's own value."""
    value = line.get("split")
    if value is not None and not isinstance(value, str):
        raise BadInput(f'{place}: "split" must be a string: seen, unseen, ood or no_tool')
    return value


def _texts(line: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = line.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadInput(f'{place}: "{key}" must be a list of strings')
    return tuple(value)


def _accept(line: Mapping[str, Any], place: str) -> tuple[Accepted, ...]:
    """Read BFCL's accepted values, {"name", "arguments": {key: [value]}} per call."""
    value = line.get("accept") or []
    if not isinstance(value, list) or (value and len(value) != len(line["calls"])):
        raise BadInput(f'{place}: "accept" must be a list with one object per call')
    accepted: list[Accepted] = []
    for entry in value:
        values = entry.get("arguments") if isinstance(entry, dict) else None
        if not isinstance(values, dict) or not all(isinstance(v, list) for v in values.values()):
            raise BadInput(
                f'{place}: "accept" must contain {{"name", "arguments": {{key: [value, ...]}}}}'
            )
        accepted.append(values)
    return tuple(accepted)


def _thought(segments: Any, place: str) -> tuple[str | Mention, ...]:
    """Read a list of strings and {"tool": name}; a single string is a list of one."""
    if segments is None or isinstance(segments, str):
        return (segments,) if segments else ()
    thought: list[str | Mention] = []
    for segment in segments if isinstance(segments, list) else [None]:
        if isinstance(segment, str):
            thought.append(segment)
        elif isinstance(segment, dict) and isinstance(segment.get("tool"), str):
            thought.append(Mention(segment["tool"]))
        else:
            raise BadInput(f'{place}: "thought" must be a list of strings and {{"tool": name}}')
    return tuple(thought)


def _history(messages: Any, place: str) -> tuple[Message, ...]:
    """Return the messages before the user's last one."""
    if not isinstance(messages, list):
        return ()
    history: list[Message] = []
    for message in messages:
        fields = message if isinstance(message, dict) else {}
        role, content = fields.get("role"), fields.get("content")
        if role not in ("system", "user", "assistant", "tool") or not isinstance(content, str):
            raise BadInput(
                f'{place}: a message needs a "role" (system, user, assistant, tool) and "content"'
            )
        history.append(Message(role, content))
    users = [index for index, message in enumerate(history) if message.role == "user"]
    if not users:
        return tuple(message for message in history if message.role == "system")
    return tuple(history[: users[-1]])  # what follows is the expected answer


def _query_text(line: Mapping[str, Any], place: str) -> str:
    text = line.get("query")
    if text is None and isinstance(line.get("messages"), list):
        users = [
            m.get("content")
            for m in line["messages"]
            if isinstance(m, dict) and m.get("role") == "user"
        ]
        text = users[-1] if users else None
    if not isinstance(text, str):
        raise BadInput(f'{place}: no "query" text and no user message; give one of them')
    return text


def _call_from(call: Any, place: str) -> tuple[Call, int]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise BadInput(f'{place}: not a call; write {{"name": ..., "arguments": {{...}}}}')
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadInput(f'{place}: "arguments" must be an object')
    turn = call.get("turn", 0)
    if not isinstance(turn, int) or isinstance(turn, bool) or turn < 0:
        raise BadInput(f'{place}: "turn" must be 0 or a positive integer')
    return Call(call["name"], arguments), turn


def _as_text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def query_line(query: Query) -> dict[str, Any]:
    """Return the suite line of a query; `query_from` reads it back."""
    calls = [
        {"name": call.name, "arguments": dict(call.arguments), "turn": turn}
        for turn, group in enumerate(query.turns)
        for call in group
    ]
    line: dict[str, Any] = {"id": query.id, "query": query.text, "calls": calls}
    if query.answer is not None:
        line["answer"] = query.answer
    if query.split is not None:
        line["split"] = query.split
    if query.group:
        line["group"] = query.group
    if query.kind:
        line["kind"] = query.kind
    if query.reply:
        line["reply"] = query.reply
    if query.thought:
        segments = (
            segment if isinstance(segment, str) else {"tool": segment.tool}
            for segment in query.thought
        )
        line["thought"] = list(segments)
    if query.history:
        messages = [*query.history, Message("user", query.text)]
        line["messages"] = [{"role": m.role, "content": m.content} for m in messages]
    if query.observations:
        line["observations"] = list(query.observations)
    if query.tools:
        line["tools"] = list(query.tools)
    if query.accept:
        line["accept"] = [
            {"name": call.name, "arguments": dict(values)}
            for call, values in zip(query.calls, query.accept, strict=True)
        ]
    if query.flags:
        line["flags"] = list(query.flags)
    if any(query.implied):
        line["implied"] = [dict(words) for words in query.implied]
    if query.phrasings:
        line["phrasings"] = list(query.phrasings)
    return line
