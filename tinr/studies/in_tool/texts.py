"""Facts as rows of bytes: inputs and loss positions, copied to the device once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tinr.studies.in_tool.people import PHRASINGS, Fact, Form
from tinr.studies.in_tool.stack import ASSISTANT, END, TOOL, USER


@dataclass(frozen=True)
class SymbolTable:
    """Rows of conversations: fact f in phrasing p is row f * PHRASINGS + p.

    ids_RT: input symbols; at_RK: positions whose next symbol is a label; targets_RK: that label,
    padded with -1 in rows with fewer labels.
    """

    ids_RT: Tensor
    at_RK: Tensor
    targets_RK: Tensor


def prompt(fact: Fact, phrasing: int) -> list[int]:
    """The user's question, then the marker of the assistant's turn."""
    return [USER, *fact.question(phrasing).encode(), ASSISTANT]


def returned(value: str) -> list[int]:
    """The database's result, then the marker of the assistant's turn."""
    return [TOOL, *value.encode(), ASSISTANT]


def conversation(fact: Fact, phrasing: int, form: Form) -> tuple[list[int], list[bool]]:
    """Symbols of a conversation, and whether each carries loss: only the assistant's do."""
    spans = [(prompt(fact, phrasing), False)]
    if form == "in_tool":
        spans += [([*fact.query.encode(), END], True), (returned(fact.value), False)]
    spans.append(([*fact.answer.encode(), END], True))
    ids = [symbol for symbols, _ in spans for symbol in symbols]
    return ids, [carries_loss for symbols, carries_loss in spans for _ in symbols]


def tabulate(facts: Sequence[Fact], form: Form) -> SymbolTable:
    """All facts in all phrasings, padded with END."""
    rows = [conversation(fact, p, form) for fact in facts for p in range(PHRASINGS)]
    length, labels = max(len(ids) for ids, _ in rows), max(sum(loss_mask) for _, loss_mask in rows)
    ids_RT = np.full((len(rows), length - 1), END, np.int16)
    at_RK = np.zeros((len(rows), labels), np.int16)
    targets_RK = np.full((len(rows), labels), -1, np.int16)
    for row, (ids, loss_mask) in enumerate(rows):
        ids_RT[row, : len(ids) - 1] = ids[:-1]
        positions = [position for position, has_loss in enumerate(loss_mask) if has_loss]
        at_RK[row, : len(positions)] = [position - 1 for position in positions]
        targets_RK[row, : len(positions)] = [ids[position] for position in positions]
    return SymbolTable(*(torch.from_numpy(array) for array in (ids_RT, at_RK, targets_RK)))


def stacked(tables: Sequence[SymbolTable], device: str) -> SymbolTable:
    """Tables of several models as (M, R, ...), padded to the largest; the padding is never read."""

    def join(tensors: Sequence[Tensor], fill: int) -> Tensor:
        rows, columns = (max(tensor.shape[axis] for tensor in tensors) for axis in (0, 1))
        stack = torch.full((len(tensors), rows, columns), fill, dtype=torch.int16)
        for target, tensor in zip(stack, tensors, strict=True):
            target[: tensor.shape[0], : tensor.shape[1]] = tensor
        return stack.to(device)

    return SymbolTable(
        join([table.ids_RT for table in tables], END),
        join([table.at_RK for table in tables], 0),
        join([table.targets_RK for table in tables], -1),
    )


def draws(facts: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Yield batches of rows (B,) endlessly: all facts, reshuffled each round, in random phrasings.

    After k rounds each fact has been seen k times. Deterministic in the arguments.
    """
    rng = np.random.default_rng((seed, facts))
    queue = np.empty(0, np.int64)
    while True:
        while len(queue) < batch:
            queue = np.concatenate([queue, rng.permutation(facts)])
        batch_facts, queue = queue[:batch], queue[batch:]
        yield batch_facts * PHRASINGS + rng.integers(PHRASINGS, size=batch)
