"""What the phases that work on hard queries begin with: calibrate, and reject beside it.

The same queries, some of them kept apart; what the parent gets wrong on these, measured once; and
a folder for what every run from one parent can share.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec
from tinr.checkpoints.fingerprint import contents, fingerprint, settings
from tinr.config import Count, Formerly, Positive, Weight, Whole
from tinr.data.alignment_examples import PairMix
from tinr.data.packing import Example
from tinr.data.replay import kept_examples
from tinr.evaluation.errors.faults import Faults
from tinr.files import write_text
from tinr.records import BadInput, Query
from tinr.rollout.conversation import REPLY_TOKENS, fitting_queries
from tinr.rollout.tools.executor import Executor, ExecutorConfig
from tinr.training.phase_run import PhaseConfig, Stage
from tinr.training.preference.rounds import measure

QUERIES = ("queries", "size", "holdout", "hard_fraction", "seed")  # settings that say what is asked


@dataclass(frozen=True)
class HardConfig(PhaseConfig):
    """Which queries are asked, how many of them are hard, and what is replayed."""

    parent: str = "sft@latest"
    queries: Annotated[str, Doc("corpus: those of the shipped corpora; else a queries.jsonl")] = (
        "corpus"
    )
    size: Annotated[Count, Doc("queries drawn from the shipped corpora")] = 2000
    holdout: Annotated[
        Count, Formerly("held"), Doc("of them kept apart, to count deficiencies before and after")
    ] = 200
    hard_fraction: Annotated[
        Positive,
        Formerly("hardest"),
        Doc("share that is asked, of queries with and without a call apart"),
    ] = 0.3
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    mix: Annotated[PairMix, Doc("of the replayed pairs")] = field(default_factory=PairMix)
    unqueried: Annotated[
        Whole, Doc("more pseudo-queries of each form for tools that have no query here")
    ] = 4
    traces: Annotated[
        Whole, Doc("reference traces replayed with each epoch of what is learned")
    ] = 600
    tolerance: Annotated[Weight, Doc("largest fall of each recall since phase 1")] = 0.01


def fitting(
    model: PreTrainedModel,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    max_tokens: int,
) -> list[Query]:
    """The queries whose prompts leave room for a reply when they are measured and, of up to
    `max_tokens` tokens, when they are sampled."""
    return fitting_queries(model, codec, library, queries, ("none",), max(REPLY_TOKENS, max_tokens))


def part(queries: Sequence[Query], held: int) -> tuple[list[Query], list[Query]]:
    """The queries that are kept apart, and the others; BadInput where none are left."""
    if len(queries) <= held:
        raise BadInput(
            f"holdout={held}: all of the {len(queries)} queries would be kept apart; give more "
            "queries or keep fewer apart"
        )
    return list(queries[:held]), list(queries[held:])


def measure_start(
    config: PhaseConfig,
    stage: Stage,
    model: PreTrainedModel,
    codec: Codec,
    held: list[Query],
    executor: Executor,
) -> Faults:
    """What the parent gets wrong, measured once for all that starts from it."""
    kept = shared_folder(config, stage, held, (*QUERIES, "executor")) / "before.json"

    def look() -> Faults:
        if not kept.is_file():
            found = measure(model, codec, held, stage.catalogue, executor, "before")
            write_text(kept, json.dumps(found))
        return json.loads(kept.read_text())

    return distributed.shared(look)


def shared_folder(
    config: PhaseConfig, stage: Stage, asked: Sequence[Query], keys: Sequence[str] = QUERIES
) -> Path:
    """A folder that is the same for every run from this parent whose settings `keys` agree, and
    the queries that are asked: which of them fit the context depends on other settings too.

    Beside the step checkpoints, but not removed by a publication: `tinr registry gc` does it.
    """
    given = settings(config)
    mark = fingerprint(
        {key: given[key] for key in keys},
        [query.id for query in asked],
        stage.parent.id,
        stage.catalogue.hash,
        *contents(config),
    )
    return stage.registry.steps("search", mark).folder


def replayed(
    config: HardConfig,
    codec: Codec,
    library: Library,
    queries: list[Query],
    mark: str,
    epoch: int,
) -> list[Example]:
    """An epoch of alignment pairs and reference traces; `mark` says of which run or round."""
    rng = Random(f"{config.seed}/{mark}/{epoch}")
    return kept_examples(
        codec, library, queries, {"none": 1.0}, config.mix, config.unqueried, config.traces, rng
    )
