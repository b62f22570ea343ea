"""The GRPO loop on TRL's trainer, and why some of TRL's methods are overridden.

TRL groups, normalises and computes the loss. `grpo_rollout` passes it the conversations as ids, a
mask (1: the model wrote it, 0: the environment did, no loss), and the rewards. If replies are
constrained or sampled from a nucleus, it also passes the set that each token was sampled from, and
the loss uses probabilities over that set. So we override the log-probabilities
(`_get_per_token_logps_and_entropies`), and add the sets of each row to TRL's batch
(`_generate_and_score_completions`).
Source: GRPO, arXiv 2402.03300.
"""

from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from tinr import distributed
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig
from tinr.data.packing import Batch
from tinr.rollout.sampling_support import Support
from tinr.rollout.vllm import Served, connect
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource
from tinr.training.loop import (
    Loop,
    Progress,
    Trainables,
    TrainedModel,
    common_arguments,
    mean_loss,
    run_loop,
    step_folder,
    with_loss,
)
from tinr.training.scored_rows import answer_scored, lay_out, longest_shared


class PolicyTrainer(Loop, GRPOTrainer):
    """TRL's trainer with the configured optimiser and a replayed batch in each step's loss.

    support: for each row of the batch, the sets that it was sampled from. written_mask: mask of the
    tokens that the model wrote. Both belong to the current batch. shared_up_to: maximum length, in
    tokens, of conversations that may share one copy of their group's prompt.
    """

    replay_weight: float
    support: list[Support | None] | None = None
    written_mask: torch.Tensor | None = None  # (B, K) of completions
    shared_up_to = 0.0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute GRPO's loss, plus the loss of a batch of earlier phases' examples."""
        self.support, self.written_mask = inputs.get("support"), inputs.get("tool_mask")
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.support = self.written_mask = None
        if self.replay_weight > 0 and self.accelerator.sync_gradients:  # the step's last pass
            loss = loss + self.replay_weight * self.replayed_loss(model, loss.device)
        return loss

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        if self.support is not None:  # the rollout set it
            batch["support"] = self.support
        self.support = self.written_mask = None
        return batch

    def _get_per_token_logps_and_entropies(
        self,
        model,
        input_ids,
        attention_mask,
        logits_to_keep,
        batch_size=None,
        compute_entropy=False,
        compute_aux_loss=False,
        **images,
    ):
        """Log-probabilities and entropies, (B, K) each, over the set each token was sampled from.

        Both are 0 where the model did not write. TRL masks these positions.
        """
        completion_mask = attention_mask[:, -logits_to_keep:].bool()
        if self.written_mask is not None:
            completion_mask = completion_mask & self.written_mask.to(completion_mask.device).bool()
        size = batch_size or len(input_ids)
        scores = [
            self._scores(model, input_ids[rows], attention_mask[rows], completion_mask[rows],
                         self.support and self.support[rows], compute_aux_loss)
            for rows in (slice(start, start + size) for start in range(0, len(input_ids), size))
        ]  # fmt: skip
        logps, entropies, auxiliary = zip(*scores, strict=True)
        blank = torch.zeros(completion_mask.shape, device=completion_mask.device)
        return (
            blank.masked_scatter(completion_mask, torch.cat(logps)),
            blank.masked_scatter(completion_mask, torch.cat(entropies))
            if compute_entropy
            else None,
            torch.stack(auxiliary).mean() if compute_aux_loss else None,
        )

    def _scores(self, model, ids, mask, completion_mask, supports, auxiliary):
        """Score one pass. It calls the wrapped model."""
        share = int(mask.sum(1).max()) <= self.shared_up_to
        share = share and not auxiliary  # the auxiliary loss counts a prompt per conversation
        rows = lay_out(ids, mask, completion_mask, self.temperature, supports, share, auxiliary)
        with self.accelerator.autocast():
            return model(scored=rows)


def train_policy(
    model: PreTrainedModel,
    source: RolloutSource,
    replay: Iterator[Batch],
    steps: Steps | None = None,
    trainable: TrainableConfig | None = None,
    title: str = "grpo",
) -> TrainedModel:
    """Run the loop. It changes the model in place and returns it with whole weights.

    With `steps` a killed run resumes from its newest complete step checkpoint.
    """
    config = source.config
    if config.vllm:
        source.engine = Served(connect(config.vllm))
    weights = Trainables(model, trainable or TrainableConfig(), list(source.codec.markup.values()))
    with step_folder(steps) as folder, products(model), with_loss(model):
        trainer = make_trainer(model, source, folder)
        trainer.replay_from(replay, folder.done)
        metric_names = {"entropy": "rollout/entropy"} | (
            {"kl": "rollout/kl"} if config.beta else {}
        )
        progress = Progress(source.log, title, config.steps, others=metric_names)
        run_loop(trainer, progress, config.optimiser, folder)
    tokens = int(trainer.state.num_input_tokens_seen)
    trained_model, adapter = weights.whole(trainer)
    return TrainedModel(
        trained_model, trainer.state.global_step, tokens, mean_loss(trainer), adapter
    )


def make_trainer(model: PreTrainedModel, source: RolloutSource, folder: Steps) -> PolicyTrainer:
    """Make TRL's trainer for this source, before its first step."""
    config = source.config
    groups = config.prompts * distributed.world() * config.steps
    rows = min(config.rows, config.prompts * config.group)
    passes = config.prompts * config.group // rows  # forward and backward, per step and rank
    answer_scored(model)
    trainer = PolicyTrainer(
        model=model,
        reward_funcs=[_total],  # type: ignore[list-item]
        args=_arguments(folder, config, rows, passes, source.seed),
        processing_class=source.codec.tokenizer,
        train_dataset=Dataset.from_dict({"prompt": [str(n) for n in range(groups)]}),
        rollout_func=source.rollout,
    )
    if trainer.ref_model is not None:
        reference: Any = trainer.accelerator.unwrap_model(trainer.ref_model)
        answer_scored(reference)
    trainer.replay_weight = config.replay_weight
    trainer.shared_up_to = longest_shared(model)
    return trainer


def _arguments(
    folder: Steps, config: PolicyConfig, rows: int, passes: int, seed: int
) -> GRPOConfig:
    return GRPOConfig(
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=passes,
        num_generations=config.group,
        max_completion_length=config.max_tokens,
        max_steps=config.steps,
        temperature=config.temperature,
        beta=config.beta,
        shuffle_dataset=False,
        bf16=use_bf16(config.bf16),
        gradient_checkpointing=config.gradient_checkpointing,
        logging_steps=1,
        use_vllm=bool(config.vllm),
        vllm_mode="server",
        vllm_server_base_url=config.vllm or None,
        vllm_importance_sampling_correction=False,
        **common_arguments(
            folder, config.checkpoint_steps, seed, config.optimiser, config.deepspeed
        ),
    )


def _total(prompts: Any, completions: Any, total_score: list[float], **_: Any) -> list[float]:
    """Return the totals. The source has already scored, and logs the parts separately."""
    return total_score
