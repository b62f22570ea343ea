"""What a stack of models says: greedy replies, the real database asked in the middle."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinr.rollout.tools.executor import Executor
from tinr.studies.in_tool.people import PHRASINGS, Fact, Form, ask
from tinr.studies.in_tool.stack import ASSISTANT, BYTES, END, USER, Shape, forward
from tinr.studies.in_tool.texts import SymbolTable, prompt, returned

QUERY_LENGTH, ANSWER_LENGTH = 48, 40  # symbols; a longer one is cut and so wrong
ROWS = 256  # of each model at once
Rows = list[list[list[int]]]  # model, row, symbols


def said_right(
    shape: Shape, weights_MN: Tensor, table: SymbolTable, rows_MR: np.ndarray
) -> list[float]:
    """The share of rows whose every label is the likeliest symbol, its predecessors given.

    A model that says all labels of a conversation says it in greedy decoding as well, so this
    is quick and never above the greedy figure for the same rows.
    """
    hits = []
    for start in range(0, rows_MR.shape[1], ROWS):
        ids, at, targets = pick(table, torch.from_numpy(rows_MR[:, start : start + ROWS]))
        with torch.no_grad():
            said = forward(shape, weights_MN, ids, at).argmax(-1)
        hits.append(((said == targets) | (targets < 0)).all(-1).float())
    return torch.cat(hits, 1).mean(1).tolist()


def pick(table: SymbolTable, rows_MB: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ids, at and targets of each model's rows (M, B), as int64."""
    rows_MB = rows_MB.to(table.ids_RT.device, non_blocking=True)
    parts = (table.ids_RT, table.at_RK, table.targets_RK)
    models = torch.arange(len(rows_MB), device=rows_MB.device)[:, None]
    ids, at, targets = (part[models, rows_MB].long() for part in parts)
    return ids, at, targets


def recalls(
    shape: Shape,
    weights_MN: Tensor,
    form: Form,
    facts: Sequence[Sequence[Fact]],
    databases: Sequence[Executor],
    seeds: Sequence[int],
) -> list[list[bool]]:
    """For each model and each of its facts, asked in a drawn phrasing: is the value right?

    Right is a reply that ends with the value, whatever stands before it.
    """
    right: list[list[bool]] = [[] for _ in facts]
    phrasings = [
        np.random.default_rng((seed, len(asked))).integers(PHRASINGS, size=len(asked))
        for seed, asked in zip(seeds, facts, strict=True)
    ]
    for start in range(0, max(map(len, facts)), ROWS):
        part = [list(asked[start : start + ROWS]) for asked in facts]
        rows = [
            [prompt(fact, int(p)) for fact, p in zip(asked, drawn[start:], strict=False)]
            for asked, drawn in zip(part, phrasings, strict=True)
        ]
        if form == "in_tool":
            queries = write(shape, weights_MN, rows, QUERY_LENGTH)
            rows = [
                [
                    [*row, *query, END, *returned(ask(base, text_of(query)))]
                    for row, query in zip(given, written, strict=True)
                ]
                for given, written, base in zip(rows, queries, databases, strict=True)
            ]
        answers = write(shape, weights_MN, rows, ANSWER_LENGTH)
        for found, asked, said in zip(right, part, answers, strict=True):
            found += [text_of(a).endswith(f.value) for f, a in zip(asked, said, strict=True)]
    return right


def write(shape: Shape, weights_MN: Tensor, given: Rows, longest: int) -> Rows:
    """Greedy continuations up to END, without it; what is not finished at `longest` is cut."""
    device, most = weights_MN.device, max(1, *map(len, given))
    filler = [USER, ASSISTANT]  # models with fewer rows answer nothing
    flat = [row for rows in given for row in [*rows, *[filler] * (most - len(rows))]]
    room = max(map(len, flat)) + longest
    ids = torch.full((len(flat), room), END)
    for row, symbols in zip(ids, flat, strict=True):
        row[: len(symbols)] = torch.tensor(symbols)
    ids = ids.view(len(given), most, room).to(device)
    begun = torch.tensor([len(row) for row in flat], device=device).view(len(given), most, 1)
    asked = torch.zeros_like(begun, dtype=torch.bool)
    for one, rows in zip(asked, given, strict=True):
        one[: len(rows)] = True
    open_rows = asked
    for step in range(longest):
        length = room - longest + step
        with torch.no_grad():
            logits = forward(shape, weights_MN, ids[..., :length], begun + step - 1)
        said = torch.where(open_rows, logits[:, :, 0].argmax(-1, keepdim=True), END)
        ids.scatter_(2, begun + step, said)
        open_rows = open_rows & (said != END)
        if not open_rows.any():
            break
    return _written(ids.cpu(), given)


def _written(ids: Tensor, given: Rows) -> Rows:
    found: Rows = []
    for whole, rows in zip(ids.tolist(), given, strict=True):
        tails = [row[len(start) :] for row, start in zip(whole, rows, strict=False)]
        found.append([tail[: tail.index(END)] if END in tail else tail for tail in tails])
    return found


def text_of(symbols: Sequence[int]) -> str:
    """Bytes as text; what is no byte or no UTF-8 becomes a mark that fits nothing."""
    return bytes(one if one < BYTES else 0 for one in symbols).decode("utf-8", "replace")
