"""How fast this machine multiplies, by measurement: no flag of a processor tells.

Bfloat16 is several times as fast as float32 on one maker's AVX512-BF16, slower on another's,
and sixty times slower where nothing helps it. What was measured is kept beside the user's
other caches, so that a run that goes on and the processes of one run compute in the same type.
"""

import functools
import json
import os
import platform
import re
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tinr import distributed
from tinr.files import write_text

INNER, COLUMNS = 576, 1536  # of the measured products: a small model's feed-forward layer
FEW_ROWS, ROWS = 64, 512
REPEATS, TURNS = 3, 2
LIMIT = 0.25  # seconds for a measurement with ROWS; few rows tell enough where it takes more
FASTER = 1.1  # times as fast bfloat16 must be: at the border a second measurement might differ
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@functools.cache
def faster_type() -> torch.dtype:
    """float32, or bfloat16 where this machine's processor multiplies faster in it.

    Measured once per machine and asked once per process; several processes take what the first
    one measured, and must therefore ask together.
    """
    seconds = distributed.shared(_remembered)
    faster = seconds["float32"] >= FASTER * seconds["bfloat16"]
    return torch.bfloat16 if faster else torch.float32


@torch.inference_mode()
def product_seconds(
    rows: int, inner: int, columns: int, dtype: torch.dtype, repeats: int = REPEATS
) -> float:
    """Seconds of one layer's product on the CPU, (rows, inner) by weights (columns, inner).

    The median of `repeats`, after one that warms up.
    """
    given = torch.randn(rows, inner).to(dtype)
    weights = torch.randn(columns, inner).to(dtype)
    taken = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        torch.nn.functional.linear(given, weights)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])


def _measure() -> dict[str, float]:
    """Seconds of one product by type, on one thread: several wait for each other where other work
    takes a core from them, and then a slow type looks as fast as the other.

    Types take turns and the fastest turn counts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        few = _turn(FEW_ROWS)
        expected = sum(few.values()) * ROWS / FEW_ROWS * (1 + REPEATS) * TURNS
        turns = [few, _turn(FEW_ROWS)] if expected > LIMIT else [_turn(ROWS) for _ in range(TURNS)]
    finally:
        torch.set_num_threads(threads)
    return {name: min(turn[name] for turn in turns) for name in TYPES}


def _turn(rows: int) -> dict[str, float]:
    return {name: product_seconds(rows, INNER, COLUMNS, dtype) for name, dtype in TYPES.items()}


def _remembered() -> dict[str, float]:
    """What was measured here before, or now; a file that cannot be used is no error."""
    path, machine = _cache_file(), _machine()
    entries = _read(path)
    entry = entries.get(machine)
    if isinstance(entry, dict) and _is_measurement(entry):
        return entry
    measured = _measure()
    if path is not None:
        with suppress(OSError):  # then the next process measures again
            write_text(path, json.dumps(entries | {machine: measured}, indent=2) + "\n")
    return measured


def _read(path: Path | None) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text("utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _is_measurement(entry: dict[str, Any]) -> bool:
    return all(isinstance(entry.get(name), float) and entry[name] > 0 for name in TYPES)


def _cache_file() -> Path | None:
    """Where measurements are kept; None for a user without a home."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "tinr" / "machine.json"
    except RuntimeError:
        return None


def _machine() -> str:
    """The processor and what computes on it; another one is measured for itself."""
    features = (name for name, has in torch.cpu.get_capabilities().items() if has is True)
    halves = [name for name in sorted(features) if "bf16" in name]
    parts = (_processor(), *halves, f"torch {torch.__version__}")
    return ", ".join((*parts, f"{torch.get_num_threads()} threads"))


def _processor() -> str:
    try:
        named = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()
