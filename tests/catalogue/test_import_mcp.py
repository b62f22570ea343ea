"""MCP servers: over stdio and HTTP, started only if asked."""

import socket
import subprocess
import sys
import textwrap
import time

import pytest
from import_parts import TOOL, write

from tinr.catalogue.importing.import_tools import import_tools

SERVERS = {
    "good": """
        from mcp.server.mcpserver import MCPServer
        server = MCPServer("shop")
        @server.tool()
        def price(item: str) -> float:
            "The price of an item."
            return 1.0
        server.run("stdio")
        """,
    "hanging": "import time; time.sleep(60)",
    "dying": "raise SystemExit(3)",
    "babbling": "print('not json'); import time; time.sleep(60)",
}


@pytest.mark.parametrize("kind", list(SERVERS))
def test_mcp_servers_of_all_sorts(kind, tmp_path):
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(SERVERS[kind]))
    tools = write(tmp_path, "t.json", [TOOL])
    timeout = 20.0 if kind == "good" else 3.0
    imported = import_tools([str(tools)], servers=[f"{sys.executable} {script}"], timeout=timeout)
    names = {line["name"] for line in imported.lines}
    if kind == "good":
        assert names == {"weather", "price"} and not imported.lost
    else:
        assert names == {"weather"}
        assert len(imported.lost) == 1 and "MCP server" in imported.lost[0].reason


def test_servers_that_settings_name_are_started_only_if_asked(tmp_path):
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    script, witness = tmp_path / "server.py", tmp_path / "started"
    begin = f"import os, pathlib; pathlib.Path({str(witness)!r}).write_text(os.environ['SHOP'])\n"
    script.write_text(begin + textwrap.dedent(SERVERS["good"]))
    servers = {
        "shop": {"command": sys.executable, "args": [str(script)], "env": {"SHOP": "open"}},
        "odd": {"type": "http"},
    }
    settings = write(tmp_path, "settings.json", {"mcpServers": servers})
    tools = write(tmp_path, "t.json", [TOOL])
    imported = import_tools([str(tools), str(settings)], timeout=20)
    assert len(imported.lines) == 1 and not witness.exists()
    assert "2 MCP servers (shop, odd), not started; --start" in imported.lost[0].reason
    imported = import_tools([str(tools), str(settings)], timeout=20, start=True)
    assert {line["name"] for line in imported.lines} == {"weather", "price"}
    assert witness.read_text() == "open"
    assert ["'odd' has neither" in problem.reason for problem in imported.lost] == [True]


def test_an_mcp_server_over_http(tmp_path):
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = textwrap.dedent(SERVERS["good"]).replace(
        'server.run("stdio")', f'server.run("streamable-http", host="127.0.0.1", port={port})'
    )
    (tmp_path / "server.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "server.py")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        imported = import_tools([], servers=[f"http://127.0.0.1:{port}/mcp"], timeout=20)
        assert [line["name"] for line in imported.lines] == ["price"]
    finally:
        process.kill()
        process.wait()


ODD_SERVER = """
    import json, sys
    fine = {"name": "fine", "description": "Fine.", "inputSchema": {"type": "object",
            "properties": {"of": {"type": "integer"}}}}
    pages = {
        "bad output": [fine, {"name": "b", "description": "B.", "inputSchema": {"type": "object"},
                              "outputSchema": {"title": 3}}],
        "no schema": [fine, {"name": "b", "description": "B."}],
        "no name": [fine, {"description": "?", "inputSchema": {"type": "object"}}, 7],
    }
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("method") == "initialize":
            result = {"protocolVersion": asked["params"]["protocolVersion"],
                      "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
        elif asked.get("method") == "tools/list":
            result = {"tools": pages[sys.argv[1]]} if sys.argv[1] in pages else (
                {"tools": [fine], "nextCursor": "again"})
        elif "id" in asked:
            error = {"code": -32601, "message": "no such method"}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
            continue
        else:
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
    """


@pytest.mark.parametrize(
    ("page", "names", "lost"),
    [("bad output", {"fine", "b"}, 0), ("no schema", {"fine", "b"}, 0), ("no name", {"fine"}, 2),
     ("one page for ever", {"fine"}, 1)],
)  # fmt: skip
def test_one_bad_tool_of_a_server_costs_that_tool_only(page, names, lost, tmp_path):
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(ODD_SERVER))
    server = f"{sys.executable} {script} '{page}'"
    imported = import_tools([], servers=[server], timeout=20.0)
    assert {line["name"] for line in imported.lines} == names and len(imported.lost) == lost
    assert len(imported.notes) <= 1
