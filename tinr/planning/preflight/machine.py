"""What the machine has: memory of a device and of the host, disk, and how fast it computes."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tinr.records import BadInput

SIDE = 1024  # of the matrices that are multiplied to measure speed
LIMIT = Path("/sys/fs/cgroup/memory.max")  # a container's


@dataclass(frozen=True)
class Machine:
    """Bytes a rank's tensors may take, bytes of the host, and the speed of one rank."""

    name: str
    accelerator: bool
    memory: int
    host: int
    rate: float  # floating-point operations a second in a matrix product
    bandwidth: float  # bytes a second read from the device's memory


def look_at(
    memory_gib: float | None,
    host_gib: float | None,
    tera_flops: float | None,
    bf16: bool,
    ranks: int = 1,
) -> Machine:
    """This machine, or the one that is described; BadInput for figures that are none.

    memory_gib: an accelerator of so much. tera_flops: its rate, else this machine's is measured.
    ranks: that share the host; each has an accelerator of its own, if there is one.
    """
    given = (("--memory", memory_gib), ("--host-memory", host_gib), ("--flops", tera_flops))
    for name, value in given:
        if value is not None and not 0 < value < 1e6:
            raise BadInput(f"{name} {value}: not a size; give a number above 0")
    host = _host_memory() if host_gib is None else int(host_gib * 2**30)
    cuda = torch.cuda.is_available()
    memory = torch.cuda.mem_get_info()[0] if cuda else host // ranks
    name = torch.cuda.get_device_name() if cuda else "this machine's CPU"
    rate, bandwidth = _speed(bf16) if tera_flops is None else (tera_flops * 1e12, 0.0)
    if tera_flops is not None:
        bandwidth = rate / 300  # about what accelerators of the last years have
    if memory_gib is not None:
        memory, name = int(memory_gib * 2**30), f"an accelerator of {memory_gib:g} GiB"
    return Machine(name, cuda or memory_gib is not None, memory, host, rate, bandwidth)


def free_disk(folder: Path) -> int:
    """Bytes free where a folder is or would be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _host_memory() -> int:
    """Bytes that are available, within what a container has left."""
    found = psutil.virtual_memory().available
    if LIMIT.is_file() and (limit := LIMIT.read_text().strip()).isdigit():
        used = LIMIT.with_name("memory.current")
        taken = int(used.read_text()) if used.is_file() else 0
        return max(0, min(found, int(limit) - taken))
    return found


def _speed(bf16: bool) -> tuple[float, float]:
    """Operations a second of a matrix product, bytes a second of a sum; the best of three."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    long = torch.ones(2**24, device=device)

    def seconds(work) -> float:
        taken = []
        for _ in range(4):  # the first one warms up
            began = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
        return min(taken[1:])

    return 2 * SIDE**3 / seconds(lambda: a @ a), 4 * long.numel() / seconds(lambda: long.sum())
