"""Two or more checkpoints on the same queries: what is, and what is not, distinguishable.

Every test is paired by query. One run of each: McNemar's exact test. Several seeds: each
query's values are averaged over the seeds and the signs of the differences are flipped at
random (a permutation test over queries). It says that these runs differ; whether others would
say the paired t test over the seeds' differences, and the intervals, in which both seeds and
queries are drawn from many. The p-values of one table are corrected together (Holm 1979), those
over queries and those over seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm, ttest_1samp
from scipy.stats import t as student

from tinr.evaluation.metrics import paired_p, rate

RESAMPLES = 10_000
BLOCK = 500  # resamples drawn at a time
LEVEL = 0.05

# One run of a checkpoint: split -> metric -> query's id -> value in [0, 1].
Values = Mapping[str, Mapping[str, Mapping[str, float]]]
Contenders = Mapping[str, Sequence[Values]]  # name -> a run for each seed


@dataclass(frozen=True)
class ComparisonCell:
    """A metric of one contender on one split: mean over seeds of the mean over queries."""

    value: float
    low: float  # 95 %, over seeds and queries; Wilson for one run of hits and misses
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
    low: float  # 95 %, over seeds and queries; Newcombe's for one run each of hits and misses
    high: float
    p: float
    p_holm: float
    n: int
    by_seed: tuple[float, ...]
    p_seeds: float | None = None  # of the paired t test over seeds, after Holm; None: fewer than
    # two pairs, or no spread between them
    error: float = 0.0  # standard error of the difference
    family: int = 1  # differences that are corrected together

    @property
    def distinguishable(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.p_holm < LEVEL

    @property
    def least(self) -> float:
        """The difference that four of five such comparisons would find, at Holm's first step."""
        return float(self.error * (norm.ppf(1 - LEVEL / 2 / self.family) + norm.ppf(0.8)))

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
        return (
            f"{self.other} and {self.first} cannot be told apart in {place}: "
            f"{100 * self.difference:+.1f} points ({figures}); a difference would have to be of "
            f"{100 * self.least:.0f} points to be found in four of five such comparisons."
        )

    def _beyond(self) -> str:
        """What the seeds say of runs that were not made."""
        if len(self.by_seed) < 2:
            return ""
        seeds = f"{len(self.by_seed)} seeds"
        if self.p_seeds is None:
            return f"; {seeds}, the same in each: of others that says nothing"
        shown = "" if self.p_seeds < LEVEL else ": so of these runs, of others it is not shown"
        return f"; {seeds}, p over seeds = {self.p_seeds:.2g} after Holm{shown}"


@dataclass(frozen=True)
class Variance:
    """A standard error, its degrees of freedom, and how many queries it is of."""

    error: float
    freedom: float
    cases: int


def cells(contenders: Contenders, split: str, metric: str) -> dict[str, ComparisonCell]:
    """A metric of all contenders that have it, over the queries that all of those share."""
    having = {n: runs for n, runs in contenders.items() if _shared(runs, split, metric)}
    shared = _shared([run for runs in having.values() for run in runs], split, metric)
    tables = {name: _table(runs, split, metric, shared) for name, runs in having.items()}
    return {name: _cell(table) for name, table in tables.items() if table is not None}


def _cell(table: np.ndarray) -> ComparisonCell:
    means = table.mean(1)
    if _binary(table) and len(table) == 1:
        wilson = rate(list(table[0]))
        assert wilson.low is not None and wilson.high is not None
        low, high = wilson.low, wilson.high
    else:
        low, high = _interval(float(means.mean()), _variance(table), (0.0, 1.0))
    spread = float(means.std(ddof=1)) if len(means) > 1 else None
    return ComparisonCell(float(means.mean()), low, high, spread, table.shape[1], len(means))


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
    found = _variance(two - one) if paired else _apart(one, two)
    value = float(by_query.mean())
    binary = len(one) == len(two) == 1 and _binary(np.concatenate([one, two]))
    low, high = _newcombe(one[0], two[0]) if binary else _interval(value, found, (-1.0, 1.0))
    p = paired_p(list(one[0] > 0), list(two[0] > 0)) if binary else _permutation_p(by_query)
    by_seed = tuple(float(d) for d in (two - one).mean(1)) if paired else ()
    return Difference(
        split, metric, first[0], other[0], value, low, high, p, p, len(by_query), by_seed,
        _seeds_p(by_seed), found.error or (high - low) / 4,
    )  # fmt: skip


def _binary(table: np.ndarray) -> bool:
    return set(np.unique(table)) <= {0.0, 1.0}


def _seeds_p(by_seed: Sequence[float]) -> float | None:
    """Two-sided p of the mean of the seeds' differences; None where no spread is to be seen."""
    if len(set(by_seed)) < 2:
        return None
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


def _interval(value: float, found: Variance, ends: tuple[float, float]) -> tuple[float, float]:
    """95 %, by Student's t; where nothing varies, as far as n cases alike can exclude (n-th root of
    2.5 %)."""
    half = float(student.ppf(1 - LEVEL / 2, found.freedom)) * found.error if found.error else 0.0
    half = half or 1 - (LEVEL / 2) ** (1 / found.cases)
    return max(ends[0], value - half), min(ends[1], value + half)


def _variance(table: np.ndarray) -> Variance:
    """Of the mean of a table (seeds, queries), both drawn from many: two-way analysis of variance.

    (MS of seeds + MS of queries - MS of what is left) / cells, no less than either of the first
    two, with Satterthwaite's degrees of freedom (1946).
    """
    seeds, queries = table.shape
    if queries < 2:
        return Variance(0.0, 1.0, queries)
    of_query = seeds * table.mean(0).var(ddof=1)
    if seeds < 2:
        return Variance((of_query / queries) ** 0.5, queries - 1, queries)
    of_seed = queries * table.mean(1).var(ddof=1)
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    left = float((rest**2).sum()) / ((seeds - 1) * (queries - 1))
    total = max(of_seed + of_query - left, of_seed, of_query)
    parts = of_seed**2 / (seeds - 1) + of_query**2 / (queries - 1)
    freedom = total**2 / parts if parts else 1.0
    return Variance((total / table.size) ** 0.5, max(freedom, seeds - 1), queries)


def _apart(one: np.ndarray, two: np.ndarray) -> Variance:
    """Of the difference of two tables whose seeds are no pairs: both tables' seeds add to it."""
    by_query = two.mean(0) - one.mean(0)
    found = _variance(by_query[None])
    several = [table.mean(1) for table in (one, two) if len(table) > 1]
    seeds = sum(means.var(ddof=1) / len(means) for means in several)
    freedom = min([found.freedom, *(len(means) - 1.0 for means in several)])
    return Variance((found.error**2 + seeds) ** 0.5, freedom, found.cases)


def _newcombe(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """95 % interval of the difference of paired hits and misses (Newcombe 1998, method 10)."""
    n = len(one)
    first, second = rate(list(one)), rate(list(two))
    assert first.low is not None and first.high is not None and first.value is not None
    assert second.low is not None and second.high is not None and second.value is not None
    both, none = float((one * two).sum()), float(((1 - one) * (1 - two)).sum())
    only, other = float((one * (1 - two)).sum()), float(((1 - one) * two).sum())
    odds = both * none - only * other
    scale = ((both + only) * (other + none) * (both + other) * (only + none)) ** 0.5
    alike = max(odds - n / 2, 0.0) if odds > 0 else odds
    phi = alike / scale if scale else 0.0

    def reach(a: float, b: float) -> float:
        return max(0.0, a * a - 2 * phi * a * b + b * b) ** 0.5

    difference = second.value - first.value
    low = difference - reach(second.value - second.low, first.high - first.value)
    high = difference + reach(second.high - second.value, first.value - first.low)
    return low, high


def _permutation_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the mean difference under random signs; at least 1 / (RESAMPLES + 1)."""
    rng = np.random.default_rng(seed)
    least, extreme = abs(differences.mean()) - 1e-12, 0
    for _ in range(RESAMPLES // BLOCK):
        signs = rng.integers(0, 2, (BLOCK, len(differences))) * 2 - 1
        extreme += int((np.abs(signs @ differences) / len(differences) >= least).sum())
    return float((extreme + 1) / (RESAMPLES + 1))


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """The same with Holm's p over queries and over seeds."""
    over_seeds = {i: p for i, one in enumerate(found) if (p := one.p_seeds) is not None}
    seeds = dict(zip(over_seeds, _holm(list(over_seeds.values())), strict=True))
    return [
        replace(one, p_holm=p, p_seeds=seeds.get(i), family=len(found))
        for i, (one, p) in enumerate(zip(found, _holm([one.p for one in found]), strict=True))
    ]


def _holm(given: Sequence[float]) -> list[float]:
    """Smallest first, times how many are left, never falling."""
    order = sorted(range(len(given)), key=lambda i: given[i])
    adjusted, highest = list(given), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, given[index] * (len(given) - place)))
        adjusted[index] = highest
    return adjusted
