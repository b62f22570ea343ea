"""One model for many clients: continuous batching, one token of every reply per step.

A reply joins as soon as a row is free, in the order of arrival, and leaves at its end. While its
calls run, its row is free for others. A long prompt is prefilled in parts, one between two steps,
alternating with the prompts that arrive later.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec
from tinr.records import BadInput, DocumentsMode
from tinr.rollout.conversation import environment_of, reachable, too_long
from tinr.rollout.grammar import Constraint, Grammars
from tinr.rollout.tools.executor import Executor
from tinr.serve.decoder import Decoder, LocalDecoder
from tinr.serve.draft import Draft, Job, Next, Written
from tinr.serve.limits import ChoiceLimit
from tinr.serve.metrics import Metrics

GRAMMARS = 16  # most cached grammars, one per set of offered tools
UNLIKE = 4  # prompts are not prefilled together if one is more than this many times longer
MOST_JOINING = 4096  # most tokens of prompts, with padding, that are prefilled together


class Busy(Exception):
    """Too many requests are open."""


class Ended(Exception):
    """The server is shutting down."""


class ToolsFailed(Exception):
    """The server's tools cannot run."""


@dataclass(frozen=True, eq=False)
class Joining:
    """Drafts whose prompts are prefilled together."""

    drafts: list[Draft]
    width: int  # tokens of the longest prompt
    parts: Iterator[torch.Tensor | None]  # from `Decoder.join`


@dataclass
class Batcher:
    """Writes the replies of jobs in the order of arrival, up to `rows` at once; close it after use.

    executor: runs the calls; None: the client does. decoder: replaces the model's own.
    """

    model: PreTrainedModel
    codec: Codec
    catalogue: Catalogue
    documents: DocumentsMode = "none"
    constrained: bool = False  # inside the tags, only tools and valid calls
    rows: int = 16
    most: int = 256  # most open jobs, in progress or waiting
    executor: Executor | None = None
    decoder: Decoder | None = None
    metrics: Metrics = field(default_factory=Metrics)
    name: str = ""  # of the model, in the metrics

    def __post_init__(self) -> None:
        self._decoder = self.decoder or LocalDecoder(self.model, self.codec.pad)
        self._arrivals: queue.Queue[Draft | None] = queue.Queue()
        self._waiting: deque[Draft] = deque()
        self._joining: list[Joining] = []  # in the order of arrival
        self._turn = 0  # number of prompt parts read
        self._running: list[Draft] = []
        self._logits = torch.zeros(0, 0)  # (rows, V), after each running draft
        self._away = 0  # number of drafts whose calls run
        self._is_open = True
        self._ends_now = threading.Event()
        self._lock = threading.Lock()
        self._open_jobs = 0
        self._grammars: dict[tuple[tuple[str, ...], bool], Grammars] = {}  # tools, one call
        self._caller = ThreadPoolExecutor(self.rows, "tools")
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def ask(self, job: Job) -> "Future[Written]":
        """Submit a job; return a future of its reply, to be cancelled if nobody waits for it.

        Raises BadInput if the reply does not fit or cannot be limited as requested, Busy if too
        many jobs are open, and Ended if the batcher is closed.
        """
        reason = too_long(self.model, [job.prompt], job.max_tokens).get(0)
        if reason is not None:
            raise BadInput(reason.partition(";")[0])
        limit = self._limit(job)
        with self._lock:
            if not self._is_open or not self.works:
                raise Ended("the server is shutting down; try another server")
            if self._open_jobs >= self.most:
                raise Busy(f"{self.most} requests are open already; try again later")
            draft = self._draft(job, limit)
            self._open_jobs += 1
            draft.answer.add_done_callback(self._let_go)
            self._arrivals.put(draft)
        return draft.answer

    def close(self, *, now: bool = False) -> None:
        """Finish the open replies, or cancel them if `now`; then stop."""
        with self._lock:
            self._is_open = False
        if now:
            self._ends_now.set()
        self._arrivals.put(None)
        self._thread.join()
        self._caller.shutdown()

    def _let_go(self, answer: "Future[Written]") -> None:
        with self._lock:
            self._open_jobs -= 1

    def _limit(self, job: Job) -> ChoiceLimit | None:
        if job.tool_choice == "auto":
            return None
        return ChoiceLimit(self.codec, job.tool_choice, job.query.tools or self.catalogue.names)

    def _draft(self, job: Job, limit: ChoiceLimit | None) -> Draft:
        own_executor = self.executor if job.runs_tools else None
        executor = own_executor or Executor(self.catalogue, {})
        query = reachable(job.query, executor)
        return Draft(
            job,
            self.codec,
            environment_of(query, self.codec, self.catalogue, executor, self.documents),
            limit,
            runs_tools=own_executor is not None,
        )

    def _constraint(self, job: Job) -> Constraint | None:
        """Return the grammar of a reply, for the offered tools, else all; None if it is free."""
        tools = job.query.tools
        is_limited = job.one_call or job.tool_choice == "required"
        if not tools and not self.constrained and not is_limited:
            return None
        if not self._grammars:
            self._grammars[(), False] = Grammars(self.codec, self.catalogue)
        key = tools, job.one_call
        if key not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._grammars.pop(list(self._grammars)[1])  # the oldest, except that of all tools
            names = tools or self.catalogue.names
            self._grammars[key] = self._grammars[(), False].only(names, one_call=job.one_call)
        return self._grammars[key].start(1, [job.named])

    # -- in the thread ----------------------------------------------------------------

    def _work(self) -> None:
        with self._decoder:
            while self._is_open or self._has_work or not self._arrivals.empty():
                try:
                    self._receive()
                    if self._ends_now.is_set():
                        raise Ended("the server is shutting down; try another server")
                    self._admit()
                    self._read_part()
                    self._advance()
                except BaseException as error:  # its clients get the error; the thread continues
                    self._give_up(error)

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting or self._joining or self._running or self._away)

    @property
    def _rows_in_use(self) -> int:
        return len(self._running) + sum(len(joining.drafts) for joining in self._joining)

    def _receive(self) -> None:
        """Take the drafts that have arrived; wait for one if there is nothing else to do."""
        while True:
            self._waiting = deque(self._wanted(self._waiting))
            self.metrics.show(self.name, self._rows_in_use, len(self._waiting), self._away)
            is_idle = not self._waiting and not self._rows_in_use
            try:
                draft = self._arrivals.get(block=is_idle and (self._is_open or self._away > 0))
            except queue.Empty:
                return
            if draft is None:
                continue
            if not draft.is_away:
                self._waiting.append(draft)
                continue
            self._away -= 1
            draft.is_away = False
            if draft.error is not None:
                self._end(draft, draft.error)
            else:
                self._try(draft, lambda draft=draft: draft.go_on(draft.addition))

    def _wanted(self, drafts: Iterable[Draft]) -> list[Draft]:
        """End the drafts that nobody waits for any more; return the others."""
        drafts = list(drafts)
        for draft in drafts:
            if draft.answer.cancelled():
                self._end(draft)
        return [draft for draft in drafts if not draft.answer.cancelled()]

    def _admit(self) -> None:
        """Let waiting drafts join: as many as fit the free rows and can be prefilled together."""
        joining: list[Draft] = []
        longest = 0
        free_rows = self.rows - self._rows_in_use
        while self._waiting and len(joining) < free_rows:
            draft = self._waiting[0]
            longest = max(longest, len(draft.ids))
            padded_tokens = (len(joining) + 1) * longest
            is_unlike = longest > UNLIKE * min(len(one.ids) for one in (*joining, draft))
            if joining and (padded_tokens > MOST_JOINING or is_unlike):
                break
            self._waiting.popleft()
            try:
                if draft.constraint is None:
                    draft.constraint = self._constraint(draft.job)
            except BaseException as error:
                self._end(draft, error)
            else:
                joining.append(draft)
        if not joining:
            return
        try:
            parts = self._decoder.join([draft.ids for draft in joining])
        except BaseException as error:  # the others continue
            self._end_all(joining, error)
        else:
            self._joining.append(Joining(joining, max(len(d.ids) for d in joining), parts))

    def _read_part(self) -> None:
        """Prefill the next part of one group of prompts; after the last part, its drafts run.

        The oldest group and the narrowest one take turns.
        """
        if not self._joining:
            return
        self._turn += 1
        narrowest = min(self._joining, key=lambda joining: joining.width)
        joining = self._joining[0] if self._turn % 2 else narrowest
        place = self._joining.index(joining)
        self._joining.remove(joining)
        if all(draft.answer.cancelled() for draft in joining.drafts):
            self._end_all(joining.drafts)
            return
        try:
            logits = next(joining.parts)
        except BaseException as error:  # the others continue
            self._end_all(joining.drafts, error)
            return
        if logits is None:
            self._joining.insert(place, joining)
            return
        old_logits = self._logits[: len(self._running)]
        self._logits = torch.cat([old_logits, logits]) if len(old_logits) else logits
        self._running += joining.drafts

    def _advance(self) -> None:
        """Write the next token of every running draft."""
        if not self._running:
            return
        likeliest = self._logits.argmax(-1).tolist()
        going: list[int] = []
        for place, draft in enumerate(self._running):
            if draft.answer.cancelled():
                self._end(draft)
                continue
            logits, best = self._logits[place], likeliest[place]
            if self._try(draft, lambda d=draft, logits=logits, best=best: d.write(logits, best)):
                going.append(place)
        if len(going) < len(self._running):
            self._running = [self._running[place] for place in going]
            self._decoder.keep(going)
        if self._running:
            self._logits = self._decoder.step([draft.row.ids[-1] for draft in self._running])

    def _try(self, draft: Draft, act: Callable[[], Next]) -> bool:
        """Advance a draft; return whether it stays in its row. An error ends only this draft."""
        try:
            needs = act()
            if needs is Next.TOKEN:
                return True
            if needs is Next.NOTHING:
                self._end(draft)
            elif needs is Next.TOOLS:
                self._caller.submit(self._run_calls, draft)
                draft.is_away = True
                self._away += 1
            else:
                self._waiting.appendleft(draft)
        except BaseException as error:
            self._end(draft, error)
        return False

    def _run_calls(self, draft: Draft) -> None:
        """Run the calls at which a draft has stopped, in another thread."""
        try:
            draft.addition = draft.room.answer(draft.row.ids)
        except BaseException as error:
            # not an error of the request, whatever the tools say
            draft.error = ToolsFailed(str(error)) if isinstance(error, BadInput) else error
        self._arrivals.put(draft)

    def _end(self, draft: Draft, error: BaseException | None = None) -> None:
        """Set the result, and end the session of the tools in another thread: it may take long."""
        with suppress(InvalidStateError):  # nobody waits for it any more
            try:
                if error is not None:
                    draft.answer.set_exception(error)
                elif not draft.answer.cancelled():
                    written = draft.written()
                    self.metrics.count(written, draft.first_token)
                    draft.answer.set_result(written)
            except InvalidStateError:
                raise
            except Exception as fault:
                draft.answer.set_exception(fault)
        if self.executor is not None:
            with suppress(RuntimeError):  # no more threads: the executor ends it when it closes
                self._caller.submit(draft.room.executor.end)

    def _end_all(self, drafts: Iterable[Draft], error: BaseException | None = None) -> None:
        for draft in drafts:
            self._end(draft, error)

    def _give_up(self, error: BaseException) -> None:
        """End all running drafts with an error; if the server ends, also all waiting ones."""
        drafts = [*self._running, *(d for joining in self._joining for d in joining.drafts)]
        self._running = []
        self._joining.clear()
        if self._ends_now.is_set():
            drafts += self._waiting
            self._waiting.clear()
        with suppress(Exception):
            self._decoder.keep([])
        self._end_all(drafts, error)
