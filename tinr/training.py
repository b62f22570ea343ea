"""The supervised loop: packed rows, loss at labelled positions only, on TRL's trainer.

Each example is a run of ids with labels. Examples share rows (first fit, longest
first); position ids restart at each example, from which transformers builds the
block-diagonal attention, so neighbours never see each other. The output head is applied
only where a label is, so its cost does not grow with the prompt.
"""

import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from tqdm import tqdm
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from tinr.config import OptimiserConfig, TrainingConfig
from tinr.layers import Encode, compiled, products
from tinr.model import vocabulary_rows
from tinr.optimiser import make_optimiser
from tinr.records import GateFailed
from tinr.runlog import RunLog
from tinr.tokens import IGNORE

LOG_STEPS = 5


@dataclass(frozen=True)
class Example:
    """Ids with labels (IGNORE: no loss) and the weight of its loss."""

    ids: Sequence[int]
    labels: Sequence[int]
    weight: float = 1.0


@dataclass(frozen=True)
class Trained:
    """What a run of the loop cost and gave."""

    steps: int
    tokens: int  # real tokens, padding left out
    loss: float  # mean of the last tenth of the steps


Batch = dict[str, torch.Tensor]


def pack(examples: Sequence[Example], row_tokens: int) -> list[list[Example]]:
    """Examples into rows of at most `row_tokens` by best fit, longest first.

    A longer example has a row of its own.
    """
    rows: list[list[Example]] = []
    by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]  # room left -> rows
    for example in sorted(examples, key=lambda e: -len(e.ids)):
        size = len(example.ids)
        room = next((r for r in range(size, row_tokens + 1) if by_room[r]), None)
        if room is None:
            rows.append([example])
            index, room = len(rows) - 1, max(row_tokens, size)
        else:
            index = by_room[room].pop()
            rows[index].append(example)
        by_room[room - size].append(index)
    return rows


def collate(rows: Sequence[Sequence[Example]], pad: int) -> Batch:
    """Rows to tensors (R, T): input_ids, position_ids, labels, weights; padding is a segment."""
    longest = max(sum(len(example.ids) for example in row) for row in rows)
    out: dict[str, list[list[Any]]] = {
        "input_ids": [],
        "position_ids": [],
        "labels": [],
        "weights": [],
    }
    for row in rows:
        ids, positions, labels, weights = [], [], [], []
        for example in row:
            ids += example.ids
            positions += range(len(example.ids))
            labels += [IGNORE, *example.labels[1:]]  # nothing precedes a first token
            weights += [example.weight] * len(example.ids)
        gap = longest - len(ids)
        out["input_ids"].append(ids + [pad] * gap)
        out["position_ids"].append(positions + list(range(gap)))
        out["labels"].append(labels + [IGNORE] * gap)
        out["weights"].append(weights + [0.0] * gap)
    return {key: torch.tensor(value) for key, value in out.items()}


def make_batches(
    examples: Sequence[Example], config: TrainingConfig, seed: int, pad: int
) -> list[Batch]:
    """One epoch of batches of at most `batch_tokens` tokens, in seeded random order."""
    rng = Random(seed)
    kept = [e for e in examples if len(e.ids) <= config.longest]
    rows = pack(rng.sample(kept, len(kept)), config.row_tokens)
    rng.shuffle(rows)
    rows.sort(key=lambda row: max(sum(len(e.ids) for e in row), config.row_tokens))
    batches: list[list[list[Example]]] = []
    for row in rows:
        width = max(sum(len(e.ids) for e in r) for r in [row, *(batches[-1] if batches else [])])
        if not batches or width * (len(batches[-1]) + 1) > config.batch_tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return [collate(batch, pad) for batch in batches]


def labelled_loss(
    model: PreTrainedModel, batch: Batch, items: Any = None, encode: Encode | None = None
) -> torch.Tensor:
    """Weighted mean cross-entropy over the labelled positions of a packed batch.

    input_ids (R, T) -> hidden (R, T, H), by `encode` where it is given; logits only at the
    N labelled positions, (N, V).
    """
    if encode is not None:
        hidden = encode(batch["input_ids"], batch["position_ids"])[:, :-1]
    else:
        hidden = model.base_model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).last_hidden_state[:, :-1]
    targets = batch["labels"][:, 1:]
    here = targets != IGNORE
    logits = vocabulary_rows(model)[1](hidden[here]).float()
    losses = F.cross_entropy(logits, targets[here], reduction="none")
    total = (losses * batch["weights"][:, 1:][here]).sum()
    return total / (here.sum() if items is None else items)


class PackedTrainer(SFTTrainer):
    """TRL's supervised trainer over ready batches, with the loss above."""

    optimiser_config: OptimiserConfig
    encode: Encode | None = None  # compiled layers

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Mean loss over labelled positions; other outputs are not kept."""
        with self.accelerator.autocast():  # the trainer wraps only the model's own forward
            loss = labelled_loss(model, inputs, num_items_in_batch, self.encode)
        return (loss, None) if return_outputs else loss

    def create_optimizer(self, model=None):
        """The configured optimiser instead of the trainer's own."""
        if self.optimizer is None:
            self.optimizer = make_optimiser(self.model, self.optimiser_config)  # type: ignore[arg-type]
        return self.optimizer


def schedule_arguments(config: OptimiserConfig) -> dict[str, Any]:
    """The trainer's arguments for the learning rate and the gradient."""
    kind = "cosine_with_min_lr" if config.schedule == "cosine" else "linear"
    extra = {"min_lr_rate": config.final} if kind == "cosine_with_min_lr" else {}
    return {
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": kind,
        "lr_scheduler_kwargs": extra,
        "warmup_steps": config.warmup,
        "max_grad_norm": config.gradient_clip,
    }


def train(
    model: PreTrainedModel,
    tokenizer: Any,
    batches: Sequence[Batch],
    config: TrainingConfig,
    seed: int,
    log: RunLog,
    title: str,
) -> Trained:
    """Run the batches once, in order; the model is changed in place.

    Raises GateFailed when the loss is no number: nothing is kept of such a run.
    """
    tokens = [int((batch["weights"] > 0).sum()) for batch in batches]
    progress = Progress(log, title, len(tokens), tokens)
    with tempfile.TemporaryDirectory() as folder:
        trainer = PackedTrainer(
            model=model,
            args=_arguments(folder, config, seed),
            processing_class=tokenizer,
            train_dataset=Dataset.from_dict({"batch": list(range(len(batches)))}),
            data_collator=lambda features: batches[features[0]["batch"]],
            callbacks=[progress],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.optimiser_config = config.optimiser
        widest = max(batch["input_ids"].shape[1] for batch in batches)
        with products(model, widest):
            if config.compile and model.device.type == "cpu":
                trainer.encode = compiled(model)
            trainer.train()
    tail = progress.losses[-max(1, len(progress.losses) // 10) :]
    return Trained(trainer.state.global_step, sum(tokens), sum(tail) / max(1, len(tail)))


def _arguments(folder: str, config: TrainingConfig, seed: int) -> SFTConfig:
    return SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=1,  # a ready batch
        num_train_epochs=1,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=config.bf16,
        gradient_checkpointing=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        logging_steps=LOG_STEPS,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        deepspeed=config.deepspeed,
        **schedule_arguments(config.optimiser),
    )


class Progress(TrainerCallback):
    """A progress bar, and the trainer's figures into the run's log.

    tokens: of each step, where they are known before it; their sum so far is logged too.
    """

    def __init__(self, log: RunLog, title: str, steps: int, tokens: Sequence[int] = ()):
        self.log = log
        self.tokens = list(itertools.accumulate(tokens))
        self.bar = tqdm(total=steps, desc=title, unit="step", mininterval=2, ncols=90)
        self.losses: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        """Move the bar."""
        self.bar.update(1)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Log loss, rate and gradient norm; stop at a loss that is no number."""
        if not logs or "loss" not in logs:
            return
        row = {
            f"train/{name}": float(logs[name])
            for name in ("loss", "learning_rate", "grad_norm")
            if name in logs
        }
        if not math.isfinite(row["train/loss"]):
            raise GateFailed(
                f"step {state.global_step}: the loss is {row['train/loss']}; nothing was "
                "published. Lower training.optimiser.learning_rate"
            )
        self.losses.append(row["train/loss"])
        step = state.global_step
        counted = {"train/tokens": self.tokens[step - 1]} if self.tokens else {}
        self.log.log(step, row | counted)
        self.bar.set_postfix_str(f"loss {self.losses[-1]:.3f}", refresh=False)

    def on_train_end(self, args, state, control, **kwargs):
        """Close the bar."""
        self.bar.close()
