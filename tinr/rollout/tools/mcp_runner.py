"""Tools of MCP servers, called through the official `mcp` package.

Each conversation has a session of its own, so that tools can keep a state between its calls. A
server that is a command is then a process of its own; it starts at the first call.
"""

import asyncio
import json
import shlex
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tinr.records import BadInput
from tinr.rollout.tools.process import ExecutorConfig, Fault
from tinr.rollout.tools.runners import Runner, ToolError

START = 30.0  # seconds for a server to start and answer
END = 5.0  # seconds for it to end


@dataclass(frozen=True)
class McpServer:
    """How to reach a server: a URL, or a command to start.

    headers: of a URL. environment: variables of a command's process beside the usual few.
    """

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def client(self) -> Any:
        """Return a client of the `mcp` package that is not connected yet."""
        try:
            from mcp import Client, StdioServerParameters
        except ImportError as error:
            raise BadInput("MCP servers need the mcp package; pip install 'tinr[mcp]'") from error
        if not self.address.startswith(("http://", "https://")):
            command, *arguments = shlex.split(self.address)
            variables = dict(self.environment) or None
            return Client(StdioServerParameters(command=command, args=arguments, env=variables))
        if not self.headers:
            return Client(self.address)
        import httpx2  # the mcp package's own client of HTTP
        from mcp.client.streamable_http import streamable_http_client

        http = httpx2.AsyncClient(headers=dict(self.headers), trust_env=False)
        return Client(streamable_http_client(self.address, http_client=http))


@dataclass
class McpRunner(Runner):
    """Runs the tools of a server. names: our name of a tool -> the server's."""

    server: McpServer
    names: Mapping[str, str]
    config: ExecutorConfig
    sessions: "set[McpSession]" = field(default_factory=set)  # that have not ended

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of all sessions, in a thread of its own."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        return loop

    def session(self) -> "McpSession":
        """Return a session for one conversation."""
        session = McpSession(self)
        self.sessions.add(session)
        return session

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run one call in a session that ends with it."""
        session = self.session()
        try:
            return session.run(name, arguments)
        finally:
            session.end()

    def close(self) -> None:
        """End all sessions and the event loop."""
        for session in tuple(self.sessions):
            session.end()
        if "loop" in vars(self):
            self.loop.call_soon_threadsafe(self.loop.stop)


class McpSession(Runner):
    """One conversation's session with a server. A call that breaks a bound ends it."""

    def __init__(self, runner: McpRunner):
        self.runner = runner
        self._requests: asyncio.Queue[Any] | None = None
        self._task: Future[None] | None = None

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool; a server that cannot be reached, or dies, is a ToolError."""
        config = self.runner.config
        try:
            if self._task is None or self._task.done():
                self._start()
            answer = self._ask((self.runner.names[name], dict(arguments)))
            result = answer.result(config.seconds)
        except NotInTime:
            self._stop(0)
            raise Fault(f"took longer than {config.seconds:g} s") from None
        except BadInput:
            raise
        except (Exception, BaseExceptionGroup) as error:  # of any kind: the server is not our code
            self._stop(END)
            raise ToolError(f"the MCP server failed: {_root(error)}") from error
        text = _content(result)
        if len(text) > config.output:
            raise Fault(f"gave more than {config.output:,} characters")
        if result.is_error:
            raise ToolError(text)
        return text

    def end(self) -> None:
        """End the session and the process of a command."""
        self.runner.sessions.discard(self)
        self._stop(END)

    def _stop(self, seconds: float) -> None:
        """End the connection; what is not over after some seconds is cut off."""
        task, self._task = self._task, None
        if task is None:
            return
        with suppress(Exception):
            self._ask(None)
            task.result(seconds)
        task.cancel()
        self._requests = None

    def _start(self) -> None:
        ready: Future[None] = Future()
        self._requests = None
        self._task = self._submit(self._serve(self.runner.server.client(), ready))
        ready.result(START)

    async def _serve(self, client: Any, ready: "Future[None]") -> None:
        """Hold the connection, and make the calls; a client is entered and left by one task."""
        try:
            async with client:
                self._requests = asyncio.Queue()
                ready.set_result(None)
                while (request := await self._requests.get()) is not None:
                    (name, arguments), answer = request
                    try:
                        answer.set_result(await client.call_tool(name, arguments))
                    except Exception as error:  # the caller judges it
                        answer.set_exception(error)
        except (Exception, BaseExceptionGroup) as error:
            if not ready.done():
                ready.set_exception(_single(error))

    def _ask(self, request: Any) -> "Future[Any]":
        """Hand a request to the task; None ends it."""
        answer: Future[Any] = Future()
        requests = self._requests
        if requests is None:
            raise ConnectionError("there is no connection")
        item = None if request is None else (request, answer)
        self.runner.loop.call_soon_threadsafe(requests.put_nowait, item)
        if request is None:
            answer.set_result(None)
        return answer

    def _submit(self, task: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(task, self.runner.loop)


def _content(result: Any) -> str:
    """Return what a tool says: its structured result as JSON, else its texts."""
    structured = result.structured_content
    if structured is not None and not result.is_error:
        value = structured["result"] if set(structured) == {"result"} else structured
        return json.dumps(value, ensure_ascii=False)
    parts = [
        block.text if block.type == "text" else f"[{block.type}: not readable]"
        for block in result.content
    ]
    return "\n".join(parts)


def _single(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else ConnectionError(str(error))


def _root(error: BaseException) -> str:
    error = _single(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
