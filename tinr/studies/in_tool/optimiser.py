"""One optimiser step for a stack: each model's update is independent of the others."""

import torch
from torch import Tensor

from tinr.studies.in_tool.recipe import OptimiserRecipe
from tinr.studies.in_tool.stack import LAYERS, Shape, unpack
from tinr.training.optimiser import orthogonalise

EPSILON = 1e-8
MATCHED = 0.2  # scales Muon's update to the root mean square of AdamW's (arXiv 2502.16982)


class StackOptimiser:
    """The moments of every row (M, N), and the update step."""

    def __init__(self, shape: Shape, weights_MN: Tensor, recipe: OptimiserRecipe):
        self.shape, self.recipe, self.taken = shape, recipe, 0
        self.first_MN, self.second_MN = torch.zeros_like(weights_MN), torch.zeros_like(weights_MN)

    def keep(self, rows: Tensor) -> None:
        """Drop the other models' moments."""
        self.first_MN, self.second_MN = self.first_MN[rows], self.second_MN[rows]

    @torch.no_grad()
    def step(self, weights_MN: Tensor, gradient_MN: Tensor, rate: float) -> None:
        """Clip each model's gradient, then update its weights in place."""
        (beta, gamma), self.taken = self.recipe.betas, self.taken + 1
        norm = gradient_MN.norm(dim=1, keepdim=True)
        gradient_MN = gradient_MN * (self.recipe.clip / (norm + 1e-6)).clamp(max=1)
        self.first_MN.lerp_(gradient_MN, 1 - beta)
        self.second_MN.lerp_(gradient_MN.square(), 1 - gamma)
        root = (self.second_MN / (1 - gamma**self.taken)).sqrt_().add_(EPSILON)
        update = self.first_MN / (1 - beta**self.taken) / root
        if self.recipe.name == "muon":
            self._orthogonalise(update, gradient_MN.lerp(self.first_MN, beta))
        weights_MN.mul_(1 - rate * self.recipe.decay).sub_(update, alpha=rate)

    def _orthogonalise(self, update_MN: Tensor, momentum_MN: Tensor) -> None:
        """Overwrite the update of the matrices inside the layers with Muon's, in place.

        Matrices of one shape are batched, so that an iteration is a few matrix products.
        """
        momenta, updates = _matrices(self.shape, momentum_MN), _matrices(self.shape, update_MN)
        for size in (1, 4):  # times the width
            indices = [
                n
                for n, momentum in enumerate(momenta)
                if momentum.shape[-1] == size * self.shape.width
            ]
            directions = orthogonalise(torch.stack([momenta[n] for n in indices]))
            for n, matrix in zip(indices, directions, strict=True):
                updates[n].copy_(matrix * (MATCHED * matrix.shape[-1] ** 0.5))


def _matrices(shape: Shape, rows_MN: Tensor) -> list[Tensor]:
    """Views (M, d, d) or (M, d, 4 d) of each matrix inside the layers."""
    parts = unpack(shape, rows_MN)
    matrices: list[Tensor] = []
    for layer in range(LAYERS):
        # query, key, value, gate and up are separate matrices
        matrices += parts[f"{layer}.qkv"].chunk(3, -1)
        matrices += parts[f"{layer}.gate_up"].chunk(2, -1)
        matrices += [parts[f"{layer}.out"], parts[f"{layer}.down"].mT]
    return matrices
