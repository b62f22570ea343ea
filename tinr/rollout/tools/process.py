"""Run tools in a separate process, with limits on time, memory and output.

`Worker` starts the process (`tinr.rollout.tools.worker`) at the first call and keeps it. A call
that exceeds a limit or ends the process raises `Fault`. Then the process is killed, and the next
call starts a new one.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from typing_extensions import Doc

import tinr
from tinr.records import BadInput, RunFailed
from tinr.rollout.tools.worker import HEAD, NO_MEMORY, READY, RESULT, TOO_LONG

START = 60  # seconds for the worker to start and import the tools
KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")  # environment variables


@dataclass(frozen=True)
class ExecutorConfig:
    """Limits of one tool call, and what happens if it exceeds them."""

    where: ClassVar[str] = "executor"  # section of these settings

    seconds: Annotated[float, Doc("wall-clock time per call")] = 2.0
    memory: Annotated[int, Doc("MiB beyond what the worker has when it starts")] = 256
    output: Annotated[int, Doc("characters of a result's JSON")] = 100_000
    network: Annotated[bool, Doc("whether tools may open sockets")] = False
    on_fault: Annotated[
        Literal["continue", "stop"],
        Doc("if a call exceeds a limit: return an error to the model, or stop the run"),
    ] = "continue"

    def __post_init__(self) -> None:
        if not (0 < self.seconds < math.inf and self.memory > 0 and self.output > 0):
            raise ValueError("seconds, memory and output must be finite and above 0")


class Fault(Exception):
    """A tool exceeded a limit or ended its process; the message says how."""


class ToolFault(RunFailed):
    """A tool exceeded a limit, and `on_fault` is stop."""


class Worker:
    """The process that runs `functions` (name -> `module:attribute`), one call at a time.

    path: folders in which it looks for modules, besides those of this process.
    """

    def __init__(
        self, functions: Mapping[str, str], config: ExecutorConfig, path: Sequence[str] = ()
    ) -> None:
        self.functions, self.config, self.path = functions, config, path
        self._process: subprocess.Popen[bytes] | None = None
        self._end = weakref.finalize(self, _no_process)
        self._number = 0  # of the last call
        self.faults = 0  # calls that exceeded a limit
        self._lock = threading.Lock()

    def ask(self, name: str, arguments: Mapping[str, Any]) -> tuple[bool, str]:
        """Run a call; return whether the tool returned, and its result's JSON or error message.

        Raises Fault if it exceeded a limit, BadInput if the worker cannot start, and ValueError or
        RecursionError if the arguments cannot be written as JSON.
        """
        content = json.dumps([name, arguments]).encode()
        with self._lock:
            try:
                answer = self._exchange(self._running(), content, self.config.seconds)
                if answer[:1] == TOO_LONG:
                    raise Fault(f"gave more than {self.config.output:,} characters")
            except BaseException as error:  # interrupts too: the next call would get this answer
                self.faults += isinstance(error, Fault)
                self._stop()
                raise
        return answer[:1] == RESULT, answer[1:].decode("utf-8", "surrogatepass")

    def close(self) -> None:
        """End the process, if it runs. A later call starts a new one."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        self._end()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        # In a fork of this process, the worker is not a child and counts as ended, so that each
        # fork starts its own worker.
        if process is not None and process.poll() is None:
            return process
        self._stop()
        process = subprocess.Popen(
            [sys.executable, "-P", "-S", "-s", "-B", "-m", "tinr.rollout.tools.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(self.path),
            bufsize=0,
            start_new_session=True,  # Ctrl-C does not reach it, and its children die with it
        )
        os.set_blocking(process.stdin.fileno(), False)  # type: ignore[union-attr]
        self._process, self._number = process, -1
        self._end = weakref.finalize(self, _kill, process, os.getpid())
        settings = {"functions": dict(self.functions), "readable": _libraries()} | asdict(
            self.config
        )
        try:
            answer = self._exchange(process, json.dumps(settings).encode(), START)
        except Fault as fault:
            raise BadInput(f"the tool worker {fault} before its first call") from fault
        if answer[:1] != READY:
            reason = answer[1:].decode("utf-8", "replace")
            raise BadInput(f"the tools cannot be loaded: {reason}; correct their modules")
        return process

    def _exchange(self, process: subprocess.Popen[bytes], content: bytes, seconds: float) -> bytes:
        """Send a frame and wait `seconds` for its answer. Raises Fault if there is none."""
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
        """Describe how the process ended."""
        try:
            code = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code == NO_MEMORY:
            return f"needed more than {self.config.memory:,} MiB"
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return f"took longer than {self.config.seconds:g} s"
        status = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"ended its process ({status})"


def _send(pipe: int, content: bytes, deadline: float) -> None:
    """Write all of the content. TimeoutError or BrokenPipeError if nobody reads it."""
    remainder = memoryview(content)
    while remainder:
        _await(pipe, select.POLLOUT, deadline)
        remainder = remainder[os.write(pipe, remainder) :]


def _receive(pipe: int, length: int, deadline: float) -> bytes:
    """Read `length` bytes. TimeoutError or EOFError if they do not arrive."""
    chunks = []
    while length:
        _await(pipe, select.POLLIN, deadline)
        chunk = os.read(pipe, length)
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def _await(pipe: int, event: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(pipe, event)
    seconds = deadline - time.monotonic()
    if seconds <= 0 or not poller.poll(math.ceil(seconds * 1000)):
        raise TimeoutError


def _kill(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a worker and its children, and leave no zombie."""
    if os.getpid() != owner:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def _no_process() -> None:
    """Do nothing: there is no process to end."""


def _environment(folders: Sequence[str]) -> dict[str, str]:
    """Return variables without secrets: module path, language, and a fixed hash seed."""
    path = [str(Path(tinr.__file__).parents[1]), *map(os.path.abspath, sys.path), *folders]
    variables = {name: os.environ[name] for name in KEPT if name in os.environ}
    return variables | {"PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0"}


def _libraries() -> list[str]:
    """Return the folders of the standard library and of installed packages."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return sorted({*folders, *site.getsitepackages(), site.getusersitepackages()})
