"""The rows that a server decodes side by side: they join and leave between any two tokens."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from transformers import DynamicCache, PreTrainedModel

from tinr.rollout.decoding_weights import decoding_weights
from tinr.rollout.generate import RoomyLayer, forward, padded, trim

PART = 512  # tokens of prompts that are read at once, between two tokens of the running rows


class Decoder(Protocol):
    """A running batch, inside its context. Logits are (rows, V) float32 on the CPU."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: Any) -> None: ...

    def join(self, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor | None]:
        """Read the prompts part by part: None after each part, then the logits after each prompt.

        With the logits the prompts' rows are appended. Other calls may come in between.
        """
        ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Append one id to each row; return the logits after it."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Keep the rows at these places, in this order; drop the others."""
        ...


class LocalDecoder:
    """The decoder of a model in this process. Rows are padded at the left to the longest one."""

    def __init__(self, model: PreTrainedModel, pad: int):
        self.model, self.pad = model, pad
        self.cache = DynamicCache()
        self.mask = torch.zeros(0, 0, dtype=torch.int64)
        self._weights = ExitStack()

    def __enter__(self) -> "LocalDecoder":
        self._weights.enter_context(decoding_weights(self.model))
        return self

    def __exit__(self, *_: Any) -> None:
        self._weights.close()

    def join(self, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor | None]:
        """Prefill the prompts together, a few columns at a time, and put their rows below."""
        ids, mask = padded(prompts, self.pad, self.model.device)
        cache = DynamicCache()
        cache.layer_class_to_replicate = RoomyLayer
        step = max(1, PART // len(prompts))
        for start in range(0, ids.shape[1], step):
            part, is_last = ids[:, start : start + step], start + step >= ids.shape[1]
            with torch.inference_mode():
                logits = forward(self.model, part, mask[:, : start + step], cache, keep=1)
                last_logits = logits[:, -1].float().cpu() if is_last else None
                if is_last:
                    self._append(cache, mask)
            yield last_logits

    def _append(self, cache: DynamicCache, mask: torch.Tensor) -> None:
        """Put rows below the others; if that fails, the others stay as they were."""
        if not len(self.mask):
            self.cache, self.mask = cache, mask
            return
        width = max(mask.shape[1], self.mask.shape[1])
        wide_mask = torch.cat([_widened(self.mask, width), _widened(mask, width)])
        pairs = [
            (layer, layer.room_with(joining, width))
            for layer, joining in zip(self.cache.layers, cache.layers, strict=True)
            if isinstance(layer, RoomyLayer) and isinstance(joining, RoomyLayer)
        ]
        for layer, room in pairs:
            layer.take(room, width)
        self.mask = wide_mask

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Decode one token of every row."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        last_ids = torch.tensor(ids, device=self.model.device)[:, None]
        return forward(self.model, last_ids, self.mask, self.cache, keep=1)[:, -1].float().cpu()

    @torch.inference_mode()
    def keep(self, places: Sequence[int]) -> None:
        """Select rows and drop the padding that all of them share."""
        if not places:
            self.cache, self.mask = DynamicCache(), self.mask[:0]
            return
        indices = torch.tensor(places, device=self.model.device)
        self.cache.batch_select_indices(indices)
        self.mask = trim(self.mask[indices], self.cache)


def _widened(mask: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(mask, (width - mask.shape[1], 0))
