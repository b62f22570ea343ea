"""What the cells of a study say: the smallest model by facts, with its spread. No torch."""

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
PUBLISHED_SLOPE = 8.14  # parameters a fact, in weights


def summarise(
    widths: Sequence[int], budget: Budget, by_seed: Sequence[Sequence[FitCell]]
) -> dict[str, Any]:
    """One point of a curve out of each seed's cells.

    status: found where every seed's smallest width is known; then parameters is their mean
    and low, high the smallest and the largest. Else the worst of the seeds' statuses
    (not_reached, open, at_most), the best recall of the seeds that found none, and nothing of
    those that did: a point is of all seeds, and nothing is extrapolated.
    """
    answers = [smallest(widths, {cell.width: cell.reached for cell in cells}) for cells in by_seed]
    states = {status for status, _ in answers}
    order = ("not_reached", "open", "at_most", "found")
    status = next(one for one in order if one in states)
    found = status == "found"
    ends = [
        next(cell for cell in cells if cell.width == width)
        for cells, (_, width) in zip(by_seed, answers, strict=True)
        if found
    ]
    sizes = [cell.parameters for cell in ends]
    tried = [cell for cells in by_seed for cell in cells]
    short = [
        cell
        for cells, (said, _) in zip(by_seed, answers, strict=True)
        for cell in cells
        if said != "found"
    ]
    return {
        "status": status,
        "parameters": round(mean(sizes)) if found else None,
        "low": min(sizes) if found else None,
        "high": max(sizes) if found else None,
        "seeds": len(by_seed),
        "seeds_found": sum(status == "found" for status, _ in answers),
        "smallest_by_seed": [
            {"status": status, "width": width} for status, width in answers
        ],
        "largest_tried": max((cell.parameters for cell in tried), default=None),
        "best_recall": max((cell.right / cell.asked for cell in short or tried), default=None),
        "load": round(mean(cell.bits / cell.parameters for cell in ends), 3) if ends else None,
        "exposures": round(mean(cell.exposures for cell in ends), 1) if ends else None,
        "recall": asdict(_pooled([(cell.right, cell.asked) for cell in ends])),
        "unseen": asdict(_pooled([(c.unseen_right or 0, c.unseen_asked) for c in ends])),
        "unseen_widest": _widest(tried),
        "budget": asdict(budget),
    }  # fmt: skip


def _widest(tried: Sequence[FitCell]) -> dict[str, Any] | None:
    """The best recall of people with unseen first names among all models, and its size."""
    asked = [cell for cell in tried if cell.unseen_asked]
    if not asked:
        return None
    best = max(asked, key=lambda cell: (cell.unseen_right or 0) / cell.unseen_asked)
    return {
        "parameters": best.parameters,
        "recall": (best.unseen_right or 0) / best.unseen_asked,
    }


def slope(points: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Parameters a fact and intercept, by least squares over points found; None below three."""
    found = [(one["facts"], one["parameters"]) for one in points if one["parameters"]]
    if len(found) < 3:
        return None
    rise, start = np.polyfit([facts for facts, _ in found], [size for _, size in found], 1)
    return float(rise), float(start)


def _pooled(counts: Sequence[tuple[int, int]]) -> Rate:
    """A share over several models with Wilson's interval; no cases: None."""
    right, asked = (sum(one) for one in zip(*counts, strict=True)) if counts else (0, 0)
    return rate([True] * right + [False] * (asked - right))
