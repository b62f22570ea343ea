"""BFCL's own command, without the clients of vendors whose models are not scored here.

The package imports the handlers of every model it knows, and with them a dozen vendors'
libraries, some in versions that cannot stand beside ours. What is missing of them gets a
stand-in that can be imported and nothing else; the scorer itself is the package's.

    python scripts/bfcl_official.py evaluate --test-category single_turn --partial-eval
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

VENDORS = (
    "anthropic boto3 bs4 cohere datamodel_code_generator faiss google html2text mistralai "
    "qwen_agent rank_bm25 serpapi writerai"
).split()


class Anything(type):
    """A class that has every name and that a subscript leaves as it is."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (Exception,), {"__init__": lambda self, *args, **more: None})

    def __getitem__(cls, key: Any) -> Any:
        return cls


class StandIn(ModuleType):
    """A module of which any name can be imported, as a class that does nothing."""

    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(Anything("Anything", (Exception,), {}), name)


class Vendors(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for a vendor's module that is not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] not in VENDORS:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


if __name__ == "__main__":
    sys.meta_path.append(Vendors())
    from bfcl_eval.__main__ import cli

    cli()
