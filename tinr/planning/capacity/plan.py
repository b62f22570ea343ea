"""Plan from bits and parameters: load, expected recall, needed parameters, and advice."""

import math
from dataclasses import dataclass
from typing import Literal

from tinr.planning.capacity.bits import Bits
from tinr.planning.capacity.curve import Calibration, Expected
from tinr.records import BadInput

Verdict = Literal["safe", "marginal", "over", "refuse"]
MANY = 3000  # above this number of tools, lookup takes fewer weights than memorising, as published


@dataclass(frozen=True)
class Moving:
    """The trained parameters that can store new information."""

    parameters: int  # without the rows of the base's own tokens: they do not predict the recall
    words: str = "all weights"  # which parameters are trained
    rank: int | None = None  # of adapters
    each_rank: int = 0  # parameters that each additional rank adds


@dataclass(frozen=True)
class Practice:
    """How often training practises each tool; None: not known yet."""

    exposures: float | None = None  # examples per tool in the whole training, of calibrated kinds
    tokens: float | None = None  # mean per such example
    batch_tokens: int | None = None  # per step


@dataclass(frozen=True)
class CapacityPlan:
    """The capacity plan for a catalogue and the weights that will store it."""

    bits: Bits
    moving: Moving
    load: float  # bits per trainable parameter
    load_low: float
    load_high: float
    verdict: Verdict
    recall: dict[str, Expected]
    target: float  # the target recall
    needed: int | None  # parameters for the target; None: no calibrated model reached it
    exposures_needed: float | None
    exposures: float | None
    steps: int | None  # for the exposures needed
    advice: tuple[str, ...]
    notes: tuple[str, ...]
    calibration: str

    @property
    def line(self) -> str:
        """The plan in one line, for a log."""
        recall = ", ".join(f"{n} {e.low:.2f} to {e.high:.2f}" for n, e in self.recall.items())
        return (
            f"capacity: {self.bits.total:,.0f} bits to learn, {self.moving.parameters:,} "
            f"parameters to hold them ({self.moving.words}): load {self.load:.3g}, {self.verdict}; "
            f"expected recall: {recall}; {'; '.join(self.advice)}"
        )


def make_plan(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    target: float = 0.95,
    practice: Practice | None = None,
) -> CapacityPlan:
    """Make a plan. BadInput if no parameter would be trained or the target is not a recall."""
    if not 0 < target <= 1:
        raise BadInput(f"--recall {target}: not a recall; give a number above 0, at most 1")
    if moving.parameters < 1:
        raise BadInput(
            f"{moving.words}: no parameter would be trained; give --lora 1 or more, or train all"
        )
    practice = practice or Practice()
    load, low, high = (b / moving.parameters for b in (bits.total, bits.low, bits.high))
    reachable_load = calibration.reaches(target)
    needed = None if reachable_load is None else math.ceil(bits.total / reachable_load)
    verdict = _verdict(low, load, calibration, reachable_load)
    steps = None
    if calibration.exposures and practice.tokens and practice.batch_tokens:
        token_count = calibration.exposures * bits.tools * practice.tokens
        steps = math.ceil(token_count / practice.batch_tokens)
    return CapacityPlan(
        bits=bits,
        moving=moving,
        load=load,
        load_low=low,
        load_high=high,
        verdict=verdict,
        recall=_recall(calibration, load, low, high),
        target=target,
        needed=needed,
        exposures_needed=calibration.exposures,
        exposures=practice.exposures,
        steps=steps,
        advice=tuple(_advice(bits, moving, calibration, verdict, needed, target)),
        notes=tuple(_notes(bits, moving, calibration, load, target, practice)),
        calibration=calibration.words,
    )


def _verdict(
    low: float, load: float, calibration: Calibration, reachable_load: float | None
) -> Verdict:
    """Compare the load with the calibration's limits.

    `refuse` only if even the lower end of the load exceeds that limit; `safe` only if the target
    recall was reached at such a load.
    """
    if calibration.refuse is not None and low > calibration.refuse:
        return "refuse"
    if calibration.safe is not None and load <= calibration.safe:
        return "safe" if reachable_load is not None and load <= reachable_load else "marginal"
    return "marginal" if calibration.marginal and load <= calibration.marginal else "over"


def _recall(calibration: Calibration, load: float, low: float, high: float) -> dict[str, Expected]:
    """The curve's interval at the load, widened by the uncertainty of the load."""
    centre, at_low, at_high = (calibration.expected(point) for point in (load, low, high))
    return {
        name: Expected(
            expectation.value,
            min(expectation.low, at_high[name].low),
            max(expectation.high, at_low[name].high),
        )
        for name, expectation in centre.items()
    }


def _advice(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    verdict: Verdict,
    needed: int | None,
    target: float,
) -> list[str]:
    sentences = {
        "safe": "all in weights",
        "marginal": "all in weights, but the gate may fail: a few more parameters are better",
        "over": "names in weights and documents on selection (documents: on_select)",
        "refuse": "names in weights and documents on selection (documents: on_select)",
    }
    advice = [sentences[verdict]]
    if verdict != "safe" and needed is not None and needed > moving.parameters:
        advice.append(
            f"or {needed:,} trainable parameters for a recall of {target:g}{_rank(moving, needed)}"
        )
    if verdict in ("over", "refuse"):
        names = calibration.expected(bits.tokens / moving.parameters)
        lowest = min(names.values(), key=lambda expectation: expectation.value)
        advice.append(
            f"names alone are a load of {bits.tokens / moving.parameters:.2g} "
            f"(recall {lowest.low:.2f} to {lowest.high:.2f})"
        )
    elif bits.tools > MANY:
        advice.append(
            f"{bits.tools:,} tools: looking documents up on selection takes fewer weights than "
            "memorising them"
        )
    return advice


def _rank(moving: Moving, needed: int) -> str:
    if moving.rank is None or not moving.each_rank:
        return ": a larger model, or all weights" if moving.words != "all weights" else ""
    extra_rank = math.ceil((needed - moving.parameters) / moving.each_rank)
    return f": --lora {moving.rank + extra_rank}"


def _notes(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    load: float,
    target: float,
    practice: Practice,
) -> list[str]:
    """Notes on the limits of the calibration, so that no extrapolation is silent."""
    notes = []
    if bits.same:
        notes.append(
            f"{bits.same} documents are equal to another one: counted once, and their tools "
            "cannot be told apart by the document alone"
        )
    start, end = calibration.span
    if load > end:
        notes.append(f"the load is above the calibrated range (up to {end:.3g}): the figures are "
                     f"those at {end:.3g}, and the true recall is not higher")  # fmt: skip
    elif load < start:
        notes.append(f"the load is below the calibrated range (from {start:.3g}): the figures are "
                     f"those at {start:.3g}")  # fmt: skip
    if calibration.reaches(target) is None:
        notes.append(
            f"no calibrated model reached a recall of {target:g} (best: {calibration.best:.3f}); "
            "the number of parameters that would is unknown"
        )
    fewest, most = calibration.parameters
    if not fewest <= moving.parameters <= most:
        notes.append(f"calibrated on {fewest:,} to {most:,} parameters; this model trains "
                     f"{moving.parameters:,}")  # fmt: skip
    if moving.words != "all weights":
        notes.append("calibrated only on models whose weights were all trained")
    needed, exposures = calibration.exposures, practice.exposures
    if needed is not None and exposures is not None and exposures < needed:
        notes.append(
            f"each tool has {exposures:,.0f} examples of the calibrated kinds (memorise, recall "
            f"and schema, equally); {needed:,.0f} were enough at a safe load from scratch. "
            "Usage also teaches, but was not calibrated"
        )
    return notes
