"""What align does with a plan: a line in any case, a refusal where the load is hopeless."""

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
from tinr.records import GateFailed
from tinr.training.adapters import count_moving

Switch = Literal["refuse", "warn", "ignore"]
TARGET = 0.95  # the recall that is wanted where no gate asks for one


class Alignment(Protocol):
    """What the check needs to know of an align run."""

    trainable: TrainableConfig
    mix: PairMix
    epochs: int
    min_recall: dict[str, float]
    capacity: Switch
    seed: int


@contextmanager
def within_capacity(
    model: PreTrainedModel, tokenizer: Any, catalogue: Catalogue, config: Alignment
) -> Iterator[None]:
    """Within, the base grows: its bits are weighed before, and held against its room after it.

    GateFailed far over capacity, unless the switch says otherwise.
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
    """The bits that a base, not grown yet, has to learn; None where nobody asks for them.

    At most 128 documents are read, once, by the first process. A single tool has no load.
    """
    if switch == "ignore" or len(catalogue.tools) < 2:
        return None
    return distributed.shared(lambda: _read(model, Codec(tokenizer), catalogue, seed))  # type: ignore[arg-type]


def _read(model: PreTrainedModel, codec: Codec, catalogue: Catalogue, seed: int) -> Bits:
    """On an accelerator where the model fits beside what may be there; it comes back from it."""
    place = model.device
    try:
        return count_bits(catalogue, to_accelerator(model), codec, READ, seed)
    finally:
        model.to(place)  # type: ignore[arg-type]


def words_of(trainable: TrainableConfig) -> str:
    """What moves, in words."""
    return {
        "all": "all weights",
        "top": f"the last {trainable.layers} layers and the new rows",
        "lora": f"adapters of rank {trainable.rank}",
        "rows": "new rows",
    }[trainable.what]


def moving_of(model: PreTrainedModel, trainable: TrainableConfig, rows: Sequence[int]) -> Moving:
    """What a training of this grown model moves; rows: those of its own tokens."""
    parameters = count_moving(model, trainable, rows)
    words = words_of(trainable)
    if trainable.what == "all":
        tables = {id(t.weight): t.weight for t in vocabulary_rows(model) if t is not None}
        known = sum((len(table) - len(rows)) * table.shape[1] for table in tables.values())
        return Moving(parameters - known, words)
    if trainable.what in ("rows", "top"):
        return Moving(parameters, words)
    fixed = count_moving(model, TrainableConfig("rows"), rows)
    return Moving(parameters, words, trainable.rank, (parameters - fixed) // trainable.rank)


def foresee(
    bits: Bits, moving: Moving, mix: PairMix, epochs: int, min_recall: Mapping[str, float]
) -> CapacityPlan:
    """The plan of an align run, by the shipped calibration."""
    measured = [name for name, count in vars(TAUGHT).items() if count]
    exposures = epochs * min(getattr(mix, name) for name in measured) * len(measured)
    asked = max(min_recall.values(), default=0.0)
    target = asked if 0 < asked <= 1 else TARGET
    return make_plan(bits, moving, read_calibration(), target, Practice(exposures))


def check(
    bits: Bits,
    moving: Moving,
    mix: PairMix,
    epochs: int,
    min_recall: Mapping[str, float],
    switch: Switch,
) -> CapacityPlan:
    """Say what to expect where it is not safe; GateFailed far over capacity.

    Refused is only what could pass no gate: the switch is on `refuse` and some recall is asked
    for.
    """
    plan = foresee(bits, moving, mix, epochs, min_recall)
    if switch == "refuse" and plan.verdict == "refuse" and any(min_recall.values()):
        raise GateFailed(
            f"{plan.line}; calibrated on {plan.calibration}. Nothing was trained; to train it all "
            "the same: capacity=warn"
        )
    if plan.verdict != "safe" and distributed.rank() == 0:
        print(f"warning: {plan.line}", file=sys.stderr)
    return plan
