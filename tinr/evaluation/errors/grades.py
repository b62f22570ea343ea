"""Grade a finished reply: five criteria, a grade, and a list of deficiencies. Pure.

These rules replace a model that judges itself: because the reference is known, they give the same
criteria and grades. Grades follow from the criteria alone:

excellent   all five are 1: the reply is exactly right, by the project's lenient matching
acceptable  names, count and keys are 1, closeness at least 0.6: only values differ, slightly
fair        names at least 0.5, and keys or values at least 0.5
poor        the rest; always a reply that is malformed, that calls although no call is
            expected, or that does not call although one is

Correcting one deficiency (`deficiency` lists them: a tool, a key, a value, a missing or extra
parameter or call, the form) never lowers a criterion or the grade. Calls and the names before them
are judged, not the words of the final answer.
Source: iTool, arXiv 2501.09766, also for the worth of each grade.
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
NEAR = 0.6  # minimum closeness of an acceptable reply
HALF = 0.5  # minimum share of names, and of keys or values, of a fair one
COMPARED_CHARACTERS = 200  # characters of a text that are compared for closeness
# In the order in which they are reported.
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

    names: half for the called tools, half for those named before. count: number of parameters,
    keys: their names, values: their values and types. These three are means over the calls of
    both sides; a missing call, an extra call and a call to another tool count 0. closeness: of
    the least similar name, key or value of the reference.
    """

    names: float
    count: float
    keys: float
    values: float
    closeness: float
    grade: Grade

    @property
    def worth(self) -> float:
        """The score of the grade in a search."""
        return WORTH[self.grade]


def judge(reply: Reply, query: Query, catalogue: Catalogue) -> Verdict:
    """The verdict on a finished reply; every reply has one."""
    is_well_formed = not is_malformed(reply)
    if query.any_call:
        is_right = is_well_formed and bool(reply.calls)
    elif not query.calls:
        is_right = is_well_formed and not (reply.calls or reply.named)
    else:
        alignment = align(reply.calls, query, catalogue)
        names, count, keys, values, closeness = _criteria(reply, query, alignment)
        has_calls = is_well_formed and bool(reply.calls)
        grade = _grade(names, count, keys, values, closeness) if has_calls else "poor"
        return Verdict(names, count, keys, values, closeness, grade)
    share = float(is_right)
    return Verdict(share, share, share, share, share, "excellent" if is_right else "poor")


def is_malformed(reply: Reply) -> bool:
    """Whether a reply has the wrong form: unreadable, empty, or without its end."""
    has_end = reply.response is not None or (bool(reply.calls) and not reply.observed)
    return bool(reply.problems) or not has_end


def _grade(names: float, count: float, keys: float, values: float, closeness: float) -> Grade:
    if min(names, count, keys, values, closeness) == 1:
        return "excellent"
    if min(names, count, keys) == 1 and closeness >= NEAR:
        return "acceptable"
    return "fair" if names >= HALF and max(keys, values) >= HALF else "poor"


# -- criteria -------------------------------------------------------------------------


def _criteria(reply: Reply, query: Query, alignment: Alignment) -> tuple[float, ...]:
    expected_names = {call.name for call in query.calls}
    named_share = len(expected_names & set(reply.named)) / max(
        len(expected_names), len(reply.named)
    )
    right_facings = [facing for facing in alignment.facing if facing.right_name]
    return (
        (len(right_facings) / alignment.size + named_share) / 2,
        math.fsum(map(_count, right_facings)) / alignment.size,
        math.fsum(map(_keys, right_facings)) / alignment.size,
        math.fsum(map(_values, right_facings)) / alignment.size,
        min(map(_closeness, alignment.facing)),
    )


def _count(facing: Facing) -> float:
    """Matched parameters, over the parameters of the longer side."""
    pairs = len(facing.shared) + len(facing.renamed)
    size = pairs + max(len(facing.missing), len(facing.extra))
    return pairs / size if size else 1.0


def _keys(facing: Facing) -> float:
    size = _size(facing)
    return len(facing.shared) / size if size else 1.0


def _values(facing: Facing) -> float:
    size = _size(facing)
    return (sum(facing.shared.values()) + len(facing.renamed)) / size if size else 1.0


def _size(facing: Facing) -> int:
    return len(facing.shared) + len(facing.renamed) + len(facing.missing) + len(facing.extra)


def _closeness(facing: Facing) -> float:
    """The least similarity of a name, key or value of a reference call; 0 if one is missing."""
    if facing.given is None or facing.missing:
        return 0.0
    parts = [near(facing.given.name, facing.wanted.call.name)]
    parts += [near(wrong_key, key) for key, wrong_key in facing.renamed.items()]
    parts += [
        1.0
        if is_right
        else max(
            (near(facing.given.arguments[key], v) for v in facing.wanted.values[key]), default=0.0
        )
        for key, is_right in facing.shared.items()
    ]
    return min(parts)


def near(value: Any, other_value: Any) -> float:
    """Similarity of two JSON values, in [0, 1]: numbers by ratio, other values by their letters."""
    numbers = [v for v in (value, other_value) if type(v) in (int, float)]
    if len(numbers) == 2:
        return _near_numbers(*numbers)
    if isinstance(value, bool) or isinstance(other_value, bool):
        return float(value is other_value)
    texts = [_text(v)[:COMPARED_CHARACTERS].casefold() for v in (value, other_value)]
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def _near_numbers(number: float, other_number: float) -> float:
    if number == other_number:
        return 1.0
    try:
        share = abs(number - other_number) / max(abs(number), abs(other_number))
    except OverflowError:  # more digits than a float holds
        return 0.0
    return max(0.0, 1.0 - share) if math.isfinite(share) else 0.0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- deficiencies ---------------------------------------------------------------------


def deficiency(reply: Reply, query: Query, catalogue: Catalogue) -> tuple[Deficiency, ...]:
    """What is wrong with a reply, each kind at most once, in the order of `Deficiency`.

    Empty if the reply is right. A wrong value has one kind: wrong_type if no accepted value has
    its type, else hallucinated_value if none of its words and numbers occurs before the call, else
    wrong_value. The value of an extra parameter may also be hallucinated.
    """
    is_unreadable, any_call = is_malformed(reply), query.any_call
    kinds: set[Deficiency] = {"malformed"} if is_unreadable else set()
    has_attempt = reply.calls or (reply.named and is_unreadable)  # an unreadable call counts
    if (query.calls or any_call) and not has_attempt:
        kinds.add("should_have_called")
    if not query.calls and not any_call and (reply.calls or reply.named):
        kinds.add("should_have_abstained")
    elif not any_call:
        kinds |= _call_faults(reply, query, catalogue)
    return tuple(kind for kind in get_args(Deficiency) if kind in kinds)


def difference(
    better: Reply, worse: Reply, query: Query, catalogue: Catalogue
) -> Deficiency | None:
    """The first thing wrong with the worse reply that is not wrong with the better one."""
    better_kinds = deficiency(better, query, catalogue)
    return next((d for d in deficiency(worse, query, catalogue) if d not in better_kinds), None)


def _call_faults(reply: Reply, query: Query, catalogue: Catalogue) -> set[Deficiency]:
    kinds: set[Deficiency] = {"wrong_name"} if _misnamed(reply, query) else set()
    if not reply.calls:
        return kinds
    alignment = align(reply.calls, query, catalogue)
    if alignment.extra:
        kinds.add("extra_call")
    for facing in alignment.facing:
        if facing.given is None:
            kinds.add("missing_call")
        elif not facing.right_name:
            kinds.add("wrong_name")
        else:
            kinds |= _parameter_faults(facing)
    return kinds


def _misnamed(reply: Reply, query: Query) -> bool:
    """Whether the names before the calls are wrong in a way that the calls do not show."""
    expected_names, called_names = (
        {call.name for call in calls} for calls in (query.calls, reply.calls)
    )
    names = set(reply.named)
    has_duplicates = len(names) != len(reply.named)
    return has_duplicates or bool(
        names - expected_names - called_names or (expected_names & called_names) - names
    )


def _parameter_faults(facing: Facing) -> set[Deficiency]:
    assert facing.given is not None
    kinds: set[Deficiency] = set()
    if facing.missing:
        kinds.add("missing_parameter")
    if facing.renamed:
        kinds.add("wrong_key")
    for key in facing.extra:
        kinds.add("extra_parameter")
        if not _is_known(facing.given.arguments[key], facing.wanted):
            kinds.add("hallucinated_value")
    for key in (key for key, is_right in facing.shared.items() if not is_right):
        kinds.add(_value_fault(facing.given.arguments[key], key, facing.wanted))
    return kinds


def _value_fault(value: Any, key: str, reference: Wanted) -> Deficiency:
    values = reference.values[key]
    kinds = {_kind(v) for v in values}
    if _kind(value) not in kinds or any(
        type(v) is not type(value) and _kind(v) == "number" and v == value for v in values
    ):
        return "wrong_type"
    return "wrong_value" if _is_known(value, reference) else "hallucinated_value"


def _kind(value: Any) -> str:
    """The JSON type; integers and floats are both `number`."""
    return "number" if type(value) in (int, float) else type(value).__name__


def _is_known(value: Any, reference: Wanted) -> bool:
    return is_known(
        value, reference.known, reference.document.parameters if reference.document else {}
    )
