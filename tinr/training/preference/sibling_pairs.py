"""Preference pairs from siblings: one beginning, two fragments, one of which ends better.

Both sides share the conversation up to the node and differ in one fragment; no end of turn is
put behind it. Means are compared, not sums: a sum favours what was visited often.
Source: iTool, arXiv 2501.09766.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from tinr.catalogue.load import Catalogue
from tinr.config import PairsConfig
from tinr.data.packing import PreferencePair
from tinr.evaluation.errors.grades import Deficiency, difference
from tinr.training.preference.tree import Node, Tree

NO_KIND = "worse"  # where the rule sees no single thing that sets two replies apart


def sibling_pairs(
    trees: Iterable[Tree], catalogue: Catalogue, config: PairsConfig
) -> list[PreferencePair]:
    """At most one pair of each node with two children, the widest gaps first if too many."""
    found = [
        (best.mean - worst.mean, _pair(tree, node, best, worst, catalogue))
        for tree in trees
        for node in tree.nodes()
        for best, worst in _best_and_worst(node, config)
    ]
    found.sort(key=lambda one: -one[0])
    return [pair for _, pair in found[: config.most]]


def _best_and_worst(node: Node, config: PairsConfig) -> list[tuple[Node, Node]]:
    """The two children that make a pair, or nothing."""
    if len(node.children) < 2:
        return []
    best = max(node.children, key=lambda child: child.mean)
    worst = min((c for c in node.children if c is not best), key=lambda child: child.mean)
    good = best.mean - worst.mean >= config.gap and best.mean >= config.min_recall
    return [(best, worst)] if good and overlap(best.wrote, worst.wrote) <= config.overlap else []


def overlap(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of the tokens of both that both have, counted with repetitions; in [0, 1]."""
    shared = (Counter(one) & Counter(other)).total()
    return 2 * shared / (len(one) + len(other))


def _pair(tree: Tree, node: Node, best: Node, worst: Node, catalogue: Catalogue) -> PreferencePair:
    kind: Deficiency | str | None = None
    if best.reply is not None and worst.reply is not None:
        kind = difference(best.reply, worst.reply, tree.query, catalogue)
    return PreferencePair((*tree.prompt, *node.ids), best.wrote, worst.wrote, kind or NO_KIND)
