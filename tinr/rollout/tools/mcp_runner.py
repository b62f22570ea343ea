"""Tools of MCP servers, called through the official `mcp` package.

Each conversation has its own session, so that tools can keep state between its calls. If the server
is a command, each session starts its own process at the first call.
"""

import asyncio
import json
import shlex
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from tinr.catalogue.importing.mcp_server import command_of, has_url, require_mcp, root_of
from tinr.records import BadInput
from tinr.rollout.tools.process import ExecutorConfig, Fault
from tinr.rollout.tools.runners import Runner, ToolError

START = 30.0  # seconds for a server to start and answer
END = 10.0  # seconds for it to end; the package kills it after a few


@dataclass(frozen=True)
class McpServer:
    """How to reach a server: a URL, or a command that starts it; BadInput if it is invalid.

    headers: sent to a URL. environment: variables for a command's process, besides the usual few.
    """

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_mcp()
        try:
            command = shlex.split(self.address)
        except ValueError as error:
            raise BadInput(
                f"mcp: {self.address!r} is not a valid command ({error}); correct it"
            ) from error
        if not command:
            raise BadInput("mcp: give a server's URL, or the command that starts it")

    async def connect(self, stack: AsyncExitStack, seconds: float) -> Any:
        """Return a connected client of the `mcp` package, which the stack closes."""
        from mcp import Client

        if not has_url(self.address):
            command = command_of(self.address, self.environment)
            return await stack.enter_async_context(Client(command))
        import httpx2  # the HTTP client of the mcp package
        from mcp.client.streamable_http import streamable_http_client

        http = httpx2.AsyncClient(headers=dict(self.headers), trust_env=False, timeout=seconds)
        await stack.enter_async_context(http)
        transport: Any = streamable_http_client(self.address, http_client=http)
        return await stack.enter_async_context(Client(transport))


@dataclass
class McpRunner(Runner):
    """Runs the tools of a server. names: our name of a tool -> the server's name."""

    server: McpServer
    names: Mapping[str, str]
    config: ExecutorConfig
    sessions: "set[McpSession]" = field(default_factory=set)  # open ones
    _loop: asyncio.AbstractEventLoop | None = None
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of all sessions, in its own thread."""
        with self._starting:  # conversations call from several threads
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop

    def session(self) -> "McpSession":
        """Return a session for one conversation."""
        return McpSession(self)

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run one call in a session that ends with it."""
        session = self.session()
        try:
            return session.run(name, arguments)
        finally:
            session.end()

    def close(self) -> None:
        """End all sessions with their processes, and the event loop."""
        if self._loop is None:
            return
        for session in tuple(self.sessions):
            session.cancel()
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(_all_over(), self._loop).result(END)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END)
        self._loop = None


async def _all_over() -> None:
    """Wait for every task of the loop except this one."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


class McpSession(Runner):
    """One conversation's session with a server. A call that exceeds a limit ends it."""

    def __init__(self, runner: McpRunner):
        self.runner = runner
        self._requests: asyncio.Queue[Any] | None = None
        self._task: Future[None] | None = None

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool. Raises ToolError if the server cannot be reached, or dies."""
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        config = self.runner.config
        if self._task is None or self._task.done():
            self._start()
        try:
            result = self._ask((self.runner.names[name], dict(arguments))).result(config.seconds)
        except NotInTime:
            self.cancel()
            raise Fault(f"took longer than {config.seconds:g} s") from None
        except (Exception, BaseExceptionGroup) as error:  # of any kind: this is not our code
            if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
                raise ToolError(root_of(error)) from error  # the call failed, not the server
            self.cancel()
            raise ToolError(f"the MCP server failed: {root_of(error)}") from error
        except BaseException:  # an interrupt
            self.cancel()
            raise
        text = _content(result)
        if len(text) > config.output:
            raise Fault(f"gave more than {config.output:,} characters")
        if result.is_error:
            raise ToolError(text)
        return text

    def end(self) -> None:
        """End the session and the process of a command."""
        task = self._task
        if task is None:
            return
        with suppress(Exception):
            self._put(None)
            task.result(END)
        self.cancel()

    def cancel(self) -> None:
        """Cut the connection; the process of a command ends soon after."""
        self.runner.sessions.discard(self)
        task, self._task, self._requests = self._task, None, None
        if task is not None:
            task.cancel()

    def _start(self) -> None:
        ready: Future[None] = Future()
        self.runner.sessions.add(self)
        self._task = asyncio.run_coroutine_threadsafe(self._serve(ready), self.runner.loop)
        try:
            ready.result(START)
        except NotInTime:
            self.cancel()
            raise Fault(f"did not start within {START:g} s") from None
        except (Exception, BaseExceptionGroup) as error:
            self.cancel()
            raise ToolError(f"the MCP server cannot be reached: {root_of(error)}") from error
        except BaseException:
            self.cancel()
            raise

    async def _serve(self, ready: "Future[None]") -> None:
        """Keep the connection open and make the calls: one task must enter and leave a client."""
        answer: Future[Any] = ready
        try:
            async with AsyncExitStack() as stack:
                client = await self.runner.server.connect(stack, self.runner.config.seconds)
                requests: asyncio.Queue[Any] = asyncio.Queue()
                self._requests = requests
                ready.set_result(None)
                while (request := await requests.get()) is not None:
                    (name, arguments), answer = request
                    try:
                        answer.set_result(await client.call_tool(name, arguments))
                    except Exception as error:  # the caller handles it
                        answer.set_exception(error)
        except (Exception, BaseExceptionGroup) as error:
            if not answer.done():
                answer.set_exception(error)
        finally:
            if not answer.done():
                answer.set_exception(ConnectionError("the connection was cut off"))

    def _ask(self, call: tuple[str, dict[str, Any]]) -> "Future[Any]":
        answer: Future[Any] = Future()
        self._put((call, answer))
        return answer

    def _put(self, request: Any) -> None:
        """Hand a request to the task; None ends it."""
        requests = self._requests
        if requests is None:
            raise ConnectionError("there is no connection")
        self.runner.loop.call_soon_threadsafe(requests.put_nowait, request)


def _content(result: Any) -> str:
    """Return a tool's result: the structured one as JSON, else its text blocks."""
    structured = result.structured_content
    if structured is not None and not result.is_error:
        is_wrapped = isinstance(structured, dict) and set(structured) == {"result"}
        return json.dumps(structured["result"] if is_wrapped else structured, ensure_ascii=False)
    parts = [
        block.text if block.type == "text" else f"[{block.type}: not readable]"
        for block in result.content
    ]
    return "\n".join(parts)
