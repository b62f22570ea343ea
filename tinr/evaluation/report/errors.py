"""Replies counted: kinds of error, confusion between tools, form, tokens and time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median

from tinr.evaluation.report.rates import mode_title, mode_word, split_title
from tinr.evaluation.report.replies import KINDS, NOTHING, RIGHT, Judged, Replies
from tinr.evaluation.report.summary import is_finite
from tinr.evaluation.report.tables import Cell, Count, Row, Table, filled

MOST_PAIRS = 6  # of a split, in the table of confusion
MOST_TOOLS = 12  # on a side of the heat map
MOST_PROBLEMS = 12
COSTS = {
    "tokens": "tokens written",
    "prompt_tokens": "tokens of the prompt",
    "seconds": "seconds",
}


def splits_of(replies: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The replies by split, splits in the order in which they come."""
    groups: dict[str, list[Judged]] = {}
    for reply in replies:
        groups.setdefault(reply.split, []).append(reply)
    return groups


def kind_table(evaluated: Replies, folded: bool = False) -> Table | None:
    """How many replies are right and how many have each kind of error, a split a column."""
    groups = splits_of(evaluated.replies)
    counts = [Counter(reply.kind for reply in group) for group in groups.values()]
    kinds = [kind for kind in (RIGHT, *KINDS) if any(count[kind] for count in counts)]
    rows = (Row(kind, tuple(Count(c[kind], c.total()) for c in counts)) for kind in kinds)
    total = Row("all queries", tuple(Count(count.total(), 0) for count in counts))
    key = f"errors-{evaluated.phase}-{evaluated.mode}"
    title = f"{evaluated.phase}, {mode_title(evaluated.mode)}"
    columns = tuple(map(split_title, groups))
    return filled(Table(key, title, columns, (*rows, total), "kind", "", folded))


Pair = tuple[str, str]  # expected tool, called tool


def confusion(replies: Iterable[Judged]) -> Counter[Pair]:
    """How many replies called one tool where another was expected, each pair once a reply."""
    return Counter(
        pair for reply in replies for pair in dict.fromkeys(reply.pairs) if NOTHING not in pair
    )


def ranked(pairs: Mapping[Pair, int]) -> list[tuple[Pair, int]]:
    """The pairs by falling count, ties by name."""
    return sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))


def confusion_table(evaluated: Replies) -> Table | None:
    """The most frequent pairs of each split, and of how many queries that expect the tool."""
    rows, rare = [], 0
    for split, group in splits_of(evaluated.replies).items():
        expecting = Counter(name for r in group for name in {call.name for call in r.expected})
        # a tool that is called where none is expected is a confusion as well
        silent = [r for r in group if not r.expected]
        needless = Counter(name for r in silent for name in {call.name for call in r.given})
        found = [
            *((e, c, count, expecting[e]) for (e, c), count in ranked(confusion(group))),
            *((NOTHING, c, n, len(silent)) for (_, c), n in
              ranked({(NOTHING, name): n for name, n in needless.items()})),
        ]  # fmt: skip
        found.sort(key=lambda pair: -pair[2])
        rare += len(found[MOST_PAIRS:])
        rows += [
            Row(expected, (called, Count(count, of)), split_title(split))
            for expected, called, count, of in found[:MOST_PAIRS]
        ]
    columns = ("called", "queries")
    note = "Percent of the queries that expect the tool." + (
        f" {rare} rarer pairs are left out." if rare else ""
    )
    return filled(Table("confusion", "Most frequent", columns, tuple(rows), "expected", note))


def heat(evaluated: Replies) -> tuple[list[str], dict[Pair, int]]:
    """The most confused tools, and how often one is called where another is expected.

    Pairs are taken by falling count over all splits until MOST_TOOLS tools are in them; then every
    count between the tools taken stands in the map. Its diagonal, where a call is right, is empty.
    """
    pairs = confusion(evaluated.replies)
    tools: dict[str, None] = {}
    for pair, _ in ranked(pairs):
        if len({*tools, *pair}) <= MOST_TOOLS:
            tools |= dict.fromkeys(pair)
    shown = {pair: n for pair, n in pairs.items() if set(pair) <= set(tools)}
    return list(tools), shown


def problem_table(evaluations: Sequence[Replies]) -> Table | None:
    """Every fault of form with the replies that have it, a phase and mode a column."""
    counts = [Counter(p for r in one.replies for p in r.problems) for one in evaluations]
    total: Counter[str] = sum(counts, Counter())
    names = [name for name, _ in sorted(total.items(), key=lambda one: (-one[1], one[0]))]
    rows = [
        Row(name, _counts([count[name] for count in counts], evaluations))
        for name in names[:MOST_PROBLEMS]
    ]
    rare = set(names[MOST_PROBLEMS:])
    if rare:
        having = [sum(bool(rare & set(r.problems)) for r in one.replies) for one in evaluations]
        rows.append(Row(f"{len(rare)} rarer ones", _counts(having, evaluations)))
    if rows:
        sound = [sum(not r.problems for r in one.replies) for one in evaluations]
        rows.append(Row("no fault", _counts(sound, evaluations)))
    columns = tuple(_column(one) for one in evaluations)
    return filled(Table("format", "Faults of form", columns, tuple(rows), "fault"))


def _counts(counts: Sequence[int], evaluations: Sequence[Replies]) -> tuple[Cell, ...]:
    return tuple(
        Count(count, len(one.replies)) for count, one in zip(counts, evaluations, strict=True)
    )


def _column(one: Replies) -> str:
    return one.phase if one.mode == "none" else f"{one.phase}, {mode_title(one.mode)}"


def cost_table(evaluations: Sequence[Replies]) -> Table | None:
    """Mean and median of what a query took: tokens written, tokens of the prompt, seconds."""
    rows = []
    for one in evaluations:
        cells: list[Cell] = [len(one.replies)]
        for key in COSTS:
            values = [float(v) for r in one.replies if is_finite(v := r.cost[key])]
            cells += [mean(values), median(values)] if values else [None, None]
        rows.append(Row(mode_word(one.mode), tuple(cells), one.phase))
    measures = (f"{words}, {part}" for words in COSTS.values() for part in ("mean", "median"))
    columns = ("queries", *measures)
    return filled(Table("cost", "What a query took", columns, tuple(rows), "documents"))
