"""Whether a model knows when to call: false calls by kind, and how well its evidence separates.

The evidence of a reply is log p(<tool_token>) - log p(<response>) right after its own thought,
whatever it wrote then; the area under the ROC curve says how often a query that needs a call
has more of it than one that needs none. 0.5 is chance.
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
    model: PreTrainedModel, codec: Codec, done: Sequence[Conversation], title: str = ""
) -> list[float]:
    """For each conversation the log-odds of naming tools against answering, after its thought.

    A thought that was never closed is closed where the reply went on to something else. A title
    shows progress.
    """
    call, answer = codec.id("<tool_token>"), codec.id("<response>")
    thoughts = [_thought_of(codec, conversation) for conversation in done]
    sizes = [(len(thought), len(thought), 1) for thought in thoughts]
    evidence: dict[int, float] = {}
    with progress_bar(sum(map(len, thoughts)), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            logits = next_logits(model, [thoughts[i] for i in batch], codec.pad)
            odds = (logits[:, call] - logits[:, answer]).tolist()
            evidence |= dict(zip(batch, odds, strict=True))
            bar.update(sum(len(thoughts[i]) for i in batch))
    return [evidence[i] for i in range(len(done))]


def _thought_of(codec: Codec, done: Conversation) -> list[int]:
    """The prompt and the reply up to the end of its thought."""
    end = codec.id("</think>")
    others = {codec.id(tag) for tag in ("<tool_token>", "<tool_call>", "<response>")}
    ids: list[int] = []
    for index in done.row.ids:
        if index == end or index in others or index == codec.id(codec.frame.close):
            break
        ids.append(index)
    return [*done.prompt, *ids, end]


def auroc(expected: Sequence[bool], evidence: Sequence[float], seed: int = 0) -> Rate:
    """Area under the ROC curve with a stratified bootstrap interval (percentiles, 95 %).

    It is the share of (call, no call) pairs in the right order, ties half; None where one
    side is missing. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    yes = np.array([v for v, e in zip(evidence, expected, strict=True) if e])
    no = np.array([v for v, e in zip(evidence, expected, strict=True) if not e])
    if not len(yes) or not len(no):
        return Rate(None, 0, None, None)
    value = _area(yes, no)
    rng = np.random.default_rng(seed)
    drawn = [_area(rng.choice(yes, len(yes)), rng.choice(no, len(no))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Rate(value, len(yes) + len(no), min(float(low), value), max(float(high), value))


def _area(yes: np.ndarray, no: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([yes, no]))[: len(yes)].sum()
    return float((ranks - len(yes) * (len(yes) + 1) / 2) / (len(yes) * len(no)))


def false_calls(done: Sequence[Conversation]) -> dict[str, Rate]:
    """Kind of query that needs no call -> share of replies that name or call a tool."""
    groups: dict[str, list[bool]] = {}
    for one in done:
        if not one.query.expects_call:
            kind = KINDS.get(one.query.kind, one.query.kind or "no_tool")
            groups.setdefault(f"false_call_{kind}", []).append(one.reply.calls_tools)
    return {name: rate(hits) for name, hits in sorted(groups.items())}
