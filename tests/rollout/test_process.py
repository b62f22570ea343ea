"""Tools in their own process: a tool that misbehaves costs its own call and nothing else."""

import inspect
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import fault_tools
import pytest

import tool_corpora
from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.render import OBSERVATION_CHARACTERS
from tinr.config_files import build
from tinr.records import BadInput, Call, RunFailed, ToolDoc
from tinr.rollout.tools.executor import BoundedExecutor, Executor, corpus_executor
from tinr.rollout.tools.process import ExecutorConfig, ToolFault
from tool_corpora.suites import SUITES
from tool_corpora.suites import test_suite as suite_of  # pytest takes test_* for a test

NAMES = [name for name, _ in inspect.getmembers(fault_tools, inspect.isfunction)]
OPEN = {"type": "object", "properties": {}, "additionalProperties": True}
CATALOGUE = Catalogue(tuple(ToolDoc(name, f"Does {name}.", OPEN) for name in NAMES))
HERE = str(Path(__file__).resolve())
SMALL = ExecutorConfig(seconds=1, memory=64, output=5000)


def bounded(config: ExecutorConfig = SMALL, **functions: str) -> BoundedExecutor:
    """Over the fault tools, or others under their names."""
    return BoundedExecutor(
        CATALOGUE, {name: f"fault_tools:{name}" for name in NAMES} | functions, config
    )


@pytest.fixture(scope="module")
def executor() -> Iterator[BoundedExecutor]:
    with bounded() as made:
        yield made


def ask(executor: Executor, name: str, **arguments: Any) -> Any:
    """The observation; warnings of faults are asked for where they are meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return executor.run(Call(name, arguments))


def alive(process: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(process: int, within: float) -> bool:
    """Whether a process is gone within some seconds."""
    until = time.monotonic() + within
    while alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(process)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "hang": ({}, "longer than 1 s"),
    "spin": ({}, "longer than 1 s"),
    "spin_in_c": ({}, "longer than 1 s"),
    "print_forever": ({}, "longer than 1 s"),
    "hoard": ({}, "more than 64 MiB"),
    "hoard_at_once": ({}, "more than 64 MiB"),
    "chatter": ({"length": 6000}, "more than 5,000 characters"),
    "quit_hard": ({}, "exit code 3"),
    "crash": ({}, "signal 11"),
    "forge": ({}, "wrote over its answer"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_answered_and_the_worker_replaced(executor: BoundedExecutor, name: str) -> None:
    arguments, words = FAULTS[name]
    before, faults = int(ask(executor, "process")), executor.faults
    with pytest.warns(UserWarning, match=f"tool {name} .*{words}"):
        shown = executor.run(Call(name, arguments))
    assert shown.startswith('{"error": "the tool ') and words in shown
    assert executor.faults == faults + 1
    assert not alive(before)
    assert ask(executor, "double", x=4) == "8"
    assert int(ask(executor, "process")) != before


ANSWERED: dict[str, tuple[dict[str, Any], str]] = {
    "fail": ({}, '{"error": "ZeroDivisionError: nothing to divide by"}'),
    "fail_unspeakably": ({}, '{"error": "Unspeakable: ?"}'),
    "quit_softly": ({}, '{"error": "SystemExit: 4"}'),
    "recurse": ({}, '{"error": "RecursionError: maximum recursion depth exceeded'),
    "undefined": ({}, '{"error": "ValueError: Out of range float'),
    "double": ({"x": "two", "y": 1}, '{"error": "TypeError: double() got an unexpected'),
    "print_much": ({}, '""'),
    "import_late": ({}, "1"),
    "base_in_memory": ({}, "1"),
    "modules": ({}, "[]"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_the_worker_outlives_what_a_tool_raises_or_prints(
    executor: BoundedExecutor, name: str
) -> None:
    arguments, words = ANSWERED[name]
    before = ask(executor, "process")
    assert ask(executor, name, **arguments).startswith(words)
    assert ask(executor, "process") == before


NEW = "a path where nothing is"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "write": ({"path": NEW}, "write files"),
    "create": ({"path": NEW}, "write files"),
    "make_folder": ({"path": NEW}, "os.mkdir"),
    "delete": ({"path": HERE}, "os.remove"),
    "open_base": ({"path": NEW}, "database in a file"),
    "read": ({"path": HERE}, f"read {HERE}"),
    "look": ({"path": str(Path(HERE).parent)}, "read /"),
    "start": ({}, "subprocess.Popen"),
    "start_below": ({}, "start a process"),
    "fork": ({}, "os.fork"),
    "system": ({}, "os.system"),
    "replace_self": ({}, "os.exec"),
    "load_library": ({}, "ctypes.dlopen"),
    "kill_parent": ({}, "os.kill"),
    "raise_limits": ({}, "resource.setrlimit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_outside_is_refused(
    executor: BoundedExecutor, name: str, tmp_path: Path
) -> None:
    arguments, words = REFUSED[name]
    if arguments.get("path") == NEW:
        arguments = {"path": str(tmp_path / "new")}
    shown = ask(executor, name, **arguments)
    assert shown.startswith('{"error": "PermissionError: a tool may not') and words in shown
    assert not list(tmp_path.iterdir()) and Path(HERE).exists()


def test_sql_that_a_model_wrote_reaches_no_file(executor: BoundedExecutor, tmp_path: Path) -> None:
    secret, new = tmp_path / "secret.db", tmp_path / "new.db"
    base = sqlite3.connect(secret)
    base.execute("create table t as select 'SECRET'")
    base.commit()
    assert ask(executor, "run_sql", statement="select 1") == "[[1]]"
    for statement in (f"attach '{secret}' as a", f"attach '{new}' as a", f"vacuum into '{new}'"):
        shown = ask(executor, "run_sql", statement=statement)
        assert "OperationalError" in shown and "too many attached" in shown
    assert not new.exists()


def test_no_way_leads_out_of_the_folder_of_the_worker(executor: BoundedExecutor) -> None:
    for path in ("..", ".", "../etc/passwd", "/usr/share/zoneinfo/../../../etc/passwd"):
        for name in ("read", "look"):
            assert "a tool may not read" in ask(executor, name, path=path)
    assert os.readlink(f"/proc/{ask(executor, 'process')}/cwd").endswith("(deleted)")


def test_the_network_is_there_only_where_it_is_allowed(executor: BoundedExecutor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(10)
        answering = threading.Thread(target=lambda: server.accept()[0].sendall(b"oak"), daemon=True)
        answering.start()
        assert "may not use socket" in ask(executor, "connect", port=port)
        with bounded(ExecutorConfig(network=True)) as open_one:
            assert ask(open_one, "connect", port=port) == '"oak"'
        answering.join()


def test_where_the_kernel_allows_it_the_network_is_another(executor: BoundedExecutor) -> None:
    fresh = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    if fresh.returncode != 0:
        pytest.skip("the kernel gives no network namespaces here")
    process = ask(executor, "process")
    assert os.readlink(f"/proc/{process}/ns/net") != os.readlink("/proc/self/ns/net")


def test_secrets_of_the_environment_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "oak")
    monkeypatch.setenv("TZ", "UTC")
    with bounded() as executor:
        shown = executor.worker.ask("environment", {})[1]
    assert "SOME_API_KEY" not in shown and '"TZ": "UTC"' in shown


def test_stop_ends_the_run_and_names_tool_and_bound() -> None:
    with bounded(ExecutorConfig(seconds=0.3, on_fault="stop")) as executor:
        assert ask(executor, "fail").startswith('{"error"')  # what a tool raises stops nothing
        with pytest.raises(ToolFault, match=r"tool hang took .* 0\.3 s; arguments: \{\}; fix"):
            executor.run(Call("hang", {}))
    assert issubclass(ToolFault, RunFailed)  # exit code 1


@pytest.mark.parametrize("key", ["seconds", "memory", "output"])
def test_a_bound_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(BadInput, match="above 0"):
        build(ExecutorConfig, {key: 0}, "grpo.yaml")


@pytest.mark.parametrize("where", ["no_such_module:f", "fault_tools:no_such_function"])
def test_tools_that_cannot_be_loaded_are_the_users_mistake(where: str) -> None:
    with bounded(double=where) as executor, pytest.raises(BadInput, match="no_such"):
        executor.run(Call("double", {}))


def test_a_worker_that_died_between_calls_is_no_fault_of_the_next_one() -> None:
    with bounded() as executor:
        process = int(ask(executor, "process"))
        os.kill(process, signal.SIGKILL)
        assert ended(process, 5)
        assert ask(executor, "double") == "2"
        assert executor.faults == 0


def test_an_interrupted_call_does_not_answer_the_next_one() -> None:
    with bounded(ExecutorConfig(seconds=30)) as executor:
        ask(executor, "double")
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            ask(executor, "hang")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert ask(executor, "double", x=4) == "8"


def test_close_and_the_end_of_the_executor_end_the_process() -> None:
    executor = bounded()
    first = int(ask(executor, "process"))
    executor.close()
    assert not Path(f"/proc/{first}").exists()  # not even a zombie
    second = int(ask(executor, "process"))  # a closed one starts again
    del executor
    assert not Path(f"/proc/{second}").exists()


@pytest.mark.parametrize("last", ["double", "hang", "double, with a fork that lives on"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_worker_ends_with_its_parent(last: str, how: int) -> None:
    """While it waits for a call, in one that never ends, and where a fork holds its pipe."""
    program = textwrap.dedent(f"""
        import os, sys, time
        sys.path[:0] = [{str(Path(HERE).parent)!r}, {str(Path(HERE).parents[1])!r}]
        from test_process import SMALL, Call, bounded
        executor = bounded()
        print(executor.run(Call("process", {{}})), flush=True)
        if "fork" in {last!r} and os.fork() == 0:
            time.sleep(10)
            os._exit(0)
        executor.run(Call({last.split(",")[0]!r}, {{}}))
        print("idle", flush=True)
        sys.stdin.read()
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin and parent.stdout
    with parent.stdin, parent.stdout:
        worker = int(parent.stdout.readline())
        if last != "hang":
            parent.stdout.readline()
        assert alive(worker)
        parent.send_signal(how)
        parent.wait()
    assert ended(worker, 5)


def test_a_fork_of_ours_has_a_worker_of_its_own() -> None:
    with bounded() as executor:
        ours = ask(executor, "process")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, ask(executor, "process").encode())
                executor.close()
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as said:
            theirs = said.read()
        os.waitpid(child, 0)
        assert theirs and theirs != ours
        assert ask(executor, "process") == ours


def test_a_long_result_is_cut_as_ever(executor: BoundedExecutor) -> None:
    near = Executor(CATALOGUE, {"chatter": fault_tools.chatter})
    for length in (OBSERVATION_CHARACTERS - 2, OBSERVATION_CHARACTERS, 4000):
        given = Call("chatter", {"length": length})
        assert executor.run(given) == near.run(given)


def test_any_json_goes_there_and_back(executor: BoundedExecutor) -> None:
    near = Executor(CATALOGUE, {"echo": fault_tools.echo})
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    values = ["Århus \u2028 \ud800", {"a": [None, True, 1e-300, -0.0, 2**70]}, [float("inf")]]
    for value in [*values, 10**5000, deep, "x" * 4000]:
        assert ask(executor, "echo", x=value) == near.run(Call("echo", {"x": value}))
    large = ask(executor, "echo", x="x" * 200_000)  # more than a pipe holds
    assert "more than 5,000 characters" in large


def test_the_shipped_tools_answer_as_in_this_process() -> None:
    catalogue = load_catalogue(tool_corpora.NAMES)
    tools = tool_corpora.load("toolbox") | tool_corpora.load("fieldkit")
    near = Executor(catalogue, {name: tool.run for name, tool in tools.items()})
    calls = [call for suite in SUITES for q in suite_of(suite, 150) for call in q.calls]
    chosen = Random(0).sample(calls, 300)
    chosen += [Call(call.name, dict(list(call.arguments.items())[1:])) for call in chosen[:50]]
    with corpus_executor(catalogue) as executor:
        assert [executor.run(call) for call in chosen] == [near.run(call) for call in chosen]
        assert executor.faults == 0
