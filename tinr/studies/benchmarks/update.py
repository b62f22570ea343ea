"""Seconds of a GRPO update against supervised training on the same conversations, in turn.

Both run forward and backward over the same ids, prompts included: the update through the trainer's
own loss, supervised training through the packed loop. Also measures a rollout's tokens per second.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.chat.codec import IGNORE, Codec
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainingConfig
from tinr.data.packing import Example, make_batches
from tinr.rollout.generate import generate
from tinr.training.cpu_attention import products
from tinr.training.grpo import make_trainer
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource
from tinr.training.loop import with_loss

Conversations = Sequence[tuple[list[int], list[int]]]  # the ids of a prompt and of a completion


@dataclass(frozen=True)
class Update:
    """Median times; tokens: of all conversations, prompts included."""

    conversations: int
    tokens: int
    update_seconds: float
    supervised_seconds: float
    rollout_tokens_a_second: float

    @property
    def ratio(self) -> float:
        """Time of the update, relative to supervised training."""
        return self.update_seconds / self.supervised_seconds


def measure_update(
    model: PreTrainedModel,
    codec: Codec,
    prompts: int = 2,
    group: int = 8,
    prompt: int = 50,
    completion: tuple[int, int] = (70, 150),
    repeats: int = 3,
    seed: int = 0,
) -> Update:
    """Run both ways in turn, `repeats` times each, over random ids of these lengths."""
    rng = Random(seed)
    conversations = _draw_conversations(
        rng, len(codec.vocabulary), prompts, group, prompt, completion
    )
    with tempfile.TemporaryDirectory() as folder, products(model), with_loss(model):
        update = _update_pass(model, codec, conversations, prompts, group, Path(folder))
        ways = {"update": update, "supervised": _supervised_pass(model, codec, conversations)}
        model.train()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                seconds[name].append(_seconds_of(way))
                model.zero_grad()
    model.eval()
    return Update(
        len(conversations),
        sum(len(p) + len(c) for p, c in conversations),
        median(seconds["update"]),
        median(seconds["supervised"]),
        _rollout_speed(model, codec, conversations, group, completion[1], seed),
    )


def _draw_conversations(
    rng: Random, entries: int, prompts: int, group: int, prompt: int, completion: tuple[int, int]
) -> Conversations:
    def ids(count: int) -> list[int]:
        return [rng.randrange(entries) for _ in range(count)]

    prompt_rows = [ids(prompt) for _ in range(prompts)]
    return [
        (prompt_ids, ids(rng.randint(*completion)))
        for prompt_ids in prompt_rows
        for _ in range(group)
    ]


def _update_pass(
    model: PreTrainedModel,
    codec: Codec,
    conversations: Conversations,
    prompts: int,
    group: int,
    folder: Path,
) -> Callable[[], None]:
    """Forward and backward of the GRPO trainer over one batch of all conversations."""
    config = PolicyConfig(prompts=prompts, group=group, rows=len(conversations), replay_weight=0.0)
    silent_log: Any = SimpleNamespace(log=lambda *_: None, conversations=lambda *_: None)
    stub: Any = None  # for parts of the source that are not used here
    source = RolloutSource(codec, stub, stub, [], config, stub, 0, silent_log)
    trainer = make_trainer(model, source, Steps(folder))
    trainer.current_gradient_accumulation_steps = 1
    batch = _padded_batch(conversations, codec.pad)
    return lambda: trainer.compute_loss(model, dict(batch)).backward()


def _padded_batch(conversations: Conversations, pad: int) -> dict[str, torch.Tensor]:
    """A batch in the layout of TRL's loss: prompts padded left, completions right."""
    prompt_width = max(len(prompt) for prompt, _ in conversations)
    completion_width = max(len(completion) for _, completion in conversations)
    masks = [[1] * len(c) + [0] * (completion_width - len(c)) for _, c in conversations]
    columns = {
        "prompt_ids": [[pad] * (prompt_width - len(p)) + p for p, _ in conversations],
        "prompt_mask": [[0] * (prompt_width - len(p)) + [1] * len(p) for p, _ in conversations],
        "completion_ids": [c + [pad] * (completion_width - len(c)) for _, c in conversations],
        "completion_mask": masks,
        "tool_mask": masks,
    }
    token_count = float(sum(len(c) for _, c in conversations))
    advantages = torch.linspace(-1.0, 1.0, len(conversations))
    return {name: torch.tensor(rows) for name, rows in columns.items()} | {
        "advantages": advantages,
        "num_items_in_batch": torch.tensor(token_count),
    }


def _supervised_pass(model: Any, codec: Codec, conversations: Conversations) -> Callable[[], None]:
    """Forward and backward of the packed loop over the same conversations."""
    examples = [Example([*p, *c], [IGNORE] * len(p) + list(c)) for p, c in conversations]
    batches = list(make_batches(examples, TrainingConfig(), 0, codec.pad))

    def train() -> None:
        for batch in batches:
            model(packed=batch).backward()

    return train


def _rollout_speed(
    model: PreTrainedModel,
    codec: Codec,
    conversations: Conversations,
    group: int,
    max_tokens: int,
    seed: int,
) -> float:
    """Tokens per second of groups of rows that run to their limit."""
    start_time = time.perf_counter()
    prompts = [prompt for prompt, _ in conversations[::group]]
    rows = generate(
        model, prompts, lambda row, ids: None, frozenset(), max_tokens=max_tokens, pad=codec.pad,
        group=group, temperature=1.0, seed=seed,
    )  # fmt: skip
    return sum(len(row.ids) for row in rows) / (time.perf_counter() - start_time)


def _seconds_of(act: Callable[[], None]) -> float:
    start_time = time.perf_counter()
    act()
    return time.perf_counter() - start_time
