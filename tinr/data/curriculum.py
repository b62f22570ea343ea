"""Train on easy queries before hard ones: the difficulty and the bucket of a query. No torch.

The difficulty of a query is the weighted mean of its ranks, each a share in [0, 1], among the
queries of the run. Queries are ranked by their numbers of calls, of arguments of the calls, of
documents in the catalogue that are similar to those of their tools, and of words in their messages.
Equal values have equal ranks.
Source: iTool, arXiv 2501.09766, warm-up from easy to hard.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Annotated, Literal

import numpy as np
from scipy.stats import rankdata
from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.catalogue.similar import near_duplicates, words_of_text
from tinr.config import Weight
from tinr.records import BadInput, Query

Feature = Literal["calls", "parameters", "neighbours", "length"]


@dataclass(frozen=True)
class CurriculumConfig:
    """Buckets and pacing; off without a border."""

    borders: Annotated[
        tuple[float, ...],
        Doc(
            "shares of the queries, easiest first, at which the next harder bucket begins,"
            " such as [0.4, 0.7]"
        ),
    ] = ()
    weights: dict[Feature, Weight] = field(
        default_factory=lambda: {"calls": 1.0, "parameters": 1.0, "neighbours": 1.0, "length": 1.0}
    )
    near: Annotated[float, Doc("minimum cosine similarity of a neighbouring document")] = 0.3
    mixed: Annotated[float, Doc("share of the queries that are shuffled among the buckets")] = 0.0
    epochs: Annotated[int, Doc("number that go from easy to hard; later ones are unordered")] = 1

    def __post_init__(self) -> None:
        steps = (0.0, *self.borders, 1.0)
        if not all(a < b for a, b in pairwise(steps)):
            raise BadInput(
                f"curriculum.borders={list(self.borders)}: not increasing between 0 and 1; give "
                "shares such as [0.4, 0.7]"
            )
        if not 0 <= self.mixed <= 1:
            raise BadInput(f"curriculum.mixed={self.mixed}: not a share; give 0 to 1")
        if self.borders and not any(weight > 0 for weight in self.weights.values()):
            raise BadInput(
                "curriculum.weights: none is above 0; give at least one feature a positive weight"
            )


@dataclass(frozen=True)
class Bucket:
    """Queries that share a training stage, and their difficulties."""

    queries: tuple[Query, ...]
    low: float  # lowest difficulty
    mean: float
    high: float


def features(queries: Sequence[Query], catalogue: Catalogue, near: float) -> dict[Feature, list]:
    """Measure each feature of each query."""
    neighbour_counts: Counter[str] = Counter()
    for pair in near_duplicates(catalogue.tools, near):
        neighbour_counts.update((pair.first, pair.second))
    texts = (" ".join([q.text, *(m.content for m in q.history)]) for q in queries)
    return {
        "calls": [len(q.calls) for q in queries],
        "parameters": [sum(len(c.arguments) for c in q.calls) for q in queries],
        "neighbours": [
            sum(neighbour_counts[name] for name in {c.name for c in q.calls}) for q in queries
        ],
        "length": [len(words_of_text(text)) for text in texts],
    }


def difficulties(
    measured: Mapping[Feature, Sequence[float]], weights: Mapping[Feature, float]
) -> list[float]:
    """Return the weighted mean of each query's ranks, in [0, 1].

    A rank is the share of easier queries plus half of the share of equal ones.
    """
    total = sum(weights.values())
    terms = [
        weight * (rankdata(measured[name]) - 0.5) / len(measured[name])
        for name, weight in weights.items()
        if weight
    ]
    return [float(value) for value in np.sum(terms, axis=0) / total]


def buckets(
    queries: Sequence[Query], catalogue: Catalogue, config: CurriculumConfig, seed: int
) -> list[Bucket]:
    """Put every query into one of the buckets, the easiest bucket first.

    Queries keep their input order within a bucket. Raises BadInput if a bucket is empty.
    """
    if not config.borders:
        return [Bucket(tuple(queries), 0.0, 0.5, 1.0)]
    scores = difficulties(features(queries, catalogue, config.near), config.weights)
    order = sorted(range(len(queries)), key=lambda i: scores[i])
    ends = [round(share * len(queries)) for share in (*config.borders, 1.0)]
    bucket_of = {i: sum(rank >= end for end in ends) for rank, i in enumerate(order)}
    rng = Random(f"{seed}/curriculum")
    moved_indices = rng.sample(order, round(config.mixed * len(order)))
    new_buckets = [bucket_of[i] for i in moved_indices]
    rng.shuffle(new_buckets)  # buckets keep their sizes
    bucket_of |= dict(zip(moved_indices, new_buckets, strict=True))
    query_buckets: list[Bucket] = []
    for number in range(len(ends)):
        members = [i for i in range(len(queries)) if bucket_of[i] == number]
        if not members:
            raise BadInput(
                f"curriculum.borders={list(config.borders)}: bucket {number + 1} has none of the "
                f"{len(queries)} queries; give fewer borders or more queries"
            )
        bucket_scores = [scores[i] for i in members]
        mean = sum(bucket_scores) / len(bucket_scores)
        query_buckets.append(
            Bucket(tuple(queries[i] for i in members), min(bucket_scores), mean, max(bucket_scores))
        )
    return query_buckets
