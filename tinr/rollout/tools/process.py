"""Tools in a process of their own: bounds of time, memory and output, and what breaks them.

`Worker` starts the process (`tinr.rollout.tools.worker`) at the first call and keeps it; what
breaks a bound or ends the process is a `Fault`, the process is killed, and the next call finds a
new one.
"""

import contextlib
import json
import math
import os
import select
import signal
import site
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from typing_extensions import Doc

import tinr
from tinr.records import BadInput, GateFailed
from tinr.rollout.tools.worker import HEAD, NO_MEMORY, READY, RESULT, TOO_LONG

START = 60  # seconds for the worker to start and import the tools
KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")  # of the environment


@dataclass(frozen=True)
class ExecutorConfig:
    """What a tool may use in one call, and what happens where it takes more."""

    seconds: Annotated[float, Doc("a call, by the clock")] = 2.0
    memory: Annotated[int, Doc("MiB above what the worker has when it starts")] = 256
    output: Annotated[int, Doc("characters of a result's JSON")] = 100_000
    network: Annotated[bool, Doc("whether tools may open sockets")] = False
    on_fault: Annotated[
        Literal["continue", "stop"],
        Doc("a broken bound: an error that the model reads, or the end of the run"),
    ] = "continue"

    def __post_init__(self) -> None:
        if not (0 < self.seconds < math.inf and self.memory > 0 and self.output > 0):
            raise ValueError("seconds, memory and output must be finite and above 0")


class Fault(Exception):
    """A tool broke a bound or ended its process; in words."""


class ToolFault(GateFailed):
    """A tool broke a bound and the run is to stop then."""


class Worker:
    """The process that runs `functions` (name -> `module:attribute`), one call at a time."""

    def __init__(self, functions: Mapping[str, str], config: ExecutorConfig) -> None:
        self.functions, self.config = functions, config
        self._process: subprocess.Popen[bytes] | None = None
        self._end = weakref.finalize(self, _nothing)
        self._number = 0  # of the last call
        self.faults = 0  # calls that broke a bound
        self._lock = threading.Lock()

    def ask(self, name: str, arguments: Mapping[str, Any]) -> tuple[bool, str]:
        """Whether the tool returned, and its result's JSON or the words of what it raised.

        Raises Fault where it broke a bound, BadInput where the worker cannot start, and
        ValueError or RecursionError where the arguments have no JSON.
        """
        content = json.dumps([name, arguments]).encode()
        with self._lock:
            try:
                answer = self._exchange(self._running(), content, self.config.seconds)
                if answer[:1] == TOO_LONG:
                    raise Fault(f"gave more than {self.config.output:,} characters")
            except BaseException as error:  # an interrupt too: else its answer meets the next call
                self.faults += isinstance(error, Fault)
                self._stop()
                raise
        return answer[:1] == RESULT, answer[1:].decode("utf-8", "surrogatepass")

    def close(self) -> None:
        """End the process, if there is one; a later call starts another."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        self._end()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and process.poll() is None:  # in a fork of ours it is none of its
            return process  # children, and counts as ended: a fork gets a worker of its own
        self._stop()
        process = subprocess.Popen(
            [sys.executable, "-P", "-S", "-s", "-B", "-m", "tinr.rollout.tools.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            bufsize=0,
            start_new_session=True,  # ctrl-c is for us; and what it starts dies with it
        )
        os.set_blocking(process.stdin.fileno(), False)  # type: ignore[union-attr]
        self._process, self._number = process, -1
        self._end = weakref.finalize(self, _kill, process, os.getpid())
        told = {"functions": dict(self.functions), "readable": _libraries()} | asdict(self.config)
        try:
            answer = self._exchange(process, json.dumps(told).encode(), START)
        except Fault as fault:
            raise BadInput(f"the worker of the tools {fault} before its first call") from fault
        if answer[:1] != READY:
            reason = answer[1:].decode("utf-8", "replace")
            raise BadInput(f"the tools cannot be loaded: {reason}; correct their modules")
        return process

    def _exchange(self, process: subprocess.Popen[bytes], content: bytes, seconds: float) -> bytes:
        """The answer to a frame within some seconds; Fault says why there is none."""
        assert process.stdin and process.stdout
        self._number += 1
        deadline = time.monotonic() + seconds
        pipe = process.stdout.fileno()
        try:
            frame = HEAD.pack(len(content), self._number) + content
            _send(process.stdin.fileno(), frame, deadline)
            length, number = HEAD.unpack(_receive(pipe, HEAD.size, deadline))
            if number != self._number or length > 4 * self.config.output + 4096:
                raise Fault("wrote over its answer")
            return _receive(pipe, length, deadline)
        except TimeoutError:
            raise Fault(f"took longer than {seconds:g} s") from None
        except (EOFError, BrokenPipeError):
            raise Fault(self._epitaph(process)) from None

    def _epitaph(self, process: subprocess.Popen[bytes]) -> str:
        """How the process ended."""
        try:
            code = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code == NO_MEMORY:
            return f"needed more than {self.config.memory:,} MiB"
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return f"took longer than {self.config.seconds:g} s"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"ended its process ({how})"


def _send(pipe: int, content: bytes, deadline: float) -> None:
    """All of it; TimeoutError or BrokenPipeError where it is not taken."""
    rest = memoryview(content)
    while rest:
        _await(pipe, select.POLLOUT, deadline)
        rest = rest[os.write(pipe, rest) :]


def _receive(pipe: int, length: int, deadline: float) -> bytes:
    """So many bytes; TimeoutError or EOFError where they do not come."""
    parts = []
    while length:
        _await(pipe, select.POLLIN, deadline)
        part = os.read(pipe, length)
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _await(pipe: int, event: int, deadline: float) -> None:
    waiting = select.poll()
    waiting.register(pipe, event)
    left = deadline - time.monotonic()
    if left <= 0 or not waiting.poll(math.ceil(left * 1000)):
        raise TimeoutError


def _kill(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a worker and whatever it started, and leave no zombie."""
    if os.getpid() != owner:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def _nothing() -> None:
    """There is no process to end."""


def _environment() -> dict[str, str]:
    """No secrets: where modules lie, the language, and sets in the same order every time."""
    path = [str(Path(tinr.__file__).parents[1]), *map(os.path.abspath, sys.path)]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0"}


def _libraries() -> list[str]:
    """Folders of Python's own library and of what is installed beside it."""
    own = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return sorted({*own, *site.getsitepackages(), site.getusersitepackages()})
