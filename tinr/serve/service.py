"""Turn a request into replies of one model, and the replies into a completion."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tinr.chat.codec import Piece
from tinr.chat.parse import last_calls, parse
from tinr.chat.render import as_text
from tinr.evaluation.evaluate import REPLY_TOKENS
from tinr.serve.batcher import Batcher, Ended
from tinr.serve.conversation import Exchange, Reader, turn_of
from tinr.serve.draft import Job, Listener, Written
from tinr.serve.reply_stream import Delta
from tinr.serve.schema import (
    END,
    Answer,
    Choice,
    Finish,
    Request,
    called,
    event,
    failure,
    usage_of,
)

log = logging.getLogger(__name__)

CALL_END = Piece("</tool_call>", token=True)
PARTS = {"think": "reasoning_content", "response": "content"}  # part of a reply -> key of a message


@dataclass(frozen=True)
class CompletionService:
    """Turns requests into jobs, and replies into completions."""

    names: Sequence[str]  # of the model; the first one is in the answers
    reader: Reader
    batcher: Batcher
    # reads messages outside of the event loop, one request at a time
    _reading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    async def ask(self, request: Request) -> "Replies":
        """Read a request and ask for its replies; cancel them if nobody waits for them.

        `Reader.read` raises BadInput; `Batcher.ask` raises BadInput, Busy and Ended.
        """
        loop = asyncio.get_running_loop()
        exchange = await loop.run_in_executor(self._reading, self.reader.read, request)
        replies = Replies(self, request, exchange)
        try:
            for index in range(request.n or 1):
                listener = partial(replies.hear, loop, index) if request.stream else None
                replies.futures.append(
                    self.batcher.ask(self._job(request, exchange, index, listener))
                )
        except BaseException:
            replies.cancel()
            raise
        return replies

    def _job(
        self, request: Request, exchange: Exchange, index: int, listener: Listener | None
    ) -> Job:
        return Job(
            exchange.query,
            exchange.prompt,
            request.reply_tokens or REPLY_TOKENS[self.batcher.documents],
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=None if request.seed is None else request.seed + index,
            named=exchange.spoken.named,
            stops=tuple(request.stop or ()),
            tool_choice=request.choice,
            one_call=request.parallel_tool_calls is False,
            listener=listener,
        )

    def choice(self, exchange: Exchange, written: Written) -> Choice:
        """Return the choice for any reply that the model wrote."""
        conversation = written.conversation
        problems = list(parse([*exchange.spoken.pieces, *conversation.pieces]).problems)
        if conversation.row.stuck:
            problems.append("the constraints allow no further token")
        message: dict[str, Any] = {"role": "assistant"}
        message |= {name: written.texts.get(part) for part, name in PARTS.items()}
        answered = conversation.reply.response is not None
        # a truncated call does not count, and calls that run here are not left to the client
        ends_in_calls = conversation.pieces[-1:] == (CALL_END,)
        calls_written = last_calls(conversation.pieces) if ends_in_calls else ()
        executor = self.batcher.executor
        runs_here = executor is not None and all(map(executor.runs, calls_written))
        is_unrun = ends_in_calls and runs_here
        if is_unrun and calls_written:
            problems.append("more turns of calls than the server runs for one request")
        if answered or runs_here:
            calls_written = ()
        # no client can run a call of an unknown tool
        calls = called([c for c in calls_written if c.name in self.reader.catalogue.by_name])
        if calls:
            message["tool_calls"] = calls
            turn = turn_of(
                exchange.spoken, conversation.row.ids, conversation.pieces, calls_written
            )
            self.reader.memory.keep([call["id"] for call in calls], turn)
        else:
            message["content"] = message["content"] or ""
        has_end = conversation.row.stuck or (conversation.row.finished and not is_unrun)
        finish: Finish = "tool_calls" if calls else "stop" if has_end else "length"
        near = [
            [{"name": name, "probability": round(value, 6)} for name, value in tools.tools]
            for tools in written.near
        ]
        text = as_text(conversation.pieces)
        return Choice(message, finish, {"text": text, "problems": problems, "near": near})


@dataclass
class Replies:
    """The replies to one request, while they are written."""

    service: CompletionService
    request: Request
    exchange: Exchange
    futures: list["Future[Written]"] = field(default_factory=list)
    # index of a choice, and its new text; None: it is over
    _heard: "asyncio.Queue[tuple[int, Sequence[Delta] | None]]" = field(
        default_factory=asyncio.Queue
    )

    def __post_init__(self) -> None:
        self._answer = Answer(self.service.names[0])

    def cancel(self) -> None:
        """Cancel the unfinished replies."""
        for future in self.futures:
            future.cancel()

    def hear(
        self, loop: asyncio.AbstractEventLoop, index: int, deltas: Sequence[Delta] | None
    ) -> None:
        """Take the new text of a reply, from another thread."""
        loop.call_soon_threadsafe(self._heard.put_nowait, (index, deltas))

    async def whole(self) -> dict[str, Any]:
        """Return the completion when all replies are over."""
        written = await asyncio.gather(*map(asyncio.wrap_future, self.futures))
        choices = [self.service.choice(self.exchange, one) for one in written]
        return self._answer.whole(choices, self._usage(written))

    async def events(self) -> AsyncIterator[str]:
        """Yield the completion in parts while the replies are written. An error ends the stream."""
        loop = asyncio.get_running_loop()
        for index, future in enumerate(self.futures):
            future.add_done_callback(lambda _, index=index: self.hear(loop, index, None))
        for index in range(len(self.futures)):
            yield self._answer.chunk(index, {"role": "assistant"})
        written: dict[int, Written] = {}
        while len(written) < len(self.futures):
            index, deltas = await self._heard.get()
            if deltas is not None:
                for delta in deltas:
                    if text := self._chunk(index, delta):
                        yield text
                continue
            try:
                written[index] = self.futures[index].result()
            except Exception as error:
                yield event(error_of(error))
                return
            for text in self._answer.last_chunks(
                index, self.service.choice(self.exchange, written[index])
            ):
                yield text
        options = self.request.stream_options
        if options is not None and options.include_usage:
            yield self._answer.usage_chunk(self._usage([*written.values()]))
        yield END

    def _chunk(self, index: int, delta: Delta) -> str | None:
        """Return the event with a part's new text; None if the client does not get this part."""
        name = PARTS.get(delta.part)
        if not name and not self.request.watch:
            return None
        grown = {name: delta.text} if name else {}
        seen = {"part": delta.part, "text": delta.text, "is_tool": delta.is_tool}
        more = {"tinr": seen} if self.request.watch else {}
        return self._answer.chunk(index, grown, **more)

    def _usage(self, written: Sequence[Written]) -> dict[str, int]:
        """Count the prompt's tokens once, and what the model itself wrote."""
        tokens = sum(sum(one.conversation.row.mask) for one in written)
        return usage_of(len(self.exchange.prompt), tokens)


def error_of(error: BaseException) -> dict[str, Any]:
    """Return the error that ends a stream, whose status has already been sent."""
    if isinstance(error, Ended):
        return failure(str(error), "server_error")
    log.error("a reply failed", exc_info=error)
    return failure("internal error; see the server's log", "server_error")
