"""The expected recall at a load. The calibration is data with its source. No torch.

The default is `calibration.json` in this folder, written by `tinr study capacity --preset cpu`.
`published.json` has the figures of arXiv 2508.20755 in the same form.
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

# The calibrated kinds of examples, which count as practice. Usage teaches too, but does not count.
TAUGHT = PairMix.only(memorise=1, recall=1, schema=1)
SHIPPED = Path(__file__).with_name("calibration.json")
PUBLISHED = Path(__file__).with_name("published.json")
KINDS = ("published", "measured")
Point = tuple[float, float, float, float]  # load, recall, and the ends of its 95 % interval


@dataclass(frozen=True)
class Expected:
    """Expected recall at a load, with its uncertainty, all in [0, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Recall as a function of load (bits per trainable parameter), and the source of the data.

    Between points the curve is linear in the logarithm of the load. Beyond the first and the last
    point it is unknown.
    """

    kind: str  # published or measured
    about: str  # description of the models
    source: Mapping[str, Any]  # cells, and where and when they were run
    safe: float | None  # up to this load recall passes a gate; None: no model's did
    marginal: float | None  # up to this load most is recalled
    refuse: float | None  # above this load most is lost; None: no model had such a load
    exposures: float | None  # examples per tool that were enough at a safe load
    parameters: tuple[int, int]  # the smallest and the largest model
    documents: tuple[int, int] | None  # the smallest and the largest catalogue, if there was one
    recall: Mapping[str, tuple[Point, ...]]  # kind of question -> curve, by increasing load

    def expected(self, load: float) -> dict[str, Expected]:
        """Interpolate each kind's recall at this load; outside the curve, use its nearest end."""
        log_load = np.log(max(load, 1e-9))
        recall = {}
        for name, points in self.recall.items():
            columns = np.asarray(points)
            loads = np.log(columns[:, 0])
            value, low, high = (
                round(float(np.interp(log_load, loads, columns[:, n])), 4) for n in (1, 2, 3)
            )
            recall[name] = Expected(value, low, high)
        return recall

    def reaches(self, recall: float) -> float | None:
        """Find the largest load on the curve at which every kind's recall is at least this.

        None if some kind's curve never reaches it: there is no extrapolation.
        """
        loads = [_crossing(points, recall) for points in self.recall.values()]
        return None if None in loads else min(load for load in loads if load is not None)

    @property
    def best(self) -> float:
        """The highest recall that all kinds reach somewhere on their curves."""
        return min(max(point[1] for point in points) for points in self.recall.values())

    @property
    def span(self) -> tuple[float, float]:
        """The range of loads that all curves cover."""
        curves = self.recall.values()
        return max(points[0][0] for points in curves), min(points[-1][0] for points in curves)

    @property
    def words(self) -> str:
        """The source of the calibration, in one line."""
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
    """Find the last load at which a curve has this recall, by interpolation between points."""
    indices = [n for n, point in enumerate(points) if point[1] >= recall]
    if not indices:
        return None
    n = indices[-1]
    if n == len(points) - 1:
        return points[n][0]
    (load, high, *_), (next_load, low, *_) = points[n], points[n + 1]
    share = (high - recall) / (high - low)
    return float(np.exp(np.log(load) + share * (np.log(next_load) - np.log(load))))


def read_calibration(path: Path = SHIPPED) -> Calibration:
    """Read a calibration file. BadInput names the file and the problem."""
    try:
        calibration = TypeAdapter(Calibration).validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValidationError as error:
        detail = error.errors()[0]
        location = ".".join(map(str, detail["loc"]))
        raise BadInput(
            f"{path}: not a calibration ({location}: {detail['msg']}); give one that "
            "tinr study capacity wrote"
        ) from error
    if fault := _fault(calibration):
        raise BadInput(
            f"{path}: not a calibration ({fault}); give one that tinr study capacity wrote"
        )
    return calibration


def calibration_text(calibration: Calibration) -> str:
    """Format a calibration as the content of its file."""
    return json.dumps(asdict(calibration), indent=1) + "\n"


def _fault(calibration: Calibration) -> str:
    if calibration.kind not in KINDS:
        return f"kind {calibration.kind!r} is not one of {', '.join(KINDS)}"
    if not calibration.recall or not all(calibration.recall.values()):
        return "no curve"
    for name, points in calibration.recall.items():
        loads = [point[0] for point in points]
        if loads != sorted(set(loads)) or loads[0] <= 0:
            return f"the loads of {name} do not increase from above 0"
        if not all(0 <= p[2] <= p[1] <= p[3] <= 1 for p in points):
            return f"a recall of {name} is outside its interval, or outside 0 to 1"
    return ""
