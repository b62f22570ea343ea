"""A measured figure with its interval, its n and its chance level. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinr.evaluation.metrics import rate

RESAMPLES = 2000
BLOCK = 200  # resamples drawn at a time


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval over `n` cases; if n is 0, everything is None.

    `chance`: the expected value of a guess. `blind`: the value of this model if it is not told
    which tool the question is about. None: undefined or not measured.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    chance: float | None = None
    blind: float | None = None


def share(hits: Sequence[bool], chance: float | None = None, blind: Sequence[bool] = ()) -> Figure:
    """The share of hits with its 95 % Wilson score interval, and the share of blind hits."""
    hit_rate = rate(hits)
    return Figure(
        hit_rate.value, hit_rate.low, hit_rate.high, hit_rate.n, chance, rate(blind).value
    )


def ratio(
    sums: Sequence[float],
    counts: Sequence[float],
    seed: int = 0,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Figure:
    """sum(sums) / sum(counts), transformed, over sequences with a sum and a count each.

    The interval is the percentile bootstrap over the sequences (Efron & Tibshirani 1993,
    chapter 13), 2,000 resamples: the positions of one sequence are not independent.
    Sequences with count 0 are left out. If none is left, the value is None; if one is left, the
    interval is None.
    """
    counted_pairs = [(s, c) for s, c in zip(sums, counts, strict=True) if c]
    if not counted_pairs:
        return Figure(None, None, None, 0)
    pairs = np.asarray(counted_pairs, dtype=np.float64)
    n, rng = len(pairs), np.random.default_rng(seed)
    weights = np.full(n, 1 / n)
    resampled_sums = np.concatenate(
        [rng.multinomial(n, weights, size=BLOCK) @ pairs for _ in range(RESAMPLES // BLOCK)]
    )
    sums_and_counts = pairs.sum(0)
    samples, value = (
        resampled_sums[:, 0] / resampled_sums[:, 1],
        sums_and_counts[0] / sums_and_counts[1],
    )
    if transform is not None:
        samples, value = transform(samples), transform(value)
    if n < 2:
        return Figure(float(value), None, None, n)
    low, high = np.quantile(samples, (0.025, 0.975))
    return Figure(float(value), float(min(low, value)), float(max(high, value)), n)


def plain(figures: dict[str, Figure]) -> dict[str, dict[str, Any]]:
    """Figures as plain data for JSON and reports."""
    return {name: asdict(figure) for name, figure in figures.items()}
