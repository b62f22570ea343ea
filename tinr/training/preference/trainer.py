"""The loop over preference pairs: SimPO, DPO, IPO or ORPO, on TRL's trainers.

The ids of the pairs are used unchanged: they are not tokenised or truncated, and no end token is
added. Only the part after the shared prompt has loss. TRL computes the losses. These subclasses
pass it ids instead of text, and log-probabilities with the head applied only at labelled positions.
DPO and IPO compare with the parent. Its log-probabilities are computed once before the first step,
by the same model that is then trained, so there is no second model in memory.
Sources: SimPO, arXiv 2405.14734; DPO, 2305.18290; IPO, 2310.12036; ORPO, 2403.07691.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedModel
from trl import DPOConfig, DPOTrainer
from trl.import_utils import TRLExperimentalWarning
from trl.models import prepare_deepspeed
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import FusedCausalLMOutput

from tinr import distributed
from tinr.chat.codec import IGNORE, Codec
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import PreferenceConfig, TrainableConfig
from tinr.data.packing import Batch, PreferencePair, fitting
from tinr.records import BadInput
from tinr.run_log import RunLog
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.loop import (
    Loop,
    Progress,
    Trainables,
    TrainedModel,
    common_arguments,
    losses_at_labels,
    mean_loss,
    run_loop,
    step_folder,
    with_loss,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TRLExperimentalWarning)
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

FIGURES = ("preference/margin", "preference/accuracy")
Note = Callable[[torch.Tensor], None]  # takes the mean log-probability of each side (2B,)


class PairLoop(Loop):
    """Adds a replayed batch to each batch of pairs, and logs margin and accuracy."""

    replay_weight = 0.0
    noted: list[torch.Tensor]  # FIGURES of the batches since the last row of the log

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute TRL's loss of the pairs, plus the loss of a batch of earlier phases' examples."""
        loss: Any = super().compute_loss(model, inputs, False, num_items_in_batch)
        if self.replay is not None:
            loss = loss + self.replay_weight * self.replayed_loss(model, loss.device)
        return (loss, None) if return_outputs else loss

    def note(self, means: torch.Tensor) -> None:
        """Record margin and accuracy of a batch's sides (2B,), chosen ones first."""
        chosen, rejected = means.detach().float().chunk(2)
        gap = chosen - rejected
        self.noted.append(torch.stack([gap.mean(), (gap > 0).float().mean()]))

    def log(self, logs, start_time=None):
        """Log margin and accuracy as well, averaged over all ranks."""
        if "loss" in logs:
            figures = torch.stack(self.noted).mean(0)
            gathered_figures: Any = self.accelerator.gather(figures)
            logs |= dict(zip(FIGURES, gathered_figures.view(-1, 2).mean(0).tolist(), strict=True))
            self.noted.clear()
        super().log(logs, start_time)


class WithoutReference(PairLoop):
    """Makes the two experimental trainers use given ids and apply the head only at labels."""

    @staticmethod
    def tokenize_row(feature, model=None):
        """Return the feature: it has ids already."""
        return feature

    def concatenated_forward(self, model, batch):
        """Compute the mean log-probability per token of each side, and the chosen ones' NLL loss.

        TRL's method computes every logit, and its ORPO counts the prompt in the NLL loss.
        """
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORE)
        log_probs = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            fused_lm_head=True,
        ).log_probs
        chosen, rejected = _means(log_probs, labels).chunk(2)
        # TRL only logs the mean of the logits: the log-probabilities stand in for them
        return chosen, rejected, chosen, rejected, -chosen.mean()


class SimpoTrainer(WithoutReference, CPOTrainer):
    """SimPO."""


class OrpoTrainer(WithoutReference, ORPOTrainer):
    """ORPO."""


class ReferenceTrainer(PairLoop, DPOTrainer):
    """DPO and IPO on given ids."""

    def _prepare_dataset(self, dataset, processing_class, args, dataset_name):
        return dataset

    def _precompute_ref_logps(self, dataset, name, batch_size):
        """Add the parent's log-probabilities to each pair.

        TRL's method passes them to the other ranks in a file, which a dataset in memory lacks.
        """
        own_model: Any = self.model
        model = own_model
        if self.is_deepspeed_enabled:  # DeepSpeed has not sharded or moved anything yet
            model = prepare_deepspeed(model, self.accelerator)
        rows: Any = dataset  # maps integers to pairs, as the loader needs
        loader = self.accelerator.prepare(
            DataLoader(rows, batch_size, collate_fn=self.data_collator)
        )
        with with_log_probs(own_model):
            batch_logps = [
                self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch))
                for batch in loader
            ]
        for side, sums in zip(("chosen", "rejected"), zip(*batch_logps, strict=True), strict=True):
            dataset = dataset.add_column(f"ref_{side}_logps", torch.cat(sums).tolist())
        return dataset


class PairProgress(Progress):
    """Writes margin, accuracy and tokens to the run's log as well."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Log the metrics of the trainer."""
        super().on_log(args, state, control, logs, **kwargs)
        if logs and "loss" in logs:
            figures = {name: logs[name] for name in FIGURES}
            self.log.log(
                state.global_step, {**figures, "train/tokens": float(state.num_input_tokens_seen)}
            )


def train_preference(
    model: PreTrainedModel,
    codec: Codec,
    pairs: Sequence[PreferencePair],
    config: PreferenceConfig,
    seed: int,
    log: RunLog,
    steps: Steps | None = None,
    trainable: TrainableConfig | None = None,
    replay: Iterator[Batch] | None = None,
    title: str = "calibrate",
) -> TrainedModel:
    """Train on the pairs. It changes the model in place and returns it with whole weights.

    With `steps` a killed run resumes from its newest complete step checkpoint. BadInput if there
    is no pair, or an invalid one. RunFailed if the loss is not finite.
    """
    fitting_pairs = teaching(pairs, config.max_tokens)
    passes = -(-len(fitting_pairs) // (config.pairs * distributed.world()))  # per epoch and rank
    progress = PairProgress(log, title, config.epochs * -(-passes // config.accumulate))
    weights = Trainables(model, trainable or TrainableConfig(), list(codec.markup.values()))
    with step_folder(steps) as folder, products(model), with_loss(model):
        trainer = _make_trainer(model, codec, fitting_pairs, config, folder, seed)
        trainer.noted, trainer.aux_loss_enabled = [], False
        if replay is not None and config.replay_weight > 0:
            trainer.replay_weight = config.replay_weight
            trainer.replay_from(replay, passes_of(folder.done, passes, config.accumulate))
        with with_log_probs(model, trainer.note):
            run_loop(trainer, progress, config.optimiser, folder)
    tokens = int(trainer.state.num_input_tokens_seen)
    trained_model, adapter = weights.whole(trainer)
    return TrainedModel(
        trained_model, trainer.state.global_step, tokens, mean_loss(trainer), adapter
    )


def teaching(pairs: Sequence[PreferencePair], max_tokens: int) -> list[PreferencePair]:
    """Keep the pairs that fit (see `packing.fitting`).

    BadInput if there is no pair, or a pair without a prompt, without a side, or with equal sides.
    Messages count pairs from 1.
    """
    if not pairs:
        raise BadInput("preference: no pairs to train on; give some")
    for number, pair in enumerate(pairs, 1):
        if not pair.prompt or not pair.chosen or not pair.rejected:
            raise BadInput(f"pair {number}: its prompt or a side is empty; remove the pair")
        if list(pair.chosen) == list(pair.rejected):
            raise BadInput(f"pair {number}: both sides are the same; remove the pair")
    return fitting(pairs, max_tokens, "pairs")


def passes_of(steps: int, passes: int, accumulate: int) -> int:
    """Count the batches of `steps` steps. The last step of an epoch may have fewer batches."""
    epochs, extra_steps = divmod(steps, -(-passes // accumulate))
    return epochs * passes + extra_steps * accumulate


@contextmanager
def with_log_probs(model: PreTrainedModel, note: Note | None = None) -> Iterator[None]:
    """Make `label_log_probs` handle TRL's `model(..., labels=, fused_lm_head=True)` inside.

    TRL's function applies the head at every position on a CPU, and ignores PEFT's layers there.
    """
    forward = model.forward

    def forward_or_log_probs(*args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return forward(*args, **kwargs)
        log_probs = label_log_probs(
            model, kwargs["input_ids"], kwargs["attention_mask"], kwargs["labels"]
        )
        if note is not None:
            note(_means(log_probs, kwargs["labels"]))
        zeros = torch.zeros_like(log_probs)  # for metrics that TRL logs
        return FusedCausalLMOutput(
            log_probs=log_probs, entropy=zeros, mean_logits=zeros, is_top1=zeros > 0
        )

    model.forward = forward_or_log_probs  # type: ignore[method-assign]
    try:
        yield
    finally:
        model.forward = forward  # type: ignore[method-assign]


def label_log_probs(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return each label's log-probability at the position before it, 0 elsewhere: (R, T - 1)."""
    hidden = model.base_model(
        input_ids=ids, attention_mask=mask, use_cache=False
    ).last_hidden_state[:, :-1]
    losses, label_mask = losses_at_labels(model, hidden, labels[:, 1:])
    return losses.new_zeros(label_mask.shape).masked_scatter(label_mask, -losses)


def _means(log_probs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average over the labelled positions, (R, T - 1) -> (R,)."""
    return log_probs.sum(1) / (labels[:, 1:] != IGNORE).sum(1)


def _make_trainer(
    model: PreTrainedModel,
    codec: Codec,
    pairs: Sequence[PreferencePair],
    config: PreferenceConfig,
    folder: Steps,
    seed: int,
) -> Any:
    """Make the trainer for the configured loss."""
    arguments = _arguments(folder, config, seed)
    kind: Any = {"simpo": SimpoTrainer, "orpo": OrpoTrainer}.get(config.loss, ReferenceTrainer)
    if config.loss == "simpo":
        args = CPOConfig(loss_type="simpo", simpo_gamma=config.gamma, cpo_alpha=0.0, **arguments)
    elif config.loss == "orpo":
        args = ORPOConfig(**arguments)
    else:
        loss = "sigmoid" if config.loss == "dpo" else "ipo"
        args = DPOConfig(loss_type=[loss], precompute_ref_log_probs=True, **arguments)
    columns = {
        f"{side}_ids": [list(getattr(pair, side)) for pair in pairs]
        for side in ("prompt", "chosen", "rejected")
    }
    with _without_bars():
        return kind(
            model=model,
            args=args,
            processing_class=codec.tokenizer,
            data_collator=DataCollatorForPreference(codec.pad),
            train_dataset=Dataset.from_dict(columns),
        )


def _arguments(folder: Steps, config: PreferenceConfig, seed: int) -> dict[str, Any]:
    return {
        "beta": config.beta,
        "max_length": config.max_tokens,
        "per_device_train_batch_size": config.pairs,
        "gradient_accumulation_steps": config.accumulate,
        "num_train_epochs": config.epochs,
        "bf16": use_bf16(config.bf16),
        "gradient_checkpointing": config.gradient_checkpointing,
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 1,
        **common_arguments(
            folder, config.checkpoint_steps, seed, config.optimiser, config.deepspeed
        ),
    }


@contextmanager
def _without_bars() -> Iterator[None]:
    """Context manager in which datasets that TRL maps show no progress bars."""
    was_enabled = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_enabled:
            datasets.enable_progress_bars()
