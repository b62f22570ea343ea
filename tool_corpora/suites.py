"""The shipped corpora's splits and query sets.

Splits go by tool: within each toolbox domain, every fourth tool in the order of its
name's hash is unseen, the others are seen; every fieldkit tool is out of domain.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from tinr.records import Query, Split
from tool_corpora import load, rows_of
from tool_corpora.generate import TOOL_KINDS, make_queries
from tool_corpora.kit import CorpusTool
from tool_corpora.values import Side

SUITES = ("in_domain", "out_of_domain")  # what figures are published of
DEV_SUITES = ("in_domain_dev", "out_of_domain_dev")  # what recipes are chosen by
REWORDED = "reworded"  # test queries worded anew by hand, unlike any template
SHIPPED = (*SUITES, *DEV_SUITES, REWORDED)
REWORDED_FROM = (250, 64)  # the size of the suites and the tools that they are chosen of
TEST_SEED = 2604  # test queries are the same for every run and every seed of training
NO_TOOL_KINDS = ("chat", "missing", "foreign")


def splits() -> dict[str, Split]:
    """Tool name -> seen, unseen or ood, over both corpora."""
    out: dict[str, Split] = {name: "ood" for name in load("fieldkit")}
    tools = sorted(load("toolbox").values(), key=lambda tool: (tool.domain, _hash(tool.name)))
    for _, group in groupby(tools, key=lambda tool: tool.domain):
        for place, tool in enumerate(group):
            out[tool.name] = "unseen" if place % 4 == 0 else "seen"
    return out


def tools_of(split: Split, tools: Collection[str] | None = None) -> dict[str, CorpusTool]:
    """The corpus tools of a split; of those named in `tools` alone, where it is given."""
    everything = _everything()
    return {
        name: everything[name]
        for name, which in splits().items()
        if which == split and (tools is None or name in tools)
    }


def subset(count: int) -> list[str]:
    """`count` tool names of both corpora, sorted, in proportion to splits and to their domains.

    The same ones every time; a smaller subset lies within each larger one. Every split is
    there. ValueError for a count below 3 or above the number of tools.

    Seats go one by one: the k-th tool of a group of n (k from 0) has rank (k + 1/2) / n, and
    the lowest rank is next (Sainte-Lague). Largest remainders give the same shares of the
    splits, up to one tool, but a tool can drop out where the count grows.
    """
    where, domain_of = splits(), {name: tool.domain for name, tool in _everything().items()}
    if not len(set(where.values())) <= count <= len(where):
        raise ValueError(f"a subset has 3 to {len(where)} tools, not {count}")
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(where, key=_hash):
        members[where[name]][domain_of[name]].append(name)
    return sorted(_in_turn(_in_turn(domains.values()) for domains in members.values())[:count])


def _in_turn(groups: Iterable[Sequence[str]]) -> list[str]:
    """The names of all groups in one order, each beginning of which has its share of each."""
    ranks = {
        name: (2 * place + 1) / (2 * len(group))
        for group in groups
        for place, name in enumerate(group)
    }
    return sorted(ranks, key=lambda name: (ranks[name], _hash(name)))


def training_queries(
    count: int, seed: int, purpose: str, tools: Collection[str] | None = None
) -> list[Query]:
    """Queries of seen tools and no-tool queries, on the training side; `purpose` keeps
    the sets of different phases apart.

    tools: the names that queries may ask for (None: all). ValueError where they allow no
    query, or fewer different ones than `count`.
    """
    return make_queries(tools_of("seen", tools), "train", count, seed, "seen", prefix=purpose)


def test_suite(suite: str, size: int, tools: Collection[str] | None = None) -> list[Query]:
    """`size` queries per split: in_domain has seen, unseen and no_tool, out_of_domain has ood.

    suite: one of SUITES, or of DEV_SUITES, whose queries share no phrasing and no open value with
    those of tests or of training, or REWORDED, which has all splits and its own size. ValueError
    for any other. Dev queries of seen tools have the one phrasing that is set apart for them; no
    training query has an unseen or ood tool, so dev queries of these have all phrasings but those
    of the tests.
    In ood and unseen every tool of a query is of that split. no_tool has half the size.
    tools: the names that queries may ask for (None: all). ValueError where they allow no
    query of a split, or fewer different ones than `size`.
    """
    if suite == REWORDED:
        return _reworded(size, tools)
    if suite not in (*SUITES, *DEV_SUITES):
        raise ValueError(f"{suite}: no suite; one of {', '.join(SHIPPED)}")
    side: Side = "dev" if suite in DEV_SUITES else "test"
    in_domain = suite.startswith("in_domain")
    wanted: Sequence[Split] = ("seen", "unseen") if in_domain else ("ood",)
    queries = [
        query
        for split in wanted
        for query in make_queries(
            _asked_on(side, split, tools),
            side,
            size,
            TEST_SEED,
            split,
            TOOL_KINDS,
            f"{side}-{split}",
        )
    ]
    if in_domain:
        seen = tools_of("seen", tools)
        queries += make_queries(
            seen, side, size // 2, TEST_SEED, None, NO_TOOL_KINDS, f"{side}-no-tool"
        )
    return queries


def _asked_on(side: Side, split: Split, tools: Collection[str] | None) -> dict[str, CorpusTool]:
    """The tools of a split with the phrasings of a side's suites."""
    members = tools_of(split, tools)
    if side == "dev" and split != "seen":
        return {name: replace(tool, dev=tool.train + tool.dev) for name, tool in members.items()}
    return members


def _reworded(size: int, tools: Collection[str] | None) -> list[Query]:
    """The queries worded by hand, at most `size` of a split, whose tools are all in `tools`."""
    count, tool_count = REWORDED_FROM
    originals = {
        query.id: query
        for suite in SUITES
        for query in test_suite(suite, count, subset(tool_count))
    }
    chosen: dict[Split | None, list[Query]] = defaultdict(list)
    for row in rows_of("reworded.jsonl"):
        query = originals[row["id"]]
        is_known = tools is None or all(call.name in tools for call in query.calls)
        if is_known and len(chosen[query.split]) < size:
            chosen[query.split].append(replace(query, text=row["query"], phrasings=()))
    if set(chosen) <= {"no_tool"}:
        raise ValueError("no tools to ask for")
    return [query for queries in chosen.values() for query in queries]


def _everything() -> dict[str, CorpusTool]:
    return load("toolbox") | load("fieldkit")


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
