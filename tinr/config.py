"""Configuration as pure data: frozen dataclasses that hold each default once. No torch.

`tinr.config_files` reads them from YAML files and `key=value` overrides.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from typing_extensions import Doc

MACHINE_KEYS = ("registry", "run", "wandb", "accept", "capacity")  # do not change the weights
Count = PositiveInt  # at least 1
Whole = NonNegativeInt
Weight = NonNegativeFloat
Positive = PositiveFloat


@dataclass(frozen=True)
class Formerly:
    """The name that a setting had before. It still works, with a warning."""

    name: str


@dataclass(frozen=True)
class OptimiserConfig:
    """The optimiser: AdamW, or Muon for the matrices in the layers and AdamW for the rest."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Annotated[Positive, Doc("peak learning rate")] = 5e-5
    embedding_rate: Annotated[
        Weight | None, Doc("peak for the embedding and output rows; null: learning_rate")
    ] = None
    warmup: Annotated[Weight, Doc("warmup steps as a share of all steps")] = 0.03
    final: Annotated[Weight, Doc("cosine only: final learning rate as a share of the peak")] = 0.1
    schedule: Annotated[Literal["linear", "cosine"], Doc("linear decays to 0")] = "linear"
    weight_decay: Weight = 0.0
    betas: Annotated[tuple[float, float], Doc("AdamW's betas")] = (0.9, 0.95)
    gradient_clip: Annotated[Positive, Doc("maximum gradient norm")] = 1.0
    gradient_limit: Annotated[
        float | None,
        Doc("a step with a larger gradient norm before clipping is bad; null: no limit"),
    ] = None
    bad_step: Annotated[
        Literal["stop", "skip"],
        Doc(
            "if loss or gradient is not finite, or the gradient exceeds the limit; ten bad"
            " steps in a row always stop the run"
        ),
    ] = "stop"


@dataclass(frozen=True)
class TrainableConfig:
    """The weights that are trained."""

    what: Annotated[
        Literal["all", "top", "lora", "rows"],
        Doc(
            "top: the last layers and the rows of tags and tool tokens, without a backward"
            " pass below them; lora: adapters inside the layers and these rows; rows: these"
            " rows only"
        ),
    ] = "all"
    layers: Annotated[Count, Doc("top only: how many of the last layers train")] = 10
    rank: Annotated[Count, Doc("rank of the adapters")] = 16
    alpha: Annotated[float, Doc("scale of the adapters times the rank")] = 32.0
    dropout: Annotated[Weight, Doc("dropout on the adapters' input")] = 0.0
    targets: Annotated[
        tuple[str, ...], Doc("names of linear layers to adapt; []: all inside the blocks")
    ] = ()

    @property
    def adapts(self) -> bool:
        """Whether an adapter is trained instead of the model's own weights."""
        return self.what in ("lora", "rows")


@dataclass(frozen=True)
class TrainingConfig:
    """The training loop that all supervised phases share."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch_tokens: Annotated[Count, Doc("tokens per batch and rank, padding included")] = 8192
    accumulate: Annotated[Count, Doc("batches per step and rank")] = 1
    row_tokens: Annotated[
        Count, Doc("length of a packed row; a longer example has a row of its own")
    ] = 256
    max_tokens: Annotated[
        Count,
        Formerly("longest"),
        Doc("tokens of an example; longer ones are dropped and counted"),
    ] = 2048
    bf16: Annotated[
        bool | None, Doc("autocast of float32 weights; null: if that is faster on this machine")
    ] = None
    compile: Annotated[
        bool, Doc("compile the layers, CPU only: half a minute once, then 1/8 to 1/3 faster")
    ] = False
    gradient_checkpointing: Annotated[bool, Doc("recompute activations: less memory, slower")] = (
        False
    )
    checkpoint_steps: Annotated[Whole, Doc("steps between step checkpoints; 0: none")] = 200
    deepspeed: Annotated[
        str | None, Doc("zero1, zero2, zero3, zero2_offload, zero3_offload, or a file")
    ] = None


@dataclass(frozen=True)
class ChoiceConfig:
    """Margins in the loss where the model chooses a tool or none.

    See `tinr.training.choice_margins`.
    """

    unqueried: Annotated[
        Weight, Doc("nats that tools without training queries gain over the others")
    ] = 0.0
    call: Annotated[
        Weight, Doc("nats that calling no tool gains over a tool with training queries")
    ] = 0.0
    unasked: Annotated[
        Weight, Doc("nats that an option the query asks for gains over leaving it out")
    ] = 0.0


@dataclass(frozen=True)
class PreferenceConfig:
    """The training loop over preference pairs; dropout is off, as in TRL."""

    loss: Literal["simpo", "dpo", "ipo", "orpo"] = "simpo"
    beta: Annotated[
        Positive,
        Doc(
            "how sharply the loss separates the sides; usual: simpo 2.5, dpo 0.1, ipo 0.1 "
            "(its tau), orpo 0.1 (its lambda)"
        ),
    ] = 2.5
    gamma: Annotated[float, Doc("simpo only: target margin between the sides, after beta")] = 0.5
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-6))
    epochs: Count = 2
    pairs: Annotated[Count, Doc("pairs per batch and rank")] = 8
    accumulate: Annotated[Count, Doc("batches per step and rank")] = 1
    max_tokens: Annotated[
        Count,
        Formerly("longest"),
        Doc("tokens of a side, prompt included; longer pairs are dropped and counted"),
    ] = 2048
    bf16: Annotated[
        bool | None, Doc("autocast of float32 weights; null: if that is faster on this machine")
    ] = None
    replay_weight: Annotated[
        Weight, Doc("weight of the replayed batch's loss relative to that of the pairs")
    ] = 0.5
    gradient_checkpointing: Annotated[bool, Doc("recompute activations: less memory, slower")] = (
        False
    )
    checkpoint_steps: Annotated[Whole, Doc("steps between step checkpoints; 0: none")] = 50
    deepspeed: Annotated[
        str | None, Doc("zero1, zero2, zero3, zero2_offload, zero3_offload, or a file")
    ] = None


@dataclass(frozen=True)
class SearchConfig:
    """Tree search over fragments; defaults from iTool (arXiv 2501.09766) unless noted."""

    samples: Annotated[Count, Doc("continuations sampled per expansion")] = 3
    temperature: Annotated[Positive, Doc("sampling temperature of the continuations")] = 1.5
    fragment: Annotated[Count, Doc("maximum tokens of a fragment")] = 50
    depth: Annotated[Count, Doc("maximum decisions from the root; published: 3 fragments")] = 8
    iterations: Annotated[Count, Doc("expansions per tree")] = 5
    exploration: Annotated[float, Doc("weight of the bonus for rarely visited nodes")] = 1.0
    completion: Annotated[Count, Doc("maximum tokens of a whole reply")] = 384


@dataclass(frozen=True)
class PairsConfig:
    """Which siblings become a preference pair; defaults as published."""

    gap: Annotated[float, Doc("minimum difference between the mean values of best and worst")] = 0.1
    least: Annotated[float, Doc("minimum mean value of the best")] = -0.3
    overlap: Annotated[float, Doc("maximum share of common tokens")] = 0.95
    most: Annotated[Count, Doc("maximum pairs per round")] = 4000


def as_dict(config: Any) -> dict[str, Any]:
    """Return the resolved configuration as plain data for JSON and YAML."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
