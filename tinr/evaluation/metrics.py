"""Rates with intervals, and tests between them. Pure; every denominator is the full set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import binomtest
from scipy.stats import t as student

from tinr.catalogue.similar import groups, near_duplicates
from tinr.records import Call, Query, Reply, ToolDoc
from tinr.rollout.scoring.matching import lenient_calls, strict_calls
from tinr.rollout.scoring.rewards import (
    answer_reward,
    format_reward,
    matched_similarity,
    same_calls,
    without_written_defaults,
)

Clusters = Sequence[Collection[str]]  # per value the names of its clusters


@dataclass(frozen=True)
class Rate:
    """A share of `n` with its 95 % interval, all in [0, 1]; the value is None if n is 0."""

    value: float | None
    n: int
    low: float | None
    high: float | None
    effective: float | None = None  # equivalent independent outcomes; None: all n are


def rate(outcomes: Sequence[bool | float], clusters: Clusters = ()) -> Rate:
    """Mean of outcomes in [0, 1] with the Wilson score interval (Wilson 1927) at 95 %.

    clusters: those of each outcome. Outcomes that share a cluster are not independent: the
    interval is that of fewer outcomes, see `effective_count`.
    """
    n = len(outcomes)
    if not n:
        return Rate(None, 0, None, None)
    values = np.array(outcomes, dtype=np.float64)
    value, count = float(values.mean()), effective_count(values, clusters)
    z = 1.959963984540054
    shrink = 1 + z * z / count
    centre = (value + z * z / (2 * count)) / shrink
    half_width = z / shrink * (value * (1 - value) / count + z * z / (4 * count * count)) ** 0.5
    low, high = max(0.0, centre - half_width), min(1.0, centre + half_width)
    # rounding must not push the value outside
    return Rate(value, n, min(low, value), max(high, value), count if clusters else None)


def effective_count(values: np.ndarray, clusters: Clusters) -> float:
    """The number of independent outcomes as informative as `values` (n,); from 1 to n.

    n / `design_effect`, times (t of n - 1 / t of G - 1 degrees of freedom) ** 2 at 95 % for G
    clusters (Korn and Graubard 1998).
    """
    n = len(values)
    if not clusters:
        return float(n)
    freedom = max(1, number_of_clusters(clusters) - 1)
    few = (student.ppf(0.975, max(1, n - 1)) / student.ppf(0.975, freedom)) ** 2
    return float(max(1.0, min(n, n / design_effect(values, clusters) * few)))


def design_effect(values: np.ndarray, clusters: Clusters) -> float:
    """The factor by which clusters raise the variance of the mean; at least 1.

    values: (n,) in [-1, 1]. clusters: one or several per value, or none if the value is
    independent; (): all values are independent. The variance is the sum of the products of
    residuals over all pairs that share a cluster (Cameron, Gelbach and Miller 2011, with
    overlapping clusters), corrected for few clusters. One more cluster of mean size is added, all
    of the rarer outcome: if nearly all values are equal, it stands for a phrasing that could have
    failed as a whole.
    """
    if not clusters or not len(values):
        return 1.0
    numbers = _numbered(clusters)
    own_numbers = [
        [numbers[name] for name in set(own) or {row}] for row, own in enumerate(clusters)
    ]
    size = max(1, round(len(values) / len(numbers)))
    rare = min((0.0, 1.0), key=lambda outcome: abs((values == outcome).mean()))
    values = np.append(values, np.full(size, rare))
    own_numbers += [[len(numbers)]] * size
    n, count = len(values), len(numbers) + 1
    residuals = values - values.mean()
    rows = [row for row, own in enumerate(own_numbers) for _ in own]
    columns = list(chain.from_iterable(own_numbers))
    incidence = csr_matrix((np.ones(len(rows)), (rows, columns)), (n, count))
    shares = (incidence @ incidence.T).astype(bool)  # whether two values share a cluster
    spread = float(residuals @ residuals)
    if not spread:
        return 1.0
    pairs = float(residuals @ (shares @ residuals))
    return max(1.0, pairs / spread * count / (count - 1) * (n - 1) / n)


def number_of_clusters(clusters: Clusters) -> int:
    """The number of clusters; a value without one is a cluster of its own."""
    return len(_numbered(clusters))


def _numbered(clusters: Clusters) -> dict[str | int, int]:
    """Cluster -> number; a value without one is a cluster of its own, keyed by its row."""
    names = chain.from_iterable(set(own) or {row} for row, own in enumerate(clusters))
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def paired_p(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p of McNemar's exact test: the same queries under two checkpoints."""
    pairs = list(zip(before, after, strict=True))
    gains = sum(not b and a for b, a in pairs)
    losses = sum(b and not a for b, a in pairs)
    return float(binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0


@dataclass(frozen=True)
class Outcome:
    """What one reply got right; None if the metric does not apply to the query."""

    name_em: bool | None  # the called tools are the reference's
    family_em: bool | None  # ... or neighbours of them, with similar documents
    call_em: bool | None  # the calls are the reference's: by value, in any order, ignoring defaults
    call_em_strict: bool | None  # exactly: 1 is not 1.0, parallel calls in order
    call_em_lenient: bool | None  # accepts alternatives; ignores case and punctuation of texts
    tool_acc: float | None  # share of reference tools that were called
    param_acc: float | None  # Jaccard index of the arguments, calls matched one to one
    answer_acc: bool | None  # the response agrees with what the reference calls return
    format_ok: bool
    abstain_acc: bool | None  # an answer without a call, where none is expected
    mended: bool | None = None  # after a failed call: well formed, and the other calls are right


def outcome(
    reply: Reply,
    query: Query,
    documents: Mapping[str, ToolDoc] | None = None,
    same: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
) -> Outcome:
    """The metrics of one reply; names and calls are judged as the model wrote them.

    documents: name -> document, for defaults; without them a written-out default counts as an
    argument. same: tools that count as one. families: tool -> its family, see `families_of`. If
    a query's reference states no arguments, only names are judged. If any call answers the query,
    only the presence of a call is judged.
    """
    if query.any_call:
        has_call = bool(reply.calls)
        is_formed = has_call and not reply.problems
        return Outcome(None, None, has_call, has_call, has_call, None, None, None, is_formed, None)
    has_arguments = query.states_arguments
    lenient_match = (
        lenient_calls(reply.calls, query, documents or {}, same) if has_arguments else None
    )
    # uses each call's own document, so it comes before tools are renamed
    short_reply, short_query = without_written_defaults(reply, query, documents)
    if same:
        reply, query = as_one(reply, query, same)
        short_reply, short_query = as_one(short_reply, short_query, same)
    is_formed = format_reward(reply, query)[0] == 1.0
    answer_score = answer_reward(reply, query)
    answer = None if answer_score is None else answer_score == 1.0
    if not query.calls:
        answers = bool(reply.response) and not reply.calls_tools
        return Outcome(
            None, None, None, None, None, None, None, answer, is_formed, abstain_acc=answers
        )
    effective_calls = [call for n, call in enumerate(short_reply.calls) if n not in reply.failed]
    called_names = sorted(_tried_names(reply))
    expected_names = sorted(call.name for call in query.calls)
    family = families or {}
    return Outcome(
        name_em=called_names == expected_names,
        family_em=None
        if families is None
        else sorted(family.get(name, name) for name in called_names)
        == sorted(family.get(name, name) for name in expected_names),
        call_em=same_calls(short_reply.calls, short_query.calls) if has_arguments else None,
        call_em_strict=strict_calls(reply.calls, query) if has_arguments else None,
        call_em_lenient=lenient_match,
        tool_acc=len(set(called_names) & set(expected_names)) / len(set(expected_names)),
        param_acc=matched_similarity(short_reply.calls, short_query.calls) / len(query.calls)
        if has_arguments
        else None,
        answer_acc=answer,
        format_ok=is_formed,
        abstain_acc=None,
        mended=is_formed and same_calls(effective_calls, short_query.calls)
        if reply.failed and has_arguments
        else None,
    )


def _tried_names(reply: Reply) -> list[str]:
    """The names of a reply's calls; a failed call that is tried again counts once."""
    names = [call.name for call in reply.calls]
    retried = {n for n in reply.failed if names[n] in names[n + 1 :]}
    return [name for n, name in enumerate(names) if n not in retried]


def as_one(reply: Reply, query: Query, same: Mapping[str, str]) -> tuple[Reply, Query]:
    """Give equivalent tools one name in reply and query; `same`: name -> that name."""

    def with_one_name(call: Call) -> Call:
        return replace(call, name=same.get(call.name, call.name))

    names = tuple(dict.fromkeys(same.get(name, name) for name in reply.named))
    turns = tuple(tuple(map(with_one_name, turn)) for turn in query.turns)
    calls = tuple(map(with_one_name, reply.calls))
    return replace(reply, named=names, calls=calls), replace(query, turns=turns)


def families_of(tools: Sequence[ToolDoc]) -> dict[str, str]:
    """Tool -> first name of its family: tools linked by similar documents, directly or in steps.

    A tool without neighbours is its own family. Naming a tool means finding its family, then the
    tool in it: the rate of name_em is that of family_em times that of `name_in_family`.
    """
    groups_of_names = groups(near_duplicates(tools, FAMILY))
    return {name: group[0] for group in groups_of_names for name in group}


FAMILY = 0.35  # minimum cosine of neighbouring documents
METRICS = tuple(field.name for field in fields(Outcome))
IN_FAMILY = "name_in_family"  # share with the right tool among queries with the right family


def summarise(outcomes: Sequence[Outcome], phrasings: Clusters = ()) -> dict[str, Rate]:
    """Every metric over the outcomes that have it; all replies count, including empty ones.

    phrasings: per outcome those of its query; they are the clusters of `rate`.
    """
    pairs = list(zip(outcomes, phrasings or [()] * len(outcomes), strict=True))

    def of(values: Sequence[tuple[bool | float | None, Collection[str]]]) -> Rate:
        known = [(value, clusters) for value, clusters in values if value is not None]
        return rate([value for value, _ in known], [clusters for _, clusters in known])

    rates = {metric: of([(getattr(o, metric), own) for o, own in pairs]) for metric in METRICS}
    rates[IN_FAMILY] = of([(bool(o.name_em), own) for o, own in pairs if o.family_em])
    return rates
