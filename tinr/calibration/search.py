"""Tree search over fragments of a reply: which continuation, from the same beginning, ends well.

A node is the reply up to a structural border. Expanding it samples a few next fragments; each
new child is completed greedily, tools really run, and a rule judges the whole reply. All trees
advance together: their leaves are expanded in one batch and completed in another, which is
where the time goes. Ids are never re-tokenised.
Source: iTool, arXiv 2501.09766; selection as in PUCT, with mean values.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel

from tinr.calibration.fragments import Border, Borders
from tinr.calibration.judge import Verdict, judge
from tinr.catalogue import Catalogue
from tinr.config import SearchConfig
from tinr.executor import Executor
from tinr.records import Query, Reply
from tinr.rollout import Environment, stop_ids
from tinr.sampler import Row, generate
from tinr.tokens import Codec
from tinr.transcript import parse

ROWS = 192  # in one batch of the sampler
Judge = Callable[[Sequence[tuple[Reply, Query]]], list[Verdict]]  # of finished replies


class _Every(frozenset):
    """The stops of an expansion: every id, so that borders are seen as they are written."""

    def __contains__(self, _: object) -> bool:
        return True


@dataclass(eq=False)
class Node:
    """A reply up to a border; `ids` of all of it, what the environment said included."""

    ids: tuple[int, ...]
    room: Environment  # as it stands after these ids
    border: Border | None = None
    prior: float = 1.0  # exp of the mean log-probability of its fragment
    depth: int = 0
    parent: "Node | None" = None
    wrote: tuple[int, ...] = ()  # the fragment: what the model added to its parent
    children: list["Node"] = field(default_factory=list)
    ended: bool = False  # nothing can follow
    visits: int = 0
    total: float = 0.0
    verdict: Verdict | None = None  # of its greedy completion
    reply: Reply | None = None

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


@dataclass
class Spent:
    """What a search cost."""

    nodes: int = 0
    tokens: int = 0  # that the model wrote, completions included
    seconds: float = 0.0  # where they were taken
    asked: int = 0  # replies that a model was to grade
    unanswered: int = 0  # of them, whose grade is the rules' all the same

    def add(self, other: "Spent") -> None:
        """Count what another search cost as well."""
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
) -> tuple[list[Tree], Spent]:
    """A tree for each query after `config.iterations` expansions, documents mode none.

    rows: fragments or replies that are written together, of all trees. graded: who judges
    replies (None: the rules).
    """

    def by_rule(replies: Sequence[tuple[Reply, Query]]) -> list[Verdict]:
        return [judge(reply, query, catalogue) for reply, query in replies]

    forest = _Forest(model, codec, catalogue, executor, config, rows, graded or by_rule)
    trees = [
        Tree(query, tuple(prompt), Node((), Environment(codec, catalogue, executor, "none")))
        for query, prompt in zip(queries, prompts, strict=True)
    ]
    for iteration in range(config.iterations):
        leaves = [(tree, leaf) for tree in trees if (leaf := select(tree.root, config)) is not None]
        if not leaves:
            break
        forest.expand(leaves, seed + iteration * 1_000_003)
    return trees, forest.spent


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


@dataclass
class _Forest:
    """All trees' shared machinery."""

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    executor: Executor
    config: SearchConfig
    rows: int
    graded: Judge
    spent: Spent = field(default_factory=Spent)

    def expand(self, leaves: Sequence[tuple[Tree, Node]], seed: int) -> None:
        """Children of each leaf, judged and backed up.

        Where all samples were one, nothing was decided, so that one is expanded at once.
        """
        born: list[tuple[Tree, Node]] = []
        while leaves:
            alone: list[tuple[Tree, Node]] = []
            for chunk in self._chunks(leaves, self.config.samples):
                seed += 1
                rows, borders = self._fragments(chunk, seed)
                for place, (tree, leaf) in enumerate(chunk):
                    mine = slice(place * self.config.samples, (place + 1) * self.config.samples)
                    children = self._children(leaf, rows[mine], borders[mine])
                    undecided = len(children) == 1 and _is_open(children[0], self.config)
                    (alone if undecided else born).extend((tree, child) for child in children)
            leaves = alone
        for chunk in self._chunks(born, 1):
            self._complete(chunk)

    def _chunks(
        self, nodes: Sequence[tuple[Tree, Node]], group: int
    ) -> Iterator[list[tuple[Tree, Node]]]:
        """Batches of like length."""
        order = sorted(nodes, key=lambda at: len(at[0].prompt) + len(at[1].ids))
        size = max(1, self.rows // group)
        return (order[start : start + size] for start in range(0, len(order), size))

    def _fragments(
        self, chunk: Sequence[tuple[Tree, Node]], seed: int
    ) -> tuple[list[Row], list[Border | None]]:
        """`samples` next fragments of each leaf, and the border at which each ends."""
        samples = self.config.samples
        readers = [Borders.after(self.codec, leaf.ids) for _, leaf in chunk for _ in range(samples)]
        ends: list[Border | None] = [None] * len(readers)

        def respond(row: int, ids: Sequence[int]) -> Sequence[int] | None:
            border = readers[row].feed(ids[-1])
            ends[row] = None if border == "key" else border  # a key goes with its value
            return [] if ends[row] is None else None

        rows = generate(
            self.model, [[*tree.prompt, *leaf.ids] for tree, leaf in chunk], respond, _Every(),
            longest=self.config.fragment, pad=self.codec.pad, group=samples,
            temperature=self.config.temperature, seed=seed,
        )  # fmt: skip
        self.spent.tokens += sum(len(row.ids) for row in rows)
        return rows, ends

    def _children(
        self, leaf: Node, rows: Sequence[Row], borders: Sequence[Border | None]
    ) -> list[Node]:
        """The distinct ones, each with what the environment answers at its end."""
        stops = stop_ids(self.codec)
        seen: set[tuple[int, ...]] = set()
        for row, border in zip(rows, borders, strict=True):
            wrote = tuple(row.ids)
            if wrote in seen:
                continue
            seen.add(wrote)
            child = Node(
                leaf.ids + wrote, _copied(leaf.room), border,
                math.exp(sum(row.logprobs) / len(row.logprobs)), leaf.depth + 1, leaf, wrote,
            )  # fmt: skip
            if wrote[-1] in stops:
                answer = child.room.respond(child.ids)
                child.ended = answer is None
                child.ids += tuple(answer or ())
            leaf.children.append(child)
        self.spent.nodes += len(leaf.children)
        return leaf.children

    def _complete(self, chunk: Sequence[tuple[Tree, Node]]) -> None:
        """Greedy completions, judged; their worth goes up the trees."""
        rooms = [_copied(node.room) for _, node in chunk]
        going = [i for i, (_, node) in enumerate(chunk) if not node.ended]
        rows: dict[int, Row] = {}
        if going:
            made = generate(
                self.model, [[*chunk[i][0].prompt, *chunk[i][1].ids] for i in going],
                lambda row, ids: rooms[going[row]].respond([*chunk[going[row]][1].ids, *ids]),
                stop_ids(self.codec), longest=self.config.completion, pad=self.codec.pad,
            )  # fmt: skip
            rows = dict(zip(going, made, strict=True))
            self.spent.tokens += sum(sum(row.mask) for row in made)
        for number, (_, node) in enumerate(chunk):
            rooms[number].finish([*node.ids, *(rows[number].ids if number in rows else [])])
            node.reply = parse(rooms[number].spoken)
        verdicts = self.graded([(n.reply, t.query) for t, n in chunk if n.reply is not None])
        for (_, node), verdict in zip(chunk, verdicts, strict=True):
            node.verdict = verdict
            back_up(node, verdict.worth)


def _copied(room: Environment) -> Environment:
    """An environment that goes on from here without the other knowing."""
    return Environment(
        room.codec, room.catalogue, room.executor, room.documents, list(room.spoken), room.read,
        room.turns,
    )  # fmt: skip
