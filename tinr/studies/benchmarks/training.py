"""Supervised steps against the padded loop of the usual kind, and what each of our means gives.

Both ends are real trainers over the same examples: transformers' own, batches padded to their
longest example and the usual loss over all positions, and `tinr.training.supervised`. Between them
stand bare loops, each with one more of our means than the one before it.
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

PADDED_BATCH = 16  # examples in a batch of the padded loop
CONFIG = TrainingConfig(
    optimiser=OptimiserConfig(learning_rate=1e-3), batch_tokens=4096, row_tokens=320, compile=True
)
WARM = 5  # steps that are not counted: kernels are compiled and memory is taken in them

Loss = Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class LoopSpeed:
    """Useful tokens a second: padding does not count."""

    name: str
    tokens_a_second: float
    padding: float  # share of the positions
    operations_a_second: float  # floating-point operations of the model on useful tokens


@dataclass(frozen=True)
class Steps:
    """What was measured, and on what."""

    tools: int
    examples: int
    lengths: tuple[int, int, int]  # tokens of an example: median, 90 %, longest
    vocabulary: int
    parameters: int
    bf16: bool
    matrix_rate: float  # operations a second of the model's own products, measured beside
    speeds: tuple[LoopSpeed, ...]


@dataclass(frozen=True)
class Set:
    """Examples of one catalogue and the model that learns them."""

    model: PreTrainedModel
    codec: Codec
    examples: Sequence[Example]

    @property
    def padded(self) -> list[list[Example]]:
        """Batches of the usual loop, in random order."""
        mixed = Random(0).sample(list(self.examples), len(self.examples))
        return [mixed[n : n + PADDED_BATCH] for n in range(0, len(mixed), PADDED_BATCH)]

    def packed(self, count: int) -> list[Batch]:
        """The first batches of packed rows."""
        return list(islice(make_batches(self.examples, CONFIG, 0, self.codec.pad), count))


def measure_training(
    catalogue: Catalogue, steps: int = 20, repeats: int = 3, hidden: int = 192, seed: int = 0
) -> Steps:
    """All speeds, interleaved: each is the median of `repeats` runs of `steps` steps."""
    given = make_set(catalogue, steps, hidden, seed)
    runs: dict[str, list[LoopSpeed]] = {}
    for _ in range(repeats):
        for speed in (_usual(given, steps), *_ladder(given, steps), *_ours(given, steps)):
            runs.setdefault(speed.name, []).append(speed)
    sizes = sorted(len(example.ids) for example in given.examples)
    return Steps(
        len(catalogue.tools),
        len(sizes),
        (sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10], sizes[-1]),
        given.model.config.vocab_size,
        given.model.num_parameters(),
        use_bf16(None),
        _matrix_rate(given.model, repeats),
        tuple(
            replace(
                found[0],
                tokens_a_second=median(s.tokens_a_second for s in found),
                operations_a_second=median(s.operations_a_second for s in found),
            )
            for found in runs.values()
        ),
    )


def catalogue_of(sources: Sequence[str]) -> Catalogue:
    """Shipped corpora and catalogue folders, or files of tools of any kind that is read."""
    files = [source for source in sources if Path(source).is_file()]
    if not files:
        return load_catalogue(sources)
    lines = import_tools(sources).lines
    return Catalogue(tuple(document_from(line, "tools", source="import") for line in lines))


def make_set(catalogue: Catalogue, steps: int, hidden: int = 192, seed: int = 0) -> Set:
    """Alignment pairs of a catalogue, enough for so many steps, and a model of random weights."""
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
    wanted = 2 * (steps + WARM) * CONFIG.batch_tokens
    while sum(len(e.ids) for e in examples) < wanted:
        one = aligned_examples(codec, catalogue, PairMix(), rng)
        examples += [e for e in rng.sample(one, len(one)) if len(e.ids) <= CONFIG.max_tokens]
    return Set(model, codec, examples)


def _usual(given: Set, steps: int) -> LoopSpeed:
    """transformers' Trainer: padded to the longest, the loss over every position."""
    keep_stdout_clean()
    batches = given.padded[: steps + WARM]
    clock = _Clock()
    columns = [
        {"input_ids": list(e.ids), "labels": [IGNORE, *e.labels[1:]]} for b in batches for e in b
    ]
    given.codec.tokenizer.padding_side = "right"
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=copy.deepcopy(given.model),
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
            data_collator=DataCollatorForSeq2Seq(given.codec.tokenizer, label_pad_token_id=IGNORE),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)  # it would print its figures among ours
        trainer.train()
    return _speed("transformers Trainer, padded", given.model, batches[WARM:], clock.seconds)


class _Clock(TrainerCallback):
    """Seconds between the end of the last warming step and the end of the last step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        """One more step is done."""
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[WARM - 1]


def _ladder(given: Set, steps: int) -> list[LoopSpeed]:
    """Bare loops, forward, backward and AdamW, each with one more of our means."""
    padded = [_pad(batch, given.codec.pad) for batch in given.padded[: steps + WARM]]
    packed = given.packed(steps + WARM)
    model = copy.deepcopy(given.model)
    plain = nullcontext()

    def usual(batch: Batch) -> torch.Tensor:
        return model(
            **{n: batch[n] for n in ("input_ids", "position_ids", "attention_mask", "labels")
               if n in batch},
            use_cache=False,
        ).loss  # fmt: skip

    def labels(batch: Batch) -> torch.Tensor:
        return labelled_loss(model, batch)

    found = [
        _loop("a bare loop over the same batches", model, usual, padded, plain),
        _loop("+ packed rows", model, usual, packed, plain),
        _loop("+ loss at labels only", model, labels, packed, plain),
        _loop("+ attention as products", model, labels, packed, products(model)),
    ]
    with products(model):
        encode = compiled(model) if CONFIG.compile else None
        if encode is not None:
            found.append(
                _loop(
                    "+ compiled layers", model,
                    lambda batch: labelled_loss(model, batch, None, encode), packed, plain,
                )
            )  # fmt: skip
    return found


def _loop(
    name: str,
    model: PreTrainedModel,
    loss: Loss,
    batches: Sequence[Batch],
    within: AbstractContextManager[Any],
) -> LoopSpeed:
    optimiser = make_optimiser(model, CONFIG.optimiser)
    with within:
        for number, batch in enumerate(batches):
            if number == WARM:
                began = _now(model)
            batch = {name: value.to(model.device) for name, value in batch.items()}
            with torch.autocast(model.device.type, torch.bfloat16, enabled=use_bf16(None)):
                value = loss(batch)
            value.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
        seconds = _now(model) - began
    return _speed(name, model, batches[WARM:], seconds)


def _now(model: PreTrainedModel) -> float:
    """The time at which all that was asked of the model's device is done."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _pad(examples: Sequence[Example], pad: int) -> Batch:
    """Examples (B) to input_ids, attention_mask and labels (B, T), padded right."""
    width = max(len(e.ids) for e in examples)
    out: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for e in examples:
        gap = width - len(e.ids)
        out["input_ids"].append([*e.ids, *[pad] * gap])
        out["attention_mask"].append([1] * len(e.ids) + [0] * gap)
        out["labels"].append([IGNORE, *e.labels[1:], *[IGNORE] * gap])
    return {name: torch.tensor(rows) for name, rows in out.items()}


def _ours(given: Set, steps: int) -> list[LoopSpeed]:
    """`tinr.training.supervised` as the phases call it, with AdamW as the padded loop has, and with
    Muon."""
    return [our_speed(given, steps, name) for name in ("adamw", "muon")]


def our_speed(given: Set, steps: int, optimiser: str) -> LoopSpeed:
    """Our trainer over so many steps, after those that are not counted."""
    batches = given.packed(steps + WARM)
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, name=optimiser))
    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder), "bench", {}) as log:
        model = copy.deepcopy(given.model)
        train(model, given.codec.tokenizer, batches, config, 0, log, f"tinr, {optimiser}")
        at = step_ends(log)
    counted = batches[WARM : max(at)]
    seconds = at[max(at)] - at[WARM]
    return _speed(f"tinr's trainer, {optimiser}", given.model, counted, seconds)


def step_ends(log: RunLog) -> dict[int, float]:
    """The second of the run at which each step was logged."""
    rows = (row for row in read_log(log.path) if "train/loss" in row)
    return {int(row["step"]): row["seconds"] for row in rows}


def _speed(name: str, model: PreTrainedModel, batches: Sequence[Any], seconds: float) -> LoopSpeed:
    """batches: lists of examples, padded tensors or packed ones."""
    real = scored = room = squares = 0
    for batch in batches:
        if isinstance(batch, list):
            sizes = [len(e.ids) for e in batch]
            scored += sum(label != IGNORE for e in batch for label in e.labels[1:])
            room += max(sizes) * len(sizes)
        else:
            sizes = _sizes(batch)
            scored += int((batch["labels"] != IGNORE).sum())
            room += batch["labels"].numel()
        real += sum(sizes)
        squares += sum(size**2 for size in sizes)
    work = operations(model, real, scored, squares)
    return LoopSpeed(name, real / seconds, 1 - real / room, work / seconds)


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


def operations(model: PreTrainedModel, tokens: int, scored: int, squares: int) -> float:
    """Forward and backward: 6 a weight and token, the head where a label is, attention over what
    a token may see of its own example (half of the square); squares: sum of lengths squared."""
    shape: Any = model.config
    table = shape.vocab_size * shape.hidden_size
    inner = model.num_parameters() - table * (1 if shape.tie_word_embeddings else 2)
    width = shape.num_attention_heads * shape.head_dim
    return 6.0 * (inner * tokens + table * scored + shape.num_hidden_layers * width * squares)


def _matrix_rate(model: PreTrainedModel, repeats: int) -> float:
    """Operations a second of bare products in the shapes of the model's blocks and head."""
    shape: Any = model.config
    hidden, inner = shape.hidden_size, shape.intermediate_size
    rows, kind = CONFIG.batch_tokens, torch.bfloat16 if use_bf16(None) else torch.float32
    work = seconds = 0.0
    for count, a, b in ((4, hidden, hidden), (3, hidden, inner), (1, hidden, shape.vocab_size)):
        left = torch.randn(rows, a, device=model.device, dtype=kind)
        right = torch.randn(b, a, device=model.device, dtype=kind)
        taken = []
        for _ in range(WARM + 3 * repeats):
            began = _now(model)
            torch.nn.functional.linear(left, right)
            taken.append(_now(model) - began)
        work += count * 2.0 * rows * a * b
        seconds += count * median(taken[WARM:])
    return work / seconds
