"""Two or more checkpoints on the same queries: what is, and what is not, distinguishable.

Every test is paired by query. One run of each: McNemar's exact test. Several seeds: each
query's values are averaged over the seeds and the signs of the differences are flipped at
random (a permutation test over queries); the spread between seeds is shown beside it. The
p-values of one table are corrected together (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinr.metrics import paired_p

RESAMPLES = 10_000
LEVEL = 0.05

# One run of a checkpoint: split -> metric -> query's id -> value in [0, 1].
Values = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Cell:
    """A metric of one contender on one split: mean over seeds of the mean over queries."""

    value: float
    low: float  # 95 %, bootstrap over queries
    high: float
    spread: float | None  # standard deviation between seeds; None: one seed
    n: int  # queries
    seeds: int


@dataclass(frozen=True)
class Difference:
    """How another contender differs from the first one on one split and metric."""

    split: str
    metric: str
    first: str
    other: str
    difference: float  # other - first
    low: float  # 95 %, bootstrap over queries
    high: float
    p: float
    p_holm: float
    n: int
    by_seed: tuple[float, ...]

    @property
    def distinguishable(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.p_holm < LEVEL

    def words(self) -> str:
        """The finding in a sentence."""
        place = f"{self.metric} of {self.split}"
        interval = f"95 % {100 * self.low:+.1f} to {100 * self.high:+.1f}"
        figures = f"{interval}, p = {self.p_holm:.2g} after Holm, n = {self.n}"
        if self.distinguishable:
            which = "better" if self.difference > 0 else "worse"
            points = f"{abs(100 * self.difference):.1f} points"
            return f"{self.other} is {which} than {self.first} in {place} by {points} ({figures})."
        least = 100 * (self.high - self.low) / 2
        return (
            f"{self.other} and {self.first} cannot be told apart in {place}: "
            f"{100 * self.difference:+.1f} points ({figures}); with so many queries a difference "
            f"of less than about {least:.0f} points stays unseen."
        )


def cell(runs: Sequence[Values], split: str, metric: str) -> Cell | None:
    """A contender's metric over its seeds; None where it has none."""
    table = _table(runs, split, metric)
    if table is None:
        return None
    means = table.mean(1)
    low, high = _bootstrap(table.mean(0))
    spread = float(means.std(ddof=1)) if len(means) > 1 else None
    return Cell(float(means.mean()), low, high, spread, table.shape[1], len(means))


def differences(
    contenders: Mapping[str, Sequence[Values]], metrics: Sequence[str]
) -> list[Difference]:
    """Every other contender against the first, on every split and metric that both have."""
    (first, base), *others = contenders.items()
    splits = list(dict.fromkeys(split for run in base for split in run))
    found = [
        made
        for name, runs in others
        for split in splits
        for metric in metrics
        if (made := _difference((first, base), (name, runs), split, metric)) is not None
    ]
    return _corrected(found)


def _difference(
    first: tuple[str, Sequence[Values]],
    other: tuple[str, Sequence[Values]],
    split: str,
    metric: str,
) -> Difference | None:
    shared = _shared([*first[1], *other[1]], split, metric)
    one, two = (_table(runs, split, metric, shared) for _, runs in (first, other))
    if one is None or two is None:
        return None
    by_query = two.mean(0) - one.mean(0)
    low, high = _bootstrap(by_query)
    binary = len(one) == len(two) == 1 and set(np.unique([one, two])) <= {0.0, 1.0}
    p = paired_p(list(one[0] > 0), list(two[0] > 0)) if binary else _permutation_p(by_query)
    paired = len(one) == len(two)
    by_seed = tuple(float(d) for d in (two - one).mean(1)) if paired else ()
    value = float(by_query.mean())
    return Difference(
        split, metric, first[0], other[0], value, low, high, p, p, len(by_query), by_seed
    )


def _shared(runs: Sequence[Values], split: str, metric: str) -> list[str]:
    """The queries that every run has a value of, in the order of the first run."""
    values = [run.get(split, {}).get(metric, {}) for run in runs]
    return [q for q in values[0] if all(q in one for one in values[1:])] if values else []


def _table(
    runs: Sequence[Values], split: str, metric: str, queries: Sequence[str] | None = None
) -> np.ndarray | None:
    """Values (seeds, queries); None where there is none."""
    queries = _shared(runs, split, metric) if queries is None else queries
    if not queries:
        return None
    return np.array([[float(run[split][metric][q]) for q in queries] for run in runs])


def _bootstrap(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over queries."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def _permutation_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the mean difference under random signs; at least 1 / (RESAMPLES + 1)."""
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, (RESAMPLES, len(differences))) * 2 - 1
    drawn = np.abs((signs * differences).mean(1))
    extreme = (drawn >= abs(differences.mean()) - 1e-12).sum()
    return float((extreme + 1) / (RESAMPLES + 1))


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's p: smallest first, times how many are left, never falling."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    adjusted, highest = list(found), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, found[index].p * (len(found) - place)))
        adjusted[index] = replace(found[index], p_holm=highest)
    return adjusted
