"""One model, many who ask: requests that wait are answered in one batch, in a thread."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec
from tinr.records import BadInput, DocumentsMode, Query
from tinr.rollout.conversation import Conversation, converse, too_long
from tinr.rollout.generate import Row, generate
from tinr.rollout.grammar import Grammars
from tinr.rollout.tools.executor import Executor

GRAMMARS = 16  # sets of offered tools whose grammars are kept


class Busy(Exception):
    """More requests are open than may be."""


@dataclass(frozen=True)
class Job:
    """A reply to be written, or to be gone on with."""

    query: Query  # its tools: the only ones that may be called; (): any
    prompt: tuple[int, ...]  # with the reply so far
    max_tokens: int  # tokens of the reply, documents shown on selection included
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    named: tuple[str, ...] = ()  # tools that the reply has named so far

    @property
    def alike(self) -> tuple[Any, ...]:
        """What jobs of one batch have in common; one with a seed is alone, or its draw would hang
        on who else asks."""
        alone = None if self.seed is None else id(self)
        return self.max_tokens, self.temperature, self.top_p, self.query.tools, alone


Waiting = tuple[Job, "Future[Conversation]"]


@dataclass
class Desk:
    """Answers jobs in the order they come, up to `rows` alike at once; close it after use."""

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    documents: DocumentsMode = "none"
    constrained: bool = False  # inside the tags only tools, and calls that fit their documents
    rows: int = 16
    most: int = 64  # jobs that may be open, written or waiting
    engine: Callable[..., list[Row]] = generate
    _came: "queue.Queue[Waiting | None]" = field(default_factory=queue.Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0
    _batches: int = 0  # so far: the seed of those that give none
    _grammars: dict[tuple[str, ...], Grammars] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether anybody is there to answer."""
        return self._thread.is_alive()

    def ask(self, job: Job) -> "Future[Conversation]":
        """The reply, when it is written; cancel it where nobody waits for it any more.

        BadInput where it cannot fit; Busy where too many are open; RuntimeError where a fault has
        ended the desk.
        """
        reason = too_long(self.model, [job.prompt], job.max_tokens).get(0)
        if reason is not None:
            raise BadInput(reason.partition(";")[0])
        if not self.works:
            raise RuntimeError("the desk has ended")
        with self._lock:
            if self._open >= self.most:
                raise Busy(f"{self.most} requests are open already; try again later")
            self._open += 1
        answer: Future[Conversation] = Future()
        answer.add_done_callback(self._let_go)
        self._came.put((job, answer))
        return answer

    def close(self) -> None:
        """Answer what waits, and end."""
        self._came.put(None)
        self._thread.join()

    def _let_go(self, _: "Future[Conversation]") -> None:
        with self._lock:
            self._open -= 1

    def _work(self) -> None:
        left: list[Waiting] = []
        more = True
        while more or left:
            while more and (not left or not self._came.empty()):
                came = self._came.get()
                more = came is not None
                left += [came] if came is not None else []
            alike = [one for one in left if one[0].alike == left[0][0].alike][: self.rows]
            left = [one for one in left if one not in alike]
            self._answer([one for one in alike if one[1].set_running_or_notify_cancel()])

    def _answer(self, batch: Sequence[Waiting]) -> None:
        if not batch:
            return
        try:
            done = self._write([job for job, _ in batch])
        except BaseException as error:  # whoever asked hears of it, whatever it is; we go on
            for _, answer in batch:
                answer.set_exception(error)
            return
        for (_, answer), one in zip(batch, done, strict=True):
            answer.set_result(one)

    def _write(self, jobs: Sequence[Job]) -> list[Conversation]:
        first = jobs[0]
        self._batches += 1
        return converse(
            self.model,
            self.codec,
            [job.query for job in jobs],
            self.catalogue,
            Executor(self.catalogue, {}),  # tools are the client's to run
            self.documents,
            temperature=first.temperature,
            top_p=first.top_p,
            max_tokens=first.max_tokens,
            seed=self._batches if first.seed is None else first.seed,
            prompts=[job.prompt for job in jobs],
            engine=self.engine,
            grammars=self._held(first.query.tools),
            named=[job.named for job in jobs],
        )

    def _held(self, tools: tuple[str, ...]) -> Grammars | None:
        """What replies are held to: the offered tools, or with `constrained` all of them."""
        if not tools and not self.constrained:
            return None
        if not self._grammars:
            self._grammars[()] = Grammars(self.codec, self.catalogue)
        if tools not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._grammars.pop(list(self._grammars)[1])  # the oldest but the whole
            self._grammars[tools] = self._grammars[()].only(tools)
        return self._grammars[tools]
