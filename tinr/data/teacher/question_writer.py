"""Questions from documents: a teacher writes queries with reference calls for every tool.

For each tool it writes questions of given kinds. A question is kept if its calls are valid for
their documents, if the teacher makes the same calls with the same arguments when it is given only
the question and the documents (the round trip), and if no other question has the same words.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.importing.queries.references import Documents
from tinr.catalogue.load import Catalogue, query_from
from tinr.catalogue.render import describe, signature
from tinr.catalogue.similar import nearest_neighbours
from tinr.config import Count
from tinr.data.teacher.endpoint import Endpoint, EndpointConfig, TokenUse
from tinr.data.teacher.journal import ask_for_all, mark_of
from tinr.records import BadInput, Call, Query
from tinr.rollout.scoring.matching import lenient_calls

KINDS = {
    "plain": "The user asks for what {tool} does and states every value that it needs.",
    "vague": "The user describes the need in everyday words, without a word of the tool's name or "
    "of its description, yet states every value that it needs.",
    "missing": "The user asks for what {tool} does but leaves out a value that it requires, so no "
    "call can be made yet: give no calls, and as the reply the question that asks for the value.",
    "two": "The user asks for two things in one request, one for {tool} and one for {partner}: "
    "give a call of each, in this order.",
    "decoy": "The request sounds at first as if it were for {partner}, but only {tool} is right.",
    "negated": "The user says what is not wanted, or what has been done already, and asks for what "
    "{tool} does.",
    "option": "The user asks for what {tool} does and, in words of their own, for one of the "
    "values that it does not require.",
    "enumerated": "The user asks the same of two or three things in one request: give one call of "
    "{tool} for each.",
}
WITH_PARTNER = ("two", "decoy")
WRITE = """You write what users ask of an assistant that has tools. Write one request, as a person \
would type it, and the calls that answer it. Do not name a tool or a parameter as it is spelled. \
Every value of a call must follow from the request; leave out what the request does not imply.

Answer with one JSON object and nothing else:
{"query": "the request", "calls": [{"name": "tool", "arguments": {"parameter": value}, \
"implied": {"parameter": "words"}}], "reply": ""}
"implied" has, for each value that the request does not spell, the words of the request that ask \
for it, exactly as they stand there.

Tools:
"""
SOLVE = """You answer a user's request by calling tools. Give the calls that the request needs: \
only values that it states or implies. Give none if a required value is missing.

Answer with one JSON list and nothing else: [{"name": "tool", "arguments": {"parameter": value}}]

Tools:
"""


@dataclass(frozen=True)
class QuestionConfig(EndpointConfig):
    """Which endpoint to ask, and for which questions."""

    each: Annotated[Count, Doc("questions of each kind per tool")] = 1
    kinds: Annotated[tuple[str, ...], Doc("kinds of questions")] = tuple(KINDS)
    shown: Annotated[Count, Doc("tools in the prompt of the round trip")] = 5
    seed: int = 0


@dataclass(frozen=True)
class _Task:
    """One question to be written."""

    id: str
    kind: str
    tool: str
    partner: str
    shown: tuple[str, ...]  # tools of the round trip


def build_queries(
    catalogue: Catalogue, config: QuestionConfig, journal: Path, unseen: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], TokenUse, Counter[str]]:
    """Return lines of queries, the token use, and why other questions were not kept.

    unseen: tools that no query may call; no question is written for them, nor with them as the
    partner of another tool. `journal` keeps each question's outcome, and a run with the same
    settings resumes from it. Raises BadInput for an unknown kind or tool, and if the endpoint
    refuses the key or does not know the model.
    """
    unknown_kinds = [kind for kind in config.kinds if kind not in KINDS]
    if unknown_kinds:
        raise BadInput(f"kinds: {unknown_kinds[0]!r} is not one of {', '.join(KINDS)}; correct it")
    unknown_tools = [name for name in unseen if name not in catalogue.by_name]
    if unknown_tools:
        raise BadInput(f"unseen: {unknown_tools[0]!r} is not in the catalogue; correct the name")
    tasks = {task.id: task for task in _tasks(catalogue, config, set(unseen))}
    documents = Documents({doc.name: doc.parameters for doc in catalogue.tools})
    marks = {task.id: _mark(config, task, catalogue) for task in tasks.values()}

    async def ask(identifier: str, endpoint: Endpoint) -> tuple[dict[str, Any], bool]:
        return await _write(tasks[identifier], catalogue, documents, endpoint)

    outcomes, token_use = ask_for_all(marks, ask, config, journal, "questions", "question")
    reasons: Counter[str] = Counter()
    lines: list[dict[str, Any]] = []
    said: set[str] = set()
    for identifier, task in tasks.items():
        row = outcomes.get(identifier, {"reason": "no answer"})
        reason = row.get("reason", "")
        key = _same_words(str(row.get("query", "")))
        if not reason and key in said:
            reason = "another question says the same"
        if reason:
            reasons[reason] += 1
            continue
        said.add(key)
        line = {"id": identifier, "query": row["query"], "calls": row["calls"], "kind": task.kind}
        lines.append(line | {key: row[key] for key in ("reply", "implied") if row.get(key)})
    return lines, token_use, reasons


def _tasks(catalogue: Catalogue, config: QuestionConfig, unseen: set[str]) -> list[_Task]:
    neighbours = nearest_neighbours(catalogue.tools, max(config.shown, len(unseen) + 1))
    tasks: list[_Task] = []
    for doc in catalogue.tools:
        if doc.name in unseen:
            continue
        near = neighbours.get(doc.name, [])
        partners = [name for name in near if name not in unseen]
        for kind in config.kinds:
            is_possible = {
                "missing": bool(doc.parameters.get("required")),
                "option": any(
                    name not in doc.parameters.get("required", ())
                    for name in doc.parameters.get("properties", {})
                ),
            }.get(kind, True)
            if not is_possible or (kind in WITH_PARTNER and not partners):
                continue
            for number in range(config.each):
                partner = partners[number % len(partners)] if kind in WITH_PARTNER else ""
                shown = [doc.name, *([partner] if partner else [])]
                shown += [n for n in near if n not in shown][: max(0, config.shown - len(shown))]
                identifier = f"{doc.name}-{kind}-{number}"
                random.Random(f"{config.seed}/{identifier}").shuffle(shown)
                tasks.append(_Task(identifier, kind, doc.name, partner, tuple(shown)))
    return tasks


def _mark(config: QuestionConfig, task: _Task, catalogue: Catalogue) -> str:
    fields = ("endpoint", "model", "shown", "temperature", "max_tokens", "seed")
    settings = {name: getattr(config, name) for name in fields}
    settings |= {"prompts": [WRITE, SOLVE, KINDS[task.kind]], "task": vars(task)}
    return mark_of(settings | {"catalogue": catalogue.hash})


async def _write(
    task: _Task, catalogue: Catalogue, documents: Documents, endpoint: Endpoint
) -> tuple[dict[str, Any], bool]:
    """Let the teacher write and solve a question; return its row, and whether both answers came."""
    wanted = [task.tool, *([task.partner] if task.partner else [])]
    kind = KINDS[task.kind].format(tool=task.tool, partner=task.partner)
    user = f"{kind} Question {task.id.rpartition('-')[2]} of this kind."
    answer = await endpoint.ask(_conversation(WRITE + _documents(wanted, catalogue), user))
    if answer is None:
        return {"reason": "no answer"}, False
    question = _json_in(answer, "{")
    fault = _fault(question, task, documents, catalogue)
    if fault or not isinstance(question, dict):
        return {"reason": fault or "cannot be read"}, True
    row = {
        "query": question["query"].strip(),
        "calls": [
            {"name": call["name"], "arguments": call.get("arguments") or {}}
            for call in question["calls"]
        ],
        "implied": _implied(question),
        "reply": str(question.get("reply") or "").strip() if task.kind == "missing" else "",
    }
    prompt = SOLVE + _documents(task.shown, catalogue)
    answer = await endpoint.ask(_conversation(prompt, row["query"]))
    if answer is None:
        return {"reason": "no answer"}, False
    solved = _calls(_json_in(answer, "["))
    if solved is None:
        return {"reason": "the round trip cannot be read"}, True
    query = query_from({"id": task.id, "query": row["query"], "calls": row["calls"]}, task.id)
    if not _is_same(solved, query, catalogue):
        return {"reason": "the round trip calls otherwise"}, True
    return row, True


def _conversation(system: str, user: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _documents(names: Sequence[str], catalogue: Catalogue) -> str:
    docs = (catalogue.by_name[name] for name in names)
    return "\n".join(f"- {doc.name}({signature(doc)}): {describe(doc)}" for doc in docs)


def _json_in(text: str, bracket: str) -> Any:
    """Return the JSON value that begins with a bracket in a text; None if there is none."""
    start = text.find(bracket)
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None


def _calls(value: Any) -> list[Call] | None:
    """Read a list of calls as a teacher writes it; None if it is something else."""
    if not isinstance(value, list):
        return None
    calls: list[Call] = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return None
        arguments = item.get("arguments") or {}
        if not isinstance(arguments, dict):
            return None
        calls.append(Call(item["name"], arguments))
    return calls


def _fault(question: Any, task: _Task, documents: Documents, catalogue: Catalogue) -> str:
    """Return why a written question cannot be kept; empty if it can."""
    calls = _calls(question.get("calls")) if isinstance(question, Mapping) else None
    if calls is None or not isinstance(question.get("query"), str):
        return "cannot be read"
    if not question["query"].strip():
        return "an empty question"
    wanted = {
        "missing": [],
        "two": [task.tool, task.partner],
        "enumerated": [task.tool] * max(2, len(calls)),
    }.get(task.kind, [task.tool])
    if [call.name for call in calls] != wanted:
        return "its calls are not those of its kind"
    if any(_spells(name, question["query"]) for name in {task.tool, task.partner} - {""}):
        return "it spells a tool's name"
    for call in calls:
        fault = next(documents.faults({"name": call.name, "arguments": call.arguments}), None)
        if fault:
            return f"a call that its document refuses: {fault[0]}"
    required = catalogue.by_name[task.tool].parameters.get("required", ())
    if task.kind == "option" and not {*calls[0].arguments} - {*required}:
        return "its call has no optional value"
    if task.kind == "missing" and not str(question.get("reply") or "").strip():
        return "no reply that asks for what is missing"
    return ""


def _spells(name: str, text: str) -> bool:
    """Whether a text contains a tool's name verbatim, unless the name is an ordinary word."""
    return re.search(r"[_.\d]|[a-z][A-Z]", name) is not None and name in text


def _is_same(calls: Sequence[Call], query: Query, catalogue: Catalogue) -> bool:
    return all(call.name in catalogue.by_name for call in calls) and lenient_calls(
        calls, query, catalogue.by_name
    )


def _implied(question: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return, for each call, the words that ask for a value; [] if there are none.

    Words that are not in the question, or that ask for no value of the call, are dropped.
    """
    implied: list[dict[str, str]] = []
    for call in question["calls"]:
        stated, arguments = call.get("implied"), call.get("arguments") or {}
        pairs = stated.items() if isinstance(stated, Mapping) else ()
        implied.append({
            name: words for name, words in pairs
            if name in arguments and isinstance(words, str) and words.strip()
            and words in question["query"]
        })  # fmt: skip
    return implied if any(implied) else []


def _same_words(text: str) -> str:
    """Return a key that ignores case, punctuation and the order of words."""
    return " ".join(sorted(re.findall(r"\w+", text.casefold())))
