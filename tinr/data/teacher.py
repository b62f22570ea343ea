"""Thoughts from a teacher: a model that an endpoint serves.

For each query several candidates are asked for, with the gold tools hidden among retrieved
ones; those that `thoughts.judge` lets pass are kept. Every query's outcome is appended to a
journal as soon as it is there, so an interrupted run goes on where it stopped.
"""

import asyncio
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue, query_line
from tinr.catalogue.render import describe, signature
from tinr.catalogue.retrieval import Bm25
from tinr.config import Count
from tinr.data.endpoint import Endpoint, EndpointConfig, TokenUse
from tinr.data.thoughts import Candidate, Judged, judge
from tinr.progress import progress_bar
from tinr.records import BadInput, Call, Query, ToolDoc

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
class TeacherConfig(EndpointConfig):
    """Whom to ask, how much, and how fast."""

    candidates: Annotated[Count, Doc("asked for each query")] = 4
    keep: Annotated[Count, Doc("passing candidates kept for each query")] = 1
    shown: Annotated[Count, Doc("tools in the prompt: the gold ones, the rest retrieved")] = 10
    seed: int = 0


def build_traces(
    queries: Sequence[Query], catalogue: Catalogue, config: TeacherConfig, journal: Path
) -> tuple[list[dict[str, Any]], TokenUse, Counter[str]]:
    """Trace lines of the queries that got a passing thought, what was spent, why others got none.

    `journal` keeps each query's outcome; a run with the same settings goes on from it, and its
    queries count as answered. Raises BadInput where the endpoint refuses the key or does not
    know the model.
    """
    marks = {query.id: _mark(config, query, catalogue) for query in queries}
    done = _read_journal(journal, marks)
    called = [query for query in queries if query.calls]
    waiting = [query for query in called if query.teachable and query.id not in done]
    spent = TokenUse(answered=len(done))
    if waiting:
        journal.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(_ask_all(waiting, catalogue, config, journal, marks, done, spent))
    by_id = {query.id: query for query in queries}
    lines = []
    unclear = sum(not query.teachable for query in called)  # nothing is right for sure: not asked
    reasons = Counter({"its reference is not whole": unclear} if unclear else {})
    for identifier, query in by_id.items():
        outcome = done.get(identifier, {})
        reasons.update(outcome.get("reasons", {}))
        for number, thought in enumerate(outcome.get("thoughts", ())):
            name = query.id if number == 0 else f"{query.id}#{number}"
            lines.append(query_line(query) | {"id": name, "thought": thought})
    return lines, spent, reasons


def _mark(config: TeacherConfig, query: Query, catalogue: Catalogue) -> str:
    """What decides a query's outcome; a journal's rows with another mark are not read."""
    fields = (
        "endpoint",
        "model",
        "candidates",
        "keep",
        "shown",
        "temperature",
        "max_tokens",
        "seed",
    )
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
    spent: TokenUse,
) -> None:
    retriever = Bm25(catalogue.tools)
    with (
        journal.open("a", encoding="utf-8") as out,
        progress_bar(len(queries), "teacher", "query") as bar,
    ):
        out.write("\n")  # whatever was cut off before stays a line of its own

        async def one(query: Query, endpoint: Endpoint) -> None:
            messages = _messages(query, catalogue, retriever, config)
            asked = [endpoint.ask(messages) for _ in range(config.candidates)]
            answers = await asyncio.gather(*asked)
            row = {"mark": marks[query.id], **_outcome(answers, query, catalogue, config)}
            done[query.id] = row
            if None not in answers:  # what the teacher owes is asked again by the next run
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                out.flush()
            bar.update(1)
            bar.set_postfix_str(f"cost {spent.price(config):.2f}", refresh=False)

        try:
            async with Endpoint(config, spent) as endpoint, asyncio.TaskGroup() as group:
                for query in queries:
                    group.create_task(one(query, endpoint))
        except BaseExceptionGroup as error:
            known = error.subgroup(BadInput)
            raise known.exceptions[0] if known else error.exceptions[0] from None


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
