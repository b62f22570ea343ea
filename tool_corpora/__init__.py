"""The shipped tool corpora: `toolbox` (taught and tested) and `fieldkit` (out of domain)."""

import importlib
import pkgutil
from functools import cache

from tool_corpora.kit import CorpusTool

NAMES = ("toolbox", "fieldkit")


@cache
def load(corpus: str) -> dict[str, CorpusTool]:
    """Every tool of a shipped corpus by name, ordered by domain and place in its file."""
    package = importlib.import_module(f"tool_corpora.{corpus}")
    tools: dict[str, CorpusTool] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        found = vars(importlib.import_module(f"{package.__name__}.{module}"))
        for tool in found.values():
            if isinstance(tool, CorpusTool):
                if tool.name in tools:
                    raise ValueError(f"{corpus}: two tools are called {tool.name}")
                tools[tool.name] = tool
    return tools
