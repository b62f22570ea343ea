"""The samples of one leaf while they are written: what they have alike, and where they part.

At first they are one, the trunk: it decides nothing. At the first border after they have parted
each is cut, which makes it a child, and from there on its row is its greedy completion.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from tinr.chat.codec import Codec, stop_ids
from tinr.chat.parse import parse
from tinr.config import SearchConfig
from tinr.rollout.conversation import Environment
from tinr.rollout.generate import Row
from tinr.training.preference.fragments import Border, Borders
from tinr.training.preference.tree import Node

Step = Mapping[int, tuple[int, bool]]  # row -> the id that it has got, and whether it wrote it


@dataclass
class _Sample:
    """One row: its environment, and where its fragment ends."""

    reader: Borders
    room: Environment
    ids: list[int] = field(default_factory=list)
    known: bool = True  # that its ids are those of the leaf's greedy completion
    end: int | None = None  # ids at which it was cut
    border: Border | None = None
    cut: Environment | None = None  # its environment at the cut
    answer: Sequence[int] | None = ()  # of the environment to a cut at a stop; None: the end


@dataclass
class Fan:
    """The samples of a leaf."""

    leaf: Node
    config: SearchConfig
    stops: frozenset[int]
    samples: list[_Sample]
    trunk: int = 0  # ids that all have alike, up to a border
    parted: bool = False
    seen: dict[tuple[int, ...], int] = field(default_factory=dict)  # fragment -> its first row
    said: tuple[int, Sequence[int] | None, Environment] | None = None  # last answer to the trunk

    @classmethod
    def of(cls, codec: Codec, leaf: Node, config: SearchConfig) -> Self:
        """What nothing is written of yet."""
        assert leaf.room is not None
        rows = [
            _Sample(Borders.after(codec, leaf.ids), copied(leaf.room))
            for _ in range(config.samples)
        ]
        return cls(leaf, config, stop_ids(codec), rows)

    @property
    def longest(self) -> int:
        """Ids that each sample may have at most: what is left of a whole reply."""
        return max(1, self.config.completion - len(self.leaf.ids))

    def feed(self, step: Step) -> tuple[list[int], list[int]]:
        """Take an id of every row that runs: the rows that end here, and those now greedy."""
        borders: dict[int, Border | None] = {
            place: self._read(place, index) for place, (index, _) in step.items()
        }
        over = [place for place in step if len(self.samples[place].ids) >= self.max_tokens]
        if not self.parted and len({index for index, _ in step.values()}) == 1:
            place, (_, own) = next(iter(step.items()))
            length = len(self.samples[place].ids)
            if borders[place] or not own or length - self.trunk >= self.config.fragment:
                self.trunk = length
            return over, []
        self.parted = True
        greedy: list[int] = []
        for place, border in borders.items():
            one = self.samples[place]
            long = len(one.ids) - self.trunk >= self.config.fragment
            if one.end is None and (border or long or place in over):
                one.end, one.border, one.cut = len(one.ids), border, copied(one.room)
                first = self.seen.setdefault(tuple(one.ids[self.trunk :]), place)
                one.known &= one.ids[-1] not in self.stops  # else an answer is to come
                (over if first != place or one.known else greedy).append(place)
        return over, greedy

    def _read(self, place: int, index: int) -> Border | None:
        """The border at which a row that is not cut yet now stands; a key goes with its value."""
        one = self.samples[place]
        one.ids.append(index)
        if one.end is not None:
            return None
        at, said = len(self.leaf.ids) + len(one.ids), self.leaf.greedy
        one.known &= at <= len(said) and said[at - 1] == index
        border = one.reader.feed(index)
        return None if border == "key" else border

    def respond(self, place: int, ids: Sequence[int]) -> Sequence[int] | None:
        """The environment's answer to a row that has written a stop.

        The trunk is answered once for all: a tool runs once, and what it says parts no samples.
        """
        one = self.samples[place]
        if not self.parted and self.said and self.said[0] == len(ids):
            one.room = copied(self.said[2])
            return self.said[1]
        answer = one.room.respond([*self.leaf.ids, *ids])
        if not self.parted:
            self.said = len(ids), answer, copied(one.room)
        if one.end == len(ids):
            one.cut, one.answer = copied(one.room), answer
        return answer

    def children(self, rows: Sequence[Row]) -> list[Node]:
        """The leaf's new children, with their replies; a verdict has who repeats the leaf's own.

        All alike to the end are one child, at which nothing can follow.
        """
        if not self.parted:
            return [self._child(self.leaf, 0, rows[0], 0)]
        parent = self.leaf
        if self.trunk:
            wrote = tuple(rows[0].ids[: self.trunk])
            parent = Node(
                self.leaf.ids + wrote, None, depth=parent.depth, parent=parent, wrote=wrote
            )
            self.leaf.children.append(parent)
        return [self._child(parent, place, rows[place], self.trunk) for place in self.seen.values()]

    def _child(self, parent: Node, place: int, row: Row, start: int) -> Node:
        one, leaf = self.samples[place], self.leaf
        end = len(row.ids) if one.end is None else one.end
        wrote = tuple(row.ids[start:end])
        child = Node(
            leaf.ids + tuple(row.ids[:end]) + tuple(one.answer or ()), one.cut, one.border,
            math.exp(sum(row.logprobs[start:end]) / len(wrote)), leaf.depth + 1, parent, wrote,
        )  # fmt: skip
        full = len(child.ids) >= self.config.completion
        child.ended = one.end is None or one.answer is None or full
        parent.children.append(child)
        if one.known and one.end is not None:
            child.reply, child.verdict, child.greedy = leaf.reply, leaf.verdict, leaf.greedy
            return child
        whole = leaf.ids + tuple(row.ids)
        one.room.finish(whole)
        child.reply = parse(one.room.spoken)
        child.greedy = whole if row.finished and len(row.ids) < self.max_tokens else ()
        return child


def copied(room: Environment) -> Environment:
    """An environment that goes on from here without the other knowing."""
    return replace(room, spoken=list(room.spoken))
