"""Phase 2, sft: supervised warm-up on reasoning traces.

A trace's thought says what is needed, recalls the tool and its parameters from memory,
and then calls. Loss on the assistant's tokens only. Several documents modes in one run.
Alignment pairs and generic tasks are replayed: plain SFT erases phase 1 (docs/notebook.md).
A base that was never aligned can be warmed up with documents in its prompt, the usual way,
to compare with: parent=base@latest catalogue=[...] documents={retrieved: 1}.
Source: TInR-U, arXiv 2604.10788, phase 2.
"""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tinr.catalogue import load_catalogue, read_queries
from tinr.cli.phase import main
from tinr.config import TrainingConfig
from tinr.model import grow
from tinr.packing import Batch, Example, make_batches
from tinr.pairs import PairMix
from tinr.records import BadInput, DocumentsMode, Query
from tinr.registry import Card
from tinr.replay import (
    aligned_examples,
    generic_examples,
    pseudo_queries,
    tokens_in,
    trace_examples,
    unqueried_examples,
)
from tinr.retrieval import DocumentsConfig, Library
from tinr.stage import PhaseConfig, Stage, begin
from tinr.tokens import Codec
from tool_corpora.suites import training_queries


@dataclass(frozen=True)
class SftConfig(PhaseConfig):
    """Settings of phase 2."""

    parent: str = "align@latest"
    queries: str = "corpus"  # "corpus": the shipped corpora's; else a queries.jsonl
    size: int = 6000  # queries drawn from the shipped corpora
    pseudo: int = 0  # traces of pseudo-queries worded from the document, for each tool that
    # has no query here; for a model that was never aligned with any
    epochs: int = 1  # over the queries
    catalogue: tuple[str, ...] = ()  # only where the parent is a base; tools are then names
    documents: dict[DocumentsMode, float] = field(
        default_factory=lambda: {"none": 0.75, "on_select": 0.25}
    )  # shares of the traces
    prompt: DocumentsConfig = field(default_factory=DocumentsConfig)
    replay_pairs: int = 3  # epochs of phase 1 pairs replayed in every epoch
    mix: PairMix = field(default_factory=PairMix)  # of the replayed pairs
    unqueried: int = 4  # more pseudo-queries of each form for tools that have no query here
    replay: float = 0.15  # generic tasks, as a share of the traces' tokens
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tolerance: float = 0.01  # largest fall of each recall since phase 1


def run(config: SftConfig) -> Card:
    """Warm an aligned checkpoint up; returns the published card, or the one that is there."""
    catalogue = load_catalogue(config.catalogue) if config.catalogue else None
    stage = begin("sft", config, parents=("align", "sft", "base"), catalogue=catalogue)
    if stage.published:
        return stage.published
    model, tokenizer = stage.load()
    if stage.parent.phase == "base":
        grow(model, tokenizer, stage.catalogue, tools_as="names")
    codec = Codec(tokenizer)
    library = Library(stage.catalogue, config.prompt, config.seed)
    queries, asked = draw_queries(config, stage)
    batches = [
        b for epoch in range(config.epochs) for b in _epoch(config, codec, library, asked, epoch)
    ]
    with stage.log() as log:
        trained = stage.train(model, codec, batches, config.training, log)
        return stage.conclude(trained, codec, stage.floor(config.tolerance), queries)


def draw_queries(config: SftConfig, stage: Stage) -> tuple[list[Query], list[Query]]:
    """The training queries, and these with the pseudo-queries beside them."""
    queries = load_queries(config.queries, config.size, config.seed, stage)
    rng = Random(f"{config.seed}/sft/pseudo")
    return queries, [*queries, *pseudo_queries(stage.catalogue, queries, config.pseudo, rng)]


def load_queries(source: str, size: int, seed: int, stage: Stage, drawn: str = "") -> list[Query]:
    """Training queries of a phase: the shipped corpora's, or a user's file.

    drawn: the phase as which they are drawn, where it is another's own that are wanted.
    """
    if source == "corpus":
        queries = training_queries(size, seed, drawn or stage.phase)
        unknown = {c.name for q in queries for c in q.calls} - set(stage.catalogue.by_name)
        if unknown:
            raise BadInput(
                f"queries=corpus: this catalogue lacks {min(unknown)!r} and {len(unknown) - 1} "
                "more of the shipped tools; give queries=FILE of your own"
            )
        return queries
    queries = read_queries(Path(source), stage.catalogue)
    if not queries:
        raise BadInput(f"{source}: no queries; give at least one")
    return queries


def _epoch(
    config: SftConfig, codec: Codec, library: Library, queries: list[Query], epoch: int
) -> list[Batch]:
    examples = epoch_examples(config, codec, library, queries, epoch)
    return make_batches(examples, config.training, config.seed + epoch, codec.pad)


def epoch_examples(
    config: SftConfig, codec: Codec, library: Library, queries: list[Query], epoch: int
) -> list[Example]:
    """One epoch of traces with its replay."""
    rng = Random(f"{config.seed}/sft/{epoch}")
    traces = trace_examples(codec, library, queries, config.documents, rng)
    pairs = [
        example
        for _ in range(config.replay_pairs)
        for example in aligned_examples(codec, library.catalogue, config.mix, rng)
    ]
    pairs += unqueried_examples(codec, library.catalogue, queries, config.unqueried, rng)
    return traces + pairs + generic_examples(codec, rng, config.replay * tokens_in(traces))


if __name__ == "__main__":
    main("sft")
