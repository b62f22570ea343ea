"""The shipped corpora's splits and query sets.

Splits go by tool: within each toolbox domain, every fourth tool in the order of its
name's hash is unseen, the others are seen; every fieldkit tool is out of domain.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby

from tinr.records import Query, Split
from tool_corpora import load
from tool_corpora.generate import TOOL_KINDS, make_queries
from tool_corpora.kit import CorpusTool

SUITES = ("in_domain", "out_of_domain")
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


def tools_of(split: Split) -> dict[str, CorpusTool]:
    """The corpus tools of a split."""
    everything = load("toolbox") | load("fieldkit")
    return {name: everything[name] for name, which in splits().items() if which == split}


def training_queries(count: int, seed: int, purpose: str) -> list[Query]:
    """Queries of seen tools and no-tool queries, on the training side; `purpose` keeps
    the sets of different phases apart."""
    return make_queries(tools_of("seen"), "train", count, seed, "seen", prefix=purpose)


def test_suite(suite: str, size: int) -> list[Query]:
    """`size` queries per split: in_domain has seen, unseen and no_tool, out_of_domain has ood.

    In ood and unseen every tool of a query is of that split. no_tool has half the size.
    """
    wanted: Sequence[Split] = ("seen", "unseen") if suite == "in_domain" else ("ood",)
    queries = [
        query
        for split in wanted
        for query in make_queries(
            tools_of(split), "test", size, TEST_SEED, split, TOOL_KINDS, prefix=f"test-{split}"
        )
    ]
    if suite == "in_domain":
        queries += make_queries(
            tools_of("seen"), "test", size // 2, TEST_SEED, None, NO_TOOL_KINDS, "test-no-tool"
        )
    return queries


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
