"""Check a call against its document and run it. A failure is an observation, not an exception."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import tool_corpora
from tinr.catalogue.failures import misfit, refusal
from tinr.catalogue.load import Catalogue
from tinr.chat.render import cut
from tinr.records import Call, ToolDoc
from tinr.rollout.tools.process import ExecutorConfig, Fault, ToolFault, Worker
from tinr.rollout.tools.runners import PythonRunner, ToolError


@dataclass(frozen=True)
class Executor:
    """Runs the tools of a catalogue in this process without limits, for trusted code.

    functions: name -> function. Use BoundedExecutor for calls that a model writes.
    """

    catalogue: Catalogue
    functions: Mapping[str, Any]

    def runs(self, call: Call) -> bool:
        """Return False for a catalogue tool without code; a call of it ends a conversation."""
        return call.name in self.functions or call.name not in self.catalogue.by_name

    def run(self, call: Call) -> str:
        """Run a call; return what the environment shows: the result's JSON, or `{"error": ...}`.

        An unknown tool, invalid arguments and a tool that raises give an error result, not an
        exception: what a model writes is data.
        """
        doc = self.catalogue.by_name.get(call.name)
        if doc is None or call.name not in self.functions:
            return refusal(f"no tool {call.name}")
        reason = misfit(call.arguments, doc.parameters)
        return refusal(reason) if reason else self._observe(call)

    @property
    def faults(self) -> int:
        """Number of calls that exceeded a limit: 0, because there are no limits here."""
        return 0

    def session(self) -> "Executor":
        """Return the executor for one conversation: itself, because these tools keep no state."""
        return self

    def end(self) -> None:
        """End a session."""

    def close(self) -> None:
        """Free the resources of the tools."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _observe(self, call: Call) -> str:
        try:
            result = self.functions[call.name](**call.arguments)
            return cut(json.dumps(result, ensure_ascii=False, allow_nan=False))
        except Exception as error:  # whatever the tool raises is the result
            return refusal(_words(error))


@dataclass(frozen=True)
class BoundedExecutor(Executor):
    """Runs the tools in a separate process, with limits. Close it, or use it in a `with`.

    functions: name -> `module:attribute`, from which the worker imports the function. A call that
    exceeds a limit returns an error, or raises ToolFault if `config.on_fault` is stop.
    """

    config: ExecutorConfig = field(default_factory=ExecutorConfig)

    @cached_property
    def worker(self) -> Worker:
        """The worker process. It starts at the first call."""
        return Worker(self.functions, self.config)

    @property
    def faults(self) -> int:
        """Number of calls that exceeded a limit."""
        return self.worker.faults

    def close(self) -> None:
        """End the process."""
        self.worker.close()

    def _observe(self, call: Call) -> str:
        try:
            return cut(PythonRunner(self.worker).run(call.name, call.arguments))
        except ToolError as error:
            return refusal(str(error))
        except Fault as fault:
            return observed_fault(call, fault, self.config)


@dataclass(frozen=True)
class KeptSession(Executor):
    """One session that all turns of a user share; close it, or use it in a `with`."""

    inner: Executor  # a session

    @classmethod
    def of(cls, executor: Executor) -> "KeptSession":
        """Start a session of an executor."""
        return cls(executor.catalogue, executor.functions, executor.session())

    def runs(self, call: Call) -> bool:
        """Whether the session runs a call."""
        return self.inner.runs(call)

    def run(self, call: Call) -> str:
        """Run a call in the session."""
        return self.inner.run(call)

    @property
    def faults(self) -> int:
        """Number of calls that exceeded a limit."""
        return self.inner.faults

    def close(self) -> None:
        """End the session."""
        self.inner.end()


def observed_fault(call: Call, fault: Fault, config: ExecutorConfig) -> str:
    """Return what the environment shows for a call that exceeded a limit.

    Raises ToolFault if `config.on_fault` is stop.
    """
    event = f"tool {call.name} {fault}"
    if config.on_fault == "stop":
        raise ToolFault(
            f"{event}; arguments: {json.dumps(call.arguments)[:200]}; fix the tool, raise "
            f"the limit in {config.where}, or set {config.where}.on_fault=continue"
        ) from fault
    warnings.warn(f"{event}; the call returned an error", stacklevel=4)
    return refusal(f"the tool {fault}")


def corpus_executor(catalogue: Catalogue, config: ExecutorConfig | None = None) -> BoundedExecutor:
    """Make an executor of the shipped tools in the catalogue, in a separate process."""
    return BoundedExecutor(catalogue, shipped_functions(catalogue), config or ExecutorConfig())


def shipped_functions(catalogue: Catalogue) -> dict[str, str]:
    """Return name -> `module:attribute` for the shipped tools in a catalogue.

    A tool that only shares its name with a shipped one is a different tool: it does not run.
    """
    return {
        tool.name: f"{tool.run.__module__}:{tool.name}.run"
        for corpus in tool_corpora.NAMES
        for tool in tool_corpora.load(corpus).values()
        if same_tool(catalogue.by_name.get(tool.name), tool.document())
    }


def same_tool(doc: ToolDoc | None, line: Mapping[str, Any]) -> bool:
    """Whether a catalogue's document has the description and the parameters of a tool's line."""
    return (
        doc is not None
        and doc.description == line["description"]
        and doc.parameters == line["parameters"]
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
