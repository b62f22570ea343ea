"""Tools that the server runs itself."""

import threading
from collections.abc import Sequence
from typing import Any

from serve_parts import (
    ANSWER,
    AREA,
    ASKED,
    CALLING,
    MODEL,
    THOUGHT,
    Script,
    ask,
    job,
    joined,
    refused,
    streamed,
)

from tinr.chat.codec import Piece
from tinr.chat.render import (
    as_text,
    render_calls,
    render_names,
)
from tinr.records import BadInput, Call
from tinr.rollout.tools.executor import Executor
from tinr.serve.batcher import Batcher

MORE = Call("length_convert", {"length": 1, "source": "foot", "target": "metre"})


class Tools(Executor):
    """Runs some tools and remembers what ran; a session of its own for each conversation."""

    def __init__(self, catalogue: Any, *names: str, before: Any = None):
        super().__init__(catalogue, dict.fromkeys(names))
        object.__setattr__(self, "ran", [])
        object.__setattr__(self, "ended", threading.Event())
        object.__setattr__(self, "before", before or (lambda: None))

    def run(self, call: Call) -> str:
        self.before()  # type: ignore[attr-defined]
        self.ran.append(call.name)  # type: ignore[attr-defined]
        return f"result {len(self.ran)}"  # type: ignore[attr-defined]

    def end(self) -> None:
        self.ended.set()  # type: ignore[attr-defined]


def two_turns(prompt: str) -> Sequence[Piece]:
    return (CALLING, render_calls([MORE]), ANSWER)[min(2, prompt.count("<obs>"))]


def test_the_server_runs_the_calls_and_answers_when_they_are_done(served, codec, catalogue):
    tools = Tools(catalogue, "circle_area", "length_convert")
    client, script = served(two_turns, executor=tools)
    whole = ask(client, ASKED)
    (choice,) = whole["choices"]
    assert choice["message"]["content"] == "It is 12.57." and choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"] and whole["tinr"]["problems"] == []
    assert tools.ran == ["circle_area", "length_convert"] and tools.ended.wait(5)
    assert "<obs>result 1</obs>" in whole["tinr"]["text"]
    written = sum(len(codec.encode(p)[0]) for p in (CALLING, render_calls([MORE]), ANSWER))
    assert whole["usage"]["completion_tokens"] == written  # not what the tools said
    heard = [as_text(codec.decode(prompt)) for prompt in script.prompts]
    assert "result 2" in heard[2] and heard[2].startswith(heard[1])


def test_results_are_told_to_a_watcher_as_they_come(served, catalogue):
    client, _ = served(two_turns, executor=Tools(catalogue, "circle_area", "length_convert"))
    events = streamed(client, ASKED, watch=True)
    seen = [event["tinr"] for event in events if "part" in event.get("tinr", {})]
    assert "".join(one["text"] for one in seen if one["part"] == "obs") == "result 1\nresult 2"
    assert joined(events, "content") == "It is 12.57."


def test_other_replies_go_on_while_a_tool_runs(codec, catalogue):
    """A slow tool's row is free for others meanwhile."""
    go, begun = threading.Event(), threading.Event()
    tools = Tools(catalogue, "circle_area", before=lambda: (begun.set(), go.wait(10)))
    script = Script(codec, lambda prompt: CALLING if "slow" in prompt else ANSWER)
    script.writes = lambda p: ANSWER if "<obs>" in p or "slow" not in p else CALLING
    batcher = Batcher(MODEL, codec, catalogue, decoder=script, executor=tools, rows=1)
    slow = batcher.ask(job(codec, text="slow"))
    assert begun.wait(10)
    assert batcher.ask(job(codec)).result(10).conversation.reply.response == "It is 12.57."
    assert not slow.done()
    go.set()
    assert slow.result(10).conversation.reply.response == "It is 12.57."
    batcher.close()


def test_whoever_runs_one_call_of_a_turn_runs_all(served, catalogue):
    """Else one tool would run twice: here, and at the client that gets both calls."""
    both = [AREA, Call("city.find", {"name": "Ulm"})]
    opened = [*THOUGHT, *render_names(["circle_area", "city.find"]), *render_calls(both)]
    tools = Tools(catalogue, "circle_area")
    client, _ = served(lambda prompt: opened, executor=tools)
    (choice,) = ask(client, ASKED)["choices"]
    assert len(choice["message"]["tool_calls"]) == 2 and choice["finish_reason"] == "tool_calls"
    assert tools.ran == []


def test_a_stray_end_of_a_call_runs_nothing_again(served, catalogue):
    stray = [Piece("</tool_call>", token=True)]
    tools = Tools(catalogue, "circle_area")
    client, _ = served(lambda prompt: stray if "<obs>" in prompt else CALLING, executor=tools)
    (choice,) = ask(client, ASKED)["choices"]
    assert tools.ran == ["circle_area"] and "tool_calls" not in choice["message"]


def test_more_turns_than_the_server_runs_are_no_calls_of_the_client(served, catalogue):
    tools = Tools(catalogue, "circle_area")
    client, _ = served(
        lambda prompt: render_calls([AREA]) if "<obs>" in prompt else CALLING, executor=tools
    )
    whole = ask(client, ASKED)
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == "length" and "tool_calls" not in choice["message"]
    assert len(tools.ran) == 4 and "more turns of calls" in whole["tinr"]["problems"][-1]


def test_a_tool_that_breaks_the_server_fails_one_reply(served, codec, catalogue):
    def broken() -> None:
        raise BadInput("the tools cannot be loaded")

    tools = Tools(catalogue, "circle_area", before=broken)
    client, _ = served(executor=tools)
    refused(client, {"messages": [ASKED]}, 500)  # no fault of the request
    assert tools.ended.wait(5) and client.get("/health").status_code == 200


def test_what_is_recalled_for_the_page_runs_nothing(served, catalogue):
    """Though the model calls where it should recite."""
    tools = Tools(catalogue, "circle_area")
    client, _ = served(lambda prompt: CALLING, executor=tools)
    answer = client.get("/v1/tools/circle_area").json()
    assert answer["document"].startswith("Area") and "<tool_call>" in answer["recalled"]
    assert tools.ran == []
    assert client.get("/v1/tools/nosuch").status_code == 404
    assert client.get("/v1/tools?model=nosuch").status_code == 404
    assert len(client.get("/v1/tools").json()["data"]) == 3
