"""Thoughts from a teacher: a model that an endpoint serves.

The teacher gives several candidates per query. Its prompt hides the gold tools among retrieved
ones. The candidates that pass `thoughts.judge` are kept. Every query's outcome is appended to a
journal as soon as it arrives, so an interrupted run resumes where it stopped.
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue, query_line
from tinr.catalogue.render import describe, signature
from tinr.catalogue.retrieval import Bm25
from tinr.config import Count
from tinr.data.teacher.endpoint import Endpoint, EndpointConfig, TokenUse
from tinr.data.teacher.journal import ask_for_all, mark_of
from tinr.data.thoughts import Candidate, Judged, judge
from tinr.records import Call, Query, ToolDoc

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
    """Which endpoint to ask, how much, and how fast."""

    candidates: Annotated[Count, Doc("requested per query")] = 4
    keep: Annotated[Count, Doc("passing candidates kept per query")] = 1
    shown: Annotated[Count, Doc("tools in the prompt: the gold ones, the rest retrieved")] = 10
    seed: int = 0


def build_traces(
    queries: Sequence[Query], catalogue: Catalogue, config: TeacherConfig, journal: Path
) -> tuple[list[dict[str, Any]], TokenUse, Counter[str]]:
    """Return trace lines of queries with a passing thought, the token use, and failure reasons.

    `journal` keeps each query's outcome. A run with the same settings resumes from it, and the
    journal's queries count as answered. Raises BadInput if the endpoint refuses the key or does
    not know the model.
    """
    by_id = {query.id: query for query in queries}
    calling_queries = [query for query in queries if query.calls]
    marks = {q.id: _mark(config, q, catalogue) for q in calling_queries if q.teachable}
    retriever = Bm25(catalogue.tools)

    async def ask(identifier: str, endpoint: Endpoint) -> tuple[dict[str, Any], bool]:
        query = by_id[identifier]
        messages = _messages(query, catalogue, retriever, config)
        requests = [endpoint.ask(messages) for _ in range(config.candidates)]
        answers = await asyncio.gather(*requests)
        return _outcome(answers, query, catalogue, config), None not in answers

    outcomes, token_use = ask_for_all(marks, ask, config, journal, "teacher", "query")
    lines = []
    # no answer to these queries can be verified, so the teacher does not get them
    unclear_count = sum(not query.teachable for query in calling_queries)
    reasons = Counter({"its reference is not whole": unclear_count} if unclear_count else {})
    for identifier, query in by_id.items():
        outcome = outcomes.get(identifier, {})
        reasons.update(outcome.get("reasons", {}))
        for number, thought in enumerate(outcome.get("thoughts", ())):
            name = query.id if number == 0 else f"{query.id}#{number}"
            lines.append(query_line(query) | {"id": name, "thought": thought})
    return lines, token_use, reasons


def _mark(config: TeacherConfig, query: Query, catalogue: Catalogue) -> str:
    """Hash what determines a query's outcome; journal rows with another mark are ignored."""
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
    settings = {name: getattr(config, name) for name in fields} | {"prompt": PROMPT}
    settings |= {"query": query_line(query), "catalogue": catalogue.hash}
    return mark_of(settings)


def _messages(
    query: Query, catalogue: Catalogue, retriever: Bm25, config: TeacherConfig
) -> list[dict[str, str]]:
    """Write the prompt: gold tools among retrieved ones, in an order seeded by the query."""
    gold = list(dict.fromkeys(call.name for call in query.calls))
    ranking = retriever.rank([query.text], config.shown + len(gold))[0]
    neighbours = [name for name in ranking if name not in gold]
    names = gold + neighbours[: max(0, config.shown - len(gold))]
    random.Random(f"{config.seed}/{query.id}").shuffle(names)
    tool_list = "\n".join(_tool_line(catalogue.by_name[name]) for name in names)
    history = [{"role": m.role, "content": m.content} for m in query.history if m.role != "tool"]
    return [
        {"role": "system", "content": PROMPT + tool_list},
        *history,
        {"role": "user", "content": query.text},
    ]


def _tool_line(doc: ToolDoc) -> str:
    return f"- {doc.name}({signature(doc)}): {describe(doc).splitlines()[0]}"


def read_answer(text: str) -> Candidate | None:
    """Read the thought and the calls of a teacher's answer; None if they cannot be read."""
    match = re.fullmatch(r"\s*<think>(.*?)</think>(.*)", text, re.DOTALL)
    if match is None:
        return None
    bracket = re.search(r"[\[{]", match[2])
    if bracket is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(match[2], bracket.start())
    except (ValueError, RecursionError):
        return None
    calls = []
    for entry in value if isinstance(value, list) else [value]:
        name = entry.get("name") if isinstance(entry, dict) else None
        arguments = entry.get("arguments", {}) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        calls.append(Call(name.strip("<>"), arguments))
    return Candidate(match[1], tuple(calls))


def _outcome(
    answers: Sequence[str | None], query: Query, catalogue: Catalogue, config: TeacherConfig
) -> dict[str, Any]:
    """Make a journal row: the thoughts that pass, shortest first, and why the others fail."""
    reasons: Counter[str] = Counter()
    judgement_of: dict[str, Judged] = {}
    for answer in answers:
        candidate = read_answer(answer) if answer is not None else None
        if candidate is None:
            reasons["no answer" if answer is None else "cannot be read"] += 1
            continue
        judgement = judge(candidate, query, catalogue)
        if judgement.reason:
            reasons[judgement.reason] += 1
        else:
            judgement_of.setdefault(candidate.thought, judgement)
    selection = [judgement_of[text] for text in sorted(judgement_of, key=len)][: config.keep]
    thoughts = [
        [p if isinstance(p, str) else asdict(p) for p in choice.thought] for choice in selection
    ]
    return {"thoughts": thoughts, "reasons": dict(reasons)}
