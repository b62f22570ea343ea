"""Inspect the machine: memory of a device and of the host, disk, and speed."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tinr.records import BadInput

SIDE = 1024  # side of the square matrices that measure speed
LIMIT = Path("/sys/fs/cgroup/memory.max")  # memory limit of a container


@dataclass(frozen=True)
class Machine:
    """Memory of a rank and of the host, in bytes, and the speed of one rank."""

    name: str
    accelerator: bool
    memory: int
    host: int
    rate: float  # floating-point operations per second in a matrix product
    bandwidth: float  # bytes per second read from the device's memory


def look_at(
    memory_gib: float | None,
    host_gib: float | None,
    tera_flops: float | None,
    bf16: bool,
    ranks: int = 1,
) -> Machine:
    """Inspect this machine, or take the described one. BadInput for invalid figures.

    memory_gib: memory of an accelerator. tera_flops: its rate; without it, this machine's is
    measured. ranks: ranks that share the host; each has its own accelerator, if there is one.
    """
    options = (("--memory", memory_gib), ("--host-memory", host_gib), ("--flops", tera_flops))
    for name, value in options:
        if value is not None and not 0 < value < 1e6:
            raise BadInput(f"{name} {value}: out of range; give a number above 0 and below 1e6")
    host = _host_memory() if host_gib is None else int(host_gib * 2**30)
    cuda = torch.cuda.is_available()
    memory = torch.cuda.mem_get_info()[0] if cuda else host // ranks
    name = torch.cuda.get_device_name() if cuda else "this machine's CPU"
    rate, bandwidth = _speed(bf16) if tera_flops is None else (tera_flops * 1e12, 0.0)
    if tera_flops is not None:
        bandwidth = rate / 300  # typical of recent accelerators
    if memory_gib is not None:
        memory, name = int(memory_gib * 2**30), f"an accelerator of {memory_gib:g} GiB"
    return Machine(name, cuda or memory_gib is not None, memory, host, rate, bandwidth)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _host_memory() -> int:
    """Available bytes of the host, within the limit of a container."""
    available = psutil.virtual_memory().available
    if LIMIT.is_file() and (limit := LIMIT.read_text().strip()).isdigit():
        usage_file = LIMIT.with_name("memory.current")
        used_bytes = int(usage_file.read_text()) if usage_file.is_file() else 0
        return max(0, min(available, int(limit) - used_bytes))
    return available


def _speed(bf16: bool) -> tuple[float, float]:
    """Measure operations/s of a matrix product and bytes/s of a sum; the best of three runs."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    vector = torch.ones(2**24, device=device)

    def seconds(work) -> float:
        times = []
        for _ in range(4):  # the first one warms up
            start_time = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start_time)
        return min(times[1:])

    return 2 * SIDE**3 / seconds(lambda: a @ a), 4 * vector.numel() / seconds(lambda: vector.sum())
