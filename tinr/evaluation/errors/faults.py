"""Name a reply's grade and deficiencies, so that they can be counted and compared. Pure.

A query's faults are the grade of its reply, then its deficiencies. As values in {0, 1} per query
they are tested like every other metric (`tinr.evaluation.comparison`).
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
Faults = Mapping[str, Sequence[str]]  # query id -> the grade, then what is wrong


def faults_of(reply: Reply, query: Query, catalogue: Catalogue) -> list[str]:
    """The grade of a reply, then what is wrong with it."""
    return [judge(reply, query, catalogue).grade, *deficiency(reply, query, catalogue)]


def counted(faults: Faults) -> dict[str, Any]:
    """{"n": replies, "grades": {grade: count}, "deficiencies": {kind: count}}, without zeros."""
    counts = Counter(name for names in faults.values() for name in names)
    return {
        "n": len(faults),
        "grades": {name: counts[name] for name in GRADES if counts[name]},
        "deficiencies": {name: counts[name] for name in KINDS if counts[name]},
    }


def fault_values(faults: Faults) -> dict[str, dict[str, float]]:
    """Grade or kind -> query -> 1 if its reply has it, else 0."""
    return {
        name: {query: float(name in names) for query, names in faults.items()} for name in FAULTS
    }
