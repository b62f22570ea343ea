"""Restrict the process of the tools: kernel limits, no network, an audit hook.

If the kernel permits, an empty network namespace removes the network. In any case, a hook on
Python's audit events refuses sockets, processes, ctypes, writing, and reading outside the allowed
paths. The hook cannot be removed. It guards against the effects of a call; it does not confine a
tool written in C. The module imports only the standard library.
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

# Prefixes of the names of audit events.
REFUSED = (
    *("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty."),
    *("os.kill", "signal.pthread_kill", "ctypes.", "resource."),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.lchown", "os.utime", "os.setxattr", "os.removexattr"),
    *("os.chdir", "os.fchdir", "sqlite3.load", "sqlite3.enable"),
)
READING = ("open", "os.listdir", "os.scandir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READABLE = (os.devnull, "/usr/share/zoneinfo")  # besides the allowed paths
Roots = tuple[str, ...]
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of Linux


def keep_databases_apart() -> None:
    """Forbid ATTACH and VACUUM INTO, with which sqlite opens files without Python.

    Call it before tools are loaded.
    """
    connect = sqlite3.connect

    def connect_alone(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connect_alone


def shut_in(readable: Sequence[str], memory: int, network: bool) -> None:
    """Restrict this process permanently: to `memory` MiB more than it has now, and as above.

    Its working folder is empty and already deleted: nothing can be created in it.
    """
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    if not network:
        _leave_network()
    roots = tuple(os.path.realpath(root) for root in (*readable, *READABLE))
    refusals = REFUSED if network else (*REFUSED, "socket.")
    # multiprocessing uses it to start processes without an audit event
    sys.modules["_posixsubprocess"] = SimpleNamespace(fork_exec=_no_process)  # type: ignore
    _set_limits(memory)
    sys.addaudithook(lambda event, values: _judge(event, values, refusals, roots))


def arm(seconds: float) -> None:
    """Have the kernel end this process a second after the parent should, which may be gone."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds) + 1, for_good=False)


def disarm() -> None:
    """Stop the timer after a call."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _judge(event: str, values: tuple[Any, ...], refusals: tuple[str, ...], roots: Roots) -> None:
    """The hook: raise PermissionError for a refused event."""
    if event in READING:
        _judge_path(event, values, roots)
    elif event == "sqlite3.connect":
        if values[0] != ":memory:":  # sqlite opens files without Python
            raise PermissionError("a tool may not use a database in a file")
    elif event == "resource.setrlimit" and values[0] == resource.RLIMIT_CPU:
        return  # `arm` sets it before every call
    elif event.startswith(refusals):
        raise PermissionError(f"a tool may not use {event}")


def _judge_path(event: str, values: tuple[Any, ...], roots: Roots) -> None:
    path = values[0]
    if isinstance(path, int):
        return  # already open
    if event == "open":
        mode, flags = values[1:3]
        if (flags or 0) & WRITING or set(mode or "") & set("wax+"):
            raise PermissionError("a tool may not write files")
    name = os.fsdecode("." if path is None else path)
    # not joined to our deleted folder, because ".." still leads out of it
    real_path = os.path.realpath(name) if os.path.isabs(name) else ""
    if not any(real_path == root or real_path.startswith(root + os.sep) for root in roots):
        raise PermissionError(f"a tool may not read {name}")


def _no_process(*_: Any) -> None:
    raise PermissionError("a tool may not start a process")


def _leave_network() -> None:
    """Enter an empty network namespace, if the kernel permits; else only the hook applies.

    Without privileges, this also needs a new user namespace.
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
    with contextlib.suppress(FileNotFoundError):  # only Linux reports our memory
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory * 2**20)


def _limit(kind: int, limit: int, for_good: bool = True) -> None:
    """Set a kernel limit, never above the current one."""
    hard_limit = resource.getrlimit(kind)[1]
    if hard_limit != resource.RLIM_INFINITY:
        limit = min(limit, hard_limit)
    resource.setrlimit(kind, (limit, limit if for_good else hard_limit))
