"""Read the tools of a running MCP server through the official `mcp` package."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.problems import Item, Problem, step
from tinr.catalogue.importing.read import Data
from tinr.records import BadInput

MOST_PAGES = 1000


def named_servers(data: Data, start: bool, timeout: float) -> Iterator[Item]:
    """Yield the tools of the servers that a client's settings list, if they may be started.

    The settings are `{"mcpServers": {name: {"command", "args", "env"} or {"url"}}}`, as in Claude
    Desktop. A command from a file is started only if `start` is set.
    """
    servers = data.value["mcpServers"]
    if not isinstance(servers, Mapping) or not servers:
        yield Problem(data.file, data.pointer, "mcpServers lists no server")
        return
    if not start:
        names = ", ".join(map(str, servers))[:120]
        reason = f"lists {len(servers)} MCP servers ({names}), not started; --start starts them"
        yield Problem(data.file, data.pointer, reason)
        return
    for name, server in servers.items():
        place = step(data.pointer, "mcpServers", name)
        address = _address(server)
        if not address:
            yield Problem(data.file, place, f"server {name!r} has neither a command nor a url")
            continue
        env = server.get("env")
        yield from ask_server(address, timeout, env if isinstance(env, Mapping) else None)


def _address(server: Any) -> str:
    """Return a server's URL, or the command that starts it; empty if it has neither."""
    if not isinstance(server, Mapping):
        return ""
    if isinstance(server.get("url"), str):
        return server["url"]
    if not isinstance(server.get("command"), str):
        return ""
    return shlex.join([server["command"], *map(str, server.get("args") or ())])


def ask_server(
    address: str, timeout: float = 30.0, env: Mapping[str, Any] | None = None
) -> Iterator[Item]:
    """Yield the tools of a server's `tools/list`; `address` is a URL or a command to start.

    env: environment variables for the command, in addition to the usual ones.
    A server that hangs, dies or sends invalid data yields one problem, after `timeout` seconds
    at most. The command is stopped at the end.
    """
    if not address.strip():
        raise BadInput("--mcp: empty; give a server's URL or the command that starts it")
    require_mcp()
    try:
        name, result = asyncio.run(asyncio.wait_for(_list_tools(address, env), timeout))
    except TimeoutError:
        yield Problem(address, "", f"the MCP server did not answer within {timeout:g} s")
        return
    except (Exception, BaseExceptionGroup) as error:  # of any type: the server is not our code
        yield Problem(address, "", f"the MCP server failed: {root_of(error)}")
        return
    yield from auto(Data(address, "", {"server": name, "result": result}))


async def _list_tools(address: str, env: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Return the server's name, and all its tools as one page of `tools/list`."""
    from mcp import Client

    server = address if has_url(address) else command_of(address, env)
    async with Client(server) as client:
        tools: list[Any] = []
        cursor: str | None = None
        seen_cursors: set[str] = set()
        for _ in range(MOST_PAGES):
            page, cursor = await _page(client, cursor)
            tools += page
            if not cursor or cursor in seen_cursors:  # some servers repeat the same page forever
                break
            seen_cursors.add(cursor)
        result = {"tools": tools, "nextCursor": cursor}
        return client.server_info.name if client.server_info else "", result


async def _page(client: Any, cursor: str | None) -> tuple[list[Any], str | None]:
    """Return a page's tools and the next cursor; unvalidated if one tool violates MCP.

    The typed call rejects a whole page for one invalid tool. The request beneath it is private in
    the `mcp` package; our own reader then checks each tool.
    """
    from pydantic import ValidationError

    try:
        page = await client.list_tools(cursor=cursor)
    except ValidationError:
        request: dict[str, Any] = {"method": "tools/list", "params": {}}
        request["params"] |= {"cursor": cursor} if cursor else {}
        options: dict[str, Any] = {}
        client.session._stamp(request, options)
        raw = await client.session._dispatcher.send_raw_request(
            request["method"], request["params"], options
        )
        tools = raw.get("tools")
        return tools if isinstance(tools, list) else [], raw.get("nextCursor")
    tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
    return tools, page.next_cursor


def require_mcp() -> None:
    """Raise BadInput if the `mcp` package is missing."""
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise BadInput("MCP servers need the mcp package; pip install 'tinr[mcp]'") from error


def has_url(address: str) -> bool:
    """Whether a server's address is a URL, not a command."""
    return address.startswith(("http://", "https://"))


def command_of(address: str, env: Mapping[str, Any] | None) -> Any:
    """Return the `mcp` package's description of a command that starts a server."""
    from mcp import StdioServerParameters

    command, *arguments = shlex.split(address)
    variables = {str(key): str(value) for key, value in env.items()} if env else None
    return StdioServerParameters(command=command, args=arguments, env=variables)


def root_of(error: BaseException) -> str:
    """Return the first error of a (nested) group of errors, in one line."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
