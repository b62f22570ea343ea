"""Speed of supervised training against the usual padded loop, and the gain of each optimisation.

The first and the last are real trainers over the same examples: transformers' Trainer, with batches
padded to their longest example and the loss over all positions, and `tinr.training.supervised`.
Between them are bare loops, each with one more optimisation than the one before it.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from phases.base import BaseConfig, new_model
from tinr.catalogue.importing.import_tools import import_tools
from tinr.catalogue.load import Catalogue, document_from, load_catalogue
from tinr.chat.codec import IGNORE, Codec
from tinr.checkpoints.model import grow, to_accelerator
from tinr.config import OptimiserConfig, TrainingConfig
from tinr.data.alignment_examples import PairMix
from tinr.data.base_tokenizer import train_tokenizer
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.replay import aligned_examples
from tinr.distributed import keep_stdout_clean
from tinr.records import BadInput
from tinr.run_log import RunLog, read_log
from tinr.training.cpu_attention import compiled, products, use_bf16
from tinr.training.loop import labelled_loss
from tinr.training.optimiser import make_optimiser
from tinr.training.supervised import train

PADDED_BATCH = 16  # examples per batch of the padded loop
CONFIG = TrainingConfig(
    optimiser=OptimiserConfig(learning_rate=1e-3), batch_tokens=4096, row_tokens=320, compile=True
)
WARM = 5  # warm-up steps, not counted because they compile kernels and allocate memory

Loss = Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class LoopSpeed:
    """Useful tokens per second, without padding."""

    name: str
    tokens_a_second: float
    padding: float  # as a share of the positions
    operations_a_second: float  # floating-point operations of the model on useful tokens


@dataclass(frozen=True)
class Steps:
    """The measured speeds, and the data and model that they were measured on."""

    tools: int
    examples: int
    lengths: tuple[int, int, int]  # tokens per example: median, 90 %, longest
    vocabulary: int
    parameters: int
    bf16: bool
    matrix_rate: float  # operations per second of bare matrix products in the model's shapes
    speeds: tuple[LoopSpeed, ...]


@dataclass(frozen=True)
class Set:
    """Examples of one catalogue and the model that trains on them."""

    model: PreTrainedModel
    codec: Codec
    examples: Sequence[Example]

    @property
    def padded(self) -> list[list[Example]]:
        """Batches of the usual loop, in random order."""
        examples = Random(0).sample(list(self.examples), len(self.examples))
        return [examples[n : n + PADDED_BATCH] for n in range(0, len(examples), PADDED_BATCH)]

    def packed(self, count: int) -> list[Batch]:
        """The first batches of packed rows."""
        return list(islice(make_batches(self.examples, CONFIG, 0, self.codec.pad), count))


def measure_training(
    catalogue: Catalogue, steps: int = 20, repeats: int = 3, hidden: int = 192, seed: int = 0
) -> Steps:
    """Measure all speeds in turn: each is the median of `repeats` runs of `steps` steps."""
    training_set = make_set(catalogue, steps, hidden, seed)
    runs: dict[str, list[LoopSpeed]] = {}
    for _ in range(repeats):
        for speed in (
            _transformers_speed(training_set, steps),
            *_ladder(training_set, steps),
            *_our_speeds(training_set, steps),
        ):
            runs.setdefault(speed.name, []).append(speed)
    sizes = sorted(len(example.ids) for example in training_set.examples)
    return Steps(
        len(catalogue.tools),
        len(sizes),
        (sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10], sizes[-1]),
        training_set.model.config.vocab_size,
        training_set.model.num_parameters(),
        use_bf16(None),
        _matrix_rate(training_set.model, repeats),
        tuple(
            replace(
                speeds[0],
                tokens_a_second=median(s.tokens_a_second for s in speeds),
                operations_a_second=median(s.operations_a_second for s in speeds),
            )
            for speeds in runs.values()
        ),
    )


def catalogue_of(sources: Sequence[str]) -> Catalogue:
    """Load shipped corpora and catalogue folders, or files of tools in any format."""
    files = [source for source in sources if Path(source).is_file()]
    if not files:
        return load_catalogue(sources)
    lines = import_tools(sources).lines
    return Catalogue(tuple(document_from(line, "tools", source="import") for line in lines))


def make_set(catalogue: Catalogue, steps: int, hidden: int = 192, seed: int = 0) -> Set:
    """Alignment pairs of a catalogue, enough for `steps` steps, and a model of random weights."""
    if hidden % 64:
        raise BadInput(f"--hidden {hidden}: heads are 64 wide; give a multiple of 64")
    tokenizer = train_tokenizer(2048, seed)
    heads = hidden // 64
    model: Any = new_model(BaseConfig(hidden=hidden, heads=heads, seed=seed), tokenizer)
    grow(model, tokenizer, catalogue, "name_mean", seed)
    to_accelerator(model)
    codec = Codec(tokenizer)
    rng = Random(seed)
    examples: list[Example] = []
    token_budget = 2 * (steps + WARM) * CONFIG.batch_tokens
    while sum(len(e.ids) for e in examples) < token_budget:
        pairs = aligned_examples(codec, catalogue, PairMix(), rng)
        examples += [e for e in rng.sample(pairs, len(pairs)) if len(e.ids) <= CONFIG.max_tokens]
    return Set(model, codec, examples)


def _transformers_speed(training_set: Set, steps: int) -> LoopSpeed:
    """Speed of transformers' Trainer: padded to the longest, the loss over every position."""
    keep_stdout_clean()
    batches = training_set.padded[: steps + WARM]
    clock = _Clock()
    columns = [
        {"input_ids": list(e.ids), "labels": [IGNORE, *e.labels[1:]]} for b in batches for e in b
    ]
    training_set.codec.tokenizer.padding_side = "right"
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=copy.deepcopy(training_set.model),
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=PADDED_BATCH,
                num_train_epochs=1,
                learning_rate=CONFIG.optimiser.learning_rate,
                bf16=use_bf16(None),
                use_cpu=not torch.cuda.is_available(),
                train_sampling_strategy="sequential",
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=columns,  # type: ignore[arg-type]
            data_collator=DataCollatorForSeq2Seq(
                training_set.codec.tokenizer, label_pad_token_id=IGNORE
            ),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)  # it would print figures between ours
        trainer.train()
    return _speed("transformers Trainer, padded", training_set.model, batches[WARM:], clock.seconds)


class _Clock(TrainerCallback):
    """Seconds between the end of the last warm-up step and the end of the last step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        """Record the time at the end of a step."""
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[WARM - 1]


def _ladder(training_set: Set, steps: int) -> list[LoopSpeed]:
    """Speeds of bare loops (forward, backward, AdamW), each with one more optimisation."""
    padded_batches = [
        _pad(batch, training_set.codec.pad) for batch in training_set.padded[: steps + WARM]
    ]
    packed_batches = training_set.packed(steps + WARM)
    model = copy.deepcopy(training_set.model)
    no_context = nullcontext()

    def full_loss(batch: Batch) -> torch.Tensor:
        return model(
            **{n: batch[n] for n in ("input_ids", "position_ids", "attention_mask", "labels")
               if n in batch},
            use_cache=False,
        ).loss  # fmt: skip

    def label_loss(batch: Batch) -> torch.Tensor:
        return labelled_loss(model, batch)

    speeds = [
        _loop("a bare loop over the same batches", model, full_loss, padded_batches, no_context),
        _loop("+ packed rows", model, full_loss, packed_batches, no_context),
        _loop("+ loss at labels only", model, label_loss, packed_batches, no_context),
        _loop("+ attention as products", model, label_loss, packed_batches, products(model)),
    ]
    with products(model):
        encode = compiled(model) if CONFIG.compile else None
        if encode is not None:
            speeds.append(
                _loop(
                    "+ compiled layers", model,
                    lambda batch: labelled_loss(model, batch, None, encode),
                    packed_batches, no_context,
                )
            )  # fmt: skip
    return speeds


def _loop(
    name: str,
    model: PreTrainedModel,
    loss: Loss,
    batches: Sequence[Batch],
    context: AbstractContextManager[Any],
) -> LoopSpeed:
    optimiser = make_optimiser(model, CONFIG.optimiser)
    with context:
        for number, batch in enumerate(batches):
            if number == WARM:
                start_time = _now(model)
            batch = {name: value.to(model.device) for name, value in batch.items()}
            with torch.autocast(model.device.type, torch.bfloat16, enabled=use_bf16(None)):
                value = loss(batch)
            value.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
        seconds = _now(model) - start_time
    return _speed(name, model, batches[WARM:], seconds)


def _now(model: PreTrainedModel) -> float:
    """The time after all work queued on the model's device is done."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _pad(examples: Sequence[Example], pad: int) -> Batch:
    """Pad examples (B) on the right to input_ids, attention_mask and labels (B, T)."""
    width = max(len(e.ids) for e in examples)
    columns: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for e in examples:
        gap = width - len(e.ids)
        columns["input_ids"].append([*e.ids, *[pad] * gap])
        columns["attention_mask"].append([1] * len(e.ids) + [0] * gap)
        columns["labels"].append([IGNORE, *e.labels[1:], *[IGNORE] * gap])
    return {name: torch.tensor(rows) for name, rows in columns.items()}


def _our_speeds(training_set: Set, steps: int) -> list[LoopSpeed]:
    """Speeds of `tinr.training.supervised` as the phases call it, with AdamW and with Muon.

    The padded loop uses AdamW.
    """
    return [our_speed(training_set, steps, name) for name in ("adamw", "muon")]


def our_speed(training_set: Set, steps: int, optimiser: str) -> LoopSpeed:
    """Speed of our trainer over `steps` steps, after the warm-up steps."""
    batches = training_set.packed(steps + WARM)
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, name=optimiser))
    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder), "bench", {}) as log:
        model = copy.deepcopy(training_set.model)
        train(model, training_set.codec.tokenizer, batches, config, 0, log, f"tinr, {optimiser}")
        end_seconds = step_ends(log)
    counted_batches = batches[WARM : max(end_seconds)]
    seconds = end_seconds[max(end_seconds)] - end_seconds[WARM]
    return _speed(f"tinr's trainer, {optimiser}", training_set.model, counted_batches, seconds)


def step_ends(log: RunLog) -> dict[int, float]:
    """Step -> second of the run at which it was logged."""
    rows = (row for row in read_log(log.path) if "train/loss" in row)
    return {int(row["step"]): row["seconds"] for row in rows}


def _speed(name: str, model: PreTrainedModel, batches: Sequence[Any], seconds: float) -> LoopSpeed:
    """Speed over batches: lists of examples, padded tensors or packed tensors."""
    tokens = label_count = positions = squares = 0
    for batch in batches:
        if isinstance(batch, list):
            sizes = [len(e.ids) for e in batch]
            label_count += sum(label != IGNORE for e in batch for label in e.labels[1:])
            positions += max(sizes) * len(sizes)
        else:
            sizes = _sizes(batch)
            label_count += int((batch["labels"] != IGNORE).sum())
            positions += batch["labels"].numel()
        tokens += sum(sizes)
        squares += sum(size**2 for size in sizes)
    work = operations(model, tokens, label_count, squares)
    return LoopSpeed(name, tokens / seconds, 1 - tokens / positions, work / seconds)


def _sizes(batch: Batch) -> list[int]:
    """Tokens of each example of a padded or packed batch."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum(1).tolist()
    sizes = []
    for positions, weights in zip(batch["position_ids"], batch["weights"], strict=True):
        starts = (positions == 0).nonzero().flatten().tolist()
        ends = [*starts[1:], len(positions)]
        sizes += [b - a for a, b in zip(starts, ends, strict=True) if weights[a] > 0]
    return sizes


def operations(model: PreTrainedModel, tokens: int, labels: int, squares: int) -> float:
    """Floating-point operations of forward and backward: 6 per weight and token.

    The head counts at labels only. Attention counts the causal half of each example's square.
    squares: sum of the squared lengths.
    """
    shape: Any = model.config
    table = shape.vocab_size * shape.hidden_size
    inner_weights = model.num_parameters() - table * (1 if shape.tie_word_embeddings else 2)
    width = shape.num_attention_heads * shape.head_dim
    return 6.0 * (
        inner_weights * tokens + table * labels + shape.num_hidden_layers * width * squares
    )


def _matrix_rate(model: PreTrainedModel, repeats: int) -> float:
    """Operations per second of matrix products in the shapes of the model's blocks and head."""
    shape: Any = model.config
    hidden_size, inner_size = shape.hidden_size, shape.intermediate_size
    rows, kind = CONFIG.batch_tokens, torch.bfloat16 if use_bf16(None) else torch.float32
    work = seconds = 0.0
    for count, a, b in (
        (4, hidden_size, hidden_size),
        (3, hidden_size, inner_size),
        (1, hidden_size, shape.vocab_size),
    ):
        inputs = torch.randn(rows, a, device=model.device, dtype=kind)
        weights = torch.randn(b, a, device=model.device, dtype=kind)
        durations = []
        for _ in range(WARM + 3 * repeats):
            start_time = _now(model)
            torch.nn.functional.linear(inputs, weights)
            durations.append(_now(model) - start_time)
        work += count * 2.0 * rows * a * b
        seconds += count * median(durations[WARM:])
    return work / seconds
