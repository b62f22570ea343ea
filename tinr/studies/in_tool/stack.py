"""Many small Llama-type models of one shape as one batched computation.

All weights of M models lie in one tensor (M, N): a row is a model. What happens to a row depends
on that row alone, so a model in a stack is the model that it would be alone.
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
        found: dict[str, tuple[int, ...]] = {"embedding": (VOCABULARY, d)}
        for layer in range(LAYERS):
            found |= {
                f"{layer}.norm": (d,),
                f"{layer}.qkv": (d, 3 * d),
                f"{layer}.out": (d, d),
                f"{layer}.mlp_norm": (d,),
                f"{layer}.gate_up": (d, 8 * d),
                f"{layer}.down": (4 * d, d),
            }
        return found | {"norm": (d,), "head": (d, VOCABULARY)}

    @property
    def parameters(self) -> int:
        """N of one model, counted: 32 d^2 + 525 d."""
        return sum(math.prod(shape) for shape in self.parts.values())


def new_weights(shape: Shape, seeds: Sequence[int], device: str = "cpu") -> Tensor:
    """(M, N): each row drawn by its own seed on the CPU, the same alone and among others."""
    return torch.stack([_one(shape, seed) for seed in seeds]).to(device)


def _one(shape: Shape, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for name, part in shape.parts.items():
        if name.endswith("norm"):
            rows.append(torch.ones(part).flatten())
            continue
        # a column's sum over its inputs keeps variance 1; what is added to the stream less
        scale = 1.0 if name == "embedding" else part[0] ** -0.5
        scale *= (2 * LAYERS) ** -0.5 if name.endswith(("out", "down")) else 1.0
        rows.append((torch.randn(part, generator=draw) * scale).flatten())
    return torch.cat(rows)


def unpack(shape: Shape, weights_MN: Tensor) -> dict[str, Tensor]:
    """Views (M, ...) of each weight; their gradient is one concatenation."""
    sizes = [math.prod(part) for part in shape.parts.values()]
    pieces = weights_MN.split(sizes, dim=1)
    return {
        name: piece.view(-1, *part)
        for (name, part), piece in zip(shape.parts.items(), pieces, strict=True)
    }


def forward(
    shape: Shape, weights_MN: Tensor, ids_MBT: Tensor, at_MBK: Tensor | None = None
) -> Tensor:
    """Logits (M, B, T, V); with `at` (M, B, K) only those of these positions, (M, B, K, V).

    Nothing but what these positions need is computed in the last layer.
    """
    w = unpack(shape, weights_MN)
    offset = torch.arange(len(ids_MBT), device=ids_MBT.device).view(-1, 1, 1) * VOCABULARY
    flat = w["embedding"].reshape(-1, shape.width)
    x = F.embedding(ids_MBT + offset, flat)
    for layer in range(LAYERS):
        last = layer == LAYERS - 1
        x = _attend(shape, w, layer, x, at_MBK if last else None)
        hidden = _times(_norm(x, w[f"{layer}.mlp_norm"]), w[f"{layer}.gate_up"])
        gate, up = hidden.chunk(2, dim=-1)
        x = x + _times(F.silu(gate) * up, w[f"{layer}.down"])
    return _times(_norm(x, w["norm"]), w["head"])


def losses(logits_MBKV: Tensor, targets_MBK: Tensor) -> Tensor:
    """(M,): each model's mean over its own labels; targets below 0 carry none."""
    flat = F.cross_entropy(
        logits_MBKV.float().flatten(0, 2),
        targets_MBK.flatten(),
        ignore_index=-1,
        reduction="none",
    ).view(len(targets_MBK), -1)
    return flat.sum(1) / (targets_MBK >= 0).flatten(1).sum(1)


def _attend(
    shape: Shape, w: dict[str, Tensor], layer: int, x: Tensor, at_MBK: Tensor | None
) -> Tensor:
    """The stream after causal attention, at all positions or at the given ones."""
    models, rows, length, width = x.shape
    head = width // HEADS
    mixed = _times(_norm(x, w[f"{layer}.norm"]), w[f"{layer}.qkv"])
    mixed = mixed.view(models * rows, length, 3, HEADS, head).transpose(1, 3)
    q, k, v = mixed.unbind(2)  # each (M B, heads, T, head)
    cos, sin = _angles(length, head, str(x.device))
    q, k = _turn(q, cos, sin), _turn(k, cos, sin)
    if at_MBK is None:
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        at = at_MBK.flatten(0, 1)  # (M B, K)
        q = q.gather(2, at[:, None, :, None].expand(-1, HEADS, -1, head))
        mask = torch.arange(length, device=x.device) <= at[:, None, :, None]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x.gather(2, at_MBK[..., None].expand(-1, -1, -1, width))
    seen = seen.transpose(1, 2).reshape(models, rows, -1, width)
    return x + _times(seen, w[f"{layer}.out"])


def _times(x: Tensor, weight: Tensor) -> Tensor:
    """(M, B, T, i) times (M, i, o): one batched product."""
    models, rows, length, size = x.shape
    return torch.bmm(x.reshape(models, rows * length, size), weight).view(models, rows, length, -1)


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * gain[:, None, None, :]


@cache
def _angles(length: int, head: int, device: str) -> tuple[Tensor, Tensor]:
    """cos and sin (T, head) of RoPE, both halves alike."""
    speed = 10_000.0 ** (-torch.arange(0, head, 2, device=device) / head)
    angle = torch.arange(length, device=device)[:, None] * speed.repeat(2)
    return angle.cos(), angle.sin()


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
