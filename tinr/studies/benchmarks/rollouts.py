"""Completions a second of the local sampler against plain `generate` of transformers.

Both write one turn for the same prompts with the same stops, limit and temperature. The usual
way is that of TRL's GRPO on its transformers path: every prompt stands in the batch once for
each sample, is read as often, and rows that have ended stay until the last one has.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from tinr.chat.codec import Codec, stop_ids
from tinr.records import Query
from tinr.rollout.conversation import make_prompts
from tinr.rollout.generate import generate
from tinr.training.cpu_attention import products


@dataclass(frozen=True)
class Rollouts:
    """Completions a second, and the mean tokens of one, which sampling makes differ a little."""

    prompts: int
    group: int
    ours: float
    usual: float
    our_length: float
    usual_length: float
    same_greedy: int  # prompts whose greedy completions are the same, id by id

    @property
    def ratio(self) -> float:
        """How many times as fast."""
        return self.ours / self.usual


def measure_rollouts(
    model: PreTrainedModel, codec: Codec, queries: Sequence[Query], group: int = 8,
    max_tokens: int = 288, repeats: int = 3, seed: int = 0,
) -> Rollouts:  # fmt: skip
    """Both ways in turn, `repeats` times each; the medians."""
    model.eval()
    asked = make_prompts(codec, queries, [()] * len(queries))
    ways = {"ours": _ours, "usual": _usual}
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    with products(model):
        for number in range(repeats):
            for name, way in ways.items():
                runs[name].append(
                    _timed(way, model, codec, asked, group, max_tokens, seed + number)
                )
        greedy = [way(model, codec, asked, 1, max_tokens, 0.0, seed) for way in ways.values()]
    speeds = {name: median(speed for speed, _ in found) for name, found in runs.items()}
    lengths = {name: median(length for _, length in found) for name, found in runs.items()}
    return Rollouts(
        len(asked), group, speeds["ours"], speeds["usual"], lengths["ours"], lengths["usual"],
        sum(a == b for a, b in zip(*greedy, strict=True)),
    )  # fmt: skip


Way = Callable[..., list[list[int]]]


def _timed(
    way: Way,
    model: PreTrainedModel,
    codec: Codec,
    asked: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    seed: int,
) -> tuple[float, float]:
    began = time.perf_counter()
    written = way(model, codec, asked, group, max_tokens, 1.0, seed)
    seconds = time.perf_counter() - began
    return len(written) / seconds, sum(map(len, written)) / len(written)


def _ours(
    model: PreTrainedModel,
    codec: Codec,
    asked: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    temperature: float,
    seed: int,
) -> list[list[int]]:
    rows = generate(
        model, asked, lambda row, ids: None, stop_ids(codec),
        max_tokens=max_tokens, pad=codec.pad, group=group, temperature=temperature, seed=seed,
    )  # fmt: skip
    return [row.ids for row in rows]


def _usual(
    model: Any,
    codec: Codec,
    asked: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    temperature: float,
    seed: int,
) -> list[list[int]]:
    torch.manual_seed(seed)
    rows = [ids for ids in asked for _ in range(group)]
    width = max(map(len, rows))
    stops = sorted(stop_ids(codec))
    sampled = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    padded = [[codec.pad] * (width - len(r)) + list(r) for r in rows]
    real = [[0] * (width - len(r)) + [1] * len(r) for r in rows]
    with torch.inference_mode():
        out = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(real, device=model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max_tokens, eos_token_id=stops, pad_token_id=codec.pad,
                **(sampled if temperature else {"do_sample": False}),
            ),
        )  # fmt: skip
    ends = set(stops)
    written = []
    for row in out[:, width:].tolist():
        end = next((n + 1 for n, token in enumerate(row) if token in ends), len(row))
        written.append(row[:end])
    return written
