"""Import tool catalogues of any format into canonical ones: find, name, check, report, write."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.formats import FORMATS
from tinr.catalogue.importing.mcp_server import ask_server, named_servers
from tinr.catalogue.importing.names import Namespaces, canonical, words_of
from tinr.catalogue.importing.problems import Item, Problem, split
from tinr.catalogue.importing.python_source import read_python
from tinr.catalogue.importing.read import REPORT, Data, files_of, read
from tinr.catalogue.load import document_from, write_jsonl
from tinr.files import make_folder
from tinr.records import BadInput

__all__ = ["FORMATS", "Imported", "Problem", "import_tools", "words_of", "write_catalogue"]


@dataclass(frozen=True)
class Imported:
    """The result of an import: catalogue lines, lost documents, and changed ones (notes)."""

    lines: tuple[dict[str, Any], ...]
    lost: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def import_tools(
    sources: Sequence[str],
    format: str = "auto",
    namespaces: Namespaces = "collide",
    servers: Sequence[str] = (),
    timeout: float = 30.0,
    out: Path | None = None,
    start: bool = False,
) -> Imported:
    """Import every tool of files, folders and running MCP servers, with a problem for each loss.

    out: the folder of an earlier import; it is skipped if it lies inside a source. start: start
    the MCP servers that a client's settings file lists.
    Raises BadInput for a source that does not exist, an unknown format, and if no tool can be
    imported.
    """
    if format not in FORMATS:
        raise BadInput(f"--format {format}: unknown; give one of {', '.join(FORMATS)}")
    tools, problems = split(list(_items(sources, format, servers, timeout, out, start)))
    lines: list[dict[str, Any]] = []
    for item in canonical(tools, namespaces):
        if isinstance(item, Problem):
            problems.append(item)
        elif isinstance(item, dict):
            fault = _fault_of_line(item)
            problems += [fault] if fault else []
            lines += [] if fault else [item]
    lost = tuple(p for p in problems if p.kind == "lost")
    if not lines:
        reason = str([*lost, *problems, "no sources"][0])
        suffix = f" (and {len(lost) - 1} more problems)" if len(lost) > 1 else ""
        raise BadInput(f"no tool could be imported: {reason}{suffix}; give a source with tools")
    return Imported(tuple(lines), lost, tuple(p for p in problems if p.kind != "lost"))


def _fault_of_line(line: dict[str, Any]) -> Problem | None:
    """Check a line as the loader will; return the problem if the loader would reject it."""
    place = f"{line['source']}#{line['original']['pointer']}"
    try:
        document_from(json.loads(json.dumps(line)), place)
    except BadInput as error:
        reason = str(error).removeprefix(f"{place}: ")
        return Problem(line["source"], line["original"]["pointer"], reason)
    return None


def _items(
    sources: Sequence[str],
    format: str,
    servers: Sequence[str],
    timeout: float,
    out: Path | None,
    start: bool,
) -> Iterator[Item]:
    for source in sources:
        if str(source).endswith(".py"):
            if format != "auto":
                raise BadInput(f"--format {format}: {source} is Python; use --format auto")
            yield from (item for path in _python_files(source) for item in read_python(path))
            continue
        python_count = sum(1 for path in Path(source).rglob("*.py") if path.is_file())
        if python_count:
            reason = f"{python_count} Python files were skipped; name each one that contains tools"
            yield Problem(str(source), "", reason, "note")
        for path in _other_files(source) if python_count else files_of(source):
            if out is not None and _inside(path, out) and not _inside(source, out):
                continue
            for data in read(path):
                if isinstance(data, Problem):
                    yield data
                elif isinstance(data.value, dict) and "mcpServers" in data.value:
                    yield from named_servers(data, start, timeout)
                else:
                    yield from _tools_in(data, format)
    for server in servers:
        yield from ask_server(server, timeout)


def _other_files(source: str) -> list[Path]:
    """Return the files of a folder other than Python files; BadInput if there are none."""
    try:
        return files_of(source)
    except BadInput as error:
        raise BadInput(
            f"{source}: contains only Python files; name each one that contains tools"
        ) from error


def _inside(path: str | Path, folder: Path) -> bool:
    return Path(path).resolve().is_relative_to(folder.resolve())


def _tools_in(data: Data, format: str) -> Iterator[Item]:
    """Yield the tools of a document; an exception in its reader loses only this document."""
    try:
        yield from FORMATS[format](data)
    except Exception as error:
        reason = f"cannot be read ({type(error).__name__}: {str(error)[:80]})"
        yield Problem(data.file, data.pointer, reason)


def _python_files(source: str) -> list[Path]:
    if not Path(source).is_file():
        raise BadInput(f"{source}: no such file; check the path")
    return [Path(source)]


def write_catalogue(imported: Imported, folder: Path, replace: bool = False) -> None:
    """Write a folder's tools.jsonl and problems.jsonl, each completely or not at all."""
    path = folder / "tools.jsonl"
    make_folder(folder)
    if path.exists() and not replace:
        raise BadInput(f"{path}: already exists; give another --out, or --replace")
    write_jsonl(path, imported.lines)
    write_jsonl(folder / REPORT, [vars(problem) for problem in (*imported.lost, *imported.notes)])
