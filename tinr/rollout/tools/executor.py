"""Run a call: checked against its document, its failure an observation, never an exception."""

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import jsonschema
from referencing import Registry

import tool_corpora
from tinr.catalogue.load import Catalogue
from tinr.chat.render import cut
from tinr.records import Call, ToolDoc
from tinr.rollout.tools.process import ExecutorConfig, Fault, ToolFault, Worker


@dataclass(frozen=True)
class Executor:
    """The tools of a catalogue that can run, in this process and without bounds: trusted code.

    functions: name -> its code. Where a model calls, BoundedExecutor stands in its place.
    """

    catalogue: Catalogue
    functions: Mapping[str, Any]

    def runs(self, call: Call) -> bool:
        """False for a tool of the catalogue that has no code here; its call ends a conversation."""
        return call.name in self.functions or call.name not in self.catalogue.by_name

    def run(self, call: Call) -> str:
        """What the environment shows for a call: the result's JSON, or `{"error": ...}`.

        An unknown tool, arguments that do not fit the document, and a tool that refuses
        them are all answers, not exceptions: what a model writes is data.
        """
        doc = self.catalogue.by_name.get(call.name)
        if doc is None or call.name not in self.functions:
            return refusal(f"no tool {call.name}")
        try:
            wrong = _misfit(call.arguments, doc.parameters)
        except Exception as error:  # the checker's own: too deep, too large a number
            wrong = _words(error)
        return refusal(wrong) if wrong else self._observe(call)

    @property
    def faults(self) -> int:
        """How many calls broke a bound so far; here there is none to break."""
        return 0

    def close(self) -> None:
        """Let go of what running tools took."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _observe(self, call: Call) -> str:
        try:
            result = self.functions[call.name](**call.arguments)
            return cut(json.dumps(result, ensure_ascii=False, allow_nan=False))
        except Exception as error:  # whatever a tool raises is its answer
            return refusal(_words(error))


@dataclass(frozen=True)
class BoundedExecutor(Executor):
    """The same in a process of its own, with bounds; close it, or use it in a `with`.

    functions: name -> `module:attribute`, where the worker finds the code. A call that breaks a
    bound is answered by an error like any other; ToolFault where `config.on_fault` is stop.
    """

    config: ExecutorConfig = field(default_factory=ExecutorConfig)

    @cached_property
    def worker(self) -> Worker:
        """The process, which starts with the first call."""
        return Worker(self.functions, self.config)

    @property
    def faults(self) -> int:
        """How many calls broke a bound so far."""
        return self.worker.faults

    def close(self) -> None:
        """End the process."""
        self.worker.close()

    def _observe(self, call: Call) -> str:
        try:
            returned, text = self.worker.ask(call.name, call.arguments)
        except (ValueError, RecursionError) as error:  # no JSON for the arguments
            return refusal(_words(error))
        except Fault as fault:
            said = f"tool {call.name} {fault}"
            if self.config.on_fault == "stop":
                raise ToolFault(
                    f"{said}; arguments: {json.dumps(call.arguments)[:200]}; mend the tool, raise "
                    "the bound in executor, or set executor.on_fault=continue"
                ) from fault
            warnings.warn(f"{said}; its call was answered by an error", stacklevel=3)
            return refusal(f"the tool {fault}")
        return cut(text) if returned else refusal(text)


def corpus_executor(catalogue: Catalogue, config: ExecutorConfig | None = None) -> BoundedExecutor:
    """The shipped corpora's tools that the catalogue holds, in their own process.

    A tool that only shares its name with one of them is another tool: it does not run.
    """
    functions = {
        tool.name: f"{tool.run.__module__}:{tool.name}.run"
        for corpus in tool_corpora.NAMES
        for tool in tool_corpora.load(corpus).values()
        if _same_tool(catalogue.by_name.get(tool.name), tool.document())
    }
    return BoundedExecutor(catalogue, functions, config or ExecutorConfig())


def _same_tool(doc: ToolDoc | None, line: Mapping[str, Any]) -> bool:
    """Whether a catalogue's document is that of a shipped tool's line."""
    return (
        doc is not None
        and doc.description == line["description"]
        and doc.parameters == line["parameters"]
    )


def _misfit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Why arguments do not fit a document's parameters; None where they do."""
    closed = {**schema, "additionalProperties": schema.get("additionalProperties", False)}
    validator = jsonschema.Draft202012Validator(closed, registry=Registry())  # fetches nothing
    for error in validator.iter_errors(dict(arguments)):
        where = "/".join(map(str, error.absolute_path))
        return f"{where}: {error.message}" if where else str(error.message)
    if any(isinstance(v, float) and not math.isfinite(v) for v in arguments.values()):
        return "a number is not finite"
    return None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def refusal(message: str) -> str:
    """What the environment shows for a call that came to nothing."""
    return json.dumps({"error": message[:200]}, ensure_ascii=False)
