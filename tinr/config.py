"""Configuration as pure data: frozen dataclasses that hold each default once. No torch.

`tinr.config_files` reads them from YAML files and `key=value` overrides.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from typing_extensions import Doc

MACHINE_KEYS = ("registry", "run", "wandb", "accept", "capacity")  # they do not change the weights
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
    learning_rate: Annotated[Positive, Doc("peak")] = 5e-5
    embedding_rate: Annotated[
        Weight | None, Doc("peak for the input and output rows; None: the same")
    ] = None
    warmup: Annotated[Weight, Doc("share of the steps")] = 0.03
    final: Annotated[
        Weight, Doc("of cosine: the learning rate at the end as a share of the peak")
    ] = 0.1
    schedule: Annotated[Literal["linear", "cosine"], Doc("linear ends at 0")] = "linear"
    weight_decay: Weight = 0.0
    betas: Annotated[tuple[float, float], Doc("of AdamW")] = (0.9, 0.95)
    gradient_clip: Annotated[Positive, Doc("largest gradient norm")] = 1.0
    gradient_limit: Annotated[
        float | None, Doc("norm before clipping from which a step is bad")
    ] = None
    bad_step: Annotated[
        Literal["stop", "skip"],
        Doc(
            "where loss or gradient is no number, or beyond the limit; ten bad steps in"
            " a row stop the run in any case"
        ),
    ] = "stop"


@dataclass(frozen=True)
class TrainableConfig:
    """The weights that are trained."""

    what: Annotated[
        Literal["all", "top", "lora", "rows"],
        Doc(
            "top: the last layers and the rows of tags and tool tokens, so that nothing"
            " is computed backwards below them; lora: adapters inside the layers and "
            "these rows; rows: these rows alone"
        ),
    ] = "all"
    layers: Annotated[Count, Doc("of top: how many of the last ones move")] = 10
    rank: Annotated[Count, Doc("of the adapters")] = 16
    alpha: Annotated[float, Doc("their scale times the rank")] = 32.0
    dropout: Annotated[Weight, Doc("of the adapters' input")] = 0.0
    targets: Annotated[
        tuple[str, ...], Doc("names of linear layers; (): all of them inside the blocks")
    ] = ()

    @property
    def adapts(self) -> bool:
        """Whether an adapter is trained, and not the model's own weights."""
        return self.what in ("lora", "rows")


@dataclass(frozen=True)
class TrainingConfig:
    """The loop that all supervised phases share."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch_tokens: Annotated[Count, Doc("tokens a batch and rank, padding included")] = 8192
    accumulate: Annotated[Count, Doc("batches a step and rank")] = 1
    row_tokens: Annotated[
        Count, Doc("length of a packed row; a longer example has a row of its own")
    ] = 256
    max_tokens: Annotated[
        Count, Formerly("longest"), Doc("tokens; longer examples are dropped and counted")
    ] = 2048
    bf16: Annotated[
        bool | None, Doc("autocast of float32 weights; null: where the machine is faster so")
    ] = None
    compile: Annotated[
        bool, Doc("the layers, on a CPU: half a minute once, then an eighth to a third faster")
    ] = False
    gradient_checkpointing: Annotated[
        bool, Doc("activations are computed again: less memory, slower")
    ] = False
    checkpoint_steps: Annotated[Whole, Doc("a step checkpoint every so many steps; 0: none")] = 200
    deepspeed: Annotated[
        str | None, Doc("zero1, zero2, zero3, zero2_offload, zero3_offload, or a file")
    ] = None


@dataclass(frozen=True)
class ChoiceConfig:
    """Margins of the loss where a tool, or none, is chosen (see `tinr.training.choice_margins`)."""

    unqueried: Annotated[
        Weight, Doc("nats by which tools without training queries gain on the others")
    ] = 0.0
    call: Annotated[
        Weight, Doc("nats by which calling none gains on a tool that has training queries")
    ] = 0.0
    unasked: Annotated[
        Weight, Doc("nats by which an option that is asked for gains on one that is left out")
    ] = 0.0


@dataclass(frozen=True)
class PreferenceConfig:
    """The loop over preference pairs; dropout is off in it, as TRL has it."""

    loss: Literal["simpo", "dpo", "ipo", "orpo"] = "simpo"
    beta: Annotated[
        Positive,
        Doc(
            "how sharply sides are told apart; usual: simpo 2.5, dpo 0.1, ipo 0.1 (its "
            "tau), orpo 0.1 (its lambda)"
        ),
    ] = 2.5
    gamma: Annotated[float, Doc("simpo: how far apart the sides should be, after beta")] = 0.5
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-6))
    epochs: Count = 2
    pairs: Annotated[Count, Doc("a batch and rank")] = 8
    accumulate: Annotated[Count, Doc("batches a step and rank")] = 1
    max_tokens: Annotated[
        Count,
        Formerly("longest"),
        Doc("tokens of a side, prompt included; longer pairs are dropped and counted"),
    ] = 2048
    bf16: Annotated[
        bool | None, Doc("autocast of float32 weights; null: where the machine is faster so")
    ] = None
    replay_weight: Annotated[
        Weight, Doc("of the replayed batch's loss beside that of the pairs")
    ] = 0.5
    gradient_checkpointing: Annotated[
        bool, Doc("activations are computed again: less memory, slower")
    ] = False
    checkpoint_steps: Annotated[Whole, Doc("a step checkpoint every so many steps; 0: none")] = 50
    deepspeed: Annotated[
        str | None, Doc("zero1, zero2, zero3, zero2_offload, zero3_offload, or a file")
    ] = None


@dataclass(frozen=True)
class SearchConfig:
    """Tree search over fragments; the published settings of iTool (arXiv 2501.09766)."""

    samples: Annotated[Count, Doc("continuations drawn at an expansion")] = 3
    temperature: Annotated[Positive, Doc("at which they are drawn")] = 1.5
    fragment: Annotated[Count, Doc("tokens of one at most")] = 50
    depth: Annotated[Count, Doc("decisions from the root; published are 3 fragments")] = 8
    iterations: Annotated[Count, Doc("expansions of a tree")] = 5
    exploration: Annotated[float, Doc("weight of what was seldom tried")] = 1.0
    completion: Annotated[Count, Doc("tokens of a whole reply at most")] = 384


@dataclass(frozen=True)
class PairsConfig:
    """Which siblings become a preference pair; published."""

    gap: Annotated[float, Doc("between the means of best and worst, at least")] = 0.1
    least: Annotated[float, Doc("mean of the best, at least")] = -0.3
    overlap: Annotated[float, Doc("share of tokens that both have, at most")] = 0.95
    most: Annotated[Count, Doc("pairs a round")] = 4000


def as_dict(config: Any) -> dict[str, Any]:
    """Return the resolved configuration as plain data for JSON and YAML."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
