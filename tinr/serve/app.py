"""The HTTP side: three addresses, every mistake a status and one line.

POST /v1/chat/completions     GET /v1/models     GET /health
"""

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import tinr
from tinr.chat.parse import parse
from tinr.chat.render import as_text
from tinr.evaluation.evaluate import REPLY_TOKENS
from tinr.records import BadInput
from tinr.rollout.conversation import Conversation
from tinr.serve.batcher import Busy, Desk, Job
from tinr.serve.conversation import Exchange, Reader, last_calls, turn_of
from tinr.serve.schema import Finish, Request, called, chunks, completion, failure, read_request

MOST_BYTES = 4_000_000  # of a request's body
T = TypeVar("T")


@dataclass(frozen=True)
class Counter:
    """Where requests become jobs, and replies become answers."""

    names: Sequence[str]  # that the model answers to, its own first
    reader: Reader
    desk: Desk
    # messages are read beside the loop, one request after the other
    _reading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    async def answer(self, request: Request) -> dict[str, Any]:
        """A whole completion; BadInput, Busy as their rooms say. Cancelled, it is not written."""
        loop = asyncio.get_running_loop()
        asked = await loop.run_in_executor(self._reading, self.reader.read, request)
        job = Job(
            asked.query,
            asked.prompt,
            request.max_tokens or REPLY_TOKENS[self.desk.documents],
            request.temperature or 0.0,
            1.0 if request.top_p is None else request.top_p,
            request.seed,
            asked.spoken.named,
        )
        return self._said(asked, await asyncio.wrap_future(self.desk.ask(job)))

    def _said(self, asked: Exchange, done: Conversation) -> dict[str, Any]:
        """The completion of what the model wrote, whatever that is."""
        reply = done.reply
        problems = list(parse([*asked.spoken.pieces, *done.pieces]).problems)
        if done.row.stuck:
            problems.append("nothing more could be written that fits")
        message: dict[str, Any] = {"role": "assistant", "content": reply.response}
        message["reasoning_content"] = reply.thought
        written = last_calls(done.pieces) if reply.response is None else ()
        # of a tool that nobody knows no client can run a call
        calls = called([c for c in written if c.name in self.reader.catalogue.by_name])
        if calls:
            message["tool_calls"] = calls
            turn = turn_of(asked.spoken, done.row.ids, done.pieces, written)
            self.reader.memory.keep([call["id"] for call in calls], turn)
        elif reply.response is None:
            message["content"] = ""
        ended = done.row.finished or done.row.stuck
        finish: Finish = "tool_calls" if calls else "stop" if ended else "length"
        seen = {"text": as_text(done.pieces), "problems": problems}
        usage = len(done.prompt), sum(done.row.mask)
        return completion(self.names[0], message, finish, usage, seen)


def make_app(counter: Counter) -> Starlette:
    """The ASGI application."""

    async def complete(asked: Asked) -> Response:
        body = bytearray()
        try:
            async for some in asked.stream():
                body += some
                if len(body) > MOST_BYTES:
                    said = f"the body has more than {MOST_BYTES:,} bytes; send less"
                    return JSONResponse(failure(said), 413)
            request = read_request(bytes(body))
            if request.model not in (None, "", *counter.names):
                said = f"model: {request.model!r:.80} is not served here; {counter.names[0]} is"
                return JSONResponse(failure(said, code="model_not_found"), 404)
            whole = await _unless_gone(asked, counter.answer(request))
        except ClientDisconnect:
            return Response(status_code=499)  # which nobody reads
        except BadInput as error:
            return JSONResponse(failure(str(error)), 400)
        except Busy as error:
            wait = {"retry-after": "1"}
            return JSONResponse(failure(str(error), "rate_limit_error"), 429, wait)
        if not request.stream:
            return JSONResponse(whole)
        with_usage = request.stream_options is not None and request.stream_options.include_usage
        return StreamingResponse(chunks(whole, with_usage), media_type="text/event-stream")

    async def models(asked: Asked) -> Response:
        known = [{"id": name, "object": "model", "created": 0, "owned_by": "tinr"}
                 for name in counter.names]  # fmt: skip
        return JSONResponse({"object": "list", "data": known})

    async def health(asked: Asked) -> Response:
        works = counter.desk.works
        said = {"status": "ok" if works else "ended", "version": tinr.__version__}
        return JSONResponse(said, 200 if works else 503)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _elsewhere, Exception: _broken},
    )


async def _unless_gone(asked: Asked, answer: Coroutine[Any, Any, T]) -> T:
    """The answer; ClientDisconnect, and the answer cancelled, where the client has gone before."""

    async def wait_for_the_end() -> None:
        while (await asked.receive())["type"] != "http.disconnect":
            pass

    writing, gone = asyncio.ensure_future(answer), asyncio.ensure_future(wait_for_the_end())
    try:
        await asyncio.wait({writing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            raise ClientDisconnect
        return writing.result()
    finally:
        writing.cancel()
        gone.cancel()


async def _elsewhere(asked: Asked, error: Exception) -> Response:
    """Another address, or another method."""
    assert isinstance(error, HTTPException)
    said = f"{asked.method} {asked.url.path}: {error.detail.lower()}"
    return JSONResponse(failure(said), error.status_code, error.headers)


async def _broken(asked: Asked, error: Exception) -> Response:
    """A fault of ours; uvicorn logs it whole."""
    return JSONResponse(failure("the server failed; its log says why", "server_error"), 500)


def run_server(app: Starlette, place: socket.socket) -> None:
    """Serve at a bound socket until interrupted."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[place])


def bind(host: str, port: int) -> socket.socket:
    """A socket there (port 0: any free one); BadInput where it cannot be had."""
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"--host {host} --port {port}: {said}; give another one") from error
