"""Read the tools of a running MCP server through the official `mcp` package."""

import asyncio
import shlex
from collections.abc import Iterator
from typing import Any

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.problems import Item, Problem
from tinr.catalogue.importing.read import Data
from tinr.records import BadInput

MOST_PAGES = 1000


def ask_server(address: str, timeout: float = 30.0) -> Iterator[Item]:
    """Yield the tools of a server's `tools/list`; `address` is a URL or a command to start.

    A server that hangs, dies or sends invalid data is one problem, after `timeout` seconds
    at most. The command is stopped again.
    """
    if not address.strip():
        raise BadInput("--mcp: nothing in it; give a server's URL or the command that starts it")
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise BadInput("MCP servers need the mcp package; pip install 'tinr[mcp]'") from error
    try:
        name, result = asyncio.run(asyncio.wait_for(_list_tools(address), timeout))
    except TimeoutError:
        yield Problem(address, "", f"the MCP server did not answer within {timeout:g} s")
        return
    except (Exception, BaseExceptionGroup) as error:  # of any kind: the server is not our code
        yield Problem(address, "", f"the MCP server failed: {_root(error)}")
        return
    yield from auto(Data(address, "", {"server": name, "result": result}))


async def _list_tools(address: str) -> tuple[str, dict[str, Any]]:
    """Return the server's name, and all its tools as one page of `tools/list`."""
    from mcp import Client, StdioServerParameters

    if address.startswith(("http://", "https://")):
        server: Any = address
    else:
        command, *arguments = shlex.split(address)
        server = StdioServerParameters(command=command, args=arguments)
    async with Client(server) as client:
        tools: list[Any] = []
        cursor: str | None = None
        seen_cursors: set[str] = set()
        for _ in range(MOST_PAGES):
            page, cursor = await _page(client, cursor)
            tools += page
            if not cursor or cursor in seen_cursors:  # some servers give one page again and again
                break
            seen_cursors.add(cursor)
        result = {"tools": tools, "nextCursor": cursor}
        return client.server_info.name if client.server_info else "", result


async def _page(client: Any, cursor: str | None) -> tuple[list[Any], str | None]:
    """Return a page's tools, as the server sent them if one of them is not as MCP asks.

    The typed call refuses a whole page for one bad tool. The request beneath it is private in the
    `mcp` package; our own reader then judges tool by tool.
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


def _root(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
