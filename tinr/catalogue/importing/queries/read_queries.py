"""Query sets with reference calls, in one form.

Each query becomes a line of `queries.jsonl`: messages, calls, and what else is accepted.
Names are those of the catalogue, found by the candidate documents a query carries, or else
by the tools' original names; a query whose tools are not in the catalogue is reported.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.names import clean_name, content_hash
from tinr.catalogue.importing.problems import Found, Problem, step
from tinr.catalogue.importing.queries.query_forms import has, read_row
from tinr.catalogue.importing.queries.questions import Asked, Place
from tinr.catalogue.importing.read import Data, files_of, read
from tinr.catalogue.load import query_from, read_jsonl
from tinr.records import NO_ARGUMENTS, BadInput


def import_queries(sources: Sequence[str], catalogue: Path) -> tuple[list[dict], list[Problem]]:
    """Lines of queries, and each query that could not be one, with its reason.

    Raises BadInput for a missing source or catalogue and where no query arrives.
    """
    index = _Index(catalogue / "tools.jsonl" if catalogue.is_dir() else catalogue)
    lines: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for asked in _asked(sources):
        if isinstance(asked, Problem):
            problems.append(asked)
            continue
        line = _line(index, asked)
        if isinstance(line, Problem):
            problems.append(line)
            continue
        if line["id"] in lines and not asked.stated:  # files of one name in several folders
            place = f"{asked.file}#{asked.pointer}"
            line["id"] += "-" + hashlib.sha256(place.encode()).hexdigest()[:8]
        if line["id"] in lines:
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
                    yield from read_row(row, Place(str(path), pointer, answers))


def _answers(questions: Path) -> dict[str, Any]:
    """id -> reference answer, of the file that BFCL and ACEBench keep beside the questions."""
    folder, name = questions.parent / "possible_answer", questions.name.removesuffix(".gz")
    files = [folder / spelled for spelled in (name, f"{name}.gz")]
    found = [data for path in files if path.is_file() for data in read(path)]
    values = [data.value for data in found if isinstance(data, Data)]
    rows = [row for value in values for row in (value if isinstance(value, list) else [value])]
    return {str(r["id"]): r["ground_truth"] for r in rows if has(r, "id", "ground_truth")}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


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
            name, source = str(line.get("name")), _mapping(line.get("original"))
            original = str(source.get("name", ""))
            self.names.add(name)
            self.by_hash[str(line.get("hash"))] = name
            self.spaces[name] = str(source.get("namespace", ""))
            said = str(line.get("orig_name") or "")
            for spelled in {original, clean_name(original), said} - {""}:
                self.by_name[spelled].add(name)
            extra = _mapping(line.get("extra"))
            if "path" in extra:
                self.by_name[f"{extra.get('method', '')} {extra['path']}"].add(name)

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
            flags.append(NO_ARGUMENTS)
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
        extra = dict(asked.extra)
        if isinstance(extra.get("thought"), list):
            extra["thought"] = [
                {**part, "tool": spelled.get(part.get("tool"), part.get("tool"))}
                if isinstance(part, Mapping)
                else part
                for part in extra["thought"]
            ]
        return line | extra | ({"flags": flags} if flags else {})

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
