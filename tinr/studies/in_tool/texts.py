"""Facts as rows of bytes: what is shown, where loss is taken, on the device once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tinr.studies.in_tool.people import PHRASINGS, Fact, Form
from tinr.studies.in_tool.stack import ASSISTANT, END, TOOL, USER


@dataclass(frozen=True)
class SymbolTable:
    """Rows of conversations: the fact f in phrasing p is row f * PHRASINGS + p.

    ids_RT: what the model reads; at_RK: positions whose next symbol it must say; targets_RK:
    that symbol, -1 where a row has fewer labels than others.
    """

    ids_RT: Tensor
    at_RK: Tensor
    targets_RK: Tensor


def prompt(fact: Fact, phrasing: int) -> list[int]:
    """The user's question, and that it is the assistant's turn."""
    return [USER, *fact.question(phrasing).encode(), ASSISTANT]


def returned(value: str) -> list[int]:
    """What the database said, and that it is the assistant's turn again."""
    return [TOOL, *value.encode(), ASSISTANT]


def conversation(fact: Fact, phrasing: int, form: Form) -> tuple[list[int], list[bool]]:
    """Symbols, and which of them the assistant says and so carry loss."""
    parts = [(prompt(fact, phrasing), False)]
    if form == "in_tool":
        parts += [([*fact.query.encode(), END], True), (returned(fact.value), False)]
    parts.append(([*fact.answer.encode(), END], True))
    ids = [one for part, _ in parts for one in part]
    return ids, [said for part, said in parts for _ in part]


def tabulate(facts: Sequence[Fact], form: Form) -> SymbolTable:
    """All facts in all phrasings, padded with END."""
    rows = [conversation(fact, p, form) for fact in facts for p in range(PHRASINGS)]
    length, labels = max(len(ids) for ids, _ in rows), max(sum(said) for _, said in rows)
    ids_RT = np.full((len(rows), length - 1), END, np.int16)
    at_RK = np.zeros((len(rows), labels), np.int16)
    targets_RK = np.full((len(rows), labels), -1, np.int16)
    for row, (ids, said) in enumerate(rows):
        ids_RT[row, : len(ids) - 1] = ids[:-1]
        places = [place for place, is_said in enumerate(said) if is_said]
        at_RK[row, : len(places)] = [place - 1 for place in places]
        targets_RK[row, : len(places)] = [ids[place] for place in places]
    return SymbolTable(*(torch.from_numpy(one) for one in (ids_RT, at_RK, targets_RK)))


def stacked(tables: Sequence[SymbolTable], device: str) -> SymbolTable:
    """Tables of several models as (M, R, ...), filled up to the largest; nobody reads the fill."""

    def join(parts: Sequence[Tensor], fill: int) -> Tensor:
        rows, columns = (max(part.shape[axis] for part in parts) for axis in (0, 1))
        whole = torch.full((len(parts), rows, columns), fill, dtype=torch.int16)
        for one, part in zip(whole, parts, strict=True):
            one[: part.shape[0], : part.shape[1]] = part
        return whole.to(device)

    return SymbolTable(
        join([one.ids_RT for one in tables], END),
        join([one.at_RK for one in tables], 0),
        join([one.targets_RK for one in tables], -1),
    )


def draws(facts: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of a batch (B,), for ever: all facts in a new order each round, in any phrasing.

    After k rounds each fact was shown k times. Depends on its arguments alone.
    """
    draw = np.random.default_rng((seed, facts))
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, draw.permutation(facts)])
        now, waiting = waiting[:batch], waiting[batch:]
        yield now * PHRASINGS + draw.integers(PHRASINGS, size=batch)
