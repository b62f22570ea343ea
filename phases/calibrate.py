"""Optional phase, calibrate: correct what the policy still gets wrong, by fragments (iTool).

A round takes the queries whose references have the highest perplexity. For each it searches a tree
of fragments with running tools, and rules judge the replies. Siblings of which one ends better
become pairs; preference training uses their fragments only. The next round searches with the new
policy. Alignment pairs and reference traces are replayed. Runs after sft or grpo.
The first round's search is cached beside the step checkpoints, so that another loss or learning
rate trains on the same pairs without a new search.
Source: iTool, arXiv 2501.09766; SimPO, arXiv 2405.14734.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.model import to_accelerator
from tinr.checkpoints.step_checkpoints import Steps
from tinr.command import main
from tinr.config import Count, PairsConfig, PreferenceConfig, SearchConfig, TrainingConfig
from tinr.data.query_sets import load_queries
from tinr.data.replay import endless
from tinr.evaluation.errors.faults import counted
from tinr.records import BadInput, Query, RunFailed
from tinr.rollout.tools.executor import Executor, corpus_executor
from tinr.training.loop import TrainedModel
from tinr.training.phase_run import Phase, begin
from tinr.training.preference.hard_queries import hard_queries
from tinr.training.preference.model_judge import JudgeConfig, ModelJudge
from tinr.training.preference.rounds import Gathered, changes, gather_pairs, measure
from tinr.training.preference.start import (
    QUERIES,
    HardConfig,
    fitting,
    measure_start,
    part,
    replayed,
    shared_folder,
)
from tinr.training.preference.trainer import train_preference

SEARCH = (
    *QUERIES,
    "search",
    "pairs",
    "judge",
    "executor",
)  # settings that determine the pairs of the first round


@dataclass(frozen=True)
class CalibrateConfig(HardConfig):
    """Settings of the optional phase; defaults are the published values if there are any."""

    rounds: Annotated[Count, Doc("each round searches with the policy of the previous one")] = 1
    search: SearchConfig = field(default_factory=SearchConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    judge: Annotated[JudgeConfig, Doc("a model that replaces the rules")] = field(
        default_factory=JudgeConfig
    )
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    replay: Annotated[TrainingConfig, Doc("shape of the replayed batches")] = field(
        default_factory=lambda: TrainingConfig(batch_tokens=2048)
    )


def run(config: CalibrateConfig) -> Card:
    """Calibrate a warmed-up checkpoint. Returns the published card, or an existing one."""
    phase = begin("calibrate", config, parents=("sft", "grpo", "calibrate", "update"))
    if phase.published:
        return phase.published
    if config.rounds > 1 and distributed.world() > 1:
        raise BadInput("rounds: several ranks run one round per command; set rounds=1")
    model, tokenizer = phase.load()
    to_accelerator(model)  # it generates before training
    codec = Codec(tokenizer)
    queries = load_queries(config.queries, config.size, config.seed, phase.catalogue, phase.name)
    library = Library(phase.catalogue, DocumentsConfig(), config.seed)
    queries = fitting(model, codec, library, queries, config.search.completion)
    holdout_queries, search_queries = part(queries, config.holdout)
    rounds = [Steps(phase.steps.folder / f"round{number}") for number in range(config.rounds)]
    phase.steps.add(sum(steps.seconds for steps in rounds))  # of earlier starts
    with (
        phase.log(sum(steps.done for steps in rounds)) as log,
        corpus_executor(phase.catalogue, config.executor) as executor,
    ):
        start_faults = measure_start(config, phase, model, codec, holdout_queries, executor)
        trained_models: list[TrainedModel] = []
        costs: list[dict[str, Any]] = []  # includes a last round without pairs
        for number, steps in enumerate(rounds):
            look = partial(
                _search, config, phase, library, model, codec, search_queries, executor, number,
                begun=steps.done > 0,
            )  # fmt: skip
            round_pairs = distributed.shared(look)
            cost = {"queries": round_pairs.queries, **vars(round_pairs.spent)}
            costs.append({**cost, "pairs": len(round_pairs.pairs), "steps": 0})
            if not round_pairs.pairs:
                break
            log.offset = sum(trained_model.steps for trained_model in trained_models)
            epoch = partial(replayed, config, codec, library, queries, f"calibrate/{number}")
            replay = endless(epoch, config.replay, codec.pad)
            steps.restart()  # count only its own seconds, not the earlier rounds'
            result = train_preference(
                model, codec, round_pairs.pairs, config.preference, config.seed + number, log,
                steps, config.trainable, replay,
            )  # fmt: skip
            model = result.model
            trained_models.append(result)
            costs[-1]["steps"] = result.steps
        if not trained_models:
            raise RunFailed(
                f"calibrate: {costs[0]['nodes']} nodes of {costs[0]['queries']} queries gave no "
                "pair with a better side; nothing was published. Search longer, raise "
                "search.temperature, or lower pairs.gap"
            )
        end_faults = distributed.shared(
            lambda: measure(model, codec, holdout_queries, phase.catalogue, executor, "after")
        )
        metrics = {
            "before": counted(start_faults),
            "after": counted(end_faults),
            "changes": changes(start_faults, end_faults),
            "rounds": costs,
        }
        last_model = trained_models[-1]
        if (
            len(trained_models) > 1
        ):  # the last round's adapter alone does not lead from the parent to this checkpoint
            last_model = replace(last_model, adapter=None)
        return phase.conclude(last_model, codec, phase.floor(config.tolerance), queries, metrics)


def _search(
    config: CalibrateConfig,
    phase: Phase,
    library: Library,
    model: PreTrainedModel,
    codec: Codec,
    queries: list[Query],
    executor: Executor,
    number: int,
    begun: bool,
) -> Gathered:
    """Make the pairs of one round, from the queries that are hardest for the current policy.

    begun: steps have already used the pairs, so they must not change.
    """
    folder = phase.steps.folder / f"search{number}"
    path = folder / "hard.json"
    if number == 0:  # round 0 searches with the parent: its results can be shared
        folder = shared_folder(config, phase, queries, SEARCH)
        path = shared_folder(config, phase, queries) / "hard.json"
    hard = hard_queries(model, codec, library, queries, config.hard_fraction, path)
    graded = ModelJudge(phase.catalogue, config.judge) if config.judge.endpoint else None
    return gather_pairs(
        model, codec, hard, phase.catalogue, executor, config.search, config.pairs, folder,
        config.seed + 1000 * number, graded, begun,
    )  # fmt: skip


if __name__ == "__main__":
    main(CalibrateConfig, run)
