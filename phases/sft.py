"""Phase 2, sft: supervised warm-up on reasoning traces.

A trace's thought says what is needed, recalls the tool and its parameters from memory,
and then calls. Loss on the assistant's tokens only. Several documents modes in one run.
Alignment pairs and what the base itself says to plain prompts are replayed: plain SFT erases
phase 1 (docs/notebook.md).
Easy queries may come before hard ones (`curriculum`; off unless set).
A base that was never aligned can be warmed up with documents in its prompt, the usual way,
to compare with: parent=base@latest catalogue=[...] documents={retrieved: 1}.
Source: TInR-U, arXiv 2604.10788, phase 2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random

from tinr import distributed
from tinr.catalogue.load import load_catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.model import grow
from tinr.command import main
from tinr.config import Count, TrainingConfig, Weight, Whole
from tinr.data.alignment_examples import PairMix
from tinr.data.curriculum import Bucket, CurriculumConfig, buckets
from tinr.data.own_completions import Completion, own_completions, own_examples
from tinr.data.packing import Batch, Example, fitting, make_batches
from tinr.data.query_sets import load_queries
from tinr.data.replay import (
    aligned_examples,
    pseudo_queries,
    tokens_in,
    trace_examples,
    unqueried_examples,
)
from tinr.records import BadInput, DocumentsMode, Query
from tinr.run_log import Beside
from tinr.training.phase_run import PhaseConfig, Stage, begin

PARENTS = ("align", "sft", "base")


@dataclass(frozen=True)
class SftConfig(PhaseConfig):
    """Settings of phase 2."""

    parent: str = "align@latest"
    queries: str = "corpus"  # "corpus": the shipped corpora's; else a queries.jsonl
    size: Count = 6000  # queries drawn from the shipped corpora
    pseudo: Whole = 0  # pseudo-queries for each tool without queries; for a model never aligned
    epochs: Whole = 1  # over the queries
    catalogue: tuple[str, ...] = ()  # only where the parent is a base; tools are then names
    documents: dict[DocumentsMode, float] = field(
        default_factory=lambda: {"none": 0.75, "on_select": 0.25}
    )  # shares of the traces
    prompt: DocumentsConfig = field(default_factory=DocumentsConfig)
    replay_pairs: Whole = 3  # epochs of phase 1 pairs replayed in every epoch
    mix: PairMix = field(default_factory=PairMix)  # of the replayed pairs
    unqueried: Whole = 4  # more pseudo-queries of each form for tools that have no query here
    replay: Weight = 0.1  # the base's own completions, as a share of the traces' tokens
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tolerance: Weight = 0.01  # largest fall of each recall since phase 1

    def __post_init__(self) -> None:
        if not sum(self.documents.values()):
            raise BadInput("documents: no mode has a share; write documents={none: 1}")


def run(config: SftConfig) -> Card:
    """Warm an aligned checkpoint up; returns the published card, or the one that is there."""
    catalogue = load_catalogue(config.catalogue) if config.catalogue else None
    stage = begin("sft", config, parents=PARENTS, catalogue=catalogue)
    if stage.published:
        return stage.published
    model, tokenizer = stage.load()
    if stage.parent.phase == "base":
        grow(model, tokenizer, stage.catalogue, tools_as="names")
    codec = Codec(tokenizer)
    library = Library(stage.catalogue, config.prompt, config.seed)
    queries, asked = draw_queries(config, stage)
    order = buckets(asked, stage.catalogue, config.curriculum, config.seed)
    own = own_completions(stage.registry, stage.parent.id, config.seed) if config.replay else []
    epochs = (_epoch(config, codec, library, order, own, epoch) for epoch in range(config.epochs))
    made = chain.from_iterable(epochs)
    paced = list(made) if config.curriculum.borders else []  # the log and the card tell of them
    numbers = [number for number, _ in paced]
    batches = (batch for _, batch in paced or made)
    with stage.log() as log:
        if paced:
            log.beside = _pace(numbers, order, config.training.accumulate * distributed.world())
        trained = stage.train(model, codec, batches, config.training, log)
        metrics = {"curriculum": _taught(numbers, order)} if paced else {}
        return stage.conclude(trained, codec, stage.floor(config.tolerance), queries, metrics)


def draw_queries(config: SftConfig, stage: Stage) -> tuple[list[Query], list[Query]]:
    """The training queries, and these with the pseudo-queries beside them."""
    queries = load_queries(config.queries, config.size, config.seed, stage.catalogue, stage.phase)
    rng = Random(f"{config.seed}/sft/pseudo")
    return queries, [*queries, *pseudo_queries(stage.catalogue, queries, config.pseudo, rng)]


def _epoch(
    config: SftConfig,
    codec: Codec,
    library: Library,
    order: Sequence[Bucket],
    own: Sequence[Completion],
    epoch: int,
) -> Iterator[tuple[int, Batch]]:
    """An epoch's batches, each with the number of its bucket (-1: all), the easy ones first."""
    seed = config.seed + epoch
    if len(order) > 1 and epoch >= config.curriculum.epochs:
        queries = [query for bucket in order for query in bucket.queries]
        parts = {-1: epoch_examples(config, codec, library, queries, own, epoch)}
    else:
        given = [bucket.queries for bucket in order]
        parts = dict(enumerate(_bucket_examples(config, codec, library, given, own, epoch)))
    for number, part in parts.items():
        for batch in make_batches(part, config.training, seed, codec.pad):
            yield number, batch


def epoch_examples(
    config: SftConfig,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    own: Sequence[Completion],
    epoch: int,
) -> list[Example]:
    """One epoch of traces with its replay, in no order."""
    return _bucket_examples(config, codec, library, [queries], own, epoch)[0]


def _bucket_examples(
    config: SftConfig,
    codec: Codec,
    library: Library,
    order: Sequence[Sequence[Query]],
    own: Sequence[Completion],
    epoch: int,
) -> list[list[Example]]:
    """Each bucket's traces, and of what is replayed a share by the bucket's tokens."""
    rng = Random(f"{config.seed}/sft/{epoch}")
    traces = [trace_examples(codec, library, some, config.documents, rng) for some in order]
    made = [fitting(some, config.training.longest, "traces") for some in traces]
    replay = [
        example
        for _ in range(config.replay_pairs)
        for example in aligned_examples(codec, library.catalogue, config.mix, rng)
    ]
    queries = [query for some in order for query in some]
    replay += unqueried_examples(codec, library.catalogue, queries, config.unqueried, rng)
    tokens = [tokens_in(part) for part in made]
    replay += own_examples(own, rng, config.replay * sum(tokens))
    if len(made) == 1:
        return [[*made[0], *replay]]
    rng.shuffle(replay)
    ends = [round(sum(tokens[: n + 1]) / sum(tokens) * len(replay)) for n in range(len(made))]
    starts = [0, *ends[:-1]]
    return [[*p, *replay[a:b]] for p, a, b in zip(made, starts, ends, strict=True)]


def _pace(numbers: Sequence[int], order: Sequence[Bucket], share: int) -> Beside:
    """Step -> its bucket and how hard that is. numbers: of batches' buckets; share: a step's."""

    def beside(step: int) -> Mapping[str, float]:
        number = numbers[min(step * share, len(numbers)) - 1]
        if number < 0:
            return {}
        return {"train/bucket": float(number), "train/difficulty": order[number].mean}

    return beside


def _taught(numbers: Sequence[int], order: Sequence[Bucket]) -> list[dict[str, float]]:
    """What the card says of each bucket; batches of all epochs that kept the order."""
    return [
        {
            "queries": len(bucket.queries),
            "low": bucket.low,
            "mean": bucket.mean,
            "high": bucket.high,
            "batches": numbers.count(number),
        }
        for number, bucket in enumerate(order)
    ]


if __name__ == "__main__":
    main(SftConfig, run)
