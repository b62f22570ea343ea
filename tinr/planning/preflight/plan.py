"""Report on a phase's configuration: its cost, whether it fits, and which change would fit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinr.planning.capacity.bits import count_bits
from tinr.planning.capacity.check import foresee, words_of
from tinr.planning.capacity.plan import CapacityPlan, Moving
from tinr.planning.preflight.machine import Machine, free_disk, look_at
from tinr.planning.preflight.memory import Memory, Setup, memory_of
from tinr.planning.preflight.remedy import nearest
from tinr.planning.preflight.report import (
    Line,
    Refusal,
    Report,
    capacity_lines,
    data_lines,
    disk_lines,
    memory_lines,
    on_device,
    parameter_lines,
    time_lines,
)
from tinr.planning.preflight.work import Opened, Work, open_run, work_of
from tinr.planning.preflight.zero import zero_of
from tinr.records import BadInput
from tinr.training.cpu_attention import use_bf16

TIGHT = 0.9  # share of the memory above which a run is reported as close to the limit


def preflight(
    phase: str,
    recipe: Any,
    config: Any,
    ranks: int = 1,
    nodes: int = 1,
    memory_gib: float | None = None,
    host_gib: float | None = None,
    tera_flops: float | None = None,
) -> Report:
    """Compute the cost of a run of a phase on `ranks` ranks. BadInput for unreadable input.

    recipe: the phase's module, which has its parents and makes its examples.
    nodes: machines like this one, or like the described one, with equal numbers of ranks.
    """
    if ranks < 1:
        raise BadInput(f"--ranks {ranks}: give 1 or more")
    if nodes < 1 or ranks % nodes:
        raise BadInput(
            f"--nodes {nodes}: {ranks} ranks cannot be split evenly over them; give a divisor"
        )
    loop = config.policy if phase == "grpo" else config.training
    zero = zero_of(loop.deepspeed)
    run = open_run(phase, recipe, config)
    run.shape.adapted(config.trainable)  # the cheap checks first
    work = work_of(run, ranks)
    bf16 = use_bf16(loop.bf16, accelerator=memory_gib is not None)
    machine = look_at(memory_gib, host_gib, tera_flops, bf16, ranks // nodes)
    setup = Setup(
        ranks=ranks,
        nodes=nodes,
        zero=zero,
        muon=loop.optimiser.name == "muon",
        bf16=bf16,
        checkpointing=loop.gradient_checkpointing,
        accumulate=work.cuts[0].accumulate,
        trainable=config.trainable,
        accelerator=machine.accelerator,
    )
    memory = memory_of(run.shape, setup, work.cuts[0].load)
    times = work.steps if phase == "grpo" else work.epochs
    disk = disk_lines(run, setup, work, loop.checkpoint_steps, free_disk(Path(config.registry)))
    capacity = _capacity(run)
    lines = (
        *parameter_lines(run.shape, setup),
        *(capacity_lines(capacity) if capacity else ()),
        *memory_lines(memory, setup, work, machine),
        *data_lines(run, work),
        *time_lines(run.shape, setup, work, machine, times),
        *disk,
    )
    refusals = (
        *_memory_refusal(run, setup, work, machine, memory),
        *_context_refusal(run, work),
        *_disk_refusal(disk, run.phase),
    )
    warnings = (*_capacity_warnings(capacity), *_warnings(memory, work, machine))
    return Report(phase, lines, refusals, warnings)


def _capacity(run: Opened) -> CapacityPlan | None:
    """The capacity plan of an align run over two or more tools, unless capacity is ignore."""
    config = run.config
    if run.phase != "align" or config.capacity == "ignore" or len(run.catalogue.tools) < 2:
        return None
    moving = Moving(run.shape.holding(config.trainable), words_of(config.trainable))
    bits = count_bits(run.catalogue)
    return foresee(bits, moving, config.mix, config.epochs, config.min_recall)


def _capacity_warnings(plan: CapacityPlan | None) -> Iterator[str]:
    """Warn, but do not refuse: the base may know much that a compressor does not."""
    if plan is not None and plan.verdict != "safe":
        yield (
            f"{plan.line} (an upper bound; in tinr capacity and in align the base reads the "
            "documents, and align refuses a load far over capacity)"
        )


def _memory_refusal(
    run: Opened, setup: Setup, work: Work, machine: Machine, memory: Memory
) -> Iterator[Refusal]:
    """Refuse too much memory on a rank's device or the host; name the nearest change that fits."""

    def shortage(need: Memory) -> str:
        shortages = []
        device_bytes, host = on_device(need, work, machine), need.host + work.held
        if device_bytes > machine.memory:
            shortages.append(f"a rank needs {gib(device_bytes)} and has {gib(machine.memory)}")
        if machine.accelerator and host > machine.host:
            shortages.append(f"the host needs {gib(host)} and has {gib(machine.host)}")
        return ", ".join(shortages)

    if shortage(memory):
        group = "policy" if run.phase == "grpo" else "training"
        zero = getattr(run.config, group).deepspeed
        change = nearest(run.shape, setup, work.cuts, lambda m: not shortage(m), group, zero)
        yield Refusal(shortage(memory), change or ())


def _context_refusal(run: Opened, work: Work) -> Iterator[Refusal]:
    """Refuse kept examples, or conversations, that exceed the model's context."""
    limit = run.shape.positions
    if limit is None:
        return
    if run.phase == "grpo":
        min_length = min(work.lengths)
        room = run.config.policy.max_tokens - (min_length - work.allowed)
        if min_length > work.allowed:
            change = (f"policy.max_tokens={room}",) if room > 0 else ()
            yield Refusal(
                f"every prompt with its reply needs {min_length:,} tokens or more, and the context "
                f"has {limit:,}",
                change,
            )
        return
    count = sum(limit < length <= work.allowed for length in work.lengths)
    if count:
        yield Refusal(
            f"{count:,} examples are longer than the context of {limit:,} tokens",
            (f"training.max_tokens={limit}",),
        )


def _disk_refusal(disk: tuple[Line, ...], phase: str) -> Iterator[Refusal]:
    """Refuse too little disk; without step checkpoints it may be enough."""
    step_bytes, *_, needed_bytes, free_bytes = (line.value for line in disk)
    if needed_bytes > free_bytes:
        group = "policy" if phase == "grpo" else "training"
        is_enough = step_bytes and needed_bytes - step_bytes <= free_bytes
        change = (f"{group}.checkpoint_steps=0",) if is_enough else ()
        yield Refusal(f"the disk needs {gib(needed_bytes)} and has {gib(free_bytes)}", change)


def _warnings(memory: Memory, work: Work, machine: Machine) -> Iterator[str]:
    dropped_count = sum(length > work.allowed for length in work.lengths)
    if dropped_count:
        kind = "prompts" if work.generated else "examples"
        yield f"{dropped_count:,} of {len(work.lengths):,} {kind} are dropped: too long"
    needed_bytes = on_device(memory, work, machine)
    if TIGHT * machine.memory < needed_bytes <= machine.memory:
        yield (
            f"close to the limit: {needed_bytes / machine.memory:.0%} of the memory, which other "
            "tensors share"
        )


def gib(size: float) -> str:
    """Format bytes as GiB, or as MiB below one GiB."""
    if not size:
        return "0"
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.2f} MiB"
