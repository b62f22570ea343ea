"""Greedy replies of a stack of models; in-tool replies query the real database midway."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinr.rollout.tools.executor import Executor
from tinr.studies.in_tool.people import PHRASINGS, Fact, Form, ask
from tinr.studies.in_tool.stack import ASSISTANT, BYTES, END, USER, Shape, forward
from tinr.studies.in_tool.texts import SymbolTable, prompt, returned

QUERY_LENGTH, ANSWER_LENGTH = 48, 40  # symbols; longer ones are cut off, hence wrong
ROWS = 256  # rows per model in a batch
Rows = list[list[list[int]]]  # model, row, symbols


def said_right(
    shape: Shape, weights_MN: Tensor, table: SymbolTable, rows_MR: np.ndarray
) -> list[float]:
    """Compute each model's share of rows with every label predicted under teacher forcing.

    A model that predicts all labels of a conversation also writes them in greedy decoding. This
    share is therefore never above the greedy share of the same rows, and it is quick to compute.
    """
    hits = []
    for start in range(0, rows_MR.shape[1], ROWS):
        ids, positions, targets = pick(table, torch.from_numpy(rows_MR[:, start : start + ROWS]))
        with torch.no_grad():
            predictions = forward(shape, weights_MN, ids, positions).argmax(-1)
        hits.append(((predictions == targets) | (targets < 0)).all(-1).float())
    return torch.cat(hits, 1).mean(1).tolist()


def pick(table: SymbolTable, rows_MB: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Select the rows (M, B) of each model; returns their ids, at and targets as int64."""
    rows_MB = rows_MB.to(table.ids_RT.device, non_blocking=True)
    tensors = (table.ids_RT, table.at_RK, table.targets_RK)
    models = torch.arange(len(rows_MB), device=rows_MB.device)[:, None]
    ids, positions, targets = (tensor[models, rows_MB].long() for tensor in tensors)
    return ids, positions, targets


def recalls(
    shape: Shape,
    weights_MN: Tensor,
    form: Form,
    facts: Sequence[Sequence[Fact]],
    databases: Sequence[Executor],
    seeds: Sequence[int],
) -> list[list[bool]]:
    """Whether each model's reply about each of its facts, in a random phrasing, is right.

    A reply is right if it ends with the value, whatever precedes it.
    """
    hits: list[list[bool]] = [[] for _ in facts]
    phrasings = [
        np.random.default_rng((seed, len(model_facts))).integers(PHRASINGS, size=len(model_facts))
        for seed, model_facts in zip(seeds, facts, strict=True)
    ]
    for start in range(0, max(map(len, facts)), ROWS):
        chunk = [list(model_facts[start : start + ROWS]) for model_facts in facts]
        rows = [
            [
                prompt(fact, int(p))
                for fact, p in zip(model_facts, model_phrasings[start:], strict=False)
            ]
            for model_facts, model_phrasings in zip(chunk, phrasings, strict=True)
        ]
        if form == "in_tool":
            queries = write(shape, weights_MN, rows, QUERY_LENGTH)
            rows = [
                [
                    [*row, *query, END, *returned(ask(database, text_of(query)))]
                    for row, query in zip(model_rows, model_queries, strict=True)
                ]
                for model_rows, model_queries, database in zip(
                    rows, queries, databases, strict=True
                )
            ]
        answers = write(shape, weights_MN, rows, ANSWER_LENGTH)
        for model_hits, model_facts, replies in zip(hits, chunk, answers, strict=True):
            model_hits += [
                text_of(a).endswith(f.value) for f, a in zip(model_facts, replies, strict=True)
            ]
    return hits


def write(shape: Shape, weights_MN: Tensor, prompts: Rows, max_symbols: int) -> Rows:
    """Greedy continuations up to END, which is excluded, of at most `max_symbols` symbols."""
    device, row_count = weights_MN.device, max(1, *map(len, prompts))
    filler = [USER, ASSISTANT]  # pads models with fewer rows; its replies are dropped
    flat_rows = [row for rows in prompts for row in [*rows, *[filler] * (row_count - len(rows))]]
    width = max(map(len, flat_rows)) + max_symbols
    ids = torch.full((len(flat_rows), width), END)
    for row, symbols in zip(ids, flat_rows, strict=True):
        row[: len(symbols)] = torch.tensor(symbols)
    ids = ids.view(len(prompts), row_count, width).to(device)
    lengths = torch.tensor([len(row) for row in flat_rows], device=device).view(
        len(prompts), row_count, 1
    )
    real_rows = torch.zeros_like(lengths, dtype=torch.bool)
    for flags, rows in zip(real_rows, prompts, strict=True):
        flags[: len(rows)] = True
    open_rows = real_rows
    for step in range(max_symbols):
        length = width - max_symbols + step
        with torch.no_grad():
            logits = forward(shape, weights_MN, ids[..., :length], lengths + step - 1)
        next_symbols = torch.where(open_rows, logits[:, :, 0].argmax(-1, keepdim=True), END)
        ids.scatter_(2, lengths + step, next_symbols)
        open_rows = open_rows & (next_symbols != END)
        if not open_rows.any():
            break
    return _replies(ids.cpu(), prompts)


def _replies(ids: Tensor, prompts: Rows) -> Rows:
    replies: Rows = []
    for model_ids, rows in zip(ids.tolist(), prompts, strict=True):
        tails = [row[len(start) :] for row, start in zip(model_ids, rows, strict=False)]
        replies.append([tail[: tail.index(END)] if END in tail else tail for tail in tails])
    return replies


def text_of(symbols: Sequence[int]) -> str:
    """Decode bytes as UTF-8; anything else becomes a character that occurs in no value."""
    return bytes(symbol if symbol < BYTES else 0 for symbol in symbols).decode("utf-8", "replace")
