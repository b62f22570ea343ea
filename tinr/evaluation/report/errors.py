"""Count replies: kinds of error, confusion between tools, form, tokens and time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median

from tinr.evaluation.report.rates import mode_title, mode_word, split_title
from tinr.evaluation.report.replies import KINDS, NOTHING, RIGHT, Judged, Replies
from tinr.evaluation.report.summary import is_finite
from tinr.evaluation.report.tables import Cell, Count, Row, Table, filled

MOST_PAIRS = 6  # rows per split in the table of confusion
MOST_TOOLS = 12  # per side of the heat map
MOST_PROBLEMS = 12
COSTS = {
    "tokens": "generated tokens",
    "prompt_tokens": "prompt tokens",
    "seconds": "seconds",
}


def splits_of(replies: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The replies by split, splits in order of appearance."""
    groups: dict[str, list[Judged]] = {}
    for reply in replies:
        groups.setdefault(reply.split, []).append(reply)
    return groups


def kind_table(evaluated: Replies, folded: bool = False) -> Table | None:
    """The number of right replies and of each kind of error, one column per split."""
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
    """(expected, called) -> replies that confuse these tools; each pair counts once per reply."""
    return Counter(
        pair for reply in replies for pair in dict.fromkeys(reply.pairs) if NOTHING not in pair
    )


def ranked(pairs: Mapping[Pair, int]) -> list[tuple[Pair, int]]:
    """The pairs by descending count, ties by name."""
    return sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))


def confusion_table(evaluated: Replies) -> Table | None:
    """The most frequent pairs of each split, as shares of the queries that expect the tool."""
    rows, rare_count = [], 0
    for split, group in splits_of(evaluated.replies).items():
        queries_by_tool = Counter(
            name for r in group for name in {call.name for call in r.expected}
        )
        # a tool called where none is expected is also a confusion
        no_call_replies = [r for r in group if not r.expected]
        needless_calls = Counter(
            name for r in no_call_replies for name in {call.name for call in r.given}
        )
        entries = [
            *((e, c, count, queries_by_tool[e]) for (e, c), count in ranked(confusion(group))),
            *((NOTHING, c, n, len(no_call_replies)) for (_, c), n in
              ranked({(NOTHING, name): n for name, n in needless_calls.items()})),
        ]  # fmt: skip
        entries.sort(key=lambda pair: -pair[2])
        rare_count += len(entries[MOST_PAIRS:])
        rows += [
            Row(expected, (called, Count(count, of)), split_title(split))
            for expected, called, count, of in entries[:MOST_PAIRS]
        ]
    columns = ("called", "queries")
    note = "Percent of the queries that expect the tool." + (
        f" {rare_count} rarer pairs are left out." if rare_count else ""
    )
    return filled(Table("confusion", "Most frequent pairs", columns, tuple(rows), "expected", note))


def heat(evaluated: Replies) -> tuple[list[str], dict[Pair, int]]:
    """The most confused tools, and the counts of confusion between them.

    Pairs are taken by descending count over all splits until they contain MOST_TOOLS tools. The map
    has every count between these tools. Its diagonal, where a call is right, is empty.
    """
    pairs = confusion(evaluated.replies)
    tools: dict[str, None] = {}
    for pair, _ in ranked(pairs):
        if len({*tools, *pair}) <= MOST_TOOLS:
            tools |= dict.fromkeys(pair)
    counts = {pair: n for pair, n in pairs.items() if set(pair) <= set(tools)}
    return list(tools), counts


def problem_table(evaluations: Sequence[Replies]) -> Table | None:
    """Every format error with its number of replies, one column per phase and mode."""
    counts = [
        Counter(p for r in evaluation.replies for p in r.problems) for evaluation in evaluations
    ]
    total: Counter[str] = sum(counts, Counter())
    names = [name for name, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]
    rows = [
        Row(name, _counts([count[name] for count in counts], evaluations))
        for name in names[:MOST_PROBLEMS]
    ]
    rare_problems = set(names[MOST_PROBLEMS:])
    if rare_problems:
        rare_counts = [
            sum(bool(rare_problems & set(r.problems)) for r in evaluation.replies)
            for evaluation in evaluations
        ]
        rows.append(Row(f"{len(rare_problems)} rarer ones", _counts(rare_counts, evaluations)))
    if rows:
        sound_counts = [
            sum(not r.problems for r in evaluation.replies) for evaluation in evaluations
        ]
        rows.append(Row("none", _counts(sound_counts, evaluations)))
    columns = tuple(_column(evaluation) for evaluation in evaluations)
    return filled(Table("format", "Format errors", columns, tuple(rows), "error"))


def _counts(counts: Sequence[int], evaluations: Sequence[Replies]) -> tuple[Cell, ...]:
    return tuple(
        Count(count, len(evaluation.replies))
        for count, evaluation in zip(counts, evaluations, strict=True)
    )


def _column(evaluation: Replies) -> str:
    return (
        evaluation.phase
        if evaluation.mode == "none"
        else f"{evaluation.phase}, {mode_title(evaluation.mode)}"
    )


def cost_table(evaluations: Sequence[Replies]) -> Table | None:
    """Mean and median cost of a query: generated tokens, prompt tokens, seconds."""
    rows = []
    for evaluation in evaluations:
        cells: list[Cell] = [len(evaluation.replies)]
        for key in COSTS:
            values = [float(v) for r in evaluation.replies if is_finite(v := r.cost[key])]
            cells += [mean(values), median(values)] if values else [None, None]
        rows.append(Row(mode_word(evaluation.mode), tuple(cells), evaluation.phase))
    measures = (
        f"{words}, {statistic}" for words in COSTS.values() for statistic in ("mean", "median")
    )
    columns = ("queries", *measures)
    return filled(Table("cost", "Cost per query", columns, tuple(rows), "documents"))
