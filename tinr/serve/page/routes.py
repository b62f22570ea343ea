"""The web page at `/`: its three files, and the routes that they use."""

import asyncio
from collections.abc import Callable
from importlib.resources import files

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tinr.catalogue.render import describe
from tinr.data.alignment_examples import TO_DOCUMENT, ask_about
from tinr.records import Query, ToolDoc
from tinr.serve.draft import Job
from tinr.serve.schema import failure
from tinr.serve.service import CompletionService

FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/page.css": ("page.css", "text/css")}  # fmt: skip
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
RECALLED_TOKENS = 320  # token limit of a recalled document


def page_routes(service_of: Callable[[str | None], CompletionService]) -> list[BaseRoute]:
    """Return the routes of the page and of each model's tools.

    service_of: a model's name -> its service.
    """
    memory: dict[tuple[int, str], asyncio.Task[str]] = {}  # service, tool -> what is recalled

    async def tools(http_request: HttpRequest) -> Response:
        service = service_of(http_request.query_params.get("model"))
        return JSONResponse({"data": [*map(_document, service.reader.catalogue.tools)]})

    async def tool(http_request: HttpRequest) -> Response:
        service = service_of(http_request.query_params.get("model"))
        name = http_request.path_params["name"]
        doc = service.reader.catalogue.by_name.get(name)
        if doc is None:
            return JSONResponse(failure(f"tool: {name!r:.80} is not in the catalogue"), 404)
        key = id(service), name
        if key not in memory:
            memory[key] = asyncio.ensure_future(recalled(service, doc))
        try:
            text = await asyncio.shield(memory[key])  # others may wait for it too
        except Exception:
            memory.pop(key, None)
            raise
        return JSONResponse(_document(doc) | {"recalled": text})

    return [
        *(Route(address, _file(*file)) for address, file in FILES.items()),
        Route("/v1/tools", tools),
        Route("/v1/tools/{name:path}", tool),
    ]


async def recalled(service: CompletionService, doc: ToolDoc) -> str:
    """Return what the model recalls of a tool, when asked for the document of its token."""
    codec = service.reader.codec
    prompt = codec.encode(ask_about(doc, codec.frame, TO_DOCUMENT[0]))[0]
    job = Job(Query("recalled", ""), tuple(prompt), RECALLED_TOKENS, runs_tools=False)
    written = await asyncio.wrap_future(service.batcher.ask(job))
    pieces = codec.decode(written.conversation.row.ids)
    return "".join(piece.text for piece in pieces if piece.text != codec.frame.close).strip()


def _document(doc: ToolDoc) -> dict[str, str]:
    return {"name": doc.name, "description": doc.description, "document": describe(doc)}


def _file(name: str, media_type: str):
    text = files("tinr.serve.page").joinpath(name).read_text("utf-8")

    async def send(http_request: HttpRequest) -> Response:
        return Response(text, media_type=media_type, headers=HEADERS)

    return send
