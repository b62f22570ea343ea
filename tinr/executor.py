"""Run a call: checked against its document, its failure an observation, never an exception."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

import tool_corpora
from tinr.catalogue import Catalogue
from tinr.records import Call

LONGEST = 400  # characters of an observation; longer ones are cut


@dataclass(frozen=True)
class Executor:
    """The tools of a catalogue that can run, in this process; `functions`: name -> its code."""

    catalogue: Catalogue
    functions: Mapping[str, Callable[..., Any]]

    def runs(self, call: Call) -> bool:
        """False for a tool of the catalogue that has no code here; its call ends a conversation."""
        return call.name in self.functions or call.name not in self.catalogue.by_name

    def run(self, call: Call) -> str:
        """What the environment shows for a call: the result's JSON, or `{"error": ...}`.

        An unknown tool, arguments that do not fit the document, and a tool that refuses
        them are all answers, not exceptions: what a model writes is data.
        """
        doc = self.catalogue.by_name.get(call.name)
        function = self.functions.get(call.name)
        if doc is None or function is None:
            return _error(f"no tool {call.name}")
        try:
            wrong = _misfit(call.arguments, doc.parameters)
            if wrong:
                return _error(wrong)
            result = function(**call.arguments)
            text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        except Exception as error:  # whatever a tool raises is its answer
            return _error(f"{type(error).__name__}: {error}")
        return text if len(text) <= LONGEST else json.dumps({"cut": text[: LONGEST // 2]})


def corpus_executor(catalogue: Catalogue) -> Executor:
    """The executor over the shipped corpora's functions, as far as the catalogue names them."""
    functions = {
        tool.name: tool.run
        for corpus in tool_corpora.NAMES
        for tool in tool_corpora.load(corpus).values()
        if tool.name in catalogue.by_name
    }
    return Executor(catalogue, functions)


def _misfit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Why arguments do not fit a document's parameters; None where they do."""
    closed = {**schema, "additionalProperties": schema.get("additionalProperties", False)}
    validator = jsonschema.Draft202012Validator(closed)
    for error in validator.iter_errors(dict(arguments)):
        where = "/".join(map(str, error.absolute_path))
        return f"{where}: {error.message}" if where else str(error.message)
    if any(isinstance(v, float) and not math.isfinite(v) for v in arguments.values()):
        return "a number is not finite"
    return None


def _error(message: str) -> str:
    return json.dumps({"error": message[:200]}, ensure_ascii=False)
