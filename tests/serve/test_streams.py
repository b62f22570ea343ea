"""Replies in parts, and the limits that a request sets: stops, choice of tools."""

import asyncio
import json
import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from serve_parts import (
    ANSWER,
    ASKED,
    CALLING,
    MODEL,
    Script,
    ask,
    circle,
    job,
    joined,
    refused,
    streamed,
)

from tinr.rollout.sampling_support import unpack
from tinr.serve.batcher import Batcher
from tinr.serve.limits import ChoiceLimit
from tinr.serve.schema import read_request


def test_a_stream_says_the_same_in_parts(served):
    client, _ = served()
    events = streamed(client, ASKED, stream_options={"include_usage": True})
    assert len({event["id"] for event in events}) == 1
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    assert deltas[0] == {"role": "assistant"} and deltas[-1] == {}
    assert joined(events, "reasoning_content") == "<<circle_area>> gives it"
    assert sum("reasoning_content" in delta for delta in deltas) > 2  # as it is written
    (call,) = next(delta["tool_calls"] for delta in deltas if "tool_calls" in delta)
    assert call["index"] == 0 and call["function"]["name"] == "circle_area"
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert events[-1]["usage"]["total_tokens"] > 0 and events[-1]["choices"] == []


def test_parts_come_while_the_reply_is_written(served):
    """The first ones before the model has written the last ones."""
    client, script = served(lambda prompt: ANSWER)
    go, step = threading.Event(), script.step

    def held(ids: Sequence[int]) -> torch.Tensor:
        if not go.is_set() and len(script.rows[0][1]) == 2:
            assert go.wait(10)
        return step(ids)

    script.step = held  # type: ignore[method-assign]
    body = {"messages": [ASKED], "stream": True}
    loop = asyncio.new_event_loop()
    service = client.app.state.services[0]  # type: ignore[attr-defined]

    async def read() -> list[str]:
        replies = await service.ask(read_request(json.dumps(body).encode()))
        parts = []
        async for text in replies.events():
            parts.append(text)
            if "content" in text:
                go.set()
        return parts

    parts = loop.run_until_complete(read())
    assert go.is_set() and parts[-1] == "data: [DONE]\n\n"


def test_several_replies_to_one_request(served):
    client, script = served(lambda prompt: ANSWER)
    whole = ask(client, ASKED, n=3, seed=7, temperature=1.0)
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in whole["choices"]} == {"It is 12.57."}
    assert [job.seed for job in script.jobs] == [7, 8, 9]
    assert whole["usage"]["completion_tokens"] == 3 * len(script.codec.encode(ANSWER)[0])
    events = streamed(client, ASKED, n=2)
    assert all(joined(events, "content", index) == "It is 12.57." for index in (0, 1))


@pytest.mark.parametrize(
    ("stop", "content"),
    [("12", "It is"), (["x", "is 1"], "It"), ("It", ""), ("57.0", "It is 12.57."), (" ", "It")],
)
def test_an_answer_ends_before_a_stop(served, stop, content):
    client, _ = served(lambda prompt: ANSWER)
    (choice,) = ask(client, ASKED, stop=stop)["choices"]
    assert choice["message"]["content"] == content and choice["finish_reason"] == "stop"
    assert joined(streamed(client, ASKED, stop=stop), "content") == content


def test_a_choice_of_tool_is_kept(served, codec):
    client, script = served()
    one = {"type": "function", "function": {"name": "circle_area"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [one]}}
    for choice in ("required", one, allowed, "auto", None):
        whole = ask(client, ASKED, tool_choice=choice, parallel_tool_calls=False)
        assert whole["choices"][0]["finish_reason"] == "tool_calls"
    refused(client, {"messages": [ASKED], "tool_choice": "none"}, 500)  # away from the script
    assert script.strayed is not None and script.strayed not in codec.tool_ids.values()
    client, script = served(lambda prompt: ANSWER)
    refused(client, {"messages": [ASKED], "tool_choice": "required"}, 500)
    assert script.strayed != codec.id("<response>")


def test_required_begins_with_an_offered_tool_and_ends_with_a_call(codec):
    limit = ChoiceLimit(codec, "required", ["city.find"])
    entries = len(codec.tokenizer)

    def allowed(last: str) -> set[int]:
        free = torch.ones(entries, dtype=torch.bool)
        limit.narrow(codec.id(last), free)
        return {*free.nonzero().flatten().tolist()}

    assert allowed("<think>") == {codec.id("<<city.find>>")}
    ends = {codec.id("<response>"), codec.id(codec.frame.close)}
    assert not ends & allowed("</think>") and not ends & allowed("<<city.find>>")
    assert ends <= allowed("<tool_call>") and ends <= allowed("</tool_call>")


def test_one_call_of_several_is_a_whole_turn(codec, catalogue):
    """`parallel_tool_calls: false`: the grammar knows no list of calls."""
    batcher = Batcher(MODEL, codec, catalogue, decoder=Script(codec, circle))
    constraint = batcher._constraint(job(codec, one_call=True))
    batcher.close()
    assert constraint is not None
    ids = codec.encode(CALLING)[0]
    opening = codec.encode_plain("[")
    until = ids.index(codec.id("<tool_call>")) + 1
    for index in ids[:until]:
        constraint.feed(np.zeros(1, np.int64), np.array([index]))
    sets = constraint.allowed(np.zeros(1, np.int64))
    assert sets is not None
    free = unpack(torch.from_numpy(sets[1]), len(codec.tokenizer))[0]
    assert not free[opening[0]] and free[ids[until]]


def test_a_watcher_is_told_of_every_part_and_of_tools_that_were_close(served):
    client, _ = served()
    events = streamed(client, ASKED, watch=True)
    seen = [event["tinr"] for event in events if "part" in event.get("tinr", {})]
    parts = dict.fromkeys(one["part"] for one in seen)
    assert list(parts) == ["think", "tool_token", "tool_call"]
    assert [one["text"].strip() for one in seen if one["is_tool"]][:1] == ["<<circle_area>>"]
    (near,) = events[-1]["tinr"]["near"]
    assert near[0]["name"] == "circle_area" and near[0]["probability"] > 0.99
    assert len(near) == 3 and sum(one["probability"] for one in near) <= 1.0
