"""Compare two or more checkpoints on the same queries: which differences are distinguishable.

Every test is paired by query. One run each: McNemar's exact test. Several seeds: each query's
values are averaged over the seeds, and the signs of the differences are flipped at random (a
permutation test over queries). This test tells whether these runs differ. Queries that share
phrasings are not independent samples: variances grow by `metrics.design_effect`, and p is that of
Student's t with the variance over queries. The paired t test over the seeds' differences tells
whether other runs would differ. The intervals treat both seeds and queries as samples. The
p-values of one table are corrected together (Holm 1979): those over queries as one family, those
over seeds as another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm, ttest_1samp
from scipy.stats import t as student

from tinr.evaluation.metrics import Clusters, design_effect, number_of_clusters, paired_p, rate

RESAMPLES = 10_000
BLOCK = 500  # resamples drawn at a time
LEVEL = 0.05

# One run of a checkpoint: split -> metric -> query id -> value in [0, 1].
Values = Mapping[str, Mapping[str, Mapping[str, float]]]
Contenders = Mapping[str, Sequence[Values]]  # name -> a run for each seed
Phrasings = Mapping[str, Collection[str]]  # query id -> the templates it was made from


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
    """How another contender differs from the first on one split and metric."""

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
    # two pairs of seeds, or equal differences
    error: float = 0.0  # standard error of the difference
    family: int = 1  # differences that are corrected together

    @property
    def distinguishable(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.p_holm < LEVEL

    @property
    def least(self) -> float:
        """The difference detected with 80 % power at Holm's first step."""
        return float(self.error * (norm.ppf(1 - LEVEL / 2 / self.family) + norm.ppf(0.8)))

    def words(self) -> str:
        """The finding in a sentence."""
        place = f"{self.metric} ({self.split})"
        interval = f"95 % {100 * self.low:+.1f} to {100 * self.high:+.1f}"
        figures = f"{interval}, p = {self.p_holm:.2g} after Holm, n = {self.n}"
        if self.distinguishable:
            direction = "better" if self.difference > 0 else "worse"
            points = f"{abs(100 * self.difference):.1f} points"
            finding = (
                f"{self.other} is {direction} than {self.first} on {place} by {points} ({figures})"
            )
            return f"{finding}{self._seeds_clause()}."
        return (
            f"{self.other} and {self.first} cannot be told apart on {place}: "
            f"{100 * self.difference:+.1f} points ({figures}); minimum detectable difference at "
            f"80 % power: {100 * self.least:.0f} points."
        )

    def _seeds_clause(self) -> str:
        """What the seeds say about other seeds, as the end of a sentence."""
        if len(self.by_seed) < 2:
            return ""
        seeds = f"{len(self.by_seed)} seeds"
        if self.p_seeds is None:
            return f"; {seeds}, equal differences: no conclusion for other seeds"
        caveat = "" if self.p_seeds < LEVEL else ": shown for these runs, not for others"
        return f"; {seeds}, p over seeds = {self.p_seeds:.2g} after Holm{caveat}"


@dataclass(frozen=True)
class Variance:
    """A standard error, its degrees of freedom, and the number of cases behind it."""

    error: float
    freedom: float
    cases: int  # queries, or their clusters


def cells(
    contenders: Contenders, split: str, metric: str, phrasings: Phrasings | None = None
) -> dict[str, ComparisonCell]:
    """A metric of every contender that has it, over the queries that they all share."""
    shared_contenders = {
        n: runs for n, runs in contenders.items() if _shared_queries(runs, split, metric)
    }
    queries = _shared_queries(
        [run for runs in shared_contenders.values() for run in runs], split, metric
    )
    tables = {
        name: _table(runs, split, metric, queries) for name, runs in shared_contenders.items()
    }
    clusters = _clusters(queries, phrasings)
    return {name: _cell(table, clusters) for name, table in tables.items() if table is not None}


def _clusters(queries: Sequence[str], phrasings: Phrasings | None) -> Clusters:
    """The phrasings of each query; () if none of them is known."""
    clusters = [(phrasings or {}).get(query, ()) for query in queries]
    return clusters if any(clusters) else ()


def _cell(table: np.ndarray, clusters: Clusters) -> ComparisonCell:
    means = table.mean(1)
    if _binary(table) and len(table) == 1:
        wilson = rate(list(table[0]), clusters)
        assert wilson.low is not None and wilson.high is not None
        low, high = wilson.low, wilson.high
    else:
        low, high = _interval(float(means.mean()), _variance(table, clusters), (0.0, 1.0))
    spread = float(means.std(ddof=1)) if len(means) > 1 else None
    return ComparisonCell(float(means.mean()), low, high, spread, table.shape[1], len(means))


def differences(
    contenders: Contenders, metrics: Sequence[str], phrasings: Phrasings | None = None
) -> list[Difference]:
    """Compare every other contender with the first, on every split and metric that both have."""
    (first, base), *other_contenders = contenders.items()
    splits = list(dict.fromkeys(split for run in base for split in run))
    results = [
        result
        for name, runs in other_contenders
        for split in splits
        for metric in metrics
        if (result := _difference((first, base), (name, runs), split, metric, phrasings))
        is not None
    ]
    return _corrected(results)


def _difference(
    first: tuple[str, Sequence[Values]],
    other: tuple[str, Sequence[Values]],
    split: str,
    metric: str,
    phrasings: Phrasings | None,
) -> Difference | None:
    queries = _shared_queries([*first[1], *other[1]], split, metric)
    table, other_table = (_table(runs, split, metric, queries) for _, runs in (first, other))
    if table is None or other_table is None:
        return None
    clusters = _clusters(queries, phrasings)
    by_query = other_table.mean(0) - table.mean(0)
    has_pairs = len(table) == len(other_table)
    variance = (
        _variance(other_table - table, clusters)
        if has_pairs
        else _unpaired_variance(table, other_table, clusters)
    )
    value = float(by_query.mean())
    is_binary = (
        not clusters
        and len(table) == len(other_table) == 1
        and _binary(np.concatenate([table, other_table]))
    )
    low, high = (
        _newcombe(table[0], other_table[0])
        if is_binary
        else _interval(value, variance, (-1.0, 1.0))
    )
    p = (
        paired_p(list(table[0] > 0), list(other_table[0] > 0))
        if is_binary
        else _t_p(by_query, clusters)
        if clusters
        else _permutation_p(by_query)
    )
    by_seed = tuple(float(d) for d in (other_table - table).mean(1)) if has_pairs else ()
    return Difference(
        split, metric, first[0], other[0], value, low, high, p, p, len(by_query), by_seed,
        _seeds_p(by_seed), variance.error or (high - low) / 4,
    )  # fmt: skip


def _binary(table: np.ndarray) -> bool:
    return set(np.unique(table)) <= {0.0, 1.0}


def _seeds_p(by_seed: Sequence[float]) -> float | None:
    """Two-sided p of the mean of the seeds' differences; None if they do not vary."""
    if len(set(by_seed)) < 2:
        return None
    result: Any = ttest_1samp(by_seed, 0.0)
    return float(result.pvalue)


def _shared_queries(runs: Sequence[Values], split: str, metric: str) -> list[str]:
    """The queries for which every run has a value, in the order of the first run."""
    values = [run.get(split, {}).get(metric, {}) for run in runs]
    return [q for q in values[0] if all(q in by_query for by_query in values[1:])] if values else []


def _table(
    runs: Sequence[Values], split: str, metric: str, queries: Sequence[str]
) -> np.ndarray | None:
    """Values (seeds, queries); None if there are no queries."""
    if not queries:
        return None
    return np.array([[float(run[split][metric][q]) for q in queries] for run in runs])


def _interval(value: float, variance: Variance, ends: tuple[float, float]) -> tuple[float, float]:
    """95 % interval by Student's t, cut at `ends`.

    If nothing varies, the half width is what n equal cases can exclude: 1 - (2.5 %) ** (1 / n).
    """
    half = (
        float(student.ppf(1 - LEVEL / 2, variance.freedom)) * variance.error
        if variance.error
        else 0.0
    )
    half = half or 1 - (LEVEL / 2) ** (1 / variance.cases)
    return max(ends[0], value - half), min(ends[1], value + half)


def _variance(table: np.ndarray, clusters: Clusters = ()) -> Variance:
    """Variance of the mean of a table (seeds, queries): two-way random-effects ANOVA.

    (MS of seeds + MS of queries - residual MS) / cells, not less than either of the first two
    alone, with Satterthwaite's degrees of freedom (1946). The MS of queries is multiplied by the
    design effect of their clusters, and its degrees of freedom are those of the clusters.
    """
    seeds, queries = table.shape
    if queries < 2:
        return Variance(0.0, 1.0, queries)
    units = max(2, number_of_clusters(clusters)) if clusters else queries
    of_query = seeds * table.mean(0).var(ddof=1) * design_effect(table.mean(0), clusters)
    if seeds < 2:
        return Variance((of_query / queries) ** 0.5, units - 1, units)
    of_seed = queries * table.mean(1).var(ddof=1)
    residuals = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    residual_variance = float((residuals**2).sum()) / ((seeds - 1) * (queries - 1))
    total = max(of_seed + of_query - residual_variance, of_seed, of_query)
    parts = of_seed**2 / (seeds - 1) + of_query**2 / (units - 1)
    freedom = total**2 / parts if parts else 1.0
    return Variance((total / table.size) ** 0.5, max(freedom, seeds - 1), units)


def _unpaired_variance(table: np.ndarray, other_table: np.ndarray, clusters: Clusters) -> Variance:
    """Variance of the difference of two tables with unpaired seeds: both seed variances add."""
    by_query = other_table.mean(0) - table.mean(0)
    variance = _variance(by_query[None], clusters)
    seed_means = [t.mean(1) for t in (table, other_table) if len(t) > 1]
    seed_variance = sum(means.var(ddof=1) / len(means) for means in seed_means)
    freedom = min([variance.freedom, *(len(means) - 1.0 for means in seed_means)])
    return Variance((variance.error**2 + seed_variance) ** 0.5, freedom, variance.cases)


def _newcombe(hits: np.ndarray, other_hits: np.ndarray) -> tuple[float, float]:
    """95 % interval of the difference of paired hits and misses (Newcombe 1998, method 10)."""
    n = len(hits)
    first_rate, second_rate = rate(list(hits)), rate(list(other_hits))
    assert (
        first_rate.low is not None and first_rate.high is not None and first_rate.value is not None
    )
    assert (
        second_rate.low is not None
        and second_rate.high is not None
        and second_rate.value is not None
    )
    both, neither = float((hits * other_hits).sum()), float(((1 - hits) * (1 - other_hits)).sum())
    first_only, second_only = (
        float((hits * (1 - other_hits)).sum()),
        float(((1 - hits) * other_hits).sum()),
    )
    determinant = both * neither - first_only * second_only
    scale = (
        (both + first_only)
        * (second_only + neither)
        * (both + second_only)
        * (first_only + neither)
    ) ** 0.5
    corrected = max(determinant - n / 2, 0.0) if determinant > 0 else determinant
    phi = corrected / scale if scale else 0.0

    def distance(a: float, b: float) -> float:
        return max(0.0, a * a - 2 * phi * a * b + b * b) ** 0.5

    difference = second_rate.value - first_rate.value
    low = difference - distance(
        second_rate.value - second_rate.low, first_rate.high - first_rate.value
    )
    high = difference + distance(
        second_rate.high - second_rate.value, first_rate.value - first_rate.low
    )
    return low, high


def _t_p(differences: np.ndarray, clusters: Clusters) -> float:
    """Two-sided p of the mean difference by Student's t, with the variance over clusters."""
    variance = _variance(differences[None], clusters)
    if not variance.error:
        return 1.0
    statistic = abs(float(differences.mean())) / variance.error
    return float(2 * student.sf(statistic, variance.freedom))


def _permutation_p(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the mean difference under random signs; at least 1 / (RESAMPLES + 1)."""
    rng = np.random.default_rng(seed)
    observed, extreme_count = abs(differences.mean()) - 1e-12, 0
    for _ in range(RESAMPLES // BLOCK):
        signs = rng.integers(0, 2, (BLOCK, len(differences))) * 2 - 1
        extreme_count += int((np.abs(signs @ differences) / len(differences) >= observed).sum())
    return float((extreme_count + 1) / (RESAMPLES + 1))


def _corrected(results: Sequence[Difference]) -> list[Difference]:
    """Add Holm's p over queries and over seeds to each difference."""
    over_seeds = {i: p for i, result in enumerate(results) if (p := result.p_seeds) is not None}
    seeds = dict(zip(over_seeds, _holm(list(over_seeds.values())), strict=True))
    return [
        replace(result, p_holm=p, p_seeds=seeds.get(i), family=len(results))
        for i, (result, p) in enumerate(
            zip(results, _holm([result.p for result in results]), strict=True)
        )
    ]


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values: smallest first, times the number left, never falling."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    p_holm, highest = list(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        p_holm[index] = highest
    return p_holm
