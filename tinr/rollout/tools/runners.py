"""What runs tools: the interface, and Python functions in a bounded process.

A runner executes calls of the tools that it knows, within bounds. It returns the text of the
result. An error that the tool reports is a ToolError; a broken bound is a Fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinr.rollout.tools.process import Worker


class ToolError(Exception):
    """The tool itself reports an error; the model reads it."""


class Runner:
    """Runs calls of some tools. A conversation uses its own session of it."""

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return the text of a call's result; raises ToolError and Fault."""
        raise NotImplementedError

    def session(self) -> "Runner":
        """Return what one conversation uses: itself, unless tools keep a state."""
        return self

    def end(self) -> None:
        """End a session."""

    def close(self) -> None:
        """Free everything."""


@dataclass
class PythonRunner(Runner):
    """Runs Python functions in one bounded process."""

    worker: Worker

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run a function in the worker."""
        try:
            has_returned, text = self.worker.ask(name, arguments)
        except (ValueError, RecursionError) as error:  # no JSON for the arguments
            raise ToolError(f"{type(error).__name__}: {error}") from error
        if not has_returned:
            raise ToolError(text)
        return text

    def close(self) -> None:
        """End the process."""
        self.worker.close()
