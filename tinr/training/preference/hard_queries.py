"""Which queries the policy is bad at: its own perplexity on the reference answer.

Source: iTool, arXiv 2501.09766: the hardest share, of queries with and without a tool apart.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import torch
from transformers import PreTrainedModel

from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.data.packing import Example, collate
from tinr.data.replay import trace_examples
from tinr.files import write_text
from tinr.progress import Move, progress_bar
from tinr.records import Query
from tinr.training.loop import losses_at_labels

BATCH_TOKENS = 8192  # padding included


def hard_queries(
    model: PreTrainedModel,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    share: float,
    kept: Path,
) -> list[Query]:
    """The share of the queries whose reference traces perplex the model most.

    Which they are is written to `kept` and read from there again. The model is put into eval
    mode.
    """
    model.eval()
    if not kept.is_file():
        traces = trace_examples(codec, library, queries, {"none": 1.0}, Random(0))  # one mode
        scores = perplexities(model, traces, codec.pad, "how hard the queries are")
        found = hardest(queries, scores, share)
        write_text(kept, json.dumps([query.id for query in found]))
    chosen = set(json.loads(kept.read_text()))
    return [query for query in queries if query.id in chosen]


@torch.inference_mode()
def perplexities(
    model: PreTrainedModel, examples: Sequence[Example], pad: int, title: str = ""
) -> list[float]:
    """exp of the mean negative log-likelihood of each example's labelled tokens (prompt masked).

    A title shows progress.
    """
    with progress_bar(sum(len(one.ids) for one in examples), title, "token") as bar:
        found = dict(_perplexities(model, examples, pad, bar.update))
    return [found[i] for i in range(len(examples))]


def _perplexities(
    model: PreTrainedModel, examples: Sequence[Example], pad: int, move: Move
) -> Iterator[tuple[int, float]]:
    """Number and perplexity of each example, long ones first; `move` is told the tokens read."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    while order:
        size = max(1, BATCH_TOKENS // len(examples[order[-1]].ids))
        chunk, order = order[-size:], order[:-size]
        batch = collate([[examples[i]] for i in chunk], pad)
        ids, positions = (batch[k].to(model.device) for k in ("input_ids", "position_ids"))
        hidden = model.base_model(
            input_ids=ids, position_ids=positions, use_cache=False
        ).last_hidden_state[:, :-1]
        labelled, here = losses_at_labels(model, hidden, batch["labels"][:, 1:].to(model.device))
        losses = torch.zeros(here.shape, device=model.device)
        losses[here] = labelled
        means = losses.sum(1) / here.sum(1).clamp(min=1)
        yield from zip(chunk, means.exp().tolist(), strict=True)
        move(sum(len(examples[i].ids) for i in chunk))


def hardest(queries: Sequence[Query], scores: Sequence[float], share: float) -> list[Query]:
    """The queries with the highest scores: `share` of those with calls, and of those without.

    In the order given; at least one of a kind that is there at all.
    """
    kept: set[int] = set()
    for calls in (True, False):
        mine = [i for i, query in enumerate(queries) if bool(query.calls) == calls]
        count = max(1, round(share * len(mine))) if mine else 0
        kept |= set(sorted(mine, key=lambda i: -scores[i])[:count])
    return [query for i, query in enumerate(queries) if i in kept]
