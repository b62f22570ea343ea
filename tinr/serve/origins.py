"""Keep pages of other sites away from a server whose tools may run."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tinr.serve.schema import failure

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SameOrigin:
    """Refuses what a browser sends for a page of another site, and other names than `hosts`.

    A browser says whether another site's page asks, and a name that some site made point here is
    none of ours. Programs say nothing of the kind. hosts: (): any name.
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
            return f"host: {host!r:.80} is none of this server's names; use {min(self.hosts)}"
        if origin is not None and _parts(origin).netloc != host:
            return f"origin: {origin!r:.80} is another site; open the page of this server"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):  # pictures too
            return "a page of another site asks; open the page of this server"
        return None


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("//?")
