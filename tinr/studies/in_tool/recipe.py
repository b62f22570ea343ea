"""How a study's models are trained and evaluated. Frozen data, no torch."""

import math
from dataclasses import dataclass, field

from tinr.records import BadInput


@dataclass(frozen=True)
class OptimiserRecipe:
    """How all models of a study are optimised."""

    name: str = "muon"  # for the matrices inside the layers; adamw: for everything
    rate: float = 1.5e-2  # peak learning rate
    decay: float = 0.1  # weight decay, multiplied by the rate at each step
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int = 50  # steps
    clip: float = 1.0  # maximum norm of one model's gradient

    def __post_init__(self) -> None:
        if self.name not in ("muon", "adamw"):
            raise BadInput(f"optimiser: no {self.name!r}; give muon or adamw")

    def rate_at(self, step: int, steps: int) -> float:
        """Linear warm-up times a cosine that is 0 after the last step."""
        warmup_factor = min(1.0, (step + 1) / self.warmup)
        return self.rate * warmup_factor * 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True)
class Budget:
    """The training budget of one model; all models of a stack have the same."""

    batch: int  # conversations per step
    steps: int

    def __post_init__(self) -> None:
        for name in ("batch", "steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}: {getattr(self, name)} is below 1")


@dataclass(frozen=True)
class TrainRecipe:
    """The settings that all models of a study share."""

    threshold: float = 0.95  # recall at which a model is done
    checks: int = 20  # evaluations within a budget
    asked: int = 1024  # facts asked per model; all if it has fewer
    unseen: int = 256  # facts asked about people with unseen first names
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise BadInput(f"threshold: {self.threshold} is not above 0 and at most 1")
