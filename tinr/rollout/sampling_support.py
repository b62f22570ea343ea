"""The support of a sampled position: a set of vocabulary entries, and log-probabilities over it.

A sampler with a grammar or a nucleus samples from less than the vocabulary. The loss needs the
same sets: probabilities over the whole vocabulary are those of another policy. Both use this
module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


@dataclass(frozen=True)
class Support:
    """The sets at the positions of a row that were sampled from less than the vocabulary.

    A position takes an eighth of a byte for each entry of the vocabulary: 19 KB for 152,000.
    """

    positions: NDArray[np.int64]  # (K,), ascending
    packed: NDArray[np.uint8]  # (K, W): entry v is bit v % 8 of byte v // 8

    def sets(self, entries: int) -> torch.Tensor:
        """Unpack the sets, (K, V) bool."""
        return unpack(torch.from_numpy(self.packed), entries)


def pack(allowed: torch.Tensor) -> torch.Tensor:
    """Pack (..., V) bool -> (..., W) uint8, W bytes of 8 entries each."""
    entries = F.pad(allowed, (0, -allowed.shape[-1] % 8)).to(torch.uint8)
    return (entries.unflatten(-1, (-1, 8)) << _bits(allowed)).sum(-1, dtype=torch.uint8)


def unpack(packed: torch.Tensor, entries: int) -> torch.Tensor:
    """Unpack (..., W) uint8 -> (..., V) bool. Entries beyond the packed ones are in no set."""
    bits = (packed[..., None] >> _bits(packed) & 1).flatten(-2).bool()
    return F.pad(bits, (0, max(0, entries - bits.shape[-1])))[..., :entries]


def nucleus(logp: torch.Tensor, top_p: float) -> torch.Tensor:
    """Find the smallest set (B, V) bool of most likely entries with total probability `top_p`.

    Source: Holtzman et al., arXiv 1904.09751.
    """
    sorted_logp, order = logp.sort(-1, descending=True)
    prefix_sums = sorted_logp.exp().cumsum(-1) - sorted_logp.exp()
    mask = prefix_sums < top_p
    mask[..., 0] = True
    return torch.zeros_like(mask).scatter(-1, order, mask & (sorted_logp > -torch.inf))


def logp_over(
    logits: torch.Tensor, temperature: float, allowed: torch.Tensor | None
) -> torch.Tensor:
    """Compute log-probabilities (..., V) at a temperature, normalised over the set `allowed`.

    They are -inf outside the set. None: the set is the vocabulary.
    """
    tempered = logits if temperature == 1 else logits / temperature
    tempered = tempered if allowed is None else tempered.masked_fill(~allowed, -torch.inf)
    return torch.log_softmax(tempered, -1)


def logp_of(
    ids: torch.Tensor, logits: torch.Tensor, temperature: float, allowed: torch.Tensor
) -> torch.Tensor:
    """Compute the values (...,) of `logp_over` (..., V) at ids (...,).

    They are accurate to about the last bit of float32: small differences of large terms are
    computed in float64.
    """
    tempered = (logits / temperature).masked_fill(~allowed, -torch.inf)
    top = tempered.detach().amax(-1, keepdim=True)
    total = (tempered - top).exp().sum(-1).double().log()
    margins = tempered.gather(-1, ids[..., None]).double() - top.double()
    return (margins.squeeze(-1) - total).float()


def gather_sets(
    supports: Sequence[Support | None], rows: NDArray[np.int64], positions: NDArray[np.int64]
) -> NDArray[np.uint8] | None:
    """Gather the packed sets (N, W) at the positions (N,) of rows (N,).

    A row without a set at a position gets the whole vocabulary. Returns None if no row has any set.
    """
    widths = [support.packed.shape[1] for support in supports if support is not None]
    if not widths:
        return None
    sets = np.full((len(rows), max(widths)), 255, np.uint8)
    for row, support in enumerate(supports):
        if support is not None:
            indices = (rows == row).nonzero()[0]
            _, row_places, support_places = np.intersect1d(
                positions[indices], support.positions, assume_unique=True, return_indices=True
            )
            sets[indices[row_places]] = support.packed[support_places]
    return sets


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return torch.arange(8, dtype=torch.uint8, device=tensor.device)
