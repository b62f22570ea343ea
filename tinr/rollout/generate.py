"""The local sampler: batched decoding, with one prefill per prompt for its whole group.

Each prompt is prefilled once and its cache repeated for the group. Every step feeds one token per
row, either sampled or inserted by the environment, so conversations of many turns run in one batch
without another prefill. Finished rows leave the batch. It returns the sampled ids, never
re-tokenised text. If a constraint or a nucleus restricts the vocabulary, each row reports the
sets that it was sampled from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from tinr.rollout.decoding_weights import decoding_weights
from tinr.rollout.grammar import Constraint
from tinr.rollout.sampling_support import Support, logp_of, logp_over, nucleus, pack, unpack

COMPACT_BELOW = 0.75  # the batch is compacted below this share of running rows

# Called when a row writes a stop id, with the row's number and its ids so far. Returns the ids that
# the environment adds (empty: the model just continues), or None if the conversation is over.
Respond = Callable[[int, Sequence[int]], Sequence[int] | None]

# Called after each step, before the environment responds, with the numbers of the running rows,
# their new ids, and whether the model wrote them. Returns the rows that end here, and the rows that
# are decoded greedily from here on.
Steer = Callable[
    [NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]], tuple[Sequence[int], Sequence[int]]
]


@dataclass
class Row:
    """A completion: ids, a mask (1: the model wrote it, 0: the environment), log-probabilities."""

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False  # ended by the environment or the caller, not by the limit
    stuck: bool = False  # ended because the constraint left nothing to write
    support: Support | None = None  # the sets it was sampled from, if less than the vocabulary


ROOM = 128  # positions by which a cache grows


class RoomyLayer(DynamicLayer):
    """A cache layer with spare room: a step writes in place instead of copying everything."""

    keys: torch.Tensor
    values: torch.Tensor
    room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states, value_states, *args, **kwargs):
        """Append (B, heads, T, D); return all keys and values so far, as views of `room`."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old_length = self.keys.shape[-2] if self.keys.numel() else 0
        new_length = old_length + key_states.shape[-2]
        if not self._fits(new_length):
            shape = (*key_states.shape[:2], new_length + ROOM, key_states.shape[-1])
            room = (key_states.new_empty(shape), value_states.new_empty(shape))
            if old_length:
                room[0][:, :, :old_length] = self.keys
                room[1][:, :, :old_length] = self.values
            self.room = room
        assert self.room is not None
        self.room[0][:, :, old_length:new_length] = key_states
        self.room[1][:, :, old_length:new_length] = value_states
        self.keys, self.values = self.room[0][:, :, :new_length], self.room[1][:, :, :new_length]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, and free the room of all rows now instead of at the next step."""
        super().batch_select_indices(indices)
        self.room = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row, and free the old room."""
        super().batch_repeat_interleave(repeats)
        self.room = None

    def _fits(self, length: int) -> bool:
        """Whether `length` fits and the keys are still in the room (selecting rows copies them)."""
        if self.room is None or self.keys.data_ptr() != self.room[0].data_ptr():
            return False
        return self.keys.shape[0] == self.room[0].shape[0] and length <= self.room[0].shape[2]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    respond: Respond,
    stops: frozenset[int],
    *,
    max_tokens: int,
    pad: int,
    group: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    top_p: float = 1.0,
    constraint: Constraint | None = None,
    steer: Steer | None = None,
) -> list[Row]:
    """Generate `group` completions of each prompt; row r belongs to prompt r // group.

    max_tokens: token limit of a completion, including the environment's tokens. temperature: 0
    decodes greedily, with log-probabilities of 0. The same seed gives the same rows. top_p: nucleus
    of the probabilities at this temperature. constraint: a new one for this number of rows. steer:
    ends rows at ids other than stops, or makes them greedy.
    """
    device = model.device
    random = torch.Generator(device="cpu").manual_seed(seed)
    table = DraftTable(len(prompts) * group, max_tokens)
    row_numbers = np.arange(len(table.over))
    with decoding_weights(model):
        cache = DynamicCache()
        cache.layer_class_to_replicate = RoomyLayer
        logits, mask = prefill(model, prompts, pad, cache)
        if group > 1:
            cache.batch_repeat_interleave(group)
            mask, logits = (t.repeat_interleave(group, 0) for t in (mask, logits))
        for _ in range(max_tokens):
            allowed = (
                None if constraint is None else _allowed_entries(constraint, row_numbers, logits)
            )
            if allowed is not None:
                table.end_stuck(row_numbers, allowed)
            next_ids, logprobs, draw_mask = _choose(
                logits, temperature, random, top_p, allowed, table.greedy[row_numbers]
            )
            running_rows = table.write(
                row_numbers, next_ids.cpu().numpy(), logprobs.cpu().numpy(), draw_mask
            )
            if constraint is not None:
                constraint.feed(running_rows, table.last(running_rows))
            if steer is not None:
                running_rows = table.steer(running_rows, steer)
            table.answer(running_rows, respond, stops)
            last_ids = torch.from_numpy(table.last(row_numbers)).to(device)
            is_running = ~table.over[row_numbers]
            if not is_running.any() or table.step == max_tokens:
                break
            if is_running.mean() < COMPACT_BELOW:
                row_numbers, places = (
                    row_numbers[is_running],
                    torch.from_numpy(is_running.nonzero()[0]).to(device),
                )
                last_ids, mask = last_ids[places], mask[places]
                cache.batch_select_indices(places)
                mask = trim(mask, cache)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            logits = forward(model, last_ids[:, None], mask, cache, keep=1)[:, -1].float()
    return table.rows()


def trim(mask: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
    """Drop the left padding that all rows share from the cache and from the mask (B, T)."""
    start = int(mask.argmax(1).min())
    for layer in cache.layers if start else ():
        assert isinstance(layer, RoomyLayer)
        layer.keys, layer.values = layer.keys[:, :, start:], layer.values[:, :, start:]
    return mask[:, start:]


def prefill(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], pad: int, cache: DynamicCache
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute logits (B, V) float32 after each prompt, and the mask (B, T) with left padding."""
    ids, mask = padded(prompts, pad, model.device)
    logits = forward(model, ids, mask, cache, keep=1)
    return logits[:, -1].float(), mask


def padded(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad the prompts on the left; return ids and mask, each (B, T)."""
    width = max(map(len, prompts))
    ids = [[pad] * (width - len(p)) + list(p) for p in prompts]
    masks = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    return torch.tensor(ids, device=device), torch.tensor(masks, device=device)


def forward(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: DynamicCache,
    keep: int = 0,
) -> torch.Tensor:
    """Compute logits (B, T, V) after each of `ids` (B, T), or after the last `keep` of them.

    mask: over all positions so far, including the cached ones. The cache grows by T.
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
    """Compute logits (B, V) float32 after each prompt, in batches of prompts of similar length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    logits_by_number: dict[int, torch.Tensor] = {}
    with decoding_weights(model):
        for start in range(0, len(order), rows):
            chunk = order[start : start + rows]
            logits, _ = prefill(model, [prompts[i] for i in chunk], pad, DynamicCache())
            logits_by_number |= dict(zip(chunk, logits.cpu(), strict=True))
    return torch.stack([logits_by_number[i] for i in range(len(prompts))])


def _allowed_entries(
    constraint: Constraint, rows: NDArray[np.int64], logits: torch.Tensor
) -> torch.Tensor | None:
    """Return the set (B, V) bool that each of `rows` may write next; None: no row is limited."""
    sets = constraint.allowed(rows)
    if sets is None:
        return None
    rows_inside, packed = (torch.from_numpy(array).to(logits.device) for array in sets)
    allowed = torch.ones_like(logits, dtype=torch.bool)
    allowed[rows_inside] = unpack(packed, logits.shape[-1])
    return allowed


def _choose(
    logits: torch.Tensor,
    temperature: float,
    random: torch.Generator,
    top_p: float,
    allowed: torch.Tensor | None,
    greedy: NDArray[np.bool_],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Choose next ids (B,) by inverse CDF; greedily at temperature 0, and in the rows `greedy`.

    Returns the ids, their log-probabilities (B,), and the set (B, V) bool that they were sampled
    from (None: the vocabulary).
    """
    if temperature == 0:
        next_ids = likeliest_ids(logits, allowed)
        return next_ids, torch.zeros(len(next_ids)), None  # greedy sampling has probability 1
    next_ids, logprobs, mask = draw(logits, temperature, random, top_p, allowed)
    if greedy.any():
        is_greedy = torch.from_numpy(greedy).to(logits.device)
        next_ids = torch.where(is_greedy, likeliest_ids(logits, allowed), next_ids)
        logprobs = logprobs.masked_fill(is_greedy, 0.0)
    return next_ids, logprobs, mask


def likeliest_ids(logits: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    masked_logits = logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)
    return masked_logits.argmax(-1)


def draw(
    logits: torch.Tensor,
    temperature: float,
    random: torch.Generator,
    top_p: float,
    allowed: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Sample by inverse CDF; return the same values as `_choose`."""
    logp = logp_over(logits, temperature, allowed)
    if top_p < 1:
        allowed = nucleus(logp, top_p)
        logp = logp_over(logits, temperature, allowed)
    levels = torch.rand(len(logits), 1, generator=random).to(logits.device)
    cumulative = logp.exp().cumsum(-1)
    if allowed is not None:  # neither rounding nor a level of 0 may select an excluded entry
        cumulative = cumulative.masked_fill(~allowed, 0.0).cummax(-1).values
        levels = levels.clamp(min=1e-9)
    next_ids = torch.searchsorted(cumulative, levels * cumulative[:, -1:]).squeeze(1)
    next_ids = next_ids.clamp(max=logits.shape[-1] - 1)
    if allowed is None:
        return next_ids, logp.gather(1, next_ids[:, None]).squeeze(1), None
    return next_ids, logp_of(next_ids, logits, temperature, allowed), allowed


class DraftTable:
    """The rows of a batch as arrays (T, R): during generation, all running rows have one length."""

    def __init__(self, rows: int, max_tokens: int):
        self.step = 0
        self.ids = np.zeros((max_tokens, rows), np.int64)
        self.own = np.zeros((max_tokens, rows), np.int64)
        self.logprobs = np.zeros((max_tokens, rows), np.float32)
        self.given = np.full((max_tokens, rows), -1)  # the environment's ids to write
        self.lengths = np.zeros(rows, np.int64)
        self.over = np.zeros(rows, bool)
        self.stuck = np.zeros(rows, bool)
        self.greedy = np.zeros(rows, bool)  # decoded greedily from here on
        self.drawn: list[tuple[NDArray[np.int64], NDArray[np.uint8], int]] = []  # rows, sets, step

    def end_stuck(self, rows: NDArray[np.int64], allowed: torch.Tensor) -> None:
        """End those of `rows` (B,) whose set is empty, and fill their sets (B, V)."""
        is_empty = ~allowed.any(-1)
        allowed[is_empty] = True  # the ids sampled there are not kept
        is_free = self.given[self.step, rows] < 0
        ended_rows = rows[is_empty.cpu().numpy() & is_free & ~self.over[rows]]
        self.stuck[ended_rows] = self.over[ended_rows] = True

    def write(
        self,
        rows: NDArray[np.int64],
        next_ids: NDArray[np.int64],
        logprobs: NDArray[np.float32],
        allowed: torch.Tensor | None,
    ) -> NDArray[np.int64]:
        """Write one id for each of `rows` (B,): the environment's, else the sampled one.

        Returns the rows that were still running.
        """
        answers = self.given[self.step, rows]
        is_own, is_running = answers < 0, ~self.over[rows]
        self.ids[self.step, rows] = np.where(is_own, next_ids, answers)
        self.own[self.step, rows] = is_own
        self.logprobs[self.step, rows] = np.where(is_own, logprobs, 0.0)
        self.lengths[rows] += is_running
        if allowed is not None:
            is_narrow = is_own & is_running & ~allowed.all(-1).cpu().numpy()
            sets = pack(allowed[torch.from_numpy(is_narrow).to(allowed.device)]).cpu().numpy()
            self.drawn.append((rows[is_narrow], sets, self.step))
        self.step += 1
        return rows[is_running]

    def last(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the last ids of `rows` (B,)."""
        return self.ids[self.step - 1, rows]

    def steer(self, rows: NDArray[np.int64], steer: Steer) -> NDArray[np.int64]:
        """Let the caller end some of `rows` (B,), or make them greedy. Returns the running ones."""
        ended_rows, greedy_rows = steer(rows, self.last(rows), self.own[self.step - 1, rows] == 1)
        self.over[list(ended_rows)] = self.greedy[list(greedy_rows)] = True
        return rows[~self.over[rows]]

    def answer(self, rows: NDArray[np.int64], respond: Respond, stops: frozenset[int]) -> None:
        """Call the environment for those of `rows` that have just written a stop."""
        own_rows = rows[self.own[self.step - 1, rows] == 1]
        for row in own_rows[np.isin(self.last(own_rows), list(stops))].tolist():
            answer = respond(row, self.ids[: self.step, row].tolist())
            if answer is None:
                self.over[row] = True
                continue
            room = self.given[self.step : self.step + len(answer), row]
            room[:] = answer[: len(room)]

    def rows(self) -> list[Row]:
        """Convert every row to lists, cut at its end."""
        supports = self._supports()
        return [
            Row(
                self.ids[:end, row].tolist(),
                self.own[:end, row].tolist(),
                self.logprobs[:end, row].tolist(),
                bool(self.over[row] & ~self.stuck[row]),
                bool(self.stuck[row]),
                supports.get(row),
            )
            for row, end in enumerate(self.lengths.tolist())
        ]

    def _supports(self) -> dict[int, Support]:
        if not self.drawn:
            return {}
        rows = np.concatenate([rows for rows, _, _ in self.drawn])
        packed_sets = np.concatenate([sets for _, sets, _ in self.drawn])
        steps = np.repeat([s for _, _, s in self.drawn], [len(rows) for rows, _, _ in self.drawn])
        places = {row: (rows == row).nonzero()[0] for row in np.unique(rows).tolist()}
        return {row: Support(steps[at], packed_sets[at]) for row, at in places.items()}
