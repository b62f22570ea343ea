"""What could be written at a position: sets of vocabulary entries, and log-probabilities over them.

A sampler that is held to a grammar, or to a nucleus, draws from less than the vocabulary. The loss
needs the very same sets: probabilities over the whole vocabulary are those of another policy.
Both take them from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


@dataclass(frozen=True)
class Support:
    """The sets at those positions of a row's ids that were drawn from less than the vocabulary.

    A position takes an eighth of a byte for each entry of the vocabulary: 19 KB for 152,000.
    """

    positions: NDArray[np.int64]  # (K,), rising
    packed: NDArray[np.uint8]  # (K, W): entry v is bit v % 8 of byte v // 8

    def sets(self, entries: int) -> torch.Tensor:
        """(K, V) bool."""
        return unpack(torch.from_numpy(self.packed), entries)


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


def logp_of(
    ids: torch.Tensor, logits: torch.Tensor, temperature: float, allowed: torch.Tensor
) -> torch.Tensor:
    """(...,) what `logp_over` (..., V) has at ids (...,), to the last bit of float32 or so:
    the small differences of large terms are taken in float64."""
    scaled = (logits / temperature).masked_fill(~allowed, -torch.inf)
    top = scaled.detach().amax(-1, keepdim=True)
    total = (scaled - top).exp().sum(-1).double().log()
    above = scaled.gather(-1, ids[..., None]).double() - top.double()
    return (above.squeeze(-1) - total).float()


def laid_out(
    supports: Sequence[Support | None], length: int, entries: int, device: torch.device
) -> torch.Tensor:
    """(B, T, V) bool for rows side by side: the whole vocabulary where a row has no set."""
    packed = np.full((len(supports), length, -(-entries // 8)), 255, np.uint8)
    for row, support in enumerate(supports):
        if support is not None:
            packed[row, support.positions] = support.packed
    return unpack(torch.from_numpy(packed).to(device), entries)


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
    chosen = logp_of(ids[:, -length:], logits, temperature, allowed)
    with torch.no_grad():
        logp = logp_over(logits, temperature, allowed)
        entropy = -(logp.exp() * logp.masked_fill(~allowed, 0.0)).sum(-1)
    return chosen, entropy, output.aux_loss if auxiliary else None


def _bits(like: torch.Tensor) -> torch.Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
