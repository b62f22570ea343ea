"""Counts into rates with intervals, and tests between them. Pure; every denominator is whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from scipy.stats import binomtest

from tinr.records import Call, Query, Reply, ToolDoc
from tinr.rollout.scoring.matching import lenient_calls, strict_calls
from tinr.rollout.scoring.rewards import (
    answer_reward,
    format_reward,
    in_short,
    matched_similarity,
    same_calls,
)


@dataclass(frozen=True)
class Rate:
    """A share of `n` with its 95 % interval, all in [0, 1]; no n: value None."""

    value: float | None
    n: int
    low: float | None
    high: float | None


def rate(outcomes: Sequence[bool | float]) -> Rate:
    """Mean of outcomes in [0, 1] with the Wilson score interval (Wilson 1927) at 95 %."""
    n = len(outcomes)
    if not n:
        return Rate(None, 0, None, None)
    value = sum(float(outcome) for outcome in outcomes) / n
    z = 1.959963984540054
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (value * (1 - value) / n + z * z / (4 * n * n)) ** 0.5
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Rate(value, n, min(low, value), max(high, value))  # rounding must not part them


def paired_p(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p of McNemar's exact test: the same queries under two checkpoints."""
    pairs = list(zip(before, after, strict=True))
    gained = sum(not b and a for b, a in pairs)
    lost = sum(b and not a for b, a in pairs)
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


@dataclass(frozen=True)
class Outcome:
    """What one reply got right. None where the query has nothing to measure it by."""

    name_em: bool | None  # the called tools are the reference's
    call_em: bool | None  # the calls are the reference's: by value, in any order, defaults or not
    call_em_strict: bool | None  # to the letter: 1 is not 1.0, parallel calls in their order
    call_em_lenient: bool | None  # also alternatives that are accepted, and texts by their letters
    tool_acc: float | None  # share of reference tools among the called ones
    param_acc: float | None  # Jaccard index of the arguments, each call matched with one
    answer_acc: bool | None  # the response agrees with what the reference calls return
    format_ok: bool
    abstain_acc: bool | None  # an answer without a call, where none is expected
    call_em_v05: bool | None = None  # call_em as 0.5.0 had it: a default spelled out is wrong


def outcome(
    reply: Reply,
    query: Query,
    documents: Mapping[str, ToolDoc] | None = None,
    same: Mapping[str, str] | None = None,
) -> Outcome:
    """The metrics of one reply; names and calls are judged as they were called.

    documents: name -> document, for defaults; without them one that is spelled out counts as an
    argument. same: tools that count as one. A query whose reference states no arguments has only
    its names judged; one that any call answers, only whether there was a call.
    """
    if query.any_call:
        called = bool(reply.calls)
        form = called and not reply.problems
        return Outcome(None, called, called, called, None, None, None, form, None, called)
    stated = query.states_arguments
    lenient = lenient_calls(reply.calls, query, documents or {}, same) if stated else None
    short, wanted = in_short(reply, query, documents)  # by its own document, before any renaming
    if same:
        reply, query = as_one(reply, query, same)
        short, wanted = as_one(short, wanted, same)
    form = format_reward(reply, query)[0] == 1.0
    answered = answer_reward(reply, query)
    answer = None if answered is None else answered == 1.0
    if not query.calls:
        answers = bool(reply.response) and not reply.calls_tools
        return Outcome(None, None, None, None, None, None, answer, form, abstain_acc=answers)
    given = sorted(call.name for call in reply.calls)
    expected = sorted(call.name for call in query.calls)
    return Outcome(
        name_em=given == expected,
        call_em=same_calls(short.calls, wanted.calls) if stated else None,
        call_em_strict=strict_calls(reply.calls, query) if stated else None,
        call_em_lenient=lenient,
        tool_acc=len(set(given) & set(expected)) / len(set(expected)),
        param_acc=matched_similarity(short.calls, wanted.calls) / len(query.calls)
        if stated
        else None,
        answer_acc=answer,
        format_ok=form,
        abstain_acc=None,
        call_em_v05=same_calls(reply.calls, query.calls) if stated else None,
    )


def as_one(reply: Reply, query: Query, same: Mapping[str, str]) -> tuple[Reply, Query]:
    """Both with tools that count as equivalent under one name; `same`: name -> that name."""

    def renamed(call: Call) -> Call:
        return replace(call, name=same.get(call.name, call.name))

    named = tuple(dict.fromkeys(same.get(name, name) for name in reply.named))
    turns = tuple(tuple(map(renamed, turn)) for turn in query.turns)
    calls = tuple(map(renamed, reply.calls))
    return replace(reply, named=named, calls=calls), replace(query, turns=turns)


METRICS = tuple(field.name for field in fields(Outcome))
UNPRINTED = ("call_em_v05",)  # beside its successor for one version: in JSON, in no table


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Rate]:
    """Every metric over the outcomes that have it; all replies count, empty ones too."""
    return {
        metric: rate([v for o in outcomes if (v := getattr(o, metric)) is not None])
        for metric in METRICS
    }
