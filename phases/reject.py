"""Optional phase, reject: supervised training on the policy's own right replies.

The baseline for calibration at the same cost. It samples replies to the queries that are hardest
for the policy until it has written as many tokens as a search, and keeps those whose calls are
right. The supervised loop trains on them, with the same replay.
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
from tinr.records import Query, RunFailed
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
    """Settings of the optional phase; queries and replay as in calibrate."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    epochs: Annotated[Count, Doc("epochs over the kept replies")] = 2
    training: TrainingConfig = field(default_factory=TrainingConfig)


def run(config: RejectConfig) -> Card:
    """Train on right replies of a checkpoint. Returns the published card, or an existing one."""
    phase = begin("reject", config, parents=("sft", "grpo", "calibrate", "reject", "update"))
    if phase.published:
        return phase.published
    model, tokenizer = phase.load()
    to_accelerator(model)  # it generates before training
    codec = Codec(tokenizer)
    queries = load_queries(config.queries, config.size, config.seed, phase.catalogue, "calibrate")
    library = Library(phase.catalogue, DocumentsConfig(), config.seed)
    queries = fitting(model, codec, library, queries, config.sampling.max_tokens)
    holdout_queries, sample_queries = part(queries, config.holdout)
    with (
        phase.log() as log,
        corpus_executor(phase.catalogue, config.executor) as executor,
    ):
        start_faults = measure_start(config, phase, model, codec, holdout_queries, executor)

        def look() -> Sampled:
            path = shared_folder(config, phase, sample_queries) / "hard.json"
            hard = hard_queries(model, codec, library, sample_queries, config.hard_fraction, path)
            return sample_right(
                model, codec, hard, phase.catalogue, executor, config.sampling,
                phase.steps.folder, config.seed,
            )  # fmt: skip

        sample = distributed.shared(look)
        if not sample.examples:
            raise RunFailed(
                f"reject: none of {sample.replies} replies was right; nothing was published. "
                "Sample more (sampling.budget), raise hard_fraction, or train sft longer"
            )
        batches = (
            batch
            for epoch in range(config.epochs)
            for batch in _epoch(config, codec, library, queries, sample, epoch)
        )
        result = phase.train(model, codec, batches, config.training, log)
        end_faults = distributed.shared(
            lambda: measure(
                result.model, codec, holdout_queries, phase.catalogue, executor, "after"
            )
        )
        metrics = {
            "before": counted(start_faults),
            "after": counted(end_faults),
            "changes": changes(start_faults, end_faults),
            "sampled": sample.spent,
        }
        return phase.conclude(result, codec, phase.floor(config.tolerance), queries, metrics)


def _epoch(
    config: RejectConfig,
    codec: Codec,
    library: Library,
    queries: list[Query],
    sample: Sampled,
    epoch: int,
) -> Iterator[Batch]:
    """Make batches of the right replies and the replay."""
    replay = replayed(config, codec, library, queries, "reject", epoch)
    return make_batches(
        [*sample.examples, *replay], config.training, config.seed + epoch, codec.pad
    )


if __name__ == "__main__":
    main(RejectConfig, run)
