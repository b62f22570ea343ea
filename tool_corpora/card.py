"""The numbers on a corpus's card: `python -m tool_corpora.card toolbox` prints them."""

import sys
from collections import Counter
from collections.abc import Sequence

from tool_corpora import NAMES, load
from tool_corpora.generate import MIX
from tool_corpora.suites import splits, test_suite, training_queries
from tool_corpora.values import Side

SHOWN = 400  # queries per split that the kinds are counted over
SIDES: tuple[Side, ...] = ("train", "dev", "test")
SETS = {"toolbox": "in_domain", "fieldkit": "out_of_domain"}


def numbers(corpus: str) -> str:
    """Counts of a corpus's tools by domain and split, and of its queries by kind, as Markdown."""
    return f"{_tool_table(corpus)}\n\n{_query_table(corpus)}"


def _tool_table(corpus: str) -> str:
    tools, where = load(corpus).values(), splits()
    held = sorted({where[tool.name] for tool in tools})
    rows = []
    for domain in sorted({tool.domain for tool in tools}):
        names = [tool.name for tool in tools if tool.domain == domain]
        rows.append([domain, len(names), *(sum(where[n] == s for n in names) for s in held)])
    sums = [sum(row[place] for row in rows) for place in range(1, len(held) + 2)]
    train, dev, test = (sum(len(tool.phrasings(side)) for tool in tools) for side in SIDES)
    return (
        _table(["domain", "tools", *held], [*rows, [f"{len(rows)} domains", *sums]])
        + f"\n\nPhrasings: {train} for training, {dev} for choices of recipe, {test} for tests."
    )


def _query_table(corpus: str) -> str:
    queries = test_suite(SETS[corpus], SHOWN)
    groups = {f"test, {q.split}": [p for p in queries if p.split == q.split] for q in queries}
    if corpus == "toolbox":
        groups = {"training": training_queries(SHOWN, 0, "card")} | groups
    rows = []
    for group, members in groups.items():
        kinds = Counter(query.kind for query in members)
        rows.append([group, len(members), *(kinds[kind] for kind in MIX["train"])])
    return _table(["queries", "all", *MIX["train"]], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        print(numbers(name))
