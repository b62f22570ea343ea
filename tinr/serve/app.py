"""The HTTP side: three addresses, every mistake a status and one line.

POST /v1/chat/completions     GET /v1/models     GET /health
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import tinr
from tinr.evaluate import LONGEST
from tinr.records import BadInput, Reply
from tinr.rollout import Conversation
from tinr.serve.desk import Busy, Desk, Job
from tinr.serve.exchange import Exchange, Reader, Spoken
from tinr.serve.wire import (
    Finish,
    Request,
    called,
    chunks,
    completion,
    failure,
    read_request,
)
from tinr.transcript import as_text, parse

MOST_BYTES = 4_000_000  # of a request's body


@dataclass(frozen=True)
class Counter:
    """Where requests become jobs, and replies become answers."""

    names: Sequence[str]  # that the model answers to, its own first
    reader: Reader
    desk: Desk

    async def answer(self, request: Request) -> dict[str, Any]:
        """A whole completion; BadInput, Busy as their rooms say."""
        asked = self.reader.read(request)
        done = await asyncio.wrap_future(
            self.desk.ask(
                Job(
                    asked.query,
                    asked.prompt,
                    request.longest or LONGEST[self.desk.documents],
                    request.temperature or 0.0,
                    1.0 if request.top_p is None else request.top_p,
                    request.seed,
                )
            )
        )
        return self._said(asked, done)

    def _said(self, asked: Exchange, done: Conversation) -> dict[str, Any]:
        """The completion of what the model wrote, whatever that is."""
        reply = self._usable(done.reply)
        whole = parse([*asked.spoken.pieces, *done.pieces])
        answered = reply.response is not None
        calls = [] if answered else called(reply.calls)
        message: dict[str, Any] = {"role": "assistant", "content": reply.response}
        message["reasoning_content"] = reply.thought
        if calls:
            message["tool_calls"] = calls
            spoken = Spoken(
                (*asked.spoken.ids, *done.row.ids),
                (*asked.spoken.pieces, *done.pieces),
                reply.calls,
            )
            self.reader.memory.keep([call["id"] for call in calls], spoken)
        elif not answered:
            message["content"] = ""
        finish: Finish = "tool_calls" if calls else "stop" if done.row.finished else "length"
        seen = {"text": as_text(done.pieces), "problems": list(whole.problems)}
        usage = len(done.prompt), sum(done.row.mask)
        return completion(self.names[0], message, finish, usage, seen)

    def _usable(self, reply: Reply) -> Reply:
        """Without the calls that no client can run: of tools that nobody knows."""
        known = self.reader.catalogue.by_name
        return replace(reply, calls=tuple(call for call in reply.calls if call.name in known))


def make_app(counter: Counter) -> Starlette:
    """The ASGI application."""

    async def complete(asked: Asked) -> Response:
        body = bytearray()
        async for some in asked.stream():
            body += some
            if len(body) > MOST_BYTES:
                said = f"the body has more than {MOST_BYTES:,} bytes; send less"
                return JSONResponse(failure(said), 413)
        try:
            request = read_request(bytes(body))
            if request.model not in (None, "", *counter.names):
                said = f"model: {request.model!r:.80} is not served here; {counter.names[0]} is"
                return JSONResponse(failure(said, code="model_not_found"), 404)
            whole = await counter.answer(request)
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
        return JSONResponse({"status": "ok", "version": tinr.__version__})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _elsewhere, Exception: _broken},
    )


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
