"""What could be written at a position: sets of vocabulary entries, and log-probabilities over them.

A sampler that is held to a grammar, or to a nucleus, draws from less than the vocabulary. The loss
needs the very same sets: probabilities over the whole vocabulary are those of another policy.
Both take them from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Support:
    """The sets at those positions of a row's ids that were drawn from less than the vocabulary.

    A position takes an eighth of a byte for each entry of the vocabulary: 19 KB for 152,000.
    """

    positions: torch.Tensor  # (K,) int64, rising
    packed: torch.Tensor  # (K, W) uint8: entry v is bit v % 8 of byte v // 8


def pack(allowed: torch.Tensor) -> torch.Tensor:
    """(..., V) bool -> (..., W) uint8, W bytes of 8 entries each."""
    padded = F.pad(allowed, (0, -allowed.shape[-1] % 8)).to(torch.uint8)
    return (padded.unflatten(-1, (-1, 8)) << _bits(allowed)).sum(-1, dtype=torch.uint8)


def unpack(packed: torch.Tensor, entries: int) -> torch.Tensor:
    """(..., W) uint8 -> (..., V) bool; entries beyond what was packed are in no set."""
    bits = (packed[..., None] >> _bits(packed) & 1).flatten(-2).bool()
    return F.pad(bits, (0, max(0, entries - bits.shape[-1])))[..., :entries]


def nucleus(logp: torch.Tensor, top_p: float) -> torch.Tensor:
    """(B, V) bool: the fewest likeliest entries that together have `top_p` of the probability.

    Source: Holtzman et al., arXiv 1904.09751.
    """
    ordered, order = logp.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    kept = before < top_p
    kept[..., 0] = True
    return torch.zeros_like(kept).scatter(-1, order, kept & (ordered > -torch.inf))


def logp_over(logits: torch.Tensor, temperature: float, allowed: torch.Tensor) -> torch.Tensor:
    """(..., V) log-probabilities at a temperature, -inf outside the set, summing to 1 inside."""
    return torch.log_softmax((logits / temperature).masked_fill(~allowed, -torch.inf), -1)


def laid_out(
    supports: Sequence[Support | None], length: int, entries: int, device: torch.device
) -> torch.Tensor:
    """(B, T, V) bool for rows side by side: the whole vocabulary where a row has no set."""
    packed = torch.full((len(supports), length, -(-entries // 8)), 255, dtype=torch.uint8)
    for row, support in enumerate(supports):
        if support is not None:
            packed[row, support.positions] = support.packed
    return unpack(packed.to(device), entries)


def score_over(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    length: int,
    supports: Sequence[Support | None],
    temperature: float,
    auxiliary: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Log-probabilities and entropies (B, T), float32, of the last T = `length` of ids (B, S),
    each over its support; and a mixture of experts' own loss, where it is asked for.

    The logits (B, T, V) are in memory all at once.
    """
    router = {"output_router_logits": True} if auxiliary else {}
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=length + 1,
        **router,
    )
    logits = output.logits[:, :-1].float()
    allowed = laid_out(supports, length, logits.shape[-1], logits.device)
    logp = logp_over(logits, temperature, allowed)
    with torch.no_grad():
        entropy = -(logp.exp() * logp.masked_fill(~allowed, 0.0)).sum(-1)
    chosen = logp.gather(-1, ids[:, -length:, None]).squeeze(-1)
    return chosen, entropy, output.aux_loss if auxiliary else None


def _bits(like: torch.Tensor) -> torch.Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
