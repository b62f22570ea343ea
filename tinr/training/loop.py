"""What all training loops share: step checkpoints, bad steps, merged weights, progress.

`Loop` comes before one of TRL's trainers in the list of base classes. `with_loss` makes the model
itself compute the loss over labelled positions, so that its wrapper (DDP, DeepSpeed) sees every
forward pass.
"""

import itertools
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

import tinr
from tinr import distributed
from tinr.chat.codec import IGNORE
from tinr.checkpoints.durable_files import disk_errors
from tinr.checkpoints.model import head_logits
from tinr.checkpoints.step_checkpoints import KEPT, Steps
from tinr.config import OptimiserConfig, TrainableConfig
from tinr.data.distillation import Distributions
from tinr.data.packing import Batch
from tinr.distributed import keep_stdout_clean
from tinr.progress import progress_bar
from tinr.records import BadInput, RunFailed
from tinr.run_log import RunLog
from tinr.training.adapters import Adapter, adapt, merge, release_top
from tinr.training.choice_margins import ChoiceMargins
from tinr.training.cpu_attention import Encode
from tinr.training.optimiser import make_optimiser

BAD_STEPS = 10  # consecutive bad steps that end a run even if bad steps are skipped
ZERO = Path(tinr.__file__).parents[1] / "scripts" / "deepspeed"


@dataclass(frozen=True)
class TrainedModel:
    """Result and cost of a training run; `model` has all weights on the first process."""

    model: PreTrainedModel
    steps: int
    tokens: int  # without padding
    loss: float  # mean of the last tenth of the steps
    adapter: Adapter | None = None  # if not all weights were trained


class Loop(Trainer):
    """Adds the configured optimiser, the handling of bad steps, and atomic step checkpoints."""

    optimiser_config: OptimiserConfig
    step_checkpoints: Steps | None = None
    bad_steps = 0  # consecutive
    replay: Iterator[Batch] | None = None  # batches of earlier phases' examples

    def replay_from(self, replay: Iterator[Batch], passes: int) -> None:
        """Give each rank its own batches, without the `passes` that earlier starts used."""
        world = distributed.world()
        self.replay = islice(replay, passes * world + distributed.rank(), None, world)

    def replayed_loss(self, model: Any, device: torch.device) -> torch.Tensor:
        """Compute the loss of the next replayed batch."""
        assert self.replay is not None
        batch = {name: value.to(device) for name, value in next(self.replay).items()}
        with self.accelerator.autocast():
            return model(packed=batch)

    def create_optimizer(self, model=None):
        """Make the configured optimiser instead of the trainer's."""
        if self.optimizer is None:
            self.optimizer = make_optimiser(self.model, self.optimiser_config)  # type: ignore[arg-type]
        return self.optimizer

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        config, value = self.optimiser_config, None if norm is None else float(norm)
        limit = math.inf if config.gradient_limit is None else config.gradient_limit
        if value is None or value < limit:  # DeepSpeed reports the norm of the previous step
            self.bad_steps = 0
            return norm
        self.bad_steps += 1
        skips = (
            config.bad_step == "skip" and not self.is_deepspeed_enabled
        )  # DeepSpeed has already stepped
        if not skips or self.bad_steps >= BAD_STEPS:
            raise RunFailed(
                f"step {self.state.global_step + 1}: the gradient norm is {value:.3g}; nothing "
                "was published. Lower the optimiser's learning_rate, or set its bad_step=skip to "
                "skip such steps"
            )
        model.zero_grad(set_to_none=True)  # without gradients the optimiser does not step
        return norm

    def _save(self, output_dir=None, state_dict=None):
        """Save only the trained weights of a model with adapters: the parent holds the rest."""
        model: Any = self.model
        if not _is_adapted(model):
            super()._save(output_dir, state_dict)
            return
        state = model.state_dict() if state_dict is None else state_dict
        weights = {n: state[n] for n, p in model.named_parameters() if p.requires_grad}
        path = _moving_file(output_dir or str(self.args.output_dir))
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in weights.items()}, path)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        target: Any = self.model if model is None else model
        if not _is_adapted(target):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        target.load_state_dict(load_file(_moving_file(resume_from_checkpoint)), strict=False)

    def _save_checkpoint(self, model, trial):
        Trainer._save_checkpoint(self, model, trial)  # TRL's method writes a model card each time
        self.accelerator.wait_for_everyone()
        if self.args.should_save and self.step_checkpoints is not None:
            self.step_checkpoints.complete(self.state.global_step)


def _is_adapted(model: Any) -> bool:
    return not all(parameter.requires_grad for parameter in model.parameters())


def _moving_file(folder: str) -> Path:
    return Path(folder) / "moving.safetensors"


def run_loop(
    trainer: Loop,
    progress: "Progress",
    optimiser: OptimiserConfig,
    steps: Steps,
) -> None:
    """Train to the end from the newest complete step checkpoint, or from the beginning."""
    trainer.add_callback(progress)
    trainer.remove_callback(PrinterCallback)
    trainer.optimiser_config, trainer.step_checkpoints = optimiser, steps
    checkpoint = steps.last()
    progress.skip(steps.done)
    with disk_errors(steps.folder, "it resumes from its last complete step checkpoint"):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


@contextmanager
def step_folder(steps: Steps | None) -> Iterator[Steps]:
    """Yield the folder for step checkpoints: the run's own, locked, or a temporary one."""
    if steps is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Steps(Path(folder))
    else:
        with steps.held():
            yield steps


def common_arguments(
    steps: Steps, every: int, seed: int, optimiser: OptimiserConfig, deepspeed: str | None
) -> dict[str, Any]:
    """The trainer's arguments that do not depend on the loop."""
    keep_stdout_clean()
    kind = "cosine_with_min_lr" if optimiser.schedule == "cosine" else "linear"
    return {
        "output_dir": str(steps.folder),
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
        "logging_nan_inf_filter": optimiser.bad_step == "skip",  # otherwise it must be visible
        "save_strategy": "steps" if every else "no",
        "save_steps": max(1, every),
        "save_total_limit": KEPT,
        "report_to": [],
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        "ddp_timeout": int(distributed.COLLECTIVE_TIMEOUT.total_seconds()),
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "deepspeed": deepspeed_file(deepspeed, optimiser),
        "learning_rate": optimiser.learning_rate,
        "lr_scheduler_type": kind,
        "lr_scheduler_kwargs": {"min_lr_rate": optimiser.final} if kind != "linear" else {},
        "warmup_steps": optimiser.warmup,
        "max_grad_norm": optimiser.gradient_clip,
    }


def deepspeed_file(name: str | None, optimiser: OptimiserConfig) -> str | None:
    """Find a DeepSpeed configuration by name or path. BadInput if there is none, or with muon."""
    if name is None:
        return None
    if optimiser.name == "muon":
        raise BadInput(
            "deepspeed: ZeRO shards the matrices, but muon needs whole ones; "
            "set optimiser.name=adamw"
        )
    packaged_file = ZERO / f"{name}.json"
    path = packaged_file if packaged_file.is_file() else Path(name)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in ZERO.glob("*.json")))
        raise BadInput(f"deepspeed: {name!r} is neither a file nor one of {names}")
    return str(path)


def labelled_loss(
    model: PreTrainedModel,
    batch: Batch,
    items: Any = None,
    encode: Encode | None = None,
    teacher: Distributions | None = None,
    margins: ChoiceMargins | None = None,
) -> torch.Tensor:
    """Compute the weighted mean cross-entropy over the labelled positions of a packed batch.

    input_ids (R, T) -> hidden (R, T, H), by `encode` if it is passed. Logits (N, V) are computed
    only at the N labelled positions. items: the divisor, if it is not N. teacher: the table that
    the row numbers in `soft` refer to; there the loss is the divergence from the teacher. margins:
    added to the logits where a tool is chosen.
    """
    if encode is not None:
        hidden = encode(batch["input_ids"], batch["position_ids"])[:, :-1]
    else:
        hidden = model.base_model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).last_hidden_state[:, :-1]
    rows = None if teacher is None else batch["soft"][:, 1:]
    previous = None if margins is None else batch["input_ids"][:, :-1]
    losses, label_mask = losses_at_labels(
        model, hidden, batch["labels"][:, 1:], teacher, rows, margins, previous
    )
    total = (losses * batch["weights"][:, 1:][label_mask]).sum()
    return total / (label_mask.sum() if items is None else items)


def losses_at_labels(
    model: PreTrainedModel,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    teacher: Distributions | None = None,
    rows: torch.Tensor | None = None,
    margins: ChoiceMargins | None = None,
    previous: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the negative log-likelihood (N,) of the labels, and their mask (R, T).

    hidden (R, T, H): the states before targets (R, T). The head is applied only at the N labels.
    rows (R, T): row numbers of the teacher's table; where one is not 0, the loss is the divergence
    from that row.
    """
    label_mask = targets != IGNORE
    logits = head_logits(model, hidden[label_mask]).float()
    labels = targets[label_mask]
    before = None if previous is None else previous[label_mask]
    soft_rows = None if rows is None else rows[label_mask]
    if teacher is None or soft_rows is None or not soft_rows.any():
        return _cross_entropy(logits, labels, margins, before), label_mask
    is_soft = soft_rows > 0
    losses = logits.new_empty(len(logits))
    hard_before = None if before is None else before[~is_soft]
    losses[~is_soft] = _cross_entropy(logits[~is_soft], labels[~is_soft], margins, hard_before)
    losses[is_soft] = teacher.divergence(logits[is_soft], soft_rows[is_soft])
    return losses, label_mask


def _cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    margins: ChoiceMargins | None,
    previous: torch.Tensor | None,
) -> torch.Tensor:
    """Compute the loss (N,) of logits (N, V), which the margins change in place."""
    if margins is not None and previous is not None:
        logits = margins.adjust(logits, previous, labels)
    return F.cross_entropy(logits, labels, reduction="none")


@contextmanager
def with_loss(
    model: PreTrainedModel,
    encode: Encode | None = None,
    teacher: Distributions | None = None,
    margins: ChoiceMargins | None = None,
) -> Iterator[None]:
    """Context manager in which `model(packed=batch, items=N)` is the loss of a packed batch."""
    forward = model.forward

    def forward_or_loss(
        *args: Any, packed: Batch | None = None, items: Any = None, **kwargs: Any
    ) -> Any:
        if packed is None:
            return forward(*args, **kwargs)
        return labelled_loss(model, packed, items, encode, teacher, margins)

    model.forward = forward_or_loss  # type: ignore[method-assign]
    try:
        yield
    finally:
        model.__dict__.pop("forward", None)  # a wrapper of the model may have restored it


class Trainables:
    """The weights that a run trains: set up before the loop, merged into a whole model after it."""

    def __init__(self, model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]):
        self.model, self.config, self.rows = model, config, rows
        self._settings = dict(vars(model.config.get_text_config()))
        self.adapted = adapt(model, config, rows)

    def whole(self, trainer: Trainer) -> tuple[PreTrainedModel, Adapter | None]:
        """Return the trained model without adapter, and the adapter; complete on the first rank."""
        model, adapted = self.model, self.adapted
        if trainer.is_deepspeed_enabled:
            state: Any = trainer.accelerator.get_state_dict(trainer.model_wrapped)
            unset_hf_deepspeed_config()  # models made from here on are not sharded
            model = type(self.model)(self.model.config)
            adapted = adapt(model, self.config, self.rows)
            if distributed.rank() == 0:
                model.load_state_dict(state, strict=not model.config.tie_word_embeddings)
                model.tie_weights()
        # trainers leave settings on, such as router logits, whose loss fails with a cache
        vars(model.config.get_text_config()).update(self._settings)
        if self.config.what == "top":
            release_top(model)
        return (model, None) if adapted is None else merge(adapted)


class Progress(TrainerCallback):
    """Shows a progress bar, and writes the trainer's metrics to the run's log.

    tokens: tokens of each step, if known in advance; their running sum is logged too.
    others: additional metrics of the trainer to log, the trainer's name -> our name.
    """

    def __init__(
        self,
        log: RunLog,
        title: str,
        steps: int,
        tokens: Sequence[int] = (),
        others: Mapping[str, str] | None = None,
    ):
        self.log = log
        names = ("loss", "learning_rate", "grad_norm")
        self.names = {name: f"train/{name}" for name in names} | dict(others or {})
        self.tokens = list(itertools.accumulate(tokens))
        self.bar = progress_bar(steps, title, "step")

    def skip(self, steps: int) -> None:
        """Skip the steps that earlier starts have completed."""
        self.bar.update(steps)
        self.bar.initial = steps

    def on_step_end(self, args, state, control, **kwargs):
        """Advance the bar. Save after the last step, in case the gate that follows fails."""
        self.bar.update(1)
        if state.global_step == state.max_steps and args.save_strategy != "no":
            control.should_save = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Log loss, learning rate, gradient norm and the others. Stop if the loss is not finite."""
        if not logs or "loss" not in logs:
            return
        row = {
            log_name: float(logs[name])
            for name, log_name in self.names.items()
            if logs.get(name) is not None
        }
        if not math.isfinite(row["train/loss"]):
            raise RunFailed(
                f"step {state.global_step}: the loss is {row['train/loss']}; nothing was "
                "published. Lower the optimiser's learning_rate"
            )
        step = state.global_step
        token_count = {"train/tokens": self.tokens[step - 1]} if self.tokens else {}
        self.log.log(step, row | token_count)
        self.bar.set_postfix_str(f"loss {row['train/loss']:.3f}", refresh=False)

    def on_train_end(self, args, state, control, **kwargs):
        """Close the bar."""
        self.bar.close()


def mean_loss(trainer: Trainer) -> float:
    """Mean loss of the last tenth of the logged steps, including those of an earlier start."""
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / max(1, len(tail))
