"""Seeded queries over corpus tools, with reference calls and answers from running them.

A query asks for one to three calls: alone, in parallel, or chained (a later call takes
what an earlier one returned); or for none: small talk, a request no tool can do, or a
request that lacks a needed value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from tinr.records import UNANSWERED, Call, Query, Split
from tool_corpora.chat import chat_query, foreign_query
from tool_corpora.kit import CorpusTool, placeholders
from tool_corpora.values import Side

_ASKED = {"single": 50, "parallel": 11, "chained": 11, "chat": 11, "missing": 10, "foreign": 7}
# How often each kind is asked for, in percent; tests with tools and without are apart.
MIX: dict[Side, Mapping[str, int]] = {
    "train": {"single": 38, "parallel": 17, "chained": 17, "chat": 11, "missing": 10, "foreign": 7},
    "dev": _ASKED,
    "test": _ASKED,
}
TOOL_KINDS = ("single", "parallel", "chained")
# What stands before the parts of a query, and what between them.
JOINTS: dict[Side, Sequence[tuple[str, str]]] = {
    "train": (
        ("", " "),
        ("", " Also: "),
        ("First: ", " Then: "),
        ("", " Next: "),
        ("", " And: "),
        ("", " After that: "),
        ("", " Besides, "),
        ("Please do this. ", " "),
        ("", " In addition: "),
        ("", " Plus: "),
        ("", " Afterwards: "),
        ("", " One more: "),
        ("To begin with: ", " Afterwards: "),
        ("", " I also want this: "),
        ("", " While you are at it: "),
        ("", "\n"),
        ("A few things. ", " "),
        ("Could you help me? ", " And next: "),
        ("", " With that done: "),
        ("", " - and - "),
    ),
    "dev": (("", " As well as this: "), ("", " Once that is done: ")),
    "test": (("", " And also: "), ("", " Then also: ")),
}
LINKS: dict[Side, Sequence[str]] = {
    "train": (
        "that result",
        "the result",
        "the value you get",
        "the answer",
        "this outcome",
        "the value from before",
        "the result of that",
        "that answer",
        "the outcome",
        "that number",
        "its result",
        "the result you found",
        "the number from before",
        "this answer",
        "the output of that",
        "that outcome",
        "the answer to the first part",
        "the figure from the first step",
        "this result",
        "the number you worked out",
        "the resulting value",
        "the previous answer",
        "the value computed above",
        "that output",
    ),
    "dev": ("the figure it returns", "whatever comes out of that"),
    "test": ("the value of that result", "the answer you get"),
}
VAGUE: dict[Side, Mapping[str, Sequence[str]]] = {  # by a parameter's format, or else its type
    "train": {
        "number": (
            "some number",
            "a certain number",
            "so much",
            "a figure",
            "my number",
            "some value",
            "a number of mine",
            "so many",
            "the usual amount",
            "a few",
        ),
        "string": (
            "something",
            "some words",
            "a certain text",
            "my text",
            "anything",
            "it",
            "a word",
            "my own words",
            "that text",
            "a line of mine",
        ),
        "array": (
            "some values",
            "a few numbers",
            "my values",
            "a list",
            "certain numbers",
            "my data",
            "these",
            "a series",
            "a handful of entries",
            "my list",
        ),
        "date": (
            "some day",
            "a certain day",
            "my day",
            "one day",
            "that day",
            "my birthday",
            "the other day",
        ),
        "time": ("some time", "a certain time", "one time", "that time", "later on"),
    },
    "dev": {
        "number": ("any number", "an amount"),
        "string": ("a phrase of mine", "some text"),
        "array": ("some numbers of mine", "a few values"),
        "date": ("any day", "a day I know"),
        "time": ("any time", "some time of day"),
    },
    "test": {
        "number": ("a number",),
        "string": ("some thing",),
        "array": ("several values",),
        "date": ("some date",),
        "time": ("some hour",),
    },
}
TRIES = 50  # draws per wanted query
REDRAWS = 10  # tries to make a new one of the drawn kind, so that the mix stays as asked


def make_queries(
    tools: Mapping[str, CorpusTool],
    side: Side,
    count: int,
    seed: int,
    split: Split | None = None,
    kinds: Sequence[str] = tuple(MIX["train"]),
    prefix: str = "q",
) -> list[Query]:
    """`count` queries over these tools, no text twice; the same seed gives the same ones.

    Raises ValueError where the tools are too few for that many different queries.
    """
    if not tools:
        raise ValueError("no tools to ask for")
    rng = Random(f"{seed}/{side}/{prefix}")
    pool = [tools[name] for name in sorted(tools) for _ in range(_shares(tools[name], side))]
    weights = [MIX[side][kind] for kind in kinds]
    made: dict[str, Query] = {}
    for _ in range(count * TRIES):
        if len(made) == count:
            break
        kind = rng.choices(list(kinds), weights)[0]
        drafts = (_MAKERS[kind](rng, side, pool) for _ in range(REDRAWS))
        draft = next((one for one in drafts if one is not None and one.text not in made), None)
        if draft is None:
            continue
        text, reply, turns = draft.text, draft.reply, draft.turns
        # only what stands in the query or comes from a tool can be scored as an answer
        scored = bool(turns) or (kind == "chat" and reply.casefold() in text.casefold())
        made[text] = Query(
            id=f"{prefix}-{len(made)}",
            text=text,
            turns=turns,
            answer=reply if scored else None,
            reply="" if scored else reply,
            split=split if turns else "no_tool",
            kind=kind,
            observations=tuple(map(observation_text, draft.results)),
            implied=tuple(draft.words) if any(draft.words) else (),
            phrasings=tuple(draft.phrasings),
        )
    if len(made) < count:
        raise ValueError(f"only {len(made)} of {count} different queries could be made")
    return list(made.values())


def _shares(tool: CorpusTool, side: Side) -> int:
    """How often a tool is drawn: training asks twice for one whose words ask for options.

    Whether an option is asked for is learned last of all (docs/notebook.md, "Signs that were never
    learned").
    """
    return 2 if side == "train" and tool.implied else 1


def observation_text(result: Any) -> str:
    """What the environment shows of a result: its JSON."""
    return json.dumps(result, ensure_ascii=False)


def answer_text(results: Sequence[Any]) -> str:
    """The reference answer for results: strings bare, others as JSON, joined by semicolons."""
    return "; ".join(r if isinstance(r, str) else observation_text(r) for r in results)


Words = Mapping[str, str]  # parameter -> the words of a sentence that ask for its value


class Request(NamedTuple):
    """One phrasing with values, its call and what that returned."""

    text: str
    call: Call
    result: Any
    words: Words
    phrasing: str


class Draft(NamedTuple):
    """A query with its turns of reference calls, what they returned, and the words of each."""

    text: str
    reply: str  # the answer in words
    turns: tuple[tuple[Call, ...], ...] = ()
    results: Sequence[Any] = ()
    words: Sequence[Words] = ()
    phrasings: Sequence[str] = ()  # templates


def _ask(
    rng: Random, side: Side, tool: CorpusTool, link: tuple[str, Any, str] | None = None
) -> Request | None:
    """One phrasing with values.

    `link` = (parameter, value, words): that value is spoken of in words, not spelled.
    None where the phrasing has no place for such words or the tool refuses the values.
    """
    phrasing, fixed = rng.choice(tool.phrasings(side))
    sentence = phrasing
    asked, words = placeholders(sentence), tool.implied.get(sentence, {})
    if link and not _takes_words(sentence, link[0]):
        return None
    drawn = _draw(rng, side, tool, asked) | dict(fixed)
    shown = {name: _shown(value) for name, value in drawn.items()}
    if link:
        name, drawn[name], shown[name] = link
        sentence = sentence.replace(f'"{{{name}}}"', f"{{{name}}}")
    arguments = {name: drawn[name] for name in tool.parameters if name in drawn}
    try:
        result = tool.run(**arguments)
    except ValueError:
        return None
    call = Call(tool.name, arguments)
    return Request(_fill(sentence, shown), call, result, words, phrasing)


def _draw(rng: Random, side: Side, tool: CorpusTool, names: Sequence[str]) -> dict[str, Any]:
    """A value for each name; a conversion's source is never its target."""
    drawn = {name: tool.parameters[name].sample(rng, side) for name in names}
    if "source" in drawn and "target" in tool.parameters:
        target = drawn.get("target", tool.parameters["target"].schema.get("default"))
        while drawn["source"] == target:
            drawn["source"] = tool.parameters["source"].sample(rng, side)
    return drawn


def _takes_words(sentence: str, name: str) -> bool:
    """Whether words can stand for a placeholder: not in "1:{scale}", "{rate}%" or "a {tip}"."""
    before, found, after = sentence.partition(f"{{{name}}}")
    return bool(
        found
        and re.search(r'(^|[\s("])$', before)
        and not re.search(r'\b(an?|the|my)\s"?$', before, re.IGNORECASE)
        and re.match(r'$|[\s".,;:?!)]', after)
    )


def _fill(sentence: str, shown: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: shown.get(found[1], found[0]), sentence)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _single(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft | None:
    asked = _ask(rng, side, rng.choice(pool))
    if asked is None:
        return None
    return _draft(asked.text, [[asked]])


def _parallel(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft | None:
    count = 3 if rng.random() < 0.15 else 2
    tools = rng.sample(pool, min(count, len(pool)))
    asked = [_ask(rng, side, tool) for tool in tools]
    if len({tool.name for tool in tools}) < len(tools) or any(one is None for one in asked):
        return None
    done = [one for one in asked if one is not None]
    text = _joined(rng, side, [one.text for one in done])
    return _draft(text, [done])


def _draft(text: str, turns: Sequence[Sequence[Request]]) -> Draft:
    """A query whose answer is what the last turn returned."""
    requests = [request for turn in turns for request in turn]
    return Draft(
        text,
        answer_text([request.result for request in turns[-1]]),
        tuple(tuple(request.call for request in turn) for turn in turns),
        [request.result for request in requests],
        [request.words for request in requests],
        [request.phrasing for request in requests],
    )


def _joined(rng: Random, side: Side, parts: Sequence[str]) -> str:
    opening, between = rng.choice(JOINTS[side])
    return opening + between.join(parts)


def _chained(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft | None:
    """A then B, where one required parameter of B is what A returned."""
    first = _ask(rng, side, rng.choice(pool))
    if first is None:
        return None
    takers = [
        (tool, name)
        for tool in pool
        if tool.name != first.call.name
        for name, parameter in tool.parameters.items()
        if parameter.required and _takes(parameter.schema, first.result)
    ]
    if not takers:
        return None
    tool, name = rng.choice(takers)
    second = _ask(rng, side, tool, link=(name, first.result, rng.choice(LINKS[side])))
    if second is None:
        return None
    text = _joined(rng, side, [first.text, second.text])
    return _draft(text, [[first], [second]])


def _takes(schema: Mapping[str, Any], result: Any) -> bool:
    """Whether a result fits a parameter, kept to plain numbers and lists of numbers."""
    kind = schema["type"]
    if isinstance(result, bool | str):
        return False
    if kind == "array":
        items = schema["items"]["type"]
        if items == "string":
            return False
        exact = int if items == "integer" else int | float
        return (
            isinstance(result, list)
            and bool(result)
            and all(isinstance(v, exact) and not isinstance(v, bool) for v in result)
        )
    if kind == "integer":
        low, high = schema.get("minimum", result), schema.get("maximum", result)
        return isinstance(result, int) and low <= result <= high
    return kind == "number" and isinstance(result, int | float) and 0 < result < 10**7


def _missing(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft | None:
    """A phrasing whose one required value is only spoken of."""
    tool = rng.choice(pool)
    phrasing, _ = rng.choice(tool.phrasings(side))
    sentence = phrasing
    lacking = [
        name
        for name in placeholders(sentence)
        if tool.parameters[name].required
        and "enum" not in tool.parameters[name].schema
        and _takes_words(sentence, name)
    ]
    if not lacking:
        return None
    name = rng.choice(lacking)
    schema = tool.parameters[name].schema
    kind = schema.get("format", schema["type"].replace("integer", "number"))
    vague = rng.choice(VAGUE[side][kind])
    sentence = sentence.replace(f'"{{{name}}}"', vague).replace(f"{{{name}}}", vague)
    drawn = _draw(rng, side, tool, placeholders(sentence))
    others = {other: _shown(value) for other, value in drawn.items()}
    text = _fill(sentence, others)
    return Draft(text, f"Please give the {name}.", phrasings=[phrasing])


def _chat(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft:
    text, reply, template = chat_query(rng, side)
    return Draft(text, reply, phrasings=[template])


def _foreign(rng: Random, side: Side, pool: Sequence[CorpusTool]) -> Draft:
    text, template = foreign_query(rng, side)
    return Draft(text, UNANSWERED, phrasings=[template])


_MAKERS = {
    "single": _single,
    "parallel": _parallel,
    "chained": _chained,
    "chat": _chat,
    "missing": _missing,
    "foreign": _foreign,
}
