"""The supported part of OpenAI's chat completions: requests and responses.

Unknown keys that change nothing (`user`, `metadata`, ...) are ignored. Unsupported keys that would
change the answer (`logprobs`, `response_format`, ...) are refused.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tinr.records import BadInput, Call
from tinr.serve.limits import ToolChoice

Finish = Literal["stop", "length", "tool_calls"]
MOST_CHOICES = 16  # replies to one request
MOST_STOPS = 4  # as in OpenAI's API
LONGEST_STOP = 256  # characters
MOST_MESSAGES = 1000
MOST_TOKENS = 131_072  # limit for a reply, whatever the size of the context
SUPPORTED_VALUES = {  # key -> its only supported values; it may also be absent
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
    "functions": ([],),
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
            raise ValueError(f"a part of type {self.type[:40]!r} is not supported; send text")
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
    """A tool that may be called, or that is chosen; only its name is read."""

    class Named(_Payload):
        name: str

    type: Literal["function"] = "function"
    function: Named


class AllowedTools(_Payload):
    """A choice among some of the tools."""

    class Choice(_Payload):
        mode: Literal["auto", "required"] = "auto"
        tools: list[Offered] = Field(min_length=1)

    type: Literal["allowed_tools"]
    allowed_tools: Choice


class StreamOptions(_Payload):
    """Options for the end of a stream."""

    include_usage: bool = False


Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class Request(_Payload):
    """A request for a completion; clients may send null for a default."""

    messages: list[RequestMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    model: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    seed: int | None = Field(None, ge=-(2**62), le=2**62)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Offered] | None = None
    tool_choice: Literal["auto", "none", "required"] | AllowedTools | Offered | None = None
    parallel_tool_calls: bool | None = None
    n: int | None = Field(None, gt=0, le=MOST_CHOICES)
    stop: list[Stop] | None = Field(None, max_length=MOST_STOPS)
    watch: bool | None = None  # our extension: the stream has the new text of every part

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return ([value] if value else []) if isinstance(value, str) else value

    @property
    def choice(self) -> ToolChoice:
        """Whether calls are optional, required or forbidden."""
        if isinstance(self.tool_choice, Offered):
            return "required"
        if isinstance(self.tool_choice, AllowedTools):
            return self.tool_choice.allowed_tools.mode
        return self.tool_choice or "auto"

    @property
    def chosen_tools(self) -> list[Offered] | None:
        """The tools that `tool_choice` names, else the offered ones; None: all."""
        if isinstance(self.tool_choice, Offered):
            return [self.tool_choice]
        if isinstance(self.tool_choice, AllowedTools):
            return self.tool_choice.allowed_tools.tools
        return self.tools

    @property
    def reply_tokens(self) -> int | None:
        """The token limit of the reply; None: not stated."""
        return self.max_completion_tokens or self.max_tokens


def read_request(body: bytes) -> Request:
    """Read the request in a body; BadInput if it is invalid or unsupported."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is not valid JSON ({error}); send a JSON object") from error
    if not isinstance(payload, dict):
        raise BadInput("the body is not a JSON object; send one with messages")
    for key, values in SUPPORTED_VALUES.items():
        if payload.get(key) is not None and payload[key] not in values:
            raise BadInput(f"{key}: {json.dumps(payload[key])[:80]} is not supported; remove it")
    try:
        return Request.model_validate(payload)
    except ValidationError as error:
        # content is text or parts: if a part is invalid, its own error is more specific
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        fault = next((one for one in errors if one["type"] == "value_error"), errors[0])
        location = ".".join(map(str, fault["loc"]))
        reason = fault["msg"].removeprefix("Value error, ").lower()
        advice = "" if ";" in reason else "; correct the request"
        raise BadInput(f"{location}: {reason}{advice}") from error


def new_id(kind: str) -> str:
    """Return an id that nobody can guess."""
    return f"{kind}-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Choice:
    """One of the replies to a request. details: the content of our key `tinr`."""

    message: Mapping[str, Any]
    finish: Finish
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What all parts of a response share."""

    model: str
    id: str = field(default_factory=lambda: new_id("chatcmpl"))
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Choice], usage: Mapping[str, int]) -> dict[str, Any]:
        """Return a whole response; `tinr` has the details of the first choice."""
        return self._envelope("chat.completion") | {
            "choices": [
                {
                    "index": index,
                    "message": dict(choice.message),
                    "finish_reason": choice.finish,
                    "logprobs": None,
                    "tinr": dict(choice.details),
                }
                for index, choice in enumerate(choices)
            ],
            "usage": dict(usage),
            "tinr": dict(choices[0].details),
        }

    def chunk(self, index: int, delta: Mapping[str, Any], **more: Any) -> str:
        """Return a stream event with the new text of a choice."""
        finish = more.pop("finish_reason", None)
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
        return event(self._envelope("chat.completion.chunk") | {"choices": [choice], **more})

    def last_chunks(self, index: int, choice: Choice) -> Iterator[str]:
        """Yield the events at the end of a choice: its calls, why it ended, its details."""
        calls = choice.message.get("tool_calls") or ()
        if calls:
            numbered = [{"index": number, **call} for number, call in enumerate(calls)]
            yield self.chunk(index, {"tool_calls": numbered})
        yield self.chunk(index, {}, finish_reason=choice.finish, tinr=dict(choice.details))

    def usage_chunk(self, usage: Mapping[str, int]) -> str:
        """Return the event with the tokens of prompt and replies."""
        more = {"choices": [], "usage": dict(usage)}
        return event(self._envelope("chat.completion.chunk") | more)

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


END = "data: [DONE]\n\n"  # of a stream


def event(value: Mapping[str, Any]) -> str:
    """Return a stream event in ASCII: some clients also break lines at U+2028."""
    return f"data: {json.dumps(value)}\n\n"


def usage_of(prompt: int, written: int) -> dict[str, int]:
    """Return the numbers of tokens of the prompt, and of all replies to it."""
    total = prompt + written
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": total}


def called(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Return calls in the form of the API."""
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
    """Return an error in the form of the API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
