"""Which recall to expect at which load. The figures are data with their source. No torch.

`calibration.json` in this folder is what every command uses: `tinr study capacity --preset cpu`
wrote it. `published.json` has the figures of arXiv 2508.20755 in the same form.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tinr.data.alignment_examples import PairMix
from tinr.records import BadInput

# What counts as practice: the examples that were measured. Usage teaches too, but was not.
TAUGHT = PairMix.only(memorise=1, recall=1, schema=1)
SHIPPED = Path(__file__).with_name("calibration.json")
PUBLISHED = Path(__file__).with_name("published.json")
KINDS = ("published", "measured")
Point = tuple[float, float, float, float]  # load, recall, and the ends of its 95 % interval


@dataclass(frozen=True)
class Expected:
    """Recall that a load lets expect, with its uncertainty, all in [0, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Recall against load, bits a trainable parameter, and where the figures come from.

    Between points the curve is straight in the logarithm of the load; beyond the first and the
    last one nothing is known.
    """

    kind: str  # published or measured
    about: str  # on what, in words
    source: Mapping[str, Any]  # cells, and where and when they were made
    safe: float | None  # up to this load recall is what a gate asks for; None: no model's was
    marginal: float | None  # up to this one most of it
    refuse: float | None  # above this one most is lost; None: no model was so overloaded
    exposures: float | None  # examples of a tool that were enough at a safe load
    parameters: tuple[int, int]  # the smallest and the largest model
    documents: tuple[int, int] | None  # the smallest and the largest catalogue, where it was one
    recall: Mapping[str, tuple[Point, ...]]  # what was asked -> the curve, by rising load

    def expected(self, load: float) -> dict[str, Expected]:
        """Recall of each kind at this load; at the nearest end where it is beyond the curve."""
        at = np.log(max(load, 1e-9))
        found = {}
        for name, points in self.recall.items():
            columns = np.asarray(points)
            loads = np.log(columns[:, 0])
            value, low, high = (
                round(float(np.interp(at, loads, columns[:, n])), 4) for n in (1, 2, 3)
            )
            found[name] = Expected(value, low, high)
        return found

    def reaches(self, recall: float) -> float | None:
        """The largest load on the curve at which every kind's recall is at least this.

        None where no point of some kind's curve is that high: nothing is extrapolated.
        """
        loads = [_crossing(points, recall) for points in self.recall.values()]
        return None if None in loads else min(one for one in loads if one is not None)

    @property
    def best(self) -> float:
        """The highest recall that all kinds reach somewhere on their curves."""
        return min(max(point[1] for point in points) for points in self.recall.values())

    @property
    def span(self) -> tuple[float, float]:
        """The loads between which all curves are known."""
        curves = self.recall.values()
        return max(points[0][0] for points in curves), min(points[-1][0] for points in curves)

    @property
    def words(self) -> str:
        """On what it was calibrated, in one line."""
        small, large = self.parameters
        sizes = f"models of {small:,} to {large:,} parameters"
        if self.documents:
            sizes += f", {self.documents[0]:,} to {self.documents[1]:,} documents"
        facts = [f"{key} {self.source[key]}" for key in ("made", "machine", "date", "commit")
                 if self.source.get(key)]  # fmt: skip
        if self.source.get("cells"):
            facts.insert(0, f"{len(str(self.source['cells']).split(','))} cells")
        return "; ".join([f"{self.kind}: {self.about}", sizes, *facts])


def _crossing(points: Sequence[Point], recall: float) -> float | None:
    """The last load at which a curve is still this high, straight between its points."""
    above = [n for n, point in enumerate(points) if point[1] >= recall]
    if not above:
        return None
    n = above[-1]
    if n == len(points) - 1:
        return points[n][0]
    (load, high, *_), (beyond, low, *_) = points[n], points[n + 1]
    share = (high - recall) / (high - low)
    return float(np.exp(np.log(load) + share * (np.log(beyond) - np.log(load))))


def read_calibration(path: Path = SHIPPED) -> Calibration:
    """A calibration file; BadInput names the file and what is wrong in it."""
    try:
        found = TypeAdapter(Calibration).validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(
            f"{path}: not a calibration ({place}: {first['msg']}); give one that "
            "tinr study capacity wrote"
        ) from error
    if fault := _fault(found):
        raise BadInput(
            f"{path}: not a calibration ({fault}); give one that tinr study capacity wrote"
        )
    return found


def calibration_text(calibration: Calibration) -> str:
    """The file's content."""
    return json.dumps(asdict(calibration), indent=1) + "\n"


def _fault(found: Calibration) -> str:
    if found.kind not in KINDS:
        return f"kind {found.kind!r} is none of {', '.join(KINDS)}"
    if not found.recall or not all(found.recall.values()):
        return "there is no curve"
    for name, points in found.recall.items():
        loads = [point[0] for point in points]
        if loads != sorted(set(loads)) or loads[0] <= 0:
            return f"the loads of {name} do not rise from above 0"
        if not all(0 <= p[2] <= p[1] <= p[3] <= 1 for p in points):
            return f"a recall of {name} is not within its interval and within 0 and 1"
    return ""
