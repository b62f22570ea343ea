"""Optional phase, reject: supervised training on the policy's own right replies.

What calibration is held against at the same cost: replies to the queries that are hardest for
the policy are sampled until as many tokens are written as a search writes, those whose calls are
right are kept, and the supervised loop trains on them beside the same replay.
Source: rejection-sampling fine-tuning, arXiv 2308.01825.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.model import to_accelerator
from tinr.command import main
from tinr.config import Count, TrainingConfig
from tinr.data.packing import Batch, make_batches
from tinr.data.query_sets import load_queries
from tinr.evaluation.errors.faults import counted
from tinr.records import GateFailed, Query
from tinr.rollout.tools.executor import corpus_executor
from tinr.training.phase_run import begin
from tinr.training.preference.hard_queries import hard_queries
from tinr.training.preference.rejection import Sampled, SamplingConfig, sample_right
from tinr.training.preference.rounds import changes, measure
from tinr.training.preference.start import (
    HardConfig,
    fitting,
    measure_start,
    part,
    replayed,
    shared_folder,
)


@dataclass(frozen=True)
class RejectConfig(HardConfig):
    """Settings of the optional phase; queries and replay as calibrate has them."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    epochs: Annotated[Count, Doc("over the replies that are kept")] = 2
    training: TrainingConfig = field(default_factory=TrainingConfig)


def run(config: RejectConfig) -> Card:
    """Train on right replies of a warmed-up checkpoint; the published card, or the one there is."""
    stage = begin("reject", config, parents=("sft", "grpo", "calibrate", "reject"))
    if stage.published:
        return stage.published
    model, tokenizer = stage.load()
    to_accelerator(model)  # it writes before it learns
    codec = Codec(tokenizer)
    queries = load_queries(config.queries, config.size, config.seed, stage.catalogue, "calibrate")
    library = Library(stage.catalogue, DocumentsConfig(), config.seed)
    queries = fitting(model, codec, library, queries, config.sampling.max_tokens)
    held, asked = part(queries, config.holdout)
    with (
        stage.log() as log,
        corpus_executor(stage.catalogue, config.executor) as executor,
    ):
        before = measure_start(config, stage, model, codec, held, executor)

        def look() -> Sampled:
            kept = shared_folder(config, stage, asked) / "hard.json"
            hard = hard_queries(model, codec, library, asked, config.hard_fraction, kept)
            return sample_right(
                model, codec, hard, stage.catalogue, executor, config.sampling,
                stage.steps.folder, config.seed,
            )  # fmt: skip

        sampled = distributed.shared(look)
        if not sampled.examples:
            raise GateFailed(
                f"reject: none of {sampled.replies} replies was right; nothing was published. "
                "Sample more (sampling.budget), raise hard_fraction, or train sft longer"
            )
        batches = (
            batch
            for epoch in range(config.epochs)
            for batch in _epoch(config, codec, library, queries, sampled, epoch)
        )
        trained = stage.train(model, codec, batches, config.training, log)
        after = distributed.shared(
            lambda: measure(trained.model, codec, held, stage.catalogue, executor, "after")
        )
        found = {
            "before": counted(before),
            "after": counted(after),
            "changes": changes(before, after),
            "sampled": sampled.spent,
        }
        return stage.conclude(trained, codec, stage.floor(config.tolerance), queries, found)


def _epoch(
    config: RejectConfig,
    codec: Codec,
    library: Library,
    queries: list[Query],
    sampled: Sampled,
    epoch: int,
) -> Iterator[Batch]:
    """The right replies among what is replayed."""
    replay = replayed(config, codec, library, queries, "reject", epoch)
    return make_batches(
        [*sampled.examples, *replay], config.training, config.seed + epoch, codec.pad
    )


if __name__ == "__main__":
    main(RejectConfig, run)
