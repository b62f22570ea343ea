"""The optimisers of all phases: AdamW, or Muon for the matrices inside the layers.

Muon here works on stacks of matrices of one shape. It makes the same update as
`torch.optim.Muon` (a test compares them) in a fifth of the time on small models, where the
overhead of many tiny products exceeds their arithmetic.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.checkpoints.model import vocabulary_rows
from tinr.config import OptimiserConfig
from tinr.training.cpu_attention import use_bf16

MOMENTUM = 0.95
STEPS = 5  # of the Newton-Schulz iteration
QUINTIC = (3.4445, -4.7750, 2.0315)  # its coefficients


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz, for 2-D parameters.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the update has
    the root mean square of AdamW's (0.2 sqrt(max(m, n)), arXiv 2502.16982), so one
    learning rate serves both.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float, weight_decay: float = 0.0):
        super().__init__([{"params": matrices}], {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    stacks.setdefault(tuple(parameter.shape), []).append(parameter)
            for shape, parameters in stacks.items():
                self._step_stack(shape, parameters, group["lr"], group["weight_decay"])

    def _step_stack(
        self,
        shape: tuple[int, ...],
        parameters: list[Any],
        rate: float,
        decay: float,
    ) -> None:
        gradients = [p.grad for p in parameters]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        nesterov = torch._foreach_lerp(gradients, momenta, MOMENTUM)
        updates = orthogonalise(torch.stack(nesterov)).to(parameters[0].dtype)
        torch._foreach_mul_(parameters, 1 - rate * decay)
        torch._foreach_add_(
            parameters, list(updates.unbind()), alpha=-rate * 0.2 * max(shape) ** 0.5
        )


def orthogonalise(stack: torch.Tensor) -> torch.Tensor:
    """Approximate the nearest orthogonal matrices: (..., m, n) -> (..., m, n).

    Bfloat16 is precise enough, and is used if the machine is faster in it.
    """
    a, b, c = QUINTIC
    is_tall = stack.shape[-2] > stack.shape[-1]
    x = (stack.mT if is_tall else stack).to(torch.bfloat16 if use_bf16(None) else torch.float32)
    x = x.flatten(0, -3).contiguous()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).reshape(stack.shape)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the matrices inside the layers, AdamW for everything else, as one optimiser."""

    def __init__(self, matrices: list[Any], others: list[dict[str, Any]], config: OptimiserConfig):
        self.parts = [
            Muon(matrices, config.learning_rate, config.weight_decay),
            torch.optim.AdamW(others, betas=config.betas, weight_decay=0.0, fused=True),
        ]
        groups = [group for part in self.parts for group in part.param_groups]
        super().__init__(groups, {})
        self.param_groups = groups  # the same objects as in the parts: a scheduler changes both

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update with both parts."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the states of both parts."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def make_optimiser(model: PreTrainedModel, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the configured optimiser for the model's trainable parameters."""
    rows = {id(p) for table in vocabulary_rows(model) for p in table.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    embeddings = [p for p in parameters if id(p) in rows]
    layer_parameters = [p for p in parameters if id(p) not in rows]
    row_rate = config.learning_rate if config.embedding_rate is None else config.embedding_rate
    # no decay: rows that are not trained would shrink
    row_group = {"params": embeddings, "lr": row_rate, "weight_decay": 0.0}
    if config.name == "muon":
        matrices = [p for p in layer_parameters if p.ndim == 2]
        vector_group = {
            "params": [p for p in layer_parameters if p.ndim != 2],
            "lr": config.learning_rate,
        }
        return MuonAdamW(matrices, [row_group, vector_group], config)
    group = {"params": layer_parameters, "lr": config.learning_rate}
    return torch.optim.AdamW(  # fused: a third of the time on a CPU
        [row_group, group], betas=config.betas, weight_decay=config.weight_decay, fused=True
    )
