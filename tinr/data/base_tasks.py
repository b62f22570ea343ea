"""Generic skills for a base model: each task is a conversation about invented things.

Values are open (random words, numbers, dates, lists), because a model would memorise closed lists
instead of copying. The context contains a schema. The model fills in its call from the query and
reads an observation.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from string import ascii_lowercase
from typing import Any

from tinr.catalogue.english import common_words, train_sentences
from tinr.catalogue.words import (
    random_date,
    random_decimal,
    random_time,
    random_whole,
    random_word,
)
from tinr.chat.codec import Frame, Piece
from tinr.chat.render import (
    mark_loss,
    render_environment,
    render_observations,
    render_prompt,
    render_response,
)


@dataclass(frozen=True)
class Level:
    """Difficulty of the tasks: the share of each kind, tools, parameters per tool, and cues.

    A model first learns to copy on easy tasks. It learns to bind a value to its parameter's name
    from queries that name several parameters in an order other than the schema's.
    """

    mix: Mapping[str, int]
    slots: tuple[int, ...]
    named: float  # share of queries that name their parameters
    shuffled: float  # share of these in which the order is not the schema's
    tools: tuple[int, ...]  # per query


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

NAME_VALUE_FORMS = (
    "{name} {value}",
    "{name} is {value}",
    "with {name} of {value}",
    "{name}: {value}",
)
VALUE_NAME_FORMS = ("{value} {name}",)  # the name follows its value: never mixed with other forms
PICK_FORMS = (("The {} is {}", "My {} is {}", "{}: {}"), ("{} {}",), ("{} is {}", "{} {}"))
VALUE_FORMS = ("{value}", "of {value}", "to {value}", "from {value}", "for {value}", "and {value}")


@dataclass(frozen=True)
class Slot:
    """An invented parameter with its value, in the forms of the schema, the query and the call."""

    name: str
    kind: str
    value: Any
    shown: str


def make_task(rng: Random, frame: Frame, level: Level = HARD) -> list[Piece]:
    """Draw a task of the mix: the pieces of a conversation; the assistant's carry loss."""
    kind = rng.choices(list(level.mix), list(level.mix.values()))[0]
    return _TASKS[kind](rng, frame, level)


def _words(rng: Random, minimum: int, maximum: int) -> list[str]:
    return [random_word(rng) for _ in range(rng.randint(minimum, maximum))]


def _symbols(rng: Random) -> str:
    """Make a code of letters, digits and symbols, like an identifier or a colour."""
    alphabet = rng.choice(
        ("0123456789abcdef", "01", "ABCDEFGH0123456789", "abcxyz-+*/()", ascii_lowercase + "-._@")
    )
    code = "".join(rng.choice(alphabet) for _ in range(rng.randint(2, 10)))
    return rng.choice(("", "", "#")) + code


def _slot(rng: Random) -> Slot:
    name = _name(rng)
    draw = rng.choices(list(_KINDS), [weight for _, weight in _KINDS.values()])[0]
    kind, value, text = _KINDS[draw][0](rng)
    return Slot(name, kind, value, text)


def _name(rng: Random) -> str:
    """Draw a name, mostly a common word: names of few tokens teach binding a value to a name."""
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


def _scalar_of(
    kind: str, draw: Callable[[Random], Any]
) -> Callable[[Random], tuple[str, Any, str]]:
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
    "integer": (_scalar_of("integer", random_whole), 4),
    "number": (_scalar_of("number", random_decimal), 4),
    "code": (_scalar_of("string", _symbols), 2),
    "date": (_scalar_of("date", random_date), 2),
    "time": (_scalar_of("time", random_time), 1),
    "integers": (_list_of("integer", lambda r: r.randint(0, 120)), 3),
    "numbers": (_list_of("number", lambda r: round(r.uniform(0, 120), r.randint(0, 2))), 2),
    "words": (_list_of("string", random_word), 2),
}


def _slots(rng: Random, level: Level) -> list[Slot]:
    slots = {slot.name: slot for slot in (_slot(rng) for _ in range(rng.choice(level.slots)))}
    return list(slots.values())


def _filler(rng: Random, maximum: int) -> str:
    return " ".join(rng.choice(common_words()) for _ in range(rng.randint(0, maximum)))


def _query_text(rng: Random, slots: Sequence[Slot], topic: str, level: Level) -> str:
    """Write a query that mentions every slot's value, by name or in the order of the schema."""
    with_names = rng.random() < level.named
    out_of_order = with_names and rng.random() < level.shuffled
    forms = (
        (VALUE_NAME_FORMS if rng.random() < 0.2 else NAME_VALUE_FORMS)
        if with_names
        else VALUE_FORMS
    )
    parts = [topic]
    for slot in rng.sample(list(slots), len(slots)) if out_of_order else slots:
        name = slot.name.replace("_", " ")
        parts += [rng.choice(forms).format(name=name, value=slot.shown)]
        parts += [_filler(rng, 1)] if with_names else []
    if rng.random() < 0.3:
        parts = [*parts[1:], parts[0]]
    return " ".join(part for part in parts if part) + rng.choice(("", ".", "?"))


def _fill(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    """Make a task with schemas in the thought and values in the query: calls, then results.

    Half of the queries about two tools are chains: the second call takes the first one's result.
    """
    tools = [
        ("_".join(_words(rng, 1, 2)), _slots(rng, level)) for _ in range(rng.choice(level.tools))
    ]
    results = [_KINDS[rng.choice(list(_KINDS))][0](rng)[1] for _ in tools]
    is_chain = len(tools) == 2 and rng.random() < 0.5
    if is_chain:
        slots = tools[1][1]
        index = rng.randrange(len(slots))
        results[0] = slots[index].value
        slots[index] = replace(slots[index], shown=_link(rng))
    thought: list[Piece] = [Piece("<think>", token=True)]
    query_texts, calls = [], []
    for name, slots in tools:
        topic = " ".join(rng.choice(common_words()) for _ in range(rng.randint(3, 8)))
        has_topic = rng.random() < 0.8  # else the query does not say what it is about
        query_texts.append(_query_text(rng, slots, topic if has_topic else _filler(rng, 5), level))
        unused_slots = [_slot(rng)] if rng.random() < 0.12 else []
        schema = [f"{s.name}: {s.kind}" for s in slots]
        schema += [f"{s.name}?: {s.kind} = {s.shown}" for s in unused_slots if s not in slots]
        thought += [Piece(topic, learn=has_topic), Piece(f" {name}({', '.join(schema)})\n")]
        arguments = json.dumps({s.name: s.value for s in slots}, ensure_ascii=False)
        calls.append(f'{{"token": "{name}", "parameters": {arguments}}}')
    pieces = [*render_prompt(" ".join(query_texts), frame), *thought, Piece("</think>", token=True)]
    steps = [slice(0, 1), slice(1, 2)] if is_chain else [slice(None)]
    for step in steps:
        call = calls[step][0] if len(calls[step]) == 1 else f"[{', '.join(calls[step])}]"
        pieces += mark_loss(
            [Piece("<tool_call>", token=True), Piece(call), Piece("</tool_call>", token=True)]
        )
        pieces += render_environment(
            render_observations([json.dumps(r) for r in results[step]]), frame
        )
    answer = results[steps[-1]]
    answer_text = "; ".join(r if isinstance(r, str) else json.dumps(r) for r in answer)
    return [
        *pieces,
        *mark_loss(render_response(f"The answer is {answer_text}.")),
        *mark_loss(frame.end()),
    ]


def _link(rng: Random) -> str:
    """Draw words that refer to an earlier result."""
    noun = rng.choice(("result", "answer", "value", "outcome", "number", "output"))
    return rng.choice(("the {}", "that {}", "this {}", "the {} of it", "the {} before")).format(
        noun
    )


def _question_and_answer(query: str, response: str, frame: Frame) -> list[Piece]:
    return [
        *render_prompt(query, frame),
        *mark_loss(render_response(response)),
        *mark_loss(frame.end()),
    ]


def _repeat(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    text = " ".join(_words(rng, 3, 9))
    query = rng.choice(("Repeat: {}", "Say {}", 'Copy "{}".', "Write {} again.")).format(text)
    return _question_and_answer(query, text, frame)


def _list(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    kind = rng.choice(("words", "integers", "numbers"))
    _, values, text = _KINDS[kind][0](rng)
    return _question_and_answer(f"As a JSON list: {text}", json.dumps(values), frame)


def pick_question(rng: Random, level: Level = HARD) -> tuple[str, str, list[str]]:
    """Ask for one of several named values; return the question, that value, and the others."""
    slots = list({s.name: s for s in _slots(rng, level) + _slots(rng, level)}.values())
    target = rng.choice(slots)
    opening = rng.choice(("What is the", "Give the", "Which"))
    forms = rng.choice(PICK_FORMS)
    facts = rng.choice((". ", ", ", " ", " and ")).join(
        rng.choice(forms).format(s.name.replace("_", " "), s.shown) for s in slots
    )
    query = f"{facts}. {opening} {target.name.replace('_', ' ')}?"
    return query, target.shown, [slot.shown for slot in slots if slot is not target]


def _pick(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    query, value, _ = pick_question(rng, level)
    return _question_and_answer(query, value, frame)


def _english(rng: Random, frame: Frame, level: Level) -> list[Piece]:
    """Draw one sentence of plain text."""
    return mark_loss([Piece(rng.choice(train_sentences()))])


_TASKS: dict[str, Callable[[Random, Frame, Level], list[Piece]]] = {
    "fill": _fill,
    "repeat": _repeat,
    "pick": _pick,
    "list": _list,
    "english": _english,
}
