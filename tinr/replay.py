"""Examples that keep what was learned before: generic tasks and alignment pairs.

Without them phase 2 erases phase 1 (recall from 100 % to 0 % in our trials).
"""

from collections.abc import Collection, Sequence
from random import Random

from tinr.base.tasks import HARD, Level, make_task
from tinr.catalogue import Catalogue
from tinr.pairs import PairMix, make_pairs
from tinr.records import Query
from tinr.tokens import Codec
from tinr.traces import render_trace
from tinr.training import Example


def generic_examples(
    codec: Codec, rng: Random, tokens: float, level: Level = HARD
) -> list[Example]:
    """Generic tasks of the base, of at least `tokens` tokens in all (none for 0)."""
    made: list[Example] = []
    while tokens > 0:
        made.append(Example(*codec.encode(make_task(rng, codec.frame, level))))
        tokens -= len(made[-1].ids)
    return made


def aligned_examples(
    codec: Codec,
    catalogue: Catalogue,
    mix: PairMix,
    rng: Random,
    alpha: float = 1.0,
    beta: float = 1.0,
    only: Collection[str] | None = None,
) -> list[Example]:
    """One epoch of phase 1: memorise + alpha recall + beta usage."""
    weights = {"memorise": 1.0, "recall": alpha, "schema": alpha}
    return [
        Example(*codec.encode(pair.pieces), weights.get(pair.form, beta))
        for pair in make_pairs(catalogue, codec.frame, mix, rng, only)
    ]


def unqueried_examples(
    codec: Codec, catalogue: Catalogue, queries: Sequence[Query], count: int, rng: Random
) -> list[Example]:
    """`count` pseudo-queries, and as many up to the names, for each tool that has no query here.

    Tools with queries of their own outweigh the others without them.
    """
    silent = set(catalogue.by_name) - {call.name for query in queries for call in query.calls}
    usage = PairMix(0, 0, 0, pseudo=count, naming=count, blind=0)
    return aligned_examples(codec, catalogue, usage, rng, only=silent)


def trace_examples(
    codec: Codec, catalogue: Catalogue, queries: Sequence[Query], on_select: Sequence[bool] = ()
) -> list[Example]:
    """Reference traces of queries; `on_select` says for each whether documents are shown."""
    shown = on_select or [False] * len(queries)
    return [
        Example(*codec.encode(render_trace(query, catalogue, codec.frame, show)))
        for query, show in zip(queries, shown, strict=True)
    ]


def tokens_in(examples: list[Example]) -> int:
    """Tokens of the examples in all."""
    return sum(len(example.ids) for example in examples)
