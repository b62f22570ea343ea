"""Pack GRPO's conversations into rows and score only the tokens that the model wrote.

Rows have almost no padding, and all members of a group that share a row share one copy of their
prompt. Log-probabilities and entropies equal those of padded conversations in separate rows. The
head is applied only at tokens that the model wrote, in chunks of positions, and recomputed in the
backward pass, so the logits of a whole pass are never in memory.
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

WIDTH_STEP = 16  # tokens between candidate row widths
ATTENTION = 1024  # row width at which attention takes as long as all other work per token


@dataclass(frozen=True)
class ScoredRows:
    """The conversations of a pass in rows, which tokens to score, and how.

    groups, members: for each position, the group whose prompt it sees and the member whose
    completion it sees. None if every conversation has its own row, padded on the right (`real`).
    """

    input_ids: torch.Tensor  # (R, T)
    position_ids: torch.Tensor  # (R, T), as in the conversation alone
    real: torch.Tensor  # (R, T), 0: padding
    groups: torch.Tensor | None  # (R, T)
    members: torch.Tensor | None  # (R, T), 0: the shared prompt of the group
    before: torch.Tensor  # (N,) index, in the flattened rows, of the token before each target
    targets: torch.Tensor  # (N,)
    sets: torch.Tensor | None  # (N, W) uint8, see `sampling_support.pack`; None: whole vocabulary
    temperature: float
    auxiliary: bool = False  # whether to compute a mixture of experts' auxiliary loss


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
    """Lay out padded conversations (B, S) as rows.

    The last K columns are completions, padded on the right. The others are prompts, padded on the
    left. mask (B, S): 0 for padding. written (B, K) bool: which tokens to score. share: whether
    several completions may share one copy of their prompt.
    """
    prompt_width = ids.shape[1] - written.shape[1]
    pairs = [
        (
            tuple(row[:prompt_width][token_mask[:prompt_width]].tolist()),
            row[prompt_width:][token_mask[prompt_width:]].tolist(),
        )
        for row, token_mask in zip(ids.cpu(), mask.bool().cpu(), strict=True)
    ]
    if share:
        rows = pack_groups(
            [prompt for prompt, _ in pairs], [len(completion) for _, completion in pairs]
        )
    else:
        rows = [{prompt: [number]} for number, (prompt, _) in enumerate(pairs)]
    width = max(sum(_widths(row, pairs)) for row in rows)
    tables = torch.zeros(5, len(rows), width, dtype=torch.long)
    tokens, positions, real_mask, groups, members = tables
    positions[:] = torch.arange(width)
    first_tokens = torch.zeros(len(pairs), dtype=torch.long)  # flat index, per completion
    last_tokens = torch.zeros(len(pairs), dtype=torch.long)  # flat index, per prompt
    for number, row in enumerate(rows):
        offset = 0
        for group, (prompt, indices) in enumerate(row.items(), 1):
            end = offset + len(prompt)
            segments = [(0, 0, prompt), *((m + 1, len(prompt), pairs[m][1]) for m in indices)]
            for member, position, segment in segments:
                span = slice(offset, offset + len(segment))
                tokens[number, span] = torch.tensor(segment, dtype=torch.long)
                positions[number, span] = torch.arange(position, position + len(segment))
                members[number, span], groups[number, span] = member, group
                real_mask[number, span] = 1
                if member:
                    first_tokens[member - 1] = number * width + offset
                    last_tokens[member - 1] = number * width + end - 1
                offset += len(segment)
    completion_numbers, completion_places = written.cpu().nonzero(as_tuple=True)
    source_places = torch.where(
        completion_places == 0,
        last_tokens[completion_numbers],
        first_tokens[completion_numbers] + completion_places - 1,
    )
    sets = (
        None
        if supports is None
        else gather_sets(supports, completion_numbers.numpy(), completion_places.numpy())
    )
    device = ids.device
    return ScoredRows(
        tokens.to(device), positions.to(device), real_mask.to(device),
        groups.to(device) if share else None, members.to(device) if share else None,
        source_places.to(device), ids[:, prompt_width:][written],
        None if sets is None else torch.from_numpy(sets).to(device), temperature, auxiliary,
    )  # fmt: skip


def pack_groups(
    prompts: Sequence[tuple[int, ...]], lengths: Sequence[int]
) -> list[dict[tuple[int, ...], list[int]]]:
    """Pack conversations into rows. A row maps each prompt to the members that share it.

    It chooses the cheapest row width up to `cpu_attention.PRODUCTS_ROW_TOKENS`. Wider rows read a
    prompt less often, but attend over more positions.
    """
    least_width = max(len(p) + n for p, n in zip(prompts, lengths, strict=True))
    total = sum(map(len, set(prompts))) + sum(lengths)
    best_rows, least_cost = [], float("inf")
    for width in range(
        least_width, max(min(total, PRODUCTS_ROW_TOKENS), least_width) + WIDTH_STEP, WIDTH_STEP
    ):
        rows, used_width = _pack_within(prompts, lengths, width)
        cost = len(rows) * used_width * (1 + used_width / ATTENTION)
        if cost < least_cost:
            best_rows, least_cost = rows, cost
    return best_rows


def _pack_within(
    prompts: Sequence[tuple[int, ...]], lengths: Sequence[int], width: int
) -> tuple[list[dict[tuple[int, ...], list[int]]], int]:
    """Pack rows of up to `width` tokens by best fit. Returns them and the fullest row's width."""
    rows: list[dict[tuple[int, ...], list[int]]] = []
    rooms: list[int] = []
    order = sorted(range(len(prompts)), key=lambda m: (len(prompts[m]), prompts[m], lengths[m]))
    for member in reversed(order):
        prompt = prompts[member]
        candidates = [
            (prompt not in row, room, number)
            for number, (row, room) in enumerate(zip(rows, rooms, strict=True))
            if lengths[member] + (0 if prompt in row else len(prompt)) <= room
        ]
        if candidates:
            is_new, _, number = min(candidates)
        else:
            is_new, number = True, len(rows)
            rows.append({})
            rooms.append(width)
        rows[number].setdefault(prompt, []).append(member)
        rooms[number] -= lengths[member] + (len(prompt) if is_new else 0)
    return rows, width - min(rooms)


def _widths(row: dict[tuple[int, ...], list[int]], pairs: Sequence[tuple[Any, Any]]) -> list[int]:
    return [
        len(prompt) + sum(len(pairs[member][1]) for member in members)
        for prompt, members in row.items()
    ]


def score_rows(model: PreTrainedModel, rows: ScoredRows) -> Scores:
    """Compute the log-probability and entropy (N,), float32, of each target.

    The entropy has no gradient. With `rows.auxiliary` it also returns the auxiliary loss of a
    mixture of experts.
    """
    outputs, hidden = _read(model, rows)
    logps, entropies = score_targets(model, hidden, rows.targets, rows.sets, rows.temperature)
    return logps, entropies, _balance(model, outputs, rows) if rows.auxiliary else None


def _read(model: PreTrainedModel, rows: ScoredRows) -> tuple[Any, torch.Tensor]:
    """Run the layers on rows. Returns their outputs and the hidden states (N, H) before targets."""
    mask = rows.real
    if rows.groups is not None and rows.members is not None:
        mask = shared_mask(rows.groups, rows.members, mask_type(model))
    options: dict[str, Any] = {"output_router_logits": True} if rows.auxiliary else {}
    if "position_ids" in signature(model.base_model.forward).parameters:
        options["position_ids"] = rows.position_ids
    outputs = model.base_model(
        input_ids=rows.input_ids, attention_mask=mask, use_cache=False, **options
    )
    return outputs, outputs.last_hidden_state.flatten(0, 1)[rows.before]


def _balance(model: PreTrainedModel, outputs: Any, rows: ScoredRows) -> torch.Tensor:
    """Compute the load-balancing loss over positions without padding, as TRL does."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    shape: Any = model.config.get_text_config()
    loss = load_balancing_loss_func(
        outputs.router_logits, shape.num_experts, shape.num_experts_per_tok, rows.real
    )
    assert isinstance(loss, torch.Tensor)
    return loss


def answer_scored(model: PreTrainedModel) -> None:
    """Make `model(scored=rows)` return the scores of rows.

    The wrapper of the model (DDP, DeepSpeed) then sees every forward pass.
    """
    forward: Callable[..., Any] = model.forward

    def forward_or_scores(*args: Any, scored: ScoredRows | None = None, **kwargs: Any) -> Any:
        return forward(*args, **kwargs) if scored is None else score_rows(model, scored)

    model.forward = forward_or_scores  # type: ignore[method-assign]


@torch.no_grad()
def longest_shared(model: PreTrainedModel) -> float:
    """Find the row width in tokens up to which shared rows give the same results as separate ones.

    Returns 0 if the model does not support shared rows. The function runs the model to find out,
    because models differ in how they use masks and positions (recurrent layers see neighbours,
    some add positions of their own). A sliding window is known only from the configuration.
    """
    if "position_ids" not in signature(model.base_model.forward).parameters:
        return 0
    entries, training = vocabulary_rows(model)[0].weight.shape[0], model.training
    prompt, sides = [n % entries for n in (1, 2, 3)], ([n % entries for n in range(4, 9)],) * 2
    ids = torch.tensor([[*prompt, *side] for side in sides], device=model.device)
    ids[1, 3:] = ids[0, 3:].flip(0)
    completion_mask = torch.ones(2, 5, dtype=torch.bool, device=model.device)
    layout = (ids, torch.ones_like(ids), completion_mask, 1.0, None)
    model.eval()
    try:
        hidden_states = [_read(model, lay_out(*layout, share=share))[1] for share in (True, False)]
    except (TypeError, ValueError, RuntimeError):  # the model does not accept such a mask
        return 0
    finally:
        model.train(training)
    shared_states, single_states = (hidden.float() for hidden in hidden_states)
    if (shared_states - single_states).abs().max() > 1e-3 * single_states.abs().max():
        return 0
    return getattr(model.config.get_text_config(), "sliding_window", None) or math.inf
