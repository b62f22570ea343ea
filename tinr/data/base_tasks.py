"""Generic skills for a base model: each task is a conversation about invented things.

Values are open (random words, numbers, dates, lists): closed lists would be memorised
instead of copied. A schema stands in the context, its call is to be filled from the
query, and an observation is to be read.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from string import ascii_lowercase
from typing import Any

from tinr.catalogue.english import common_words, train_sentences
from tinr.chat.codec import Frame, Piece
from tinr.chat.render import (
    learned,
    render_environment,
    render_observations,
    render_prompt,
    render_response,
)
from tinr.data.sample_words import (
    random_date,
    random_decimal,
    random_time,
    random_whole,
    random_word,
)


@dataclass(frozen=True)
class Level:
    """How hard the tasks are: the share of each, tools, parameters of a tool, and cues to them.

    Copying appears first on easy tasks; what binds a value to its parameter's name is
    learned from several parameters named in another order than the schema's.
    """

    mix: Mapping[str, int]
    slots: tuple[int, ...]
    named: float  # share of queries that name their parameters
    shuffled: float  # share of these in which the order is not the schema's
    tools: tuple[int, ...]  # of a query


EASY = Level(
    mix={"fill": 50, "repeat": 12, "pick": 20, "list": 12, "english": 6},
    slots=(1, 1, 1, 2, 2, 3),
    named=0.5,
    shuffled=0.5,
    tools=(1,),
)
HARD = Level(
    mix={"fill": 62, "repeat": 6, "pick": 22, "list": 4, "english": 6},
    slots=(1, 2, 2, 3, 3, 4),
    named=0.75,
    shuffled=1.0,
    tools=(1, 1, 1, 1, 1, 2, 2, 3),
)

NAMED = ("{name} {value}", "{name} is {value}", "with {name} of {value}", "{name}: {value}")
BEHIND = ("{value} {name}",)  # the name behind its value: never mixed with the others
PICKED = (("The {} is {}", "My {} is {}", "{}: {}"), ("{} {}",), ("{} is {}", "{} {}"))
PLACED = ("{value}", "of {value}", "to {value}", "from {value}", "for {value}", "and {value}")


@dataclass(frozen=True)
class Slot:
    """An invented parameter with a value: how the schema, the query and the call show it."""

    name: str
    kind: str
    value: Any
    shown: str


def make_task(rng: Random, frame: Frame, level: Level = HARD) -> list[Piece]:
    """One task of the mix, as the pieces of a conversation; the assistant's part is learned."""
    kind = rng.choices(list(level.mix), list(level.mix.values()))[0]
    return _TASKS[kind](rng, frame, level)


def _words(rng: Random, least: int, most: int) -> list[str]:
    return [random_word(rng) for _ in range(rng.randint(least, most))]


def _symbols(rng: Random) -> str:
    """A code of letters, digits and signs, as identifiers and colours are."""
    alphabet = rng.choice(
        ("0123456789abcdef", "01", "ABCDEFGH0123456789", "abcxyz-+*/()", ascii_lowercase + "-._@")
    )
    code = "".join(rng.choice(alphabet) for _ in range(rng.randint(2, 10)))
    return rng.choice(("", "", "#")) + code


def _slot(rng: Random) -> Slot:
    name = _name(rng)
    draw = rng.choices(list(_KINDS), [weight for _, weight in _KINDS.values()])[0]
    kind, value, shown = _KINDS[draw][0](rng)
    return Slot(name, kind, value, shown)


def _name(rng: Random) -> str:
    """Mostly a common word: what binds a value to a name is learned on names of few pieces."""
    if rng.random() < 0.65:
        return "_".join(rng.sample(common_words(), 1 if rng.random() < 0.8 else 2))
    return "_".join(_words(rng, 1, 2)) if rng.random() < 0.3 else random_word(rng)


def _string(rng: Random) -> tuple[str, str, str]:
    word = random_word(rng)
    word = word.capitalize() if rng.random() < 0.3 else word
    return "string", word, rng.choice((word, word, f'"{word}"'))


def _text(rng: Random) -> tuple[str, str, str]:
    text = " ".join(_words(rng, 2, 4))
    return "string", text, f'"{text}"'


def _enum(rng: Random) -> tuple[str, str, str]:
    options = _words(rng, 2, 5)
    value = rng.choice(options)
    return "|".join(options), value, value


def _same(kind: str, draw: Callable[[Random], Any]) -> Callable[[Random], tuple[str, Any, str]]:
    def make(rng: Random) -> tuple[str, Any, str]:
        value = draw(rng)
        return kind, value, str(value)

    return make


def _list_of(kind: str, draw: Callable[[Random], Any]) -> Callable[[Random], tuple[str, Any, str]]:
    def make(rng: Random) -> tuple[str, Any, str]:
        values = [draw(rng) for _ in range(rng.randint(2, 5))]
        return f"{kind}[]", values, ", ".join(map(str, values))

    return make


_KINDS: dict[str, tuple[Callable[[Random], tuple[str, Any, str]], int]] = {
    "string": (_string, 6),
    "text": (_text, 3),
    "enum": (_enum, 4),
    "integer": (_same("integer", random_whole), 4),
    "number": (_same("number", random_decimal), 4),
    "code": (_same("string", _symbols), 2),
    "date": (_same("date", random_date), 2),
    "time": (_same("time", random_time), 1),
    "integers": (_list_of("integer", lambda r: r.randint(0, 120)), 3),
    "numbers": (_list_of("number", lambda r: round(r.uniform(0, 120), r.randint(0, 2))), 2),
    "words": (_list_of("string", random_word), 2),
}


def _slots(rng: Random, level: Level) -> list[Slot]:
    made = {slot.name: slot for slot in (_slot(rng) for _ in range(rng.choice(level.slots)))}
    return list(made.values())


def _filler(rng: Random, most: int) -> str:
    return " ".join(rng.choice(common_words()) for _ in range(rng.randint(0, most)))


def _spoken(rng: Random, slots: Sequence[Slot], about: str, level: Level) -> str:
    """A query that mentions every slot's value, by its name or in the order of the schema."""
    named = rng.random() < level.named
    mixed = named and rng.random() < level.shuffled
    forms = (BEHIND if rng.random() < 0.2 else NAMED) if named else PLACED
    parts = [about]
    for slot in rng.sample(list(slots), len(slots)) if mixed else slots:
        name = slot.name.replace("_", " ")
        parts += [rng.choice(forms).format(name=name, value=slot.shown)]
        parts += [_filler(rng, 1)] if named else []
    if rng.random() < 0.3:
        parts = [*parts[1:], parts[0]]
    return " ".join(part for part in parts if part) + rng.choice(("", ".", "?"))


def _fill(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    """Schemas in the thought, values in the query: write the calls, read the results.

    Half of the queries about two tools are chained: the second call takes the first's result.
    """
    tools = [
        ("_".join(_words(rng, 1, 2)), _slots(rng, level)) for _ in range(rng.choice(level.tools))
    ]
    results = [_KINDS[rng.choice(list(_KINDS))][0](rng)[1] for _ in tools]
    chained = len(tools) == 2 and rng.random() < 0.5
    if chained:
        slots = tools[1][1]
        place = rng.randrange(len(slots))
        results[0] = slots[place].value
        slots[place] = replace(slots[place], shown=_link(rng))
    thought: list[Piece] = [Piece("<think>", token=True)]
    spoken, calls = [], []
    for name, slots in tools:
        about = " ".join(rng.choice(common_words()) for _ in range(rng.randint(3, 8)))
        told = rng.random() < 0.8  # else the query does not say what it is about
        spoken.append(_spoken(rng, slots, about if told else _filler(rng, 5), level))
        unused = [_slot(rng)] if rng.random() < 0.12 else []
        schema = [f"{s.name}: {s.kind}" for s in slots]
        schema += [f"{s.name}?: {s.kind} = {s.shown}" for s in unused if s not in slots]
        thought += [Piece(about, learn=told), Piece(f" {name}({', '.join(schema)})\n")]
        arguments = json.dumps({s.name: s.value for s in slots}, ensure_ascii=False)
        calls.append(f'{{"token": "{name}", "parameters": {arguments}}}')
    pieces = [*render_prompt(" ".join(spoken), frame), *thought, Piece("</think>", token=True)]
    steps = [slice(0, 1), slice(1, 2)] if chained else [slice(None)]
    for step in steps:
        call = calls[step][0] if len(calls[step]) == 1 else f"[{', '.join(calls[step])}]"
        pieces += learned(
            [Piece("<tool_call>", token=True), Piece(call), Piece("</tool_call>", token=True)]
        )
        pieces += render_environment(
            render_observations([json.dumps(r) for r in results[step]]), frame
        )
    answer = results[steps[-1]]
    said = "; ".join(r if isinstance(r, str) else json.dumps(r) for r in answer)
    return [*pieces, *learned(render_response(f"The answer is {said}.")), *learned(frame.end())]


def _link(rng: Random) -> str:
    """Words for an earlier result."""
    noun = rng.choice(("result", "answer", "value", "outcome", "number", "output"))
    return rng.choice(("the {}", "that {}", "this {}", "the {} of it", "the {} before")).format(
        noun
    )


def _answering(query: str, response: str, frame: Frame) -> list[Piece]:
    return [
        *render_prompt(query, frame),
        *learned(render_response(response)),
        *learned(frame.end()),
    ]


def _repeat(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    text = " ".join(_words(rng, 3, 9))
    query = rng.choice(("Repeat: {}", "Say {}", 'Copy "{}".', "Write {} again.")).format(text)
    return _answering(query, text, frame)


def _list(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    kind = rng.choice(("words", "integers", "numbers"))
    _, values, shown = _KINDS[kind][0](rng)
    return _answering(f"As a JSON list: {shown}", json.dumps(values), frame)


def pick_question(rng: Random, level: Level = HARD) -> tuple[str, str, list[str]]:
    """Several named values and one that is asked for: the question, that value, the others."""
    slots = list({s.name: s for s in _slots(rng, level) + _slots(rng, level)}.values())
    wanted = rng.choice(slots)
    asked = rng.choice(("What is the", "Give the", "Which"))
    forms = rng.choice(PICKED)
    told = rng.choice((". ", ", ", " ", " and ")).join(
        rng.choice(forms).format(s.name.replace("_", " "), s.shown) for s in slots
    )
    query = f"{told}. {asked} {wanted.name.replace('_', ' ')}?"
    return query, wanted.shown, [slot.shown for slot in slots if slot is not wanted]


def _pick(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    query, value, _ = pick_question(rng, level)
    return _answering(query, value, frame)


def _english(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    """One sentence of plain text."""
    return learned([Piece(rng.choice(train_sentences()))])


_TASKS: dict[str, Callable[[Random, Frame, Level], list[Piece]]] = {
    "fill": _fill,
    "repeat": _repeat,
    "pick": _pick,
    "list": _list,
    "english": _english,
}
