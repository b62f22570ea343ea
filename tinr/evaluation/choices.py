"""Multiple-choice questions about a catalogue, made from its documents alone. No model.

Every question is asked in a form that phase 1 teaches, and its options are what might
stand there: the right one first. A document that gives no wrong option, because the
catalogue says the same of the others or the tool has no such property, gives no question.

    choose_description   token -> which description        (the other tools: the nearest ones)
    choose_token         description -> which tool token
    choose_signature     token -> which signature
    choose_type          token -> the signature, or it with one type swapped
    choose_default       ... with one default changed or dropped
    choose_enum          ... with one value of an enum replaced by one of another tool
    choose_required      ... with one `?` set or removed, and the default that goes with it

The first three take their wrong options from other tools, where these are right: what makes
one likely by itself favours no side. A changed signature can be told by itself: it is of a
rarer form, or the memory of the right line needs no more than the line's beginning. `blind`
asks the same behind another tool's token and shows how much of a hit is that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import signature
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import render_question
from tinr.data.alignment_examples import TO_DOCUMENT, TO_SIGNATURE, TO_TOKEN, ask_about
from tinr.evaluation.changed_signatures import (
    Surroundings,
    changed_defaults,
    changed_enums,
    changed_needs,
    changed_types,
)
from tinr.records import ToolDoc

MINIMAL = ("choose_type", "choose_default", "choose_enum", "choose_required")
WRONG = 3  # options beside the right one, where there are as many


@dataclass(frozen=True)
class Choice:
    """A prompt and what might follow it, the right option first.

    `even`: the options are compared by their mean log-probability a token, because they are
    texts of any length; else by their sum, because they are whole replies that differ in a word.
    """

    prompt: tuple[Piece, ...]
    options: tuple[tuple[Piece, ...], ...]
    even: bool = False
    about: str = ""  # the tool


Make = Callable[[ToolDoc, Surroundings, Frame, Random], Choice]


def make_choices(catalogue: Catalogue, frame: Frame, seed: int = 0) -> dict[str, list[Choice]]:
    """Every question of every kind that the documents give, in the catalogue's order."""
    around = Surroundings(catalogue)
    made: dict[str, list[Choice]] = {}
    for kind, make in _KINDS.items():
        asked = (make(doc, around, frame, Random(f"{seed}/{kind}/{doc.name}"))
                 for doc in catalogue.tools)  # fmt: skip
        made[kind] = [choice for choice in asked if len(choice.options) > 1]
    return made


def blind(choices: Sequence[Choice], catalogue: Catalogue, frame: Frame) -> list[Choice]:
    """The same options behind the token of a tool half the catalogue away."""
    tools = catalogue.tools
    place = {doc.name: number for number, doc in enumerate(tools)}
    others = (tools[(place[c.about] + len(tools) // 2) % len(tools)] for c in choices)
    return [
        replace(choice, prompt=tuple(ask_about(other, frame, TO_SIGNATURE[0])))
        for choice, other in zip(choices, others, strict=True)
    ]


def chance(choices: Sequence[Choice]) -> float | None:
    """The share that guessing would get right: 1 / options, on the average."""
    return sum(1 / len(c.options) for c in choices) / len(choices) if choices else None


# -- the right one among those of other tools -----------------------------------------


def _description(doc: ToolDoc, around: Surroundings, frame: Frame, rng: Random) -> Choice:
    texts = _first([doc, *around.near[doc.name]], lambda one: one.description)
    options = tuple((Piece(text),) for text in texts)
    return Choice(tuple(ask_about(doc, frame, TO_DOCUMENT[0])), options, True, doc.name)


def _token(doc: ToolDoc, around: Surroundings, frame: Frame, rng: Random) -> Choice:
    """Tools that describe themselves in the same words are no wrong answers."""
    question = Piece(TO_TOKEN[0].format(doc.description))
    prompt = tuple(render_question([question], frame))
    others = [one for one in around.near[doc.name] if one.description != doc.description]
    named = [doc, *others[:WRONG]]
    options = tuple((Piece(token_of(one.name), token=True),) for one in named)
    return Choice(prompt, options, about=doc.name)


def _signature(doc: ToolDoc, around: Surroundings, frame: Frame, rng: Random) -> Choice:
    lines = _first([doc, *around.near[doc.name]], signature)
    return _lines(doc, lines, frame, even=True)


def _first(docs: Iterable[ToolDoc], text: Callable[[ToolDoc], str]) -> list[str]:
    """The first texts that differ: the right one and up to WRONG others."""
    return list(dict.fromkeys(map(text, docs)))[: WRONG + 1]


def _lines(doc: ToolDoc, lines: Iterable[str], frame: Frame, even: bool = False) -> Choice:
    """The reply to a question for the signature: a line and the end of the turn."""
    options = tuple((Piece(line), *frame.end()) for line in lines)
    return Choice(tuple(ask_about(doc, frame, TO_SIGNATURE[0])), options, even, doc.name)


# -- the right signature against itself with one property changed ---------------------


def _minimal(change: Callable[[ToolDoc, Surroundings, Random], list[str]]) -> Make:
    """The right line and the first WRONG changed ones that differ."""

    def make(doc: ToolDoc, around: Surroundings, frame: Frame, rng: Random) -> Choice:
        lines = dict.fromkeys([signature(doc), *change(doc, around, rng)])
        return _lines(doc, list(lines)[: WRONG + 1], frame)

    return make


_KINDS: Mapping[str, Make] = {
    "choose_description": _description,
    "choose_token": _token,
    "choose_signature": _signature,
    "choose_type": _minimal(changed_types),
    "choose_default": _minimal(changed_defaults),
    "choose_enum": _minimal(changed_enums),
    "choose_required": _minimal(changed_needs),
}
