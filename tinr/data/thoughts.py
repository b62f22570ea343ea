"""Decide which thoughts may be taught: judge candidates against the reference, with reasons.

A thought passes if its calls match the reference and if it does not depend on a visible list of
tools: it names every tool that it calls, as a token, and no other tool.
Source: TInR-U, arXiv 2604.10788, phase 2 (candidates that reach the gold call are kept, tool
names become tool tokens); the reasons are the defects of its public traces.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinr.catalogue.importing.names import clean_name
from tinr.catalogue.load import Catalogue, query_line, read_jsonl
from tinr.chat.parse import parse_text
from tinr.data.traces import NO_TOOL, compose, value_lines
from tinr.records import Call, Mention, Query
from tinr.rollout.scoring.rewards import same_calls

MIN_WORDS, MAX_WORDS = 5, 400  # of a thought
GIVEAWAYS = {  # reason for rejection -> pattern that shows it
    "speaks of the reference": r"original output|ground truth|reference (?:answer|call|output)|"
    r"expected (?:output|answer|response)|gold (?:call|answer)|the (?:given|provided) answer",
    "speaks of a list of tools": r"(?:list|set|lists) of (?:\w+ )?(?:tools?|functions?|apis?)|"
    r"(?:available|provided|given|listed|offered|possible|candidate) (?:tools?|functions?|apis?)|"
    r"(?:tools?|functions?|apis?) (?:that (?:are|is|were) )?(?:available|provided|given|listed)|"
    r"(?:tools?|functions?|apis?) (?:above|below|at (?:my|our) disposal|here)\b|"
    r"(?:tools?|functions?|options) (?:I|we) (?:have|can (?:use|choose))|"
    r"(?:tools?|functions?|apis?) (?:are|is) (?:available|provided|given|listed)|"
    r"\b(?:first|second|third|fourth|fifth|last|other|another) (?:\w+ )?(?:tools?|functions?)\b|"
    r"tool'?s? (?:definition|documentation)|"
    r"(?:looking|going|scan|scanning|look|go) (?:at|through|over) (?:the|my|these) (?:tools?|"
    r"functions?|apis?)|the list above",
    "speaks of the format": r"</?(?:tool_call|tool_token|think|response|obs)>|"
    r"\bJSON (?:format|object|structure)|(?:output|response|required|correct) format",
}
REASONS = tuple(GIVEAWAYS)


@dataclass(frozen=True)
class Candidate:
    """A thought and its calls, from a teacher or an earlier data set."""

    thought: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Judged:
    """A thought that may be taught, or why not (`reason` is not empty)."""

    thought: tuple[str | Mention, ...] = ()
    reason: str = ""


def judge(candidate: Candidate, query: Query, catalogue: Catalogue) -> Judged:
    """Judge whether a candidate's thought may be taught for a query."""
    if not same_calls(candidate.calls, query.calls, catalogue.by_name):
        return Judged(reason="its calls are not the reference's")
    text = " ".join(candidate.thought.split())
    words = len(text.split())
    if not MIN_WORDS <= words <= MAX_WORDS:
        return Judged(reason=f"not {MIN_WORDS} to {MAX_WORDS} words long")
    for reason, pattern in GIVEAWAYS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return Judged(reason=reason)
    called_tools = {call.name for call in query.calls}
    parts = with_tokens(text, [*called_tools, *_telling_names(catalogue.by_name, text)])
    mentioned_tools = {part.tool for part in parts if isinstance(part, Mention)}
    if called_tools - mentioned_tools:
        return Judged(reason="does not name every tool that it calls")
    prose = " ".join(part for part in parts if isinstance(part, str))
    if mentioned_tools - called_tools or re.search(r"<<[^<>]+>>", prose):
        return Judged(reason="names a tool that is not called")
    return Judged(thought=tuple(parts))


def with_tokens(text: str, names: Sequence[str]) -> list[str | Mention]:
    """Split a text at tool names, as mentions: `<<name>>`, quoted or bare, longest name first."""
    spellings: dict[str, str] = {}
    for name in names:
        for spelling in (f"<<{name}>>", f"`{name}`", f"'{name}'", f'"{name}"', name):
            spellings.setdefault(spelling, name)
    if not spellings:
        return [text]
    longest_first = sorted(spellings, key=len, reverse=True)
    alternatives = "|".join(map(re.escape, longest_first))
    # `repos/get` does not match in `repos/get-branch` or `all.repos/get`
    pieces = re.split(rf"(?<![\w.])(?<!\w[-/])({alternatives})(?!\w|[-/.]\w)", text)
    parts = [Mention(spellings[p]) if n % 2 else p for n, p in enumerate(pieces)]
    return [part for part in parts if part != ""]


def _telling_names(names: Iterable[str], text: str) -> list[str]:
    """Return the names that occur in a text, except plain words, which need not mean a tool."""
    return [name for name in names if name in text and not _is_plain_word(name)]


def _is_plain_word(word: str) -> bool:
    return word.isalpha() and (word.islower() or word.istitle())


@dataclass(frozen=True)
class Check:
    """What `check` found in a set of traces."""

    traces: int
    words: tuple[int, int, int]  # per thought: median, 95th percentile, maximum
    tools: int  # tools that some trace calls
    uncovered: tuple[str, ...]  # tools of the catalogue that no trace calls
    leaks: tuple[str, ...]  # unseen tools that are called or named: fatal
    duplicates: tuple[tuple[str, str], ...]  # ids of traces with the same query
    reasons: Mapping[str, int]  # why thoughts would not pass, with counts


def check(queries: Sequence[Query], catalogue: Catalogue, unseen: Iterable[str] = ()) -> Check:
    """Measure length, coverage, leaks and duplicates of traces.

    A leak is an unseen tool that a trace calls or that a thought names.
    """
    unseen_names = set(unseen)
    lengths = sorted(len(_plain_text(q).split()) for q in queries)
    called_tools = {call.name for query in queries for call in query.calls}
    spoken_tools = {p.tool for query in queries for p in query.thought if isinstance(p, Mention)}
    for query in queries:
        text = "".join(p for p in query.thought if isinstance(p, str))
        parts = with_tokens(text, _telling_names(unseen_names, text))
        spoken_tools |= {part.tool for part in parts if isinstance(part, Mention)}
    first_ids: dict[Any, str] = {}
    duplicate_ids = []
    for query in queries:
        key = (query.history, " ".join(query.text.split()).casefold())
        if key in first_ids:
            duplicate_ids.append((first_ids[key], query.id))
        first_ids.setdefault(key, query.id)
    reasons = Counter(
        judgement.reason
        for query in queries
        if query.thought and query.calls
        for judgement in [judge(Candidate(_plain_text(query), query.calls), query, catalogue)]
        if judgement.reason
    )
    return Check(
        traces=len(queries),
        words=(_quantile(lengths, 0.5), _quantile(lengths, 0.95), _quantile(lengths, 1.0)),
        tools=len(called_tools),
        uncovered=tuple(sorted(set(catalogue.by_name) - called_tools)),
        leaks=tuple(sorted((called_tools | spoken_tools) & unseen_names)),
        duplicates=tuple(duplicate_ids),
        reasons=dict(reasons),
    )


def _plain_text(query: Query) -> str:
    return "".join(p if isinstance(p, str) else f"<<{p.tool}>>" for p in query.thought)


def _quantile(values: Sequence[int], share: float) -> int:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0


def composed(query: Query, catalogue: Catalogue) -> Query:
    """Return the query with a thought composed from the documents of its calls."""
    docs = [catalogue.by_name[call.name] for call in query.calls]
    if docs:
        return replace(
            query, thought=tuple(compose(docs, value_lines(query, query.turns, catalogue.by_name)))
        )
    return replace(query, thought=(NO_TOOL.get(query.kind, NO_TOOL["chat"]),))


def judge_all(
    path: Path, queries: Sequence[Query], catalogue: Catalogue
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return trace lines of the queries whose thought in `path` passes, and why others fail.

    `path` has one line per query: an id, and either "thought" (text) or what an assistant wrote
    ("assistant_1" and "assistant_2", as in TInR's traces).
    """
    by_id = {query.id: query for query in queries}
    lines: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    passed_ids: set[str] = set()
    for _, row in read_jsonl(path):
        query = by_id.get(str(row.get("id")))
        candidate = _candidate_of(row, query)
        if query is None or candidate is None:
            reasons["no such query" if query is None else "cannot be read"] += 1
            continue
        judgement = judge(candidate, query, catalogue)
        if query.id in passed_ids and not judgement.reason:
            judgement = Judged(reason="another thought of its query is kept")
        reasons[judgement.reason or "kept"] += 1
        if not judgement.reason:
            passed_ids.add(query.id)
            lines.append(query_line(replace(query, thought=judgement.thought)))
    return lines, dict(reasons)


def _candidate_of(row: Mapping[str, Any], query: Query | None) -> Candidate | None:
    """Read the candidate of a line; a thought without calls gets the reference's calls."""
    if isinstance(row.get("thought"), str):
        return Candidate(row["thought"], query.calls if query else ())
    thought = parse_text(str(row.get("assistant_1", ""))).thought
    match = re.search(r"<tool_call>(.*?)</tool_call>", str(row.get("assistant_2", "")), re.DOTALL)
    if thought is None or match is None:
        return None
    thought = re.sub(r"<<([^<>]+)>>", lambda name: f"<<{clean_name(name[1])}>>", thought)
    calls, position, decoder = [], 0, json.JSONDecoder()
    while (position := match[1].find("{", position)) >= 0:  # one object per line, as published
        try:
            call, position = decoder.raw_decode(match[1], position)
            calls.append(Call(clean_name(call["token"].strip("<>")), dict(call["parameters"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
    return Candidate(thought, tuple(calls))
