"""A server whose model is a script; everything around it is real."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tinr.chat.codec import Codec, Piece
from tinr.chat.render import (
    as_text,
    render_calls,
    render_names,
    render_prompt,
    render_response,
    render_thought,
)
from tinr.records import Call, Query
from tinr.serve.app import bind
from tinr.serve.draft import Job

ADDRESS = "/v1/chat/completions"
AREA = Call("circle_area", {"radius": 2})
ASKED = {"role": "user", "content": "Area of a circle of radius 2?"}
THOUGHT = render_thought([Piece("<<circle_area>>", token=True), " gives it"])
CALLING = [*THOUGHT, *render_names(["circle_area"]), *render_calls([AREA])]
ANSWER = render_response("It is 12.57.")
MODEL: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=1024))
Writes = Callable[[str], Sequence[Piece]]  # text of the prompt, reply so far included -> what next


def circle(prompt: str) -> Sequence[Piece]:
    """Calls, and answers once there is a result."""
    return ANSWER if "<obs>" in prompt else CALLING


class Script:
    """In the decoder's place: the next id is the one that `writes` says of each prompt."""

    def __init__(self, codec: Codec, writes: Writes):
        self.codec, self.writes = codec, writes
        self.prompts: list[tuple[int, ...]] = []
        self.joined: list[int] = []  # rows that joined at once
        self.jobs: list[Job] = []
        self.rows: list[tuple[list[int], list[int]]] = []  # read so far, what follows
        self.left: list[tuple[list[int], list[int]]] = []
        self.parts: Callable[[Sequence[Sequence[int]]], int] = lambda prompts: 1
        self.steps = 0
        self.strayed: int | None = None  # what was written in place of the script's id

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def join(self, prompts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor | None]:
        for _ in range(self.parts(prompts) - 1):
            yield None
        self.joined.append(len(prompts))
        for prompt in prompts:
            going = [follow for ids, follow in self.left if follow and ids == [*prompt][: len(ids)]]
            if not going:
                self.prompts.append(tuple(prompt))
                text = as_text(self.codec.decode(prompt))
                going = [self.codec.encode(self.writes(text))[0]]
            self.rows.append(([*prompt], going[0]))
        yield self.logits()[-len(prompts) :]

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        self.steps += 1
        for (read, follow), index in zip(self.rows, ids, strict=True):
            if follow.pop(0) != index:
                self.strayed = index
                raise RuntimeError("a limit led away from the script")
            read.append(index)
        return self.logits()

    def keep(self, places: Sequence[int]) -> None:
        dropped = [row for place, row in enumerate(self.rows) if place not in places]
        self.left = [([*read, *follow[:1]], follow[1:]) for read, follow in dropped]
        self.rows = [self.rows[place] for place in places]

    def logits(self) -> torch.Tensor:
        logits = torch.zeros(len(self.rows), len(self.codec.tokenizer))
        for place, (_, follow) in enumerate(self.rows):
            follow += [] if follow else [self.codec.id(self.codec.frame.close)]
            logits[place, follow[0]] = 50.0
        return logits


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Serve an app over HTTP in a thread, at the address that is yielded."""
    with bind("127.0.0.1", 0) as place:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{place.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def ask(client: TestClient, *messages: dict, **more: Any) -> dict[str, Any]:
    answer = client.post(ADDRESS, json={"messages": list(messages), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, body: Any, status: int = 400) -> str:
    answer = client.post(ADDRESS, content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == status, answer.text
    said = answer.json()["error"]["message"]
    assert said and "\n" not in said
    return said


def streamed(client: TestClient, *messages: dict, **more: Any) -> list[dict[str, Any]]:
    body = {"messages": list(messages), "stream": True, **more}
    with client.stream("POST", ADDRESS, json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def joined(events: Sequence[dict[str, Any]], name: str, index: int = 0) -> str:
    choices = [choice for event in events for choice in event["choices"]]
    return "".join(c["delta"].get(name, "") for c in choices if c["index"] == index)


# -- many who ask ---------------------------------------------------------------------


def job(codec: Codec, text: str = "hi", **more: Any) -> Job:
    prompt = codec.encode(render_prompt(text, codec.frame))[0]
    return Job(Query("q", text), tuple(prompt), 128, **more)
