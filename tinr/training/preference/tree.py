"""A tree of replies: nodes, which leaf to expand next, and what a reply was worth.

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
    """A reply up to a border; `ids` of all of it, what the environment said included."""

    ids: tuple[int, ...]
    room: Environment | None  # as it stands after these ids; None: of what has parted, a beginning
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
        """Mean worth of the replies that went through here."""
        return self.total / self.visits if self.visits else 0.0


@dataclass
class Tree:
    """One query's search."""

    query: Query
    prompt: tuple[int, ...]
    root: Node

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents first."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.children


def select(root: Node, config: SearchConfig) -> Node | None:
    """The leaf to expand next: down the best-scored children; None where nothing is open."""
    node = root
    while node.children:
        open_children = [child for child in node.children if _is_open(child, config)]
        if not open_children:
            return None
        seen = math.log(max(1, node.visits))
        node = max(
            open_children,
            key=lambda c: c.mean + config.exploration * c.prior * math.sqrt(seen / (c.visits + 1)),
        )
    return node if _is_open(node, config) else None


def _is_open(node: Node, config: SearchConfig) -> bool:
    """Whether anything below can still be expanded."""
    if node.children:
        return any(_is_open(child, config) for child in node.children)
    return not node.ended and node.depth < config.depth


def back_up(node: Node | None, worth: float) -> None:
    """Add a reply's worth to every node that it went through."""
    while node is not None:
        node.visits += 1
        node.total += worth
        node = node.parent
