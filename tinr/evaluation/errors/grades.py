"""How right a finished reply is: five criteria, a grade, and what is wrong with it. Pure.

It stands in the place of a model that judges itself: the reference is known, so rules give
the same criteria and grades. Grades follow from the criteria alone:

excellent   all five are 1: the reply is exactly right, by the project's lenient matching
acceptable  names, count and keys are 1, closeness at least 0.6: values alone are off, and near
fair        names at least 0.5, and keys or values at least 0.5
poor        the rest, and always a reply that is malformed, that calls where no call is
            expected, or that does not call where one is

Correcting one of the things that are wrong (`deficiency` names them: a tool, a key, a value,
a parameter or a call missing or too many, the form) lowers no criterion and no grade.
What is judged are the calls and the names before them, not the words of the final answer.
Source: iTool, arXiv 2501.09766, and its grades' worth.
"""

import json
import math
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, get_args

from tinr.catalogue.load import Catalogue
from tinr.evaluation.errors.call_alignment import Alignment, Facing, Wanted, align
from tinr.evaluation.errors.evidence import is_known
from tinr.records import Query, Reply

Grade = Literal["excellent", "acceptable", "fair", "poor"]
WORTH: dict[Grade, float] = {"excellent": 0.25, "acceptable": 0.025, "fair": -0.25, "poor": -0.5}
NEAR = 0.6  # least closeness of an acceptable reply
HALF = 0.5  # least share of names, and of keys or values, of a fair one
COMPARED_CHARACTERS = 200  # characters of a text that are compared for closeness
# In the order in which they are told.
Deficiency = Literal[
    "wrong_name",
    "missing_parameter",
    "extra_parameter",
    "wrong_key",
    "wrong_value",
    "wrong_type",
    "hallucinated_value",
    "should_have_abstained",
    "should_have_called",
    "extra_call",
    "missing_call",
    "malformed",
]


@dataclass(frozen=True)
class Verdict:
    """Five criteria, each in [0, 1], and the grade that follows from them.

    names: half for the tools called, half for those named before. count: how many parameters,
    keys: their names, values: these and their types, each the mean over the calls of both
    sides, where a missing or extra call and one to another tool count 0. closeness: of the
    reference's least near name, key or value.
    """

    names: float
    count: float
    keys: float
    values: float
    closeness: float
    grade: Grade

    @property
    def worth(self) -> float:
        """What the grade is worth to a search."""
        return WORTH[self.grade]


def judge(reply: Reply, query: Query, catalogue: Catalogue) -> Verdict:
    """The verdict on a finished reply; whatever a model wrote has one."""
    sound = not is_malformed(reply)
    if query.any_call:
        right = sound and bool(reply.calls)
    elif not query.calls:
        right = sound and not (reply.calls or reply.named)
    else:
        found = align(reply.calls, query, catalogue)
        names, count, keys, values, close = _criteria(reply, query, found)
        usable = sound and bool(reply.calls)
        grade = _grade(names, count, keys, values, close) if usable else "poor"
        return Verdict(names, count, keys, values, close, grade)
    share = float(right)
    return Verdict(share, share, share, share, share, "excellent" if right else "poor")


def is_malformed(reply: Reply) -> bool:
    """Whether a reply is not of the form it needs: unreadable, empty, or without its end."""
    ended = reply.response is not None or (bool(reply.calls) and not reply.observed)
    return bool(reply.problems) or not ended


def _grade(names: float, count: float, keys: float, values: float, close: float) -> Grade:
    if min(names, count, keys, values, close) == 1:
        return "excellent"
    if min(names, count, keys) == 1 and close >= NEAR:
        return "acceptable"
    return "fair" if names >= HALF and max(keys, values) >= HALF else "poor"


# -- criteria -------------------------------------------------------------------------


def _criteria(reply: Reply, query: Query, found: Alignment) -> tuple[float, ...]:
    expected = {call.name for call in query.calls}
    named = len(expected & set(reply.named)) / max(len(expected), len(reply.named))
    right = [facing for facing in found.facing if facing.right_name]
    return (
        (len(right) / found.size + named) / 2,
        math.fsum(map(_count, right)) / found.size,
        math.fsum(map(_keys, right)) / found.size,
        math.fsum(map(_values, right)) / found.size,
        min(map(_closeness, found.facing)),
    )


def _count(one: Facing) -> float:
    """Parameters that stand for one another, over those of the longer side."""
    paired = len(one.shared) + len(one.renamed)
    size = paired + max(len(one.missing), len(one.extra))
    return paired / size if size else 1.0


def _keys(one: Facing) -> float:
    size = _size(one)
    return len(one.shared) / size if size else 1.0


def _values(one: Facing) -> float:
    size = _size(one)
    return (sum(one.shared.values()) + len(one.renamed)) / size if size else 1.0


def _size(one: Facing) -> int:
    return len(one.shared) + len(one.renamed) + len(one.missing) + len(one.extra)


def _closeness(one: Facing) -> float:
    """Of the least near part of a reference call: its name, a key, a value; 0 for a missing one."""
    if one.given is None or one.missing:
        return 0.0
    parts = [near(one.given.name, one.wanted.call.name)]
    parts += [near(wrong, key) for key, wrong in one.renamed.items()]
    parts += [
        1.0
        if right
        else max((near(one.given.arguments[key], v) for v in one.wanted.values[key]), default=0.0)
        for key, right in one.shared.items()
    ]
    return min(parts)


def near(given: Any, expected: Any) -> float:
    """How near two JSON values are, in [0, 1]: numbers by their ratio, all else by its letters."""
    numbers = [v for v in (given, expected) if type(v) in (int, float)]
    if len(numbers) == 2:
        return _near_numbers(*numbers)
    if isinstance(given, bool) or isinstance(expected, bool):
        return float(given is expected)
    texts = [_text(value)[:COMPARED_CHARACTERS].casefold() for value in (given, expected)]
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def _near_numbers(given: float, expected: float) -> float:
    if given == expected:
        return 1.0
    try:
        share = abs(given - expected) / max(abs(given), abs(expected))
    except OverflowError:  # more digits than a float holds
        return 0.0
    return max(0.0, 1.0 - share) if math.isfinite(share) else 0.0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- deficiencies ---------------------------------------------------------------------


def deficiency(reply: Reply, query: Query, catalogue: Catalogue) -> tuple[Deficiency, ...]:
    """What is wrong with a reply, each kind at most once, in the order of `Deficiency`.

    Empty where it is right. A wrong value is of one kind: wrong_type where no accepted value
    is of its type, else hallucinated_value where none of its words and numbers stands before
    the call, else wrong_value. An extra parameter's value may be hallucinated as well.
    """
    malformed, some = is_malformed(reply), query.any_call
    found: set[Deficiency] = {"malformed"} if malformed else set()
    tried = reply.calls or (reply.named and malformed)  # a call that cannot be read is one
    if (query.calls or some) and not tried:
        found.add("should_have_called")
    if not query.calls and not some and (reply.calls or reply.named):
        found.add("should_have_abstained")
    elif not some:
        found |= _call_faults(reply, query, catalogue)
    return tuple(kind for kind in get_args(Deficiency) if kind in found)


def difference(
    better: Reply, worse: Reply, query: Query, catalogue: Catalogue
) -> Deficiency | None:
    """The first thing wrong with the worse reply that is not wrong with the better one."""
    known = deficiency(better, query, catalogue)
    return next((d for d in deficiency(worse, query, catalogue) if d not in known), None)


def _call_faults(reply: Reply, query: Query, catalogue: Catalogue) -> set[Deficiency]:
    found: set[Deficiency] = {"wrong_name"} if _misnamed(reply, query) else set()
    if not reply.calls:
        return found
    aligned = align(reply.calls, query, catalogue)
    if aligned.extra:
        found.add("extra_call")
    for one in aligned.facing:
        if one.given is None:
            found.add("missing_call")
        elif not one.right_name:
            found.add("wrong_name")
        else:
            found |= _parameter_faults(one)
    return found


def _misnamed(reply: Reply, query: Query) -> bool:
    """Whether the names before the calls are wrong in a way that the calls do not show."""
    expected, called = ({call.name for call in calls} for calls in (query.calls, reply.calls))
    named = set(reply.named)
    twice = len(named) != len(reply.named)
    return twice or bool(named - expected - called or (expected & called) - named)


def _parameter_faults(one: Facing) -> set[Deficiency]:
    assert one.given is not None
    found: set[Deficiency] = set()
    if one.missing:
        found.add("missing_parameter")
    if one.renamed:
        found.add("wrong_key")
    for key in one.extra:
        found.add("extra_parameter")
        if not _is_known(one.given.arguments[key], one.wanted):
            found.add("hallucinated_value")
    for key in (key for key, right in one.shared.items() if not right):
        found.add(_value_fault(one.given.arguments[key], key, one.wanted))
    return found


def _value_fault(value: Any, key: str, wanted: Wanted) -> Deficiency:
    accepted = wanted.values[key]
    kinds = {_kind(one) for one in accepted}
    if _kind(value) not in kinds or any(
        type(v) is not type(value) and _kind(v) == "number" and v == value for v in accepted
    ):
        return "wrong_type"
    return "wrong_value" if _is_known(value, wanted) else "hallucinated_value"


def _kind(value: Any) -> str:
    """The JSON type; every number is of one."""
    return "number" if type(value) in (int, float) else type(value).__name__


def _is_known(value: Any, wanted: Wanted) -> bool:
    return is_known(value, wanted.known, wanted.document.parameters if wanted.document else {})
