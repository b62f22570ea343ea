"""Two or more checkpoints on the same queries: what is, and what is not, distinguishable.

Every test is paired by query. One run of each: McNemar's exact test. Several seeds: each
query's values are averaged over the seeds and the signs of the differences are flipped at
random (a permutation test over queries). It says that these runs differ; whether others would
say the paired t test over the seeds' differences, and the intervals, which are drawn over
seeds and queries. The p-values of one table are corrected together (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import ttest_1samp

from tinr.metrics import paired_p, rate

RESAMPLES = 10_000
BLOCK = 500  # resamples drawn at a time
LEVEL = 0.05

# One run of a checkpoint: split -> metric -> query's id -> value in [0, 1].
Values = Mapping[str, Mapping[str, Mapping[str, float]]]
Contenders = Mapping[str, Sequence[Values]]  # name -> a run for each seed


@dataclass(frozen=True)
class Cell:
    """A metric of one contender on one split: mean over seeds of the mean over queries."""

    value: float
    low: float  # 95 %, bootstrap over seeds and queries; Wilson for one run of hits and misses
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
    low: float  # 95 %, bootstrap over seeds and queries
    high: float
    p: float
    p_holm: float
    n: int
    by_seed: tuple[float, ...]
    p_seeds: float | None = None  # of the paired t test over seeds; None: fewer than two pairs

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
            said = f"{self.other} is {which} than {self.first} in {place} by {points} ({figures})"
            return f"{said}{self._beyond()}."
        least = 100 * (self.high - self.low) / 2
        return (
            f"{self.other} and {self.first} cannot be told apart in {place}: "
            f"{100 * self.difference:+.1f} points ({figures}); with so many queries a difference "
            f"of less than about {least:.0f} points stays unseen."
        )

    def _beyond(self) -> str:
        """What the seeds say of runs that were not made."""
        if self.p_seeds is None:
            return ""
        seeds = f"{len(self.by_seed)} seeds, p over seeds = {self.p_seeds:.2g}"
        shown = "" if self.p_seeds < LEVEL else ": so of these runs, of others it is not shown"
        return f"; {seeds}{shown}"


def cells(contenders: Contenders, split: str, metric: str) -> dict[str, Cell]:
    """A metric of all contenders that have it, over the queries that all of those share."""
    having = {n: runs for n, runs in contenders.items() if _shared(runs, split, metric)}
    shared = _shared([run for runs in having.values() for run in runs], split, metric)
    tables = {name: _table(runs, split, metric, shared) for name, runs in having.items()}
    return {name: _cell(table) for name, table in tables.items() if table is not None}


def _cell(table: np.ndarray) -> Cell:
    means = table.mean(1)
    low, high = _bootstrap(table)
    if _binary(table) and len(table) == 1:  # a bootstrap of 0 of 3 would be sure of it
        wilson = rate(list(table[0]))
        assert wilson.low is not None and wilson.high is not None
        low, high = wilson.low, wilson.high
    spread = float(means.std(ddof=1)) if len(means) > 1 else None
    return Cell(float(means.mean()), low, high, spread, table.shape[1], len(means))


def differences(contenders: Contenders, metrics: Sequence[str]) -> list[Difference]:
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
    paired = len(one) == len(two)
    low, high = _bootstrap(two - one) if paired else _bootstrap(two, one)
    binary = len(one) == len(two) == 1 and _binary(np.concatenate([one, two]))
    p = paired_p(list(one[0] > 0), list(two[0] > 0)) if binary else _permutation_p(by_query)
    by_seed = tuple(float(d) for d in (two - one).mean(1)) if paired else ()
    value = float(by_query.mean())
    return Difference(
        split, metric, first[0], other[0], value, low, high, p, p, len(by_query), by_seed,
        _seeds_p(by_seed),
    )  # fmt: skip


def _binary(table: np.ndarray) -> bool:
    return set(np.unique(table)) <= {0.0, 1.0}


def _seeds_p(by_seed: Sequence[float]) -> float | None:
    """Two-sided p of the mean of the seeds' differences; 0 or 1 where all are the same."""
    if len(by_seed) < 2:
        return None
    if len(set(by_seed)) == 1:
        return float(by_seed[0] == 0)
    found: Any = ttest_1samp(by_seed, 0.0)
    return float(found.pvalue)


def _shared(runs: Sequence[Values], split: str, metric: str) -> list[str]:
    """The queries that every run has a value of, in the order of the first run."""
    values = [run.get(split, {}).get(metric, {}) for run in runs]
    return [q for q in values[0] if all(q in one for one in values[1:])] if values else []


def _table(
    runs: Sequence[Values], split: str, metric: str, queries: Sequence[str]
) -> np.ndarray | None:
    """Values (seeds, queries); None where there is none."""
    if not queries:
        return None
    return np.array([[float(run[split][metric][q]) for q in queries] for run in runs])


def _bootstrap(
    values: np.ndarray, less: np.ndarray | None = None, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the mean of values (seeds, queries), both drawn anew.

    less: (other seeds, the same queries), whose mean is taken off, its seeds drawn apart.
    """
    rng = np.random.default_rng(seed)
    count = values.shape[1]

    def seed_shares(table: np.ndarray) -> np.ndarray:
        runs = len(table)
        return rng.multinomial(runs, np.full(runs, 1 / runs), BLOCK) / runs  # (BLOCK, seeds)

    means = []
    for _ in range(RESAMPLES // BLOCK):
        queries = rng.multinomial(count, np.full(count, 1 / count), BLOCK) / count
        drawn = seed_shares(values) @ values
        if less is not None:
            drawn = drawn - seed_shares(less) @ less
        means.append((drawn * queries).sum(1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _permutation_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the mean difference under random signs; at least 1 / (RESAMPLES + 1)."""
    rng = np.random.default_rng(seed)
    least, extreme = abs(differences.mean()) - 1e-12, 0
    for _ in range(RESAMPLES // BLOCK):
        signs = rng.integers(0, 2, (BLOCK, len(differences))) * 2 - 1
        extreme += int((np.abs(signs @ differences) / len(differences) >= least).sum())
    return float((extreme + 1) / (RESAMPLES + 1))


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's p: smallest first, times how many are left, never falling."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    adjusted, highest = list(found), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, found[index].p * (len(found) - place)))
        adjusted[index] = replace(found[index], p_holm=highest)
    return adjusted
