"""Examples that keep what was learned before: alignment pairs, pseudo-queries, reference traces.

Without them phase 2 erases phase 1 (recall from 100 % to 0 % in our trials). What keeps the
base's own skills stands in `tinr.data.own_completions`.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from random import Random

from tinr import distributed
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.config import TrainingConfig
from tinr.data.alignment_examples import PairMix, make_pairs
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.pseudo_queries import Wording
from tinr.data.traces import render_trace
from tinr.records import BadInput, DocumentsMode, Query


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
    silent = _silent(catalogue, queries)
    usage = PairMix.only(pseudo=count, naming=count)
    return aligned_examples(codec, catalogue, usage, rng, only=silent)


def pseudo_queries(
    catalogue: Catalogue, queries: Sequence[Query], count: int, rng: Random
) -> list[Query]:
    """`count` queries worded from its document for each tool that has none of its own.

    Only their calls can be scored. Without them a model learns to prefer the tools that have
    queries.
    """
    wording = Wording(catalogue)
    made: list[Query] = []
    for name in sorted(_silent(catalogue, queries)):
        for number in range(count):
            text, call = wording.write(catalogue.by_name[name], rng)
            made.append(Query(f"pseudo-{name}-{number}", text, ((call,),), kind="pseudo"))
    return made


def _silent(catalogue: Catalogue, queries: Sequence[Query]) -> set[str]:
    """The tools that no query asks for, those worded from documents aside."""
    asked = {call.name for query in queries if query.kind != "pseudo" for call in query.calls}
    return set(catalogue.by_name) - asked


def teachable(queries: Sequence[Query], source: str) -> list[Query]:
    """The queries whose reference says which calls with which arguments are right, and depends on
    nothing that was said after them.

    The others are counted in a UserWarning; BadInput where none is left.
    """
    kept = [query for query in queries if query.teachable]
    left_out = len(queries) - len(kept)
    said = (
        f"{source}: {left_out} of {len(queries)} queries say no arguments, or not which call, or "
        "depend on what followed them"
    )
    if not kept:
        raise BadInput(f"{said}; give queries with whole reference calls")
    if left_out and distributed.rank() == 0:
        warnings.warn(f"{said}, and are left out", stacklevel=2)
    return kept


def trace_examples(
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    shares: Mapping[DocumentsMode, float],
    rng: Random,
) -> list[Example]:
    """Reference traces of queries, each in a documents mode drawn by the modes' shares."""
    modes = rng.choices(list(shares), list(shares.values()), k=len(queries))
    made: list[Example] = []
    for mode in shares:
        some = [query for query, drawn in zip(queries, modes, strict=True) if drawn == mode]
        for query, docs in zip(some, library.shown(some, mode, taught=True), strict=True):
            trace = render_trace(query, library.catalogue, codec.frame, mode == "on_select", docs)
            made.append(Example(*codec.encode(trace)))
    return made


def kept_examples(
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    modes: Mapping[DocumentsMode, float],
    mix: PairMix,
    unqueried: int,
    traces: int,
    rng: Random,
) -> list[Example]:
    """An epoch of what a policy must keep: alignment pairs, reference traces of some queries."""
    pairs = aligned_examples(codec, library.catalogue, mix, rng)
    pairs += unqueried_examples(codec, library.catalogue, queries, unqueried, rng)
    some = rng.sample(queries, min(traces, len(queries)))
    return pairs + trace_examples(codec, library, some, modes, rng)


def endless(
    epoch_examples: Callable[[int], Sequence[Example]], config: TrainingConfig, pad: int
) -> Iterator[Batch]:
    """Batches of epoch after epoch; BadInput where an epoch has no example."""
    for epoch in count():
        examples = epoch_examples(epoch)
        if not examples:
            raise BadInput(
                "replay: mix, traces and unqueried give no example; raise one of them, or set "
                "replay_weight=0 (policy.replay_weight, preference.replay_weight)"
            )
        yield from make_batches(examples, config, epoch, pad)


def tokens_in(examples: Sequence[Example]) -> int:
    """Tokens of the examples in all."""
    return sum(example.width for example in examples)
