"""The common setup of calibrate and reject, the phases that train on hard queries.

Both use the same queries and hold some of them out. The parent's faults on the held-out queries are
measured once and stored in a folder that all runs from one parent share.
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
    queries: Annotated[str, Doc("corpus: the shipped corpora; otherwise a queries.jsonl file")] = (
        "corpus"
    )
    size: Annotated[Count, Doc("queries drawn from the shipped corpora")] = 2000
    holdout: Annotated[
        Count, Formerly("held"), Doc("queries held out to count deficiencies before and after")
    ] = 200
    hard_fraction: Annotated[
        Positive,
        Formerly("hardest"),
        Doc("share of the hardest queries to use, of those with and without calls separately"),
    ] = 0.3
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    mix: Annotated[PairMix, Doc("mix of the replayed pairs")] = field(default_factory=PairMix)
    unqueried: Annotated[
        Whole, Doc("further pseudo-queries of each form per tool without queries")
    ] = 4
    traces: Annotated[Whole, Doc("reference traces replayed per epoch of the pairs")] = 600
    tolerance: Annotated[Weight, Doc("maximum drop of each recall since phase 1")] = 0.01


def fitting(
    model: PreTrainedModel,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    max_tokens: int,
) -> list[Query]:
    """Keep the queries whose prompts leave room for a reply.

    This holds for the replies that are measured and for sampled ones of up to `max_tokens` tokens.
    """
    return fitting_queries(model, codec, library, queries, ("none",), max(REPLY_TOKENS, max_tokens))


def part(queries: Sequence[Query], count: int) -> tuple[list[Query], list[Query]]:
    """Split the queries into held-out ones and the others. BadInput if no others remain."""
    if len(queries) <= count:
        raise BadInput(
            f"holdout={count}: all of the {len(queries)} queries would be held out; give more "
            "queries or lower holdout"
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
    """Return the parent's faults, which are measured once for all runs from it."""
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
    """Make a folder for all runs from this parent with the same settings `keys` and queries.

    Queries are compared too, because which of them fit the context also depends on other settings.
    The folder is next to the step checkpoints. Publication keeps it; `tinr registry gc` removes it.
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
