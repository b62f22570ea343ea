"""Options that several commands share, and how tables are printed."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Checkpoint = Annotated[str, typer.Option(help="Registry reference: id, tag or phase@latest.")]
RegistryFolder = Annotated[Path, typer.Option("--registry", help="Checkpoint registry.")]
OtherBase = Annotated[
    str,
    typer.Option(
        "--base",
        help="Base instead of the preset's: smollm2, a GGUF file, a model folder, a hub name or a "
        "registry reference. The preset's learning rates stay.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Documents = Annotated[str, typer.Option(help="none, on_select, in_prompt or retrieved.")]
Constrained = Annotated[
    bool, typer.Option("--constrained", help="Inside tags, allow only tools and valid calls.")
]
Executors = Annotated[
    Path | None, typer.Option(help="YAML file that says how to run your catalogue's tools.")
]
Data = Annotated[Path, typer.Option(help="Folder of the real data sets.")]
REGISTRY = Path("runs/registry")
DATA = Path("../shared/data")
WIDE = 240  # columns of a table outside a terminal


def table_console() -> Console:
    """Return the console for tables: as wide as the terminal, and WIDE in a file or pipe."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if has_width else WIDE, highlight=False)


def show_problems(title: str, problems: Iterable[Any]) -> None:
    """Print what an import lost or changed; problems of the same kind share one line."""
    groups: dict[str, list[Any]] = {}
    for problem in problems:
        reason = re.sub(r"^tool '[^']*': ", "", problem.reason[:300])
        key = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/\S*|[\d,.]+", "_", reason)
        groups.setdefault(key, []).append(problem)
    for group in sorted(groups.values(), key=len, reverse=True):
        suffix = f" and {len(group) - 1} more" if len(group) > 1 else ""
        print(f"{title}: {group[0].place}{suffix}: {group[0].reason}")


def rate_cells(rate: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return value, interval and n of a rate, for a table."""
    if rate["value"] is None:
        return "-", "-", "0"
    return f"{rate['value']:.1%}", f"{rate['low']:.1%} to {rate['high']:.1%}", str(rate["n"])
