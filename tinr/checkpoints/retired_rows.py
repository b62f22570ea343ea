"""Retire the entries of removed tools, so that they are never produced, or delete them.

A retired entry keeps its place, so no other id changes; `compact` deletes such entries.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from tinr.chat.codec import token_of
from tinr.checkpoints.model import tables_of, vocabulary_rows

UNLIKELY = 20.0  # nats: a retired entry's probability is at most about e^-20


@torch.no_grad()
def copy_rows(model: PreTrainedModel, pairs: Mapping[int, int]) -> None:
    """Copy rows, source id -> target id, for an entry with a new name."""
    for table in tables_of(model):
        for source, target in pairs.items():
            table[target] = table[source]


@torch.no_grad()
def retire(
    model: PreTrainedModel,
    ids: Collection[int],
    hidden: torch.Tensor,
    others: torch.Tensor | None = None,
) -> None:
    """Overwrite rows so that their entries are never produced and do not reveal their tools.

    hidden (N, H): states at which these tools are named. others (M, H): states at which other tools
    are named; None: `hidden`. The new output row points along the mean of the others, scaled so
    that its product with `hidden` is below that of every other entry. Along the mean of a tool's
    own states, it would reveal the tool if the tables are tied and the row is read. If they are
    untied, the input row becomes the mean of all rows.
    """
    if not ids:
        return
    head: Any = vocabulary_rows(model)[1]
    logits = head(hidden).float()
    lowest = torch.minimum(logits.amin(-1), logits.logsumexp(-1) - UNLIKELY).min()
    direction = (hidden if others is None else others).float().mean(0)
    products = hidden.float() @ direction
    row = direction * torch.minimum(lowest / products.mean(), lowest / products).min()
    tables = tables_of(model)
    for index in ids:
        tables[-1][index] = row.to(tables[-1].dtype)
    if len(tables) > 1:
        mean = tables[0].float().mean(0).to(tables[0].dtype)
        for index in ids:
            tables[0][index] = mean


@torch.no_grad()
def compact(model: PreTrainedModel, tokenizer: Any, names: Collection[str]) -> None:
    """Remove the entries of retired tools from model and tokenizer, in place.

    Later entries move forward; every other entry keeps its rows.
    """
    old_ids = tokenizer.get_vocab()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    gone = {token_of(name) for name in names}
    removed_ids = sorted(old_ids[token] for token in gone)
    entries = [entry for entry in state["added_tokens"] if entry["content"] not in gone]
    for entry in entries:
        entry["id"] -= sum(index < entry["id"] for index in removed_ids)
    state["added_tokens"] = entries
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))  # it cannot remove an entry
    new_ids = tokenizer.get_vocab()
    order = torch.arange(len(tables_of(model)[0]))
    for token, index in new_ids.items():
        order[index] = old_ids[token]
    rows = [table[order] for table in tables_of(model)]
    model.resize_token_embeddings(len(order) - len(removed_ids), mean_resizing=False)
    for table, kept_rows in zip(tables_of(model), rows, strict=True):
        table.copy_(kept_rows[: len(table)])
