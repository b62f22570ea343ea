"""Phase 1 examples: everything a model can be taught about a tool from its document alone.

memorise  document -> token
recall    token -> document, token -> signature (the schema in one line)
usage     the conversation's own frame, without any query of the tool: a plain
          pseudo-query worded from the document, and queries that say nothing useful, so
          that only the recalled document in the thought decides the token
Source: TInR-U, arXiv 2604.10788 (memorise + alpha recall + beta usage); the two forms of
usage are what made tools without queries callable in our trials (docs/notebook.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tinr.catalogue import Catalogue, describe, signature
from tinr.records import Call, ToolDoc
from tinr.tokens import Frame, Piece, token_of
from tinr.transcript import learned, render_message, render_prompt
from tinr.traces import plan, render_turns
from tinr.values import random_word, schema_value

TO_TOKEN = ("Which tool is this? {}", "Name the tool: {}", "{}")
TO_DOCUMENT = ("Document of ", "Describe ", "What does this do? ")
TO_SIGNATURE = ("Parameters of ", "How is this called? ", "Schema of ")


@dataclass(frozen=True)
class PairMix:
    """How many examples of each form a tool gets in one epoch."""

    memorise: int = 2  # document -> token
    recall: int = 1  # token -> document
    schema: int = 2  # token -> signature
    pseudo: int = 3  # conversation from a pseudo-query
    blind: int = 1  # conversation whose query says nothing useful


@dataclass(frozen=True)
class Pair:
    """One example: its form ("memorise", ...), the tool it is about, and its pieces."""

    form: str
    tool: str
    pieces: tuple[Piece, ...]


def make_pairs(
    catalogue: Catalogue, frame: Frame, mix: PairMix, rng: Random
) -> list[Pair]:
    """One epoch of examples over every tool of the catalogue."""
    return [
        Pair(form, doc.name, tuple(_FORMS[form](doc, catalogue, frame, rng)))
        for doc in catalogue.tools
        for form, count in vars(mix).items()
        for _ in range(count)
    ]


def ask_token(doc: ToolDoc, frame: Frame, wording: str = TO_TOKEN[0]) -> list[Piece]:
    """The prompt document -> token, up to where the token stands."""
    question = Piece(wording.format(describe(doc)))
    return [*render_message("user", [question], frame), *frame.begin("assistant")]


def ask_about(doc: ToolDoc, frame: Frame, wording: str) -> list[Piece]:
    """A prompt about a token (TO_DOCUMENT, TO_SIGNATURE), up to the answer."""
    question = [Piece(wording), Piece(token_of(doc.name), token=True)]
    return [*render_message("user", question, frame), *frame.begin("assistant")]


def _memorise(doc: ToolDoc, catalogue: Catalogue, frame: Frame, rng: Random) -> list[Piece]:
    wording = rng.choice(TO_TOKEN)
    prompt = ask_token(doc, frame, wording)
    if rng.random() < 0.4:  # the description alone
        question = Piece(wording.format(doc.description))
        prompt = [*render_message("user", [question], frame), *frame.begin("assistant")]
    return [*prompt, *learned([Piece(token_of(doc.name), token=True), *frame.end()])]


def _recall(doc: ToolDoc, catalogue: Catalogue, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_DOCUMENT))
    return [*prompt, *learned([Piece(describe(doc)), *frame.end()])]


def _schema(doc: ToolDoc, catalogue: Catalogue, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_SIGNATURE))
    return [*prompt, *learned([Piece(signature(doc)), *frame.end()])]


def _pseudo(doc: ToolDoc, catalogue: Catalogue, frame: Frame, rng: Random) -> list[Piece]:
    """One to three pseudo-queries in one message, as real ones come."""
    docs = [doc]
    if len(catalogue.tools) > 3 and rng.random() < 0.3:
        others = rng.sample(catalogue.tools, rng.choice((1, 1, 1, 2)))
        docs += [other for other in others if other.name != doc.name]
    asked = [pseudo_query(one, rng) for one in docs]
    calls = [call for _, call in asked]
    return [
        *render_prompt(" ".join(text for text, _ in asked), frame),
        *learned(plan(docs)),
        *render_turns([calls], [], None, frame),
    ]


def _blind(doc: ToolDoc, catalogue: Catalogue, frame: Frame, rng: Random) -> list[Piece]:
    """The thought recalls the document although the query speaks of something else.

    The recalled description carries no loss; the token and its signature after it do.
    """
    other = rng.choice(catalogue.tools)
    text = (
        pseudo_query(other, rng)[0]
        if rng.random() < 0.5
        else " ".join(random_word(rng) for _ in range(rng.randint(0, 8)))
    )
    prompt = render_prompt(text, frame)
    thought = plan([doc])
    token = next(index for index, piece in enumerate(thought) if piece.token and index)
    return [*prompt, *thought[:token], *learned(thought[token:])]


_FORMS: Mapping[str, Callable[[ToolDoc, Catalogue, Frame, Random], list[Piece]]] = {
    "memorise": _memorise,
    "recall": _recall,
    "schema": _schema,
    "pseudo": _pseudo,
    "blind": _blind,
}


def pseudo_query(doc: ToolDoc, rng: Random) -> tuple[str, Call]:
    """A plain query worded from the document, with random values, and its call.

    Words of the description in their order, some left out, then each value with or
    without its parameter's name; optional parameters come half of the time.
    """
    required = set(doc.parameters.get("required", ()))
    chosen = {
        name: schema_value(rng, spec)
        for name, spec in doc.parameters.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }
    parts = [_spoken(name, value, rng) for name, value in chosen.items()]
    if rng.random() < 0.4:
        rng.shuffle(parts)
    about = _thinned(doc.description.rstrip("."), rng)
    text = [about, *parts] if rng.random() < 0.7 else [*parts, about]
    return " ".join(filter(None, text)) + rng.choice(("", ".", "?")), Call(doc.name, chosen)


def _thinned(description: str, rng: Random) -> str:
    words = description.split()
    share = rng.choice((0.0, 0.2, 0.4, 0.6))
    kept = [word for word in words if rng.random() >= share]
    if rng.random() < 0.2:
        rng.shuffle(kept)
    return " ".join(kept or words)


def _spoken(name: str, value: Any, rng: Random) -> str:
    shown = _shown(value, rng)
    name = name.replace("_", " ")
    if isinstance(value, bool):
        return f"{name} {shown}"
    return rng.choice(
        (f"{name} {shown}", f"{name} {shown}", f"{shown} {name}", shown, shown, f"with {shown}",
         f"of {shown}", f"to {shown}", f"for {shown}")
    )


def _shown(value: Any, rng: Random) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_shown(v, rng) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_shown(v, rng)}" for k, v in value.items())
    text = str(value)
    return f'"{text}"' if " " in text or rng.random() < 0.2 else text
