"""The local generation backend: batched decoding with a cache that is shared by a group.

Each prompt is prefilled once and its cache repeated for the group. Every step feeds one
token per row: a sampled one, or one that the environment forced in, so conversations of
many turns run in one batch without refilling. Finished rows leave the batch. What was
sampled is what is returned: ids, never re-tokenised text. Where a constraint or a nucleus
leaves less than the vocabulary to draw from, each row says what was left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from tinr.rollout.grammar import Constraint
from tinr.rollout.sampling_support import Support, logp_of, logp_over, nucleus, pack, unpack

COMPACT_BELOW = 0.75  # rows still running, as a share of the batch, before it is compacted

# Called when a row writes a stop id, with the row's number and its ids so far: the ids the
# environment adds (none: the model just goes on), or None where the conversation is over.
Respond = Callable[[int, Sequence[int]], Sequence[int] | None]

# Called after each step, before any answer, with the numbers of the rows that run, the ids that
# they have just got and whether the model wrote them: the rows that end here, and those that are
# written greedily from here on.
Steer = Callable[
    [NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]], tuple[Sequence[int], Sequence[int]]
]


@dataclass
class Row:
    """One completion: ids, who wrote each (mask 1: the model, 0: given), log-probabilities."""

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False  # ended by the environment or the caller, not by the limit
    stuck: bool = False  # ended because the constraint left nothing to write
    support: Support | None = None  # where and what less than the vocabulary was drawn from


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

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows; the room of all rows is let go of at once, not at the next step."""
        super().batch_select_indices(indices)
        self.room = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row; the room of the rows before is let go of."""
        super().batch_repeat_interleave(repeats)
        self.room = None

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
    max_tokens: int,
    pad: int,
    group: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    top_p: float = 1.0,
    constraint: Constraint | None = None,
    steer: Steer | None = None,
) -> list[Row]:
    """`group` completions of each prompt, prompt by prompt; row r belongs to prompt r // group.

    max_tokens: tokens of a completion, environment included. temperature 0: greedy, with
    log-probabilities of 0. The same seed gives the same rows. top_p: of the tempered
    probability, what is drawn from. constraint: a fresh one, of as many rows. steer: who ends
    rows at other ids than stops, or lets them go on greedily.
    """
    device = model.device
    random = torch.Generator(device="cpu").manual_seed(seed)
    table = DraftTable(len(prompts) * group, max_tokens)
    alive = np.arange(len(table.over))
    cache = DynamicCache()
    cache.layer_class_to_replicate = RoomyLayer
    logits, mask = prefill(model, prompts, pad, cache)
    if group > 1:
        cache.batch_repeat_interleave(group)
        mask, logits = (t.repeat_interleave(group, 0) for t in (mask, logits))
    for _ in range(max_tokens):
        allowed = None if constraint is None else _allowed(constraint, alive, logits)
        if allowed is not None:
            table.end_stuck(alive, allowed)
        chosen, logprobs, drawn = _choose(
            logits, temperature, random, top_p, allowed, table.greedy[alive]
        )
        running = table.write(alive, chosen.cpu().numpy(), logprobs.cpu().numpy(), drawn)
        if constraint is not None:
            constraint.feed(running, table.last(running))
        if steer is not None:
            running = table.steer(running, steer)
        table.answer(running, respond, stops)
        fed = torch.from_numpy(table.last(alive)).to(device)
        running = ~table.over[alive]
        if not running.any() or table.step == max_tokens:
            break
        if running.mean() < COMPACT_BELOW:
            alive, kept = alive[running], torch.from_numpy(running.nonzero()[0]).to(device)
            fed, mask = fed[kept], mask[kept]
            cache.batch_select_indices(kept)
            mask = _trim(mask, cache)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        logits = forward(model, fed[:, None], mask, cache, keep=1)[:, -1].float()
    return table.rows()


def _trim(mask: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
    """Drop the padding that all rows begin with from the cache, and from the mask (B, T)."""
    first = int(mask.argmax(1).min())
    for layer in cache.layers if first else ():
        assert isinstance(layer, RoomyLayer)
        layer.keys, layer.values = layer.keys[:, :, first:], layer.values[:, :, first:]
    return mask[:, first:]


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


def _allowed(
    constraint: Constraint, rows: NDArray[np.int64], logits: torch.Tensor
) -> torch.Tensor | None:
    """(B, V) bool, what each of `rows` may write next; None where they may write anything."""
    found = constraint.allowed(rows)
    if found is None:
        return None
    inside, packed = (torch.from_numpy(one).to(logits.device) for one in found)
    allowed = torch.ones_like(logits, dtype=torch.bool)
    allowed[inside] = unpack(packed, logits.shape[-1])
    return allowed


def _choose(
    logits: torch.Tensor,
    temperature: float,
    random: torch.Generator,
    top_p: float,
    allowed: torch.Tensor | None,
    greedy: NDArray[np.bool_],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Next ids (B,), their log-probabilities (B,), and what they were drawn from (B, V) bool
    (None: the vocabulary), by inverse CDF; greedily at temperature 0, and in the rows `greedy`."""
    if temperature == 0:
        chosen = _likeliest(logits, allowed)
        return chosen, torch.zeros(len(chosen)), None  # greedy writes it with probability 1
    chosen, logprobs, drawn = _draw(logits, temperature, random, top_p, allowed)
    if greedy.any():
        sure = torch.from_numpy(greedy).to(logits.device)
        chosen = torch.where(sure, _likeliest(logits, allowed), chosen)
        logprobs = logprobs.masked_fill(sure, 0.0)
    return chosen, logprobs, drawn


def _likeliest(logits: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    within = logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)
    return within.argmax(-1)


def _draw(
    logits: torch.Tensor,
    temperature: float,
    random: torch.Generator,
    top_p: float,
    allowed: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """By inverse CDF; what is returned is as in `_choose`."""
    logp = logp_over(logits, temperature, allowed)
    if top_p < 1:
        allowed = nucleus(logp, top_p)
        logp = logp_over(logits, temperature, allowed)
    levels = torch.rand(len(logits), 1, generator=random).to(logits.device)
    cumulative = logp.exp().cumsum(-1)
    if (
        allowed is not None
    ):  # what is not allowed must not be hit by a rounding, nor by a level of 0
        cumulative = cumulative.masked_fill(~allowed, 0.0).cummax(-1).values
        levels = levels.clamp(min=1e-9)
    chosen = torch.searchsorted(cumulative, levels * cumulative[:, -1:]).squeeze(1)
    chosen = chosen.clamp(max=logits.shape[-1] - 1)
    if allowed is None:
        return chosen, logp.gather(1, chosen[:, None]).squeeze(1), None
    return chosen, logp_of(chosen, logits, temperature, allowed), allowed


class DraftTable:
    """The rows of a batch while they are written: arrays (T, R), for all that run are as long."""

    def __init__(self, rows: int, max_tokens: int):
        self.step = 0
        self.ids = np.zeros((max_tokens, rows), np.int64)
        self.own = np.zeros((max_tokens, rows), np.int64)
        self.logprobs = np.zeros((max_tokens, rows), np.float32)
        self.given = np.full((max_tokens, rows), -1)  # what the environment has yet to say
        self.lengths = np.zeros(rows, np.int64)
        self.over = np.zeros(rows, bool)
        self.stuck = np.zeros(rows, bool)
        self.greedy = np.zeros(rows, bool)  # written greedily from here on
        self.drawn: list[tuple[NDArray[np.int64], NDArray[np.uint8], int]] = []  # rows, sets, step

    def end_stuck(self, rows: NDArray[np.int64], allowed: torch.Tensor) -> None:
        """End those of `rows` (B,) that may write nothing; their sets (B, V) become whole."""
        empty = ~allowed.any(-1)
        allowed[empty] = True  # nothing that is drawn there is kept
        waiting = self.given[self.step, rows] < 0
        ended = rows[empty.cpu().numpy() & waiting & ~self.over[rows]]
        self.stuck[ended] = self.over[ended] = True

    def write(
        self,
        rows: NDArray[np.int64],
        chosen: NDArray[np.int64],
        logprobs: NDArray[np.float32],
        allowed: torch.Tensor | None,
    ) -> NDArray[np.int64]:
        """One id more for each of `rows` (B,): what is given, else the chosen; which still ran."""
        given = self.given[self.step, rows]
        own, running = given < 0, ~self.over[rows]
        self.ids[self.step, rows] = np.where(own, chosen, given)
        self.own[self.step, rows] = own
        self.logprobs[self.step, rows] = np.where(own, logprobs, 0.0)
        self.lengths[rows] += running
        if allowed is not None:
            narrow = own & running & ~allowed.all(-1).cpu().numpy()
            packed = pack(allowed[torch.from_numpy(narrow).to(allowed.device)]).cpu().numpy()
            self.drawn.append((rows[narrow], packed, self.step))
        self.step += 1
        return rows[running]

    def last(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ids of `rows` (B,) that were written last."""
        return self.ids[self.step - 1, rows]

    def steer(self, rows: NDArray[np.int64], steer: Steer) -> NDArray[np.int64]:
        """Let the caller end some of `rows` (B,), or make them greedy; which still run."""
        ended, greedy = steer(rows, self.last(rows), self.own[self.step - 1, rows] == 1)
        self.over[list(ended)] = self.greedy[list(greedy)] = True
        return rows[~self.over[rows]]

    def answer(self, rows: NDArray[np.int64], respond: Respond, stops: frozenset[int]) -> None:
        """Let the environment speak in those of `rows` that have just written a stop."""
        own = rows[self.own[self.step - 1, rows] == 1]
        for row in own[np.isin(self.last(own), list(stops))].tolist():
            answer = respond(row, self.ids[: self.step, row].tolist())
            if answer is None:
                self.over[row] = True
                continue
            room = self.given[self.step : self.step + len(answer), row]
            room[:] = answer[: len(room)]

    def rows(self) -> list[Row]:
        """Every row as lists, cut where it ended."""
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
        packed = np.concatenate([sets for _, sets, _ in self.drawn])
        steps = np.repeat([s for _, _, s in self.drawn], [len(rows) for rows, _, _ in self.drawn])
        mine = {row: (rows == row).nonzero()[0] for row in np.unique(rows).tolist()}
        return {row: Support(steps[at], packed[at]) for row, at in mine.items()}
