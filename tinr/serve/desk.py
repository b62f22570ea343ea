"""One model, many who ask: requests that wait are answered in one batch, in a thread."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue import Catalogue
from tinr.constraint import Grammars
from tinr.executor import Executor
from tinr.records import BadInput, DocumentsMode, Query
from tinr.rollout import Conversation, converse, too_long
from tinr.sampler import Row, generate
from tinr.tokens import Codec

GRAMMARS = 16  # sets of offered tools whose grammars are kept


class Busy(Exception):
    """More requests wait than may."""


@dataclass(frozen=True)
class Job:
    """A reply to be written, or to be gone on with."""

    query: Query  # its tools: the only ones that may be called; (): any
    prompt: tuple[int, ...]  # with the reply so far
    longest: int  # tokens of the reply, documents shown on selection included
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    @property
    def alike(self) -> tuple[Any, ...]:
        """What jobs of one batch have in common; one with a seed is alone, or its draw would hang
        on who else asks."""
        alone = None if self.seed is None else id(self)
        return self.longest, self.temperature, self.top_p, self.query.tools, alone


@dataclass
class Desk:
    """Answers jobs in the order they come, up to `rows` alike at once; close it after use."""

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    documents: DocumentsMode = "none"
    constrained: bool = False  # inside the tags only tools, and calls that fit their documents
    rows: int = 16
    most: int = 64  # jobs that may wait
    engine: Callable[..., list[Row]] = generate
    _waiting: queue.Queue[tuple[Job, Future[Conversation]] | None] = field(init=False)
    _grammars: dict[tuple[str, ...], Grammars] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = queue.Queue()
        self._drawn = 0  # batches so far: the seed of those that give none
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    def ask(self, job: Job) -> "Future[Conversation]":
        """The reply, when it is written. BadInput where it cannot fit; Busy where too many wait."""
        reason = too_long(self.model, [job.prompt], job.longest).get(0)
        if reason is not None:
            raise BadInput(reason.partition(";")[0])
        if self._waiting.qsize() >= self.most:
            raise Busy(f"{self.most} requests wait already; try again later")
        answer: Future[Conversation] = Future()
        self._waiting.put((job, answer))
        return answer

    def close(self) -> None:
        """Answer what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        left: list[tuple[Job, Future[Conversation]]] = []
        open_ = True
        while open_ or left:
            while open_ and (not left or not self._waiting.empty()):
                came = self._waiting.get()
                open_ = came is not None
                left += [came] if came is not None else []
            if not left:
                return
            alike = left[0][0].alike
            batch = [one for one in left if one[0].alike == alike][: self.rows]
            left = [one for one in left if one not in batch]
            self._answer([one for one in batch if one[1].set_running_or_notify_cancel()])

    def _answer(self, batch: Sequence[tuple[Job, "Future[Conversation]"]]) -> None:
        if not batch:
            return
        try:
            done = self._write([job for job, _ in batch])
        except Exception as error:  # whoever asked hears of it; the desk goes on
            for _, answer in batch:
                answer.set_exception(error)
            return
        for (_, answer), one in zip(batch, done, strict=True):
            answer.set_result(one)

    def _write(self, jobs: Sequence[Job]) -> list[Conversation]:
        first = jobs[0]
        self._drawn += 1
        return converse(
            self.model,
            self.codec,
            [job.query for job in jobs],
            self.catalogue,
            Executor(self.catalogue, {}),  # tools are the client's to run
            self.documents,
            temperature=first.temperature,
            top_p=first.top_p,
            longest=first.longest,
            seed=self._drawn if first.seed is None else first.seed,
            prompts=[job.prompt for job in jobs],
            engine=self.engine,
            grammars=self._held(first.query.tools),
        )

    def _held(self, tools: tuple[str, ...]) -> Grammars | None:
        """What replies are held to: the offered tools, or with `constrained` all of them."""
        if not tools and not self.constrained:
            return None
        if tools not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._grammars.pop(next(iter(self._grammars)))
            docs = tuple(d for d in self.catalogue.tools if not tools or d.name in tools)
            self._grammars[tools] = Grammars(self.codec, Catalogue(docs))
        return self._grammars[tools]
