"""What could be written at a position: sets of vocabulary entries, and log-probabilities over them.

A sampler that is held to a grammar, or to a nucleus, draws from less than the vocabulary. The loss
needs the very same sets: probabilities over the whole vocabulary are those of another policy.
Both take them from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


def logp_over(
    logits: torch.Tensor, temperature: float, allowed: torch.Tensor | None
) -> torch.Tensor:
    """(..., V) log-probabilities at a temperature, -inf outside the set (None: the vocabulary),
    summing to 1 inside."""
    scaled = logits if temperature == 1 else logits / temperature
    scaled = scaled if allowed is None else scaled.masked_fill(~allowed, -torch.inf)
    return torch.log_softmax(scaled, -1)


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


def gather_sets(
    supports: Sequence[Support | None], rows: NDArray[np.int64], positions: NDArray[np.int64]
) -> NDArray[np.uint8] | None:
    """(N, W) packed sets at the positions (N,) of rows (N,): the whole vocabulary where a row has
    none there. None where no row has a set anywhere."""
    widths = [support.packed.shape[1] for support in supports if support is not None]
    if not widths:
        return None
    sets = np.full((len(rows), max(widths)), 255, np.uint8)
    for row, support in enumerate(supports):
        if support is not None:
            mine = (rows == row).nonzero()[0]
            _, here, there = np.intersect1d(
                positions[mine], support.positions, assume_unique=True, return_indices=True
            )
            sets[mine[here]] = support.packed[there]
    return sets


def _bits(like: torch.Tensor) -> torch.Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
