"""A reply in progress: what it may write next, and who responds when it stops."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import torch

from tinr.chat.codec import Codec, stop_ids
from tinr.chat.parse import parse
from tinr.records import Query
from tinr.rollout.conversation import Conversation, Environment
from tinr.rollout.generate import Row, draw, likeliest_ids
from tinr.rollout.grammar import Constraint
from tinr.rollout.sampling_support import unpack
from tinr.serve.limits import ChoiceLimit, ToolChoice
from tinr.serve.reply_stream import Delta, ReplyStream

NEAR = 5  # tools of a `Near`

Listener = Callable[[Sequence[Delta]], None]


@dataclass(frozen=True)
class Job:
    """A reply to write, or to continue."""

    query: Query  # its tools: the only ones that may be called; (): any
    prompt: tuple[int, ...]  # including the reply so far
    max_tokens: int  # of the reply, including documents and results
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    named: tuple[str, ...] = ()  # tools that the reply names so far
    stops: tuple[str, ...] = ()  # texts at which the answer ends
    tool_choice: ToolChoice = "auto"
    one_call: bool = False  # per turn
    runs_tools: bool = True  # if the server has an executor
    listener: Listener | None = None  # called while the reply is written, from another thread


@dataclass(frozen=True)
class Near:
    """The most likely tools where the thought chose one, with their probabilities."""

    tools: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Written:
    """A finished reply."""

    conversation: Conversation
    texts: dict[str, str]  # part -> its text from `ReplyStream`
    near: tuple[Near, ...]


class Next(Enum):
    """What a draft needs after an id."""

    TOKEN = "its next id"
    TOOLS = "the results of its calls"
    PREFILL = "a prefill of what the environment added"
    NOTHING = "nothing: it is over"


@dataclass
class Draft:
    """One job in progress."""

    job: Job
    codec: Codec
    room: Environment
    limit: ChoiceLimit | None = None
    runs_tools: bool = False  # here, outside the decoding thread
    constraint: Constraint | None = None
    answer: "Future[Written]" = field(default_factory=Future)  # cancelled: nobody waits for it
    row: Row = field(default_factory=Row)
    near: list[Near] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)
    first_token: float | None = None  # seconds after `begun`
    is_away: bool = False  # while its calls run; their outcome:
    addition: Sequence[int] | None = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.stream = ReplyStream(self.codec, self.job.stops)
        self.random = torch.Generator()
        if self.job.seed is None:
            self.random.seed()
        else:
            self.random.manual_seed(self.job.seed)
        self._stops = stop_ids(self.codec)
        self._tool_ids = list(self.codec.tool_ids.values())
        self._call_end = self.codec.id("</tool_call>")

    @property
    def ids(self) -> list[int]:
        """The prompt and the reply so far."""
        return [*self.job.prompt, *self.row.ids]

    def write(self, logits: torch.Tensor, likeliest: int) -> Next:
        """Write one id; logits (V,), likeliest: the id of the largest one."""
        allowed = self._allowed(len(logits))
        if allowed is not None and not allowed.any():
            self.row.stuck = True
            return Next.NOTHING
        index = likeliest if allowed is None else int(likeliest_ids(logits, allowed))
        if self.job.temperature:
            sets = None if allowed is None else allowed[None]
            job = self.job
            ids, _, _ = draw(logits[None], job.temperature, self.random, job.top_p, sets)
            index = int(ids)
        if self.first_token is None:
            self.first_token = time.perf_counter() - self.begun
        if self.stream.part == "think" and index in self._tool_ids:
            self.near.append(self._near(logits))
        self._take([index], is_own=True)
        if self.stream.stopped:
            self.row.finished = True
            return Next.NOTHING
        if index not in self._stops:
            return self._next()
        if index == self._call_end and self.runs_tools:
            return Next.TOOLS
        return self.go_on(self.room.answer(self.row.ids))

    def go_on(self, addition: Sequence[int] | None) -> Next:
        """Take what the environment adds after a stop; None: the conversation is over."""
        if addition is None:
            self.row.finished = True
            return Next.NOTHING
        self._take(addition[: self.job.max_tokens - len(self.row.ids)], is_own=False)
        return Next.PREFILL if addition and self._next() is Next.TOKEN else self._next()

    def written(self) -> Written:
        """Return the finished reply."""
        self._tell(self.stream.end())
        self.room.finish(self.row.ids)
        conversation = Conversation(
            self.job.query,
            self.job.prompt,
            self.row,
            parse(self.room.spoken),
            tuple(self.room.spoken),
            time.perf_counter() - self.begun,
            self.room.shown,
        )
        return Written(conversation, self.stream.texts, tuple(self.near))

    def _next(self) -> Next:
        return Next.TOKEN if len(self.row.ids) < self.job.max_tokens else Next.NOTHING

    def _take(self, ids: Sequence[int], *, is_own: bool) -> None:
        deltas: list[Delta] = []
        for index in ids:
            self.row.ids.append(index)
            self.row.mask.append(int(is_own))
            if self.constraint is not None:
                self.constraint.feed(np.zeros(1, np.int64), np.array([index]))
            deltas += self.stream.feed(index)
        self._tell(deltas)

    def _tell(self, deltas: Sequence[Delta]) -> None:
        if deltas and self.job.listener is not None:
            self.job.listener(deltas)

    def _allowed(self, entries: int) -> torch.Tensor | None:
        """Return the set (V,) bool of entries that may come next; None: all."""
        allowed: torch.Tensor | None = None
        sets = None if self.constraint is None else self.constraint.allowed(np.zeros(1, np.int64))
        if sets is not None:
            allowed = unpack(torch.from_numpy(sets[1]), entries)[0]
        if self.limit is not None:
            allowed = torch.ones(entries, dtype=torch.bool) if allowed is None else allowed
            self.limit.narrow((self.row.ids or self.job.prompt)[-1], allowed)
        return allowed

    def _near(self, logits: torch.Tensor) -> Near:
        probabilities = logits.softmax(-1)[self._tool_ids]
        values, places = probabilities.topk(min(NEAR, len(self._tool_ids)))
        names = list(self.codec.tool_ids)
        pairs = zip(places.tolist(), values.tolist(), strict=True)
        return Near(tuple((names[place], value) for place, value in pairs))
