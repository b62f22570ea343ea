"""A tree of replies: its nodes, the choice of the next leaf, and the backup of values.

Source: iTool, arXiv 2501.09766; selection as in PUCT, with mean values.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tinr.config import SearchConfig
from tinr.evaluation.errors.grades import Verdict
from tinr.records import Query, Reply
from tinr.rollout.conversation import Environment
from tinr.training.preference.fragments import Border


@dataclass(eq=False)
class Node:
    """A reply up to a border. `ids`: all of its ids, including those of the environment."""

    ids: tuple[int, ...]
    room: (
        Environment | None
    )  # its state after these ids; None: the common prefix of samples that differ later
    border: Border | None = None
    prior: float = 1.0  # exp of the mean log-probability of its fragment
    depth: int = 0  # decisions from the root
    parent: "Node | None" = None
    wrote: tuple[int, ...] = ()  # the fragment: what the model added to its parent
    children: list["Node"] = field(default_factory=list)
    ended: bool = False  # nothing can follow
    visits: int = 0
    total: float = 0.0
    verdict: Verdict | None = None  # of its greedy completion
    reply: Reply | None = None
    greedy: tuple[int, ...] = ()  # ids of that completion, from the reply's first; (): unfinished

    @property
    def mean(self) -> float:
        """Mean value of the replies that pass through this node."""
        return self.total / self.visits if self.visits else 0.0


@dataclass
class Tree:
    """One query's search."""

    query: Query
    prompt: tuple[int, ...]
    root: Node

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents first."""
        queue = [self.root]
        while queue:
            node = queue.pop()
            yield node
            queue += node.children


def select(root: Node, config: SearchConfig) -> Node | None:
    """Choose the leaf to expand next by following the best child. None if nothing is open."""
    node = root
    while node.children:
        open_children = [child for child in node.children if _is_open(child, config)]
        if not open_children:
            return None
        log_visits = math.log(max(1, node.visits))
        node = max(
            open_children,
            key=lambda c: (
                c.mean + config.exploration * c.prior * math.sqrt(log_visits / (c.visits + 1))
            ),
        )
    return node if _is_open(node, config) else None


def _is_open(node: Node, config: SearchConfig) -> bool:
    """Whether a leaf below can still be expanded."""
    if node.children:
        return any(_is_open(child, config) for child in node.children)
    return not node.ended and node.depth < config.depth


def back_up(node: Node | None, worth: float) -> None:
    """Add a reply's value to every node that it passes through."""
    while node is not None:
        node.visits += 1
        node.total += worth
        node = node.parent
