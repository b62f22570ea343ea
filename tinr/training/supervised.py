"""The supervised loop on TRL's trainer: packed rows, loss at labelled positions only.

The output head is applied only at labels, so its cost does not grow with the prompt.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import SFTConfig, SFTTrainer

from tinr import distributed
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig, TrainingConfig
from tinr.data.batch_file import prepare
from tinr.data.distillation import Distributions
from tinr.data.packing import Batch, blank
from tinr.run_log import RunLog
from tinr.training.choice_margins import ChoiceMargins
from tinr.training.cpu_attention import Encode, compiled, products, use_bf16
from tinr.training.loop import (
    Loop,
    Progress,
    Trainables,
    TrainedModel,
    common_arguments,
    labelled_loss,
    mean_loss,
    run_loop,
    step_folder,
    with_loss,
)

LOG_STEPS = 5


class PackedTrainer(Loop, SFTTrainer):
    """TRL's supervised trainer over ready batches, with the loss over labelled positions."""

    model_accepts_loss_kwargs = True  # the loss is divided by the number of labels in the step

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Mean loss over the labelled positions of all batches of the step, on all ranks."""
        with self.accelerator.autocast():
            loss = model(packed=dict(inputs), items=num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over ranks
        return (loss, None) if return_outputs else loss


def train(
    model: PreTrainedModel,
    tokenizer: Any,
    batches: Iterable[Batch],
    config: TrainingConfig,
    seed: int,
    log: RunLog,
    title: str,
    steps: Steps | None = None,
    trainable: TrainableConfig | None = None,
    rows: Sequence[int] = (),
    teacher: Distributions | None = None,
    margins: ChoiceMargins | None = None,
) -> TrainedModel:
    """Run the batches once, in order; several ranks take turns (see `tinr.data.batch_file`).

    It changes the model in place; continue with the returned one. With `steps` a killed run resumes
    from its newest complete step checkpoint. trainable, rows: see `tinr.training.adapters`.
    teacher: the table that the batches' `soft` rows refer to. margins: added to the logits where a
    tool is chosen. BadInput if there is no batch. RunFailed if the loss is not finite: such a run
    publishes nothing.
    """
    share = config.accumulate * distributed.world()
    weights = Trainables(model, trainable or TrainableConfig(), rows)
    with step_folder(steps) as folder, products(model):
        batch_file = prepare(batches, folder, title)
        tokens = [
            sum(batch_file.tokens[start : start + share])
            for start in range(0, len(batch_file), share)
        ]
        # for ranks without a batch in the last step
        blank_batch = blank(batch_file[len(batch_file) - 1])
        encode = compiled(model) if config.compile and model.device.type == "cpu" else None
        if encode is not None and folder.done:
            _warm_up(model, encode, batch_file[0], use_bf16(config.bf16))
        with with_loss(model, encode, teacher, margins):
            trainer = PackedTrainer(
                model=model,
                args=_arguments(folder, config, seed),
                processing_class=tokenizer,
                train_dataset=Dataset.from_dict({"batch": list(range(len(tokens) * share))}),
                data_collator=lambda features: (
                    batch_file[number]
                    if (number := features[0]["batch"]) < len(batch_file)
                    else blank_batch
                ),
            )
            progress = Progress(log, title, len(tokens), tokens)
            run_loop(trainer, progress, config.optimiser, folder)
    trained_model, adapter = weights.whole(trainer)
    return TrainedModel(
        trained_model, trainer.state.global_step, sum(tokens), mean_loss(trainer), adapter
    )


def _warm_up(model: PreTrainedModel, encode: Encode, batch: Batch, bf16: bool) -> None:
    """Compile on the first batch, as the first start did, so that a resumed run is the same.

    Other shapes give other kernels, whose sums differ in the last bit.
    """
    model.train()  # the trainer's mode: another one would cause a recompilation
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        labelled_loss(model, batch, None, encode).backward()
    model.zero_grad()


def _arguments(folder: Steps, config: TrainingConfig, seed: int) -> SFTConfig:
    return SFTConfig(
        per_device_train_batch_size=1,  # a ready batch
        gradient_accumulation_steps=config.accumulate,
        num_train_epochs=1,
        bf16=use_bf16(config.bf16),
        gradient_checkpointing=config.gradient_checkpointing,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        logging_steps=LOG_STEPS,
        **common_arguments(
            folder, config.checkpoint_steps, seed, config.optimiser, config.deepspeed
        ),
    )
