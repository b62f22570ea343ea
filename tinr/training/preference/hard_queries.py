"""Find the queries that are hard for the policy, by its perplexity on the reference answer.

Source: iTool, arXiv 2501.09766: the hardest share, separately with and without a tool.
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
    path: Path,
) -> list[Query]:
    """Choose the share of the queries whose reference traces have the highest perplexity.

    Their ids are written to the file `path`; a later call reads them from there. It puts the model
    into eval mode.
    """
    model.eval()
    if not path.is_file():
        traces = trace_examples(codec, library, queries, {"none": 1.0}, Random(0))  # one mode
        scores = perplexities(model, traces, codec.pad, "query perplexity")
        hard = hardest(queries, scores, share)
        write_text(path, json.dumps([query.id for query in hard]))
    ids = set(json.loads(path.read_text()))
    return [query for query in queries if query.id in ids]


@torch.inference_mode()
def perplexities(
    model: PreTrainedModel, examples: Sequence[Example], pad: int, title: str = ""
) -> list[float]:
    """Compute exp of the mean negative log-likelihood of each example's labelled tokens.

    The prompt is masked. With a title it shows a progress bar.
    """
    with progress_bar(sum(len(example.ids) for example in examples), title, "token") as bar:
        values = dict(_perplexities(model, examples, pad, bar.update))
    return [values[i] for i in range(len(examples))]


def _perplexities(
    model: PreTrainedModel, examples: Sequence[Example], pad: int, move: Move
) -> Iterator[tuple[int, float]]:
    """Yield index and perplexity of each example, long ones first; `move` gets token counts."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    while order:
        size = max(1, BATCH_TOKENS // len(examples[order[-1]].ids))
        chunk, order = order[-size:], order[:-size]
        batch = collate([[examples[i]] for i in chunk], pad)
        ids, positions = (batch[k].to(model.device) for k in ("input_ids", "position_ids"))
        hidden = model.base_model(
            input_ids=ids, position_ids=positions, use_cache=False
        ).last_hidden_state[:, :-1]
        label_losses, label_mask = losses_at_labels(
            model, hidden, batch["labels"][:, 1:].to(model.device)
        )
        losses = torch.zeros(label_mask.shape, device=model.device)
        losses[label_mask] = label_losses
        means = losses.sum(1) / label_mask.sum(1).clamp(min=1)
        yield from zip(chunk, means.exp().tolist(), strict=True)
        move(sum(len(examples[i].ids) for i in chunk))


def hardest(queries: Sequence[Query], scores: Sequence[float], share: float) -> list[Query]:
    """Choose the queries with the highest scores: `share` of those with and without calls each.

    It keeps their order, and takes at least one query of each kind that occurs.
    """
    indices: set[int] = set()
    for calls in (True, False):
        candidates = [i for i, query in enumerate(queries) if bool(query.calls) == calls]
        count = max(1, round(share * len(candidates))) if candidates else 0
        indices |= set(sorted(candidates, key=lambda i: -scores[i])[:count])
    return [query for i, query in enumerate(queries) if i in indices]
