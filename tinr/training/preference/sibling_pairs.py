"""Make preference pairs of siblings: a common prefix and two fragments of different value.

Both sides share the conversation up to the node and differ in one fragment, with no end of turn
after it. Means are compared, not sums: a sum favours nodes with many visits.
Source: iTool, arXiv 2501.09766.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from tinr.catalogue.load import Catalogue
from tinr.config import PairsConfig
from tinr.data.packing import PreferencePair
from tinr.evaluation.errors.grades import Deficiency, difference
from tinr.training.preference.tree import Node, Tree

NO_KIND = "worse"  # if the rules see no single difference between two replies


def sibling_pairs(
    trees: Iterable[Tree], catalogue: Catalogue, config: PairsConfig
) -> list[PreferencePair]:
    """Make at most one pair per node with two or more children, widest gaps first."""
    gaps = [
        (best.mean - worst.mean, _pair(tree, node, best, worst, catalogue))
        for tree in trees
        for node in tree.nodes()
        for best, worst in _best_and_worst(node, config)
    ]
    gaps.sort(key=lambda gap_and_pair: -gap_and_pair[0])
    return [pair for _, pair in gaps[: config.most]]


def _best_and_worst(node: Node, config: PairsConfig) -> list[tuple[Node, Node]]:
    """The two children that make a pair, or an empty list."""
    if len(node.children) < 2:
        return []
    best = max(node.children, key=lambda child: child.mean)
    worst = min((c for c in node.children if c is not best), key=lambda child: child.mean)
    is_pair = best.mean - worst.mean >= config.gap and best.mean >= config.least
    return [(best, worst)] if is_pair and overlap(best.wrote, worst.wrote) <= config.overlap else []


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Share of common tokens among the tokens of both, counted with repetitions; in [0, 1]."""
    count = (Counter(first) & Counter(second)).total()
    return 2 * count / (len(first) + len(second))


def _pair(tree: Tree, node: Node, best: Node, worst: Node, catalogue: Catalogue) -> PreferencePair:
    kind: Deficiency | str | None = None
    if best.reply is not None and worst.reply is not None:
        kind = difference(best.reply, worst.reply, tree.query, catalogue)
    return PreferencePair((*tree.prompt, *node.ids), best.wrote, worst.wrote, kind or NO_KIND)
