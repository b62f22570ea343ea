"""Estimate how long a quickstart takes on this machine, before it starts.

A few seconds of measurement on the base itself give the seconds per trained and per generated
token. The tokens to train and to generate are counted on the run's own examples. Overheads that
hardly depend on the machine are constants.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from tinr.data.own_completions import placeholder_completions, sampling_steps
from tinr.data.packing import make_batches
from tinr.data.replay import aligned_examples, tokens_in, trace_examples, unqueried_examples
from tinr.rollout.decoding_weights import decoding_weights
from tinr.rollout.generate import forward, prefill
from tinr.training.adapters import adapt
from tinr.training.cpu_attention import products, use_bf16
from tinr.training.loop import labelled_loss
from tinr.training.optimiser import make_optimiser
from tool_corpora.suites import training_queries

FIXED_SECONDS = 60.0  # seconds: imports, importing the base, writing four checkpoints, the report
SAMPLE = 12  # number of tools whose examples are counted
COMPILE_SECONDS = 40.0  # seconds, once, if layers are compiled
COMPILED_SHARE = 0.87  # seconds of a step with compiled layers, as a share of a step without
STEPS = 3  # timed training steps, after one warm-up step
ROWS = (16, 64)  # rows of the two timed decoding steps
PROMPT, REPLY = 60, 170  # tokens of a query's prompt, and of the longest reply of a batch
SILENT_SHARE = 0.45  # share of the shipped tools without training queries
QUERIES = 100  # number of queries whose traces are counted
REPLY_SHARE = 0.65  # mean length of replies as a share of the longest: finished rows leave
GATE = (9, 110, 60)  # decoding steps of a gate's three questions
BATCH = 128  # rows of an evaluation batch


@dataclass(frozen=True)
class MachineSpeed:
    """Seconds per training token, and per decoding step, which generates a token in each row."""

    trained: float
    step: float  # part of a step that does not depend on the rows
    row: float  # added per row

    def written(self, steps: float, rows: float) -> float:
        """Return the seconds of `steps` decoding steps over `rows` rows."""
        return steps * (self.step + self.row * rows)


@dataclass(frozen=True)
class ChainWork:
    """The work of a whole run: training tokens, and decoding steps with their rows."""

    trained: float
    written: tuple[tuple[float, float], ...]  # steps, rows
    compiled: bool = False

    def seconds(self, speed: MachineSpeed) -> float:
        """Return the seconds of the work at a given speed."""
        return (
            FIXED_SECONDS
            + (COMPILE_SECONDS if self.compiled else 0.0)
            + self.trained * speed.trained
            + sum(speed.written(steps, rows) for steps, rows in self.written)
        )


@dataclass(frozen=True)
class Size:
    """Size of a run: tools, queries of sft, total test queries."""

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
    """Measure the speed of a loaded base in some seconds; this changes the model.

    Training is measured by complete steps of align, including the optimiser.
    """
    grow(model, tokenizer, catalogue)
    codec = Codec(tokenizer)
    with decoding_weights(model):
        small_step, large_step = (_step_seconds(model, codec, rows) for rows in ROWS)
    row_seconds = max(0.0, (large_step - small_step) / (ROWS[1] - ROWS[0]))
    token_seconds = _training_seconds(model, codec, catalogue, configs.align)
    return MachineSpeed(token_seconds, max(0.0, small_step - row_seconds * ROWS[0]), row_seconds)


def _training_seconds(
    model: PreTrainedModel, codec: Codec, catalogue: Catalogue, config: align.AlignConfig
) -> float:
    """Measure the training seconds per token, padding excluded."""
    examples = align.epoch_examples(config, codec, catalogue, placeholder_completions(), 0)
    batch = next(make_batches(examples, config.training, 0, codec.pad))
    bf16 = use_bf16(config.training.bf16)
    adapt(model, config.trainable, list(codec.markup.values()))
    optimiser = make_optimiser(model, config.training.optimiser)
    model.train()

    def step() -> None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            labelled_loss(model, batch).backward()
        optimiser.step()
        optimiser.zero_grad()

    with products(model):
        seconds = _median_seconds(step, STEPS) / int((batch["weights"] > 0).sum())
    return seconds * (COMPILED_SHARE if config.training.compile else 1.0)


@torch.inference_mode()
def _step_seconds(model: PreTrainedModel, codec: Codec, rows: int) -> float:
    """Measure the seconds of one decoding step over `rows` rows.

    The step follows a prompt and a quarter of a reply.
    """
    model.eval()
    cache, prompt = DynamicCache(), [codec.pad] * (PROMPT + REPLY // 4)
    logits, mask = prefill(model, [prompt] * rows, codec.pad, cache)
    tokens = logits.argmax(-1, keepdim=True)
    state = [mask]

    def write() -> None:
        state[0] = torch.cat([state[0], state[0].new_ones(rows, 1)], 1)
        forward(model, tokens, state[0], cache, keep=1)

    return _median_seconds(write, 3)


def _median_seconds(action: Callable[[], None], times: int) -> float:
    """Return the median seconds of `times` runs, after one warm-up run."""
    action()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


@dataclass(frozen=True)
class Amounts:
    """Tokens of an align epoch and of sft's replay, both per tool, and of a query's trace."""

    pairs: float
    replayed: float
    trace: float


def amounts_of(codec: Codec, catalogue: Catalogue, configs: Configs) -> Amounts:
    """Count tokens on the examples of a few tools and on a hundred queries."""
    sample = Catalogue(catalogue.tools[:SAMPLE])
    completions, count = placeholder_completions(), len(sample.tools)
    pairs = align.epoch_examples(configs.align, codec, sample, completions, 0)
    replay_examples = aligned_examples(codec, sample, configs.sft.mix, Random(0))
    silent_examples = unqueried_examples(codec, sample, (), configs.sft.unqueried, Random(0))
    queries = training_queries(QUERIES, 0, "time", catalogue.by_name)
    library = Library(catalogue, DocumentsConfig(), 0)
    traces = trace_examples(codec, library, queries, configs.sft.documents, Random(0))
    return Amounts(
        tokens_in(pairs) / count,
        (
            configs.sft.replay_pairs * tokens_in(replay_examples)
            + SILENT_SHARE * tokens_in(silent_examples)
        )
        / count,
        tokens_in(traces) / len(traces),
    )


def work_of(amounts: Amounts, configs: Configs, size: Size) -> ChainWork:
    """Return the work of a whole run of the given size."""
    policy = configs.grpo.policy
    traces = size.queries * amounts.trace * (1 + configs.sft.replay)
    update_tokens = policy.prompts * policy.group * (PROMPT + REPLY_SHARE * REPLY) + (
        configs.grpo.replay.batch_tokens
    )
    training_tokens = (
        configs.align.epochs * size.tools * amounts.pairs
        + configs.sft.epochs * (traces + size.tools * amounts.replayed)
        + policy.steps * update_tokens
    )
    rollouts = round(policy.prompts * max(1.0, policy.oversample)) * policy.group
    gates = [(steps, min(size.tools, BATCH)) for steps in GATE] * 3
    batches = -(-size.evaluated // BATCH)
    decoding = [
        *gates,
        *sampling_steps(),
        (policy.steps * REPLY, REPLY_SHARE * rollouts),
        (batches * REPLY, REPLY_SHARE * size.evaluated / batches),
    ]
    return ChainWork(training_tokens, tuple(decoding), configs.align.training.compile)


def foresee(folder: Path, configs: Configs, sizes: Sequence[Size]) -> list[float]:
    """Estimate the seconds of the whole run at each size, with the base in `folder`.

    The speed is measured with the tools of align's configuration.
    """
    model, tokenizer = load(folder)
    catalogue = align.catalogue_of(configs.align)
    speed = measure(model, tokenizer, catalogue, configs)
    amounts = amounts_of(Codec(tokenizer), catalogue, configs)
    return [work_of(amounts, configs, size).seconds(speed) for size in sizes]
