"""Tree search over fragments of a reply: find the continuations of a prefix that end well.

A node is the reply up to a structural border. Expanding it samples a few continuations. Their
common prefix is no decision. After they diverge, each becomes a child up to its next border and
continues greedily from there, with tools executed; a rule judges the whole reply. All trees
advance together: one batch samples and completes the leaves of all trees, with one prefill per
leaf and a cache that is kept along the path. A child that repeats its parent's greedy reply needs
no completion of its own. Ids are never re-tokenised.
Source: iTool, arXiv 2501.09766.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec, stop_ids
from tinr.config import SearchConfig
from tinr.evaluation.errors.grades import Verdict, judge
from tinr.records import Query, Reply
from tinr.rollout.conversation import environment_of, reachable
from tinr.rollout.generate import generate
from tinr.rollout.tools.executor import Executor
from tinr.training.preference.expansion import Fan
from tinr.training.preference.tree import Node, Tree, back_up, select

ROWS = 192  # per batch of the sampler
Judge = Callable[[Sequence[tuple[Reply, Query]]], list[Verdict]]  # of finished replies


@dataclass
class SearchCost:
    """The cost of a search."""

    nodes: int = 0
    tokens: int = 0  # that the model wrote, including completions
    seconds: float = 0.0  # of the search
    asked: int = 0  # requests to a model judge
    unanswered: int = 0  # those that kept the grade of the rules

    def add(self, other: "SearchCost") -> None:
        """Add the cost of another search."""
        self.nodes += other.nodes
        self.tokens += other.tokens
        self.seconds += other.seconds
        self.asked += other.asked
        self.unanswered += other.unanswered


def search(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    prompts: Sequence[Sequence[int]],
    catalogue: Catalogue,
    executor: Executor,
    config: SearchConfig,
    seed: int = 0,
    rows: int = ROWS,
    graded: Judge | None = None,
) -> tuple[list[Tree], SearchCost]:
    """Grow a tree for each query by `config.iterations` expansions, in documents mode none.

    rows: samples of all trees in one batch. graded: judges replies (None: the rules).
    """

    def by_rule(replies: Sequence[tuple[Reply, Query]]) -> list[Verdict]:
        return [judge(reply, query, catalogue) for reply, query in replies]

    forest = _Forest(model, codec, catalogue, executor, config, rows, graded or by_rule)
    trees = [
        Tree(query, tuple(prompt), Node((), environment_of(query, codec, catalogue, executor)))
        for query, prompt in zip(
            (reachable(query, executor) for query in queries), prompts, strict=True
        )
    ]
    for iteration in range(config.iterations):
        leaves = [(tree, leaf) for tree in trees if (leaf := select(tree.root, config)) is not None]
        if not leaves:
            break
        forest.expand(leaves, seed + iteration * 1_000_003)
    return trees, forest.spent


@dataclass
class _Forest:
    """The model and settings that all trees share."""

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    executor: Executor
    config: SearchConfig
    rows: int
    graded: Judge
    spent: SearchCost = field(default_factory=SearchCost)

    def expand(self, leaves: Sequence[tuple[Tree, Node]], seed: int) -> None:
        """Add judged children to each leaf and back up their values, sorted by length."""
        order = sorted(leaves, key=lambda leaf: len(leaf[0].prompt) + len(leaf[1].ids))
        size = max(1, self.rows // self.config.samples)
        for number, start in enumerate(range(0, len(order), size)):
            self._expand(order[start : start + size], seed + number)

    def _expand(self, leaves: Sequence[tuple[Tree, Node]], seed: int) -> None:
        samples = self.config.samples
        fans = [Fan.of(self.codec, leaf, self.config) for _, leaf in leaves]

        def respond(row: int, ids: Sequence[int]) -> Sequence[int] | None:
            return fans[row // samples].respond(row % samples, ids)

        def steer(
            rows: NDArray[np.int64], ids: NDArray[np.int64], is_own_array: NDArray[np.bool_]
        ) -> tuple[list[int], list[int]]:
            steps: dict[int, dict[int, tuple[int, bool]]] = {}
            for row, index, is_own in zip(
                rows.tolist(), ids.tolist(), is_own_array.tolist(), strict=True
            ):
                steps.setdefault(row // samples, {})[row % samples] = index, is_own
            ended_rows: list[int] = []
            greedy_rows: list[int] = []
            for number, step in steps.items():
                for row_list, offsets in zip(
                    (ended_rows, greedy_rows), fans[number].feed(step), strict=True
                ):
                    row_list += [number * samples + offset for offset in offsets]
            return ended_rows, greedy_rows

        rows = generate(
            self.model, [[*tree.prompt, *leaf.ids] for tree, leaf in leaves], respond,
            stop_ids(self.codec), max_tokens=max(fan.longest for fan in fans), pad=self.codec.pad,
            group=samples, temperature=self.config.temperature, seed=seed,
            steer=steer,
        )  # fmt: skip
        self.spent.tokens += sum(sum(row.mask) for row in rows)
        children = [
            (tree, child)
            for number, ((tree, _), fan) in enumerate(zip(leaves, fans, strict=True))
            for child in fan.children(rows[number * samples : (number + 1) * samples])
        ]
        self.spent.nodes += len(children)
        unjudged = [(tree, child) for tree, child in children if child.verdict is None]
        verdicts = self.graded([(n.reply, t.query) for t, n in unjudged if n.reply is not None])
        for (_, node), verdict in zip(unjudged, verdicts, strict=True):
            node.verdict = verdict
        for _, node in children:
            assert node.verdict is not None
            back_up(node, node.verdict.worth)
