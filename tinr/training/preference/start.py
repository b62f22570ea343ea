"""The common start of the phases on hard queries, calibrate and reject.

They take the same queries and hold some of them out. They measure the parent's faults on these
once, and share a folder among all runs from one parent.
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
from tinr.training.phase_run import Phase, PhaseConfig
from tinr.training.preference.rounds import measure

QUERIES = (
    "queries",
    "size",
    "holdout",
    "hard_fraction",
    "seed",
)  # settings that determine the queries


@dataclass(frozen=True)
class HardConfig(PhaseConfig):
    """Settings of the queries, the share of hard ones, and the replay."""

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
    """Keep the queries whose prompts leave room for a reply, both when they are measured and, with
    up to `max_tokens` tokens, when they are sampled."""
    return fitting_queries(model, codec, library, queries, ("none",), max(REPLY_TOKENS, max_tokens))


def part(queries: Sequence[Query], count: int) -> tuple[list[Query], list[Query]]:
    """Split the queries into held-out ones and the others. BadInput if no others remain."""
    if len(queries) <= count:
        raise BadInput(
            f"holdout={count}: all of the {len(queries)} queries would be kept apart; give more "
            "queries or keep fewer apart"
        )
    return list(queries[:count]), list(queries[count:])


def measure_start(
    config: PhaseConfig,
    phase: Phase,
    model: PreTrainedModel,
    codec: Codec,
    queries: list[Query],
    executor: Executor,
) -> Faults:
    """Find the parent's faults, measured once for all runs from it."""
    path = shared_folder(config, phase, queries, (*QUERIES, "executor")) / "before.json"

    def look() -> Faults:
        if not path.is_file():
            faults = measure(model, codec, queries, phase.catalogue, executor, "before")
            write_text(path, json.dumps(faults))
        return json.loads(path.read_text())

    return distributed.shared(look)


def shared_folder(
    config: PhaseConfig, phase: Phase, queries: Sequence[Query], keys: Sequence[str] = QUERIES
) -> Path:
    """Make a folder that all runs from this parent share if their settings `keys` and their
    queries agree. Which queries fit the context depends on other settings too.

    It lies beside the step checkpoints. Publication leaves it; `tinr registry gc` removes it.
    """
    values = settings(config)
    mark = fingerprint(
        {key: values[key] for key in keys},
        [query.id for query in queries],
        phase.parent.id,
        phase.catalogue.hash,
        *contents(config),
    )
    return phase.registry.steps("search", mark).folder


def replayed(
    config: HardConfig,
    codec: Codec,
    library: Library,
    queries: list[Query],
    mark: str,
    epoch: int,
) -> list[Example]:
    """Make an epoch of alignment pairs and reference traces; `mark` names the run or round."""
    rng = Random(f"{config.seed}/{mark}/{epoch}")
    return kept_examples(
        codec, library, queries, {"none": 1.0}, config.mix, config.unqueried, config.traces, rng
    )
