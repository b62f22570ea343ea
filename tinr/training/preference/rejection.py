"""The policy's own right replies, sampled within a budget of tokens: what a search is held against.

Rejection sampling spends what the policy writes as plainly as can be: whole replies to the same
hard queries, of which the right ones are kept. The budget counts every token that the model
wrote, those of wrong replies too, as `search.Spent.tokens` does.
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

CHUNK = 64  # queries that are asked together, and kept together


@dataclass(frozen=True)
class SamplingConfig:
    """How replies are drawn, and which are kept."""

    budget: Annotated[Count, Doc("tokens that the model writes, in all")] = 400_000
    samples: Annotated[Count, Doc("replies to a query at a time")] = 4
    temperature: Positive = 1.0
    max_tokens: Annotated[Count, Formerly("longest"), Doc("tokens of a reply")] = 256
    most: Annotated[Count, Doc("different replies kept of one query")] = 4
    grades: Annotated[tuple[Grade, ...], Doc("of a reply that is kept")] = ("excellent",)


@dataclass
class Sampled:
    """Replies to train on, and what they cost."""

    examples: list[Example] = field(default_factory=list)
    replies: int = 0
    right: int = 0  # repetitions and those beyond `most` included
    tokens: int = 0  # that the model wrote
    seconds: float = 0.0  # where they were drawn
    queries: set[str] = field(default_factory=set)  # with a reply that is kept

    @property
    def spent(self) -> dict[str, float]:
        """The figures of a card."""
        kept = {"kept": len(self.examples), "queries": len(self.queries)}
        drawn = {"replies": self.replies, "right": self.right, "tokens": self.tokens}
        return drawn | kept | {"seconds": round(self.seconds, 1)}


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
    """Draw replies, pass after pass over the queries, until the budget is spent.

    The last reply may pass the budget by what is left of it. Every chunk is written to `folder`;
    a killed run reads it there again. The model is put into eval mode.
    """
    model.eval()
    found = Sampled()
    seen: set[tuple[int, ...]] = set()
    kept: Counter[str] = Counter()
    with progress_bar(config.budget, "sample", "token") as bar:
        for number, some in _chunks(queries):
            path = folder / f"replies-{number:06}.json"
            if not path.is_file():
                rows = _draw(
                    model, codec, some, catalogue, executor, config, seed + number * 1_000_003
                )
                write_text(path, json.dumps(rows))
            read = json.loads(path.read_text())
            found.seconds += read["seconds"]
            for row in read["replies"]:
                if found.tokens >= config.budget:
                    return found
                bar.update(row["tokens"])
                found.tokens += row["tokens"]
                found.replies += 1
                found.right += row["ids"] is not None
                if row["ids"] is None or kept[row["query"]] == config.most:
                    continue
                if tuple(row["ids"]) not in seen:
                    seen.add(tuple(row["ids"]))
                    kept[row["query"]] += 1
                    found.queries.add(row["query"])
                    found.examples.append(Example(row["ids"], row["labels"]))
    return found


def _chunks(queries: Sequence[Query]) -> Iterator[tuple[int, Sequence[Query]]]:
    """Numbered parts of the queries, over and over."""
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
    """A chunk's replies: query, tokens written, and ids with labels where it is right."""
    began = time.monotonic()
    done = converse(
        model, codec, queries, catalogue, executor, group=config.samples,
        temperature=config.temperature, max_tokens=config.max_tokens, seed=seed,
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for one in done:
        row: dict[str, Any] = {"query": one.query.id, "tokens": sum(one.row.mask), "ids": None}
        if judge(one.reply, one.query, catalogue).grade in config.grades:
            wrote = zip(one.row.ids, one.row.mask, strict=True)
            row["ids"] = [*one.prompt, *one.row.ids]
            row["labels"] = [IGNORE] * len(one.prompt) + [i if m else IGNORE for i, m in wrote]
        rows.append(row)
    return {"seconds": round(time.monotonic() - began, 1), "replies": rows}
