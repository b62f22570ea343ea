"""Pure scoring of parsed replies: rewards, each in [0, 1].

Only an exactly right reply gets the maximum of a reward. This module defines exactly right for
rewards and metrics alike: numbers are compared by value, and a call with a default written out
equals the call without it (`without_defaults`). Rewards see parsed replies, never tokenizers.
Training and `tinr score` use `score`; evaluation (`tinr.evaluation.metrics`) compares in the same
way.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from typing_extensions import Doc

from tinr.config import Weight
from tinr.records import BadInput, Call, Query, Reply, Score, ToolDoc

OPPOSITE = {"true": "false", "false": "true"}
OTHERWISE = {
    "or",
    "not",
    "nor",
    "neither",
    "never",
    "cannot",
}  # words that do not occur in a plain statement
MAGNITUDES = "dozen|hundred|thousand|million|billion|trillion"  # words that change a number
FAILED_COST = 0.1  # cost of a failed call without a match, as a share of an extra call's cost
NAMES_SHARE = 0.25  # share of the tool reward; the rest is for the calls


@dataclass(frozen=True)
class RewardWeights:
    """Weights of the rewards in the total; a reward that is None has no weight."""

    format: Annotated[Weight, Doc("all required parts, once and in order")] = 1.0
    tool: Annotated[Weight, Doc("the right names and calls")] = 1.0
    answer: Annotated[Weight, Doc("the response agrees with the reference")] = 1.0

    def __post_init__(self) -> None:
        if not any(vars(self).values()):
            raise BadInput("weights: all are 0, so nothing is rewarded; give one reward a weight")


def score(
    reply: Reply,
    query: Query,
    weights: RewardWeights | None = None,
    documents: Mapping[str, ToolDoc] | None = None,
) -> Score:
    """Compute all rewards of a reply; `total` is the weighted mean of those that are not None.

    documents: name -> document, for the defaults; without it, a written-out default counts as an
    argument.
    """
    weights = weights or RewardWeights()
    reply, query = without_written_defaults(reply, query, documents)
    form, reasons = format_reward(reply, query)
    tool, answer = tool_reward(reply, query), answer_reward(reply, query)
    parts = {"format": form, "tool": tool, "answer": answer}
    weighted = [(v, getattr(weights, name)) for name, v in parts.items() if v is not None]
    shares = sum(weight for _, weight in weighted)
    total = sum(value * weight for value, weight in weighted) / shares if shares else 0.0
    reasons = (*reasons, *_reasons(reply, query, tool, answer))
    return Score(**parts, total=total, why=reasons)


def format_reward(reply: Reply, query: Query) -> tuple[float, tuple[str, ...]]:
    """Return 1.0 if the reply has the required parts, once and in order, else 0.0; and the reasons.

    The reasons are those of a 0. A query that expects calls needs names and calls. A query that
    expects none needs only a response. After an observation, a response is needed.
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
    """Score how well the named tools and the calls match the reference.

    NAMES_SHARE of it is the Jaccard index of the named tools. The rest is that of the calls under
    the best one-to-one matching, where the similarity of two calls of one tool is the Jaccard
    index of their arguments. Extra and repeated names and calls lower it. A failed call that was
    corrected counts FAILED_COST of an extra one, so that a correction pays more than none. If the
    reference has no arguments, only names are compared. If the query accepts any call, it is 1.0
    for a reply with a call, else 0.0. If no call is expected, it is 1.0 for a reply without one.
    Source: TInR-U, arXiv 2604.10788 (reward = Jaccard of tools and parameters), with a defect
    of its code fixed.
    """
    if query.any_call:
        return float(bool(reply.calls))
    if not query.calls:
        return 0.0 if reply.calls_tools else 1.0
    expected_names = {call.name for call in query.calls}
    names = _jaccard(len(expected_names & set(reply.named)), len(expected_names), len(reply.named))
    matched_places, similarity = _match(*_comparable_calls(reply, query))
    spared = len({*reply.failed} - matched_places) * (1 - FAILED_COST)
    calls = _jaccard(similarity, len(query.calls), len(reply.calls) - spared)
    return NAMES_SHARE * names + (1 - NAMES_SHARE) * calls


def _comparable_calls(reply: Reply, query: Query) -> tuple[Sequence[Call], Sequence[Call]]:
    """Return the calls of both, without arguments if the reference has none."""
    if query.states_arguments:
        return reply.calls, query.calls
    return [Call(c.name, {}) for c in reply.calls], [Call(c.name, {}) for c in query.calls]


def without_written_defaults(
    reply: Reply, query: Query, documents: Mapping[str, ToolDoc] | None
) -> tuple[Reply, Query]:
    """Remove written-out defaults from the calls of both, so that the calls can be compared."""
    if not documents:
        return reply, query
    turns = tuple(_short_calls(turn, documents) for turn in query.turns)
    return replace(reply, calls=_short_calls(reply.calls, documents)), replace(query, turns=turns)


def _short_calls(
    calls: Sequence[Call], documents: Mapping[str, ToolDoc] | None
) -> tuple[Call, ...]:
    return tuple(without_defaults(call, (documents or {}).get(call.name)) for call in calls)


def without_defaults(call: Call, document: ToolDoc | None) -> Call:
    """Remove every argument that equals its default. Without a document, the call is unchanged.

    Nested objects, including those in a default, are shortened first; `same_value` compares values.
    Required arguments stay, because no call is right without them.
    """
    return (
        replace(call, arguments=_short_value(call.arguments, document.parameters))
        if document
        else call
    )


def _short_value(value: Any, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, list):
        return [_short_value(item, schema.get("items")) for item in value]
    if not isinstance(value, Mapping):
        return value
    specs, required_names = schema.get("properties") or {}, schema.get("required") or ()
    items = {key: _short_value(member, specs.get(key)) for key, member in value.items()}
    return {
        key: member
        for key, member in items.items()
        if key in required_names or not _is_default(member, specs.get(key))
    }


def _is_default(value: Any, spec: Any) -> bool:
    if not isinstance(spec, Mapping) or "default" not in spec:
        return False
    return same_value(value, _short_value(spec["default"], spec))


def matched_similarity(calls: Sequence[Call], references: Sequence[Call]) -> float:
    """Compute the largest sum of call similarities over one-to-one matchings of the lists."""
    return _match(calls, references)[1]


def _match(calls: Sequence[Call], references: Sequence[Call]) -> tuple[set[int], float]:
    """Match calls with references; return the indices of the matched calls and the similarity."""
    if not calls or not references:
        return set(), 0.0
    similarities = np.array(
        [[call_similarity(call, reference) for reference in references] for call in calls]
    )
    rows, columns = linear_sum_assignment(similarities, maximize=True)
    return {*map(int, rows)}, float(similarities[rows, columns].sum())


def call_similarity(call: Call, reference: Call) -> float:
    """Return 0 for different tools, else equal (key, value) pairs over the union of keys."""
    if call.name != reference.name:
        return 0.0
    keys = set(call.arguments) | set(reference.arguments)
    if not keys:
        return 1.0
    shared_keys = set(call.arguments) & set(reference.arguments)
    equal_count = sum(
        same_value(call.arguments[key], reference.arguments[key]) for key in shared_keys
    )
    return equal_count / len(keys)


def same_calls(
    calls: Sequence[Call],
    references: Sequence[Call],
    documents: Mapping[str, ToolDoc] | None = None,
) -> bool:
    """Whether two lists of calls match exactly, in any order.

    documents: name -> document, for the defaults.
    """
    calls, references = _short_calls(calls, documents), _short_calls(references, documents)
    return len(calls) == len(references) == matched_similarity(calls, references)


def same_value(value: Any, reference: Any) -> bool:
    """Compare JSON values: 1 equals 1.0, but true is not 1 and "1" is not 1."""
    if isinstance(value, bool) or isinstance(reference, bool):
        return value is reference
    if isinstance(value, int | float) and isinstance(reference, int | float):
        return value == reference
    if isinstance(value, list) and isinstance(reference, list):
        return len(value) == len(reference) and all(map(same_value, value, reference))
    if isinstance(value, Mapping) and isinstance(reference, Mapping):
        return value.keys() == reference.keys() and all(
            same_value(value[key], reference[key]) for key in value
        )
    return type(value) is type(reference) and value == reference


def answer_reward(reply: Reply, query: Query) -> float | None:
    """Return 1.0 if the response agrees with the reference answer, else 0.0; None without answer.

    It agrees if it contains the reference as whole words, and the rest contains no negation, no
    alternative, and no number more often than the query does. A response that lists many values
    does not agree.
    """
    if query.answer is None:
        return None
    if reply.response is None:
        return 0.0
    return float(agrees(reply.response, query.answer, query.text))


def agrees(response: str, answer: str, query: str = "") -> bool:
    """Whether a free-text response states the answer (see `answer_reward`)."""
    text, reference = _folded_text(response), _folded_text(answer)
    if text == reference:
        return True
    if not reference:
        return False
    pattern = rf"(?<![\w.-]){re.escape(reference)}(?!\w)(?!\.\w)"
    remainder, count = re.subn(pattern, " ", text, count=1)
    if not count or len(remainder) > 200 + 2 * len(reference):
        return False
    words = set(re.findall(r"[^\W\d_]+", remainder))
    if (_numbers(remainder) and not words) or words & {OPPOSITE.get(reference), *OTHERWISE}:
        return False  # a list of candidates is not an answer
    if re.search(r"n['\u2019]t\b", remainder) or re.search(rf"{pattern} (?:{MAGNITUDES})\b", text):
        return False
    return _numbers(remainder) <= _numbers(_folded_text(query)) + _numbers(reference)


def _folded_text(text: str) -> str:
    """Normalise text for comparison: case, whitespace, final . and !, and JSON's quotes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, str):
        text = value
    words = re.sub(r"\s+", " ", text.replace('"', "")).strip().casefold()
    return words.rstrip(".!")


def _numbers(text: str) -> Counter[float]:
    numbers = (float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text))
    return Counter(number for number in numbers if math.isfinite(number))


def _jaccard(overlap: float, first_size: float, second_size: float) -> float:
    return overlap / (first_size + second_size - overlap)


def _reasons(reply: Reply, query: Query, tool: float, answer: float | None) -> list[str]:
    reasons: list[str] = []
    if tool < 1.0 and query.calls:
        names = {call.name for call in query.calls}
        reasons += [f"not named: {name}" for name in sorted(names - set(reply.named))]
        reasons += [f"named without need: {name}" for name in sorted(set(reply.named) - names)]
        if len(reply.named) != len(set(reply.named)):
            reasons.append("a tool is named twice")
        if not same_calls(*_comparable_calls(reply, query)):
            reasons.append("the calls differ from the reference")
    if answer == 0.0:
        reasons.append("the response does not agree with the answer")
    return reasons
