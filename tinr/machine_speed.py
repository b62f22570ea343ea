"""Measure how fast this machine multiplies matrices, because processor flags do not tell.

Bfloat16 is several times as fast as float32 with one vendor's AVX512-BF16, slower with another's,
and sixty times slower without hardware support. The measurement is stored in the user's cache
folder, so that a resumed run and all ranks of one run compute in the same type.
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
LIMIT = 0.25  # seconds for a measurement with ROWS; if it takes longer, FEW_ROWS are used
FASTER = 1.1  # required speed-up of bfloat16; close to 1, a second measurement might disagree
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@functools.cache
def faster_type() -> torch.dtype:
    """Return bfloat16 if this machine's processor multiplies faster in it, else float32.

    It is measured once per machine and looked up once per process. All ranks use the measurement
    of the first one, so they must call this together.
    """
    seconds = distributed.shared(_product_times)
    bf16_wins = seconds["float32"] >= FASTER * seconds["bfloat16"]
    return torch.bfloat16 if bf16_wins else torch.float32


@torch.inference_mode()
def product_seconds(
    rows: int, inner: int, columns: int, dtype: torch.dtype, repeats: int = REPEATS
) -> float:
    """Time one layer's product on the CPU, (rows, inner) by weights (columns, inner).

    Returns the median seconds of `repeats` runs, after one warm-up.
    """
    inputs = torch.randn(rows, inner).to(dtype)
    weights = torch.randn(columns, inner).to(dtype)
    durations = []
    for _ in range(1 + repeats):
        start_time = time.perf_counter()
        torch.nn.functional.linear(inputs, weights)
        durations.append(time.perf_counter() - start_time)
    return median(durations[1:])


def _measure() -> dict[str, float]:
    """Time one product of each type, in seconds, on one thread.

    Several threads wait for each other if other work takes a core, and then a slow type looks
    as fast as the other. Types take turns, and the fastest turn counts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first_turn = _turn(FEW_ROWS)
        expected_seconds = sum(first_turn.values()) * ROWS / FEW_ROWS * (1 + REPEATS) * TURNS
        turns = (
            [first_turn, _turn(FEW_ROWS)]
            if expected_seconds > LIMIT
            else [_turn(ROWS) for _ in range(TURNS)]
        )
    finally:
        torch.set_num_threads(threads)
    return {name: min(turn[name] for turn in turns) for name in TYPES}


def _turn(rows: int) -> dict[str, float]:
    return {name: product_seconds(rows, INNER, COLUMNS, dtype) for name, dtype in TYPES.items()}


def _product_times() -> dict[str, float]:
    """Read the cached times, or measure and cache them. An invalid cache file is not an error."""
    path, machine = _cache_file(), _machine()
    entries = _read(path)
    entry = entries.get(machine)
    if isinstance(entry, dict) and _is_measurement(entry):
        return entry
    times = _measure()
    if path is not None:
        with suppress(OSError):  # the next process measures again
            write_text(path, json.dumps(entries | {machine: times}, indent=2) + "\n")
    return times


def _read(path: Path | None) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text("utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _is_measurement(entry: dict[str, Any]) -> bool:
    return all(isinstance(entry.get(name), float) and entry[name] > 0 for name in TYPES)


def _cache_file() -> Path | None:
    """Return the cache file of the measurements; None for a user without a home folder."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "tinr" / "machine.json"
    except RuntimeError:
        return None


def _machine() -> str:
    """Return the cache key: the processor, PyTorch, and the number of threads."""
    features = (name for name, is_there in torch.cpu.get_capabilities().items() if is_there is True)
    halves = [name for name in sorted(features) if "bf16" in name]
    words = (_processor(), *halves, f"torch {torch.__version__}")
    return ", ".join((*words, f"{torch.get_num_threads()} threads"))


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()
