"""The program of the process in which tools run.

`tinr.rollout.tools.process` starts it and sends it calls. It is a fresh interpreter, not a fork,
and does not import torch. Its first frame has the functions to load and their limits. It sandboxes
itself (`tinr.rollout.tools.sandbox`), and answers calls until its pipe closes. In both directions,
a frame is a length and the call's number (HEAD), followed by that many bytes: JSON to the worker;
one of the letters below and text from the worker. Nothing is pickled.
"""

import importlib
import json
import os
import select
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from tinr.rollout.tools.sandbox import arm, disarm, keep_databases_apart, shut_in

HEAD = struct.Struct("!II")  # length of what follows, number of the call
READY, RESULT, RAISED, TOO_LONG = b"y", b"r", b"e", b"o"  # the first byte of an answer
NO_MEMORY = 77  # exit code: out of memory, even for an answer
ORPHAN = 1000  # milliseconds between checks that the parent is alive
LONGEST_ERROR = 200  # most characters of an exception's text

Functions = Mapping[str, Callable[..., Any]]


def main() -> None:
    """Read the settings, send READY or the reason of a failure, and serve calls."""
    parent = os.getppid()
    inwards, outwards = _take_pipes()
    frame = _read_frame(inwards, parent)
    if frame is None:
        return
    settings = json.loads(frame[1])
    try:
        keep_databases_apart()
        functions = {name: _load(address) for name, address in settings["functions"].items()}
        readable = [*settings["readable"], *_homes(settings["functions"].values())]
        shut_in(readable, settings["memory"], settings["network"])
    except Exception as error:  # a user's module may raise anything
        _write_frame(outwards, 0, RAISED + _words(error))
        return
    _write_frame(outwards, 0, READY)
    while (request := _read_frame(inwards, parent)) is not None:
        number, content = request
        arm(settings["seconds"])
        answer = _answer(functions, content, settings["output"])
        disarm()
        _write_frame(outwards, number, answer)


def _answer(functions: Functions, content: bytes, limit: int) -> bytes:
    try:
        name, arguments = json.loads(content)
        result = functions[name](**arguments)
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    except MemoryError:
        os._exit(NO_MEMORY)
    except BaseException as error:  # SystemExit too: whatever the tool raises is the answer
        return RAISED + _words(error)
    return TOO_LONG if len(text) > limit else RESULT + text.encode("utf-8", "surrogatepass")


def _words(error: BaseException) -> bytes:
    words = type(error).__name__
    try:
        words += f": {error}"
    except Exception:  # the tool's exception class cannot make its text
        words += ": ?"
    return words[:LONGEST_ERROR].encode("utf-8", "surrogatepass")


def _take_pipes() -> tuple[int, int]:
    """Take our ends of the two pipes. A tool that prints or reads gets /dev/null instead."""
    inwards, outwards = os.dup(0), os.dup(1)
    null_device = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null_device, number)
    return inwards, outwards


def _load(address: str) -> Callable[..., Any]:
    """Import the function at `module:attribute`; a nested attribute is dotted."""
    module, _, attribute = address.partition(":")
    return attrgetter(attribute)(importlib.import_module(module))


def _homes(addresses: Iterable[str]) -> set[str]:
    """Return the folders of the functions' packages, or the file of a single module."""
    homes: set[str] = set()
    for package in {address.partition(":")[0].partition(".")[0] for address in addresses}:
        module = sys.modules[package]
        file = getattr(module, "__file__", None)
        homes.update(getattr(module, "__path__", None) or ([file] if file else []))
    return homes


def _read_frame(pipe: int, parent: int) -> tuple[int, bytes] | None:
    """Read number and content of the next frame. None if the parent is gone.

    The parent's death closes the pipe, unless a process that it forked still has the other end.
    """
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    while not poller.poll(ORPHAN):
        if os.getppid() != parent:
            return None
    head = _read_exactly(pipe, HEAD.size)
    if head is None:
        return None
    length, number = HEAD.unpack(head)
    content = _read_exactly(pipe, length)
    return None if content is None else (number, content)


def _read_exactly(pipe: int, length: int) -> bytes | None:
    chunks = []
    while length:
        chunk = os.read(pipe, length)
        if not chunk:
            return None
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def _write_frame(pipe: int, number: int, content: bytes) -> None:
    remainder = memoryview(HEAD.pack(len(content), number) + content)
    while remainder:
        remainder = remainder[os.write(pipe, remainder) :]


if __name__ == "__main__":
    main()
