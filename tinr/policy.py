"""The GRPO loop: groups of conversations in which tools really run, on TRL's trainer.

TRL groups, normalises and takes the loss; the conversations are ours: it is handed ids,
a mask (1: the model wrote it, 0: the environment did, no loss), and the rewards.
Source: GRPO, arXiv 2402.03300; groups without spread are replaced as in DAPO, arXiv
2503.14476.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from tinr.config import OptimiserConfig
from tinr.executor import Executor
from tinr.layers import products
from tinr.optimiser import make_optimiser
from tinr.records import DocumentsMode, Query, Score
from tinr.retrieval import Library
from tinr.rewards import RewardWeights, score
from tinr.rollout import Conversation, converse, make_prompts
from tinr.runlog import RunLog
from tinr.tokens import Codec
from tinr.training import (
    Batch,
    Progress,
    Trained,
    labelled_loss,
    schedule_arguments,
)


@dataclass(frozen=True)
class PolicyConfig:
    """The loop of phase 3."""

    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-6))
    steps: int = 100
    prompts: int = 8  # groups a step and rank
    group: int = 8  # conversations of one prompt
    oversample: float = 2.0  # groups rolled out for each one used; those with spread go first
    temperature: float = 1.0
    longest: int = 384  # tokens of a conversation after the prompt, environment included
    rows: int = 32  # conversations in one forward and backward pass
    documents: tuple[DocumentsMode, ...] = ("none",)  # taken in turn, step by step
    beta: float = 0.0  # weight of KL to the parent; the published run has none
    bf16: bool = True
    replay_weight: float = 0.5  # of the replayed batch's loss beside the policy's
    gradient_checkpointing: bool = False  # layers are computed twice, and hold less
    checkpoint_steps: int = 0  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # a name in scripts/deepspeed or the path of a configuration


@dataclass
class Arena:
    """Where conversations happen: draws queries, rolls them out, scores them."""

    codec: Codec
    library: Library
    executor: Executor
    queries: Sequence[Query]
    config: PolicyConfig
    weights: RewardWeights
    seed: int
    log: RunLog

    def rollout(self, prompts: list[Any], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL's rollout function: as many completions as `prompts`, group by group.

        `prompts` only say how many are wanted; the queries come from this arena's own
        stream, decided by seed, rank and step, so a resumed run draws the same ones.
        """
        wanted = len(prompts) // self.config.group
        step, rank = trainer.state.global_step, trainer.accelerator.process_index
        drawn = self._draw(round(wanted * max(1.0, self.config.oversample)), step, rank)
        mode = self.config.documents[step % len(self.config.documents)]
        model = trainer.accelerator.unwrap_model(trainer.model)
        was_training = model.training
        model.eval()
        conversations = converse(
            model,
            self.codec,
            drawn,
            self.library.catalogue,
            self.executor,
            mode,
            prompts=make_prompts(self.codec, drawn, self.library.shown(drawn, mode)),
            group=self.config.group,
            temperature=self.config.temperature,
            longest=self.config.longest,
            seed=hash((self.seed, step, rank)) & 0x7FFFFFFF,
        )
        model.train(was_training)
        scores = [score(c.reply, c.query, self.weights) for c in conversations]
        self._log(step, conversations, scores)
        kept = self._with_spread(scores, wanted)
        return self._as_trl([(conversations[i], scores[i]) for i in kept])

    def _draw(self, count: int, step: int, rank: int) -> list[Query]:
        rng = Random(f"{self.seed}/{step}/{rank}")
        return rng.sample(list(self.queries), min(count, len(self.queries)))

    def _with_spread(self, scores: Sequence[Score], wanted: int) -> list[int]:
        """Indices of the conversations of `wanted` groups, groups with spread before flat ones."""
        groups = self._groups(scores)
        order = sorted(range(len(groups)), key=lambda g: max(groups[g]) == min(groups[g]))
        while len(order) < wanted:  # fewer queries than groups
            order += order[: wanted - len(order)]
        size = self.config.group
        return [g * size + member for g in order[:wanted] for member in range(size)]

    def _groups(self, scores: Sequence[Score]) -> list[list[float]]:
        size = self.config.group
        totals = [s.total for s in scores]
        return [totals[start : start + size] for start in range(0, len(totals), size)]

    def _as_trl(self, kept: Sequence[tuple[Conversation, Score]]) -> dict[str, Any]:
        return {
            "prompt_ids": [list(c.prompt) for c, _ in kept],
            "completion_ids": [c.row.ids for c, _ in kept],
            "env_mask": [c.row.mask for c, _ in kept],
            "logprobs": None,
            "format_score": [s.format for _, s in kept],
            "tool_score": [s.tool for _, s in kept],
            "answer_score": [s.answer for _, s in kept],
            "total_score": [s.total for _, s in kept],
        }

    def _log(self, step: int, done: Sequence[Conversation], scores: Sequence[Score]) -> None:
        groups = self._groups(scores)
        flat = sum(max(g) == min(g) for g in groups) / len(groups)
        row = {
            "rollout/flat_groups": flat,
            "rollout/length": _mean([len(c.row.ids) for c in done]),
            "rollout/finished": _mean([c.row.finished for c in done]),
        }
        for name in ("total", "format", "tool", "answer"):
            values = [v for s in scores if (v := getattr(s, name)) is not None]
            if values:
                row[f"reward/{name}"] = _mean(values)
        self.log.log(step, row)


class PolicyTrainer(GRPOTrainer):
    """TRL's trainer with our optimiser and a replayed batch beside each step's loss."""

    policy: PolicyConfig
    replay: Iterator[Batch]

    def create_optimizer(self, model=None):
        """The configured optimiser instead of the trainer's own."""
        if self.optimizer is None:
            self.optimizer = make_optimiser(self.model, self.policy.optimiser)  # type: ignore[arg-type]
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """GRPO's loss, plus that of a batch of earlier phases' examples."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.policy.replay_weight > 0:
            with self.accelerator.autocast():
                kept = labelled_loss(model, next(self.replay))
            share = self.policy.replay_weight / self.current_gradient_accumulation_steps
            loss = loss + share * kept
        return loss


def train_policy(
    model: PreTrainedModel, arena: Arena, replay: Iterator[Batch], title: str = "grpo"
) -> Trained:
    """Run the loop; the model is changed in place."""
    config = arena.config
    size = config.prompts * config.group
    with tempfile.TemporaryDirectory() as folder:
        trainer = PolicyTrainer(
            model=model,
            reward_funcs=[_total],  # type: ignore[list-item]
            args=_arguments(folder, config, size, arena.seed),
            processing_class=arena.codec.tokenizer,
            train_dataset=Dataset.from_dict(
                {"prompt": [str(n) for n in range(config.prompts * config.steps)]}
            ),
            rollout_func=arena.rollout,
        )
        progress = Progress(arena.log, title, config.steps)
        trainer.add_callback(progress)
        trainer.remove_callback(PrinterCallback)
        trainer.policy, trainer.replay = config, replay
        with products(model, config.longest):
            trainer.train()
    losses = progress.losses[-10:]
    tokens = int(trainer.state.num_input_tokens_seen)
    return Trained(trainer.state.global_step, tokens, sum(losses) / max(1, len(losses)))


def _arguments(folder: str, config: PolicyConfig, size: int, seed: int) -> GRPOConfig:
    rows = min(config.rows, size)
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=size // rows,
        num_generations=config.group,
        max_completion_length=config.longest,
        max_steps=config.steps,
        temperature=config.temperature,
        beta=config.beta,
        shuffle_dataset=False,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=config.bf16,
        gradient_checkpointing=False,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        deepspeed=config.deepspeed,
        **schedule_arguments(config.optimiser),
    )


def _total(prompts: Any, completions: Any, total_score: list[float], **_: Any) -> list[float]:
    """The arena has scored already; the parts are logged apart there."""
    return total_score


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
