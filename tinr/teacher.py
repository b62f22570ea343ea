"""Thoughts from a teacher: any OpenAI-compatible endpoint, asked through the `openai` package.

For each query several candidates are asked for, with the gold tools hidden among retrieved
ones; those that `thoughts.judge` lets pass are kept. Every query's outcome is appended to a
journal as soon as it is there, so an interrupted run goes on where it stopped.
"""

import asyncio
import hashlib
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tinr.catalogue import Catalogue, describe, query_line, signature
from tinr.records import BadInput, Call, Query, ToolDoc
from tinr.retrieval import Bm25
from tinr.thoughts import Candidate, Judged, judge

PROMPT = """You solve a user's request with tools. First think, in one short paragraph and in \
your own words, about what is needed and which tool gives it: name the tool exactly as it is \
spelled and say from memory what it does and which parameters it takes. Speak as somebody who \
knows these tools by heart: never mention a list, what is available, what was given to you, or \
any format. Then write the calls.

Answer exactly so:
<think>your paragraph</think>
[{"name": "tool", "arguments": {"parameter": value}}]

Tools:
"""


@dataclass(frozen=True)
class TeacherConfig:
    """Whom to ask, how much, and how fast."""

    endpoint: str  # base URL, such as http://localhost:8000/v1
    model: str
    key: str = "OPENAI_API_KEY"  # the environment variable that holds the key
    candidates: int = 4  # asked for each query
    keep: int = 1  # passing candidates kept for each query
    shown: int = 10  # tools in the prompt: the gold ones, the rest retrieved
    in_flight: int = 8  # requests at once, at most
    per_minute: int = 0  # requests begun in a minute, at most; 0: no limit
    attempts: int = 5  # at one request, with growing pauses
    pause: float = 1.0  # seconds before the second attempt; doubled each time
    timeout: float = 120.0  # seconds for one request
    temperature: float = 1.0
    longest: int = 1024  # tokens of an answer
    price_in: float = 0.0  # of a million prompt tokens, in your currency
    price_out: float = 0.0  # of a million answer tokens
    seed: int = 0


@dataclass
class Spent:
    """What a run cost so far."""

    requests: int = 0
    answered: int = 0  # of them, and queries that an earlier start had done with
    failed: int = 0  # requests given up
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def price(self, config: TeacherConfig) -> float:
        """In the currency of the prices."""
        return (self.tokens_in * config.price_in + self.tokens_out * config.price_out) / 1e6


def build_traces(
    queries: Sequence[Query], catalogue: Catalogue, config: TeacherConfig, journal: Path
) -> tuple[list[dict[str, Any]], Spent]:
    """Trace lines of the queries that got a passing thought, and what was spent.

    `journal` keeps each query's outcome; a run with the same settings goes on from it.
    Raises BadInput where the endpoint refuses the key or does not know the model.
    """
    for name in ("candidates", "keep", "in_flight", "attempts", "shown"):
        if getattr(config, name) < 1:
            raise BadInput(f"{name}={getattr(config, name)}: give at least 1")
    marks = {query.id: _mark(config, query, catalogue) for query in queries}
    done = _read_journal(journal, marks)
    waiting = [query for query in queries if query.calls and query.id not in done]
    spent = Spent(answered=len(done))
    if waiting:
        journal.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(_ask_all(waiting, catalogue, config, journal, marks, done, spent))
    by_id = {query.id: query for query in queries}
    lines = []
    for identifier, query in by_id.items():
        outcome = done.get(identifier, {})
        spent.reasons.update(outcome.get("reasons", {}))
        for number, thought in enumerate(outcome.get("thoughts", ())):
            name = query.id if number == 0 else f"{query.id}#{number}"
            lines.append(query_line(query) | {"id": name, "thought": thought})
    return lines, spent


def _mark(config: TeacherConfig, query: Query, catalogue: Catalogue) -> str:
    """What decides a query's outcome; a journal's rows with another mark are not read."""
    fields = ("endpoint", "model", "candidates", "keep", "shown", "temperature", "longest", "seed")
    said = {name: getattr(config, name) for name in fields} | {"prompt": PROMPT}
    said |= {"query": query_line(query), "catalogue": catalogue.hash}
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _read_journal(path: Path, marks: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    done: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return done
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # cut off by an interruption: that query is asked again
        if isinstance(row, dict) and row.get("mark") == marks.get(str(row.get("id")), ""):
            done[row["id"]] = row
    return done


async def _ask_all(
    queries: Sequence[Query],
    catalogue: Catalogue,
    config: TeacherConfig,
    journal: Path,
    marks: Mapping[str, str],
    done: dict[str, dict[str, Any]],
    spent: Spent,
) -> None:
    client = _client(config)
    gate, pace = asyncio.Semaphore(config.in_flight), _Pace(config.per_minute)
    retriever = Bm25(catalogue.tools)
    bar = tqdm(total=len(queries), desc="teacher", unit="query", ncols=90)
    with journal.open("a", encoding="utf-8") as out:
        out.write("\n")  # whatever was cut off before stays a line of its own

        async def one(query: Query) -> None:
            messages = _messages(query, catalogue, retriever, config)
            asked = [
                _ask(client, messages, config, gate, pace, spent) for _ in range(config.candidates)
            ]
            answers = await asyncio.gather(*asked)
            row = {"mark": marks[query.id], **_outcome(answers, query, catalogue, config)}
            done[query.id] = row
            if None not in answers:  # what the teacher owes is asked again by the next run
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                out.flush()
            bar.update(1)
            bar.set_postfix_str(f"cost {spent.price(config):.2f}", refresh=False)

        try:
            async with asyncio.TaskGroup() as group:
                for query in queries:
                    group.create_task(one(query))
        except BaseExceptionGroup as error:
            known = error.subgroup(BadInput)
            raise known.exceptions[0] if known else error.exceptions[0] from None
        finally:
            bar.close()
            await client.close()


def ask_each(
    conversations: Sequence[list[dict[str, str]]], config: TeacherConfig, spent: Spent
) -> list[str | None]:
    """The answer to each conversation, None after its last attempt has failed.

    BadInput where the endpoint refuses the key or does not know the model.
    """

    async def ask() -> list[str | None]:
        client = _client(config)
        gate, pace = asyncio.Semaphore(config.in_flight), _Pace(config.per_minute)
        asked = [
            asyncio.ensure_future(_ask(client, messages, config, gate, pace, spent))
            for messages in conversations
        ]
        try:
            return await asyncio.gather(*asked)
        finally:
            for one in asked:  # where one was refused
                one.cancel()
            await client.close()

    return asyncio.run(ask())


def check_client() -> None:
    """BadInput where the package that asks is missing."""
    if find_spec("openai") is None:
        raise BadInput("a teacher needs the openai package; pip install 'tinr[teacher]'")


def _client(config: TeacherConfig) -> Any:
    check_client()
    from openai import AsyncOpenAI

    # attempts are counted here, because a stream that is cut off must be asked for again too
    return AsyncOpenAI(
        base_url=config.endpoint,
        api_key=os.environ.get(config.key, "none"),
        timeout=config.timeout,
        max_retries=0,
    )


class _Pace:
    """At most so many beginnings a minute, evenly."""

    def __init__(self, per_minute: int):
        self.gap = 60 / per_minute if per_minute > 0 else 0.0
        self.next = time.monotonic()

    async def wait(self) -> None:
        now = time.monotonic()
        begin = max(now, self.next)
        self.next = begin + self.gap
        await asyncio.sleep(begin - now)


async def _ask(
    client: Any,
    messages: list[dict[str, str]],
    config: TeacherConfig,
    gate: asyncio.Semaphore,
    pace: _Pace,
    spent: Spent,
) -> str | None:
    """One answer, streamed; None after the last attempt has failed."""
    from openai import APIError, APIStatusError

    async with gate:
        for attempt in range(config.attempts):
            await pace.wait()
            spent.requests += 1
            try:
                answer = await asyncio.wait_for(
                    _collect(_stream(client, messages, config, spent)), config.timeout
                )
                spent.answered += 1
                return answer.encode("utf-8", "replace").decode()  # half a pair cannot be written
            except APIStatusError as error:
                if error.status_code in (400, 413, 422) and spent.answered:
                    break  # this query is refused, others were not
                if error.status_code in (400, 401, 403, 404, 413, 422):
                    said = " ".join(str(error).split())[:160]
                    raise BadInput(
                        f"{config.endpoint}: the teacher refuses ({said}); check the endpoint, "
                        f"--model and the key in ${config.key}"
                    ) from error
                hint = error.response.headers.get("retry-after", "")
            except (APIError, OSError, ValueError, TypeError, AttributeError, TimeoutError, _Cut):
                hint = ""
            if attempt + 1 < config.attempts:
                spent.retries += 1
                told = float(hint) if hint.replace(".", "", 1).isdigit() else 0.0
                grown = config.pause * 2**attempt * (1 + random.random() / 4)
                await asyncio.sleep(min(max(told, grown), 60.0))
        spent.failed += 1
        return None


class _Cut(Exception):
    """A stream that ended before it said that it was done."""


async def _stream(
    client: Any, messages: list[dict[str, str]], config: TeacherConfig, spent: Spent
) -> AsyncIterator[str]:
    stream = await client.chat.completions.create(
        model=config.model,
        messages=messages,
        temperature=config.temperature,
        max_tokens=config.longest,
        stream=True,
        stream_options={"include_usage": True},
    )
    finished = False
    async for chunk in stream:
        if getattr(chunk, "usage", None):
            spent.tokens_in += chunk.usage.prompt_tokens or 0
            spent.tokens_out += chunk.usage.completion_tokens or 0
        for choice in chunk.choices or ():
            finished |= choice.finish_reason is not None
            if choice.delta and choice.delta.content:
                yield choice.delta.content
    if not finished:
        raise _Cut


async def _collect(parts: AsyncIterator[str]) -> str:
    return "".join([part async for part in parts])


def _messages(
    query: Query, catalogue: Catalogue, retriever: Bm25, config: TeacherConfig
) -> list[dict[str, str]]:
    """The prompt: the gold tools among the nearest others, in an order of the query's own."""
    gold = list(dict.fromkeys(call.name for call in query.calls))
    ranked = retriever.rank([query.text], config.shown + len(gold))[0]
    near = [name for name in ranked if name not in gold]
    names = gold + near[: max(0, config.shown - len(gold))]
    random.Random(f"{config.seed}/{query.id}").shuffle(names)
    shown = "\n".join(_shown(catalogue.by_name[name]) for name in names)
    history = [{"role": m.role, "content": m.content} for m in query.history if m.role != "tool"]
    return [
        {"role": "system", "content": PROMPT + shown},
        *history,
        {"role": "user", "content": query.text},
    ]


def _shown(doc: ToolDoc) -> str:
    return f"- {doc.name}({signature(doc)}): {describe(doc).splitlines()[0]}"


def read_answer(text: str) -> Candidate | None:
    """A teacher's answer: the thought and the calls; None where they cannot be read."""
    found = re.fullmatch(r"\s*<think>(.*?)</think>(.*)", text, re.DOTALL)
    if found is None:
        return None
    begin = re.search(r"[\[{]", found[2])
    if begin is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(found[2], begin.start())
    except (ValueError, RecursionError):
        return None
    calls = []
    for one in value if isinstance(value, list) else [value]:
        name = one.get("name") if isinstance(one, dict) else None
        arguments = one.get("arguments", {}) if isinstance(one, dict) else None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        calls.append(Call(name.strip("<>"), arguments))
    return Candidate(found[1], tuple(calls))


def _outcome(
    answers: Sequence[str | None], query: Query, catalogue: Catalogue, config: TeacherConfig
) -> dict[str, Any]:
    """A journal's row: the thoughts that pass, shortest first, and why the others do not."""
    reasons: Counter[str] = Counter()
    passing: dict[str, Judged] = {}
    for answer in answers:
        candidate = read_answer(answer) if answer is not None else None
        if candidate is None:
            reasons["no answer" if answer is None else "cannot be read"] += 1
            continue
        judged = judge(candidate, query, catalogue)
        if judged.reason:
            reasons[judged.reason] += 1
        else:
            passing.setdefault(candidate.thought, judged)
    kept = [passing[text] for text in sorted(passing, key=len)][: config.keep]
    thoughts = [[p if isinstance(p, str) else asdict(p) for p in one.thought] for one in kept]
    return {"id": query.id, "thoughts": thoughts, "reasons": dict(reasons)}
