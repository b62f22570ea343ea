"""Phase 1 examples: everything a model can be taught about a tool from its document alone.

memorise  document -> token
recall    token -> document, token -> signature (the schema in one line)
usage     the conversation's own frame, without any query of the tool: pseudo-queries
          worded from the document, and queries that say nothing useful, so that what
          follows the token in the thought is recalled from the token alone
Source: TInR-U, arXiv 2604.10788 (memorise + alpha recall + beta usage); the two forms of
usage are what made tools without queries callable in our trials (docs/notebook.md).
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from random import Random
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe, signature
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import learned, render_prompt, render_question
from tinr.config import Whole
from tinr.data.pseudo_queries import VAGUE, Wording
from tinr.data.sample_words import invented_result, random_word
from tinr.data.traces import ask_back, plan, render_turns
from tinr.records import Call, ToolDoc

TO_TOKEN = ("Which tool is this? {}", "Name the tool: {}", "{}")
TO_DOCUMENT = ("Document of ", "Describe ", "What does this do? ")
SEVERAL = 0.4  # share of the pseudo-queries that ask for more than one call
CHAINED = 0.4  # share of these in which a later call takes what an earlier one returned
LINKS = tuple(
    f"{which} {what}{whose}"
    for which in ("the", "that", "this")
    for what in ("result", "value", "number", "outcome", "output", "answer")
    for whose in ("", "", " of that", " from before", " of the first one", " you found")
)
JOINTS = ("", "", "", "Then: ", "After that: ", "Next, ", "And then: ", "Finally: ", "With it: ")
ENDED = 0.5  # share of the pseudo-queries' conversations that go on to a response
TO_SIGNATURE = ("Parameters of ", "How is this called? ", "Schema of ")


@dataclass(frozen=True)
class PairMix:
    """How many examples of each form a tool gets in one epoch."""

    memorise: Annotated[Whole, Doc("document -> token")] = 2
    recall: Annotated[Whole, Doc("token -> document")] = 1
    schema: Annotated[Whole, Doc("token -> signature")] = 1
    pseudo: Annotated[Whole, Doc("conversation from a pseudo-query, call included")] = 4
    naming: Annotated[Whole, Doc("the same, up to the names of the tools")] = 4
    blind: Annotated[Whole, Doc("conversation whose query says nothing useful")] = 1
    lacking: Annotated[
        Whole, Doc("pseudo-query without a needed value: no call, but a question back")
    ] = 1

    @classmethod
    def only(cls, **counts: int) -> "PairMix":
        """The forms that are named, and none of any other, whatever the defaults are."""
        return cls(**(dict.fromkeys((form.name for form in fields(cls)), 0) | counts))


@dataclass(frozen=True)
class AlignmentExample:
    """One example: its form ("memorise", ...), the tool it is about, and its pieces."""

    form: str
    tool: str
    pieces: tuple[Piece, ...]


def make_pairs(
    catalogue: Catalogue,
    frame: Frame,
    mix: PairMix,
    rng: Random,
    only: Collection[str] | None = None,
) -> Iterator[AlignmentExample]:
    """One epoch of examples over every tool of the catalogue, or over those named `only`."""
    wording = Wording(catalogue)
    return (
        AlignmentExample(form, doc.name, tuple(_FORMS[form](doc, wording, frame, rng)))
        for doc in catalogue.tools
        if only is None or doc.name in only
        for form, count in vars(mix).items()
        for _ in range(count)
    )


def ask_token(doc: ToolDoc, frame: Frame, wording: str = TO_TOKEN[0]) -> list[Piece]:
    """The prompt document -> token, up to where the token stands."""
    return render_question([Piece(wording.format(describe(doc)))], frame)


def ask_about(doc: ToolDoc, frame: Frame, wording: str) -> list[Piece]:
    """A prompt about a token (TO_DOCUMENT, TO_SIGNATURE), up to the answer."""
    return render_question([Piece(wording), Piece(token_of(doc.name), token=True)], frame)


def _memorise(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """From the whole document, or from its description alone."""
    ask = rng.choice(TO_TOKEN)
    text = describe(doc) if rng.random() < 0.6 else doc.description
    prompt = render_question([Piece(ask.format(text))], frame)
    return [*prompt, *learned([Piece(token_of(doc.name), token=True), *frame.end()])]


def _recall(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_DOCUMENT))
    return [*prompt, *learned([Piece(describe(doc)), *frame.end()])]


def _schema(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_SIGNATURE))
    return [*prompt, *learned([Piece(signature(doc)), *frame.end()])]


def _pseudo(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """One to three pseudo-queries in one message, as real ones come, with their calls.

    Of several, CHAINED are a chain: the later call takes what the earlier one returned. Half of
    the conversations go on to their end: an invented result, and a response that repeats it.
    Without them a model that was only aligned never ends a reply.
    """
    if rng.random() < CHAINED * SEVERAL and (chain := _chain(doc, wording, rng)):
        text, docs, turns, results = chain
    else:
        text, docs, calls = _asked(doc, wording, rng)
        turns, results = [calls], [invented_result(rng) for _ in calls]
    start = [*render_prompt(text, frame), *learned(plan(docs))]
    observations = [json.dumps(result) for result in results]
    if rng.random() >= ENDED:
        return [*start, *render_turns(turns, observations, None, frame)]
    said = results[-1:] if len(turns) > 1 else results
    answer = "; ".join(r if isinstance(r, str) else json.dumps(r) for r in said)
    return [*start, *render_turns(turns, observations, f"The answer is {answer}.", frame)]


def _chain(
    doc: ToolDoc, wording: Wording, rng: Random
) -> tuple[str, list[ToolDoc], list[list[Call]], list[Any]] | None:
    """Two pseudo-queries of which the second takes the result of the first; None for a tool that
    takes no open value.

    What the first returns is invented: a value that fits where the second takes it.
    """
    required = [name for name in open_parameters(doc) if name in doc.parameters.get("required", ())]
    if not required or len(wording.catalogue.tools) < 2:
        return None
    first = rng.choice(wording.catalogue.tools)
    link = rng.choice(required)
    asked, earlier = wording.write(first, rng)
    then, later = wording.write(doc, rng, said={link: rng.choice(LINKS)})
    text = f"{asked} {rng.choice(JOINTS)}{then}"
    docs = list({one.name: one for one in (first, doc)}.values())
    return text, docs, [[earlier], [later]], [later.arguments[link], invented_result(rng)]


def _naming(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Pseudo-queries up to the tools' names: half as long, for more wordings of a tool."""
    text, docs, _ = _asked(doc, wording, rng)
    return [*render_prompt(text, frame), *learned(plan(docs))]


def _asked(doc: ToolDoc, wording: Wording, rng: Random) -> tuple[str, list[ToolDoc], list[Call]]:
    docs, tools = [doc], wording.catalogue.tools
    if len(tools) > 3 and rng.random() < SEVERAL:
        others = rng.sample(tools, rng.choice((1, 1, 1, 2)))
        docs += [other for other in others if other.name != doc.name]
    asked = [wording.write(one, rng) for one in docs]
    return " ".join(text for text, _ in asked), docs, [call for _, call in asked]


def _blind(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """The thought names a tool although the query speaks of something else, or of nothing.

    That token carries no loss; what is recalled of it, and the name after it, do: they are
    read off the token, never off the query.
    """
    other = rng.choice(wording.catalogue.tools)
    text = (
        wording.write(other, rng)[0]
        if rng.random() < 0.5
        else " ".join(random_word(rng) for _ in range(rng.randint(0, 8)))
    )
    prompt = render_prompt(text, frame)
    thought = plan([doc])
    named = next(i for i, piece in enumerate(thought) if piece.text == token_of(doc.name))
    return [*prompt, *thought[: named + 1], *learned(thought[named + 1 :])]


def _lacking(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """A needed value is only spoken of; a tool that needs none gets a whole pseudo-query."""
    needed = [name for name in open_parameters(doc) if name in doc.parameters.get("required", ())]
    if not needed:
        return _pseudo(doc, wording, frame, rng)
    name = rng.choice(needed)
    text, _ = wording.write(doc, rng, said={name: rng.choice(VAGUE)})
    return [*render_prompt(text, frame), *learned(ask_back(name, frame))]


def open_parameters(doc: ToolDoc) -> list[str]:
    """The parameters whose values are neither a choice nor a switch."""
    return [
        name
        for name, spec in doc.parameters.get("properties", {}).items()
        if isinstance(spec, Mapping) and "enum" not in spec and spec.get("type") != "boolean"
    ]


_FORMS: Mapping[str, Callable[[ToolDoc, Wording, Frame, Random], list[Piece]]] = {
    "memorise": _memorise,
    "recall": _recall,
    "schema": _schema,
    "pseudo": _pseudo,
    "naming": _naming,
    "blind": _blind,
    "lacking": _lacking,
}
