"""Tools of a user really run: Python functions, HTTP operations, MCP servers; within bounds."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.load import load_catalogue
from tinr.records import BadInput, Call
from tinr.rollout.tools.executor import KeptSession
from tinr.rollout.tools.own_tools import OwnExecutor, own_executor

SHOP = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/goods/{kind}": {
            "get": {
                "operationId": "find_goods",
                "summary": "Find goods of a kind.",
                "parameters": [
                    {"name": "kind", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {}}},
                    {"name": "new", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "X-Lang", "in": "header", "schema": {"type": "string"}},
                    {"name": "Host", "in": "header", "schema": {"type": "string"}},
                    {"name": "app", "in": "query", "schema": {"type": "string"}},
                ],
            }
        },
        "/orders": {
            "post": {
                "operationId": "order",
                "summary": "Order some goods.",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"number": {"type": "integer"}},
                                "required": ["number"],
                            }
                        }
                    }
                },
            }
        },
        "/notes": {
            "post": {
                "operationId": "note",
                "summary": "Leave a note.",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "properties": {"text": {"type": "string"}},
                            }
                        }
                    }
                },
            }
        },
    },
}
SERVER = '''
import os, sys, time
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server, counts = MCPServer("counter"), []

@server.tool()
def count(word: str) -> int:
    """Count how many words were said so far."""
    counts.append(word)
    return len(counts)

@server.tool()
def fail(word: str) -> str:
    """Fail at once."""
    raise ToolError(f"no {word} here")

@server.tool()
def hang(word: str) -> str:
    """Never come back."""
    time.sleep(60)
    return word

@server.tool(structured_output=False)
def listed(word: str):
    """Say a word in two parts."""
    return [word, word]

@server.tool()
def leave(word: str) -> str:
    """End the process of this server."""
    os._exit(3)

@server.tool()
def token(word: str) -> str:
    """Tell a variable of the environment."""
    return os.environ.get(word, "none")

server.run("stdio")
'''
FUNCTIONS = '''
import time

def add(first: int, second: int = 1) -> int:
    """Add two numbers.

    Args:
        first: The first one.
        second: The second one.
    """
    return first + second

def sleep(seconds: int) -> str:
    """Sleep for some seconds.

    Args:
        seconds: How long.
    """
    time.sleep(seconds)
    return "awake"
'''


class Shop(BaseHTTPRequestHandler):
    """Tells what was asked; some kinds of goods misbehave."""

    def do_GET(self):
        kind = self.path.partition("?")[0].rpartition("/")[2]
        if kind == "slow":
            for _ in range(40):
                time.sleep(0.1)
                if self._sent(b" "):
                    return
        content = b"x" * 5000 if kind == "large" else None
        status = {"gone": 404, "moved": 302}.get(kind, 200)
        self._answer(status, content or {"path": self.path, "headers": dict(self.headers)}, kind)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(201, {"body": body, "kind": self.headers["Content-Type"]})

    def log_message(self, *_: Any) -> None:
        pass

    def _sent(self, content: bytes) -> bool:
        try:
            if not getattr(self, "begun", False):
                self.begun = True
                self.send_response(200)
                self.end_headers()
            self.wfile.write(content)
        except OSError:
            return True
        return False

    def _answer(self, status: int, content: Any, kind: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=of-another-user")
        if kind == "packed":
            self.send_header("Content-Encoding", "gzip")
        if status == 302:
            self.send_header("Location", "http://127.0.0.2/elsewhere")
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The address of a running shop."""
    pytest.importorskip("httpx", reason="httpx is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def executor_of(folder: Path, source: str, **settings: Any) -> OwnExecutor:
    """Import a source, and make the executor of a file with these settings."""
    out = folder / "tools"
    if not out.exists():
        write_catalogue(import_tools([source]), out)
    file = folder / "executors.yaml"
    limits = settings.pop("limits", {})
    file.write_text(
        yaml.safe_dump({"catalogue": str(out), "run": settings["run"], "limits": limits})
    )
    return own_executor(file, load_catalogue(out))


@pytest.fixture
def goods(tmp_path, shop):
    """`goods(**entry)`: an executor of the shop's operations."""
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))

    def make(limits: dict[str, Any] | None = None, **entry: Any) -> OwnExecutor:
        entry = {"http": "shop.json", "url": shop, "hosts": ["127.0.0.1"], **entry}
        return executor_of(tmp_path, str(file), run=[entry], limits=limits or {})

    return make


def answer_of(executor: OwnExecutor, name: str, **arguments: Any) -> Any:
    return json.loads(executor.run(Call(name, arguments)))


def test_an_operation_is_sent_as_its_file_says(goods, monkeypatch):
    """Path, query, header and credentials; a repeated credential is masked."""
    monkeypatch.setenv("SHOP_TOKEN", "very-secret")
    headers = {"Authorization": "Bearer ${SHOP_TOKEN}"}
    with goods(headers=headers, query={"app": "tinr"}) as executor:
        call = {"kind": "a b/c", "tags": ["x", 2], "new": True, "X-Lang": "en"}
        answer = answer_of(executor, "find_goods", **call)
    assert answer["path"] == "/goods/a%20b%2Fc?tags=x&tags=2&new=true&app=tinr"
    assert answer["headers"]["X-Lang"] == "en"
    assert answer["headers"]["Authorization"] == "Bearer ***"


def test_a_call_changes_neither_credentials_nor_host_nor_another_conversation(goods):
    with goods(headers={"X-Lang": "de"}, query={"app": "tinr"}) as executor:
        answer = answer_of(executor, "find_goods", kind="pens", **{"X-Lang": "en", "app": "mine"})
        assert answer["headers"]["X-Lang"] == "de" and answer["path"].endswith("?app=tinr")
        assert "cannot be set" in answer_of(executor, "find_goods", kind="pens", Host="x")["error"]
        assert "Cookie" not in answer_of(executor, "find_goods", kind="pens")["headers"]


@pytest.mark.parametrize("secret", ["ab+/=&c", 'say "x"\\', "abc", "ключ"])
def test_a_secret_is_masked_however_a_service_spells_it(goods, monkeypatch, secret):
    monkeypatch.setenv("SHOP_KEY", secret)
    with goods(query={"key": "${SHOP_KEY}"}) as executor:
        text = executor.run(Call("find_goods", {"kind": "pens", "tags": ["x"]}))
    assert "key=***" in text and secret not in text


@pytest.mark.parametrize("kind", [".", "..", "", "../orders", "a/..", "..\\x"])
def test_a_value_does_not_lead_to_another_path(goods, kind):
    with goods() as executor:
        assert "no part of a path" in answer_of(executor, "find_goods", kind=kind)["error"]


def test_a_header_takes_one_line(goods):
    with goods() as executor:
        answer = answer_of(executor, "find_goods", kind="pens", **{"X-Lang": "en\r\nX-Admin: yes"})
    assert "one line" in answer["error"]


def test_what_changes_something_is_sent_only_if_asked(goods):
    with goods() as executor:
        assert "not allowed" in answer_of(executor, "order", number=3)["error"]
    with goods(writes=True) as executor:
        assert json.loads(answer_of(executor, "order", number=3)["body"]) == {"number": 3}
        answer = answer_of(executor, "note", text="a & b")
    assert answer == {"body": "text=a+%26+b", "kind": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("slow", "took longer than 0.5 s"), ("large", "gave more than 1,000 characters"),
     ("gone", "HTTP 404"), ("moved", "HTTP 302"), ("packed", "packs its answer")],
)  # fmt: skip
def test_an_operation_that_misbehaves_is_an_error_that_the_model_reads(goods, kind, reason):
    start = time.monotonic()
    with goods({"seconds": 0.5, "output": 1000}) as executor:
        if kind in ("slow", "large"):
            with pytest.warns(UserWarning, match=f"find_goods {reason}"):
                assert reason in answer_of(executor, "find_goods", kind=kind)["error"]
        else:
            assert reason in answer_of(executor, "find_goods", kind=kind)["error"]
        assert executor.faults == (kind in ("slow", "large"))
    assert time.monotonic() - start < 3


def test_a_service_that_is_not_there_is_an_error_that_the_model_reads(goods):
    with goods(url="http://127.0.0.1:9") as executor:
        assert "cannot be reached" in answer_of(executor, "find_goods", kind="pens")["error"]


@pytest.mark.parametrize(
    "path", ["@evil.example/x", ".evil.example/x", ":9/x", "//evil.example/x", "{kind}/x", "/x#y"]
)
def test_a_path_does_not_lead_to_another_host(path, tmp_path, shop):
    """A document is not trusted: what follows the server's address begins with one slash."""
    shop_document = {**SHOP, "paths": {path: SHOP["paths"]["/goods/{kind}"]}}
    file = tmp_path / "evil.json"
    file.write_text(json.dumps(shop_document))
    entry = {"http": "evil.json", "url": shop, "hosts": ["127.0.0.1"]}
    with pytest.raises(BadInput, match=r"run.0: .*path"):
        executor_of(tmp_path, str(file), run=[entry])


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass@h",
        "http://h/?a=1",
        "http://h/#x",
        "http://h:99999",
        "http://[::1",
        "http://",
    ],
)
def test_an_address_that_is_no_server_is_refused(goods, url):
    with pytest.raises(BadInput, match=r"run.0: 'http"):
        goods(url=url)


def test_hosts_are_compared_as_names_with_ports(goods, shop):
    port = shop.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", "LOCALHOST"):
        url = shop.replace("127.0.0.1", "localhost") if host == "LOCALHOST" else shop
        with goods(hosts=[host], url=url) as executor:
            assert "path" in answer_of(executor, "find_goods", kind="pens")


@pytest.mark.parametrize("hosts", [["example.org"], ["127.0.0.1:1"], ["0.0.1"]])
def test_only_allowed_hosts_are_asked(goods, hosts):
    with goods(hosts=hosts) as executor:
        assert "not allowed" in answer_of(executor, "find_goods", kind="pens")["error"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"hosts": []}, r"run.0: hosts: no host is allowed; to allow these: hosts: \['127.0.0.1:"),
        ({"url": ""}, "run.0: url: the file has no server"),
        ({"mcp": "server"}, "run.0: give exactly one of python, mcp, http"),
        ({"http": "other.json"}, "no tools come from 'other.json'; the catalogue's sources are"),
        ({"tools": ["x_*"]}, r"no tools match \['x_\*'\]"),
        ({"headers": {"A": "${TINR_UNSET}"}}, "variable TINR_UNSET is not set"),
        ({"environment": {"A": "b"}}, "run.0: environment is not a setting of http"),
        ({"headers": {"A": "b\nC: d"}}, "headers: A is not one line of ASCII"),
        ({"host": ["127.0.0.1"]}, "unknown key 'run.0.host'; did you mean 'run.0.hosts'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(goods, entry, reason):
    with pytest.raises(BadInput, match=reason) as caught:
        goods(**entry)
    assert "\n" not in str(caught.value)


def test_two_entries_that_run_the_same_tools_name_them(goods, tmp_path, shop):
    goods().close()
    entry = {"http": "shop.json", "url": shop, "hosts": ["127.0.0.1"]}
    with pytest.raises(BadInput, match=r"run.1: an earlier entry already runs find_goods"):
        executor_of(tmp_path, "", run=[entry, entry])
    other = {**entry, "url": "http://127.0.0.1:9", "tools": ["find_*"]}
    with executor_of(tmp_path, "", run=[other, {**entry, "tools": ["*"]}]) as executor:
        assert "cannot be reached" in answer_of(executor, "find_goods", kind="pens")["error"]
        assert "not allowed" in answer_of(executor, "note", text="x")["error"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [({"mcp": "python 'x", "tools": ["*"]}, "is not a valid command"),
     ({"python": "os.path:join()", "tools": ["*"]}, "is not a name of a module or function"),
     ({"mcp": "python x.py", "tools": ["*"], "headers": {"A": "b"}}, "headers need a URL")],
)  # fmt: skip
def test_an_entry_that_cannot_run_is_refused(goods, tmp_path, entry, reason):
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    goods().close()
    with pytest.raises(BadInput, match=f"run.0: .*{reason}"):
        executor_of(tmp_path, "", run=[entry])


def test_a_tool_whose_document_changed_does_not_run(goods, tmp_path):
    goods().close()
    tools = tmp_path / "tools" / "tools.jsonl"
    known = load_catalogue(tmp_path / "tools")
    tools.write_text(tools.read_text().replace("Find goods of a kind", "Burn goods of a kind"))
    with (
        pytest.warns(UserWarning, match="1 tools have another document"),
        own_executor(tmp_path / "executors.yaml", known) as executor,
    ):
        call = Call("find_goods", {"kind": "pens"})
        assert not executor.runs(call)


def test_a_conversation_makes_so_many_calls(goods):
    with goods({"calls": 2}) as executor:
        for session in (executor.session(), executor.session()):
            answer = [answer_of(session, "find_goods", kind="pens") for _ in range(3)]
            assert ["error" in one for one in answer] == [False, False, True]
            session.end()


def test_python_functions_run_in_a_bounded_process(tmp_path):
    """The module lies beside the file; it is imported there alone."""
    source = tmp_path / "sums_for_test.py"
    source.write_text(FUNCTIONS)
    run = [{"python": "sums_for_test"}]
    with executor_of(tmp_path, str(source), run=run, limits={"seconds": 0.5}) as executor:
        assert answer_of(executor, "add", first=2, second=5) == 7
        assert "is not of type" in answer_of(executor, "add", first="two")["error"]
        with pytest.warns(UserWarning, match="sleep took longer"):
            assert "took longer" in answer_of(executor, "sleep", seconds=3)["error"]
        assert answer_of(executor, "add", first=2) == 3
    assert "sums_for_test" not in sys.modules


def test_shipped_tools_of_the_catalogue_run_as_always(tmp_path):
    """Where no entry names them; an entry that does comes first."""
    (tmp_path / "mine_for_test.py").write_text("def mpg_to_litres(**_): return 'mine'")
    out = tmp_path / "tools"
    toolbox = load_catalogue("toolbox")
    names = ("mpg_to_litres", "reverse_letters")
    out.mkdir()
    lines = [json.dumps(asdict(toolbox.by_name[name])) for name in names]
    (out / "tools.jsonl").write_text("\n".join(lines))
    call = Call("reverse_letters", {"text": "abc"})
    entry = {"python": "mine_for_test", "tools": ["mpg_*"]}
    with executor_of(tmp_path, "", run=[entry]) as executor:
        assert executor.run(Call("mpg_to_litres", {"economy": 3})) == '"mine"'
        assert executor.run(call) == '"cba"'


@pytest.fixture
def counter(tmp_path) -> Iterator[OwnExecutor]:
    """The tools of an MCP server that counts."""
    pytest.importorskip("mcp", reason="the mcp package is not installed")
    script = tmp_path / "counter.py"
    script.write_text(SERVER)
    command = f"{sys.executable} {script}"
    out = tmp_path / "tools"
    write_catalogue(import_tools([], servers=[command]), out)
    entry = {"mcp": command, "environment": {"COUNTER_TOKEN": "of the server"}}
    with executor_of(tmp_path, "", run=[entry], limits={"seconds": 3}) as executor:
        yield executor


def test_each_conversation_has_its_own_session_with_a_server(counter):
    first, second = counter.session(), counter.session()
    assert [answer_of(first, "count", word=word) for word in "ab"] == [1, 2]
    assert answer_of(second, "count", word="c") == 1
    assert answer_of(first, "count", word="d") == 3
    first.end()
    assert answer_of(second, "count", word="e") == 2
    assert "no x here" in answer_of(second, "fail", word="x")["error"]
    assert json.loads(second.run(Call("token", {"word": "COUNTER_TOKEN"}))) == "of the server"
    assert second.run(Call("listed", {"word": "ab"})) == "ab\nab"
    second.end()
    assert answer_of(counter, "count", word="alone") == 1


def test_the_turns_of_one_user_share_a_session(counter):
    """Each turn is a conversation of its own for the sampler, which ends it."""
    with KeptSession.of(counter) as kept:
        for turn in (1, 2):
            session = kept.session()
            assert answer_of(session, "count", word="a") == turn
            session.end()
    assert answer_of(counter.session(), "count", word="a") == 1


def test_nothing_of_a_server_is_left_when_an_executor_closes(counter, tmp_path):
    """Not even of one that hangs."""
    sessions = [counter.session() for _ in range(2)]
    assert answer_of(sessions[0], "count", word="a") == 1
    with pytest.warns(UserWarning, match="hang took longer"):
        answer_of(sessions[1], "hang", word="a")
    counter.close()
    script = str(tmp_path / "counter.py")
    assert not [
        process.pid for process in psutil.process_iter() if script in " ".join(_command(process))
    ]
    assert answer_of(sessions[0], "count", word="b") == 1  # a new one
    sessions[0].end()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_server_that_hangs_or_dies_is_an_error_and_the_next_call_has_a_new_one(counter):
    session = counter.session()
    assert answer_of(session, "count", word="a") == 1
    with pytest.warns(UserWarning, match="hang took longer than 3 s"):
        assert "took longer" in answer_of(session, "hang", word="a")["error"]
    assert answer_of(session, "count", word="b") == 1
    assert "failed" in answer_of(session, "leave", word="a")["error"]
    assert answer_of(session, "count", word="c") == 1
    session.end()
