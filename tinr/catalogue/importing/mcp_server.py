"""The tools of a running MCP server, asked through the official `mcp` package."""

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
    """What `tools/list` of a server says; `address` is a URL, or else a command to start.

    A server that hangs, dies or answers nonsense is one problem, after `timeout` seconds
    at most; the command is stopped again.
    """
    if not address.strip():
        raise BadInput("--mcp: nothing in it; give a server's URL or the command that starts it")
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise BadInput("MCP servers need the mcp package; pip install 'tinr[mcp]'") from error
    try:
        name, listed = asyncio.run(asyncio.wait_for(_list_tools(address), timeout))
    except TimeoutError:
        yield Problem(address, "", f"the MCP server did not answer within {timeout:g} s")
        return
    except (Exception, BaseExceptionGroup) as error:  # whatever a foreign process does
        yield Problem(address, "", f"the MCP server failed: {_root(error)}")
        return
    yield from auto(Data(address, "", {"server": name, "result": listed}))


async def _list_tools(address: str) -> tuple[str, dict[str, Any]]:
    """The server's name, and what one page of all its tools would say."""
    from mcp import Client, StdioServerParameters

    if address.startswith(("http://", "https://")):
        server: Any = address
    else:
        command, *arguments = shlex.split(address)
        server = StdioServerParameters(command=command, args=arguments)
    async with Client(server) as client:
        tools: list[Any] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += [
                tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                for tool in page.tools
            ]
            cursor = page.next_cursor
            if not cursor:
                break
        listed = {"tools": tools, "nextCursor": cursor}
        return client.server_info.name if client.server_info else "", listed


def _root(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
