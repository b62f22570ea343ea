"""Curves from the cells of a study: smallest model by number of facts, with spread. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

import numpy as np

from tinr.evaluation.metrics import Rate, rate
from tinr.studies.in_tool.cells import FitCell
from tinr.studies.in_tool.recipe import Budget
from tinr.studies.in_tool.search import smallest

PUBLISHED = {  # facts -> parameters, means of 10 seeds, arXiv 2508.20755
    "in_weight": {8: 2_612, 64: 6_248, 256: 10_908, 512: 16_592, 1024: 27_166, 2048: 37_161,
                  4096: 45_656, 8192: 69_834, 16384: 115_420, 32768: 220_626},
    "in_tool": {8: 6_248, 64: 10_908, 256: 16_592, 512: 23_300, 1024: 27_939, 2048: 32_215,
                4096: 28_349, 8192: 22_163, 16384: 23_710, 32768: 22_061},
}  # fmt: skip
PUBLISHED_SLOPE = 8.14  # parameters per fact, in weights


def summarise(
    widths: Sequence[int], budget: Budget, by_seed: Sequence[Sequence[FitCell]]
) -> dict[str, Any]:
    """Compute one point of a curve from the cells of each seed.

    status: found if every seed's smallest width is known. Then parameters is the mean over seeds,
    and low and high are the smallest and the largest. Otherwise status is the worst of the seeds'
    statuses (not_reached, open, at_most), and best_recall covers the seeds that found no width.
    The seeds that found one then give no figure: a point covers all seeds, and nothing is
    extrapolated.
    """
    answers = [smallest(widths, {cell.width: cell.reached for cell in cells}) for cells in by_seed]
    states = {status for status, _ in answers}
    order = ("not_reached", "open", "at_most", "found")
    status = next(state for state in order if state in states)
    is_found = status == "found"
    minima = [
        next(cell for cell in cells if cell.width == width)
        for cells, (_, width) in zip(by_seed, answers, strict=True)
        if is_found
    ]
    sizes = [cell.parameters for cell in minima]
    trials = [cell for cells in by_seed for cell in cells]
    failures = [
        cell
        for cells, (seed_status, _) in zip(by_seed, answers, strict=True)
        for cell in cells
        if seed_status != "found"
    ]
    return {
        "status": status,
        "parameters": round(mean(sizes)) if is_found else None,
        "low": min(sizes) if is_found else None,
        "high": max(sizes) if is_found else None,
        "seeds": len(by_seed),
        "seeds_found": sum(status == "found" for status, _ in answers),
        "smallest_by_seed": [
            {"status": status, "width": width} for status, width in answers
        ],
        "largest_tried": max((cell.parameters for cell in trials), default=None),
        "best_recall": max((cell.right / cell.asked for cell in failures or trials), default=None),
        "load": round(mean(cell.bits / cell.parameters for cell in minima), 3) if minima else None,
        "exposures": round(mean(cell.exposures for cell in minima), 1) if minima else None,
        "recall": asdict(_pooled_rate([(cell.right, cell.asked) for cell in minima])),
        "unseen": asdict(_pooled_rate([(c.unseen_right or 0, c.unseen_asked) for c in minima])),
        "unseen_widest": _best_unseen(trials),
        "budget": asdict(budget),
    }  # fmt: skip


def _best_unseen(cells: Sequence[FitCell]) -> dict[str, Any] | None:
    """The best recall of any model for people with unseen first names, and that model's size."""
    asked_cells = [cell for cell in cells if cell.unseen_asked]
    if not asked_cells:
        return None
    best_cell = max(asked_cells, key=lambda cell: (cell.unseen_right or 0) / cell.unseen_asked)
    return {
        "parameters": best_cell.parameters,
        "recall": (best_cell.unseen_right or 0) / best_cell.unseen_asked,
    }


def slope(points: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Parameters per fact and intercept, by least squares; None if fewer than three are found."""
    known_points = [
        (point["facts"], point["parameters"]) for point in points if point["parameters"]
    ]
    if len(known_points) < 3:
        return None
    rise, intercept = np.polyfit(
        [facts for facts, _ in known_points], [size for _, size in known_points], 1
    )
    return float(rise), float(intercept)


def _pooled_rate(counts: Sequence[tuple[int, int]]) -> Rate:
    """The pooled share of several models with Wilson's interval; its value is None for no cases."""
    right_count, asked_count = (
        (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    )
    return rate([True] * right_count + [False] * (asked_count - right_count))
