"""Which thoughts may be taught: a candidate is judged against the reference, with the reason.

A thought is kept when its calls reach the reference and it could have been thought without
seeing a list of tools: it names every tool that is called, as a token, and no other one.
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
from tinr.data.traces import NO_TOOL, compose
from tinr.records import Call, Mention, Query
from tinr.rollout.scoring.rewards import same_calls

SHORTEST, LONGEST = 5, 400  # words
SPOKEN = {  # reason -> what gives it away
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
REASONS = tuple(SPOKEN)


@dataclass(frozen=True)
class Candidate:
    """What a teacher, or an earlier data set, thought and called."""

    thought: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Judged:
    """A thought that may be taught, or why not (`reason` is not empty)."""

    thought: tuple[str | Mention, ...] = ()
    reason: str = ""


def judge(candidate: Candidate, query: Query, catalogue: Catalogue) -> Judged:
    """Whether a candidate's thought may be taught for a query."""
    if not same_calls(candidate.calls, query.calls, catalogue.by_name):
        return Judged(reason="its calls are not the reference's")
    text = " ".join(candidate.thought.split())
    words = len(text.split())
    if not SHORTEST <= words <= LONGEST:
        return Judged(reason=f"not {SHORTEST} to {LONGEST} words long")
    for reason, spoken in SPOKEN.items():
        if re.search(spoken, text, re.IGNORECASE):
            return Judged(reason=reason)
    called = {call.name for call in query.calls}
    parts = with_tokens(text, [*called, *_telling(catalogue.by_name, text)])
    mentioned = {part.tool for part in parts if isinstance(part, Mention)}
    if called - mentioned:
        return Judged(reason="does not name every tool that it calls")
    rest = " ".join(part for part in parts if isinstance(part, str))
    if mentioned - called or re.search(r"<<[^<>]+>>", rest):
        return Judged(reason="names a tool that is not called")
    return Judged(thought=tuple(parts))


def with_tokens(text: str, names: Sequence[str]) -> list[str | Mention]:
    """Names of tools in a text as mentions: `<<name>>`, quoted or bare, longest name first."""
    spellings: dict[str, str] = {}
    for name in names:
        for spelled in (f"<<{name}>>", f"`{name}`", f"'{name}'", f'"{name}"', name):
            spellings.setdefault(spelled, name)
    if not spellings:
        return [text]
    longest_first = sorted(spellings, key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first))
    # `repos/get` does not stand in `repos/get-branch`, nor in `all.repos/get`
    pieces = re.split(rf"(?<![\w.])(?<!\w[-/])({either})(?!\w|[-/.]\w)", text)
    parts = [Mention(spellings[p]) if n % 2 else p for n, p in enumerate(pieces)]
    return [part for part in parts if part != ""]


def _telling(names: Iterable[str], text: str) -> list[str]:
    """Those of the names that may stand in a text and are no plain words, which mean no tool."""
    return [name for name in names if name in text and not _plain(name)]


def _plain(word: str) -> bool:
    return word.isalpha() and (word.islower() or word.istitle())


@dataclass(frozen=True)
class Check:
    """What `check` found in a set of traces."""

    traces: int
    words: tuple[int, int, int]  # of a thought: median, 95 %, most
    tools: int  # that some trace calls
    uncovered: tuple[str, ...]  # tools of the catalogue that none calls
    leaks: tuple[str, ...]  # unseen tools that are called or spoken of: fatal
    duplicates: tuple[tuple[str, str], ...]  # ids of traces with the same query
    reasons: Mapping[str, int]  # why thoughts would not pass, with counts


def check(queries: Sequence[Query], catalogue: Catalogue, unseen: Iterable[str] = ()) -> Check:
    """Length, coverage, leaks and duplicates of traces; a leak is an unseen tool that is called, or
    named in a thought."""
    hidden = set(unseen)
    lengths = sorted(len(_plain_text(q).split()) for q in queries)
    called = {call.name for query in queries for call in query.calls}
    spoken = {p.tool for query in queries for p in query.thought if isinstance(p, Mention)}
    for query in queries:
        text = "".join(p for p in query.thought if isinstance(p, str))
        found = with_tokens(text, _telling(hidden, text))
        spoken |= {part.tool for part in found if isinstance(part, Mention)}
    first: dict[Any, str] = {}
    twice = []
    for query in queries:
        key = (query.history, " ".join(query.text.split()).casefold())
        if key in first:
            twice.append((first[key], query.id))
        first.setdefault(key, query.id)
    reasons = Counter(
        judged.reason
        for query in queries
        if query.thought and query.calls
        for judged in [judge(Candidate(_plain_text(query), query.calls), query, catalogue)]
        if judged.reason
    )
    return Check(
        traces=len(queries),
        words=(_at(lengths, 0.5), _at(lengths, 0.95), _at(lengths, 1.0)),
        tools=len(called),
        uncovered=tuple(sorted(set(catalogue.by_name) - called)),
        leaks=tuple(sorted((called | spoken) & hidden)),
        duplicates=tuple(twice),
        reasons=dict(reasons),
    )


def _plain_text(query: Query) -> str:
    return "".join(p if isinstance(p, str) else f"<<{p.tool}>>" for p in query.thought)


def _at(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def composed(query: Query, catalogue: Catalogue) -> Query:
    """The query with a thought composed from the documents of its calls."""
    docs = [catalogue.by_name[call.name] for call in query.calls]
    thought = compose(docs) if docs else [NO_TOOL.get(query.kind, NO_TOOL["chat"])]
    return replace(query, thought=tuple(thought))


def judge_all(
    path: Path, queries: Sequence[Query], catalogue: Catalogue
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Lines of the queries whose given thought passes, and why the others do not.

    `path` has a line for each: an id, and either "thought" (text) or what an assistant wrote
    ("assistant_1" and "assistant_2", as in TInR's traces).
    """
    by_id = {query.id: query for query in queries}
    lines: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    kept: set[str] = set()
    for _, row in read_jsonl(path):
        query = by_id.get(str(row.get("id")))
        candidate = _given(row, query)
        if query is None or candidate is None:
            reasons["no such query" if query is None else "cannot be read"] += 1
            continue
        judged = judge(candidate, query, catalogue)
        if query.id in kept and not judged.reason:
            judged = Judged(reason="another thought of its query is kept")
        reasons[judged.reason or "kept"] += 1
        if not judged.reason:
            kept.add(query.id)
            lines.append(query_line(replace(query, thought=judged.thought)))
    return lines, dict(reasons)


def _given(row: Mapping[str, Any], query: Query | None) -> Candidate | None:
    """The candidate of a line; a thought without calls goes with the reference's."""
    if isinstance(row.get("thought"), str):
        return Candidate(row["thought"], query.calls if query else ())
    thought = parse_text(str(row.get("assistant_1", ""))).thought
    written = re.search(r"<tool_call>(.*?)</tool_call>", str(row.get("assistant_2", "")), re.DOTALL)
    if thought is None or written is None:
        return None
    thought = re.sub(r"<<([^<>]+)>>", lambda name: f"<<{clean_name(name[1])}>>", thought)
    calls, place, decoder = [], 0, json.JSONDecoder()
    while (place := written[1].find("{", place)) >= 0:  # one object a line, as published
        try:
            one, place = decoder.raw_decode(written[1], place)
            calls.append(Call(clean_name(one["token"].strip("<>")), dict(one["parameters"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
    return Candidate(thought, tuple(calls))
