"""Bits and parameters in; load, recall to expect, what it would take, and advice out."""

import math
from dataclasses import dataclass
from typing import Literal

from tinr.planning.capacity.bits import Bits
from tinr.planning.capacity.curve import Calibration, Expected
from tinr.records import BadInput

Verdict = Literal["safe", "marginal", "over", "refuse"]
MANY = 3000  # tools from which looking up costs a model less than knowing, as published


@dataclass(frozen=True)
class Moving:
    """What a training moves: parameters that can hold something new, what they are in words, and
    those of adapters by rank."""

    parameters: int  # without the rows of tokens that the base knew: they foretell nothing
    words: str = "all weights"
    rank: int | None = None  # of adapters
    each_rank: int = 0  # parameters that one rank more adds


@dataclass(frozen=True)
class Practice:
    """How often each tool is practised; what is not settled yet is None."""

    # examples of each tool in the whole training, of the kinds that calibration counted
    exposures: float | None = None
    tokens: float | None = None  # of one such example on the average
    batch_tokens: int | None = None  # of a step


@dataclass(frozen=True)
class CapacityPlan:
    """Everything that is said about a catalogue and the weights that are to hold it."""

    bits: Bits
    moving: Moving
    load: float  # bits a trainable parameter
    load_low: float
    load_high: float
    verdict: Verdict
    recall: dict[str, Expected]
    target: float  # the recall that is wanted
    needed: int | None  # parameters for it; None: no calibrated model reached it
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
            f"recall to expect: {recall}; {'; '.join(self.advice)}"
        )


def make_plan(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    target: float = 0.95,
    practice: Practice | None = None,
) -> CapacityPlan:
    """A plan; BadInput where nothing would move or the target is no recall."""
    if not 0 < target <= 1:
        raise BadInput(f"--recall {target}: not a recall; give a number above 0, at most 1")
    if moving.parameters < 1:
        raise BadInput(
            f"{moving.words}: no parameter would be trained; give --lora 1 or more, or let all move"
        )
    practice = practice or Practice()
    load, low, high = (b / moving.parameters for b in (bits.total, bits.low, bits.high))
    reached = calibration.reaches(target)
    needed = None if reached is None else math.ceil(bits.total / reached)
    verdict = _verdict(low, load, calibration, reached)
    steps = None
    if calibration.exposures and practice.tokens and practice.batch_tokens:
        seen = calibration.exposures * bits.tools * practice.tokens
        steps = math.ceil(seen / practice.batch_tokens)
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


def _verdict(low: float, load: float, calibration: Calibration, reached: float | None) -> Verdict:
    """`refuse` only where even the lower end of the load is beyond it; `safe` only where the
    recall that is wanted was reached at such a load."""
    if calibration.refuse is not None and low > calibration.refuse:
        return "refuse"
    if calibration.safe is not None and load <= calibration.safe:
        return "safe" if reached is not None and load <= reached else "marginal"
    return "marginal" if calibration.marginal and load <= calibration.marginal else "over"


def _recall(calibration: Calibration, load: float, low: float, high: float) -> dict[str, Expected]:
    """The curve's interval at the load, widened by what the load itself may be."""
    middle, best, worst = (calibration.expected(one) for one in (load, low, high))
    return {
        name: Expected(one.value, min(one.low, worst[name].low), max(one.high, best[name].high))
        for name, one in middle.items()
    }


def _advice(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    verdict: Verdict,
    needed: int | None,
    target: float,
) -> list[str]:
    said = {
        "safe": "all in weights",
        "marginal": "all in weights, but the gate may be missed: a little more room is better",
        "over": "names in weights and documents on selection (documents: on_select)",
        "refuse": "names in weights and documents on selection (documents: on_select)",
    }
    advice = [said[verdict]]
    if verdict != "safe" and needed is not None and needed > moving.parameters:
        advice.append(
            f"or {needed:,} trainable parameters for a recall of {target:g}{_rank(moving, needed)}"
        )
    if verdict in ("over", "refuse"):
        names = calibration.expected(bits.tokens / moving.parameters)
        least = min(names.values(), key=lambda one: one.value)
        advice.append(
            f"names alone are a load of {bits.tokens / moving.parameters:.2g} "
            f"(recall {least.low:.2f} to {least.high:.2f})"
        )
    elif bits.tools > MANY:
        advice.append(
            f"{bits.tools:,} tools: looking documents up on selection takes fewer weights than "
            "knowing them"
        )
    return advice


def _rank(moving: Moving, needed: int) -> str:
    if moving.rank is None or not moving.each_rank:
        return ": a larger model, or all weights" if moving.words != "all weights" else ""
    more = math.ceil((needed - moving.parameters) / moving.each_rank)
    return f": --lora {moving.rank + more}"


def _notes(
    bits: Bits,
    moving: Moving,
    calibration: Calibration,
    load: float,
    target: float,
    practice: Practice,
) -> list[str]:
    """What a reader must know, so that nothing is extrapolated in silence."""
    notes = []
    if bits.same:
        notes.append(
            f"{bits.same} documents say what another one says: counted once, and from the "
            "document alone these tools cannot be told apart"
        )
    first, last = calibration.span
    if load > last:
        notes.append(f"the load is beyond the calibrated ones (up to {last:.3g}): the figures at "
                     f"{last:.3g} are given, the truth is not above them")  # fmt: skip
    elif load < first:
        notes.append(f"the load is below the calibrated ones (from {first:.3g}): the figures at "
                     f"{first:.3g} are given")  # fmt: skip
    if calibration.reaches(target) is None:
        notes.append(
            f"no calibrated model recalled {target:g} of everything: {calibration.best:.3f} is "
            "the best; how large one would have to be is not known"
        )
    small, large = calibration.parameters
    if not small <= moving.parameters <= large:
        notes.append(f"calibrated on {small:,} to {large:,} parameters; here are "
                     f"{moving.parameters:,}")  # fmt: skip
    if moving.words != "all weights":
        notes.append("calibrated on models of which all weights moved")
    needed, given = calibration.exposures, practice.exposures
    if needed is not None and given is not None and given < needed:
        notes.append(
            f"each tool has {given:,.0f} examples of the kinds that were calibrated (memorise, "
            f"recall and schema, alike); {needed:,.0f} were enough at a safe load from scratch. "
            "Usage teaches as well, and was not calibrated"
        )
    return notes
