"""The HTTP side: three addresses; every error has a status and one line of text.

POST /v1/chat/completions     GET /v1/models[/NAME]     GET /health
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
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import tinr
from tinr.chat.parse import parse
from tinr.chat.render import as_text
from tinr.evaluation.evaluate import REPLY_TOKENS
from tinr.records import BadInput
from tinr.rollout.conversation import Conversation
from tinr.serve.batcher import Batcher, Busy, Job
from tinr.serve.conversation import Exchange, Reader, ends_with_results, last_calls, turn_of
from tinr.serve.schema import Finish, Request, called, chunks, completion, failure, read_request

MOST_BYTES = 4_000_000  # of a request's body
T = TypeVar("T")


@dataclass(frozen=True)
class CompletionService:
    """Turns requests into jobs, and replies into completions."""

    names: Sequence[str]  # of the model; the first one is in the answers
    reader: Reader
    batcher: Batcher
    # reads messages outside of the event loop, one request at a time
    _reading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    async def answer(self, request: Request) -> dict[str, Any]:
        """The whole completion; `Reader` and `Batcher` raise BadInput and Busy.

        If it is cancelled, the batcher does not write a reply that still waits.
        """
        loop = asyncio.get_running_loop()
        exchange = await loop.run_in_executor(self._reading, self.reader.read, request)
        job = Job(
            exchange.query,
            exchange.prompt,
            request.reply_tokens or REPLY_TOKENS[self.batcher.documents],
            request.temperature or 0.0,
            1.0 if request.top_p is None else request.top_p,
            request.seed,
            exchange.spoken.named,
        )
        return self._completion(exchange, await asyncio.wrap_future(self.batcher.ask(job)))

    def _completion(self, exchange: Exchange, conversation: Conversation) -> dict[str, Any]:
        """The completion of any reply that the model wrote."""
        reply = conversation.reply
        problems = list(parse([*exchange.spoken.pieces, *conversation.pieces]).problems)
        if conversation.row.stuck:
            problems.append("nothing more could be written that fits")
        message: dict[str, Any] = {"role": "assistant", "content": reply.response}
        message["reasoning_content"] = reply.thought
        is_open = reply.response is None and not ends_with_results(conversation.pieces)
        calls_written = last_calls(conversation.pieces) if is_open else ()
        # no client can run a call of an unknown tool
        calls = called([c for c in calls_written if c.name in self.reader.catalogue.by_name])
        if calls:
            message["tool_calls"] = calls
            turn = turn_of(
                exchange.spoken, conversation.row.ids, conversation.pieces, calls_written
            )
            self.reader.memory.keep([call["id"] for call in calls], turn)
        elif reply.response is None:
            message["content"] = ""
        has_end = conversation.row.finished or conversation.row.stuck
        finish: Finish = "tool_calls" if calls else "stop" if has_end else "length"
        details = {"text": as_text(conversation.pieces), "problems": problems}
        usage = len(conversation.prompt), sum(conversation.row.mask)
        return completion(self.names[0], message, finish, usage, details)


def make_app(counter: CompletionService) -> Starlette:
    """The ASGI application."""

    async def complete(http_request: HttpRequest) -> Response:
        body = bytearray()
        try:
            async for chunk in http_request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    message = f"the body has more than {MOST_BYTES:,} bytes; send less"
                    return JSONResponse(failure(message), 413)
            request = read_request(bytes(body))
            if request.model not in (None, "", *counter.names):
                message = f"model: {request.model!r:.80} is not served here; {counter.names[0]} is"
                return JSONResponse(failure(message, code="model_not_found"), 404)
            reply = await _unless_gone(http_request, counter.answer(request))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except BadInput as error:
            return JSONResponse(failure(str(error)), 400)
        except Busy as error:
            headers = {"retry-after": "1"}
            return JSONResponse(failure(str(error), "rate_limit_error"), 429, headers)
        if not request.stream:
            return JSONResponse(reply)
        with_usage = request.stream_options is not None and request.stream_options.include_usage
        return StreamingResponse(chunks(reply, with_usage), media_type="text/event-stream")

    async def models(http_request: HttpRequest) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in counter.names]})

    async def model(http_request: HttpRequest) -> Response:
        name = http_request.path_params["name"]
        if name not in counter.names:
            message = f"model: {name!r:.80} is not served here; {counter.names[0]} is"
            return JSONResponse(failure(message, code="model_not_found"), 404)
        return JSONResponse(_model(name))

    async def health(http_request: HttpRequest) -> Response:
        works = counter.batcher.works
        state = {"status": "ok" if works else "ended", "version": tinr.__version__}
        return JSONResponse(state, 200 if works else 503)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _server_error},
    )


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tinr"}


async def _unless_gone(http_request: HttpRequest, answer: Coroutine[Any, Any, T]) -> T:
    """Await the answer; if the client disconnects first, cancel it and raise ClientDisconnect."""

    async def wait_for_the_end() -> None:
        while (await http_request.receive())["type"] != "http.disconnect":
            pass

    answer_task, disconnect_task = (
        asyncio.ensure_future(answer),
        asyncio.ensure_future(wait_for_the_end()),
    )
    try:
        await asyncio.wait({answer_task, disconnect_task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer_task.done():
            raise ClientDisconnect
        return answer_task.result()
    finally:
        answer_task.cancel()
        disconnect_task.cancel()


async def _http_error(http_request: HttpRequest, error: Exception) -> Response:
    """Answer a request with an unknown address or method."""
    assert isinstance(error, HTTPException)
    message = f"{http_request.method} {http_request.url.path}: {error.detail.lower()}"
    return JSONResponse(failure(message), error.status_code, error.headers)


async def _server_error(http_request: HttpRequest, error: Exception) -> Response:
    """Answer after an internal error; uvicorn logs the traceback."""
    return JSONResponse(failure("the server failed; its log says why", "server_error"), 500)


def run_server(app: Starlette, place: socket.socket) -> None:
    """Serve on a bound socket until interrupted."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[place])


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket (port 0: any free port); BadInput if that fails."""
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"--host {host} --port {port}: {reason}; give another one") from error
