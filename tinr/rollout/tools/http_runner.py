"""Send HTTP operations of OpenAPI files to hosts that the user allows, through `httpx`."""

import json
import logging
import math
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx

from tinr.records import BadInput
from tinr.rollout.tools.process import ExecutorConfig, Fault
from tinr.rollout.tools.runners import Runner, ToolError

READING = ("GET", "HEAD", "OPTIONS", "QUERY")  # methods that change nothing
ERROR_CHARACTERS = 160  # longest excerpt of a service's error response
PORTS = {"http": 80, "https": 443}
PARAMETER = re.compile(r"\{([^{}]+)\}")  # a parameter in a path
RESERVED = {  # headers that say where a request goes, what it does, or how long it is
    *("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "cookie"),
    *("x-http-method-override", "x-http-method", "x-method-override", "accept-encoding"),
}


@dataclass(frozen=True)
class Operation:
    """One HTTP operation as its OpenAPI file describes it; BadInput if it cannot be sent.

    url: of the server. places: parameter -> {"in": path, query, header, cookie, body or formData;
    "name": its name in the request; "whole": true if it is the whole body}.
    """

    method: str
    url: str
    path: str
    places: Mapping[str, Mapping[str, Any]]
    content_type: str = ""

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, ValueError, UnicodeError, TypeError) as error:
            raise BadInput(f"{self.url!r} is not a valid URL ({error}); correct it") from error
        is_whole = url.scheme in PORTS and url.host and (url.port or 0) < 2**16
        if not is_whole or url.userinfo or url.query or url.fragment:
            raise BadInput(
                f"{self.url!r} is not a server address; give http(s)://host[:port][/path]"
            )
        if not re.match(r"/(?!/)", self.path) or "#" in self.path:
            raise BadInput(
                f"the path {self.path!r} must start with exactly one slash and have no #; fix it"
            )
        placed = {place.get("name") for place in self.places.values() if place.get("in") == "path"}
        missing = {*PARAMETER.findall(self.path)} - placed
        if missing:
            raise BadInput(
                f"the parameter {sorted(missing)[0]!r} of {self.path} is not described; import the "
                "OpenAPI file again"
            )

    @property
    def host(self) -> str:
        """The host and port that the operation is sent to, `name:port`."""
        return _host_of(httpx.URL(self.url))


def _host_of(url: Any) -> str:
    return f"{url.host.lower()}:{url.port or PORTS.get(url.scheme, 0)}"


@dataclass
class HttpRunner(Runner):
    """Sends operations to allowed hosts.

    hosts: `name` (any port) or `name:port`. headers, query: sent with every request, including
    credentials; a call cannot change them. writes: whether methods that change data may be sent.
    Redirects are not followed and cookies are not kept: they could lead to another host, or carry
    data from one conversation to another.
    """

    operations: Mapping[str, Operation]
    hosts: Sequence[str]
    config: ExecutorConfig
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False

    def __post_init__(self) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs
        self._open_client: httpx.Client | None = None

    def session(self) -> "HttpRunner":
        """Return a runner with its own connections: a request that hangs closes them."""
        return replace(self)

    def end(self) -> None:
        """Close the connections of a session."""
        self.close()

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Send an operation and return the text of its response, with JSON on one line."""
        operation = self.operations[name]
        if operation.method not in READING and not self.writes:
            raise ToolError(f"{operation.method} changes something and is not allowed here")
        if not self._allows(operation.host):
            raise ToolError(f"the host of {name} is not allowed here")
        try:
            request = self._request(operation, arguments)
        except (httpx.InvalidURL, ValueError, UnicodeError, TypeError) as error:
            raise ToolError(f"no request can be made of these values ({error})") from error
        if _host_of(request.url) != operation.host:
            raise ToolError(f"the host of {name} is not allowed here")
        status, kind, content = self._within_bounds(request)
        text = _text(content, kind)
        if len(text) > self.config.output:
            raise Fault(f"gave more than {self.config.output:,} characters")
        if status >= 300:
            reason = " ".join(text.split())[:ERROR_CHARACTERS]
            raise ToolError(f"HTTP {status}: {reason}" if reason else f"HTTP {status}")
        return text or json.dumps({"status": status})

    def close(self) -> None:
        """Close the connections."""
        if self._open_client is not None:
            self._open_client.close()
            self._open_client = None

    @property
    def _client(self) -> httpx.Client:
        if self._open_client is None:
            # no proxies and no passwords from the environment or from .netrc
            self._open_client = httpx.Client(
                trust_env=False, follow_redirects=False, timeout=self.config.seconds,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )  # fmt: skip
        return self._open_client

    def _allows(self, host: str) -> bool:
        allowed_hosts = {name.lower().replace("[", "").replace("]", "") for name in self.hosts}
        return host in allowed_hosts or host.rpartition(":")[0] in allowed_hosts

    def _request(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        segments: dict[str, str] = {}
        query: list[tuple[str, str]] = []
        headers: dict[str, str] = {}
        cookies: list[str] = []
        form: dict[str, str] = {}
        body: dict[str, Any] = {}
        options: dict[str, Any] = {}
        own_headers = {name.lower() for name in self.headers}
        for key, value in arguments.items():
            place = operation.places.get(key, {"in": "body", "name": key})
            where, name = place["in"], place["name"]
            if where == "path":
                segments[name] = _segment(name, value)
            elif where == "query":
                query += [(name, _plain(one)) for one in _members(value) if name not in self.query]
            elif where == "header":
                if name.lower() in RESERVED:
                    raise ToolError(f"{name}: this header cannot be set by a call")
                headers |= {} if name.lower() in own_headers else {name: _line(name, value)}
            elif where == "cookie":
                cookies.append(f"{name}={quote(_line(name, value), safe='')}")
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
        if "content" in options and operation.content_type:
            headers["Content-Type"] = operation.content_type
        if cookies and "cookie" not in own_headers:
            headers["Cookie"] = "; ".join(cookies)
        url = httpx.URL(operation.url.rstrip("/") + _filled(operation.path, segments))
        query += self.query.items()
        return self._client.build_request(
            operation.method, url.copy_merge_params(tuple(query)) if query else url,
            headers={**headers, **self.headers, "Accept-Encoding": "identity"}, **options,
        )  # fmt: skip

    def _within_bounds(self, request: Any) -> tuple[int, str, bytes]:
        """Send a request in a thread, and cut it off at the time limit."""
        answer: Future[tuple[int, str, bytes]] = Future()
        client = self._client

        def send() -> None:
            try:
                answer.set_result(self._exchange(client, request))
            except BaseException as error:  # the caller handles it
                answer.set_exception(error)

        threading.Thread(target=send, daemon=True).start()
        try:
            return answer.result(self.config.seconds)
        except (NotInTime, httpx.TimeoutException):
            self.close()
            raise Fault(f"took longer than {self.config.seconds:g} s") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ToolError(f"the service cannot be reached ({type(error).__name__})") from None

    def _exchange(self, client: Any, request: Any) -> tuple[int, str, bytes]:
        """Return status, content type and content, read as sent and never decompressed."""
        deadline = time.monotonic() + self.config.seconds
        response = client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise ToolError("the service packs its answer, which was not asked for")
            chunks, size = [], 0
            for chunk in response.iter_raw():
                chunks.append(chunk)
                size += len(chunk)
                if size > 4 * self.config.output:
                    raise Fault(f"gave more than {self.config.output:,} characters")
                if time.monotonic() > deadline:
                    raise NotInTime
        finally:
            response.close()
        return response.status_code, response.headers.get("content-type", ""), b"".join(chunks)


def _text(content: bytes, kind: str) -> str:
    text = content.decode("utf-8", "replace")
    if "json" not in kind:
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _members(value: Any) -> list[Any]:
    """Return the values to send: one per list member (OpenAPI's default), none for null."""
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _plain(value: Any) -> str:
    """Return a value as text for a URL or a form."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _segment(name: str, value: Any) -> str:
    """Return a value (lists joined by commas) as a path segment that cannot change the path."""
    text = ",".join(map(_plain, _members(value)))
    if not text or re.search(r"(?:^|[/\\])\.\.?(?:[/\\]|$)", text):
        raise ToolError(f"{name}: {text!r} is no part of a path")
    return quote(text, safe=",")


def _filled(path: str, segments: Mapping[str, str]) -> str:
    """Insert the segments into a path."""
    missing = [name for name in PARAMETER.findall(path) if name not in segments]
    if missing:
        raise ToolError(f"{missing[0]} is needed")
    whole_path = PARAMETER.sub(lambda match: segments[match[1]], path)
    if {".", ".."} & {*whole_path.partition("?")[0].split("/")}:
        raise ToolError("the values lead to another path")
    return whole_path


def _line(name: str, value: Any) -> str:
    text = ",".join(map(_plain, _members(value)))
    if not text.isprintable() or not text.isascii():
        raise ToolError(f"{name}: a header takes one line of ASCII")
    return text


def _body(value: Any, content_type: str) -> dict[str, Any]:
    """Return httpx's options for a body of a content type; JSON if none is stated."""
    if content_type == "application/x-www-form-urlencoded" and isinstance(value, Mapping):
        return {"data": {name: _plain(part) for name, part in value.items()}}
    if content_type == "multipart/form-data" and isinstance(value, Mapping):
        return {"files": {name: (None, _plain(part)) for name, part in value.items()}}
    if content_type in ("", "application/json"):
        return {"json": value}
    is_json = "json" in content_type
    return {"content": (json.dumps(value) if is_json else _plain(value)).encode()}
