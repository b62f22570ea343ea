"""Examples that preserve what was learned before: alignment pairs, pseudo-queries, traces.

Without them phase 2 erases phase 1 (recall from 100 % to 0 % in our trials).
`tinr.data.own_completions` preserves the base's own skills.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from random import Random

from tinr import distributed
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.config import TrainingConfig
from tinr.data.alignment_examples import PairMix, make_pairs
from tinr.data.bindings import options_of
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.pseudo_queries import Wording
from tinr.data.traces import render_trace
from tinr.records import BadInput, DocumentsMode, Query

DRAWS = 6  # requests drawn per request used, because most name another tool too
OPTION_TIMES = 3  # factor of the pseudo-queries for tools with options but without queries


def aligned_examples(
    codec: Codec,
    catalogue: Catalogue,
    mix: PairMix,
    rng: Random,
    alpha: float = 1.0,
    beta: float = 1.0,
    only: Collection[str] | None = None,
) -> list[Example]:
    """Make one epoch of phase 1: memorise + alpha recall + beta usage."""
    weights = {"memorise": 1.0, "recall": alpha, "schema": alpha}
    return [
        Example(*codec.encode(pair.pieces), weights.get(pair.form, beta))
        for pair in make_pairs(catalogue, codec.frame, mix, rng, only)
    ]


def requests_of_one_tool(
    codec: Codec, catalogue: Catalogue, mix: PairMix, rng: Random, names: Collection[str]
) -> dict[int, list[Example]]:
    """Draw distinct examples per tool that contain no other tool's token; maps its id to them."""
    counts, tool_ids = vars(mix), codec.tool_ids
    several = PairMix(**{form: count * DRAWS for form, count in counts.items()})
    alone: dict[tuple[str, str], dict[tuple[int, ...], Example]] = defaultdict(dict)
    for pair in make_pairs(catalogue, codec.frame, several, rng, names):
        example = Example(*codec.encode(pair.pieces))
        if {*tool_ids.values()} & {*example.ids} == {tool_ids[pair.tool]}:
            alone[pair.tool, pair.form][tuple(example.ids)] = example
    return {
        tool_ids[name]: [
            example
            for form, count in counts.items()
            for example in [*alone[name, form].values()][:count]
        ]
        for name in names
    }


def unqueried_examples(
    codec: Codec, catalogue: Catalogue, queries: Sequence[Query], count: int, rng: Random
) -> list[Example]:
    """Make `count` pseudo-queries, and as many up to the names, for each tool without a query.

    Without these examples, tools with queries outweigh the others. Tools with options get more
    pseudo-queries (OPTION_TIMES), because no other example shows which words ask for an option.
    """
    silent_tools = tools_without_queries(catalogue, queries)
    usage = PairMix.only(pseudo=count, naming=count)
    examples = aligned_examples(codec, catalogue, usage, rng, only=silent_tools)
    optional = {name for name in silent_tools if options_of(catalogue.by_name[name])}
    more = PairMix.only(pseudo=count * (OPTION_TIMES - 1))
    return [*examples, *aligned_examples(codec, catalogue, more, rng, only=optional)]


def pseudo_queries(
    catalogue: Catalogue, queries: Sequence[Query], count: int, rng: Random
) -> list[Query]:
    """Write `count` queries from the document of each tool that has no query of its own.

    Only the calls of these queries can be scored. Without them a model learns to prefer the tools
    that have queries.
    """
    wording = Wording(catalogue)
    new_queries: list[Query] = []
    for name in sorted(tools_without_queries(catalogue, queries)):
        doc = catalogue.by_name[name]
        for number in range(count if wording.practicable(doc) else 0):
            text, call = wording.write(doc, rng)
            new_queries.append(Query(f"pseudo-{name}-{number}", text, ((call,),), kind="pseudo"))
    return new_queries


def tools_without_queries(catalogue: Catalogue, queries: Sequence[Query]) -> set[str]:
    """Return the tools that no query calls; pseudo-queries do not count."""
    queried_tools = {
        call.name for query in queries if query.kind != "pseudo" for call in query.calls
    }
    return set(catalogue.by_name) - queried_tools


def teachable(queries: Sequence[Query], source: str) -> list[Query]:
    """Return the queries whose reference states the right calls with their arguments.

    The reference of such a query does not depend on later messages either. A UserWarning counts
    the other queries. Raises BadInput if none remains.
    """
    teachable_queries = [query for query in queries if query.teachable]
    omissions = len(queries) - len(teachable_queries)
    message = (
        f"{source}: {omissions} of {len(queries)} queries have no reference arguments, accept any "
        "call, or depend on later messages"
    )
    if not teachable_queries:
        raise BadInput(f"{message}; give queries with complete reference calls")
    if omissions and distributed.rank() == 0:
        warnings.warn(f"{message}, and are dropped", stacklevel=2)
    return teachable_queries


def trace_examples(
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    shares: Mapping[DocumentsMode, float],
    rng: Random,
    failing: float = 0.0,
) -> list[Example]:
    """Render reference traces of queries, each in a documents mode drawn by the modes' shares.

    failing: share of traces in which a call fails, and is then mended or its error reported.
    """
    modes = rng.choices(list(shares), list(shares.values()), k=len(queries))
    examples: list[Example] = []
    for mode in shares:
        mode_queries = [
            query for query, drawn_mode in zip(queries, modes, strict=True) if drawn_mode == mode
        ]
        for query, docs in zip(
            mode_queries, library.shown(mode_queries, mode, taught=True), strict=True
        ):
            fails = rng if failing and rng.random() < failing else None
            trace = render_trace(
                query, library.catalogue, codec.frame, mode == "on_select", docs, fails
            )
            examples.append(Example(*codec.encode(trace)))
    return examples


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
    """Make an epoch of what a policy must not forget: alignment pairs, traces of some queries."""
    pairs = aligned_examples(codec, library.catalogue, mix, rng)
    pairs += unqueried_examples(codec, library.catalogue, queries, unqueried, rng)
    sample = rng.sample(queries, min(traces, len(queries)))
    return pairs + trace_examples(codec, library, sample, modes, rng)


def endless(
    epoch_examples: Callable[[int], Sequence[Example]], config: TrainingConfig, pad: int
) -> Iterator[Batch]:
    """Yield batches of epoch after epoch; BadInput if an epoch has no example."""
    for epoch in count():
        examples = epoch_examples(epoch)
        if not examples:
            raise BadInput(
                "replay: mix, traces and unqueried give no example; raise one of them, or set "
                "replay_weight=0 (policy.replay_weight, preference.replay_weight)"
            )
        yield from make_batches(examples, config, epoch, pad)


def tokens_in(examples: Sequence[Example]) -> int:
    """Count the tokens of all examples."""
    return sum(example.width for example in examples)
