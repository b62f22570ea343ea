"""The supported part of OpenAI's chat completions: requests and responses.

Unknown keys that change nothing (`user`, `metadata`, ...) are ignored. Unsupported keys that would
change the answer (`n` above 1, `stop`, `logprobs`, a choice of tool) are refused.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tinr.records import BadInput, Call

Finish = Literal["stop", "length", "tool_calls"]
MOST_TOKENS = 131_072  # limit for a reply, whatever the size of the context
SUPPORTED_VALUES = {  # key -> its only supported values; it may also be absent
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


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(_Payload):
    """A part of a message; only text is supported."""

    type: str
    text: str = ""

    @model_validator(mode="after")
    def _is_text(self) -> "Part":
        if self.type != "text":
            raise ValueError(f"a part of type {self.type[:40]!r} cannot be read; send text")
        return self


class Function(_Payload):
    """A called function: its name, and its arguments as the text of a JSON object."""

    name: str
    arguments: str = "{}"

    @field_validator("arguments", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "{}" if value in (None, "") else value


class Called(_Payload):
    """A call of an earlier reply."""

    id: str | None = None
    function: Function


class RequestMessage(_Payload):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, with its parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Offered(_Payload):
    """A tool that may be called; only the name in its document is read."""

    class Named(_Payload):
        name: str

    function: Named


class StreamOptions(_Payload):
    """Options for the end of a stream."""

    include_usage: bool = False


class Request(_Payload):
    """A request for a completion; clients may send null for a default."""

    messages: list[RequestMessage] = Field(min_length=1)
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
    def reply_tokens(self) -> int | None:
        """The most tokens of the reply; None: not stated."""
        return self.max_completion_tokens or self.max_tokens


def read_request(body: bytes) -> Request:
    """Read the request in a body; BadInput if it is invalid or unsupported."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is no JSON ({error}); send a JSON object") from error
    if not isinstance(payload, dict):
        raise BadInput("the body is no JSON object; send one with messages")
    for key, values in SUPPORTED_VALUES.items():
        if payload.get(key) is not None and payload[key] not in values:
            raise BadInput(
                f"{key}: {json.dumps(payload[key])[:80]} cannot be had here; leave it out"
            )
    try:
        return Request.model_validate(payload)
    except ValidationError as error:
        # content is a text or parts: where a part is at fault, its own error says more
        faults = [fault for fault in error.errors() if fault["type"] == "value_error"]
        fault = (faults or error.errors())[0]
        location = ".".join(map(str, fault["loc"]))
        reason = fault["msg"].removeprefix("Value error, ").lower()
        advice = "" if ";" in reason else "; correct the request"
        raise BadInput(f"{location}: {reason}{advice}") from error


def new_id(kind: str) -> str:
    """An id that nobody can guess."""
    return f"{kind}-{uuid.uuid4().hex}"


def completion(
    model: str,
    message: Mapping[str, Any],
    finish: Finish,
    usage: tuple[int, int],
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """A whole response. usage: tokens of prompt and reply; details: the content of key `tinr`."""
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
        "tinr": dict(details),
    }


def chunks(response: Mapping[str, Any], with_usage: bool) -> Iterator[str]:
    """A whole response as events of a stream: role, thought, text or calls, the end, usage."""
    choice = response["choices"][0]
    message = dict(choice["message"])
    message["tool_calls"] = [
        {"index": index, **call} for index, call in enumerate(message.get("tool_calls") or ())
    ]
    deltas: list[dict[str, Any]] = [{"role": message.pop("role")}]
    deltas += [{key: value} for key, value in message.items() if value]
    common = {key: response[key] for key in ("id", "created", "model")}
    common["object"] = "chat.completion.chunk"
    for delta in deltas:
        yield _event(common | {"choices": [_choice(delta, None)]})
    final = common | {"choices": [_choice({}, choice["finish_reason"])], "tinr": response["tinr"]}
    yield _event(final)
    if with_usage:
        yield _event(common | {"choices": [], "usage": response["usage"]})
    yield "data: [DONE]\n\n"


def _choice(delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"  # ASCII: some clients break lines at U+2028 too


def called(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Calls in the form of the API."""
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


def failure(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict:
    """An error in the form of the API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
