"""The ranks of one run: each trains its share; only the first one writes and decides.

A launcher (deepspeed, torchrun) sets RANK and WORLD_SIZE. Without a launcher there is one
process, and this module costs nothing: torch is imported only if it is needed.
"""

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, TypeVar

from tinr.records import BadInput, RunFailed

COLLECTIVE_TIMEOUT = timedelta(hours=6)  # other ranks wait while the first measures a gate
Result = TypeVar("Result")


def rank() -> int:
    """Return the rank of this process, 0 for the first."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start() -> None:
    """Connect the processes: gloo on CPUs, NCCL on accelerators."""
    if world() == 1:
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend, timeout=COLLECTIVE_TIMEOUT)


def finish() -> None:
    """Disconnect the processes; otherwise a launcher warns about leaks."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def shared(make: Callable[[], Result]) -> Result:
    """Call `make` on the first rank; return its result or raise its error on all ranks."""
    if world() == 1:
        return make()
    import torch.distributed as dist

    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = make()
        except (BadInput, RunFailed) as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def keep_stdout_clean() -> None:
    """Import DeepSpeed, if installed, with its log on stderr: the trainer's import uses stdout."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise it prints a warning
    if find_spec("deepspeed") is not None:
        with redirect_stdout(sys.stderr):
            import deepspeed  # noqa: F401  # its log keeps the stream set at import
