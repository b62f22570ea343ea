"""Log-probabilities and entropies of an output head without its logits in memory.

Some positions at a time: their logits are computed in the forward pass, and again in the
backward pass where a gradient is.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from tinr.checkpoints.model import Scale, scale_of
from tinr.rollout.sampling_support import unpack

CHUNK = {"cpu": 2**24, "cuda": 2**27}  # logits that are in memory at once, as float32
OUTSIDE = -1e30  # logit of an entry that could not be drawn: finite, for 0 * -inf is no number


def score_targets(
    model: PreTrainedModel,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    sets: torch.Tensor | None,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (N,) of targets (N,) after hidden (N, H), and entropies (N,), float32.

    sets (N, W): what each could be drawn from, as `support.pack` has it. Entropies have no
    gradient. The head is called as a module, once: what gathers its weights (ZeRO-3) sees that.
    """
    head: Any = model.get_output_embeddings()
    scale, before = scale_of(model), head.__dict__.get("forward")

    def score(states: torch.Tensor) -> Any:
        bias = getattr(head, "bias", None)
        return HeadScores.apply(states, head.weight, bias, targets, sets, temperature, scale)

    head.forward = score
    try:
        return head(hidden)
    finally:
        del head.forward
        if before is not None:
            head.forward = before


class HeadScores(torch.autograd.Function):
    """The products of `score_targets`, CHUNK logits at a time."""

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
            above = z.gather(-1, targets[rows, None]).double() - top.double()
            z -= top
            powers = z.exp()
            total = powers.sum(-1)
            log = total.double().log()
            # small differences of large terms in float64: to the last bit of float32 or so
            logps[rows] = (above.squeeze(-1) - log).float()
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
            torch.zeros_like(one, dtype=torch.float32) if wanted and one is not None else None
            for one, wanted in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        )
        weights, kind = weight.to(ctx.logits.kind), ctx.logits.kind
        gradient = torch.zeros_like(logs) if gradient is None else gradient
        moving = gradient.nonzero().squeeze(1)
        for part in _chunks(len(moving), weight):
            rows = moving[part]
            z, capped = ctx.logits.of(hidden, weights, bias, rows, derivative=True)
            z = z.sub_(logs[rows, None]).exp_().mul_(-gradient[rows, None])
            z.scatter_add_(1, targets[rows, None], gradient[rows, None].to(z.dtype))
            z = z.mul_(ctx.logits.factor) if capped is None else z.mul_(capped)
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
    """How the logits of some positions come about, in both passes the same."""

    kind: torch.dtype
    sets: torch.Tensor | None
    temperature: float
    scale: Scale

    @property
    def factor(self) -> float:
        """What a product is multiplied by, where nothing caps it."""
        return self.scale.factor / self.temperature

    def of(
        self,
        hidden: torch.Tensor,
        weights: torch.Tensor,
        bias: torch.Tensor | None,
        rows: Any,
        derivative: bool = False,
    ) -> Any:
        """(n, V) float32 tempered logits, OUTSIDE where nothing could be drawn; with their
        derivative (None: `factor` everywhere), where it is asked for."""
        added = None if bias is None else bias.to(self.kind)
        z = F.linear(hidden[rows].to(self.kind), weights, added).float()
        capped, cap = None, self.scale.cap
        if cap is None:
            z = z if self.factor == 1 else z.mul_(self.factor)
        else:
            z = z.mul_(self.scale.factor / cap).tanh_()
            capped = (1 - z * z).mul_(self.factor) if derivative else None
            z = z.mul_(cap / self.temperature)
        if self.sets is not None:
            z = z.masked_fill_(~unpack(self.sets[rows], z.shape[-1]), OUTSIDE)
        return (z, capped) if derivative else z


def _chunks(count: int, weight: torch.Tensor) -> list[slice]:
    size = max(1, CHUNK.get(weight.device.type, CHUNK["cpu"]) // weight.shape[0])
    return [slice(start, start + size) for start in range(0, count, size)]
