"""Measure whether a model knows when to call: false calls by kind, and the AUROC of its evidence.

The evidence of a reply is log p(<tool_token>) - log p(<response>) right after its own thought,
whatever the model wrote next. The area under the ROC curve is the probability that a query that
needs a call has more evidence than one that needs none. 0.5 is chance.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata
from transformers import PreTrainedModel

from tinr.chat.codec import Codec
from tinr.evaluation.likelihood import batch_tokens, batches
from tinr.evaluation.metrics import Rate, rate
from tinr.progress import progress_bar
from tinr.rollout.conversation import Conversation
from tinr.rollout.generate import next_logits

RESAMPLES = 1000
KINDS = {"chat": "no_tool", "foreign": "missing_tool", "missing": "missing_value"}


def call_evidence(
    model: PreTrainedModel, codec: Codec, conversations: Sequence[Conversation], title: str = ""
) -> list[float]:
    """Per conversation, the log-odds of naming tools against answering, after its thought.

    A thought without an end is closed where the reply continues with another part. A non-empty
    title shows a progress bar.
    """
    call, answer = codec.id("<tool_token>"), codec.id("<response>")
    thoughts = [_thought_of(codec, conversation) for conversation in conversations]
    sizes = [(len(thought), len(thought), 1) for thought in thoughts]
    evidence: dict[int, float] = {}
    with progress_bar(sum(map(len, thoughts)), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            logits = next_logits(model, [thoughts[i] for i in batch], codec.pad)
            odds = (logits[:, call] - logits[:, answer]).tolist()
            evidence |= dict(zip(batch, odds, strict=True))
            bar.update(sum(len(thoughts[i]) for i in batch))
    return [evidence[i] for i in range(len(conversations))]


def _thought_of(codec: Codec, conversation: Conversation) -> list[int]:
    """The prompt and the reply up to the end of its thought."""
    end = codec.id("</think>")
    stop_ids = {codec.id(tag) for tag in ("<tool_token>", "<tool_call>", "<response>")}
    ids: list[int] = []
    for index in conversation.row.ids:
        if index == end or index in stop_ids or index == codec.id(codec.frame.close):
            break
        ids.append(index)
    return [*conversation.prompt, *ids, end]


def auroc(expected: Sequence[bool], evidence: Sequence[float], seed: int = 0) -> Rate:
    """Area under the ROC curve with a stratified bootstrap interval (percentiles, 95 %).

    It is the share of (call, no call) pairs in the right order; ties count half. None if one side
    is missing. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    positives = np.array([v for v, e in zip(evidence, expected, strict=True) if e])
    negatives = np.array([v for v, e in zip(evidence, expected, strict=True) if not e])
    if not len(positives) or not len(negatives):
        return Rate(None, 0, None, None)
    value = _area(positives, negatives)
    rng = np.random.default_rng(seed)
    areas = [
        _area(rng.choice(positives, len(positives)), rng.choice(negatives, len(negatives)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(areas, [0.025, 0.975])
    return Rate(
        value, len(positives) + len(negatives), min(float(low), value), max(float(high), value)
    )


def _area(positives: np.ndarray, negatives: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([positives, negatives]))[: len(positives)].sum()
    return float(
        (ranks - len(positives) * (len(positives) + 1) / 2) / (len(positives) * len(negatives))
    )


def false_calls(conversations: Sequence[Conversation]) -> dict[str, Rate]:
    """Kind of query that needs no call -> share of replies that name or call a tool."""
    groups: dict[str, list[Conversation]] = {}
    for conversation in conversations:
        if not conversation.query.expects_call:
            kind = KINDS.get(conversation.query.kind, conversation.query.kind or "no_tool")
            groups.setdefault(f"false_call_{kind}", []).append(conversation)
    return {
        name: rate([c.reply.calls_tools for c in group], [c.query.phrasings for c in group])
        for name, group in sorted(groups.items())
    }
