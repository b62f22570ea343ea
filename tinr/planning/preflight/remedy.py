"""Find the nearest change of the settings that fits, by the formulas of the memory report.

Changes in order of harm: smaller batches (with more of them per step), gradient checkpointing, a
higher ZeRO stage on the same ranks, offloading to the host, adapters instead of all weights, new
rows only, more ranks. Among the combinations whose most harmful change is the least harmful, it
takes the one with the fewest changes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from tinr.planning.preflight.memory import Memory, Setup, memory_of
from tinr.planning.preflight.shape import Shape
from tinr.planning.preflight.work import Cut
from tinr.planning.preflight.zero import NAMED

BATCH, CHECKPOINTING, STAGE, OFFLOAD, LORA, ROWS, RANKS = range(1, 8)
ZEROS = {None: 0, "zero1": STAGE, "zero2": STAGE, "zero3": STAGE,
         "zero2_offload": OFFLOAD, "zero3_offload": OFFLOAD}  # fmt: skip
MOST_RANKS = 4096
Trainable = Literal["all", "top", "lora", "rows"]


@dataclass(frozen=True)
class Change:
    """A change of one setting: its harm, degree and overrides; harm is 0 if unchanged."""

    harm: int = 0
    degree: int = 0
    words: tuple[str, ...] = ()


def nearest(
    shape: Shape,
    setup: Setup,
    cuts: Sequence[Cut],
    fits: Callable[[Memory], bool],
    group: str,
    zero: str | None,
) -> tuple[str, ...] | None:
    """Find the overrides of the nearest change that fits. None if none does.

    group: the part of the configuration that holds `gradient_checkpointing` and `deepspeed`.
    """
    for new_setup, cut, words in sorted_changes(setup, cuts, group, zero):
        if fits(memory_of(shape, new_setup, cut.load)):
            return words
    return None


def sorted_changes(
    setup: Setup, cuts: Sequence[Cut], group: str, zero: str | None
) -> list[tuple[Setup, Cut, tuple[str, ...]]]:
    """List every combination of changes, the least harmful first."""
    options = []
    choices = product(
        _cuts(cuts), _checkpointing(setup, group), _zeros(setup, zero, group),
        _trainable(setup), _ranks(setup),
    )  # fmt: skip
    for (cut, batch), (flag, recompute), (name, shard), (what, adapter), (times, rank) in choices:
        new_zero = NAMED.get(name or "") or (setup.zero if name == zero else None)
        if (setup.ranks * times == 1 and shard.harm == STAGE) or (times > 1 and new_zero is None):
            continue  # nothing to shard, or no sharding
        new_setup = replace(
            setup, accumulate=cut.accumulate, checkpointing=flag, zero=new_zero,
            trainable=replace(setup.trainable, what=what), ranks=setup.ranks * times,
            nodes=setup.nodes * times if setup.nodes > 1 else 1,
        )  # fmt: skip
        changes = [c for c in (batch, recompute, shard, adapter, rank) if c.harm]
        key = (max((c.harm for c in changes), default=0), len(changes), [c.degree for c in changes])
        words = tuple(word for c in changes for word in c.words)
        options.append((key, len(options), new_setup, cut, words))
    return [
        (new_setup, cut, words)
        for _, _, new_setup, cut, words in sorted(options, key=lambda f: f[:2])
    ]


def _cuts(cuts: Sequence[Cut]) -> Iterator[tuple[Cut, Change]]:
    for degree, cut in enumerate(cuts):
        yield cut, Change(BATCH, degree, cut.overrides) if degree else Change()


def _checkpointing(setup: Setup, group: str) -> Iterator[tuple[bool, Change]]:
    yield setup.checkpointing, Change()
    if not setup.checkpointing:
        yield True, Change(CHECKPOINTING, 1, (f"{group}.gradient_checkpointing=true",))


def _zeros(setup: Setup, now: str | None, group: str) -> Iterator[tuple[str | None, Change]]:
    """Yield higher ZeRO stages, then offloading. DeepSpeed needs accelerators."""
    yield now, Change()
    index = list(ZEROS).index(now) if now in ZEROS else 3
    for degree, name in enumerate(ZEROS):
        if degree > index and setup.accelerator:
            yield name, Change(ZEROS[name], degree, (f"{group}.deepspeed={name}",))


def _trainable(setup: Setup) -> Iterator[tuple[Trainable, Change]]:
    what = setup.trainable.what
    yield what, Change()
    if what in ("all", "top"):
        yield "lora", Change(LORA, 1, ("trainable.what=lora",))
    if what != "rows":
        yield "rows", Change(ROWS, 1, ("trainable.what=rows",))


def _ranks(setup: Setup) -> Iterator[tuple[int, Change]]:
    """Yield multiples of the ranks; with several nodes, multiply these too."""
    yield 1, Change()
    times = 2
    while setup.ranks * times <= MOST_RANKS and setup.accelerator:
        words = (f"--ranks {setup.ranks * times}",)
        if setup.nodes > 1:
            words += (f"--nodes {setup.nodes * times}",)
        yield times, Change(RANKS, times, words)
        times *= 2
