"""The HTTP interface. Every error has a status and a one-line message.

POST /v1/chat/completions     GET /v1/models[/NAME]     GET /health     GET /metrics
GET / (a web page)            GET /v1/tools[/NAME]      our extension: documents of the tools
"""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import tinr
from tinr.records import BadInput
from tinr.serve.batcher import Busy, Ended
from tinr.serve.metrics import CONTENT_TYPE, Metrics
from tinr.serve.origins import SameOrigin
from tinr.serve.page.routes import page_routes
from tinr.serve.schema import failure, read_request
from tinr.serve.service import CompletionService, Replies

MOST_BYTES = 4_000_000  # in a request's body
GRACE = 60  # seconds that open replies have to finish when the server stops
REFUSALS = (BadInput, Busy, Ended)  # why a request is not answered
T = TypeVar("T")


class EventStream(StreamingResponse):
    """Streams the parts of replies; cancels them if the client disconnects."""

    def __init__(self, replies: Replies):
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(replies.events(), headers=headers, media_type="text/event-stream")
        self.replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.replies.cancel()


def make_app(
    services: Sequence[CompletionService],
    metrics: Metrics | None = None,
    hosts: Sequence[str] = (),
) -> Starlette:
    """Make the ASGI application; the first service answers requests that name no model.

    hosts: the host names by which this server may be addressed; (): any.
    """
    metrics = metrics or services[0].batcher.metrics
    by_name: dict[str, CompletionService] = {}
    for service in services:
        by_name |= {name: service for name in service.names if name not in by_name}

    def service_of(name: str | None) -> CompletionService:
        if not name:
            return services[0]
        if name not in by_name:
            raise _NoModel(name, services[0].names[0])
        return by_name[name]

    async def complete(http_request: HttpRequest) -> Response:
        status = 500
        try:
            response = await answer(http_request)
            status = response.status_code
        except REFUSALS as error:
            response = _refusal(error)
            status = response.status_code
        finally:
            metrics.requests.labels(status).inc()
        return response

    async def answer(http_request: HttpRequest) -> Response:
        body = bytearray()
        try:
            async for chunk in http_request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    message = f"the body has more than {MOST_BYTES:,} bytes; send less"
                    return JSONResponse(failure(message), 413)
            request = await asyncio.to_thread(read_request, bytes(body))
            replies = await service_of(request.model).ask(request)
            if request.stream:
                return EventStream(replies)
            return JSONResponse(await _unless_gone(http_request, _whole(replies)))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it

    async def models(http_request: HttpRequest) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in by_name]})

    async def model(http_request: HttpRequest) -> Response:
        service_of(http_request.path_params["name"])
        return JSONResponse(_model(http_request.path_params["name"]))

    async def health(http_request: HttpRequest) -> Response:
        works = all(service.batcher.works for service in services)
        state = {"status": "ok" if works else "ended", "version": tinr.__version__}
        return JSONResponse(state, 200 if works else 503)

    async def counters(http_request: HttpRequest) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
            Route("/metrics", counters),
            *page_routes(service_of),
        ],
        middleware=[Middleware(SameOrigin, hosts=hosts)],
        exception_handlers={
            HTTPException: _http_error,
            **dict.fromkeys(REFUSALS, _refused),
            Exception: _server_error,
        },
    )
    app.state.services = services
    return app


class _NoModel(BadInput):
    """A model that is not served."""

    def __init__(self, name: str, served: str):
        super().__init__(f"model: {name!r:.80} is not served here; use {served}")


async def _whole(replies: Replies) -> Mapping[str, Any]:
    """Return the whole completion; cancel its replies if this is cancelled."""
    try:
        return await replies.whole()
    finally:
        replies.cancel()


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


async def _refused(http_request: HttpRequest, error: Exception) -> Response:
    return _refusal(error)


def _refusal(error: Exception) -> Response:
    """Return an error in the API's form for a request that is not answered."""
    if isinstance(error, _NoModel):
        return JSONResponse(failure(str(error), code="model_not_found"), 404)
    if isinstance(error, Busy):
        headers = {"retry-after": "1"}
        return JSONResponse(failure(str(error), "rate_limit_error"), 429, headers)
    if isinstance(error, Ended):
        return JSONResponse(failure(str(error), "server_error"), 503)
    return JSONResponse(failure(str(error)), 400)


async def _server_error(http_request: HttpRequest, error: Exception) -> Response:
    """Answer after an internal error; uvicorn logs the traceback."""
    return JSONResponse(failure("internal error; see the server's log", "server_error"), 500)


def run_server(app: Starlette, place: socket.socket) -> None:
    """Serve on a bound socket until interrupted or terminated; open replies end within GRACE."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises it again at its end
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[place])


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket (port 0: any free port); BadInput if that fails."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"--host {host} --port {port}: {reason}; choose another one") from error
