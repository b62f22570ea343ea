"""One model for many clients: a thread answers waiting requests in batches."""

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

GRAMMARS = 16  # most cached grammars, one for each set of offered tools


class Busy(Exception):
    """Too many requests are open."""


@dataclass(frozen=True)
class Job:
    """A reply to write, or to continue."""

    query: Query  # its tools: the only ones that may be called; (): any
    prompt: tuple[int, ...]  # with the reply so far
    max_tokens: int  # tokens of the reply, documents shown on selection included
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    named: tuple[str, ...] = ()  # tools that the reply has named so far

    @property
    def alike(self) -> tuple[Any, ...]:
        """The key that jobs of one batch share.

        A job with a seed has its own batch; else its sample would depend on other requests.
        """
        job_id = None if self.seed is None else id(self)
        return self.max_tokens, self.temperature, self.top_p, self.query.tools, job_id


Waiting = tuple[Job, "Future[Conversation]"]


@dataclass
class Batcher:
    """Answers jobs in order of arrival, up to `rows` with one key at once; close it after use."""

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    documents: DocumentsMode = "none"
    constrained: bool = False  # inside the tags only tools, and calls that fit their documents
    rows: int = 16
    most: int = 64  # open jobs, in progress or waiting
    engine: Callable[..., list[Row]] = generate
    executor: Executor | None = None  # None: the client runs the tools
    _came: "queue.Queue[Waiting | None]" = field(default_factory=queue.Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0
    _batches: int = 0  # batches so far: the seed of jobs without one
    _grammars: dict[tuple[str, ...], Grammars] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def ask(self, job: Job) -> "Future[Conversation]":
        """A future of the reply; cancel it if nobody waits for it.

        BadInput if it cannot fit; Busy if too many jobs are open; RuntimeError if an error has
        ended the thread.
        """
        reason = too_long(self.model, [job.prompt], job.max_tokens).get(0)
        if reason is not None:
            raise BadInput(reason.partition(";")[0])
        if not self.works:
            raise RuntimeError("the batcher has ended")
        with self._lock:
            if self._open >= self.most:
                raise Busy(f"{self.most} requests are open already; try again later")
            self._open += 1
        answer: Future[Conversation] = Future()
        answer.add_done_callback(self._let_go)
        self._came.put((job, answer))
        return answer

    def close(self) -> None:
        """Answer the waiting jobs, and end."""
        self._came.put(None)
        self._thread.join()

    def _let_go(self, _: "Future[Conversation]") -> None:
        with self._lock:
            self._open -= 1

    def _work(self) -> None:
        waiting: list[Waiting] = []
        is_open = True
        while is_open or waiting:
            while is_open and (not waiting or not self._came.empty()):
                arrival = self._came.get()
                is_open = arrival is not None
                waiting += [arrival] if arrival is not None else []
            batch = [pair for pair in waiting if pair[0].alike == waiting[0][0].alike][: self.rows]
            waiting = [pair for pair in waiting if pair not in batch]
            self._answer([pair for pair in batch if pair[1].set_running_or_notify_cancel()])

    def _answer(self, batch: Sequence[Waiting]) -> None:
        if not batch:
            return
        try:
            conversations = self._write([job for job, _ in batch])
        except BaseException as error:  # every client gets the error; the thread continues
            for _, answer in batch:
                answer.set_exception(error)
            return
        for (_, answer), conversation in zip(batch, conversations, strict=True):
            answer.set_result(conversation)

    def _write(self, jobs: Sequence[Job]) -> list[Conversation]:
        first = jobs[0]
        self._batches += 1
        return converse(
            self.model,
            self.codec,
            [job.query for job in jobs],
            self.catalogue,
            self.executor or Executor(self.catalogue, {}),
            self.documents,
            temperature=first.temperature,
            top_p=first.top_p,
            max_tokens=first.max_tokens,
            seed=self._batches if first.seed is None else first.seed,
            prompts=[job.prompt for job in jobs],
            engine=self.engine,
            grammars=self._grammars_for(first.query.tools),
            named=[job.named for job in jobs],
        )

    def _grammars_for(self, tools: tuple[str, ...]) -> Grammars | None:
        """The grammars of replies: the offered tools, or all tools if `constrained`; else None."""
        if not tools and not self.constrained:
            return None
        if not self._grammars:
            self._grammars[()] = Grammars(self.codec, self.catalogue)
        if tools not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._grammars.pop(list(self._grammars)[1])  # the oldest except that of all tools
            self._grammars[tools] = self._grammars[()].only(tools)
        return self._grammars[tools]
