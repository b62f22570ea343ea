"""Examples into batches: rows shared by first fit, loss positions and weights beside the ids.

Each example is a run of ids with labels. Examples share rows, longest first; position ids
restart at each example, from which the block-diagonal attention follows, so neighbours
never see each other.
"""

import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np
import torch

from tinr import distributed
from tinr.chat.codec import IGNORE
from tinr.config import TrainingConfig
from tinr.records import BadInput


@dataclass(frozen=True)
class Example:
    """Ids with labels (IGNORE: no loss) and the weight of its loss.

    They are kept as 4-byte numbers: Python's own would take five times as much, and an epoch
    over a large catalogue has 100 million of them.
    """

    ids: Sequence[int]
    labels: Sequence[int]
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", array("i", self.ids))
        object.__setattr__(self, "labels", array("i", self.labels))

    @property
    def width(self) -> int:
        """Tokens that it takes."""
        return len(self.ids)


@dataclass(frozen=True)
class PreferencePair:
    """Two ways to go on after the same ids, the better and the worse one.

    The ids are trained as they are: no end of sequence follows a side that has none.
    """

    prompt: Sequence[int]  # a conversation and what of an answer both sides share: no loss
    chosen: Sequence[int]
    rejected: Sequence[int]
    kind: str = ""  # of deficiency, only carried

    @property
    def width(self) -> int:
        """Tokens that its longer side takes, the prompt included."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


Batch = dict[str, torch.Tensor]
Taught = TypeVar("Taught", Example, PreferencePair)


def pack(examples: Sequence[Example], row_tokens: int) -> list[list[Example]]:
    """Examples into rows of at most `row_tokens` by best fit, longest first.

    A longer example has a row of its own.
    """
    rows: list[list[Example]] = []
    by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]  # room left -> rows
    for example in sorted(examples, key=lambda e: -e.width):
        size = example.width
        room = next((r for r in range(size, row_tokens + 1) if by_room[r]), None)
        if room is None:
            rows.append([example])
            index, room = len(rows) - 1, max(row_tokens, size)
        else:
            index = by_room[room].pop()
            rows[index].append(example)
        by_room[room - size].append(index)
    return rows


def collate(rows: Sequence[Sequence[Example]], pad: int) -> Batch:
    """Rows to tensors (R, T): input_ids, position_ids, labels, weights; padding is a segment."""
    longest = max(sum(example.width for example in row) for row in rows)
    shape = (len(rows), longest)
    ids, positions = np.full(shape, pad), np.zeros(shape, np.int64)
    labels, weights = np.full(shape, IGNORE), np.zeros(shape, np.float32)
    for number, row in enumerate(rows):
        begin = 0
        for example in row:
            end = begin + example.width
            ids[number, begin:end] = example.ids
            positions[number, begin:end] = np.arange(example.width)
            labels[number, begin + 1 : end] = example.labels[1:]  # nothing precedes a first token
            weights[number, begin:end] = example.weight
            begin = end
        positions[number, begin:] = np.arange(longest - begin)
    parts = {"input_ids": ids, "position_ids": positions, "labels": labels, "weights": weights}
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def fitting(given: Sequence[Taught], max_tokens: int, what: str = "examples") -> list[Taught]:
    """The examples or pairs of at most `max_tokens` tokens; how many are left out is said, once.

    BadInput where none of them is left: what they teach would be missing without a word.
    """
    kept = [one for one in given if one.width <= max_tokens]
    lost = len(given) - len(kept)
    if lost:
        said = f"max_tokens={max_tokens}: {lost} of {len(given)} {what} are longer"
        if not kept:
            shortest = min(one.width for one in given)
            raise BadInput(f"{said} (the shortest has {shortest}); raise it, or show less in them")
        if distributed.rank() == 0:
            warnings.warn(f"{said} and are left out", stacklevel=2)
    return kept


def make_batches(
    examples: Sequence[Example], config: TrainingConfig, seed: int, pad: int
) -> Iterator[Batch]:
    """One epoch of batches of at most `batch_tokens` tokens, in seeded random order.

    They are made as they are asked for, of the examples that fit (see `fitting`).
    """
    rng = Random(seed)
    kept = fitting(examples, config.max_tokens)
    rows = pack(rng.sample(kept, len(kept)), config.row_tokens)
    rng.shuffle(rows)
    rows.sort(key=lambda row: max(sum(e.width for e in row), config.row_tokens))
    batches: list[list[list[Example]]] = []
    for row in rows:
        width = max(sum(e.width for e in r) for r in [row, *(batches[-1] if batches else [])])
        if not batches or width * (len(batches[-1]) + 1) > config.batch_tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return (collate(batch, pad) for batch in batches)


def blank(batch: Batch) -> Batch:
    """A batch of the same shape without a label: a rank that has nothing left to do gets it."""
    return batch | {
        "labels": torch.full_like(batch["labels"], IGNORE),
        "weights": torch.zeros_like(batch["weights"]),
    }
