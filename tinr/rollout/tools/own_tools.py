"""Executors of a user's own tools, from a YAML file that says what runs each tool.

    catalogue: runs/own/tools        # as `tinr catalogue import` wrote it
    run:
      - python: my_tools             # a module next to this file, or `module:function`
      - mcp: python weather_server.py
      - http: library.yaml           # the operations that were imported from this file
        url: http://127.0.0.1:9000   # instead of the file's servers
        hosts: [127.0.0.1]
        headers: {Authorization: "Bearer ${LIBRARY_TOKEN}"}
        writes: true                 # POST, PUT, PATCH and DELETE too
    limits: {seconds: 10, calls: 16}

`${NAME}` in headers, query and environment is an environment variable.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, quote_plus

from typing_extensions import Doc

from tinr.catalogue.failures import refusal
from tinr.catalogue.importing.mcp_server import has_url
from tinr.catalogue.load import Catalogue, document_from, read_jsonl
from tinr.chat.render import cut
from tinr.config import Count
from tinr.config_files import load_config
from tinr.files import whole_text
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
from tinr.rollout.tools.runners import PythonRunner, Runner, ToolError

if TYPE_CHECKING:
    from tinr.rollout.tools.http_runner import Operation

VARIABLE = re.compile(r"\$\{([^{}]*)\}")
SECRET = "***"
SETTINGS = {  # of each kind of entry, besides `tools`
    "python": (),
    "mcp": ("headers", "environment"),
    "http": ("url", "hosts", "headers", "query", "writes"),
}


@dataclass(frozen=True)
class RunEntry:
    """What runs some tools: exactly one of python, mcp and http."""

    python: Annotated[str, Doc("a module, or module:function")] = ""
    mcp: Annotated[str, Doc("a server's URL, or the command that starts it")] = ""
    http: Annotated[str, Doc("the OpenAPI file whose operations were imported")] = ""
    tools: Annotated[
        tuple[str, ...], Doc("names or patterns (`books_*`); default: all tools of this source")
    ] = ()
    url: Annotated[str, Doc("http only: overrides the file's servers")] = ""
    hosts: Annotated[tuple[str, ...], Doc("http only: allowed hosts, as name or name:port")] = ()
    headers: Annotated[dict[str, str], Doc("for http, or for an mcp URL")] = field(
        default_factory=dict
    )
    query: Annotated[dict[str, str], Doc("http only: added to every request's query")] = field(
        default_factory=dict
    )
    environment: Annotated[dict[str, str], Doc("variables for an mcp command's process")] = field(
        default_factory=dict
    )
    writes: Annotated[bool, Doc("http only: allow methods that change data")] = False


@dataclass(frozen=True)
class Limits(ExecutorConfig):
    """Limits of a call, and of the number of calls per conversation."""

    where = "limits"

    seconds: Annotated[float, Doc("wall-clock time per call")] = 10.0
    calls: Annotated[Count, Doc("per conversation; later ones are refused")] = 16


@dataclass(frozen=True)
class OwnTools:
    """The file: a catalogue folder, what runs its tools, and the limits."""

    catalogue: str
    run: tuple[RunEntry, ...]
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class OwnExecutor(Executor):
    """Runs each tool with its runner. Close it, or use it in a `with`.

    functions: name -> runner. A conversation uses its own `session`.
    """

    config: Limits = field(default_factory=Limits)
    secrets: Sequence[str] = ()  # masked in every tool's text
    fault_counts: list[int] = field(default_factory=lambda: [0])  # shared with all sessions
    _calls: list[int] = field(default_factory=lambda: [0])

    @property
    def faults(self) -> int:
        """Number of calls that exceeded a limit."""
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
        """Stop everything that runs."""
        for runner in self._runners():
            runner.close()

    def _runners(self) -> list[Runner]:
        return list({id(runner): runner for runner in self.functions.values()}.values())

    def _observe(self, call: Call) -> str:
        self._calls[0] += 1
        if self._calls[0] > self.config.calls:
            return refusal(f"a conversation may make {self.config.calls} calls")
        try:
            text = self.functions[call.name].run(call.name, call.arguments)
        except ToolError as error:
            return refusal(self._without_secrets(str(error)))
        except Fault as fault:
            self.fault_counts[0] += 1
            return observed_fault(call, fault, self.config)
        return cut(self._without_secrets(text))

    def _without_secrets(self, text: str) -> str:
        """Mask secrets, including their spellings in URLs and JSON, longest first."""
        spellings = {
            spelling
            for secret in self.secrets
            for spelling in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret),
                             json.dumps(secret)[1:-1])
        }  # fmt: skip
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, SECRET)
        return whole_text(text)


def executor_of(
    catalogue: Catalogue, file: Path | None, config: ExecutorConfig | None = None
) -> Executor:
    """Make the executor of a checkpoint's catalogue: what a file describes, else shipped tools."""
    return own_executor(file, catalogue) if file else corpus_executor(catalogue, config)


def own_executor(file: Path, catalogue: Catalogue) -> OwnExecutor:
    """Make the executor that a file describes, for a checkpoint's catalogue.

    Shipped tools that the file does not name run as usual. Raises BadInput if the file is invalid,
    or if an entry runs no tool of the catalogue.
    """
    own = load_config(OwnTools, file)
    if not own.run:
        raise BadInput(f"{file}: run: no entries; add a python, mcp or http entry")
    lines = _lines(own, file, catalogue)
    runners: dict[str, Runner] = {}
    secrets: list[str] = []
    for number, entry in enumerate(own.run):
        place = f"{file}: run.{number}"
        chosen = _chosen(entry, lines, place)
        taken = sorted(runners.keys() & chosen.keys())
        if taken and not entry.tools:
            raise BadInput(
                f"{place}: an earlier entry already runs {taken[0]}; name the tools of each: "
                "tools: [...]"
            )
        free = {name: line for name, line in chosen.items() if name not in runners}
        try:
            runner = _runner(entry, free, own.limits, file.resolve().parent, secrets)
        except BadInput as error:
            raise BadInput(f"{place}: {error}") from error
        runners |= dict.fromkeys(free, runner)
    shipped = shipped_functions(catalogue)
    rest = {name: address for name, address in shipped.items() if name not in runners}
    if rest:
        runners |= dict.fromkeys(rest, PythonRunner(Worker(rest, own.limits)))
    return OwnExecutor(catalogue, runners, own.limits, secrets)


def _lines(own: OwnTools, file: Path, catalogue: Catalogue) -> dict[str, Mapping[str, Any]]:
    """Return the imported lines of tools that the checkpoint knows with the same document."""
    path = Path(own.catalogue) / "tools.jsonl"
    if not path.is_file():
        raise BadInput(
            f"{file}: catalogue: {own.catalogue!r} has no tools.jsonl; give the folder that "
            "`tinr catalogue import` wrote"
        )
    lines: dict[str, Mapping[str, Any]] = {}
    for place, line in read_jsonl(path):
        lines[document_from(line, place).name] = line
    changed = [
        name for name, line in lines.items()
        if name in catalogue.by_name and not same_tool(catalogue.by_name[name], line)
    ]  # fmt: skip
    if changed:
        warnings.warn(
            f"{path}: {len(changed)} tools have another document than in the checkpoint, "
            f"such as {changed[0]}, and do not run; run `tinr update`",
            stacklevel=3,
        )
    return {
        name: line for name, line in lines.items()
        if name in catalogue.by_name and name not in changed
    }  # fmt: skip


def _chosen(
    entry: RunEntry, lines: Mapping[str, Mapping[str, Any]], place: str
) -> dict[str, Mapping[str, Any]]:
    """Return the tools that an entry runs: those that match its patterns, or its source."""
    kinds = [kind for kind in SETTINGS if getattr(entry, kind)]
    if len(kinds) != 1:
        raise BadInput(f"{place}: give exactly one of {', '.join(SETTINGS)}")
    allowed = ("tools", *kinds, *SETTINGS[kinds[0]])
    given = [f.name for f in fields(entry) if getattr(entry, f.name) and f.name not in allowed]
    if given:
        raise BadInput(f"{place}: {given[0]} is not a setting of {kinds[0]}; remove it")
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
    original = line.get("original")
    name = original.get("name") if isinstance(original, Mapping) else None
    return name if isinstance(name, str) else str(line["name"])


def _runner(
    entry: RunEntry, chosen: Mapping[str, Mapping[str, Any]], limits: Limits, folder: Path,
    secrets: list[str],
) -> Runner:  # fmt: skip
    """Make the runner of an entry's tools; adds to `secrets`."""
    if entry.python:
        return PythonRunner(
            Worker(_addresses(entry.python, chosen), limits, [str(folder), os.getcwd()])
        )
    filled = {
        key: _filled(getattr(entry, key), key, secrets)
        for key in ("headers", "query", "environment")
    }
    if entry.mcp:
        server = McpServer(entry.mcp, filled["headers"], filled["environment"])
        if filled["headers"] and not has_url(entry.mcp):
            raise BadInput("headers need a URL; for a command, set environment")
        return McpRunner(server, {name: _original(line) for name, line in chosen.items()}, limits)
    try:
        from tinr.rollout.tools.http_runner import HttpRunner
    except ModuleNotFoundError as error:
        raise BadInput("HTTP tools need httpx; pip install 'tinr[http]'") from error
    operations = {name: _operation(entry, line) for name, line in chosen.items()}
    if not entry.hosts:
        hosts = sorted({operation.host for operation in operations.values()})
        raise BadInput(f"hosts: no host is allowed; to allow these: hosts: {hosts}")
    return HttpRunner(
        operations, entry.hosts, limits, filled["headers"], filled["query"], entry.writes
    )


def _addresses(python: str, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return name -> `module:function`, from which the worker imports each tool."""
    module, _, function = python.partition(":")
    functions = {name: function or _original(line) for name, line in chosen.items()}
    wrong = [part for part in (*module.split("."), *functions.values()) if not part.isidentifier()]
    if wrong:
        raise BadInput(f"python: {wrong[0]!r} is not a name of a module or function; correct it")
    return {name: f"{module}:{function}" for name, function in functions.items()}


def _operation(entry: RunEntry, line: Mapping[str, Any]) -> "Operation":
    from tinr.rollout.tools.http_runner import Operation

    extra = line.get("extra")
    if not isinstance(extra, Mapping) or not {"method", "path"} <= extra.keys():
        raise BadInput(f"{line['name']} is not an HTTP operation; import it from its OpenAPI file")
    servers = extra.get("servers") or [""]
    url = entry.url or str(servers[0])
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"url: the file has no server for {line['name']}; set its URL")
    return Operation(
        str(extra["method"]), url, str(extra["path"]), extra.get("places") or {},
        str(extra.get("content_type", "")),
    )  # fmt: skip


def _filled(values: Mapping[str, str], setting: str, secrets: list[str]) -> dict[str, str]:
    """Insert environment variables and record them as secrets; BadInput if one is unset."""

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise BadInput(f"{setting}: the environment variable {match[1]} is not set; set it")
        secrets.append(value)
        return value

    filled = {key: VARIABLE.sub(value_of, text) for key, text in values.items()}
    for key, text in filled.items():
        if setting == "headers" and not (f"{key}{text}".isascii() and f"{key}{text}".isprintable()):
            raise BadInput(f"{setting}: {key} is not one line of ASCII; correct it")
    return filled
