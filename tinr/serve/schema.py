"""What clients send and get: the part of OpenAI's chat completions that is understood here.

Keys that are not understood but change nothing (`user`, `metadata`, ...) are passed over; what
would change the answer and cannot be had (`n` above 1, `stop`, `logprobs`, a choice of tool) is
refused.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinr.records import BadInput, Call

Finish = Literal["stop", "length", "tool_calls"]
MOST_TOKENS = 131_072  # of a reply, whatever the context has room for
UNHAD = {  # key -> the only values of it that can be had, beside none at all
    "n": (1,),
    "stop": ([], ""),
    "logprobs": (False,),
    "tool_choice": ("auto",),
    "response_format": ({"type": "text"},),
    "functions": ([],),
    "parallel_tool_calls": (True,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
}


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(_Sent):
    """A part of a message; only text is understood."""

    type: Literal["text"]
    text: str


class Function(_Sent):
    """What an assistant called: a name, and its arguments as the text of a JSON object."""

    name: str
    arguments: str = "{}"


class Called(_Sent):
    """A call of an earlier reply."""

    id: str | None = None
    function: Function


class Said(_Sent):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its text, parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Offered(_Sent):
    """A tool that may be called; of its document only the name is read."""

    class Named(_Sent):
        name: str

    function: Named


class StreamOptions(_Sent):
    """How a stream ends."""

    include_usage: bool = False


class Request(_Sent):
    """A request for a completion; None where a client spells a default out."""

    messages: list[Said] = Field(min_length=1)
    model: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    seed: int | None = Field(None, ge=-(2**62), le=2**62)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Offered] | None = None

    @property
    def longest(self) -> int | None:
        """Tokens that the reply may have; None: not said."""
        return self.max_completion_tokens or self.max_tokens


def read_request(body: bytes) -> Request:
    """The request in a body; BadInput for what is none, and for what cannot be had."""
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is no JSON ({error}); send a JSON object") from error
    if not isinstance(sent, dict):
        raise BadInput("the body is no JSON object; send one with messages")
    for key, had in UNHAD.items():
        if sent.get(key) is not None and sent[key] not in had:
            raise BadInput(f"{key}: {json.dumps(sent[key])[:80]} cannot be had here; leave it out")
    try:
        return Request.model_validate(sent)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(f"{place}: {first['msg'].lower()}; correct the request") from error


def new_id(kind: str) -> str:
    """An id that nobody can guess."""
    return f"{kind}-{uuid.uuid4().hex}"


def completion(
    model: str,
    message: Mapping[str, Any],
    finish: Finish,
    usage: tuple[int, int],
    seen: Mapping[str, Any],
) -> dict[str, Any]:
    """A whole answer. usage: tokens of prompt and reply; seen: what stands under `tinr`."""
    return {
        "id": new_id("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "message": dict(message), "finish_reason": finish, "logprobs": None}
        ],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
        },
        "tinr": dict(seen),
    }


def chunks(whole: Mapping[str, Any], with_usage: bool) -> Iterator[str]:
    """The same answer as events of a stream: role, thought, text or calls, the end, usage."""
    choice = whole["choices"][0]
    message = dict(choice["message"])
    message["tool_calls"] = [
        {"index": place, **call} for place, call in enumerate(message.get("tool_calls") or ())
    ]
    deltas: list[dict[str, Any]] = [{"role": message.pop("role")}]
    deltas += [{key: value} for key, value in message.items() if value]
    same = {key: whole[key] for key in ("id", "created", "model")}
    same["object"] = "chat.completion.chunk"
    for delta in deltas:
        yield _event(same | {"choices": [_choice(delta, None)]})
    last = same | {"choices": [_choice({}, choice["finish_reason"])], "tinr": whole["tinr"]}
    yield _event(last)
    if with_usage:
        yield _event(same | {"choices": [], "usage": whole["usage"]})
    yield "data: [DONE]\n\n"


def _choice(delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"  # ASCII: some clients break lines at U+2028 too


def called(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Calls as a client reads them."""
    return [
        {
            "id": new_id("call"),
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
            },
        }
        for call in calls
    ]


def failure(said: str, kind: str = "invalid_request_error", code: str | None = None) -> dict:
    """An error as clients read it."""
    return {"error": {"message": said, "type": kind, "param": None, "code": code}}
