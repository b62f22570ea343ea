"""Runners of tools: the interface, and Python functions in a process with limits.

A runner executes calls of the tools that it knows, within limits, and returns the text of the
result. It raises ToolError if the tool reports an error, and Fault if a call exceeds a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinr.rollout.tools.process import Worker


class ToolError(Exception):
    """The tool itself reports an error; the model reads it."""


class Runner:
    """Runs calls of some tools. Each conversation uses its own session."""

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return the text of a call's result; raises ToolError and Fault."""
        raise NotImplementedError

    def session(self) -> "Runner":
        """Return the runner for one conversation: itself, unless tools keep state."""
        return self

    def end(self) -> None:
        """End a session."""

    def close(self) -> None:
        """Free all resources."""


@dataclass
class PythonRunner(Runner):
    """Runs Python functions in one process with limits."""

    worker: Worker

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run a function in the worker."""
        try:
            has_returned, text = self.worker.ask(name, arguments)
        except (ValueError, RecursionError) as error:  # the arguments have no JSON
            raise ToolError(f"{type(error).__name__}: {error}") from error
        if not has_returned:
            raise ToolError(text)
        return text

    def close(self) -> None:
        """End the process."""
        self.worker.close()
