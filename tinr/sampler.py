"""The local generation backend: batched decoding with a cache that is shared by a group.

Each prompt is prefilled once and its cache repeated for the group. Every step feeds one
token per row: a sampled one, or one that the environment forced in, so conversations of
many turns run in one batch without refilling. Finished rows leave the batch. What was
sampled is what is returned: ids, never re-tokenised text.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

COMPACT_BELOW = 0.75  # rows still running, as a share of the batch, before it is compacted

# Called when a row writes a stop id, with the row's number and its ids so far: the ids the
# environment adds (none: the model just goes on), or None where the conversation is over.
Respond = Callable[[int, Sequence[int]], Sequence[int] | None]


@dataclass
class Row:
    """One completion: ids, who wrote each (mask 1: the model, 0: given), log-probabilities."""

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False  # ended by the environment, not by the limit
    forced: deque[int] = field(default_factory=deque)


ROOM = 128  # positions a cache grows by


class RoomyLayer(DynamicLayer):
    """A cache layer with room to grow: a step writes in place instead of copying everything."""

    keys: torch.Tensor
    values: torch.Tensor
    room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states, value_states, *args, **kwargs):
        """Append (B, heads, T, D); returns the keys and values so far, as views of the room."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.keys.shape[-2] if self.keys.numel() else 0
        after = before + key_states.shape[-2]
        if not self._fits(after):
            shape = (*key_states.shape[:2], after + ROOM, key_states.shape[-1])
            room = (key_states.new_empty(shape), value_states.new_empty(shape))
            if before:
                room[0][:, :, :before] = self.keys
                room[1][:, :, :before] = self.values
            self.room = room
        assert self.room is not None
        self.room[0][:, :, before:after] = key_states
        self.room[1][:, :, before:after] = value_states
        self.keys, self.values = self.room[0][:, :, :after], self.room[1][:, :, :after]
        return self.keys, self.values

    def _fits(self, after: int) -> bool:
        """Whether the keys still lie in the room (a selection of rows copies them out)."""
        if self.room is None or self.keys.data_ptr() != self.room[0].data_ptr():
            return False
        return self.keys.shape[0] == self.room[0].shape[0] and after <= self.room[0].shape[2]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    respond: Respond,
    stops: frozenset[int],
    *,
    longest: int,
    pad: int,
    group: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Row]:
    """`group` completions of each prompt, prompt by prompt; row r belongs to prompt r // group.

    longest: tokens of a completion, environment included. temperature 0: greedy, with
    log-probabilities of 0. The same seed gives the same rows.
    """
    device = model.device
    random = torch.Generator(device="cpu").manual_seed(seed)
    rows = [Row() for _ in range(len(prompts) * group)]
    alive = torch.arange(len(rows))
    cache = DynamicCache()
    cache.layer_class_to_replicate = RoomyLayer
    logits, mask = prefill(model, prompts, pad, cache)
    if group > 1:
        cache.batch_repeat_interleave(group)
        mask, logits = (t.repeat_interleave(group, 0) for t in (mask, logits))
    for _ in range(longest):
        chosen, logprobs = _choose(logits, temperature, random)
        _write(rows, alive.tolist(), chosen.tolist(), logprobs.tolist(), respond, stops)
        running = torch.tensor([not rows[r].finished for r in alive.tolist()])
        if not running.any():
            break
        fed = torch.tensor([rows[r].ids[-1] for r in alive.tolist()], device=device)
        if running.float().mean() < COMPACT_BELOW:
            kept = running.nonzero().squeeze(1).to(device)
            alive, fed, mask = alive[kept.cpu()], fed[kept], mask[kept]
            cache.batch_select_indices(kept)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        logits = forward(model, fed[:, None], mask, cache, keep=1)[:, -1].float()
    return rows


def prefill(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], pad: int, cache: DynamicCache
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, V) float32 after each prompt, and the mask (B, T) of the prompts padded left."""
    width = max(map(len, prompts))
    ids = [[pad] * (width - len(p)) + list(p) for p in prompts]
    real = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    mask = torch.tensor(real, device=model.device)
    logits = forward(model, torch.tensor(ids, device=model.device), mask, cache, keep=1)
    return logits[:, -1].float(), mask


def forward(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: DynamicCache,
    keep: int = 0,
) -> torch.Tensor:
    """Logits (B, T, V) after each of `ids` (B, T), or after the last `keep` of them.

    mask: of everything up to here, the cache included, which grows by T.
    """
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    return model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    ).logits


@torch.inference_mode()
def next_logits(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], pad: int, rows: int = 64
) -> torch.Tensor:
    """Logits (B, V) float32 of the token after each prompt, prompts of one length together."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, torch.Tensor] = {}
    for start in range(0, len(order), rows):
        chunk = order[start : start + rows]
        logits, _ = prefill(model, [prompts[i] for i in chunk], pad, DynamicCache())
        found |= dict(zip(chunk, logits.cpu(), strict=True))
    return torch.stack([found[i] for i in range(len(prompts))])


def _choose(
    logits: torch.Tensor, temperature: float, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Next ids (B,) and their log-probabilities (B,), by inverse CDF or greedily."""
    if temperature == 0:
        chosen = logits.argmax(-1)
        return chosen, torch.zeros(len(chosen))  # greedy writes it with probability 1
    logp = torch.log_softmax(logits / temperature, -1)
    levels = torch.rand(len(logits), 1, generator=random).to(logits.device)
    cumulative = logp.exp().cumsum(-1)
    chosen = torch.searchsorted(cumulative, levels * cumulative[:, -1:]).squeeze(1)
    chosen = chosen.clamp(max=logits.shape[-1] - 1)
    return chosen, logp.gather(1, chosen[:, None]).squeeze(1)


def _write(
    rows: list[Row],
    alive: list[int],
    chosen: list[int],
    logprobs: list[float],
    respond: Respond,
    stops: frozenset[int],
) -> None:
    """Append one token to every row that still runs, and let the environment answer stops."""
    for index, token, logprob in zip(alive, chosen, logprobs, strict=True):
        row = rows[index]
        if row.finished:
            continue
        if row.forced:
            row.ids.append(row.forced.popleft())
            row.mask.append(0)
            row.logprobs.append(0.0)
            continue
        row.ids.append(token)
        row.mask.append(1)
        row.logprobs.append(logprob)
        if token in stops:
            answer = respond(index, row.ids)
            if answer is None:
                row.finished = True
            else:
                row.forced.extend(answer)
