"""`tinr capacity`: make a plan for a catalogue and a base, both given by name."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.codec import Codec
from tinr.checkpoints.model import grow, load, to_accelerator
from tinr.checkpoints.registry import Registry
from tinr.config import TrainableConfig, TrainingConfig
from tinr.data.alignment_examples import PairMix
from tinr.data.replay import aligned_examples, tokens_in
from tinr.planning.capacity.bits import count_bits
from tinr.planning.capacity.check import moving_of
from tinr.planning.capacity.curve import SHIPPED, TAUGHT, read_calibration
from tinr.planning.capacity.plan import CapacityPlan, Practice, make_plan
from tinr.records import BadInput

MEASURED = 32  # tools whose examples give the estimate of their length


def inquire(
    catalogue: Sequence[str],
    base: str,
    lora: int | None = None,
    rows_only: bool = False,
    recall: float = 0.95,
    read: int = 0,
    calibration: Path | None = None,
    seed: int = 0,
    registry: Path | str = "runs/registry",
) -> CapacityPlan:
    """Make a plan for these tools in this base. BadInput for invalid arguments."""
    trainable = _trainable(lora, rows_only)
    curve = read_calibration(calibration or SHIPPED)
    tools = load_catalogue(catalogue)
    model, tokenizer = load(_place(base, registry))
    bits = count_bits(tools, to_accelerator(model), Codec(tokenizer), read, seed)
    grow(model, tokenizer, tools)
    codec, training = Codec(tokenizer), TrainingConfig()
    moving = moving_of(model, trainable, list(codec.markup.values()))
    batch = training.batch_tokens * training.accumulate
    practice = Practice(None, example_tokens(codec, tools, TAUGHT, seed), batch)
    return make_plan(bits, moving, curve, recall, practice)


def example_tokens(codec: Codec, catalogue: Catalogue, mix: PairMix, seed: int) -> float:
    """Mean tokens per example, over an epoch of a sample of tools."""
    rng = Random(f"{seed}/capacity/examples")
    names = set(rng.sample(catalogue.names, min(MEASURED, len(catalogue.names))))
    examples = aligned_examples(codec, catalogue, mix, rng, only=names)
    return tokens_in(examples) / len(examples)


def _trainable(lora: int | None, rows_only: bool) -> TrainableConfig:
    if lora is not None and rows_only:
        raise BadInput("--lora and --rows-only: give only one of them")
    if lora is not None and lora < 1:
        raise BadInput(f"--lora {lora}: no parameter would be trained; give a rank of 1 or more")
    if lora is not None:
        return TrainableConfig("lora", rank=lora)
    return TrainableConfig("rows" if rows_only else "all")


def _place(base: str, registry: Path | str) -> str | Path:
    """Find the base: a folder, the folder of a published checkpoint, or else a hub name."""
    if Path(base).is_dir():
        return base
    shelf = Registry(registry)
    return shelf.open(base)[1] if shelf.holds(base) else base
