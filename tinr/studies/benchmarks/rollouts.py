"""Completions per second of the local sampler against plain `generate` of transformers.

Both write one turn for the same prompts with the same stops, limit and temperature. The usual way
is that of TRL's GRPO on its transformers path: the batch stores and prefills every prompt once per
sample, and finished rows stay until the last row finishes.
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
    """Completions per second, and their mean length, which differs slightly through sampling."""

    prompts: int
    group: int
    ours: float
    usual: float
    our_length: float
    usual_length: float
    same_greedy: int  # prompts whose greedy completions have identical ids

    @property
    def ratio(self) -> float:
        """Speed-up over the usual way."""
        return self.ours / self.usual


def measure_rollouts(
    model: PreTrainedModel, codec: Codec, queries: Sequence[Query], group: int = 8,
    max_tokens: int = 288, repeats: int = 3, seed: int = 0,
) -> Rollouts:  # fmt: skip
    """Run both ways in turn, `repeats` times each; returns the medians."""
    model.eval()
    prompts = make_prompts(codec, queries, [()] * len(queries))
    ways = {"ours": _our_completions, "usual": _usual_completions}
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    with products(model):
        for number in range(repeats):
            for name, way in ways.items():
                runs[name].append(
                    _speed_and_length(way, model, codec, prompts, group, max_tokens, seed + number)
                )
        greedy_completions = [
            way(model, codec, prompts, 1, max_tokens, 0.0, seed) for way in ways.values()
        ]
    speeds = {
        name: median(speed for speed, _ in measurements) for name, measurements in runs.items()
    }
    lengths = {
        name: median(length for _, length in measurements) for name, measurements in runs.items()
    }
    return Rollouts(
        len(prompts), group, speeds["ours"], speeds["usual"], lengths["ours"], lengths["usual"],
        sum(a == b for a, b in zip(*greedy_completions, strict=True)),
    )  # fmt: skip


Way = Callable[..., list[list[int]]]


def _speed_and_length(
    way: Way,
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    seed: int,
) -> tuple[float, float]:
    start_time = time.perf_counter()
    completions = way(model, codec, prompts, group, max_tokens, 1.0, seed)
    seconds = time.perf_counter() - start_time
    return len(completions) / seconds, sum(map(len, completions)) / len(completions)


def _our_completions(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    temperature: float,
    seed: int,
) -> list[list[int]]:
    rows = generate(
        model, prompts, lambda row, ids: None, stop_ids(codec),
        max_tokens=max_tokens, pad=codec.pad, group=group, temperature=temperature, seed=seed,
    )  # fmt: skip
    return [row.ids for row in rows]


def _usual_completions(
    model: Any,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    group: int,
    max_tokens: int,
    temperature: float,
    seed: int,
) -> list[list[int]]:
    torch.manual_seed(seed)
    rows = [ids for ids in prompts for _ in range(group)]
    width = max(map(len, rows))
    stops = sorted(stop_ids(codec))
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    padded_rows = [[codec.pad] * (width - len(r)) + list(r) for r in rows]
    masks = [[0] * (width - len(r)) + [1] * len(r) for r in rows]
    with torch.inference_mode():
        output = model.generate(
            input_ids=torch.tensor(padded_rows, device=model.device),
            attention_mask=torch.tensor(masks, device=model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max_tokens, eos_token_id=stops, pad_token_id=codec.pad,
                **(sampling if temperature else {"do_sample": False}),
            ),
        )  # fmt: skip
    stop_set = set(stops)
    completions = []
    for row in output[:, width:].tolist():
        end = next((n + 1 for n, token in enumerate(row) if token in stop_set), len(row))
        completions.append(row[:end])
    return completions
