"""Read the named sets of real queries as suites; each query is scored or left out with a reason.

A set is a folder with `tools.jsonl` and `queries.jsonl`, each plain or gzipped, or the files as
their source published them, which the importers read. A query's flags say what it lacks. Only a
query whose reference calls a tool without a document is left out.
"""

import hashlib
import importlib.util
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
CHAINED = ("toolalpaca",)  # sets of sequential calls whose lines do not mark them as such
TOOLS, QUERIES = "tools.jsonl", "queries.jsonl"


@dataclass(frozen=True)
class Suite:
    """Queries with the documents of their tools; `group` of each is its row in a table.

    left_out: (query id or place, reason). source_names: a tool's name here -> its name in the
    source, in which several documents may share a name.
    """

    name: str
    catalogue: Catalogue
    queries: tuple[Query, ...]
    left_out: tuple[tuple[str, str], ...]
    source_names: Mapping[str, str]


def read_suite(
    which: str, data: Path, size: int | None = None, catalogue: Catalogue | None = None
) -> Suite:
    """Read a named set below `data`, or a set in any folder or file.

    size: queries per split, the same ones in any order; None: all. catalogue: the tools that the
    model knows. Tools get its names, and a query with a tool that it lacks is left out. Raise
    BadInput if there is no such set, a line is invalid, or no query is left.
    """
    path = data / which if which in NAMES else Path(which)
    if which == "bfcl" and not path.exists():
        path = _bfcl_package() or path
    if not path.exists():
        raise BadInput(f"{path}: no such suite; give {', '.join(NAMES)}, a folder or a file")
    is_common = path.is_dir() and all(file_of(path, name).is_file() for name in (TOOLS, QUERIES))
    suite_catalogue, source_names, lines, left_out = (
        _folder(path) if is_common else _source_files(path)
    )
    names = (
        {n: n for n in suite_catalogue.by_name}
        if catalogue is None
        else _names_in(catalogue, suite_catalogue)
    )
    queries: dict[str, Query] = {}
    for place, line in lines:
        reason = _missing_tool(line, suite_catalogue.by_name, names)
        if reason:
            left_out.append((str(line.get("id", place)), reason))
            continue
        query = query_from(_with_names(line, names), place)
        if query.id in queries:
            raise BadInput(f"{place}: id {query.id!r} occurs twice; give each query its own")
        queries[query.id] = query
    if not queries:
        cause = left_out[0][1] if left_out else "the suite is empty"
        raise BadInput(f"{path}: no query can be scored ({cause}); give another suite or catalogue")
    chosen_queries = tuple(sample(list(queries.values()), size))
    original_names = {names[name]: source for name, source in source_names.items() if name in names}
    return Suite(
        which if which in NAMES else path.name,
        catalogue or suite_catalogue,
        chosen_queries,
        tuple(left_out),
        original_names,
    )


def same_names(suite: Suite) -> dict[str, str]:
    """Group tools with the same name in their source: name -> the group's first name."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, source_name in suite.source_names.items():
        groups[source_name].append(name)
    return {name: group[0] for group in groups.values() if len(group) > 1 for name in group}


Read = tuple[Catalogue, dict[str, str], Sequence[tuple[str, Line]], list[tuple[str, str]]]


def _folder(path: Path) -> Read:
    """Read a folder in the common format; clean names that cannot be tool tokens."""
    tools = file_of(path, TOOLS)
    original_names = {str(row.get("name")): row.get("orig_name") for _, row in read_jsonl(tools)}
    tools_import = import_tools([str(tools)])
    if tools_import.lost:
        raise BadInput(f"{tools_import.lost[0]}; correct the document or remove it")
    new_names = {str(line["original"]["name"]): str(line["name"]) for line in tools_import.lines}
    source_names = {
        new_name: str(original_names.get(old_name) or old_name)
        for old_name, new_name in new_names.items()
    }
    lines = [
        (place, _with_names(_with_group(common(line, place, path.name in CHAINED)), new_names))
        for place, line in read_jsonl(file_of(path, QUERIES))
    ]
    return _catalogue(tools_import.lines), source_names, lines, []


def _bfcl_package() -> Path | None:
    """Return the data folder of the installed `bfcl-eval` package; it is not imported."""
    found = importlib.util.find_spec("bfcl_eval")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) / "data" if places else None


def _source_files(path: Path) -> Read:
    """Read files as their source published them, through the importers.

    A reference call that its document rejects is kept: the set is scored as it was published.
    """
    sources = [str(path)]
    if (
        path / "multi_turn_func_doc"
    ).is_dir():  # BFCL's folder has data sets that it no longer uses
        sources = [
            str(p) for p in (*sorted(path.glob("BFCL_*.json*")), path / "multi_turn_func_doc")
        ]
    tools_import = import_tools(sources)
    with tempfile.TemporaryDirectory() as folder:
        write_catalogue(tools_import, Path(folder))
        lines, problems = import_queries(sources, Path(folder), keep_refused=True)
    source_names = {str(line["name"]): str(line["original"]["name"]) for line in tools_import.lines}
    places = [(f"{path}: query {line['id']!r}", _with_group(line)) for line in lines]
    left_out = [(f"{p.file}#{p.pointer}", p.reason) for p in problems if p.kind == "lost"]
    return _catalogue(tools_import.lines), source_names, places, left_out


def _catalogue(lines: Iterable[Line]) -> Catalogue:
    return Catalogue(tuple(document_from(line, f"tool {line['name']!r}") for line in lines))


def _with_group(line: Line) -> dict[str, Any]:
    """Add `group`, the query's row in tables: the category or part of its set, or its split."""
    labels = (line.get(key) for key in ("category", "part", "split"))
    return {**line, "group": str(next((label for label in labels if label), "all"))}


def _with_names(line: Line, names: Mapping[str, str]) -> dict[str, Any]:
    """Rename the tools of a line; drop candidates that have no new name."""
    calls = [
        call | {"name": names.get(call["name"], call["name"])}
        if isinstance(call.get("name"), str)
        else call
        for call in line["calls"]
    ]
    row: dict[str, Any] = {**line, "calls": calls}
    if isinstance(line.get("tools"), list):
        row["tools"] = [
            names.get(name, name) if isinstance(name, str) else name
            for name in line["tools"]
            if not isinstance(name, str) or name in names
        ]
    return row


def _missing_tool(line: Line, documents: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Why no model can produce a query's reference; empty if one can."""
    for call in line["calls"]:
        name = call.get("name")
        if isinstance(name, str) and name not in documents:
            return f"the reference calls {name!r}, which has no document"
        if isinstance(name, str) and name not in names:
            return f"the reference calls {name!r}, which is not in the model's catalogue"
    return ""


def _names_in(catalogue: Catalogue, suite_catalogue: Catalogue) -> dict[str, str]:
    """Suite's tool name -> catalogue's: same description, with or without a namespace."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for doc in catalogue.tools:
        by_text[doc.description.strip()].append(doc.name)
    names: dict[str, str] = {}
    for doc in suite_catalogue.tools:
        matches = by_text.get(doc.description.strip(), [])
        namespaced_names = [n for n in matches if n.endswith((f".{doc.name}", f"/{doc.name}"))]
        if doc.name in matches:
            names[doc.name] = doc.name
        elif len(namespaced_names) == 1:
            names[doc.name] = namespaced_names[0]
    return names


def sample(queries: Sequence[Query], size: int | None) -> Iterator[Query]:
    """At most `size` queries per group, chosen by the hash of their ids, in the given order."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for query in queries:
        groups[query.group or query.split].append(query.id)
    identifiers = {
        identifier
        for group in groups.values()
        for identifier in sorted(group, key=lambda i: hashlib.sha256(i.encode()).digest())[:size]
    }
    return (query for query in queries if query.id in identifiers)
