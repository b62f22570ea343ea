"""Settings of an update."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from typing_extensions import Doc

from tinr.config import (
    Count,
    Formerly,
    OptimiserConfig,
    TrainableConfig,
    TrainingConfig,
    Weight,
    Whole,
)
from tinr.data.alignment_examples import PairMix
from tinr.training.new_rows import RowsConfig
from tinr.training.phase_run import PhaseConfig

Way = Literal["auto", "rows", "adapters"]


@dataclass(frozen=True)
class UpdateConfig(PhaseConfig):
    """Settings of an update."""

    remedy: ClassVar[str] = "Raise epochs (adapters) or rows.evaluations (rows), or"

    catalogue: Annotated[tuple[str, ...], Doc("the new catalogue: shipped corpora or folders")] = ()
    replaces: Annotated[
        tuple[str, ...],
        Doc("the catalogue that it replaces, if the checkpoint has other tools too; []: all"),
    ] = ()
    train: Annotated[
        Way,
        Doc(
            "rows: on a frozen model; adapters: LoRA too; auto: rows first for at most two added"
            " tools and no changed document, else adapters"
        ),
    ] = "auto"
    rows: RowsConfig = field(default_factory=RowsConfig)
    before: Annotated[
        PairMix, Doc("examples per new tool, trained up to its token; computed once")
    ] = field(default_factory=lambda: PairMix.only(memorise=4, naming=16, lacking=2))
    behind: Annotated[
        PairMix, Doc("examples per new tool, trained after its token; requests for it alone")
    ] = field(
        default_factory=lambda: PairMix.only(memorise=1, schema=3, blind=1, naming=2, pseudo=3)
    )
    contrast: Annotated[PairMix, Doc("examples per neighbour and sampled tool")] = field(
        default_factory=lambda: PairMix.only(memorise=1, naming=1, lacking=1)
    )
    contrast_queries: Annotated[
        Whole, Doc("more contrast: queries stored in the parent (sft: keep_queries)")
    ] = 64
    neighbours: Annotated[Count, Doc("nearest tools of each new one, for contrast and gate")] = 3
    sample: Annotated[Count, Doc("sample of the other tools, for contrast and gate")] = 24
    trainable: Annotated[TrainableConfig, Doc("of the adapters")] = field(
        default_factory=lambda: TrainableConfig(what="lora")
    )
    training: Annotated[TrainingConfig, Doc("of the adapters")] = field(
        default_factory=lambda: TrainingConfig(
            optimiser=OptimiserConfig(learning_rate=1e-3),
            batch_tokens=1024,
            compile=True,
            checkpoint_steps=50,
        )
    )
    mix: Annotated[PairMix, Doc("adapters: examples per new tool and epoch")] = field(
        default_factory=lambda: PairMix(schema=2)
    )
    replay: Annotated[PairMix, Doc("adapters: examples per replayed tool")] = field(
        default_factory=lambda: PairMix.only(memorise=1, schema=1, naming=1, pseudo=1)
    )
    replayed: Annotated[Count, Doc("adapters: tools replayed per epoch beside the neighbours")] = 24
    epochs: Annotated[Count, Doc("adapters: epochs over new tools and replay")] = 4
    full_gate: Annotated[bool, Doc("measure every tool, not only neighbours and a sample")] = False
    compact: Annotated[bool, Doc("delete removed tools from the vocabulary")] = False
    min_recall: Annotated[
        dict[str, float], Formerly("least"), Doc("minimum recall of new documents")
    ] = field(default_factory=lambda: {"document_to_token": 0.99, "token_to_schema": 0.95})
    max_forgotten: Annotated[
        Weight, Doc("maximum share of other measured documents that only the parent recalls")
    ] = 0.02
