"""Multiple-choice questions about a catalogue, made from its documents alone. No model.

Every question has a form that phase 1 teaches. The right option comes first. A document without
a wrong option gives no question: the catalogue describes the other tools in the same words, or
the tool has no such property.

    choose_description   token -> which description        (the other tools: the nearest ones)
    choose_token         description -> which tool token
    choose_signature     token -> which signature
    choose_type          token -> the signature, or it with one type swapped
    choose_default       ... with one default changed or dropped
    choose_enum          ... with one value of an enum replaced by one of another tool
    choose_required      ... with one `?` set or removed, and the default that goes with it

The first three take their wrong options from other tools, where these are right: the prior
probability of a text favours no side. A changed signature can be recognised without its tool: its
form is rarer, or the beginning of the line is enough to recall the right one. `blind` asks the
same after another tool's token and so measures that part of the hits.
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
WRONG = 3  # most wrong options of a question


@dataclass(frozen=True)
class Choice:
    """A prompt and its options, the right one first.

    `even`: options are compared by mean log-probability per token, because they are texts of any
    length; else by their sum, because they are whole replies that differ in one word.
    """

    prompt: tuple[Piece, ...]
    options: tuple[tuple[Piece, ...], ...]
    even: bool = False
    about: str = ""  # the tool


Make = Callable[[ToolDoc, Surroundings, Frame, Random], Choice]


def make_choices(catalogue: Catalogue, frame: Frame, seed: int = 0) -> dict[str, list[Choice]]:
    """Every question of every kind that the documents give, in the catalogue's order."""
    surroundings = Surroundings(catalogue)
    choices_by_kind: dict[str, list[Choice]] = {}
    for kind, make in _KINDS.items():
        choices = (make(doc, surroundings, frame, Random(f"{seed}/{kind}/{doc.name}"))
                   for doc in catalogue.tools)  # fmt: skip
        choices_by_kind[kind] = [choice for choice in choices if len(choice.options) > 1]
    return choices_by_kind


def blind(choices: Sequence[Choice], catalogue: Catalogue, frame: Frame) -> list[Choice]:
    """The same options after the token of a tool half the catalogue away."""
    tools = catalogue.tools
    positions = {doc.name: number for number, doc in enumerate(tools)}
    distant_tools = (tools[(positions[c.about] + len(tools) // 2) % len(tools)] for c in choices)
    return [
        replace(choice, prompt=tuple(ask_about(tool, frame, TO_SIGNATURE[0])))
        for choice, tool in zip(choices, distant_tools, strict=True)
    ]


def chance(choices: Sequence[Choice]) -> float | None:
    """The expected share of right guesses: the mean of 1 / options."""
    return sum(1 / len(c.options) for c in choices) / len(choices) if choices else None


# -- the right one among those of other tools -----------------------------------------


def _description(doc: ToolDoc, surroundings: Surroundings, frame: Frame, rng: Random) -> Choice:
    texts = _first_texts([doc, *surroundings.near[doc.name]], lambda tool: tool.description)
    options = tuple((Piece(text),) for text in texts)
    return Choice(tuple(ask_about(doc, frame, TO_DOCUMENT[0])), options, True, doc.name)


def _token(doc: ToolDoc, surroundings: Surroundings, frame: Frame, rng: Random) -> Choice:
    """Options exclude tools with the same description: they would not be wrong."""
    question = Piece(TO_TOKEN[0].format(doc.description))
    prompt = tuple(render_question([question], frame))
    neighbours = [
        tool for tool in surroundings.near[doc.name] if tool.description != doc.description
    ]
    tools = [doc, *neighbours[:WRONG]]
    options = tuple((Piece(token_of(tool.name), token=True),) for tool in tools)
    return Choice(prompt, options, about=doc.name)


def _signature(doc: ToolDoc, surroundings: Surroundings, frame: Frame, rng: Random) -> Choice:
    lines = _first_texts([doc, *surroundings.near[doc.name]], signature)
    return _signature_choice(doc, lines, frame, even=True)


def _first_texts(docs: Iterable[ToolDoc], text: Callable[[ToolDoc], str]) -> list[str]:
    """The first texts that differ: the right one and up to WRONG others."""
    return list(dict.fromkeys(map(text, docs)))[: WRONG + 1]


def _signature_choice(
    doc: ToolDoc, lines: Iterable[str], frame: Frame, even: bool = False
) -> Choice:
    """The reply to a question for the signature: a line and the end of the turn."""
    options = tuple((Piece(line), *frame.end()) for line in lines)
    return Choice(tuple(ask_about(doc, frame, TO_SIGNATURE[0])), options, even, doc.name)


# -- the right signature against itself with one property changed ---------------------


def _changed_choice(change: Callable[[ToolDoc, Surroundings, Random], list[str]]) -> Make:
    """The right line and the first WRONG changed ones that differ."""

    def make(doc: ToolDoc, surroundings: Surroundings, frame: Frame, rng: Random) -> Choice:
        lines = dict.fromkeys([signature(doc), *change(doc, surroundings, rng)])
        return _signature_choice(doc, list(lines)[: WRONG + 1], frame)

    return make


_KINDS: Mapping[str, Make] = {
    "choose_description": _description,
    "choose_token": _token,
    "choose_signature": _signature,
    "choose_type": _changed_choice(changed_types),
    "choose_default": _changed_choice(changed_defaults),
    "choose_enum": _changed_choice(changed_enums),
    "choose_required": _changed_choice(changed_needs),
}
