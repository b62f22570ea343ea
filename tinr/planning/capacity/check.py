"""The capacity check of align: warns if the load is not safe, and fails far over capacity."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from transformers import PreTrainedModel

from tinr import distributed
from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec
from tinr.checkpoints.model import to_accelerator, vocabulary_rows
from tinr.config import TrainableConfig
from tinr.data.alignment_examples import PairMix
from tinr.planning.capacity.bits import READ, Bits, count_bits
from tinr.planning.capacity.curve import TAUGHT, read_calibration
from tinr.planning.capacity.plan import CapacityPlan, Moving, Practice, make_plan
from tinr.records import RunFailed
from tinr.training.adapters import count_moving

Switch = Literal["refuse", "warn", "ignore"]
TARGET = 0.95  # the target recall if no gate sets one


class Alignment(Protocol):
    """The settings of an align run that the check uses."""

    @property
    def trainable(self) -> TrainableConfig: ...

    @property
    def mix(self) -> PairMix: ...

    @property
    def epochs(self) -> int: ...

    @property
    def min_recall(self) -> Mapping[str, float]: ...

    @property
    def capacity(self) -> Switch: ...

    @property
    def seed(self) -> int: ...


@contextmanager
def within_capacity(
    model: PreTrainedModel, tokenizer: Any, catalogue: Catalogue, config: Alignment
) -> Iterator[None]:
    """Count the bits on entry; after the body has grown the base, check them against its weights.

    RunFailed far over capacity, unless the switch is warn or ignore.
    """
    bits = weigh(model, tokenizer, catalogue, config.capacity, config.seed)
    yield
    if bits is not None:
        rows = list(Codec(tokenizer).markup.values())
        moving = moving_of(model, config.trainable, rows)
        check(bits, moving, config.mix, config.epochs, config.min_recall, config.capacity)


def weigh(
    model: PreTrainedModel, tokenizer: object, catalogue: Catalogue, switch: Switch, seed: int
) -> Bits | None:
    """Count the bits that a base before growth has to learn. None if the switch is ignore.

    The first process reads at most 128 documents, once. A single tool has no load.
    """
    if switch == "ignore" or len(catalogue.tools) < 2:
        return None
    return distributed.shared(lambda: _read(model, Codec(tokenizer), catalogue, seed))  # type: ignore[arg-type]


def _read(model: PreTrainedModel, codec: Codec, catalogue: Catalogue, seed: int) -> Bits:
    """Count on an accelerator if the model fits there, then move the model back."""
    device = model.device
    try:
        return count_bits(catalogue, to_accelerator(model), codec, READ, seed)
    finally:
        model.to(device)  # type: ignore[arg-type]


def words_of(trainable: TrainableConfig) -> str:
    """Describe the trained weights in words."""
    return {
        "all": "all weights",
        "top": f"the last {trainable.layers} layers and the new rows",
        "lora": f"adapters of rank {trainable.rank}",
        "rows": "new rows",
    }[trainable.what]


def moving_of(model: PreTrainedModel, trainable: TrainableConfig, rows: Sequence[int]) -> Moving:
    """The parameters of this grown model that training updates; rows: those of its own tokens."""
    parameters = count_moving(model, trainable, rows)
    words = words_of(trainable)
    if trainable.what == "all":
        tables = {id(t.weight): t.weight for t in vocabulary_rows(model) if t is not None}
        known_count = sum((len(table) - len(rows)) * table.shape[1] for table in tables.values())
        return Moving(parameters - known_count, words)
    if trainable.what in ("rows", "top"):
        return Moving(parameters, words)
    row_count = count_moving(model, TrainableConfig("rows"), rows)
    return Moving(parameters, words, trainable.rank, (parameters - row_count) // trainable.rank)


def foresee(
    bits: Bits, moving: Moving, mix: PairMix, epochs: int, min_recall: Mapping[str, float]
) -> CapacityPlan:
    """Make the plan of an align run with the shipped calibration."""
    kinds = [name for name, count in vars(TAUGHT).items() if count]
    exposures = epochs * min(getattr(mix, name) for name in kinds) * len(kinds)
    threshold = max(min_recall.values(), default=0.0)
    target = threshold if 0 < threshold <= 1 else TARGET
    return make_plan(bits, moving, read_calibration(), target, Practice(exposures))


def check(
    bits: Bits,
    moving: Moving,
    mix: PairMix,
    epochs: int,
    min_recall: Mapping[str, float],
    switch: Switch,
) -> CapacityPlan:
    """Warn if the load is not safe; raise RunFailed far over capacity.

    It raises only if the switch is `refuse` and a gate has a minimum recall, which the run could
    not pass.
    """
    plan = foresee(bits, moving, mix, epochs, min_recall)
    if switch == "refuse" and plan.verdict == "refuse" and any(min_recall.values()):
        raise RunFailed(
            f"{plan.line}; calibrated on {plan.calibration}. Nothing was trained; to train "
            "anyway: capacity=warn"
        )
    if plan.verdict != "safe" and distributed.rank() == 0:
        print(f"warning: {plan.line}", file=sys.stderr)
    return plan
