"""Recall against load: a logistic curve in the logarithm of the load, fitted to cells. No torch.

All cells have equal weight. The interval of a new training run comes from a bootstrap over the
cells, plus residuals of the cells from their curve, both in log odds. The curve covers only the
range between the smallest and the largest measured load.
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
LEAST = 6  # minimum number of cells for a fit
GRID = 17  # number of loads in a written curve
RIDGE = (0.001, 0.005)  # on offset and slope: keeps curves finite for separable cells
SAFE, MARGINAL, LOST = 0.95, 0.8, 0.5  # recall of the gated kinds at the three loads


@dataclass(frozen=True)
class Curve:
    """Bootstrap draws (D, 2) of offset and slope in log odds, the fit first; and residuals."""

    draws: Array
    distances: Array  # residuals of the cells from the fit, log odds
    spread: Array  # (D,) a random residual for each draw

    def at(self, load: float, asked: int | None = None) -> Expected:
        """Recall at a load, with the 95 % interval of a new training run.

        asked: number of tools that a measurement samples; adds binomial noise to the interval.
        """
        odds = self.draws[:, 0] - self.draws[:, 1] * np.log(load)
        value = float(_share(odds[:1])[0])
        samples = _share(odds + self.spread)
        if asked is not None:
            samples = np.random.default_rng(0).binomial(asked, samples) / asked
        low, high = np.quantile(samples, (0.025, 0.975))
        return Expected(value, float(min(low, value)), float(max(high, value)))

    def crosses(self, recall: float) -> float:
        """The load at which the fit has this recall; 0 if the fit does not fall."""
        offset, slope = self.draws[0]
        return float(np.exp((offset - math.log(recall / (1 - recall))) / slope)) if slope else 0.0


def fit_curve(loads: Sequence[float], recall: Sequence[float], counts: Sequence[int]) -> Curve:
    """Fit a curve to cells; counts: tools asked per cell. The same cells give the same curve."""
    x, y = np.log(np.asarray(loads, float)), np.asarray(recall, float)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=DRAWS).astype(float)
    weights[0] = 1.0
    draws = _logistic(x, y, weights)
    edge = 0.5 / np.asarray(counts, float)  # keeps the log odds of a share of 0 or 1 finite
    measured_odds, fitted_odds = (
        _odds(np.clip(v, edge, 1 - edge)) for v in (y, _share(draws[0, 0] - draws[0, 1] * x))
    )
    distances = measured_odds - fitted_odds
    spread = rng.choice(distances, DRAWS)
    return Curve(draws, distances, spread)


def curves_of(cells: Sequence[AlignmentCell]) -> dict[str, Curve]:
    """The curve of each kind of recall."""
    loads, counts = [cell.load for cell in cells], [cell.asked for cell in cells]
    return {name: fit_curve(loads, [c.recall(name) for c in cells], counts) for name in ASKED}


def practised(cells: Sequence[AlignmentCell]) -> list[AlignmentCell]:
    """The cells with the most frequent number of exposures; only these are fitted."""
    exposures = [cell.exposures for cell in cells]
    usual_exposures = max(set(exposures), key=lambda n: (exposures.count(n), n)) if exposures else 0
    return [cell for cell in cells if cell.exposures == usual_exposures]


def held_out(cells: Sequence[AlignmentCell]) -> dict[tuple[Any, ...], dict[str, Expected]] | None:
    """Predict the recall of each cell from the cells of all other catalogue sizes.

    None if the other sizes have fewer than LEAST cells.
    """
    expectations = {}
    for size_cells, curves in _curves_without_each_size(cells):
        if curves is None:
            return None
        for cell in size_cells:
            expectations[cell.key] = {
                name: curve.at(cell.load, cell.asked) for name, curve in curves.items()
            }
    return expectations


def _curves_without_each_size(
    cells: Sequence[AlignmentCell],
) -> Iterator[tuple[list[AlignmentCell], dict[str, Curve] | None]]:
    """Yield each size's cells with the curves of all other sizes, or None for fewer than LEAST."""
    for size in sorted({cell.documents for cell in cells}):
        other_cells = [cell for cell in cells if cell.documents != size]
        curves = curves_of(other_cells) if len(other_cells) >= LEAST else None
        yield [cell for cell in cells if cell.documents == size], curves


@dataclass(frozen=True)
class Crossing:
    """The model size at which a catalogue's gated recall crosses SAFE, in holding parameters."""

    documents: int
    below: int  # the largest model below SAFE
    above: int  # the next larger model, which reaches SAFE
    measured: float  # interpolated by recall in the logarithm of the size
    foreseen: float  # predicted by the curve of all other catalogue sizes

    @property
    def apart(self) -> float:
        """Distance of the two logarithms, relative to that of the measured size."""
        return abs(math.log(self.foreseen / self.measured)) / math.log(self.measured)


def crossings(cells: Sequence[AlignmentCell]) -> list[Crossing]:
    """The crossing of each size with models on both sides of SAFE and a curve of other sizes."""
    results = []
    for size_cells, curves in _curves_without_each_size(cells):
        ordered_cells = sorted(size_cells, key=lambda cell: cell.holding)
        failures = [n for n, cell in enumerate(ordered_cells) if _gated_recall(cell) < SAFE]
        if not failures or failures[-1] + 1 == len(ordered_cells) or curves is None:
            continue
        below, above = ordered_cells[failures[-1]], ordered_cells[failures[-1] + 1]
        share = (SAFE - _gated_recall(below)) / (_gated_recall(above) - _gated_recall(below))
        measured_size = below.holding ** (1 - share) * above.holding**share
        load = min(curves[name].crosses(SAFE) for name in GATED)
        if load > 0:
            foreseen_size = below.bits / load
            results.append(
                Crossing(
                    below.documents, below.holding, above.holding, measured_size, foreseen_size
                )
            )
    return results


def _gated_recall(cell: AlignmentCell) -> float:
    """The lowest recall that align's gate tests."""
    return min(cell.recall(name) for name in GATED)


def calibrate(
    cells: Sequence[AlignmentCell], about: str, source: Mapping[str, Any]
) -> Calibration | None:
    """A calibration from cells; None if fewer than LEAST have the usual exposures."""
    usual_cells = practised(cells)
    if len(usual_cells) < LEAST:
        return None
    loads = [cell.load for cell in usual_cells]
    grid = np.geomspace(min(loads), max(loads), GRID).tolist()
    points = {name: _points(curve, grid) for name, curve in curves_of(usual_cells).items()}
    sizes, documents = [c.holding for c in usual_cells], [c.documents for c in usual_cells]
    calibration = Calibration(
        kind="measured",
        about=f"{about}; {usual_cells[0].exposures:g} examples per tool",
        source=dict(source),
        safe=None,
        marginal=None,
        refuse=None,
        exposures=None,
        parameters=(min(sizes), max(sizes)),
        documents=(min(documents), max(documents)),
        recall=points,
    )
    gated_calibration = _with(calibration, recall={name: points[name] for name in GATED})
    safe_load, marginal_load, lost_load = (
        gated_calibration.reaches(share) for share in (SAFE, MARGINAL, LOST)
    )
    falls_below = min(min(point[1] for point in points[name]) for name in GATED) < LOST
    return _with(
        calibration,
        safe=safe_load,
        marginal=marginal_load,
        refuse=lost_load if falls_below else None,
        exposures=_enough_exposures(cells, safe_load),
    )


def _with(calibration: Calibration, **changes: Any) -> Calibration:
    return Calibration(**{**vars(calibration), **changes})


def _enough_exposures(cells: Sequence[AlignmentCell], safe_load: float | None) -> float | None:
    """The fewest exposures at and above which cells with a safe load reach a recall of SAFE.

    Cells with equal exposures are pooled.
    """
    easy_cells = [cell for cell in cells if safe_load is not None and cell.load <= safe_load]
    fewest_exposures = None
    for exposures in sorted({cell.exposures for cell in easy_cells}, reverse=True):
        group = [cell for cell in easy_cells if cell.exposures == exposures]
        asked_count = sum(cell.asked for cell in group)
        if any(sum(getattr(cell, name) for cell in group) < SAFE * asked_count for name in GATED):
            break
        fewest_exposures = exposures
    return fewest_exposures


def _points(curve: Curve, grid: Sequence[float]) -> tuple[Point, ...]:
    expectations = [(load, curve.at(load)) for load in grid]
    return tuple(
        (round(load, 5), round(e.value, 4), round(e.low, 4), round(e.high, 4))
        for load, e in expectations
    )


def _logistic(x: Array, y: Array, weights: Array) -> Array:
    """Fit y ~ 1 / (1 + exp(-(offset - slope x))) by Newton's method; offset and slope (D, 2).

    One fit per row of weights (D, cells). No slope is below 0.
    """
    design = np.stack([np.ones_like(x), -x], 1)  # (cells, 2)
    coefficients = np.zeros((len(weights), 2))
    ridge = np.asarray(RIDGE)
    for _ in range(60):
        share = _share(coefficients @ design.T)
        gradient = (weights * (y - share)) @ design - ridge * coefficients
        hessian = np.einsum("dc,ci,cj->dij", weights * share * (1 - share), design, design)
        step = np.linalg.solve(hessian + np.diag(ridge), gradient[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        coefficients += step * np.minimum(1.0, 2.0 / np.maximum(length, 1e-12))
        if length.max() < 1e-9:
            break
    # a recall that rises with the load is noise: take the mean of all cells instead
    is_rising = coefficients[:, 1] < 0
    mean = np.clip(weights @ y / weights.sum(1), 1e-3, 1 - 1e-3)
    coefficients[is_rising] = np.stack([_odds(mean), np.zeros(len(mean))], 1)[is_rising]
    return coefficients


def _share(odds: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(odds, -40, 40)))


def _odds(share: Array) -> Array:
    return np.log(share / (1 - share))
