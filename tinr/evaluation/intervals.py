"""A measured figure with its interval, its n and what guessing would reach. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinr.evaluation.metrics import rate

RESAMPLES = 2000
BLOCK = 200  # resamples drawn at a time


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval over `n` cases; no n: everything None.

    `chance`: what guessing would reach, `blind`: what this model reached without being told
    which tool it is about; None where that has no meaning or was not measured.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    chance: float | None = None
    blind: float | None = None


def share(hits: Sequence[bool], chance: float | None = None, blind: Sequence[bool] = ()) -> Figure:
    """The share of hits with the Wilson score interval at 95 %, and that of the blind hits."""
    found = rate(hits)
    return Figure(found.value, found.low, found.high, found.n, chance, rate(blind).value)


def ratio(
    sums: Sequence[float],
    counts: Sequence[float],
    seed: int = 0,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Figure:
    """sum(sums) / sum(counts), transformed, over sequences that each bring a sum and a count.

    The interval is the percentile bootstrap over the sequences (Efron & Tibshirani 1993,
    chapter 13), 2,000 resamples: the positions of one sequence are not independent.
    Sequences without a count take no part; none left: no figure, one: no interval.
    """
    kept = [(s, c) for s, c in zip(sums, counts, strict=True) if c]
    if not kept:
        return Figure(None, None, None, 0)
    pairs = np.asarray(kept, dtype=np.float64)
    n, draw = len(pairs), np.random.default_rng(seed)
    even = np.full(n, 1 / n)
    totals = np.concatenate(
        [draw.multinomial(n, even, size=BLOCK) @ pairs for _ in range(RESAMPLES // BLOCK)]
    )
    whole = pairs.sum(0)
    samples, value = totals[:, 0] / totals[:, 1], whole[0] / whole[1]
    if transform is not None:
        samples, value = transform(samples), transform(value)
    if n < 2:
        return Figure(float(value), None, None, n)
    low, high = np.quantile(samples, (0.025, 0.975))
    return Figure(float(value), float(min(low, value)), float(max(high, value)), n)


def plain(figures: dict[str, Figure]) -> dict[str, dict[str, Any]]:
    """The same as plain data for JSON and reports."""
    return {name: asdict(figure) for name, figure in figures.items()}
