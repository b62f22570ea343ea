"""Executors of a user's own tools, from a YAML file that says what runs which tool.

    catalogue: runs/own/tools        # as `tinr catalogue import` wrote it
    run:
      - python: my_tools             # a module beside this file, or `module:function`
      - mcp: python weather_server.py
      - http: library.yaml           # the operations that were imported from this file
        url: http://127.0.0.1:9000   # in place of the file's servers
        hosts: [127.0.0.1]
        headers: {Authorization: "Bearer ${LIBRARY_TOKEN}"}
        writes: true                 # POST, PUT, PATCH and DELETE too
    limits: {seconds: 10, calls: 16}

`${NAME}` in headers, query and environment is an environment variable.
"""

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from typing_extensions import Doc

from tinr.catalogue.failures import refusal
from tinr.catalogue.load import Catalogue, read_jsonl
from tinr.chat.render import cut
from tinr.config import Count
from tinr.config_files import load_config
from tinr.records import BadInput, Call
from tinr.rollout.tools.executor import (
    Executor,
    corpus_executor,
    observed_fault,
    same_tool,
    shipped_functions,
)
from tinr.rollout.tools.mcp_runner import McpRunner, McpServer
from tinr.rollout.tools.process import ExecutorConfig, Fault, Worker
from tinr.rollout.tools.runners import HttpRunner, Operation, PythonRunner, Runner, ToolError

VARIABLE = re.compile(r"\$\{(\w+)\}")
KINDS = ("python", "mcp", "http")


@dataclass(frozen=True)
class RunEntry:
    """What runs some tools: exactly one of python, mcp and http."""

    python: Annotated[str, Doc("a module, or module:function")] = ""
    mcp: Annotated[str, Doc("a server's URL, or the command that starts it")] = ""
    http: Annotated[str, Doc("the OpenAPI file whose operations were imported")] = ""
    tools: Annotated[
        tuple[str, ...], Doc("names or patterns (`books_*`); none: those imported from this source")
    ] = ()
    url: Annotated[str, Doc("of http: in place of the file's servers")] = ""
    hosts: Annotated[
        tuple[str, ...], Doc("of http: that requests may go to, name or name:port")
    ] = ()
    headers: Annotated[dict[str, str], Doc("of http and of an mcp URL")] = field(
        default_factory=dict
    )
    query: Annotated[dict[str, str], Doc("of http: in every request's query")] = field(
        default_factory=dict
    )
    environment: Annotated[dict[str, str], Doc("of an mcp command's process")] = field(
        default_factory=dict
    )
    writes: Annotated[bool, Doc("of http: send methods that change something")] = False


@dataclass(frozen=True)
class Limits(ExecutorConfig):
    """Bounds of a call, and how many calls a conversation may make."""

    seconds: Annotated[float, Doc("a call, by the clock")] = 10.0
    calls: Annotated[Count, Doc("in one conversation; later ones are refused")] = 16


@dataclass(frozen=True)
class OwnTools:
    """The file: a catalogue folder, what runs its tools, and within which limits."""

    catalogue: str
    run: tuple[RunEntry, ...]
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class OwnExecutor(Executor):
    """Runs each tool by its runner. Close it, or use it in a `with`.

    functions: name -> runner. A conversation uses its own `session`.
    """

    config: Limits = field(default_factory=Limits)
    fault_counts: list[int] = field(default_factory=lambda: [0])  # shared with all sessions
    _calls: list[int] = field(default_factory=lambda: [0])

    @property
    def faults(self) -> int:
        """Number of calls that broke a bound."""
        return self.fault_counts[0]

    def session(self) -> "OwnExecutor":
        """Return an executor for one conversation."""
        sessions = {id(runner): runner.session() for runner in self._runners()}
        runners = {name: sessions[id(runner)] for name, runner in self.functions.items()}
        return replace(self, functions=runners, _calls=[0])

    def end(self) -> None:
        """End a session."""
        for runner in self._runners():
            runner.end()

    def close(self) -> None:
        """End everything that runs."""
        for runner in self._runners():
            runner.close()

    def _runners(self) -> list[Runner]:
        return list({id(runner): runner for runner in self.functions.values()}.values())

    def _observe(self, call: Call) -> str:
        self._calls[0] += 1
        if self._calls[0] > self.config.calls:
            return refusal(f"a conversation may make {self.config.calls} calls")
        try:
            return cut(self.functions[call.name].run(call.name, call.arguments))
        except ToolError as error:
            return refusal(str(error))
        except Fault as fault:
            self.fault_counts[0] += 1
            return observed_fault(call, fault, self.config)


def executor_of(
    catalogue: Catalogue, file: Path | None, config: ExecutorConfig | None = None
) -> Executor:
    """Make the executor of a checkpoint's catalogue: what a file describes, else shipped tools."""
    return own_executor(file, catalogue) if file else corpus_executor(catalogue, config)


def own_executor(file: Path, catalogue: Catalogue) -> OwnExecutor:
    """Make the executor that a file describes, for a checkpoint's catalogue.

    Shipped tools that the file does not name run as always. BadInput if the file is wrong, or a
    part of it runs no tool of the catalogue.
    """
    own = load_config(OwnTools, file)
    if not own.run:
        raise BadInput(f"{file}: run: nothing runs; add a python, mcp or http entry")
    lines = _lines(own, file, catalogue)
    runners: dict[str, Runner] = {}
    for number, entry in enumerate(own.run):
        place = f"{file}: run.{number}"
        chosen = _chosen(entry, lines, place)
        runner = _runner(entry, chosen, own.limits, file.resolve().parent, place)
        runners = dict.fromkeys(chosen, runner) | runners
    shipped = shipped_functions(catalogue)
    rest = {name: address for name, address in shipped.items() if name not in runners}
    if rest:
        runners |= dict.fromkeys(rest, PythonRunner(Worker(rest, own.limits)))
    return OwnExecutor(catalogue, runners, own.limits)


def _lines(own: OwnTools, file: Path, catalogue: Catalogue) -> dict[str, Mapping[str, Any]]:
    """Return the imported lines of tools that the checkpoint knows with this very document."""
    path = Path(own.catalogue) / "tools.jsonl"
    if not path.is_file():
        raise BadInput(
            f"{file}: catalogue: {own.catalogue!r} has no tools.jsonl; give the folder that "
            "`tinr catalogue import` wrote"
        )
    lines = {line["name"]: line for _, line in read_jsonl(path)}
    changed = [
        name for name, line in lines.items()
        if name in catalogue.by_name and not same_tool(catalogue.by_name[name], line)
    ]  # fmt: skip
    if changed:
        warnings.warn(
            f"{path}: {len(changed)} tools have another document than the checkpoint knows, "
            f"{changed[0]} among them, and do not run; run `tinr update`",
            stacklevel=3,
        )
    return {
        name: line for name, line in lines.items()
        if name in catalogue.by_name and name not in changed
    }  # fmt: skip


def _chosen(
    entry: RunEntry, lines: Mapping[str, Mapping[str, Any]], place: str
) -> dict[str, Mapping[str, Any]]:
    """Return the tools that an entry runs: those of its patterns, or of its source."""
    kinds = [kind for kind in KINDS if getattr(entry, kind)]
    if len(kinds) != 1:
        raise BadInput(f"{place}: give exactly one of {', '.join(KINDS)}")
    source, function = _source(entry), entry.python.partition(":")[2]

    def is_run(name: str, line: Mapping[str, Any]) -> bool:
        if entry.tools:
            return any(fnmatchcase(name, pattern) for pattern in entry.tools)
        return _original(line) == function if function else line.get("source") == source

    chosen = {name: line for name, line in lines.items() if is_run(name, line)}
    if not chosen:
        sources = sorted({str(line.get("source", "")) for line in lines.values()})
        wanted = f"match {list(entry.tools)}" if entry.tools else f"come from {source!r}"
        raise BadInput(
            f"{place}: no tools {wanted}; the catalogue's sources are {', '.join(sources)[:120]}; "
            "name the tools: tools: [...]"
        )
    return chosen


def _source(entry: RunEntry) -> str:
    """Return what `tinr catalogue import` calls the source of an entry's tools."""
    if entry.python:
        return entry.python.partition(":")[0].rpartition(".")[2] + ".py"
    return Path(entry.mcp or entry.http).name


def _original(line: Mapping[str, Any]) -> str:
    """Return a tool's name in its source."""
    return str(line.get("original", {}).get("name", line["name"]))


def _runner(
    entry: RunEntry, chosen: Mapping[str, Mapping[str, Any]], limits: Limits, folder: Path,
    place: str,
) -> Runner:  # fmt: skip
    if entry.python:
        module, _, function = entry.python.partition(":")
        addresses = {
            name: f"{module}:{function or _original(line)}" for name, line in chosen.items()
        }
        return PythonRunner(Worker(addresses, limits, [str(folder), os.getcwd()]))
    secrets: list[str] = []
    filled = {
        key: _filled(getattr(entry, key), f"{place}: {key}", secrets)
        for key in ("headers", "query", "environment")
    }
    if entry.mcp:
        server = McpServer(entry.mcp, filled["headers"], filled["environment"])
        return McpRunner(server, {name: _original(line) for name, line in chosen.items()}, limits)
    operations = {name: _operation(entry, line, place) for name, line in chosen.items()}
    if not entry.hosts:
        hosts = sorted({urlsplit(o.url).netloc for o in operations.values()})
        raise BadInput(f"{place}: hosts: none is allowed; to allow these: hosts: {hosts}")
    return HttpRunner(
        operations, entry.hosts, limits, filled["headers"], filled["query"], secrets, entry.writes
    )


def _operation(entry: RunEntry, line: Mapping[str, Any], place: str) -> Operation:
    extra = line.get("extra") or {}
    if "method" not in extra or "path" not in extra:
        raise BadInput(
            f"{place}: {line['name']} is no HTTP operation; import it from its OpenAPI file"
        )
    url = entry.url or next(iter(extra.get("servers") or ()), "")
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{place}: url: the file names no server for {line['name']}; give its URL")
    return Operation(
        extra["method"], url.rstrip("/"), extra["path"], extra.get("places") or {},
        extra.get("content_type", ""),
    )  # fmt: skip


def _filled(values: Mapping[str, str], place: str, secrets: list[str]) -> dict[str, str]:
    """Put environment variables into values, and note them as secrets; BadInput if one is unset."""

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise BadInput(f"{place}: the environment variable {match[1]} is not set; set it")
        secrets.append(value)
        return value

    return {key: VARIABLE.sub(value_of, text) for key, text in values.items()}
