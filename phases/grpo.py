"""Phase 3, grpo: reinforcement learning on conversations with running tools.

For each prompt a group of conversations is sampled. Each is rewarded for its format, its tools
and its answer (tinr/rollout/scoring/rewards.py). GRPO reinforces those that are better than their
group. Environment tokens carry no loss. Groups whose rewards are all equal teach nothing, so more
groups are rolled out than used, and those with spread go first. Alignment pairs and reference
traces are replayed.
Source: TInR-U, arXiv 2604.10788, phase 3; GRPO, arXiv 2402.03300.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated

from typing_extensions import Doc

from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.command import main
from tinr.config import Count, TrainingConfig, Weight, Whole
from tinr.data.alignment_examples import PairMix
from tinr.data.packing import Example
from tinr.data.query_sets import load_queries
from tinr.data.replay import endless, kept_examples, pseudo_queries
from tinr.records import BadInput, Query
from tinr.rollout.conversation import fitting_queries
from tinr.rollout.scoring.rewards import RewardWeights
from tinr.rollout.tools.own_tools import executor_of
from tinr.rollout.tools.process import ExecutorConfig
from tinr.training.grpo import train_policy
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource
from tinr.training.phase_run import Phase, PhaseConfig, begin

PARENTS = ("sft", "grpo", "calibrate", "update")


@dataclass(frozen=True)
class GrpoConfig(PhaseConfig):
    """Settings of phase 3."""

    parent: str = "sft@latest"
    queries: Annotated[str, Doc("corpus: those of the shipped corpora; else a queries.jsonl")] = (
        "corpus"
    )
    size: Annotated[Count, Doc("queries drawn from the shipped corpora")] = 4000
    pseudo: Annotated[
        Whole, Doc("pseudo-queries per tool without queries, generated from its document")
    ] = 6
    no_tool_every: Annotated[
        Count,
        Doc(
            "one in so many queries without a tool is used: abstaining is the "
            "easiest reward, and with all of them the policy abstains everywhere"
        ),
    ] = 3
    prompt: Annotated[DocumentsConfig, Doc("documents in the prompt, in modes that have them")] = (
        field(default_factory=DocumentsConfig)
    )
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    weights: RewardWeights = field(default_factory=RewardWeights)
    executor: Annotated[ExecutorConfig, Doc("limits of the tools")] = field(
        default_factory=ExecutorConfig
    )
    executors: Annotated[str, Doc("YAML file that says how to run the tools of your catalogue")] = (
        ""
    )
    mix: Annotated[PairMix, Doc("mix of the replayed pairs")] = field(default_factory=PairMix)
    unqueried: Annotated[
        Whole, Doc("further pseudo-queries of each form per tool without queries")
    ] = 4
    traces: Annotated[Whole, Doc("reference traces replayed per epoch of the pairs")] = 600
    replay: Annotated[TrainingConfig, Doc("shape of the replayed batches")] = field(
        default_factory=lambda: TrainingConfig(batch_tokens=2048)
    )
    tolerance: Annotated[Weight, Doc("maximum drop of each recall since phase 1")] = 0.01

    def __post_init__(self) -> None:
        if self.policy.vllm and self.trainable.what != "all":
            raise BadInput(
                f"policy.vllm: a server needs training of all weights, but trainable.what is "
                f"{self.trainable.what}; leave one of the two out"
            )


def run(config: GrpoConfig) -> Card:
    """Reinforce a warmed-up checkpoint. Returns the published card, or an existing one."""
    phase = begin("grpo", config, parents=PARENTS)
    if phase.published:
        return phase.published
    model, tokenizer = phase.load()
    codec = Codec(tokenizer)
    queries, rollout_queries = draw_queries(config, phase)
    library = Library(phase.catalogue, config.prompt, config.seed)
    modes, max_tokens = config.policy.documents, config.policy.max_tokens
    rollout_queries = fitting_queries(model, codec, library, rollout_queries, modes, max_tokens)
    file = Path(config.executors) if config.executors else None
    with phase.log() as log, executor_of(phase.catalogue, file, config.executor) as executor:
        source = RolloutSource(
            codec,
            library,
            executor,
            rollout_queries,
            config.policy,
            config.weights,
            config.seed,
            log,
        )
        epoch = partial(epoch_examples, config, codec, library, queries)
        replay = endless(epoch, config.replay, codec.pad)
        result = train_policy(model, source, replay, phase.steps, config.trainable)
        return phase.conclude(result, codec, phase.floor(config.tolerance), queries)


def draw_queries(config: GrpoConfig, phase: Phase) -> tuple[list[Query], list[Query]]:
    """Load the training queries. Returns them without and with the pseudo-queries."""
    queries = load_queries(config.queries, config.size, config.seed, phase.catalogue, phase.name)
    no_call_queries = [query for query in queries if not query.calls][:: config.no_tool_every]
    ids = {query.id for query in no_call_queries}
    queries = [query for query in queries if query.calls or query.id in ids]
    rng = Random(f"{config.seed}/grpo/pseudo")
    return queries, [*queries, *pseudo_queries(phase.catalogue, queries, config.pseudo, rng)]


def epoch_examples(
    config: GrpoConfig, codec: Codec, library: Library, queries: list[Query], epoch: int
) -> list[Example]:
    """Make one epoch of replayed examples."""
    rng = Random(f"{config.seed}/grpo/{epoch}")
    modes = dict.fromkeys(config.policy.documents, 1.0)
    return kept_examples(
        codec, library, queries, modes, config.mix, config.unqueried, config.traces, rng
    )


if __name__ == "__main__":
    main(GrpoConfig, run)
