"""The shipped tool corpora: `toolbox` (taught and tested) and `fieldkit` (out of domain)."""

import importlib
import json
import pkgutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from tool_corpora.kit import CorpusTool, with_phrasings

NAMES = ("toolbox", "fieldkit")


@cache
def load(corpus: str) -> dict[str, CorpusTool]:
    """Every tool of a shipped corpus by name, ordered by domain and place in its file.

    Training phrasings stand beside the tool and, in greater number, in phrasings.jsonl.
    """
    package = importlib.import_module(f"tool_corpora.{corpus}")
    tools: dict[str, CorpusTool] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        found = vars(importlib.import_module(f"{package.__name__}.{module}"))
        for tool in found.values():
            if isinstance(tool, CorpusTool):
                if tool.name in tools:
                    raise ValueError(f"{corpus}: two tools are called {tool.name}")
                rows = _phrasings().get(tool.name)
                tools[tool.name] = with_phrasings(tool, rows) if rows else tool
    return tools


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of one of the package's JSON lines files."""
    return map(json.loads, (files("tool_corpora") / name).read_text("utf-8").splitlines())


@cache
def _phrasings() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the rows of phrasings.jsonl by tool."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows_of("phrasings.jsonl"):
        found[row["tool"]].append(row)
    return found
