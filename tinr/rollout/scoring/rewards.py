"""Pure scoring of parsed replies: format, tool and answer rewards, each in [0, 1].

Exactly right is the only way to the maximum of any of them. What is exactly right is decided
here, for rewards and metrics alike: numbers by their value, and a call that spells out a default
is the call that leaves it out (`without_defaults`). Rewards see parsed replies, never tokenizers;
training, evaluation and `tinr score` all come through `score` or the same comparison.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tinr.records import Call, Query, Reply, Score, ToolDoc

OPPOSITE = {"true": "false", "false": "true"}
OTHERWISE = {"or", "not", "nor", "neither", "never", "cannot"}  # words beside no plain statement
MAGNITUDES = "dozen|hundred|thousand|million|billion|trillion"  # words that change a number
NAMES_SHARE = 0.25  # of the tool reward; the rest is for the calls


@dataclass(frozen=True)
class RewardWeights:
    """Shares of the rewards in the total; a reward that is None takes no share."""

    format: float = 1.0
    tool: float = 1.0
    answer: float = 1.0


def score(
    reply: Reply,
    query: Query,
    weights: RewardWeights | None = None,
    documents: Mapping[str, ToolDoc] | None = None,
) -> Score:
    """All rewards of one reply; `total` is the weighted mean of those that can be scored.

    documents: name -> document, for the defaults; without them a default that is spelled out
    counts as an argument.
    """
    weights = weights or RewardWeights()
    reply, query = in_short(reply, query, documents)
    form, why = format_reward(reply, query)
    tool = tool_reward(reply, query)
    answer = answer_reward(reply, query)
    parts = [(form, weights.format), (tool, weights.tool), (answer, weights.answer)]
    scored = [(value, weight) for value, weight in parts if value is not None]
    shares = sum(weight for _, weight in scored)
    total = sum(value * weight for value, weight in scored) / shares if shares else 0.0
    return Score(form, tool, answer, total, (*why, *_tool_reasons(reply, query, tool, answer)))


def format_reward(reply: Reply, query: Query) -> tuple[float, tuple[str, ...]]:
    """1.0 when the reply has the parts this conversation needs, in order, once; else 0.0.

    Returns the reward and the reasons of a 0. A query that expects calls needs names and
    calls; one that expects none needs a response alone; after an observation a response
    is needed.
    """
    problems = list(reply.problems)
    if query.expects_call and not reply.calls:
        problems.append("no call, but one is expected")
    if not query.expects_call and (reply.calls or reply.named):
        problems.append("a call, but none is expected")
    if reply.response is None and (reply.observed or not query.expects_call):
        problems.append("no <response>")
    return (0.0 if problems else 1.0), tuple(dict.fromkeys(problems))


def tool_reward(reply: Reply, query: Query) -> float:
    """How well the named tools and the calls match the reference.

    NAMES_SHARE of it is the Jaccard index of the named tools, the rest that of the calls
    under the best one-to-one matching, where two calls of one tool are as alike as the
    Jaccard index of their arguments. Extra and repeated names and calls cost. Where the
    reference states no arguments, calls are as alike as their names; where any call will do,
    1.0 for one, else 0.0; where none is expected, 1.0 for a reply that does not try one.
    Source: TInR-U, arXiv 2604.10788 (reward = Jaccard of tools and parameters), with the
    defects of its code mended.
    """
    if query.any_call:
        return float(bool(reply.calls))
    if not query.calls:
        return 0.0 if reply.calls_tools else 1.0
    expected = {call.name for call in query.calls}
    names = _jaccard(len(expected & set(reply.named)), len(expected), len(reply.named))
    alike = matched_similarity(*_comparable(reply, query))
    calls = _jaccard(alike, len(query.calls), len(reply.calls))
    return NAMES_SHARE * names + (1 - NAMES_SHARE) * calls


def _comparable(reply: Reply, query: Query) -> tuple[Sequence[Call], Sequence[Call]]:
    """The calls of both, as far as the reference states them."""
    if query.states_arguments:
        return reply.calls, query.calls
    return [Call(c.name, {}) for c in reply.calls], [Call(c.name, {}) for c in query.calls]


def in_short(
    reply: Reply, query: Query, documents: Mapping[str, ToolDoc] | None
) -> tuple[Reply, Query]:
    """Both with calls that spell no default out, so that they can be compared."""
    if not documents:
        return reply, query
    turns = tuple(_shortened(turn, documents) for turn in query.turns)
    return replace(reply, calls=_shortened(reply.calls, documents)), replace(query, turns=turns)


def _shortened(calls: Sequence[Call], documents: Mapping[str, ToolDoc] | None) -> tuple[Call, ...]:
    return tuple(without_defaults(call, (documents or {}).get(call.name)) for call in calls)


def without_defaults(call: Call, document: ToolDoc | None) -> Call:
    """The call with every argument left out that repeats its default; as it is without document.

    Objects within are shortened first, and so is a default that is one; values are equal as in
    `same_value`. What the schema requires stays: no call is right without it.
    """
    return (
        replace(call, arguments=_short(call.arguments, document.parameters)) if document else call
    )


def _short(value: Any, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, list):
        return [_short(item, schema.get("items")) for item in value]
    if not isinstance(value, Mapping):
        return value
    specs, required = schema.get("properties") or {}, schema.get("required") or ()
    short = {key: _short(inner, specs.get(key)) for key, inner in value.items()}
    return {
        key: inner
        for key, inner in short.items()
        if key in required or not _is_default(inner, specs.get(key))
    }


def _is_default(short: Any, spec: Any) -> bool:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return False
    return same_value(short, _short(spec["default"], spec))


def matched_similarity(given: Sequence[Call], expected: Sequence[Call]) -> float:
    """The largest sum of call similarities over one-to-one matchings of the two lists."""
    if not given or not expected:
        return 0.0
    alike = np.array([[call_similarity(g, e) for e in expected] for g in given])
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return float(alike[rows, columns].sum())


def call_similarity(given: Call, expected: Call) -> float:
    """0 for another tool; else shared (key, value) pairs over the union of keys."""
    if given.name != expected.name:
        return 0.0
    keys = set(given.arguments) | set(expected.arguments)
    if not keys:
        return 1.0
    shared = set(given.arguments) & set(expected.arguments)
    same = sum(same_value(given.arguments[key], expected.arguments[key]) for key in shared)
    return same / len(keys)


def same_calls(
    given: Sequence[Call],
    expected: Sequence[Call],
    documents: Mapping[str, ToolDoc] | None = None,
) -> bool:
    """Exact match of two lists of calls, in any order.

    documents: name -> document, for the defaults.
    """
    given, expected = _shortened(given, documents), _shortened(expected, documents)
    return len(given) == len(expected) == matched_similarity(given, expected)


def same_value(given: Any, expected: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, but true is not 1 and "1" is not 1."""
    if isinstance(given, bool) or isinstance(expected, bool):
        return given is expected
    if isinstance(given, int | float) and isinstance(expected, int | float):
        return given == expected
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(same_value, given, expected))
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        return given.keys() == expected.keys() and all(
            same_value(given[key], expected[key]) for key in given
        )
    return type(given) is type(expected) and given == expected


def answer_reward(reply: Reply, query: Query) -> float | None:
    """1.0 when the response agrees with the reference answer, else 0.0; None without one.

    It agrees when the reference stands in it as whole words and the rest of the response
    brings no number of its own, that is none more often than the query has it, and neither
    denies nor offers a choice: a response that lists many values agrees with nothing.
    """
    if query.answer is None:
        return None
    if reply.response is None:
        return 0.0
    return float(agrees(reply.response, query.answer, query.text))


def agrees(response: str, answer: str, query: str = "") -> bool:
    """Whether a free-text response states the answer (see `answer_reward`)."""
    given, expected = _plain(response), _plain(answer)
    if given == expected:
        return True
    if not expected:
        return False
    bounded = rf"(?<![\w.-]){re.escape(expected)}(?!\w)(?!\.\w)"
    rest, found = re.subn(bounded, " ", given, count=1)
    if not found or len(rest) > 200 + 2 * len(expected):
        return False
    words = set(re.findall(r"[^\W\d_]+", rest))
    if (_numbers(rest) and not words) or words & {OPPOSITE.get(expected), *OTHERWISE}:
        return False  # a list of candidates is no answer
    if re.search(r"n['\u2019]t\b", rest) or re.search(rf"{bounded} (?:{MAGNITUDES})\b", given):
        return False
    return _numbers(rest) <= _numbers(_plain(query)) + _numbers(expected)


def _plain(text: str) -> str:
    """Folded for comparison: case, blanks, end stops, and JSON's quotes do not matter."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, str):
        text = value
    folded = re.sub(r"\s+", " ", text.replace('"', "")).strip().casefold()
    return folded.rstrip(".!")


def _numbers(text: str) -> Counter[float]:
    found = (float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text))
    return Counter(number for number in found if math.isfinite(number))


def _jaccard(shared: float, left: int, right: int) -> float:
    return shared / (left + right - shared)


def _tool_reasons(reply: Reply, query: Query, tool: float, answer: float | None) -> list[str]:
    reasons: list[str] = []
    if tool < 1.0 and query.calls:
        expected = {call.name for call in query.calls}
        reasons += [f"not named: {name}" for name in sorted(expected - set(reply.named))]
        reasons += [f"named without need: {name}" for name in sorted(set(reply.named) - expected)]
        if len(reply.named) != len(set(reply.named)):
            reasons.append("a tool is named twice")
        if not same_calls(*_comparable(reply, query)):
            reasons.append("the calls differ from the reference")
    if answer == 0.0:
        reasons.append("the response does not agree with the answer")
    return reasons
