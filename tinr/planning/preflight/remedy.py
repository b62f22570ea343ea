"""The nearest change that fits, found by the same formulas that refuse.

Changes in order of harm: smaller batches (as many more of them in a step), gradient
checkpointing, a higher ZeRO stage on the ranks there are, offloading to the host, adapters
instead of all weights, new rows only, more ranks. Of the combinations whose worst change is
the least harmful, the one with the fewest changes.
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
    """One setting changed: how harmful, how far, in which words; harm 0: as it is."""

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
    """The overrides of the nearest change that fits; None where none does.

    group: the part of the configuration that holds `gradient_checkpointing` and `deepspeed`.
    """
    for changed, cut, words in sorted_changes(setup, cuts, group, zero):
        if fits(memory_of(shape, changed, cut.load)):
            return words
    return None


def sorted_changes(
    setup: Setup, cuts: Sequence[Cut], group: str, zero: str | None
) -> list[tuple[Setup, Cut, tuple[str, ...]]]:
    """Every combination of changes, the least harmful first."""
    found = []
    everything = product(
        _cuts(cuts), _checkpointing(setup, group), _zeros(setup, zero, group),
        _trainable(setup), _ranks(setup),
    )  # fmt: skip
    for (cut, small), (twice, held), (named, sharded), (what, fewer), (times, more) in everything:
        settled = NAMED.get(named or "") or (setup.zero if named == zero else None)
        if (setup.ranks * times == 1 and sharded.harm == STAGE) or (times > 1 and settled is None):
            continue  # nothing to share, or nothing shared
        changed = replace(
            setup, accumulate=cut.accumulate, checkpointing=twice, zero=settled,
            trainable=replace(setup.trainable, what=what), ranks=setup.ranks * times,
            nodes=setup.nodes * times if setup.nodes > 1 else 1,
        )  # fmt: skip
        changes = [c for c in (small, held, sharded, fewer, more) if c.harm]
        key = (max((c.harm for c in changes), default=0), len(changes), [c.degree for c in changes])
        words = tuple(word for c in changes for word in c.words)
        found.append((key, len(found), changed, cut, words))
    return [
        (changed, cut, words) for _, _, changed, cut, words in sorted(found, key=lambda f: f[:2])
    ]


def _cuts(cuts: Sequence[Cut]) -> Iterator[tuple[Cut, Change]]:
    for degree, cut in enumerate(cuts):
        yield cut, Change(BATCH, degree, cut.overrides) if degree else Change()


def _checkpointing(setup: Setup, group: str) -> Iterator[tuple[bool, Change]]:
    yield setup.checkpointing, Change()
    if not setup.checkpointing:
        yield True, Change(CHECKPOINTING, 1, (f"{group}.gradient_checkpointing=true",))


def _zeros(setup: Setup, now: str | None, group: str) -> Iterator[tuple[str | None, Change]]:
    """Higher stages, then offloading; DeepSpeed is for accelerators."""
    yield now, Change()
    at = list(ZEROS).index(now) if now in ZEROS else 3
    for degree, name in enumerate(ZEROS):
        if degree > at and setup.accelerator:
            yield name, Change(ZEROS[name], degree, (f"{group}.deepspeed={name}",))


def _trainable(setup: Setup) -> Iterator[tuple[Trainable, Change]]:
    what = setup.trainable.what
    yield what, Change()
    if what in ("all", "top"):
        yield "lora", Change(LORA, 1, ("trainable.what=lora",))
    if what != "rows":
        yield "rows", Change(ROWS, 1, ("trainable.what=rows",))


def _ranks(setup: Setup) -> Iterator[tuple[int, Change]]:
    """Times as many; on as many times the nodes, where there are several."""
    yield 1, Change()
    times = 2
    while setup.ranks * times <= MOST_RANKS and setup.accelerator:
        words = (f"--ranks {setup.ranks * times}",)
        if setup.nodes > 1:
            words += (f"--nodes {setup.nodes * times}",)
        yield times, Change(RANKS, times, words)
        times *= 2
