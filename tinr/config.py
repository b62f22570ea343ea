"""Configuration as pure data: frozen dataclasses that hold each default once. No torch.

`tinr.config_files` reads them from YAML files and `key=value` overrides.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

MACHINE_KEYS = ("registry", "run", "wandb", "accept", "capacity")  # say where or whether, not what
Count = PositiveInt  # of what there must be some
Whole = NonNegativeInt
Weight = NonNegativeFloat
Positive = PositiveFloat


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights move: AdamW, or Muon for the matrices inside the layers and AdamW beside it."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 5e-5  # peak
    embedding_rate: Weight | None = None  # peak for the input and output rows; None: the same
    warmup: Weight = 0.03  # share of the steps
    final: Weight = 0.1  # of cosine: the learning rate at the end as a share of the peak
    schedule: Literal["linear", "cosine"] = "linear"  # linear ends at 0
    weight_decay: Weight = 0.0
    betas: tuple[float, float] = (0.9, 0.95)  # of AdamW
    gradient_clip: Positive = 1.0  # largest gradient norm
    gradient_limit: float | None = None  # norm before clipping from which a step is bad
    bad_step: Literal["stop", "skip"] = "stop"  # where loss or gradient is no number, or beyond
    # the limit; ten bad steps in a row stop the run in any case


@dataclass(frozen=True)
class TrainableConfig:
    """Which weights move."""

    what: Literal["all", "top", "lora", "rows"] = "all"  # top: the last layers and the rows of tags
    # and tool tokens, so that nothing is computed backwards below them; lora: adapters inside the
    # layers and these rows; rows: these rows alone
    layers: Count = 10  # of top: how many of the last ones move
    rank: Count = 16  # of the adapters
    alpha: float = 32.0  # their scale times the rank
    dropout: Weight = 0.0  # of the adapters' input
    targets: tuple[str, ...] = ()  # names of linear layers; (): all of them inside the blocks

    @property
    def adapts(self) -> bool:
        """Whether what moves lies beside the model's own weights, as an adapter."""
        return self.what in ("lora", "rows")


@dataclass(frozen=True)
class TrainingConfig:
    """The loop that all supervised phases share."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch_tokens: Count = 8192  # tokens a batch and rank, padding included
    accumulate: Count = 1  # batches a step and rank
    row_tokens: Count = 256  # length of a packed row; a longer example has a row of its own
    longest: Count = 2048  # tokens; longer examples are dropped and counted
    bf16: bool | None = None  # autocast of float32 weights; null: where the machine is faster so
    compile: bool = False  # the layers, on a CPU: 20 s once, then about a third faster
    gradient_checkpointing: bool = False  # activations are computed again: less memory, slower
    checkpoint_steps: Whole = 200  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # zero1, zero2, zero3, zero2_offload, zero3_offload, or a file


@dataclass(frozen=True)
class PreferenceConfig:
    """The loop over preference pairs; dropout is off in it, as TRL has it."""

    loss: Literal["simpo", "dpo", "ipo", "orpo"] = "simpo"
    beta: Positive = 2.5  # how sharply sides are told apart; usual: simpo 2.5, dpo 0.1, ipo 0.1
    # (its tau), orpo 0.1 (its lambda)
    gamma: float = 0.5  # simpo: how far apart the sides should be, after beta
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-6))
    epochs: Count = 2
    pairs: Count = 8  # a batch and rank
    accumulate: Count = 1  # batches a step and rank
    longest: Count = 2048  # tokens of a side, prompt included; longer pairs are dropped and counted
    bf16: bool | None = None  # autocast of float32 weights; null: where the machine is faster so
    replay_weight: Weight = 0.5  # of the replayed batch's loss beside that of the pairs
    gradient_checkpointing: bool = False  # activations are computed again: less memory, slower
    checkpoint_steps: Whole = 50  # a step checkpoint every so many steps; 0: none
    deepspeed: str | None = None  # zero1, zero2, zero3, zero2_offload, zero3_offload, or a file


@dataclass(frozen=True)
class SearchConfig:
    """Tree search over fragments; the published settings of iTool (arXiv 2501.09766)."""

    samples: Count = 3  # continuations drawn at an expansion
    temperature: Positive = 1.5  # at which they are drawn
    fragment: Count = 50  # tokens of one at most
    depth: Count = 8  # decisions from the root; published are 3 fragments
    iterations: Count = 5  # expansions of a tree
    exploration: float = 1.0  # weight of what was seldom tried
    completion: Count = 384  # tokens of a whole reply at most


@dataclass(frozen=True)
class PairsConfig:
    """Which siblings become a preference pair; published."""

    gap: float = 0.1  # between the means of best and worst, at least
    least: float = -0.3  # mean of the best, at least
    overlap: float = 0.95  # share of tokens that both have, at most
    most: Count = 4000  # pairs a round


def as_dict(config: Any) -> dict[str, Any]:
    """The resolved configuration as plain data that JSON and YAML hold."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
