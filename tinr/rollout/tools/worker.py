"""The program of the process in which tools run; `tinr.rollout.tools.process` starts it and speaks
to it.

A clean interpreter, no fork: it imports no torch. It is told once which functions to load and what
they may have, shuts itself in (`tinr.rollout.tools.sandbox`), and answers calls until its pipe
closes. A frame of either direction is a length and the call's number (HEAD) and that many bytes:
JSON inwards; outwards one of the letters below and text. Nothing is pickled.
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
NO_MEMORY = 77  # exit code: memory ran out, and with it the means to say so
ORPHAN = 1000  # milliseconds between looks whether the parent lives
LONGEST_ERROR = 200  # characters of an exception's words

Functions = Mapping[str, Callable[..., Any]]


def main() -> None:
    """Set up as told, say READY or why not, and serve."""
    parent = os.getppid()
    inwards, outwards = _take_pipes()
    first = _read_frame(inwards, parent)
    if first is None:
        return
    told = json.loads(first[1])
    try:
        keep_databases_apart()
        functions = {name: _load(where) for name, where in told["functions"].items()}
        readable = [*told["readable"], *_homes(told["functions"].values())]
        shut_in(readable, told["memory"], told["network"])
    except Exception as error:  # a user's module may raise anything
        _write_frame(outwards, 0, RAISED + _words(error))
        return
    _write_frame(outwards, 0, READY)
    while (request := _read_frame(inwards, parent)) is not None:
        number, content = request
        arm(told["seconds"])
        answer = _answer(functions, content, told["output"])
        disarm()
        _write_frame(outwards, number, answer)


def _answer(functions: Functions, content: bytes, most: int) -> bytes:
    try:
        name, arguments = json.loads(content)
        result = functions[name](**arguments)
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    except MemoryError:
        os._exit(NO_MEMORY)
    except BaseException as error:  # SystemExit too: whatever a tool raises is its answer
        return RAISED + _words(error)
    return TOO_LONG if len(text) > most else RESULT + text.encode("utf-8", "surrogatepass")


def _words(error: BaseException) -> bytes:
    words = type(error).__name__
    try:
        words += f": {error}"
    except Exception:  # one of the tool's own, that cannot be shown
        words += ": ?"
    return words[:LONGEST_ERROR].encode("utf-8", "surrogatepass")


def _take_pipes() -> tuple[int, int]:
    """Our ends of the two pipes; a tool that prints or reads meets /dev/null in their place."""
    inwards, outwards = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return inwards, outwards


def _load(where: str) -> Callable[..., Any]:
    """The function at `module:attribute`; the attribute is dotted where it lies deeper."""
    module, _, attribute = where.partition(":")
    return attrgetter(attribute)(importlib.import_module(module))


def _homes(places: Iterable[str]) -> set[str]:
    """The folders of the packages that functions come from, or a lone module's file."""
    homes: set[str] = set()
    for package in {where.partition(":")[0].partition(".")[0] for where in places}:
        module = sys.modules[package]
        file = getattr(module, "__file__", None)
        homes.update(getattr(module, "__path__", None) or ([file] if file else []))
    return homes


def _read_frame(pipe: int, parent: int) -> tuple[int, bytes] | None:
    """Number and content of the next frame; None where the parent is gone.

    Its death closes the pipe, unless a process that it forked still holds the other end.
    """
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while not waiting.poll(ORPHAN):
        if os.getppid() != parent:
            return None
    head = _exactly(pipe, HEAD.size)
    if head is None:
        return None
    length, number = HEAD.unpack(head)
    content = _exactly(pipe, length)
    return None if content is None else (number, content)


def _exactly(pipe: int, length: int) -> bytes | None:
    parts = []
    while length:
        part = os.read(pipe, length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write_frame(pipe: int, number: int, content: bytes) -> None:
    rest = memoryview(HEAD.pack(len(content), number) + content)
    while rest:
        rest = rest[os.write(pipe, rest) :]


if __name__ == "__main__":
    main()
