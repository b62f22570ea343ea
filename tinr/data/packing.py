"""Pack examples into batches: rows shared by best fit, with loss positions and weights.

Each example is a sequence of ids with labels. Examples share rows, longest first. Position ids
restart at each example, which makes attention block-diagonal: neighbours never see each other.
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

    soft: for each id, the row of a table of distributions (`tinr.data.distillation`) that replaces
    its label; 0: none; empty: none at all. All are 4-byte integers: Python's own take five times as
    much memory, and an epoch over a large catalogue has 100 million of them.
    """

    ids: Sequence[int]
    labels: Sequence[int]
    weight: float = 1.0
    soft: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name in ("ids", "labels", "soft"):
            object.__setattr__(self, name, array("i", getattr(self, name)))

    @property
    def width(self) -> int:
        """Number of tokens."""
        return len(self.ids)


@dataclass(frozen=True)
class PreferencePair:
    """Two continuations of the same ids, the better and the worse one.

    Training uses the ids unchanged: no end of sequence is added.
    """

    prompt: Sequence[int]  # a conversation and the answer's start that both sides share: no loss
    chosen: Sequence[int]
    rejected: Sequence[int]
    kind: str = ""  # the kind of deficiency; training does not use it

    @property
    def width(self) -> int:
        """Number of tokens of the longer side, the prompt included."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


Batch = dict[str, torch.Tensor]
Item = TypeVar("Item", Example, PreferencePair)


def pack(examples: Sequence[Example], row_tokens: int) -> list[list[Example]]:
    """Pack examples into rows of at most `row_tokens` by best fit, longest first.

    A longer example gets its own row.
    """
    rows: list[list[Example]] = []
    rows_by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]  # room left -> rows
    for example in sorted(examples, key=lambda e: -e.width):
        size = example.width
        room = next((r for r in range(size, row_tokens + 1) if rows_by_room[r]), None)
        if room is None:
            rows.append([example])
            index, room = len(rows) - 1, max(row_tokens, size)
        else:
            index = rows_by_room[room].pop()
            rows[index].append(example)
        rows_by_room[room - size].append(index)
    return rows


def collate(rows: Sequence[Sequence[Example]], pad: int) -> Batch:
    """Collate rows to tensors (R, T): input_ids, position_ids, labels, weights, soft.

    The padding of a row is a segment of its own.
    """
    max_width = max(sum(example.width for example in row) for row in rows)
    shape = (len(rows), max_width)
    ids, positions = np.full(shape, pad), np.zeros(shape, np.int64)
    labels, weights = np.full(shape, IGNORE), np.zeros(shape, np.float32)
    soft = np.zeros(shape, np.int64)
    for number, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + example.width
            ids[number, start:end] = example.ids
            positions[number, start:end] = np.arange(example.width)
            labels[number, start + 1 : end] = example.labels[1:]  # nothing precedes a first token
            weights[number, start:end] = example.weight
            if example.soft:
                soft[number, start + 1 : end] = example.soft[1:]
            start = end
        positions[number, start:] = np.arange(max_width - start)
    parts = {"input_ids": ids, "position_ids": positions, "labels": labels, "weights": weights}
    parts["soft"] = soft
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def fitting(given: Sequence[Item], max_tokens: int, what: str = "examples") -> list[Item]:
    """Return the examples or pairs of at most `max_tokens` tokens; warn once about longer ones.

    Raises BadInput if none remains: otherwise training would silently lack their content.
    """
    items = [item for item in given if item.width <= max_tokens]
    long_count = len(given) - len(items)
    if long_count:
        message = f"max_tokens={max_tokens}: {long_count} of {len(given)} {what} are longer"
        if not items:
            min_width = min(item.width for item in given)
            raise BadInput(f"{message} (the shortest has {min_width}); raise it, or shorten them")
        if distributed.rank() == 0:
            warnings.warn(f"{message} and are left out", stacklevel=2)
    return items


def make_batches(
    examples: Sequence[Example], config: TrainingConfig, seed: int, pad: int
) -> Iterator[Batch]:
    """Make one epoch of batches of at most `batch_tokens` tokens, in seeded random order.

    The iterator collates each batch on demand, from the examples that fit (see `fitting`).
    """
    rng = Random(seed)
    fitting_examples = fitting(examples, config.max_tokens)
    rows = pack(rng.sample(fitting_examples, len(fitting_examples)), config.row_tokens)
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
    """Return a batch of the same shape without a label, for a rank that has no work left."""
    return batch | {
        "labels": torch.full_like(batch["labels"], IGNORE),
        "weights": torch.zeros_like(batch["weights"]),
    }
