"""Load test of an OpenAI-compatible server, ours or another, with concurrent clients."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tinr.records import BadInput, RunFailed


@dataclass(frozen=True)
class Wait:
    """One request: seconds to the first token and to the end, tokens of the reply, its error."""

    first: float
    whole: float
    tokens: int
    error: str = ""


@dataclass(frozen=True)
class Load:
    """The result of a load test. Times to the first token and to the end: of answered requests."""

    clients: int
    requests: int
    failures: tuple[str, ...]
    seconds: float  # of the whole test
    tokens_a_second: float  # of all replies together
    first_median: float
    first_longest: float
    whole_median: float
    whole_longest: float


def measure_load(url: str, model: str, texts: Sequence[str], clients: int, tokens: int) -> Load:
    """Send the texts from `clients` concurrent clients, each with one open request at a time.

    BadInput without the openai package; RunFailed if no request is answered.
    """
    try:
        from openai import AsyncOpenAI
    except ModuleNotFoundError as error:
        raise BadInput("openai is not installed; pip install 'tinr[teacher]'") from error

    async def run() -> tuple[list[Wait], float]:
        rest = iter(texts)
        async with AsyncOpenAI(
            base_url=url, api_key="unused", max_retries=0, timeout=3600
        ) as client:
            start = time.perf_counter()
            groups = await asyncio.gather(
                *(_work(client, model, rest, tokens) for _ in range(clients))
            )
            return [wait for group in groups for wait in group], time.perf_counter() - start

    waits, seconds = asyncio.run(run())
    answered = [wait for wait in waits if not wait.error]
    failures = tuple(wait.error for wait in waits if wait.error)
    if not answered:
        raise RunFailed(f"{url}: no request was answered: {(failures or ('none was sent',))[0]}")
    return Load(
        clients,
        len(waits),
        failures,
        seconds,
        sum(wait.tokens for wait in answered) / seconds,
        median(wait.first for wait in answered),
        max(wait.first for wait in answered),
        median(wait.whole for wait in answered),
        max(wait.whole for wait in answered),
    )


async def _work(client: Any, model: str, texts: Iterator[str], tokens: int) -> list[Wait]:
    """One client: sends one text after the other."""
    return [await _ask(client, model, text, tokens) for text in texts]


async def _ask(client: Any, model: str, text: str, tokens: int) -> Wait:
    start = time.perf_counter()
    first, count, usage = 0.0, 0, None
    try:
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], temperature=0, stream=True,
            max_tokens=tokens, stream_options={"include_usage": True},
        )  # fmt: skip
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                said = choice.delta.model_dump(exclude={"role"}, exclude_none=True)
                if any(said.values()):
                    first = first or time.perf_counter() - start
                    count += 1
    except Exception as error:  # any failure of the server is a result
        return Wait(0.0, 0.0, 0, f"{type(error).__name__}: {str(error)[:200]}")
    whole = time.perf_counter() - start
    return Wait(first or whole, whole, usage.completion_tokens if usage else count)
