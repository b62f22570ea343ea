"""Refuse requests from pages of other sites, because the server may run tools."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tinr.serve.schema import failure

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SameOrigin:
    """Refuses requests that come from pages of other sites, or use host names not in `hosts`.

    A browser reports whether a page of another site sends the request, and a name that another site
    points to this server is not in `hosts`. Other programs report nothing. hosts: (): any name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or pass the request on."""
        reason = self._reason(Headers(scope=scope)) if scope["type"] == "http" else None
        if reason is None:
            await self.app(scope, receive, send)
            return
        await JSONResponse(failure(reason), 403)(scope, receive, send)

    def _reason(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.hosts and _parts(f"//{host}").hostname not in self.hosts:
            return f"host: {host!r:.80} is not a name of this server; use {min(self.hosts)}"
        if origin is not None and _parts(origin).netloc != host:
            return f"origin: {origin!r:.80} is another site; open the page of this server"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):  # images too
            return "request from a page of another site; open the page of this server"
        return None


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("//?")
