"""Chat completions from any OpenAI-compatible endpoint, through the `openai` package.

It sends many requests at once, up to a limit and at a limited rate. It retries failed and
interrupted requests with growing pauses. It counts requests and tokens.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.config import Count, Formerly, Positive, Weight, Whole
from tinr.records import BadInput

Conversation = list[dict[str, str]]  # messages of a role and a content


@dataclass(frozen=True)
class EndpointConfig:
    """Which endpoint to ask, and how fast."""

    endpoint: Annotated[str, Doc("base URL, such as http://localhost:8000/v1")] = ""
    model: str = ""
    key: Annotated[str, Doc("environment variable that holds the API key")] = "OPENAI_API_KEY"
    in_flight: Annotated[Count, Doc("maximum number of concurrent requests")] = 8
    per_minute: Annotated[Whole, Doc("maximum requests started per minute; 0: no limit")] = 0
    attempts: Annotated[Count, Doc("per request, with growing pauses")] = 5
    pause: Annotated[Positive, Doc("seconds before the second attempt; doubled each time")] = 1.0
    timeout: Annotated[Positive, Doc("seconds per request")] = 120.0
    temperature: Weight = 1.0
    max_tokens: Annotated[Count, Formerly("longest"), Doc("maximum tokens of an answer")] = 1024
    price_in: Annotated[Weight, Doc("per million prompt tokens, in your currency")] = 0.0
    price_out: Annotated[Weight, Doc("per million answer tokens")] = 0.0


@dataclass
class TokenUse:
    """Requests and tokens so far."""

    requests: int = 0
    answered: int = 0
    failed: int = 0  # requests that were given up
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def price(self, config: EndpointConfig) -> float:
        """Return the cost in the currency of the prices."""
        return (self.tokens_in * config.price_in + self.tokens_out * config.price_out) / 1e6


class Endpoint:
    """An open connection, as `async with Endpoint(config, spent) as endpoint`.

    Raises BadInput if the `openai` package is missing or the address is invalid.
    """

    def __init__(self, config: EndpointConfig, spent: TokenUse):
        check_client()
        from openai import AsyncOpenAI

        self._config, self._spent = config, spent
        self._gate, self._pace = asyncio.Semaphore(config.in_flight), _Pace(config.per_minute)
        # attempts are counted here, because an interrupted stream needs another attempt too
        try:
            self._client = AsyncOpenAI(
                base_url=config.endpoint,
                api_key=os.environ.get(config.key) or "none",
                timeout=config.timeout,
                max_retries=0,
            )
        except Exception as error:  # of several libraries: invalid address, unusable key
            raise BadInput(
                f"{config.endpoint}: not a usable endpoint ({error}); correct the address"
            ) from error

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._client.close()

    async def ask(self, messages: Conversation) -> str | None:
        """Return one answer; None after the last attempt has failed.

        BadInput if the endpoint refuses the key or does not know the model.
        """
        from openai import APIError, APIStatusError

        config, token_use = self._config, self._spent
        async with self._gate:
            for attempt in range(config.attempts):
                await self._pace.wait()
                token_use.requests += 1
                try:
                    answer = await asyncio.wait_for(
                        _collect(self._stream(messages)), config.timeout
                    )
                    token_use.answered += 1
                    return answer.encode("utf-8", "replace").decode()  # lone surrogates
                except APIStatusError as error:
                    if error.status_code in (400, 413, 422) and token_use.answered:
                        break  # this query is refused, others were not
                    if error.status_code in (400, 401, 403, 404, 413, 422):
                        reason = " ".join(str(error).split())[:160]
                        raise BadInput(
                            f"{config.endpoint}: the request was refused ({reason}); check the "
                            f"endpoint, the model and the key in ${config.key}"
                        ) from error
                    hint = error.response.headers.get("retry-after", "")
                except (
                    APIError, OSError, ValueError, TypeError, AttributeError, TimeoutError,
                    _StreamCut,
                ):  # fmt: skip
                    hint = ""
                if attempt + 1 < config.attempts:
                    token_use.retries += 1
                    requested_pause = float(hint) if hint.replace(".", "", 1).isdecimal() else 0.0
                    backoff = config.pause * 2**attempt * (1 + random.random() / 4)
                    await asyncio.sleep(min(max(requested_pause, backoff), 60.0))
            token_use.failed += 1
            return None

    async def _stream(self, messages: Conversation) -> AsyncIterator[str]:
        stream = await self._client.chat.completions.create(
            model=self._config.model,
            messages=messages,  # type: ignore[arg-type]
            temperature=self._config.temperature,
            max_tokens=self._config.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
        )
        has_finish_reason = False
        async for chunk in stream:
            if getattr(chunk, "usage", None):
                self._spent.tokens_in += chunk.usage.prompt_tokens or 0
                self._spent.tokens_out += chunk.usage.completion_tokens or 0
            for choice in chunk.choices or ():
                has_finish_reason |= choice.finish_reason is not None
                if choice.delta and choice.delta.content:
                    yield choice.delta.content
        if not has_finish_reason:
            raise _StreamCut


def ask_each(
    conversations: Sequence[Conversation], config: EndpointConfig, spent: TokenUse
) -> list[str | None]:
    """Return the answer to each conversation; None and BadInput as in `Endpoint.ask`."""

    async def ask() -> list[str | None]:
        async with Endpoint(config, spent) as endpoint:
            tasks = [asyncio.ensure_future(endpoint.ask(messages)) for messages in conversations]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:  # after a refused request, the others stop
                    task.cancel()

    return asyncio.run(ask())


def check_client() -> None:
    """Raise BadInput if the `openai` package is missing."""
    if find_spec("openai") is None:
        raise BadInput("an endpoint needs the openai package; run pip install 'tinr[teacher]'")


class _Pace:
    """Starts at most `per_minute` requests per minute, evenly spaced."""

    def __init__(self, per_minute: int):
        self.gap = 60 / per_minute if per_minute > 0 else 0.0
        self.next = time.monotonic()

    async def wait(self) -> None:
        now = time.monotonic()
        start = max(now, self.next)
        self.next = start + self.gap
        await asyncio.sleep(start - now)


class _StreamCut(Exception):
    """A stream that ended without a finish reason."""


async def _collect(parts: AsyncIterator[str]) -> str:
    return "".join([part async for part in parts])
