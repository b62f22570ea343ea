"""A reply's grade and deficiencies as names that can be counted and compared. Pure.

A query's faults are the grade of its reply and what is wrong with it, in that order. As values in
{0, 1} by query they go through the same tests as every other metric (`tinr.evaluation.comparison`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tinr.catalogue.load import Catalogue
from tinr.evaluation.errors.grades import Deficiency, Grade, deficiency, judge
from tinr.records import Query, Reply

GRADES: tuple[str, ...] = get_args(Grade)
KINDS: tuple[str, ...] = get_args(Deficiency)
FAULTS = (*GRADES, *KINDS)
Faults = Mapping[str, Sequence[str]]  # query's id -> the grade, then what is wrong


def faults_of(reply: Reply, query: Query, catalogue: Catalogue) -> list[str]:
    """The grade of a reply, then what is wrong with it."""
    return [judge(reply, query, catalogue).grade, *deficiency(reply, query, catalogue)]


def counted(faults: Faults) -> dict[str, Any]:
    """{"n": replies, "grades": {grade: count}, "deficiencies": {kind: count}}, none with 0."""
    counts = Counter(name for one in faults.values() for name in one)
    return {
        "n": len(faults),
        "grades": {name: counts[name] for name in GRADES if counts[name]},
        "deficiencies": {name: counts[name] for name in KINDS if counts[name]},
    }


def fault_values(faults: Faults) -> dict[str, dict[str, float]]:
    """Grade or kind -> query -> 1 where its reply has it, else 0."""
    return {name: {query: float(name in one) for query, one in faults.items()} for name in FAULTS}
