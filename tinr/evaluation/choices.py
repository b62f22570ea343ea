"""Multiple-choice questions about a catalogue, made from its documents alone. No model.

Every question has a form that phase 1 teaches. The right option comes first. Every wrong option
comes from another tool of the catalogue, so the model has memorised all options equally well and
only the tool decides. A document without a wrong option gives no question: the catalogue describes
the other tools in the same words, or the tool has no such property.

    choose_description   token -> which description      (wrong: those of the nearest tools)
    choose_token         description -> which tool token
    choose_signature     token -> which signature
    choose_type          ... among signatures with other types
    choose_default       ... with other defaults
    choose_enum          ... with other enumerations
    choose_required      ... with other required flags

In the last four, wrong options differ in the property and in as few others as the catalogue
allows, nearest tools first. `blind` asks the same about a tool half the catalogue away: the share
of right answers there shows no knowledge of the tool.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import signature
from tinr.catalogue.similar import nearest_neighbours
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import render_question
from tinr.data.alignment_examples import TO_DOCUMENT, TO_SIGNATURE, TO_TOKEN, ask_about
from tinr.records import ToolDoc

NEIGHBOURS = 64  # nearest tools that supply wrong options
WRONG = 3  # maximum wrong options per question


@dataclass(frozen=True)
class Choice:
    """A prompt and its options, the right one first.

    `even`: options are compared by mean log-probability per token, because they are texts of any
    length; otherwise by the sum, because they are whole replies that differ in one word.
    """

    prompt: tuple[Piece, ...]
    options: tuple[tuple[Piece, ...], ...]
    even: bool = False
    about: str = ""  # the tool
    asks: str = "signature"  # key of _PROMPTS


@dataclass(frozen=True)
class Subject:
    """A tool with the nearest other tools, nearest first."""

    doc: ToolDoc
    near: tuple[ToolDoc, ...]


Make = Callable[[Subject, Frame], Choice]


def make_choices(catalogue: Catalogue, frame: Frame) -> dict[str, list[Choice]]:
    """Kind -> all its questions that the documents give, in the catalogue's order."""
    neighbours = nearest_neighbours(catalogue.tools, NEIGHBOURS)
    subjects = [
        Subject(doc, tuple(catalogue.by_name[name] for name in neighbours[doc.name]))
        for doc in catalogue.tools
    ]
    choices_by_kind: dict[str, list[Choice]] = {}
    for kind, make in _KINDS.items():
        choices = (make(subject, frame) for subject in subjects)
        choices_by_kind[kind] = [choice for choice in choices if len(choice.options) > 1]
    return choices_by_kind


def blind(choices: Sequence[Choice], catalogue: Catalogue, frame: Frame) -> list[Choice]:
    """The same options after the question about a tool half the catalogue away."""
    tools = catalogue.tools
    positions = {doc.name: number for number, doc in enumerate(tools)}
    distant_tools = (tools[(positions[c.about] + len(tools) // 2) % len(tools)] for c in choices)
    return [
        replace(choice, prompt=tuple(_PROMPTS[choice.asks](tool, frame)))
        for choice, tool in zip(choices, distant_tools, strict=True)
    ]


def chance(choices: Sequence[Choice]) -> float | None:
    """The expected share of right guesses: the mean of 1 / options."""
    return sum(1 / len(c.options) for c in choices) / len(choices) if choices else None


_PROMPTS: Mapping[str, Callable[[ToolDoc, Frame], Sequence[Piece]]] = {
    "description": lambda doc, frame: ask_about(doc, frame, TO_DOCUMENT[0]),
    "token": lambda doc, frame: render_question(
        [Piece(TO_TOKEN[0].format(doc.description))], frame
    ),
    "signature": lambda doc, frame: ask_about(doc, frame, TO_SIGNATURE[0]),
}


def _choice(subject: Subject, frame: Frame, asks: str, texts: Iterable[str]) -> Choice:
    """A question with the first distinct texts as options: the right one and up to WRONG others."""
    different_texts = list(dict.fromkeys(texts))[: WRONG + 1]
    options = tuple((Piece(text, token=asks == "token"),) for text in different_texts)
    prompt = tuple(_PROMPTS[asks](subject.doc, frame))
    return Choice(prompt, options, asks != "token", subject.doc.name, asks)


def _description(subject: Subject, frame: Frame) -> Choice:
    texts = [doc.description for doc in (subject.doc, *subject.near)]
    return _choice(subject, frame, "description", texts)


def _token(subject: Subject, frame: Frame) -> Choice:
    """Options exclude tools with the same description: they would not be wrong."""
    rivals = (doc for doc in subject.near if doc.description != subject.doc.description)
    return _choice(subject, frame, "token", [token_of(doc.name) for doc in (subject.doc, *rivals)])


def _signature(subject: Subject, frame: Frame) -> Choice:
    return _choice(subject, frame, "signature", map(signature, (subject.doc, *subject.near)))


def _property(name: str) -> Make:
    """Ask for the signature among others that differ in a property and in little else."""

    def make(subject: Subject, frame: Frame) -> Choice:
        own = _properties(subject.doc)
        rivals = [
            (sum(own[other] != rival[other] for other in own), place, doc)
            for place, doc in enumerate(subject.near)
            for rival in [_properties(doc)]
            if own[name] and rival[name] and own[name] != rival[name]
        ]
        docs = [doc for *_, doc in sorted(rivals, key=lambda rival: rival[:2])]
        return _choice(subject, frame, "signature", map(signature, (subject.doc, *docs)))

    return make


def _properties(doc: ToolDoc) -> dict[str, tuple[str, ...]]:
    """Property -> what the signature says about it, over all parameters."""
    required = doc.parameters.get("required", ())
    specs = {
        name: spec if isinstance(spec, Mapping) else {}
        for name, spec in doc.parameters.get("properties", {}).items()
    }
    return {
        "type": tuple(_type(spec) for spec in specs.values() if not _enum(spec)),
        "default": tuple(repr(spec["default"]) for spec in specs.values() if "default" in spec),
        "enum": tuple(repr(_enum(spec)) for spec in specs.values() if _enum(spec)),
        "required": tuple("needed" if name in required else "optional" for name in specs),
    }


def _type(spec: Mapping[str, Any]) -> str:
    """The type of a value, and of the items of a list."""
    schemas = [s for s in (spec, spec.get("items")) if isinstance(s, Mapping)]
    kinds = [str(schema.get("format", schema.get("type", "any"))) for schema in schemas]
    return " of ".join(kinds)


def _enum(spec: Mapping[str, Any]) -> Sequence[Any]:
    """The values that a property, or an array's items, may have."""
    items = spec.get("items")
    for schema in (spec, items):
        if isinstance(schema, Mapping) and isinstance(schema.get("enum"), list):
            return schema["enum"]
    return ()


_KINDS: Mapping[str, Make] = {
    "choose_description": _description,
    "choose_token": _token,
    "choose_signature": _signature,
    "choose_type": _property("type"),
    "choose_default": _property("default"),
    "choose_enum": _property("enum"),
    "choose_required": _property("required"),
}
