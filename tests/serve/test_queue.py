"""Many clients at once: rows, queue, faults, and the end of the server."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from serve_parts import (
    ADDRESS,
    ANSWER,
    ASKED,
    MODEL,
    Script,
    job,
    refused,
)
from starlette.testclient import TestClient

import tinr.serve.batcher
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec, Piece
from tinr.serve.app import make_app
from tinr.serve.batcher import Batcher, Busy, Ended
from tinr.serve.conversation import (
    Reader,
)
from tinr.serve.service import CompletionService


def held_batcher(
    codec: Codec, catalogue: Any, **more: Any
) -> tuple[Batcher, Script, threading.Event]:
    """A batcher whose first batch waits for the event."""
    go, started = threading.Event(), threading.Event()

    def writes(prompt: str) -> Sequence[Piece]:
        started.set()
        go.wait(10)
        return ANSWER

    script = Script(codec, writes)
    batcher = Batcher(MODEL, codec, catalogue, decoder=script, **more)
    batcher.first = batcher.ask(job(codec))  # type: ignore[attr-defined]
    assert started.wait(10)
    return batcher, script, go


def test_a_fault_while_rows_join_or_are_written_ends_these_alone(codec, catalogue):
    script = Script(codec, lambda prompt: ANSWER)
    batcher = Batcher(MODEL, codec, catalogue, decoder=script)
    join, broken = script.join, [True]

    def joins(prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        if broken and broken.pop():
            raise MemoryError("no room")
        return join(prompts)

    script.join = joins  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        batcher.ask(job(codec)).result(10)
    batcher._constraint = lambda job: 1 / 0  # type: ignore[assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        batcher.ask(job(codec)).result(10)
    del batcher._constraint
    assert batcher.ask(job(codec)).result(10)
    assert batcher._open_jobs == 0
    batcher.close()


def test_a_long_prompt_stops_nobody(codec, catalogue, monkeypatch):
    """It is read in a million parts: others are written meanwhile, and come in behind it."""
    monkeypatch.setattr(tinr.serve.batcher, "MOST_JOINING", 100)  # it shares its parts with nobody
    script = Script(codec, lambda prompt: ANSWER)
    long = replace(job(codec), prompt=job(codec).prompt * 3)
    script.parts = lambda prompts: 10**6 if tuple(prompts[0]) == long.prompt else 2
    batcher = Batcher(MODEL, codec, catalogue, decoder=script)
    slow = batcher.ask(long)
    for _ in range(3):
        assert batcher.ask(job(codec)).result(10)
    assert not slow.done() and script.steps > 10
    assert slow.cancel()
    assert batcher.ask(job(codec)).result(10)
    batcher.close()  # does not read it to its end
    assert batcher._open_jobs == 0 and not batcher._joining


def test_what_nobody_waits_for_leaves_the_queue_at_once(codec, catalogue):
    batcher, script, go = held_batcher(codec, catalogue, rows=1)
    waiting = [batcher.ask(job(codec)) for _ in range(5)]
    assert all(one.cancel() for one in waiting)
    go.set()
    assert batcher.first.result(10)  # type: ignore[attr-defined]
    batcher.close()
    assert not batcher._waiting and script.joined == [1]


def test_who_waits_joins_when_a_row_is_free(codec, catalogue):
    """Whatever their settings are: replies with other limits and temperatures run side by side."""
    batcher, script, go = held_batcher(codec, catalogue, rows=3)
    asked = [batcher.ask(job(codec, temperature=t, seed=1)) for t in (0, 0, 1, 1, 0, 0.5)]
    go.set()
    assert all(one.result(10).conversation.reply.response == "It is 12.57." for one in asked)
    batcher.close()
    assert script.joined[:2] == [1, 2] and sum(script.joined) == 7 and max(script.joined) <= 3


def test_too_many_who_wait_are_told_so(codec, catalogue):
    """However many of them the batcher has taken up already."""
    batcher, script, go = held_batcher(codec, catalogue, most=4, rows=1)
    waiting = [batcher.ask(job(codec)) for _ in range(3)]
    with pytest.raises(Busy, match="4 requests are open already"):
        batcher.ask(job(codec))
    assert waiting[0].cancel()  # nobody waits for it any more: another may come
    waiting.append(batcher.ask(job(codec)))
    go.set()
    assert all(one.result(10) for one in waiting[1:])
    assert all(batcher.ask(job(codec)).result(10) for _ in range(5))  # one after the other
    batcher.close()
    assert script.joined == [1] * (1 + 3 + 5)  # the cancelled one was not written
    with pytest.raises(Ended, match="shutting down"):
        batcher.ask(job(codec))


def test_a_client_that_has_gone_is_not_written_for(codec, catalogue):
    """Neither one whose turn has not come, nor one whose reply is being written."""
    batcher, script, go = held_batcher(codec, catalogue)
    reader = Reader(codec, Library(catalogue, DocumentsConfig()), "none")
    app = make_app([CompletionService(["grpo-1"], reader, batcher)])
    body = json.dumps({"messages": [ASKED]}).encode()
    events = iter([{"type": "http.request", "body": body}])
    sent: list[dict[str, Any]] = []

    async def receive():
        for event in events:
            return event
        while not batcher._arrivals.qsize():  # it waits there, and then its client is gone
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": ADDRESS, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499
    batcher.first.cancel()  # type: ignore[attr-defined]
    go.set()
    batcher.close()
    assert script.joined == [1]
    assert len(script.left) == 1 and len(script.left[0][1]) > 1  # much of it was never written


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_any_kind_is_told_and_a_desk_that_has_ended_says_so(codec, catalogue):
    class Panic(BaseException):
        """As those of Rust's extensions: no Exception."""

    def writes(prompt: str) -> Sequence[Piece]:
        raise Panic

    batcher = Batcher(MODEL, codec, catalogue, decoder=Script(codec, writes))
    for _ in range(2):
        with pytest.raises(Panic):
            batcher.ask(job(codec)).result(10)
    reader = Reader(codec, Library(catalogue, DocumentsConfig()), "none")
    client = TestClient(
        make_app([CompletionService(["m"], reader, batcher)]), raise_server_exceptions=False
    )
    assert client.get("/health").status_code == 200
    batcher.close()
    assert client.get("/health").json()["status"] == "ended"
    assert "shutting down" in refused(client, {"messages": [ASKED]}, 503)


def test_a_closed_desk_has_answered_what_waited(codec, catalogue):
    batcher, _, go = held_batcher(codec, catalogue)
    waiting = batcher.ask(job(codec))
    go.set()
    batcher.close()
    assert waiting.done() and waiting.result().conversation.reply.response == "It is 12.57."
