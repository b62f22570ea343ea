"""Import query sets with reference calls into one format.

Each query becomes a line of `queries.jsonl`: messages, calls, and the other accepted values.
Calls get the catalogue's tool names, looked up by the query's candidate documents or else by the
tools' original names. A query whose tools are not in the catalogue is reported.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.names import clean_name, content_hash
from tinr.catalogue.importing.problems import Problem, step
from tinr.catalogue.importing.queries.query_forms import has, read_row
from tinr.catalogue.importing.queries.questions import Asked, Place
from tinr.catalogue.importing.queries.references import Documents
from tinr.catalogue.importing.queries.tool_names import (
    ToolNames,
    documents,
    key_of,
    properties_of,
    spellings,
)
from tinr.catalogue.importing.read import Data, files_of, read
from tinr.catalogue.load import query_from, read_jsonl
from tinr.records import NO_ARGUMENTS, BadInput

NULL = "null dropped"  # what a note says about a repaired call


def import_queries(
    sources: Sequence[str], catalogue: Path, keep_refused: bool = False
) -> tuple[list[dict], list[Problem]]:
    """Return query lines, and a problem for each query that was dropped or changed.

    A query with a reference call that its tool's document rejects is kept only if `keep_refused`.
    A null that the document rejects is dropped from the call, with a note. Raises BadInput for a
    missing source or catalogue, and if no query can be imported.
    """
    index = _Index(catalogue / "tools.jsonl" if catalogue.is_dir() else catalogue)
    lines: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for question in _questions(sources, index.spellings):
        if isinstance(question, Problem):
            problems.append(question)
            continue
        line = _line(index, question)
        if isinstance(line, Problem):
            problems.append(line)
            continue
        refused, notes = _held(line, index.documents, question)
        problems += notes
        if refused and not keep_refused:
            problems.append(refused)
            continue
        if line["id"] in lines and not question.stated:  # files with the same name
            place = f"{question.file}#{question.pointer}"
            line["id"] += "-" + hashlib.sha256(place.encode()).hexdigest()[:8]
        if line["id"] in lines:
            reason = f"the id {line['id']!r} occurs twice; the first one is kept"
            problems.append(Problem(question.file, question.pointer, reason))
        else:
            lines[line["id"]] = line
    if not lines:
        reason = str(problems[0]) if problems else "no rows"
        is_refused = any(problem.fault and problem.kind == "lost" for problem in problems)
        advice = "correct the calls, or use --keep-refused" if is_refused else "give queries"
        raise BadInput(f"no query could be imported: {reason}; {advice}")
    return list(lines.values()), problems


def _line(index: "_Index", question: Asked) -> dict[str, Any] | Problem:
    """Return a query's line, checked as `read_queries` will read it, or a problem."""
    try:
        line = index.line(question)
        if not isinstance(line, Problem):
            json.dumps(line, allow_nan=False, ensure_ascii=False).encode()
            query_from(line, "the line")
    except (BadInput, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = f"query {question.id[:80]!r} cannot be imported ({type(error).__name__}: {error})"
        return Problem(question.file, question.pointer, reason[:240])
    return line


def _held(
    line: dict[str, Any], documents: Documents, question: Asked
) -> tuple[Problem | None, list[Problem]]:
    """Check a line's calls against their documents; return the first fault and repair notes."""
    if NO_ARGUMENTS in line.get("flags", ()):
        return None, []
    notes: list[Problem] = []
    for call in line["calls"]:
        call["arguments"], dropped = documents.without_refused_nulls(call)
        if dropped:
            reason = f"query {line['id']!r}: call of {call['name']!r}: null dropped: "
            reason += ", ".join(map(repr, dropped))
            notes.append(Problem(question.file, question.pointer, reason[:200], "note", NULL))
        for kind, fault in documents.faults(call):
            reason = f"query {line['id']!r}: call of {call['name']!r}: {kind}: {fault}"
            return Problem(question.file, question.pointer, reason[:300], fault=kind), notes
    return None, notes


def _questions(sources: Sequence[str], names: ToolNames) -> Iterator[Asked | Problem]:
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
                    yield from read_row(row, Place(str(path), pointer, answers, names))


def _answers(questions: Path) -> dict[str, Any]:
    """Return id -> reference answer, from BFCL's or ACEBench's file next to the questions."""
    folder, name = questions.parent / "possible_answer", questions.name.removesuffix(".gz")
    files = [folder / spelling for spelling in (name, f"{name}.gz")]
    documents = [data for path in files if path.is_file() for data in read(path)]
    values = [data.value for data in documents if isinstance(data, Data)]
    rows = [row for value in values for row in (value if isinstance(value, list) else [value])]
    return {str(row["id"]): row["ground_truth"] for row in rows if has(row, "id", "ground_truth")}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


class _Index:
    """Looks up the catalogue's name of a tool that a query calls."""

    def __init__(self, path: Path):
        self.by_hash: dict[str, str] = {}
        self.by_name: dict[str, set[str]] = defaultdict(set)
        self.by_key: dict[str, set[str]] = defaultdict(set)  # `key_of` a name -> names
        self.names: set[str] = set()
        # candidates' JSON -> their original names and the catalogue's names
        self.known: dict[str, list[tuple[str, str]]] = {}
        self.spaces: dict[str, str] = {}  # catalogue's name -> the namespace of its source
        self.files: dict[str, str] = {}  # catalogue's name -> the file of its source
        parameters: dict[str, Mapping[str, Any]] = {}
        written: list[tuple[str, Iterable[str]]] = []
        for _, line in read_jsonl(path):
            name, source = str(line.get("name")), _mapping(line.get("original"))
            original = str(source.get("name", ""))
            self.names.add(name)
            parameters[name] = _mapping(line.get("parameters"))
            self.by_hash[str(line.get("hash"))] = name
            self.spaces[name] = str(source.get("namespace", ""))
            self.files[name] = Path(str(line.get("source"))).stem
            original_name = str(line.get("orig_name") or "")
            for spelling in {original, clean_name(original), original_name} - {""}:
                self.by_name[spelling].add(name)
            for spelling in {name, original} - {""}:
                self.by_key[key_of(spelling)].add(name)
            written += [(spelling, properties_of(line)) for spelling in {name, original} - {""}]
            extra = _mapping(line.get("extra"))
            if "path" in extra:
                self.by_name[f"{extra.get('method', '')} {extra['path']}"].add(name)
        self.spellings = ToolNames(written)
        self.documents = Documents(parameters)

    def line(self, question: Asked) -> dict[str, Any] | Problem:
        """Return the query's line with the catalogue's names, or a problem."""
        candidates = self._candidate_names(question.candidates)
        names: list[str] = []
        for call in question.calls:
            matches = self._find(call, candidates)
            if len(matches) != 1:
                fault = f"{len(matches)} tools have that name" if matches else "no such tool"
                reason = f"query {question.id!r}: {call['name']!r}: {fault} in the catalogue"
                return Problem(question.file, question.pointer, reason)
            names += matches
        catalogue_names = {
            call["name"]: name for call, name in zip(question.calls, names, strict=True)
        }
        if not question.messages or not str(question.messages[-1].get("content", "")).strip():
            return Problem(
                question.file, question.pointer, f"query {question.id!r} has no user text"
            )
        flags = list(question.flags)
        if any(call["arguments"] is None for call in question.calls):
            flags.append(NO_ARGUMENTS)
        line: dict[str, Any] = {"id": question.id, "query": question.messages[-1]["content"]}
        if len(question.messages) > 1:
            line["messages"] = list(question.messages)
        line["calls"] = [
            {
                "name": name,
                "arguments": self.documents.named(name, call),
                "turn": call.get("turn", 0),
            }
            for call, name in zip(question.calls, names, strict=True)
        ]
        if question.accept:
            line["accept"] = [
                {**accepted, "name": catalogue_names.get(accepted["name"], accepted["name"])}
                for accepted in question.accept
            ]
        if candidates:
            line["tools"] = sorted({name for tools in candidates.values() for name in tools})
        extra = dict(question.extra)
        if isinstance(extra.get("thought"), list):
            extra["thought"] = [
                {**segment, "tool": catalogue_names.get(segment.get("tool"), segment.get("tool"))}
                if isinstance(segment, Mapping)
                else segment
                for segment in extra["thought"]
            ]
        return line | extra | ({"flags": flags} if flags else {})

    def _candidate_names(self, candidates: Sequence[Any]) -> dict[str, set[str]]:
        """Return original name -> catalogue's names, for a query's candidate documents."""
        names: dict[str, set[str]] = defaultdict(set)
        for candidate in candidates:
            if not candidate:
                continue
            key = json.dumps(candidate, sort_keys=True)
            if key not in self.known:
                tools = documents(candidate)
                pairs = ((item.name, self.by_hash.get(content_hash(item))) for item in tools)
                self.known[key] = [(original, name) for original, name in pairs if name is not None]
            for original, name in self.known[key]:
                names[original].add(name)
        return names

    def _find(self, call: Mapping[str, Any], candidates: Mapping[str, set[str]]) -> set[str]:
        """Return the catalogue's names that a call may mean; its namespace narrows them down."""
        name, namespace = call["name"], call.get("namespace")
        matches: set[str] = candidates.get(name) or set()
        for spelling in (name, call.get("also", ""), clean_name(name)):
            matches = matches or ({spelling} & self.names) or self.by_name.get(spelling, set())
        for spelling in spellings(name):  # functions.NAME, Get_Name
            matches = (
                matches or candidates.get(spelling) or self.by_key.get(key_of(spelling), set())
            )
        if namespace:
            in_namespace = {n for n in matches if self.spaces.get(n) == namespace}
            in_namespace |= {
                n for n in (f"{namespace}/{name}", f"{namespace}.{name}") if n in self.names
            }
            return in_namespace or matches
        in_files = {n for n in matches if self.files.get(n) in call.get("files", ())}
        return in_files or matches
