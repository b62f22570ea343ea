"""Sample the policy's own right replies within a budget of tokens: a baseline for the search.

Rejection sampling is the simplest use of the policy's tokens: it samples whole replies to the same
hard queries and keeps the right ones. The budget counts every token that the model wrote, including
wrong replies, as `search.SearchCost.tokens` does.
Source: rejection-sampling fine-tuning, arXiv 2308.01825.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import IGNORE, Codec
from tinr.config import Count, Formerly, Positive
from tinr.data.packing import Example
from tinr.evaluation.errors.grades import Grade, judge
from tinr.files import write_text
from tinr.progress import progress_bar
from tinr.records import Query
from tinr.rollout.conversation import converse
from tinr.rollout.tools.executor import Executor

CHUNK = 64  # queries sampled and saved together


@dataclass(frozen=True)
class SamplingConfig:
    """Settings of the sampling and of the selection of replies."""

    budget: Annotated[Count, Doc("total tokens that the model writes")] = 400_000
    samples: Annotated[Count, Doc("replies per query and pass over the queries")] = 4
    temperature: Positive = 1.0
    max_tokens: Annotated[Count, Formerly("longest"), Doc("maximum tokens of a reply")] = 256
    most: Annotated[Count, Doc("maximum number of distinct replies kept per query")] = 4
    grades: Annotated[tuple[Grade, ...], Doc("grades of replies to keep")] = ("excellent",)


@dataclass
class Sampled:
    """Replies to train on, and what they cost."""

    examples: list[Example] = field(default_factory=list)
    replies: int = 0
    right: int = 0  # including repetitions and those beyond `most`
    tokens: int = 0  # that the model wrote
    seconds: float = 0.0  # of sampling
    queries: set[str] = field(default_factory=set)  # with at least one kept reply

    @property
    def spent(self) -> dict[str, float]:
        """The figures for the card."""
        kept_counts = {"kept": len(self.examples), "queries": len(self.queries)}
        drawn_counts = {"replies": self.replies, "right": self.right, "tokens": self.tokens}
        return drawn_counts | kept_counts | {"seconds": round(self.seconds, 1)}


def sample_right(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    config: SamplingConfig,
    folder: Path,
    seed: int,
) -> Sampled:
    """Sample replies, pass after pass over the queries, until the budget is spent.

    The last reply may exceed the budget. Every chunk is written to `folder`, and a restarted run
    reads it from there. The function puts the model into eval mode.
    """
    model.eval()
    sample = Sampled()
    seen_ids: set[tuple[int, ...]] = set()
    counts: Counter[str] = Counter()
    with progress_bar(config.budget, "sample", "token") as bar:
        for number, chunk in _chunks(queries):
            path = folder / f"replies-{number:06}.json"
            if not path.is_file():
                rows = _draw(
                    model, codec, chunk, catalogue, executor, config, seed + number * 1_000_003
                )
                write_text(path, json.dumps(rows))
            content = json.loads(path.read_text())
            sample.seconds += content["seconds"]
            for row in content["replies"]:
                if sample.tokens >= config.budget:
                    return sample
                bar.update(row["tokens"])
                sample.tokens += row["tokens"]
                sample.replies += 1
                sample.right += row["ids"] is not None
                if row["ids"] is None or counts[row["query"]] == config.most:
                    continue
                if tuple(row["ids"]) not in seen_ids:
                    seen_ids.add(tuple(row["ids"]))
                    counts[row["query"]] += 1
                    sample.queries.add(row["query"])
                    sample.examples.append(Example(row["ids"], row["labels"]))
    return sample


def _chunks(queries: Sequence[Query]) -> Iterator[tuple[int, Sequence[Query]]]:
    """Yield numbered chunks of the queries, without end."""
    starts = range(0, len(queries), CHUNK)
    for number in count():
        start = starts[number % len(starts)]
        yield number, queries[start : start + CHUNK]


def _draw(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    config: SamplingConfig,
    seed: int,
) -> dict[str, Any]:
    """Sample a chunk's replies: query, tokens written, and ids and labels if the reply is right."""
    start_time = time.monotonic()
    conversations = converse(
        model, codec, queries, catalogue, executor, group=config.samples,
        temperature=config.temperature, max_tokens=config.max_tokens, seed=seed,
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for conversation in conversations:
        row: dict[str, Any] = {
            "query": conversation.query.id,
            "tokens": sum(conversation.row.mask),
            "ids": None,
        }
        if judge(conversation.reply, conversation.query, catalogue).grade in config.grades:
            tokens = zip(conversation.row.ids, conversation.row.mask, strict=True)
            row["ids"] = [*conversation.prompt, *conversation.row.ids]
            row["labels"] = [IGNORE] * len(conversation.prompt) + [
                i if m else IGNORE for i, m in tokens
            ]
        rows.append(row)
    return {"seconds": round(time.monotonic() - start_time, 1), "replies": rows}
