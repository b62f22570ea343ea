"""The figures of a preflight as data: value, unit, and derivation."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from tinr.planning.capacity.plan import CapacityPlan
from tinr.planning.preflight.machine import Machine
from tinr.planning.preflight.memory import Memory, Setup, optimiser_bytes
from tinr.planning.preflight.shape import Shape
from tinr.planning.preflight.work import Opened, Work

USED = (0.15, 0.6)  # share of a matrix product's rate that training reaches; tiny models the least
STEPS_KEPT = 3  # step checkpoints at once: the last two, and one being written


@dataclass(frozen=True)
class Line:
    """One figure and its derivation; unit: bytes, seconds, tokens, ... or none."""

    part: str
    name: str
    value: float
    unit: str
    how: str


@dataclass(frozen=True)
class Refusal:
    """What does not fit, and the overrides that would fit; empty if there are none."""

    what: str
    change: tuple[str, ...]

    def __str__(self) -> str:
        if not self.change:
            return f"{self.what}, and no change of the settings would fit"
        return f"{self.what}; the nearest change that fits: {' '.join(self.change)}"


@dataclass(frozen=True)
class Report:
    """All figures of one phase, and what does not fit."""

    phase: str
    lines: tuple[Line, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]


def parameter_lines(shape: Shape, setup: Setup) -> Iterator[Line]:
    """Parameters and vocabulary, before and after growth."""
    growth, mode = shape.growth, setup.trainable.what
    tables = "one table for input and output" if shape.tied else "separate tables for input, output"
    kinds = f"{growth.tags} tags, {growth.frame} of the frame, {growth.tools} tools"
    trainable_note = {
        "all": "all of them",
        "top": f"the last {setup.trainable.layers} layers and the output head",
        "lora": f"adapters of rank {setup.trainable.rank} and {growth.own} rows of tinr's entries",
        "rows": f"{growth.own} rows of tinr's entries",
    }[mode]
    for name, value, note in (
        ("parameters before", shape.before, f"the model's configuration; {tables}"),
        ("parameters", shape.parameters, f"with {growth.rows:,} rows"),
        ("trainable", shape.moving(setup.trainable), trainable_note),
    ):
        yield Line("parameters", name, value, "", note)
    yield Line("vocabulary", "new entries", growth.tags + growth.frame + growth.tools, "", kinds)
    rows = f"{growth.rows_before:,} before; unused rows are taken first"
    yield Line("vocabulary", "rows", growth.rows, "", rows)


def capacity_lines(plan: CapacityPlan) -> Iterator[Line]:
    """Bits to learn and load per trained parameter, if no base reads the documents."""
    bits, note = plan.bits, "all documents compressed together, and tokens; an upper bound"
    yield Line("capacity", "to learn", bits.total, "bits", note)
    verdict = f"upper bound: {plan.verdict}; calibrated on {plan.calibration.partition(';')[0]}"
    yield Line("capacity", "load", plan.load, "bits a parameter", verdict)


def memory_lines(memory: Memory, setup: Setup, work: Work, machine: Machine) -> Iterator[Line]:
    """Memory of a rank by part, its peak, and the available memory."""
    width = "2 bytes each" if setup.half else "4 bytes each"
    suffix = ", gradient checkpointing" if setup.checkpointing else ""
    moments = "float32 moments" + (", one for matrices" if setup.muon else "")
    moments += " and float32 weights" if setup.half else ""
    for name, value, note in (
        ("weights", memory.weights, width + _placement(setup, 3)),
        ("gradients", memory.gradients, width + _placement(setup, 2)),
        ("optimiser", memory.optimiser, moments + _placement(setup, 1)),
        ("copies", memory.copies, "bfloat16 copies, gathered weights, tables with new rows"),
        ("buckets", memory.buckets, "communication between ranks"),
        ("activations", memory.activations, f"of the heaviest batch{suffix}"),
        ("logits", memory.logits, "12 bytes x labelled positions x rows, or GRPO's chunk"),
        ("cache", memory.cache, "keys, values and logits of the rollouts"),
        ("optimiser's step", memory.step, "temporary"),
        ("peak", on_device(memory, work, machine), f"during {memory.moment}"),
        ("available", machine.memory, machine.name),
    ):
        yield Line("memory of a rank", name, value, "bytes", note)
    host = memory.host + work.held
    note = "the model once per rank while loading, offloaded parts, examples of an epoch"
    yield Line("memory of the host", "needed", host, "bytes", note)
    yield Line("memory of the host", "available", machine.host, "bytes", "now")


def _placement(setup: Setup, stage: int) -> str:
    """Where DeepSpeed stores what it shards from this ZeRO stage on."""
    zero = setup.zero
    if zero and ((stage == 1 and zero.offload_optimiser) or (stage == 3 and zero.offload_weights)):
        return ", on the host"
    return f", ZeRO-{zero.stage} over {setup.ranks}" if zero and zero.stage >= stage else ""


def on_device(memory: Memory, work: Work, machine: Machine) -> int:
    """The peak on a rank's device. Without accelerator it includes the host's memory."""
    return memory.peak + (0 if machine.accelerator else memory.host + work.held)


def data_lines(run: Opened, work: Work) -> Iterator[Line]:
    """Number and length of the examples, and the tokens of the whole run."""
    grpo = run.phase == "grpo"
    dropped_count = 0 if grpo else sum(length > work.allowed for length in work.lengths)
    note = "conversations: prompt and longest reply" if grpo else "examples of the first epoch"
    period = "per step, at most" if grpo else "of the first epoch"
    times = work.steps if grpo else work.epochs
    yield Line("data", "examples", len(work.lengths), "", note)
    yield Line("data", "longest", max(work.lengths), "tokens", f"mean {mean(work.lengths):,.0f}")
    limit = "training.max_tokens" if not grpo else "nothing is dropped in grpo"
    yield Line(
        "data", "dropped", dropped_count, "", f"{limit}={work.allowed:,}" if not grpo else limit
    )
    yield Line("data", "positions", run.shape.positions or 0, "tokens", "the model's context")
    yield Line("data", "tokens", work.tokens, "tokens", period)
    yield Line("data", "tokens in all", work.tokens * times, "tokens", f"{times} times")
    yield Line("data", "steps", work.steps, "", "of the optimiser")


def time_lines(
    shape: Shape, setup: Setup, work: Work, machine: Machine, times: int
) -> Iterator[Line]:
    """Seconds as a range: the rate of products is known, the share that training reaches is not."""
    factor = _arithmetic(shape, setup)
    head = shape.growth.rows * shape.hidden
    ranks = 1 if work.generated else setup.ranks  # a GRPO step's work is already per rank
    training_operations = (
        times * factor * (shape.matrices * work.positions + head * work.labelled) / ranks
    )
    rollout_operations = times * 2 * (shape.matrices + head) * work.generated
    read_seconds = times * work.rounds * 4 * shape.parameters / machine.bandwidth
    note = (
        f"{factor:.3g} x weights x tokens at {{}} of {machine.rate / 1e12:.3g} TFLOP/s; an estimate"
    )
    low, high = USED
    least_seconds = (
        training_operations / machine.rate / high
        + max(rollout_operations / machine.rate / high, read_seconds) / 2
    )
    most_seconds = training_operations / machine.rate / low + max(
        rollout_operations / machine.rate / low, read_seconds / low
    )
    yield Line("time", "at least about", least_seconds, "seconds", note.format(f"{high:.0%}"))
    yield Line("time", "at most about", most_seconds, "seconds", note.format(f"{low:.0%}"))


def _arithmetic(shape: Shape, setup: Setup) -> float:
    """Operations per weight and token.

    2 forward; if needed, 2 for the gradients of inputs and 2 for those of weights; 2 more with
    gradient checkpointing.
    """
    share = shape.trained_layers(setup.trainable) / shape.layers
    backward = 2 if setup.trainable.adapts else 4
    return 2 + share * (backward + (2 if setup.checkpointing else 0))


def disk_lines(
    run: Opened, setup: Setup, work: Work, checkpoint_steps: int, free: int
) -> tuple[Line, Line, Line, Line, Line, Line]:
    """Disk space needed by part, in total, and free.

    The parts are step checkpoints, batches, the published checkpoint and an imported base.
    """
    shape = run.shape
    weights = (2 if setup.half else 4) * (shape.parameters + shape.added(setup.trainable))
    if setup.zero is None and setup.trainable.what != "all":
        weights = 4 * shape.moving(setup.trainable)  # the parent has the rest
    if setup.zero and setup.zero.stage < 3:
        weights *= 2  # both the engine and the trainer save the module
    step = weights + optimiser_bytes(shape, setup)
    step_bytes = STEPS_KEPT * step if checkpoint_steps else 0
    published_bytes, base_bytes = 4 * shape.parameters, 0 if run.begun else 4 * shape.before
    return (
        Line("disk", "step checkpoints", step_bytes, "bytes",
             f"{STEPS_KEPT} of weights and optimiser: two kept, one being written"),
        Line("disk", "batches", work.prepared, "bytes", "of all epochs, until publication"),
        Line("disk", "published", published_bytes, "bytes", "float32 weights"),
        Line("disk", "base taken in", base_bytes, "bytes", "float32 weights, before growth"),
        Line("disk", "needed",
             step_bytes + work.prepared + published_bytes + base_bytes, "bytes", "in total"),
        Line("disk", "free", free, "bytes", f"at {run.config.registry}"),
    )  # fmt: skip
