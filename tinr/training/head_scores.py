"""Log-probabilities and entropies of an output head without all its logits in memory.

It works in chunks of positions. The forward pass computes their logits, and the backward pass
recomputes them at positions with a gradient.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from tinr.checkpoints.model import Scale, scale_of
from tinr.rollout.sampling_support import unpack

CHUNK = {"cpu": 2**24, "cuda": 2**27}  # logits that are in memory at once, as float32
OUTSIDE = -1e30  # logit of an entry outside the set: finite, because 0 * -inf is NaN


def score_targets(
    model: PreTrainedModel,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    sets: torch.Tensor | None,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (N,) of targets (N,) after hidden (N, H), and entropies (N,), float32.

    sets (N, W): the set that each was sampled from, in the format of `sampling_support.pack`.
    Entropies have no gradient. The head is called once, as a module, so that hooks that gather
    its weights (ZeRO-3) run.
    """
    head: Any = model.get_output_embeddings()
    scale, old_forward = scale_of(model), head.__dict__.get("forward")

    def score(states: torch.Tensor) -> Any:
        bias = getattr(head, "bias", None)
        return HeadScores.apply(states, head.weight, bias, targets, sets, temperature, scale)

    head.forward = score
    try:
        return head(hidden)
    finally:
        del head.forward
        if old_forward is not None:
            head.forward = old_forward


class HeadScores(torch.autograd.Function):
    """Compute the scores of `score_targets`, CHUNK logits at a time."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, sets, temperature, scale):
        """hidden (N, H), weight (V, H), bias (V,) or None, targets (N,), sets (N, W) or None ->
        log-probabilities (N,) and entropies (N,), float32."""
        device = hidden.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        ctx.logits = _Logits(weight.dtype if kind is None else kind, sets, temperature, scale)
        ctx.set_materialize_grads(False)
        logps, logs, entropies = (hidden.new_empty(len(hidden), dtype=torch.float32) for _ in "123")
        weights = weight.to(ctx.logits.kind)
        for rows in _chunks(len(hidden), weight):
            z = ctx.logits.of(hidden, weights, bias, rows)
            top = z.amax(-1, keepdim=True)
            margins = z.gather(-1, targets[rows, None]).double() - top.double()
            z -= top
            powers = z.exp()
            total = powers.sum(-1)
            log = total.double().log()
            # float64 keeps small differences of large terms, to about the last bit of float32
            logps[rows] = (margins.squeeze(-1) - log).float()
            logs[rows] = (log + top.squeeze(-1).double()).float()
            entropies[rows] = log.float() - powers.mul_(z).sum(-1) / total
        ctx.save_for_backward(hidden, weight, bias, targets, logs)
        ctx.mark_non_differentiable(entropies)
        return logps, entropies

    @staticmethod
    def backward(ctx, gradient, _):  # type: ignore[override]
        """gradient (N,) of the log-probabilities."""
        hidden, weight, bias, targets, logs = ctx.saved_tensors
        to_hidden, to_weight, to_bias = (
            torch.zeros_like(tensor, dtype=torch.float32)
            if is_needed and tensor is not None
            else None
            for tensor, is_needed in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        )
        weights, kind = weight.to(ctx.logits.kind), ctx.logits.kind
        gradient = torch.zeros_like(logs) if gradient is None else gradient
        positions = gradient.nonzero().squeeze(1)
        for chunk in _chunks(len(positions), weight):
            rows = positions[chunk]
            z, slopes = ctx.logits.of(hidden, weights, bias, rows, derivative=True)
            z = z.sub_(logs[rows, None]).exp_().mul_(-gradient[rows, None])
            z.scatter_add_(1, targets[rows, None], gradient[rows, None].to(z.dtype))
            z = z.mul_(ctx.logits.factor) if slopes is None else z.mul_(slopes)
            z = z.to(kind)
            if to_hidden is not None:
                to_hidden[rows] = (z @ weights).float()
            if to_weight is not None:
                states = hidden[rows].to(kind)
                to_weight.addmm_(z.t().float(), states.float())
            if to_bias is not None:
                to_bias += z.sum(0, dtype=torch.float32)
        return (
            None if to_hidden is None else to_hidden.to(hidden.dtype),
            None if to_weight is None else to_weight.to(weight.dtype),
            None if to_bias is None else to_bias.to(bias.dtype),
            None, None, None, None,
        )  # fmt: skip


@dataclass(frozen=True)
class _Logits:
    """Compute the logits of some positions, the same way in both passes."""

    kind: torch.dtype
    sets: torch.Tensor | None
    temperature: float
    scale: Scale

    @property
    def factor(self) -> float:
        """Factor of the logits if they have no cap."""
        return self.scale.factor / self.temperature

    def of(
        self,
        hidden: torch.Tensor,
        weights: torch.Tensor,
        bias: torch.Tensor | None,
        rows: Any,
        derivative: bool = False,
    ) -> Any:
        """Return logits / temperature, (n, V) float32; OUTSIDE for entries outside the set.

        With `derivative` it returns their derivative as well (None: `factor` everywhere).
        """
        shift = None if bias is None else bias.to(self.kind)
        z = F.linear(hidden[rows].to(self.kind), weights, shift).float()
        slopes, cap = None, self.scale.cap
        if cap is None:
            z = z if self.factor == 1 else z.mul_(self.factor)
        else:
            z = z.mul_(self.scale.factor / cap).tanh_()
            slopes = (1 - z * z).mul_(self.factor) if derivative else None
            z = z.mul_(cap / self.temperature)
        if self.sets is not None:
            z = z.masked_fill_(~unpack(self.sets[rows], z.shape[-1]), OUTSIDE)
        return (z, slopes) if derivative else z


def _chunks(count: int, weight: torch.Tensor) -> list[slice]:
    size = max(1, CHUNK.get(weight.device.type, CHUNK["cpu"]) // weight.shape[0])
    return [slice(start, start + size) for start in range(0, count, size)]
