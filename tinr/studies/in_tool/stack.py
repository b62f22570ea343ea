"""Many small Llama-type models of one shape as one batched computation.

All weights of M models are in one tensor (M, N), one row per model. Rows are computed
independently, so a model trains in a stack as it would alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

BYTES = 256
END, USER, ASSISTANT, TOOL = range(BYTES, BYTES + 4)  # END also pads
VOCABULARY = BYTES + 4
LAYERS, HEADS = 2, 2


@dataclass(frozen=True)
class Shape:
    """A Llama of 2 layers and 2 heads: RMSNorm, SwiGLU of 4 widths, RoPE, untied head."""

    width: int

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of each weight, without the leading M."""
        d = self.width
        shapes: dict[str, tuple[int, ...]] = {"embedding": (VOCABULARY, d)}
        for layer in range(LAYERS):
            shapes |= {
                f"{layer}.norm": (d,),
                f"{layer}.qkv": (d, 3 * d),
                f"{layer}.out": (d, d),
                f"{layer}.mlp_norm": (d,),
                f"{layer}.gate_up": (d, 8 * d),
                f"{layer}.down": (4 * d, d),
            }
        return shapes | {"norm": (d,), "head": (d, VOCABULARY)}

    @property
    def parameters(self) -> int:
        """N, the number of weights of one model: 32 d^2 + 525 d."""
        return sum(math.prod(shape) for shape in self.parts.values())


def new_weights(shape: Shape, seeds: Sequence[int], device: str = "cpu") -> Tensor:
    """Draw (M, N): each row with its own seed on the CPU, so it does not depend on other rows."""
    return torch.stack([_model_weights(shape, seed) for seed in seeds]).to(device)


def _model_weights(shape: Shape, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for name, dims in shape.parts.items():
        if name.endswith("norm"):
            rows.append(torch.ones(dims).flatten())
            continue
        # a column's sum over inputs has variance 1, or less if it adds to the residual stream
        scale = 1.0 if name == "embedding" else dims[0] ** -0.5
        scale *= (2 * LAYERS) ** -0.5 if name.endswith(("out", "down")) else 1.0
        rows.append((torch.randn(dims, generator=generator) * scale).flatten())
    return torch.cat(rows)


def unpack(shape: Shape, weights_MN: Tensor) -> dict[str, Tensor]:
    """Views (M, ...) of each weight; their gradient is a single concatenation."""
    sizes = [math.prod(dims) for dims in shape.parts.values()]
    pieces = weights_MN.split(sizes, dim=1)
    return {
        name: piece.view(-1, *dims)
        for (name, dims), piece in zip(shape.parts.items(), pieces, strict=True)
    }


def forward(
    shape: Shape, weights_MN: Tensor, ids_MBT: Tensor, at_MBK: Tensor | None = None
) -> Tensor:
    """Logits (M, B, T, V); with `at_MBK`, only those at these positions, (M, B, K, V).

    The last layer then computes queries and MLP for these positions only.
    """
    w = unpack(shape, weights_MN)
    offset = torch.arange(len(ids_MBT), device=ids_MBT.device).view(-1, 1, 1) * VOCABULARY
    flat_embedding = w["embedding"].reshape(-1, shape.width)
    x = F.embedding(ids_MBT + offset, flat_embedding)
    for layer in range(LAYERS):
        is_last = layer == LAYERS - 1
        x = _attend(shape, w, layer, x, at_MBK if is_last else None)
        hidden = _times(_norm(x, w[f"{layer}.mlp_norm"]), w[f"{layer}.gate_up"])
        gate, up = hidden.chunk(2, dim=-1)
        x = x + _times(F.silu(gate) * up, w[f"{layer}.down"])
    return _times(_norm(x, w["norm"]), w["head"])


def losses(logits_MBKV: Tensor, targets_MBK: Tensor) -> Tensor:
    """(M,): mean cross-entropy of each model over its own labels; targets below 0 are ignored."""
    label_losses = F.cross_entropy(
        logits_MBKV.float().flatten(0, 2),
        targets_MBK.flatten(),
        ignore_index=-1,
        reduction="none",
    ).view(len(targets_MBK), -1)
    return label_losses.sum(1) / (targets_MBK >= 0).flatten(1).sum(1)


def _attend(
    shape: Shape, w: dict[str, Tensor], layer: int, x: Tensor, at_MBK: Tensor | None
) -> Tensor:
    """The residual stream after causal attention, at all positions or at those of `at_MBK`."""
    models, rows, length, width = x.shape
    head_size = width // HEADS
    projections = _times(_norm(x, w[f"{layer}.norm"]), w[f"{layer}.qkv"])
    projections = projections.view(models * rows, length, 3, HEADS, head_size).transpose(1, 3)
    q, k, v = projections.unbind(2)  # each (M B, heads, T, head)
    cos, sin = _angles(length, head_size, str(x.device))
    q, k = _turn(q, cos, sin), _turn(k, cos, sin)
    if at_MBK is None:
        attended_values = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        positions = at_MBK.flatten(0, 1)  # (M B, K)
        q = q.gather(2, positions[:, None, :, None].expand(-1, HEADS, -1, head_size))
        mask = torch.arange(length, device=x.device) <= positions[:, None, :, None]
        attended_values = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x.gather(2, at_MBK[..., None].expand(-1, -1, -1, width))
    attended_values = attended_values.transpose(1, 2).reshape(models, rows, -1, width)
    return x + _times(attended_values, w[f"{layer}.out"])


def _times(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (M, B, T, i) by (M, i, o) in one batched product."""
    models, rows, length, size = x.shape
    return torch.bmm(x.reshape(models, rows * length, size), weight).view(models, rows, length, -1)


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * gain[:, None, None, :]


@cache
def _angles(length: int, head_size: int, device: str) -> tuple[Tensor, Tensor]:
    """cos and sin (T, head) of RoPE; both halves are equal."""
    frequencies = 10_000.0 ** (-torch.arange(0, head_size, 2, device=device) / head_size)
    angles = torch.arange(length, device=device)[:, None] * frequencies.repeat(2)
    return angles.cos(), angles.sin()


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
