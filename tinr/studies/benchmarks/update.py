"""Seconds of GRPO's update against supervised training of the same conversations, side by side.

Both go forward and backward over the same ids, prompts included: the update through the trainer's
own loss, the other through the packed loop. Beside them stands what a rollout writes a second.
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
    """Medians; tokens: of all conversations, prompts included."""

    conversations: int
    tokens: int
    update_seconds: float
    supervised_seconds: float
    rollout_tokens_a_second: float

    @property
    def ratio(self) -> float:
        """What the update takes, as a multiple of supervised training."""
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
    """Both ways in turn, `repeats` times each, over drawn ids of these lengths."""
    rng = Random(seed)
    drawn = _drawn(rng, len(codec.vocabulary), prompts, group, prompt, completion)
    with tempfile.TemporaryDirectory() as folder, products(model), with_loss(model):
        update = _update(model, codec, drawn, prompts, group, Path(folder))
        ways = {"update": update, "supervised": _supervised(model, codec, drawn)}
        model.train()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                seconds[name].append(_timed(way))
                model.zero_grad()
    model.eval()
    return Update(
        len(drawn),
        sum(len(p) + len(c) for p, c in drawn),
        median(seconds["update"]),
        median(seconds["supervised"]),
        _rollout_speed(model, codec, drawn, group, completion[1], seed),
    )


def _drawn(
    rng: Random, entries: int, prompts: int, group: int, prompt: int, completion: tuple[int, int]
) -> Conversations:
    def ids(count: int) -> list[int]:
        return [rng.randrange(entries) for _ in range(count)]

    asked = [ids(prompt) for _ in range(prompts)]
    return [(one, ids(rng.randint(*completion))) for one in asked for _ in range(group)]


def _update(
    model: PreTrainedModel,
    codec: Codec,
    drawn: Conversations,
    prompts: int,
    group: int,
    folder: Path,
) -> Callable[[], None]:
    """Forward and backward of the GRPO trainer over one batch of all conversations."""
    config = PolicyConfig(prompts=prompts, group=group, rows=len(drawn), replay_weight=0.0)
    silent: Any = SimpleNamespace(log=lambda *_: None, conversations=lambda *_: None)
    nothing: Any = None  # of an source in which nobody converses
    source = RolloutSource(codec, nothing, nothing, [], config, nothing, 0, silent)
    trainer = make_trainer(model, source, Steps(folder))
    trainer.current_gradient_accumulation_steps = 1
    batch = _padded(drawn, codec.pad)
    return lambda: trainer.compute_loss(model, dict(batch)).backward()


def _padded(drawn: Conversations, pad: int) -> dict[str, torch.Tensor]:
    """A batch as TRL hands it to its loss: prompts padded left, completions right."""
    left = max(len(prompt) for prompt, _ in drawn)
    right = max(len(completion) for _, completion in drawn)
    masks = [[1] * len(c) + [0] * (right - len(c)) for _, c in drawn]
    parts = {
        "prompt_ids": [[pad] * (left - len(p)) + p for p, _ in drawn],
        "prompt_mask": [[0] * (left - len(p)) + [1] * len(p) for p, _ in drawn],
        "completion_ids": [c + [pad] * (right - len(c)) for _, c in drawn],
        "completion_mask": masks,
        "tool_mask": masks,
    }
    written = float(sum(len(c) for _, c in drawn))
    advantages = torch.linspace(-1.0, 1.0, len(drawn))
    return {name: torch.tensor(part) for name, part in parts.items()} | {
        "advantages": advantages,
        "num_items_in_batch": torch.tensor(written),
    }


def _supervised(model: Any, codec: Codec, drawn: Conversations) -> Callable[[], None]:
    """Forward and backward of the packed loop over the same conversations."""
    examples = [Example([*p, *c], [IGNORE] * len(p) + list(c)) for p, c in drawn]
    batches = list(make_batches(examples, TrainingConfig(), 0, codec.pad))

    def train() -> None:
        for batch in batches:
            model(packed=batch).backward()

    return train


def _rollout_speed(
    model: PreTrainedModel,
    codec: Codec,
    drawn: Conversations,
    group: int,
    max_tokens: int,
    seed: int,
) -> float:
    """Tokens a second that groups of rows write which nothing ends."""
    began = time.perf_counter()
    prompts = [prompt for prompt, _ in drawn[::group]]
    rows = generate(
        model, prompts, lambda row, ids: None, frozenset(), max_tokens=max_tokens, pad=codec.pad,
        group=group, temperature=1.0, seed=seed,
    )  # fmt: skip
    return sum(len(row.ids) for row in rows) / (time.perf_counter() - began)


def _timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
