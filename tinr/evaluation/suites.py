"""The named sets of real queries as suites: every query is scored, or left out with a reason.

A set is a folder with `tools.jsonl` and `queries.jsonl`, each plain or gzipped, or the
files as their source published them, which the importers read. What a query lacks stands
in its flags; only a query whose reference calls a tool that has no document is left out.
"""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.importing.queries.query_lines import Line, common
from tinr.catalogue.importing.queries.read_queries import import_queries
from tinr.catalogue.load import Catalogue, document_from, file_of, query_from, read_jsonl
from tinr.records import BadInput, Query

NAMES = ("bfcl", "tinr", "acebench", "apibank", "nestful", "toolalpaca", "metatool")
CHAINED = ("toolalpaca",)  # sets whose calls follow one another though no line says so
TOOLS, QUERIES = "tools.jsonl", "queries.jsonl"


@dataclass(frozen=True)
class Suite:
    """Queries with the documents of their tools; `group` of each is its row in a table.

    left_out: (query id or place, reason). source_names: a tool's name here -> in its source,
    where several documents may share one.
    """

    name: str
    catalogue: Catalogue
    queries: tuple[Query, ...]
    left_out: tuple[tuple[str, str], ...]
    source_names: Mapping[str, str]


def read_suite(
    which: str, data: Path, size: int | None = None, catalogue: Catalogue | None = None
) -> Suite:
    """A named set below `data`, or a folder or file of one.

    size: of each split, that many queries, the same ones whatever their order; None: all.
    catalogue: what the model knows. Names become its names, and a query with a tool that is
    not in it is left out. Raises BadInput for what is no set, a bad line, and no query left.
    """
    path = data / which if which in NAMES else Path(which)
    if not path.exists():
        raise BadInput(f"{path}: no such suite; give {', '.join(NAMES)}, a folder or a file")
    plain = path.is_dir() and all(file_of(path, name).is_file() for name in (TOOLS, QUERIES))
    own, spelled, lines, left_out = _folder(path) if plain else _published(path)
    names = {n: n for n in own.by_name} if catalogue is None else _names_in(catalogue, own)
    queries: dict[str, Query] = {}
    for place, line in lines:
        reason = _unknown(line, own.by_name, names)
        if reason:
            left_out.append((str(line.get("id", place)), reason))
            continue
        query = query_from(_renamed(line, names), place)
        if query.id in queries:
            raise BadInput(f"{place}: id {query.id!r} stands twice; give each query its own")
        queries[query.id] = query
    if not queries:
        why = left_out[0][1] if left_out else "it has none"
        raise BadInput(f"{path}: no query can be scored ({why}); give another suite or catalogue")
    kept = tuple(sample(list(queries.values()), size))
    said = {names[name]: source for name, source in spelled.items() if name in names}
    return Suite(path.name, catalogue or own, kept, tuple(left_out), said)


def same_names(suite: Suite) -> dict[str, str]:
    """Tools that their source calls alike, as groups: name -> the group's first name."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, spelled in suite.source_names.items():
        groups[spelled].append(name)
    return {name: group[0] for group in groups.values() if len(group) > 1 for name in group}


Read = tuple[Catalogue, dict[str, str], Sequence[tuple[str, Line]], list[tuple[str, str]]]


def _folder(path: Path) -> Read:
    """A folder in the common form; names that cannot be tool tokens are cleaned."""
    tools = file_of(path, TOOLS)
    said = {str(row.get("name")): row.get("orig_name") for _, row in read_jsonl(tools)}
    imported = import_tools([str(tools)])
    if imported.lost:
        raise BadInput(f"{imported.lost[0]}; correct the document or remove it")
    clean = {str(line["original"]["name"]): str(line["name"]) for line in imported.lines}
    spelled = {new: str(said.get(old) or old) for old, new in clean.items()}
    lines = [
        (place, _renamed(_grouped(common(line, place, path.name in CHAINED)), clean))
        for place, line in read_jsonl(file_of(path, QUERIES))
    ]
    return _catalogue(imported.lines), spelled, lines, []


def _published(path: Path) -> Read:
    """Files as their source published them, through the importers."""
    imported = import_tools([str(path)])
    with tempfile.TemporaryDirectory() as folder:
        write_catalogue(imported, Path(folder))
        lines, problems = import_queries([str(path)], Path(folder))
    spelled = {str(line["name"]): str(line["original"]["name"]) for line in imported.lines}
    places = [(f"{path}: query {line['id']!r}", _grouped(line)) for line in lines]
    left_out = [(f"{p.file}#{p.pointer}", p.reason) for p in problems]
    return _catalogue(imported.lines), spelled, places, left_out


def _catalogue(lines: Iterable[Line]) -> Catalogue:
    return Catalogue(tuple(document_from(line, f"tool {line['name']!r}") for line in lines))


def _grouped(line: Line) -> dict[str, Any]:
    """With its row of the tables in `group`: the category or part of its set, or its split."""
    said = (line.get(key) for key in ("category", "part", "split"))
    return {**line, "group": str(next((word for word in said if word), "all"))}


def _renamed(line: Line, names: Mapping[str, str]) -> dict[str, Any]:
    """With other names of its tools; a candidate that has none is left out of the candidates."""
    calls = [
        call | {"name": names.get(call["name"], call["name"])}
        if isinstance(call.get("name"), str)
        else call
        for call in line["calls"]
    ]
    out: dict[str, Any] = {**line, "calls": calls}
    if isinstance(line.get("tools"), list):
        out["tools"] = [
            names.get(name, name) if isinstance(name, str) else name
            for name in line["tools"]
            if not isinstance(name, str) or name in names
        ]
    return out


def _unknown(line: Line, own: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Why a query's reference cannot be reached by any model; empty where it can."""
    for call in line["calls"]:
        name = call.get("name")
        if isinstance(name, str) and name not in own:
            return f"the reference calls {name!r}, which has no document"
        if isinstance(name, str) and name not in names:
            return f"the reference calls {name!r}, which is not in the model's catalogue"
    return ""


def _names_in(catalogue: Catalogue, own: Catalogue) -> dict[str, str]:
    """A suite's name -> the catalogue's: the same document, with or without a namespace."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for doc in catalogue.tools:
        by_text[doc.description.strip()].append(doc.name)
    names: dict[str, str] = {}
    for doc in own.tools:
        same = by_text.get(doc.description.strip(), [])
        spaced = [n for n in same if n.endswith((f".{doc.name}", f"/{doc.name}"))]
        if doc.name in same:
            names[doc.name] = doc.name
        elif len(spaced) == 1:
            names[doc.name] = spaced[0]
    return names


def sample(queries: Sequence[Query], size: int | None) -> Iterator[Query]:
    """At most `size` queries of each group, chosen by the hash of their ids, in their order."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for query in queries:
        groups[query.group or query.split].append(query.id)
    chosen = {
        identifier
        for group in groups.values()
        for identifier in sorted(group, key=lambda i: hashlib.sha256(i.encode()).digest())[:size]
    }
    return (query for query in queries if query.id in chosen)
