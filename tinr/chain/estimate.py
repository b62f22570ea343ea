"""How long a quickstart takes on this machine, said before it starts.

A few seconds of measuring on the base itself give what a trained token and a written one cost; what
there is to train and to write is counted on the very examples. Overheads that hardly depend on
the machine are constants.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from phases import align, grpo, sft
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.checkpoints.model import grow, load
from tinr.data.own_completions import placeholder_completions
from tinr.data.packing import make_batches
from tinr.data.replay import aligned_examples, tokens_in, trace_examples, unqueried_examples
from tinr.rollout.generate import forward, prefill
from tinr.training.adapters import adapt, release_top
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.loop import labelled_loss
from tool_corpora.suites import training_queries

FIXED = 60.0  # seconds: imports, a base taken in, four checkpoints written, the report
SAMPLE = 12  # tools whose examples are counted
MEASURED = 768  # tokens of the batch that is timed
ROWS = (16, 64)  # rows of the two decoding steps that are timed
PROMPT, REPLY = 60, 170  # tokens of a query's prompt, and of the longest replies of a batch
OWN = 60  # steps of sampling the base's own completions
SILENT = 0.45  # share of the shipped tools that no training query asks for
QUERIES = 100  # whose traces are counted
WRITTEN = 0.65  # mean length of replies as a share of the longest: rows that end leave
GATE = (9, 110, 60)  # steps of a gate's three questions
BATCH = 128  # rows of a batch that is evaluated


@dataclass(frozen=True)
class MachineSpeed:
    """Seconds: of a token that is trained on, and of a step that writes a token in each row."""

    trained: float
    step: float  # whatever the rows
    row: float  # more for each row

    def written(self, steps: float, rows: float) -> float:
        """Seconds of so many steps over so many rows."""
        return steps * (self.step + self.row * rows)


@dataclass(frozen=True)
class ChainWork:
    """What a whole job does: tokens that are trained on, and decoding steps with their rows."""

    trained: float
    written: tuple[tuple[float, float], ...]  # steps, rows

    def seconds(self, speed: MachineSpeed) -> float:
        """What it takes at a speed."""
        return (
            FIXED
            + self.trained * speed.trained
            + sum(speed.written(steps, rows) for steps, rows in self.written)
        )


@dataclass(frozen=True)
class Size:
    """Of a job: tools, queries of sft, test queries in all."""

    tools: int
    queries: int
    evaluated: int


@dataclass(frozen=True)
class Configs:
    """The resolved settings of the three phases."""

    align: align.AlignConfig
    sft: sft.SftConfig
    grpo: grpo.GrpoConfig


def measure(
    model: PreTrainedModel, tokenizer: Any, catalogue: Catalogue, configs: Configs
) -> MachineSpeed:
    """The speed of a base that is at hand, which is changed; a few seconds."""
    grow(model, tokenizer, catalogue)
    codec = Codec(tokenizer)
    examples = align.epoch_examples(configs.align, codec, catalogue, placeholder_completions(), 0)
    training = replace(configs.align.training, batch_tokens=MEASURED)
    batch = next(make_batches(examples, training, 0, codec.pad))
    bf16 = use_bf16(configs.align.training.bf16)
    adapt(model, configs.align.trainable, list(codec.markup.values()))

    def train() -> None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            labelled_loss(model, batch).backward()
        model.zero_grad()

    with products(model):
        trained = _timed(train, 2) / int((batch["weights"] > 0).sum())
    release_top(model)
    few, many = (_step_seconds(model, codec, rows) for rows in ROWS)
    row = max(0.0, (many - few) / (ROWS[1] - ROWS[0]))
    return MachineSpeed(trained, max(0.0, few - row * ROWS[0]), row)


@torch.inference_mode()
def _step_seconds(model: PreTrainedModel, codec: Codec, rows: int) -> float:
    """Of one decoding step of so many rows, behind a prompt and half a reply."""
    model.eval()
    cache, prompt = DynamicCache(), [codec.pad] * (PROMPT + REPLY // 4)
    logits, mask = prefill(model, [prompt] * rows, codec.pad, cache)
    chosen = logits.argmax(-1, keepdim=True)
    state = [mask]

    def write() -> None:
        state[0] = torch.cat([state[0], state[0].new_ones(rows, 1)], 1)
        forward(model, chosen, state[0], cache, keep=1)

    return _timed(write, 3)


def _timed(act: Callable[[], None], times: int) -> float:
    """Median seconds, the first time left out."""
    act()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


@dataclass(frozen=True)
class Amounts:
    """Tokens: an epoch of align and of what sft replays, both a tool, and a query's trace."""

    pairs: float
    replayed: float
    trace: float


def amounts_of(codec: Codec, catalogue: Catalogue, configs: Configs) -> Amounts:
    """Counted on the examples of a few tools and on a hundred queries."""
    part = Catalogue(catalogue.tools[:SAMPLE])
    own, count = placeholder_completions(), len(part.tools)
    pairs = align.epoch_examples(configs.align, codec, part, own, 0)
    replayed = aligned_examples(codec, part, configs.sft.mix, Random(0))
    silent = unqueried_examples(codec, part, (), configs.sft.unqueried, Random(0))
    queries = training_queries(QUERIES, 0, "time", catalogue.by_name)
    library = Library(catalogue, DocumentsConfig(), 0)
    traces = trace_examples(codec, library, queries, configs.sft.documents, Random(0))
    return Amounts(
        tokens_in(pairs) / count,
        (configs.sft.replay_pairs * tokens_in(replayed) + SILENT * tokens_in(silent)) / count,
        tokens_in(traces) / len(traces),
    )


def work_of(amounts: Amounts, configs: Configs, size: Size) -> ChainWork:
    """What a whole job of a size does."""
    policy = configs.grpo.policy
    traces = size.queries * amounts.trace * (1 + configs.sft.replay)
    updated = policy.prompts * policy.group * (PROMPT + WRITTEN * REPLY) + (
        configs.grpo.replay.batch_tokens
    )
    trained = (
        configs.align.epochs * size.tools * amounts.pairs
        + configs.sft.epochs * (traces + size.tools * amounts.replayed)
        + policy.steps * updated
    )
    rollouts = round(policy.prompts * max(1.0, policy.oversample)) * policy.group
    gates = [(steps, min(size.tools, BATCH)) for steps in GATE] * 3
    batches = -(-size.evaluated // BATCH)
    written = [
        *gates,
        (OWN, len(placeholder_completions())),
        (policy.steps * REPLY, WRITTEN * rollouts),
        (batches * REPLY, WRITTEN * size.evaluated / batches),
    ]
    return ChainWork(trained, tuple(written))


def foresee(folder: Path, configs: Configs, sizes: Sequence[Size]) -> list[float]:
    """Seconds of the whole job at each size, from the base in `folder`; of the first one's tools
    the speed is measured."""
    model, tokenizer = load(folder)
    catalogue = align.catalogue_of(replace(configs.align, tools=sizes[0].tools))
    speed = measure(model, tokenizer, catalogue, configs)
    amounts = amounts_of(Codec(tokenizer), catalogue, configs)
    return [work_of(amounts, configs, size).seconds(speed) for size in sizes]
