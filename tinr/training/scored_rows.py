"""GRPO's conversations as packed rows, and scores of no more than what the model wrote.

A pass costs what its tokens cost: rows carry next to no padding, and a prompt is read once for
all members of its group that share a row. Log-probabilities and entropies are those of the
padded conversations, each by itself. The head is applied only where the model wrote, some
positions at a time, and again in the backward pass, so no logits of a whole pass are in memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.checkpoints.model import vocabulary_rows
from tinr.rollout.sampling_support import Support, gather_sets
from tinr.training.cpu_attention import PRODUCTS_ROW_TOKENS, mask_type, shared_mask
from tinr.training.head_scores import score_targets

WIDTH_STEP = 16  # tokens between the widths of rows that are compared
ATTENTION = 1024  # width of a row at which attention takes as long as all the rest of a token


@dataclass(frozen=True)
class ScoredRows:
    """A pass's conversations in rows, what to score in them, and how.

    groups, members: whose prompt each position sees, and whose completion; None where every
    conversation has a row of its own, padded on the right as `real` says.
    """

    input_ids: torch.Tensor  # (R, T)
    position_ids: torch.Tensor  # (R, T), those of the conversation by itself
    real: torch.Tensor  # (R, T), 0: padding
    groups: torch.Tensor | None  # (R, T)
    members: torch.Tensor | None  # (R, T), 0: the prompt that the group shares
    before: torch.Tensor  # (N,) where, in rows laid end to end, the token before each target is
    targets: torch.Tensor  # (N,)
    sets: torch.Tensor | None  # (N, W) uint8 as `support.pack` has it; None: the vocabulary
    temperature: float
    auxiliary: bool = False  # whether a mixture of experts' own loss is asked for


Scores = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


def lay_out(
    ids: torch.Tensor,
    mask: torch.Tensor,
    written: torch.Tensor,
    temperature: float,
    supports: Sequence[Support | None] | None,
    share: bool,
    auxiliary: bool = False,
) -> ScoredRows:
    """Padded conversations (B, S) as rows.

    The last K columns are completions, padded on the right, the others prompts, padded on the
    left; mask (B, S): 0 where padding is. written (B, K) bool: what to score. share: whether
    prompts may be read once for several completions.
    """
    split = ids.shape[1] - written.shape[1]
    pairs = [
        (tuple(row[:split][real[:split]].tolist()), row[split:][real[split:]].tolist())
        for row, real in zip(ids.cpu(), mask.bool().cpu(), strict=True)
    ]
    if share:
        rows = pack_groups([prompt for prompt, _ in pairs], [len(said) for _, said in pairs])
    else:
        rows = [{prompt: [number]} for number, (prompt, _) in enumerate(pairs)]
    width = max(sum(_widths(row, pairs)) for row in rows)
    tables = torch.zeros(5, len(rows), width, dtype=torch.long)
    tokens, positions, real, groups, members = tables
    positions[:] = torch.arange(width)
    first = torch.zeros(len(pairs), dtype=torch.long)  # of each completion's tokens
    last = torch.zeros(len(pairs), dtype=torch.long)  # of each prompt's tokens
    for number, row in enumerate(rows):
        at = 0
        for group, (prompt, inside) in enumerate(row.items(), 1):
            end = at + len(prompt)
            segments = [(0, 0, prompt), *((m + 1, len(prompt), pairs[m][1]) for m in inside)]
            for member, position, segment in segments:
                here = slice(at, at + len(segment))
                tokens[number, here] = torch.tensor(segment, dtype=torch.long)
                positions[number, here] = torch.arange(position, position + len(segment))
                members[number, here], groups[number, here] = member, group
                real[number, here] = 1
                if member:
                    first[member - 1] = number * width + at
                    last[member - 1] = number * width + end - 1
                at += len(segment)
    whose, where = written.cpu().nonzero(as_tuple=True)
    before = torch.where(where == 0, last[whose], first[whose] + where - 1)
    sets = None if supports is None else gather_sets(supports, whose.numpy(), where.numpy())
    device = ids.device
    return ScoredRows(
        tokens.to(device), positions.to(device), real.to(device),
        groups.to(device) if share else None, members.to(device) if share else None,
        before.to(device), ids[:, split:][written],
        None if sets is None else torch.from_numpy(sets).to(device), temperature, auxiliary,
    )  # fmt: skip


def pack_groups(
    prompts: Sequence[tuple[int, ...]], lengths: Sequence[int]
) -> list[dict[tuple[int, ...], list[int]]]:
    """Conversations into rows: the members of each prompt that share it there.

    Of the widths up to `cpu_attention.PRODUCTS_ROW_TOKENS` the one whose rows cost least: wider
    rows read a prompt less often, and attend over more.
    """
    narrowest = max(len(p) + n for p, n in zip(prompts, lengths, strict=True))
    whole = sum(map(len, set(prompts))) + sum(lengths)
    best, cheapest = [], float("inf")
    for width in range(
        narrowest, max(min(whole, PRODUCTS_ROW_TOKENS), narrowest) + WIDTH_STEP, WIDTH_STEP
    ):
        rows, filled = _pack_within(prompts, lengths, width)
        cost = len(rows) * filled * (1 + filled / ATTENTION)
        if cost < cheapest:
            best, cheapest = rows, cost
    return best


def _pack_within(
    prompts: Sequence[tuple[int, ...]], lengths: Sequence[int], width: int
) -> tuple[list[dict[tuple[int, ...], list[int]]], int]:
    """Rows of at most so many tokens by best fit, and the tokens of the fullest."""
    rows: list[dict[tuple[int, ...], list[int]]] = []
    rooms: list[int] = []
    order = sorted(range(len(prompts)), key=lambda m: (len(prompts[m]), prompts[m], lengths[m]))
    for member in reversed(order):
        prompt = prompts[member]
        fits = [
            (prompt not in row, room, number)
            for number, (row, room) in enumerate(zip(rows, rooms, strict=True))
            if lengths[member] + (0 if prompt in row else len(prompt)) <= room
        ]
        if fits:
            new, _, number = min(fits)
        else:
            new, number = True, len(rows)
            rows.append({})
            rooms.append(width)
        rows[number].setdefault(prompt, []).append(member)
        rooms[number] -= lengths[member] + (len(prompt) if new else 0)
    return rows, width - min(rooms)


def _widths(row: dict[tuple[int, ...], list[int]], pairs: Sequence[tuple[Any, Any]]) -> list[int]:
    return [
        len(prompt) + sum(len(pairs[member][1]) for member in inside)
        for prompt, inside in row.items()
    ]


def score_rows(model: PreTrainedModel, rows: ScoredRows) -> Scores:
    """Log-probability and entropy (N,), float32, of each target, the entropy without gradient;
    and a mixture of experts' own loss, where it is asked for."""
    found, hidden = _read(model, rows)
    logps, entropies = score_targets(model, hidden, rows.targets, rows.sets, rows.temperature)
    return logps, entropies, _balance(model, found, rows) if rows.auxiliary else None


def _read(model: PreTrainedModel, rows: ScoredRows) -> tuple[Any, torch.Tensor]:
    """What the layers give for rows, and the hidden states (N, H) before the targets."""
    mask = rows.real
    if rows.groups is not None and rows.members is not None:
        mask = shared_mask(rows.groups, rows.members, mask_type(model))
    more: dict[str, Any] = {"output_router_logits": True} if rows.auxiliary else {}
    if "position_ids" in signature(model.base_model.forward).parameters:
        more["position_ids"] = rows.position_ids
    found = model.base_model(input_ids=rows.input_ids, attention_mask=mask, use_cache=False, **more)
    return found, found.last_hidden_state.flatten(0, 1)[rows.before]


def _balance(model: PreTrainedModel, found: Any, rows: ScoredRows) -> torch.Tensor:
    """The load-balancing loss over real positions, as TRL takes it."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    shape: Any = model.config.get_text_config()
    loss = load_balancing_loss_func(
        found.router_logits, shape.num_experts, shape.num_experts_per_tok, rows.real
    )
    assert isinstance(loss, torch.Tensor)
    return loss


def answer_scored(model: PreTrainedModel) -> None:
    """From here on `model(scored=rows)` are the scores of rows: what wraps the model (DDP,
    DeepSpeed) then sees every forward pass."""
    forward: Callable[..., Any] = model.forward

    def either(*args: Any, scored: ScoredRows | None = None, **kwargs: Any) -> Any:
        return forward(*args, **kwargs) if scored is None else score_rows(model, scored)

    model.forward = either  # type: ignore[method-assign]


@torch.no_grad()
def longest_shared(model: PreTrainedModel) -> float:
    """Tokens up to which conversations in one row, each seeing the shared prompt and itself, are
    to this model what they are alone; 0: it takes no such rows.

    It is tried: models differ in what they do with masks and positions (recurrent layers see
    neighbours, some add positions of their own). A window is known only by the configuration.
    """
    if "position_ids" not in signature(model.base_model.forward).parameters:
        return 0
    entries, training = vocabulary_rows(model)[0].weight.shape[0], model.training
    prompt, sides = [n % entries for n in (1, 2, 3)], ([n % entries for n in range(4, 9)],) * 2
    ids = torch.tensor([[*prompt, *side] for side in sides], device=model.device)
    ids[1, 3:] = ids[0, 3:].flip(0)
    written = torch.ones(2, 5, dtype=torch.bool, device=model.device)
    parts = (ids, torch.ones_like(ids), written, 1.0, None)
    model.eval()
    try:
        found = [_read(model, lay_out(*parts, share=share))[1] for share in (True, False)]
    except (TypeError, ValueError, RuntimeError):  # a mask of this form is not taken
        return 0
    finally:
        model.train(training)
    shared, alone = (hidden.float() for hidden in found)
    if (shared - alone).abs().max() > 1e-3 * alone.abs().max():
        return 0
    return getattr(model.config.get_text_config(), "sliding_window", None) or math.inf
