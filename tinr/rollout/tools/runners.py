"""What runs the tools of a user's catalogue: Python functions, HTTP operations, MCP servers.

A runner executes calls of the tools that it knows, within bounds. It returns the text of the
result. An error that the tool reports is a ToolError; a broken bound is a Fault.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from tinr.records import BadInput
from tinr.rollout.tools.process import ExecutorConfig, Fault, Worker

READING = ("GET", "HEAD", "OPTIONS", "QUERY")  # methods that change nothing
ERROR_CHARACTERS = 160  # of what a service says with an error status
SECRET = "***"


class ToolError(Exception):
    """The tool itself reports an error; the model reads it."""


class Runner:
    """Runs calls of some tools. A conversation uses its own session of it."""

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return the text of a call's result; raises ToolError and Fault."""
        raise NotImplementedError

    def session(self) -> "Runner":
        """Return what one conversation uses: itself, unless tools keep a state."""
        return self

    def end(self) -> None:
        """End a session."""

    def close(self) -> None:
        """Free everything."""


@dataclass
class PythonRunner(Runner):
    """Runs Python functions in one bounded process."""

    worker: Worker

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run a function in the worker."""
        try:
            has_returned, text = self.worker.ask(name, arguments)
        except (ValueError, RecursionError) as error:  # no JSON for the arguments
            raise ToolError(f"{type(error).__name__}: {error}") from error
        if not has_returned:
            raise ToolError(text)
        return text

    def close(self) -> None:
        """End the process."""
        self.worker.close()


@dataclass(frozen=True)
class Operation:
    """One HTTP operation as its OpenAPI file describes it.

    places: parameter -> {"in": path, query, header, cookie, body or formData; "name": its name in
    the request; "whole": true where it is the whole body}.
    """

    method: str
    url: str  # of the server, without a slash at the end
    path: str
    places: Mapping[str, Mapping[str, Any]]
    content_type: str = ""


@dataclass
class HttpRunner(Runner):
    """Sends the operations of an OpenAPI file to hosts that are allowed.

    hosts: `name` or `name:port`. headers, query: sent with every request, credentials among them;
    what a service repeats of `secrets` is masked. writes: whether methods that change something
    may be sent. Redirects are not followed: they could lead to another host.
    """

    operations: Mapping[str, Operation]
    hosts: Sequence[str]
    config: ExecutorConfig
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    writes: bool = False

    def __post_init__(self) -> None:
        try:
            import httpx
        except ImportError as error:
            raise BadInput("HTTP tools need httpx; pip install 'tinr[http]'") from error
        # no proxies and no passwords from the environment or from .netrc
        self._client = httpx.Client(trust_env=False, follow_redirects=False)

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Send an operation and return the text of its answer, JSON in one line."""
        import httpx

        operation = self.operations[name]
        if operation.method not in READING and not self.writes:
            raise ToolError(f"{operation.method} changes something and is not allowed here")
        if not self._allows(operation.url):
            raise ToolError(f"the host of {name} is not allowed here")
        request = self._request(operation, arguments)
        deadline = time.monotonic() + self.config.seconds
        try:
            status, kind, content = self._answer(request, deadline)
        except httpx.TimeoutException:
            raise Fault(f"took longer than {self.config.seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolError(f"the service cannot be reached ({type(error).__name__})") from None
        text = self._masked(_text(content, kind))
        if status >= 300:
            reason = " ".join(text.split())[:ERROR_CHARACTERS]
            raise ToolError(f"HTTP {status}: {reason}" if reason else f"HTTP {status}")
        return text or json.dumps({"status": status})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _allows(self, url: str) -> bool:
        parts = urlsplit(url)
        names = {parts.hostname, f"{parts.hostname}:{parts.port}"}
        return parts.scheme in ("http", "https") and bool(names & set(self.hosts))

    def _request(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        path, query = operation.path, list(self.query.items())
        headers, cookies, form = dict(self.headers), {}, {}
        body: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for key, value in arguments.items():
            place = operation.places.get(key, {"in": "body", "name": key})
            where, name = place["in"], place["name"]
            if where == "path":
                path = path.replace(f"{{{name}}}", _segment(name, value))
            elif where == "query":
                query += [(name, _plain(one)) for one in _members(value)]
            elif where == "header":
                headers[name] = _line(name, value)
            elif where == "cookie":
                cookies[name] = _line(name, value)
            elif where == "formData":
                form[name] = _plain(value)
            elif place.get("whole"):
                options = _body(value, operation.content_type)
            else:
                body[name] = value
        if body:
            options = _body(body, operation.content_type)
        if form:
            options = {"data": form}
        if "content" in options:
            headers.setdefault("Content-Type", operation.content_type)
        if cookies:
            pairs = (f"{name}={quote(text, safe='')}" for name, text in cookies.items())
            headers["Cookie"] = "; ".join(pairs)
        url = operation.url + path
        return self._client.build_request(
            operation.method, url, params=tuple(query), headers=headers, **options
        )

    def _answer(self, request: Any, deadline: float) -> tuple[int, str, bytes]:
        """Send a request; returns status, content type and content within the bounds."""
        import httpx

        def remaining() -> float:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise Fault(f"took longer than {self.config.seconds:g} s")
            return seconds

        request.extensions["timeout"] = httpx.Timeout(remaining()).as_dict()
        response = self._client.send(request, stream=True)
        try:
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                remaining()
                chunks.append(chunk)
                size += len(chunk)
                if size > 4 * self.config.output:
                    raise Fault(f"gave more than {self.config.output:,} characters")
        finally:
            response.close()
        return response.status_code, response.headers.get("content-type", ""), b"".join(chunks)

    def _masked(self, text: str) -> str:
        if len(text) > self.config.output:
            raise Fault(f"gave more than {self.config.output:,} characters")
        for secret in self.secrets:
            text = text.replace(secret, SECRET)
        return text


def _text(content: bytes, kind: str) -> str:
    text = content.decode("utf-8", "replace")
    if "json" not in kind:
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _members(value: Any) -> list[Any]:
    """A list is sent as one pair for each member, as OpenAPI's default says; null as none."""
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _plain(value: Any) -> str:
    """A value as a URL or a form has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _segment(name: str, value: Any) -> str:
    """A value as one segment of a path; a list with commas. It cannot lead to another path."""
    text = ",".join(map(_plain, _members(value)))
    if text in ("", ".", ".."):
        raise ToolError(f"{name}: {text!r} is no part of a path")
    return quote(text, safe=",")


def _line(name: str, value: Any) -> str:
    text = ",".join(map(_plain, _members(value)))
    if not text.isprintable() or not text.isascii():
        raise ToolError(f"{name}: a header takes one line of ASCII")
    return text


def _body(value: Any, content_type: str) -> dict[str, Any]:
    """Return httpx's options for a body of a content type; JSON where none is stated."""
    if content_type == "application/x-www-form-urlencoded" and isinstance(value, Mapping):
        return {"data": {name: _plain(part) for name, part in value.items()}}
    if content_type == "multipart/form-data" and isinstance(value, Mapping):
        return {"files": {name: (None, _plain(part)) for name, part in value.items()}}
    if content_type and "json" not in content_type:
        return {"content": _plain(value).encode()}
    return {"json": value}
