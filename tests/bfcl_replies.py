"""Replies to BFCL's queries that are right, nearly right and wrong, for the tests of scorers."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from tinr.records import Call, Query, ToolDoc

Documents = Mapping[str, ToolDoc]


def reference(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """The reference itself; any call where one is expected and none is given."""
    if not query.calls and query.kind == "live_relevance":
        return [Call(query.tools[0], {})]
    return list(query.calls)


def nothing(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    return []


def accepted(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """Any of the accepted values, parameters that may be left out left out or not."""
    made = []
    for call, accept in zip(query.calls, query.accept, strict=True):
        picked = {name: rng.choice(options) for name, options in accept.items() if options}
        made.append(Call(call.name, {n: plain(v, rng) for n, v in picked.items() if v != ""}))
    return made


def plain(value: Any, rng: random.Random) -> Any:
    """A value of one of BFCL's accepted ones: within an object each key has a list of them."""
    if isinstance(value, list):
        return [plain(v, rng) if isinstance(v, dict) else v for v in value]
    if not isinstance(value, dict):
        return value
    picked = {k: rng.choice(v) if isinstance(v, list) and v else v for k, v in value.items()}
    return {k: v for k, v in picked.items() if v != ""}


def changed(change: Callable[[Any, random.Random], Any]) -> Callable[..., list[Call]]:
    """One argument of one call changed, the first that the change can change."""

    def corrupt(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
        calls = reference(query, rng, documents)
        for place in rng.sample(range(len(calls)), len(calls)):
            for name in rng.sample(sorted(calls[place].arguments), len(calls[place].arguments)):
                value = calls[place].arguments[name]
                new = within(value, change, rng)
                if repr(new) != repr(value):
                    arguments = {**calls[place].arguments, name: new}
                    return [*calls[:place], Call(calls[place].name, arguments), *calls[place + 1 :]]
        return calls

    return corrupt


def within(value: Any, change: Callable[[Any, random.Random], Any], rng: random.Random) -> Any:
    """The change made to a value, or to the first element in a list or object that it changes."""
    new = change(value, rng)
    if repr(new) != repr(value) or not isinstance(value, list | dict):
        return new
    for key, inner in enumerate(value) if isinstance(value, list) else value.items():
        new = within(inner, change, rng)
        if repr(new) != repr(inner):
            pairs = enumerate(value) if isinstance(value, list) else value.items()
            made = {k: new if k == key else v for k, v in pairs}
            return list(made.values()) if isinstance(value, list) else made
    return value


def other_value(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value} otherwise" if isinstance(value, str) else value


def other_number(value: Any, rng: random.Random) -> Any:
    """1 for 1.0 and 1.0 for 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, float) and value == int(value) else float(value)


def as_text(value: Any, rng: random.Random) -> Any:
    """A number or truth as a text, and the numbers of a text as numbers."""
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def as_truth(value: Any, rng: random.Random) -> Any:
    """1 for true and true for 1."""
    if isinstance(value, bool):
        return int(value)
    return bool(value) if value in (0, 1) and isinstance(value, int) else value


def other_letters(value: Any, rng: random.Random) -> Any:
    """Another case, blanks and punctuation that BFCL looks past."""
    if not isinstance(value, str) or not value:
        return value
    place = rng.randrange(len(value) + 1)
    return (value[:place] + rng.choice(" ,./-_*^") + value[place:]).swapcase().replace("'", '"')


def other_marks(value: Any, rng: random.Random) -> Any:
    """Punctuation that BFCL does not look past."""
    return f"{value}{rng.choice('!:;()')}" if isinstance(value, str) else value


def nulled(value: Any, rng: random.Random) -> Any:
    return None


def wrapped(value: Any, rng: random.Random) -> Any:
    """A value in a list, and the only value of a list without it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else [value]


def shortened(value: Any, rng: random.Random) -> Any:
    return value[:-1] if isinstance(value, list) else value


def reversed_list(value: Any, rng: random.Random) -> Any:
    return value[::-1] if isinstance(value, list) else value


def without_one(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """A parameter missing, as often one that may be left out as one that may not."""
    return _cut(query, rng, lambda options: True)


def without_optional(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    return _cut(query, rng, lambda options: "" in options)


def _cut(query: Query, rng: random.Random, may: Callable[[Any], bool]) -> list[Call]:
    calls = list(query.calls)
    for place, accept in enumerate(query.accept):
        names = [n for n in calls[place].arguments if may(accept.get(n, ()))]
        if names:
            gone = rng.choice(names)
            kept = {k: v for k, v in calls[place].arguments.items() if k != gone}
            calls[place] = Call(calls[place].name, kept)
            return calls
    return calls


def with_default(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """A parameter more: a documented one with its default, else one that nobody knows."""
    calls = reference(query, rng, documents)
    for place, call in enumerate(calls):
        document = documents[call.name]
        defaults = {
            name: schema["default"]
            for name, schema in document.parameters.get("properties", {}).items()
            if isinstance(schema, dict) and "default" in schema and name not in call.arguments
        }
        if defaults:
            name = rng.choice(sorted(defaults))
            calls[place] = Call(call.name, {**call.arguments, name: defaults[name]})
            return calls
    return with_unknown(query, rng, documents)


def with_unknown(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    calls = reference(query, rng, documents)
    return [Call(c.name, {**c.arguments, "unheard_of": 1}) for c in calls[:1]] + calls[1:]


def turned(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    return reference(query, rng, documents)[::-1]


def doubled(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    calls = reference(query, rng, documents)
    return [*calls, *calls[:1]]


def doubled_for_another(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """The first call in the place of the last."""
    calls = reference(query, rng, documents)
    return [*calls[:-1], *calls[:1]]


def other_tool(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    calls = reference(query, rng, documents)
    return [Call(rng.choice(query.tools), c.arguments) for c in calls[:1]] + calls[1:]


def needless(query: Query, rng: random.Random, documents: Documents) -> list[Call]:
    """A call more than the reference has, also where it has none."""
    candidates = query.tools or tuple(sorted(documents)[:1])
    return [*query.calls, Call(rng.choice(candidates), {})]


REPLIES: dict[str, Callable[[Query, random.Random, Documents], list[Call]]] = {
    "reference": reference,
    "nothing": nothing,
    "accepted": accepted,
    "accepted, other letters": accepted,
    "another value": changed(other_value),
    "another number": changed(other_number),
    "as text": changed(as_text),
    "as truth": changed(as_truth),
    "other letters": changed(other_letters),
    "other marks": changed(other_marks),
    "null": changed(nulled),
    "wrapped": changed(wrapped),
    "shortened": changed(shortened),
    "reversed list": changed(reversed_list),
    "a parameter missing": without_one,
    "an optional one missing": without_optional,
    "a default more": with_default,
    "an unknown one more": with_unknown,
    "turned": turned,
    "doubled": doubled,
    "doubled for another": doubled_for_another,
    "another tool": other_tool,
    "needless": needless,
}


def reply_to(query: Query, kind: str, documents: Documents, seed: int = 0) -> list[Call]:
    """The calls of a reply of a kind, the same ones each time."""
    rng = random.Random(f"{seed} {kind} {query.id}")
    calls = REPLIES[kind](query, rng, documents)
    if kind == "accepted, other letters":
        calls = [
            Call(c.name, {k: within(v, other_letters, rng) for k, v in c.arguments.items()})
            for c in calls
        ]
    return calls
