"""The samples of one leaf during generation: their common prefix, and where they diverge.

At first all samples are equal; this trunk is no decision. Each sample is cut at its first border
after they diverge and becomes a child. After the cut its row continues as its greedy completion.
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

Step = Mapping[int, tuple[int, bool]]  # row -> its next id, and whether the model wrote it


@dataclass
class _Sample:
    """One row: its environment, and the end of its fragment."""

    reader: Borders
    room: Environment
    ids: list[int] = field(default_factory=list)
    known: bool = True  # whether its ids so far equal the leaf's greedy completion
    end: int | None = None  # number of ids at its cut
    border: Border | None = None
    cut: Environment | None = None  # its environment at the cut
    answer: Sequence[int] | None = ()  # the environment's, after a cut at a stop; None: the end


@dataclass
class Fan:
    """The samples of a leaf."""

    leaf: Node
    config: SearchConfig
    stops: frozenset[int]
    samples: list[_Sample]
    trunk: int = 0  # length of the common prefix, up to a border
    parted: bool = False
    seen: dict[tuple[int, ...], int] = field(default_factory=dict)  # fragment -> its first row
    said: tuple[int, Sequence[int] | None, Environment] | None = None  # last answer to the trunk

    @classmethod
    def of(cls, codec: Codec, leaf: Node, config: SearchConfig) -> Self:
        """Make the samples of a leaf before generation."""
        assert leaf.room is not None
        rows = [
            _Sample(Borders.after(codec, leaf.ids), copied(leaf.room))
            for _ in range(config.samples)
        ]
        return cls(leaf, config, stop_ids(codec), rows)

    @property
    def longest(self) -> int:
        """Maximum number of ids of a sample: what the leaf leaves of a whole reply."""
        return max(1, self.config.completion - len(self.leaf.ids))

    def feed(self, step: Step) -> tuple[list[int], list[int]]:
        """Take the next id of every running row. Returns ended rows, and rows to make greedy."""
        borders: dict[int, Border | None] = {
            row: self._read(row, index) for row, (index, _) in step.items()
        }
        ended_rows = [row for row in step if len(self.samples[row].ids) >= self.longest]
        if not self.parted and len({index for index, _ in step.values()}) == 1:
            row, (_, is_own) = next(iter(step.items()))
            length = len(self.samples[row].ids)
            if borders[row] or not is_own or length - self.trunk >= self.config.fragment:
                self.trunk = length
            return ended_rows, []
        self.parted = True
        greedy_rows: list[int] = []
        for row, border in borders.items():
            sample = self.samples[row]
            is_long = len(sample.ids) - self.trunk >= self.config.fragment
            if sample.end is None and (border or is_long or row in ended_rows):
                sample.end, sample.border, sample.cut = len(sample.ids), border, copied(sample.room)
                first_row = self.seen.setdefault(tuple(sample.ids[self.trunk :]), row)
                sample.known &= (
                    sample.ids[-1] not in self.stops
                )  # after a stop, the environment answers next
                (ended_rows if first_row != row or sample.known else greedy_rows).append(row)
        return ended_rows, greedy_rows

    def _read(self, row: int, index: int) -> Border | None:
        """Add an id to a row. Returns the border that an uncut row reached; keys do not count."""
        sample = self.samples[row]
        sample.ids.append(index)
        if sample.end is not None:
            return None
        length, greedy_ids = len(self.leaf.ids) + len(sample.ids), self.leaf.greedy
        sample.known &= length <= len(greedy_ids) and greedy_ids[length - 1] == index
        border = sample.reader.feed(index)
        return None if border == "key" else border

    def respond(self, row: int, ids: Sequence[int]) -> Sequence[int] | None:
        """Return the environment's answer to a row that has written a stop.

        The trunk is answered once for all samples: a tool runs once, so its answer cannot make
        samples diverge.
        """
        sample = self.samples[row]
        if not self.parted and self.said and self.said[0] == len(ids):
            sample.room = copied(self.said[2])
            return self.said[1]
        answer = sample.room.respond([*self.leaf.ids, *ids])
        if not self.parted:
            self.said = len(ids), answer, copied(sample.room)
        if sample.end == len(ids):
            sample.cut, sample.answer = copied(sample.room), answer
        return answer

    def children(self, rows: Sequence[Row]) -> list[Node]:
        """Make the leaf's new children with their replies.

        A child that repeats the leaf's greedy reply takes its verdict. Samples that are equal to
        the end become one child, which cannot be continued.
        """
        if not self.parted:
            return [self._child(self.leaf, 0, rows[0], 0)]
        parent = self.leaf
        if self.trunk:
            fragment = tuple(rows[0].ids[: self.trunk])
            parent = Node(
                self.leaf.ids + fragment, None, depth=parent.depth, parent=parent, wrote=fragment
            )
            self.leaf.children.append(parent)
        return [self._child(parent, row, rows[row], self.trunk) for row in self.seen.values()]

    def _child(self, parent: Node, row: int, completion: Row, start: int) -> Node:
        sample, leaf = self.samples[row], self.leaf
        end = len(completion.ids) if sample.end is None else sample.end
        fragment = tuple(completion.ids[start:end])
        child = Node(
            leaf.ids + tuple(completion.ids[:end]) + tuple(sample.answer or ()),
            sample.cut,
            sample.border,
            math.exp(sum(completion.logprobs[start:end]) / len(fragment)),
            leaf.depth + 1,
            parent,
            fragment,
        )
        is_full = len(child.ids) >= self.config.completion
        child.ended = sample.end is None or sample.answer is None or is_full
        parent.children.append(child)
        if sample.known and sample.end is not None:
            child.reply, child.verdict, child.greedy = leaf.reply, leaf.verdict, leaf.greedy
            return child
        reply_ids = leaf.ids + tuple(completion.ids)
        sample.room.finish(reply_ids)
        child.reply = parse(sample.room.spoken)
        child.greedy = (
            reply_ids if completion.finished and len(completion.ids) < self.longest else ()
        )
        return child


def copied(room: Environment) -> Environment:
    """Copy an environment, so that the original and the copy continue independently."""
    return replace(room, spoken=list(room.spoken))
