"""Tools that misbehave, for test_executor.py; the worker loads them by name."""

import ctypes
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from multiprocessing import util
from pathlib import Path
from typing import Any


def double(x: float = 1) -> float:
    """The one that behaves."""
    return 2 * x


def echo(x: Any = None) -> Any:
    """What it was given."""
    return x


def hang() -> None:
    """Never comes back, and takes no time of the processor."""
    while True:
        time.sleep(60)


def spin() -> None:
    """Never comes back."""
    while True:
        pass


def spin_in_c() -> int:
    """Never comes back and never looks at signals."""
    return len(str(9 ** (9**9)))


def hoard() -> None:
    """Takes memory until there is none."""
    kept = []
    while True:
        kept.append(bytearray(2**20))


def hoard_at_once() -> int:
    """Asks for more than there is."""
    return len(bytearray(2**40))


def chatter(length: int) -> str:
    """A long result."""
    return "oak " * (length // 4)


def print_much() -> str:
    """Writes to where the protocol might be, and reads from there."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        print("oak " * 10000, file=stream, flush=True)
    os.write(1, b"oak" * 1000)
    return sys.stdin.read()


def print_forever() -> None:
    """Endless output."""
    while True:
        print("oak")


def forge() -> int:
    """Writes answers of its own into every pipe."""
    for number in range(3, 20):
        try:
            os.write(number, b"\0\0\0\2\0\0\0\0r1" * 2)
        except OSError:
            continue
    return 7


def quit_hard(code: int = 3) -> None:
    """Ends the process without a word."""
    os._exit(code)


def crash() -> None:
    """A memory fault."""
    signal.raise_signal(signal.SIGSEGV)


def quit_softly() -> None:
    """Raises SystemExit."""
    sys.exit(4)


def fail() -> None:
    """Breaks."""
    raise ZeroDivisionError("nothing to divide by")


class Unspeakable(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail_unspeakably() -> None:
    """Breaks, and so does saying so."""
    raise Unspeakable


def recurse(depth: int = 0) -> int:
    """Never ends."""
    return recurse(depth + 1)


def undefined() -> float:
    """A result that JSON does not know."""
    return math.nan


def write(path: str) -> int:
    """Writes a file."""
    return Path(path).write_text("oak")


def create(path: str) -> int:
    """Makes a file through the system's call."""
    return os.open(path, os.O_CREAT | os.O_WRONLY)


def make_folder(path: str) -> None:
    """Makes a folder."""
    os.mkdir(path)


def delete(path: str) -> None:
    """Deletes a file."""
    os.remove(path)


def read(path: str) -> str:
    """Reads a file."""
    return Path(path).read_text()[:20]


def look(path: str) -> list[str]:
    """Lists a folder."""
    return os.listdir(path)


def open_base(path: str) -> str:
    """A database in a file: sqlite opens it without Python."""
    return str(sqlite3.connect(path).execute("select 1").fetchone())


def base_in_memory() -> int:
    """A database in memory."""
    return sqlite3.connect(":memory:").execute("select 1").fetchone()[0]


def run_sql(statement: str) -> list:
    """Runs what a model wrote, on a database in memory."""
    return sqlite3.connect(":memory:").execute(statement).fetchall()


def connect(port: int) -> str:
    """Calls a server on this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as wire:
        return wire.recv(10).decode()


def start() -> int:
    """Starts a program."""
    return subprocess.run(["true"]).returncode


def start_below() -> int:
    """Starts a program as multiprocessing does, without an audit event."""
    return util.spawnv_passfds(b"/bin/true", [b"true"], [])


def fork() -> int:
    """Forks."""
    return os.fork()


def system() -> int:
    """Starts a shell."""
    return os.system("true")


def replace_self() -> None:
    """Becomes another program."""
    os.execv("/bin/true", ["true"])


def load_library() -> str:
    """Reaches for C."""
    return str(ctypes.CDLL(None).getpid())


def kill_parent() -> None:
    """Ends the run."""
    os.kill(os.getppid(), signal.SIGTERM)


def raise_limits() -> None:
    """Asks for more memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def import_late() -> int:
    """Reads Python's own library while it runs."""
    import colorsys

    return int(colorsys.rgb_to_hsv(0, 0, 1)[2])


def environment() -> dict[str, str]:
    """What it may know of the machine."""
    return dict(os.environ)


def process() -> int:
    """The worker's process."""
    return os.getpid()


def modules() -> list[str]:
    """Heavy ones that were imported."""
    return sorted({"torch", "transformers", "numpy", "jsonschema"} & set(sys.modules))
