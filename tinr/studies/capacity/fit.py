"""Recall against load: a logistic curve in the logarithm of the load, fitted to cells. No torch.

Every cell weighs the same. What a new training may reach is drawn by bootstrap over the cells,
with the distances of cells from their curve laid on top, both in log odds. The curve is stated
between the smallest and the largest load that was measured and nowhere else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinr.planning.capacity.curve import Calibration, Expected, Point
from tinr.studies.capacity.cells import ASKED, GATED, AlignmentCell

Array = NDArray[np.float64]
DRAWS = 400
LEAST = 6  # cells below which nothing is fitted
GRID = 17  # loads of a stated curve
RIDGE = (0.001, 0.005)  # on offset and slope: keeps curves finite where cells part cleanly
SAFE, MARGINAL, LOST = 0.95, 0.8, 0.5  # recall of what the gate asks at the three loads


@dataclass(frozen=True)
class Curve:
    """Draws (D, 2) of offset and slope in log odds, the first the fit itself; and distances."""

    draws: Array
    distances: Array  # of the cells from the fit, log odds
    spread: Array  # (D,) one distance for each draw

    def at(self, load: float, asked: int | None = None) -> Expected:
        """Recall at a load and where that of a new training lies with 95 %; asked: as measured on
        so many tools."""
        odds = self.draws[:, 0] - self.draws[:, 1] * np.log(load)
        value = float(_share(odds[:1])[0])
        drawn = _share(odds + self.spread)
        if asked is not None:
            drawn = np.random.default_rng(0).binomial(asked, drawn) / asked
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Expected(value, float(min(low, value)), float(max(high, value)))

    def crosses(self, recall: float) -> float:
        """The load at which the fit has this recall; 0 where it does not fall."""
        offset, slope = self.draws[0]
        return float(np.exp((offset - math.log(recall / (1 - recall))) / slope)) if slope else 0.0


def fit_curve(loads: Sequence[float], recall: Sequence[float], asked: Sequence[int]) -> Curve:
    """A curve through cells; the same cells give the same curve."""
    x, y = np.log(np.asarray(loads, float)), np.asarray(recall, float)
    draw = np.random.default_rng(0)
    weights = draw.multinomial(len(x), np.full(len(x), 1 / len(x)), size=DRAWS).astype(float)
    weights[0] = 1.0
    draws = _logistic(x, y, weights)
    edge = 0.5 / np.asarray(asked, float)  # a share of 0 or 1 is not beyond all odds
    measured, fitted = (_odds(np.clip(v, edge, 1 - edge)) for v in
                        (y, _share(draws[0, 0] - draws[0, 1] * x)))  # fmt: skip
    distances = measured - fitted
    spread = draw.choice(distances, DRAWS)
    return Curve(draws, distances, spread)


def curves_of(cells: Sequence[AlignmentCell]) -> dict[str, Curve]:
    """The curve of each kind of recall."""
    loads, asked = [cell.load for cell in cells], [cell.asked for cell in cells]
    return {name: fit_curve(loads, [c.recall(name) for c in cells], asked) for name in ASKED}


def practised(cells: Sequence[AlignmentCell]) -> list[AlignmentCell]:
    """The cells of the most frequent number of exposures: the curve is for that many."""
    counts = [cell.exposures for cell in cells]
    usual = max(set(counts), key=lambda one: (counts.count(one), one)) if counts else 0
    return [cell for cell in cells if cell.exposures == usual]


def held_out(cells: Sequence[AlignmentCell]) -> dict[tuple[Any, ...], dict[str, Expected]] | None:
    """Each cell's recall as foreseen from the cells of all other catalogue sizes.

    None where some rest has fewer than LEAST cells.
    """
    found = {}
    for mine, curves in _left_out(cells):
        if curves is None:
            return None
        for cell in mine:
            found[cell.key] = {
                name: curve.at(cell.load, cell.asked) for name, curve in curves.items()
            }
    return found


def _left_out(
    cells: Sequence[AlignmentCell],
) -> Iterator[tuple[list[AlignmentCell], dict[str, Curve] | None]]:
    """The cells of each catalogue size, with the curves of all others; None: fewer than LEAST."""
    for size in sorted({cell.documents for cell in cells}):
        rest = [cell for cell in cells if cell.documents != size]
        curves = curves_of(rest) if len(rest) >= LEAST else None
        yield [cell for cell in cells if cell.documents == size], curves


@dataclass(frozen=True)
class Crossing:
    """The size at which a catalogue's gated recall crosses SAFE; parameters that hold."""

    documents: int
    below: int  # the largest model that fell short
    above: int  # the smallest above it that did not
    measured: float  # between the two, by recall, in the logarithm of the size
    foreseen: float  # by the curve of all other catalogue sizes

    @property
    def apart(self) -> float:
        """How far they are apart, as a share of the measured size's logarithm."""
        return abs(math.log(self.foreseen / self.measured)) / math.log(self.measured)


def crossings(cells: Sequence[AlignmentCell]) -> list[Crossing]:
    """Of each catalogue size that has models on both sides of SAFE and a curve without it."""
    found = []
    for some, curves in _left_out(cells):
        mine = sorted(some, key=lambda cell: cell.holding)
        short = [n for n, cell in enumerate(mine) if _gated(cell) < SAFE]
        if not short or short[-1] + 1 == len(mine) or curves is None:
            continue
        below, above = mine[short[-1]], mine[short[-1] + 1]
        share = (SAFE - _gated(below)) / (_gated(above) - _gated(below))
        measured = below.holding ** (1 - share) * above.holding**share
        load = min(curves[name].crosses(SAFE) for name in GATED)
        if load > 0:
            foreseen = below.bits / load
            found.append(
                Crossing(below.documents, below.holding, above.holding, measured, foreseen)
            )
    return found


def _gated(cell: AlignmentCell) -> float:
    """The lower one of what align's gate asks for."""
    return min(cell.recall(name) for name in GATED)


def calibrate(
    cells: Sequence[AlignmentCell], about: str, source: Mapping[str, Any]
) -> Calibration | None:
    """A calibration from cells; None where fewer than LEAST had the usual practice."""
    usual = practised(cells)
    if len(usual) < LEAST:
        return None
    loads = [cell.load for cell in usual]
    grid = np.geomspace(min(loads), max(loads), GRID).tolist()
    points = {name: _points(curve, grid) for name, curve in curves_of(usual).items()}
    sizes, documents = [c.holding for c in usual], [c.documents for c in usual]
    stated = Calibration(
        kind="measured",
        about=f"{about}; {usual[0].exposures:g} examples of each tool",
        source=dict(source),
        safe=None,
        marginal=None,
        refuse=None,
        exposures=None,
        parameters=(min(sizes), max(sizes)),
        documents=(min(documents), max(documents)),
        recall=points,
    )
    gated = _with(stated, recall={name: points[name] for name in GATED})
    safe, marginal, lost = (gated.reaches(share) for share in (SAFE, MARGINAL, LOST))
    beyond = min(min(point[1] for point in points[name]) for name in GATED) < LOST
    return _with(
        stated,
        safe=safe,
        marginal=marginal,
        refuse=lost if beyond else None,
        exposures=_enough(cells, safe),
    )


def _with(calibration: Calibration, **changes: Any) -> Calibration:
    return Calibration(**{**vars(calibration), **changes})


def _enough(cells: Sequence[AlignmentCell], safe: float | None) -> float | None:
    """The fewest exposures from which on the cells of a safe load, those of a number together, had
    the recall of SAFE."""
    easy = [cell for cell in cells if safe is not None and cell.load <= safe]
    enough = None
    for exposures in sorted({cell.exposures for cell in easy}, reverse=True):
        here = [cell for cell in easy if cell.exposures == exposures]
        asked = sum(cell.asked for cell in here)
        if any(sum(getattr(cell, name) for cell in here) < SAFE * asked for name in GATED):
            break
        enough = exposures
    return enough


def _points(curve: Curve, grid: Sequence[float]) -> tuple[Point, ...]:
    ends = [(load, curve.at(load)) for load in grid]
    return tuple(
        (round(load, 5), round(e.value, 4), round(e.low, 4), round(e.high, 4)) for load, e in ends
    )


def _logistic(x: Array, y: Array, weights: Array) -> Array:
    """Offset and slope (D, 2) of y ~ 1 / (1 + exp(-(offset - slope x))), a fit for each row of
    weights (D, cells), by Newton's method; no slope is below 0."""
    design = np.stack([np.ones_like(x), -x], 1)  # (cells, 2)
    found = np.zeros((len(weights), 2))
    ridge = np.asarray(RIDGE)
    for _ in range(60):
        share = _share(found @ design.T)
        slope = (weights * (y - share)) @ design - ridge * found
        bend = np.einsum("dc,ci,cj->dij", weights * share * (1 - share), design, design)
        step = np.linalg.solve(bend + np.diag(ridge), slope[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        found += step * np.minimum(1.0, 2.0 / np.maximum(length, 1e-12))
        if length.max() < 1e-9:
            break
    rising = found[:, 1] < 0  # more load, more recall: noise; the mean of all cells instead
    mean = np.clip(weights @ y / weights.sum(1), 1e-3, 1 - 1e-3)
    found[rising] = np.stack([_odds(mean), np.zeros(len(mean))], 1)[rising]
    return found


def _share(odds: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(odds, -40, 40)))


def _odds(share: Array) -> Array:
    return np.log(share / (1 - share))
