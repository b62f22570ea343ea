"""The rows that a server decodes together; they join and leave between any two tokens."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from tinr.rollout.decoding_weights import decoding_weights
from tinr.rollout.generate import ROOM, RoomyLayer, forward, padded

Room = tuple[torch.Tensor, torch.Tensor]  # keys and values (S, heads, T + ROOM, D)
SPARE = 8  # if slots are missing, an eighth more are added: rows often join one by one
PART = 512  # tokens of prompts that are prefilled at once, between two decoding steps


class Decoder(Protocol):
    """A running batch, inside its context. Logits are (rows, V) float32 on the CPU."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: Any) -> None: ...

    def join(self, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor | None]:
        """Prefill the prompts in parts; yield None after each but the last, then their logits.

        The prompts' rows are appended together with the logits. Other calls may come in between.
        """
        ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Append one id to each row; return the logits after it."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Keep the rows at these places, in this order; drop the others."""
        ...


class SlotLayer(DynamicLayer):
    """A cache layer with a fixed number of slots, one per row, and room for more positions.

    All slots have the same length; a row fills the last positions of its slot. Rows join and leave
    without copying the others.
    """

    keys: torch.Tensor  # (S, heads, T, D): the filled positions of `room`
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor):
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self.take(self.moved(torch.arange(len(keys), device=keys.device), keys.shape[-2]))

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any):
        """Append (S, heads, 1, D); return all keys and values, as views of the room."""
        if self.end + key_states.shape[-2] > self.room[0].shape[-2]:
            slots = torch.arange(len(self.keys), device=self.keys.device)
            self.take(self.moved(slots, self.keys.shape[-2]))
        end = self.end + key_states.shape[-2]
        self.room[0][:, :, self.end : end] = key_states
        self.room[1][:, :, self.end : end] = value_states
        self._show(self.start, end)
        return self.keys, self.values

    def put(self, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write rows (J, heads, T, D) into the last positions of these slots."""
        first = self.end - keys.shape[-2]
        self.room[0][slots, :, first : self.end] = keys
        self.room[1][slots, :, first : self.end] = values

    def trim(self, positions: int) -> None:
        """Drop the first positions of all slots."""
        self._show(self.start + positions, self.end)

    def moved(self, slots: torch.Tensor, length: int) -> Room:
        """Copy slots (-1: an empty one) to a room for `length` positions and ROOM spare ones."""
        is_taken, first = slots >= 0, length - self.keys.shape[-2]
        shape = (len(slots), self.keys.shape[1], length + ROOM)
        keys, values = (old.new_zeros(*shape, old.shape[-1]) for old in (self.keys, self.values))
        for new, old in ((keys, self.keys), (values, self.values)):
            new[is_taken, :, first:length] = old[slots[is_taken]]
        return keys, values

    def take(self, room: Room) -> None:
        """Continue in a room that `moved` made."""
        self.room = room
        self._show(0, room[0].shape[-2] - ROOM)

    def _show(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.keys, self.values = (part[:, :, start:end] for part in self.room)


class LocalDecoder:
    """The decoder of a model in this process. Each row has a slot, padded on the left.

    A slot whose row has left is still decoded with the others, until another row takes it or half
    of the slots are free.
    """

    def __init__(self, model: PreTrainedModel, pad: int):
        self.model, self.pad = model, pad
        self._weights = ExitStack()
        self._forget()

    def __enter__(self) -> "LocalDecoder":
        self._weights.enter_context(decoding_weights(self.model))
        return self

    def __exit__(self, *_: Any) -> None:
        self._weights.close()

    def join(self, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor | None]:
        """Prefill the prompts together, a few columns at a time, and put each into a free slot."""
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

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Decode one token of every row."""
        rows = torch.tensor(self.slots, device=self.model.device)
        last_ids = torch.full((len(self.mask), 1), self.pad, device=self.model.device)
        last_ids[rows, 0] = torch.tensor(ids, device=self.model.device)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        logits = forward(self.model, last_ids, self.mask, self.cache, keep=1)[:, -1]
        return logits[rows].float().cpu()

    @torch.inference_mode()
    def keep(self, places: Sequence[int]) -> None:
        """Free the slots of the other rows, and drop the positions that no row fills any more."""
        self.slots = [self.slots[place] for place in places]
        if not self.slots:
            self._forget()
            return
        if len(self.slots) <= len(self.mask) // 2:
            self._resize(len(self.slots), self.mask.shape[1])
        unfilled = int(self.mask[self.slots].argmax(1).min())
        self.mask = self.mask[:, unfilled:]
        for layer in self._layers:
            layer.trim(unfilled)

    @property
    def _layers(self) -> list[SlotLayer]:
        return [layer for layer in self.cache.layers if isinstance(layer, SlotLayer)]

    def _forget(self) -> None:
        self.cache = DynamicCache()
        self.mask = torch.zeros(0, 0, dtype=torch.int64, device=self.model.device)  # (S, T)
        self.slots: list[int] = []  # of each row

    def _append(self, cache: DynamicCache, mask: torch.Tensor) -> None:
        """Put rows into free slots; if that fails, the other rows do not change."""
        count, width = mask.shape
        joining = [layer for layer in cache.layers if isinstance(layer, RoomyLayer)]
        if not self.slots:
            layers: list[Any] = [SlotLayer(layer.keys, layer.values) for layer in joining]
            self.cache.layers, self.mask, self.slots = layers, mask, [*range(count)]
            return
        if len(self.slots) + count > len(self.mask) or width > self.mask.shape[1]:
            wanted = len(self.slots) + count
            self._resize(max(len(self.mask), wanted + wanted // SPARE), width)
        free = [slot for slot in range(len(self.mask)) if slot not in self.slots][:count]
        slots = torch.tensor(free, device=self.model.device)
        for layer, own in zip(self._layers, joining, strict=True):
            layer.put(slots, own.keys, own.values)
        self.mask[slots] = 0
        self.mask[slots, self.mask.shape[1] - width :] = mask
        self.slots += free

    def _resize(self, count: int, width: int) -> None:
        """Move the rows to `count` slots of at least `width` positions."""
        width = max(width, self.mask.shape[1])
        slots = torch.tensor(
            [*self.slots, *[-1] * (count - len(self.slots))], device=self.model.device
        )
        rooms = [layer.moved(slots, width) for layer in self._layers]
        for layer, room in zip(self._layers, rooms, strict=True):
            layer.take(room)
        mask = self.mask.new_zeros(count, width)
        mask[: len(self.slots), width - self.mask.shape[1] :] = self.mask[self.slots]
        self.mask, self.slots = mask, [*range(len(self.slots))]
