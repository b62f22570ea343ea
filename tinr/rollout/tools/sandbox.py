"""What the process of the tools may not do: limits of the kernel, no network, an audit hook.

The kernel takes the network away where it lets us (a namespace of its own). Everywhere a hook
over Python's audit events refuses sockets, processes, ctypes, writing, and reading outside the
places it is given. It cannot be taken off again, but it is a guard against what a call can
bring about, not a prison for whoever writes a tool in C. Imports no more than Python's own.
"""

import contextlib
import math
import os
import resource
import signal
import sqlite3
import sqlite3.dbapi2
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Beginnings of the names of audit events.
REFUSED = (
    *("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty."),
    *("os.kill", "signal.pthread_kill", "ctypes.", "resource."),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.lchown", "os.utime", "os.setxattr", "os.removexattr"),
    *("os.chdir", "os.fchdir", "sqlite3.load", "sqlite3.enable"),
)
READING = ("open", "os.listdir", "os.scandir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READABLE = (os.devnull, "/usr/share/zoneinfo")  # beside the places that are given
Roots = tuple[str, ...]
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of Linux


def keep_databases_apart() -> None:
    """Before tools are loaded: a database takes in no other file (ATTACH, VACUUM INTO), which
    sqlite would do without Python."""
    connect = sqlite3.connect

    def alone(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = alone


def shut_in(readable: Sequence[str], memory: int, network: bool) -> None:
    """Bound this process for good: to `memory` MiB more than it has, and as said above.

    Its folder is an empty one that is gone already: nothing can be made in it, nothing is left.
    """
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    if not network:
        _leave_network()
    roots = tuple(os.path.realpath(root) for root in (*readable, *READABLE))
    refused = REFUSED if network else (*REFUSED, "socket.")
    # multiprocessing starts processes through it without an audit event
    sys.modules["_posixsubprocess"] = SimpleNamespace(fork_exec=_no_process)  # type: ignore
    _set_limits(memory)
    sys.addaudithook(lambda event, values: _judge(event, values, refused, roots))


def arm(seconds: float) -> None:
    """Let the kernel end this process a second after the parent should have: it may be gone."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds) + 1, for_good=False)


def disarm() -> None:
    """The call is over."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _judge(event: str, values: tuple[Any, ...], refused: tuple[str, ...], roots: Roots) -> None:
    """The hook: raise PermissionError for what is refused."""
    if event in READING:
        _judge_path(event, values, roots)
    elif event == "sqlite3.connect":
        if values[0] != ":memory:":  # sqlite opens files without Python
            raise PermissionError("a tool may not use a database in a file")
    elif event == "resource.setrlimit" and values[0] == resource.RLIMIT_CPU:
        return  # ours, before every call
    elif event.startswith(refused):
        raise PermissionError(f"a tool may not use {event}")


def _judge_path(event: str, values: tuple[Any, ...], roots: Roots) -> None:
    path = values[0]
    if isinstance(path, int):
        return  # open already
    if event == "open":
        mode, flags = values[1:3]
        if (flags or 0) & WRITING or set(mode or "") & set("wax+"):
            raise PermissionError("a tool may not write files")
    place = os.fsdecode("." if path is None else path)
    # not joined to our folder: it is gone, but ".." still leads out of it
    full = os.path.realpath(place) if os.path.isabs(place) else ""
    if not any(full == root or full.startswith(root + os.sep) for root in roots):
        raise PermissionError(f"a tool may not read {place}")


def _no_process(*_: Any) -> None:
    raise PermissionError("a tool may not start a process")


def _leave_network() -> None:
    """Into a network namespace that holds nothing, where the kernel lets us; else the hook alone.

    Without privileges that takes a user namespace of our own as well.
    """
    try:
        if _unshare(NEW_NETWORK) != 0:
            _unshare(NEW_NETWORK | NEW_USER)
    except (OSError, AttributeError):  # no such kernel, or not allowed
        return


def _unshare(flags: int) -> int:
    import ctypes

    return ctypes.CDLL(None).unshare(flags)


def _set_limits(memory: int) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    with contextlib.suppress(FileNotFoundError):  # only Linux says how much we have
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory * 2**20)


def _limit(kind: int, most: int, for_good: bool = True) -> None:
    """Set a limit of the kernel, never above the one that is there."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most if for_good else hard))
