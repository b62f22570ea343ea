"""Phase 2, sft: supervised warm-up on reasoning traces.

A trace's thought recalls the tool and its parameters and finds their values; then the call
follows. Only the assistant's tokens carry loss. One run mixes several documents modes.
Alignment pairs and the base's own completions of plain prompts are replayed, because plain SFT
erases phase 1 (docs/notebook.md).
Easy queries can come before hard ones (`curriculum`; off by default).
For comparison, a base that was never aligned can be trained the usual way, with documents in its
prompt: parent=base@latest catalogue=[...] documents={retrieved: 1}.
Source: TInR-U, arXiv 2604.10788, phase 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated

from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.load import load_catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.model import grow
from tinr.command import main
from tinr.config import ChoiceConfig, Count, TrainingConfig, Weight, Whole
from tinr.data.alignment_examples import PairMix
from tinr.data.curriculum import CurriculumConfig, buckets
from tinr.data.earlier_turns import some_after_others
from tinr.data.own_completions import OwnCompletions, own_completions, own_examples
from tinr.data.paced_batches import paced_batches
from tinr.data.packing import Example, fitting
from tinr.data.query_sets import load_queries
from tinr.data.replay import (
    aligned_examples,
    pseudo_queries,
    tokens_in,
    tools_without_queries,
    trace_examples,
    unqueried_examples,
)
from tinr.records import BadInput, DocumentsMode, Query
from tinr.training.choice_margins import ChoiceMargins
from tinr.training.phase_run import Phase, PhaseConfig, begin

PARENTS = ("align", "sft", "base", "update")
OWN_TIMES = 4  # a user's own queries are few beside the shipped ones


@dataclass(frozen=True)
class SftConfig(PhaseConfig):
    """Settings of phase 2."""

    parent: str = "align@latest"
    queries: Annotated[str, Doc("corpus: those of the shipped corpora; else a queries.jsonl")] = (
        "corpus"
    )
    size: Annotated[Count, Doc("queries drawn from the shipped corpora")] = 6000
    own_queries: Annotated[
        str, Doc(f"a queries.jsonl taught as well, each of its queries {OWN_TIMES} times per epoch")
    ] = ""
    pseudo: Annotated[
        Whole, Doc("pseudo-queries per tool without queries; for a model that was never aligned")
    ] = 0
    epochs: Annotated[Whole, Doc("epochs over the queries")] = 1
    catalogue: Annotated[
        tuple[str, ...], Doc("only if the parent is a base; tools are then written as names")
    ] = ()
    documents: Annotated[dict[DocumentsMode, float], Doc("mode -> share of the traces")] = field(
        default_factory=lambda: {"none": 0.75, "on_select": 0.25}
    )
    prompt: DocumentsConfig = field(default_factory=DocumentsConfig)
    failing: Annotated[
        Weight, Doc("share of the traces in which a call fails, and is corrected or reported")
    ] = 0.1
    continued: Annotated[
        Weight, Doc("share of the traces that follow one or two other queries and their answers")
    ] = 0.1
    keep_queries: Annotated[
        bool, Doc("store the queries in the checkpoint; updates contrast new tools with them")
    ] = False
    replay_pairs: Annotated[Whole, Doc("epochs of phase 1 pairs replayed per epoch")] = 3
    mix: Annotated[PairMix, Doc("mix of the replayed pairs")] = field(default_factory=PairMix)
    unqueried: Annotated[
        Whole, Doc("further pseudo-queries of each form per tool without queries")
    ] = 4
    replay: Annotated[
        Weight, Doc("the base's own completions, as a share of the traces' tokens")
    ] = 0.1
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tolerance: Annotated[Weight, Doc("maximum drop of each recall since phase 1")] = 0.01

    def __post_init__(self) -> None:
        if not sum(self.documents.values()):
            raise BadInput("documents: no mode has a share; write documents={none: 1}")


def run(config: SftConfig) -> Card:
    """Warm up an aligned checkpoint. Returns the published card, or an existing one."""
    catalogue = load_catalogue(config.catalogue) if config.catalogue else None
    phase = begin("sft", config, parents=PARENTS, catalogue=catalogue)
    if phase.published:
        return phase.published
    model, tokenizer = phase.load()
    if phase.parent.phase == "base":
        grow(model, tokenizer, phase.catalogue, tools_as="names")
    codec = Codec(tokenizer)
    library = Library(phase.catalogue, config.prompt, config.seed)
    queries, trace_queries = draw_queries(config, phase)
    own = own_completions(phase.registry, phase.parent.id, config.seed, config.replay)
    schedule = paced_batches(
        lambda order, epoch: bucket_examples(config, codec, library, order, own, epoch),
        buckets(trace_queries, phase.catalogue, config.curriculum, config.seed),
        config.epochs,
        config.curriculum.epochs,
        config.training,
        config.seed,
        codec.pad,
    )
    with phase.log() as log:
        log.beside = schedule.beside(config.training.accumulate * distributed.world())
        silent_tools = tools_without_queries(phase.catalogue, queries)
        margins = ChoiceMargins.of(codec, silent_tools, config.choice)
        result = phase.train(
            model, codec, schedule.batches, config.training, log, own.teacher, margins=margins
        )
        floor = phase.floor(config.tolerance)
        beside = queries if config.keep_queries else ()
        return phase.conclude(result, codec, floor, queries, schedule.taught, beside=beside)


def draw_queries(config: SftConfig, phase: Phase) -> tuple[list[Query], list[Query]]:
    """Load the training queries. Returns them, and what is taught: repeated, with invented ones."""

    def load(source: str) -> list[Query]:
        return load_queries(source, config.size, config.seed, phase.catalogue, phase.name)

    queries = load(config.queries)
    own = load(config.own_queries) if config.own_queries else []
    rng = Random(f"{config.seed}/sft/pseudo")
    known = [*queries, *own]
    invented = pseudo_queries(phase.catalogue, known, config.pseudo, rng)
    return known, [*queries, *own * OWN_TIMES, *invented]


def epoch_examples(
    config: SftConfig,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    own: OwnCompletions,
    epoch: int,
) -> list[Example]:
    """Make one epoch of traces with its replay, unordered."""
    return bucket_examples(config, codec, library, [queries], own, epoch)[0]


def bucket_examples(
    config: SftConfig,
    codec: Codec,
    library: Library,
    order: Sequence[Sequence[Query]],
    own: OwnCompletions,
    epoch: int,
) -> list[list[Example]]:
    """Make each bucket's traces and replay; the replay is divided in proportion to the tokens."""
    rng = Random(f"{config.seed}/sft/{epoch}")
    continued = [some_after_others(bucket, config.continued, rng) for bucket in order]
    traces = [
        trace_examples(codec, library, bucket, config.documents, rng, config.failing)
        for bucket in continued
    ]
    bucket_lists = [fitting(examples, config.training.max_tokens, "traces") for examples in traces]
    replay = [
        example
        for _ in range(config.replay_pairs)
        for example in aligned_examples(codec, library.catalogue, config.mix, rng)
    ]
    queries = [query for bucket in order for query in bucket]
    replay += unqueried_examples(codec, library.catalogue, queries, config.unqueried, rng)
    tokens = [tokens_in(bucket_list) for bucket_list in bucket_lists]
    replay += own_examples(own, codec, rng, config.replay * sum(tokens))
    if len(bucket_lists) == 1:
        return [[*bucket_lists[0], *replay]]
    rng.shuffle(replay)
    ends = [
        round(sum(tokens[: n + 1]) / sum(tokens) * len(replay)) for n in range(len(bucket_lists))
    ]
    starts = [0, *ends[:-1]]
    return [[*p, *replay[a:b]] for p, a, b in zip(bucket_lists, starts, ends, strict=True)]


if __name__ == "__main__":
    main(SftConfig, run)
