"""Phase 1 examples: everything a model can be taught about a tool from its document alone.

memorise  document -> token
recall    token -> document, token -> signature (the schema in one line)
usage     the conversation format, without any real query of the tool: pseudo-queries
          written from the document, and uninformative queries, so that what follows
          the token in the thought is recalled from the token alone
Source: TInR-U, arXiv 2604.10788 (memorise + alpha recall + beta usage); the two forms of
usage are what made tools without queries callable in our trials (docs/notebook.md).
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Annotated, Any

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe, signature
from tinr.catalogue.words import invented_object, invented_result, random_word
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import cut, mark_loss, render_prompt, render_question
from tinr.config import Whole
from tinr.data.bindings import derivations
from tinr.data.pseudo_queries import VAGUE_VALUES, Wording
from tinr.data.traces import (
    MENDED_SHARE,
    answer_of,
    ask_back,
    first_try,
    planned,
    refused,
    render_plan,
    render_turns,
)
from tinr.records import Call, ToolDoc
from tool_corpora import NAMES as SHIPPED

TO_TOKEN = ("Which tool is this? {}", "Name the tool: {}", "{}")
TO_DOCUMENT = ("Document of ", "Describe ", "What does this do? ")
SEVERAL_SHARE = 0.5  # share of the pseudo-queries that ask for more than one call
NEAR_SHARE = 0.4  # share of the other tools in these that are neighbours of the first
CHAIN_SHARE = 0.3  # share of these in which a later call takes the result of an earlier one
OBJECT_SHARE = 0.6  # share of the results of tools that are not shipped
LACKING_BEFORE_TWIN = 2  # queries that lack a value before one that states it
LINKS = tuple(
    f"{determiner} {noun}{tail}"
    for determiner in ("the", "that", "this")
    for noun in ("result", "value", "number", "outcome", "output", "answer")
    for tail in ("", "", " of that", " from before", " of the first one", " you found")
)
JOINTS = ("", "", "", "Then: ", "After that: ", "Next, ", "And then: ", "Finally: ", "With it: ")
PRACTICE = ("pseudo", "naming", "blind", "lacking")  # forms that need invented calls
END_SHARE = 0.5  # share of the pseudo-queries' conversations that continue to a response
FAILING_SHARE = 0.25  # share of these in which a call fails
TO_SIGNATURE = ("Parameters of ", "How is this called? ", "Schema of ")


@dataclass(frozen=True)
class PairMix:
    """How many examples of each form a tool gets in one epoch."""

    memorise: Annotated[Whole, Doc("document -> token")] = 2
    recall: Annotated[Whole, Doc("token -> document")] = 1
    schema: Annotated[Whole, Doc("token -> signature")] = 1
    pseudo: Annotated[Whole, Doc("conversation from a pseudo-query, call included")] = 4
    naming: Annotated[Whole, Doc("the same, up to the names of the tools")] = 4
    blind: Annotated[Whole, Doc("conversation with an uninformative query")] = 1
    lacking: Annotated[
        Whole, Doc("pseudo-query without a required value: no call; every third one states it")
    ] = 1

    @classmethod
    def only(cls, **counts: int) -> "PairMix":
        """Make a mix of the forms in `counts` alone; every other form gets none."""
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
    """Make one epoch of examples for every tool of the catalogue, or for the names in `only`.

    A tool without valid invented calls (`pseudo_queries.unpractised`) gets no example with a call.
    """
    wording = Wording(catalogue)
    return (
        AlignmentExample(form, doc.name, tuple(_FORMS[form](doc, wording, frame, rng)))
        for doc in catalogue.tools
        if only is None or doc.name in only
        for form, count in vars(mix).items()
        if form not in PRACTICE or wording.practicable(doc)
        for _ in range(count)
    )


def ask_token(doc: ToolDoc, frame: Frame, wording: str = TO_TOKEN[0]) -> list[Piece]:
    """Render the prompt document -> token, up to the position of the token."""
    return render_question([Piece(wording.format(describe(doc)))], frame)


def ask_about(doc: ToolDoc, frame: Frame, wording: str) -> list[Piece]:
    """Render a prompt about a token (TO_DOCUMENT, TO_SIGNATURE), up to the answer."""
    return render_question([Piece(wording), Piece(token_of(doc.name), token=True)], frame)


def _memorise(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Ask for the token, given the whole document or its description alone."""
    template = rng.choice(TO_TOKEN)
    text = describe(doc) if rng.random() < 0.6 else doc.description
    prompt = render_question([Piece(template.format(text))], frame)
    return [*prompt, *mark_loss([Piece(token_of(doc.name), token=True), *frame.end()])]


def _recall(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_DOCUMENT))
    return [*prompt, *mark_loss([Piece(describe(doc)), *frame.end()])]


def _schema(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    prompt = ask_about(doc, frame, rng.choice(TO_SIGNATURE))
    return [*prompt, *mark_loss([Piece(signature(doc)), *frame.end()])]


def _pseudo(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Put one to three pseudo-queries in one message, like real ones, with their calls.

    CHAIN_SHARE of the messages with several calls are a chain: the later call takes the earlier
    result. END_SHARE of the conversations continue to their end: an invented result and a response
    that repeats it. Without such ends a model with phase 1 alone never ends a reply. In
    FAILING_SHARE of these a call fails; it is mended, or the response reports the error.
    """
    several = rng.random() < SEVERAL_SHARE
    if several and rng.random() < CHAIN_SHARE and (chain := _chain(doc, wording, rng)):
        text, docs, turns, results = chain
    else:
        text, docs, calls = _requests(doc, several, wording, rng)
        turns, results = [calls], [invented_result(rng) for _ in calls]
    documents, failure = wording.catalogue.by_name, None
    last = _last_observations(turns[-1], results[-len(turns[-1]) :], documents, rng)
    observations = [*map(json.dumps, results[: -len(last)]), *last]
    ends = rng.random() < END_SHARE
    response = answer_of(last) if ends else None
    fails = ends and rng.random() < FAILING_SHARE
    if fails and rng.random() < MENDED_SHARE:
        failure = first_try(turns, documents, text, rng)
    plan = render_plan(
        docs, lines=derivations(text, planned(turns, failure), observations, documents)
    )
    if fails and failure is None:
        turns, observations, response = refused(turns, observations, rng)
    return [
        *render_prompt(text, frame),
        *(plan if failure and failure.misled else mark_loss(plan)),
        *render_turns(turns, observations, response, frame, failure),
    ]


def _last_observations(
    calls: Sequence[Call], results: Sequence[Any], documents: Mapping[str, ToolDoc], rng: Random
) -> list[str]:
    """Write the results of the last turn as JSON, in OBJECT_SHARE of the draws as an object.

    Results of the shipped tools are always plain values. A model that was never shown an object
    in a response closes it like a call.
    """
    texts: list[str] = []
    for call, result in zip(calls, results, strict=True):
        may_be_object = documents[call.name].source not in SHIPPED
        if may_be_object and rng.random() < OBJECT_SHARE:
            separators = (", ", ": ") if rng.random() < 0.5 else (",", ":")
            made = invented_object(rng, call.arguments)
            value = made if rng.random() < 0.8 else [made, invented_object(rng, {})]
            texts.append(cut(json.dumps(value, separators=separators)))
        else:
            texts.append(json.dumps(result))
    return texts


def _chain(
    doc: ToolDoc, wording: Wording, rng: Random
) -> tuple[str, list[ToolDoc], list[list[Call]], list[Any]] | None:
    """Write two pseudo-queries; the second takes the result of the first.

    Return None for a tool that takes no open value. The first result is invented: a value that
    fits the parameter of the second call.
    """
    required_names = needed_parameters(doc, wording)
    if not required_names or len(wording.catalogue.tools) < 2:
        return None
    first_tool = wording.another(rng, near=_near(doc, rng))
    link = rng.choice(required_names)
    first_text, first_call = wording.write(first_tool, rng)
    second_text, second_call = wording.write(doc, rng, said={link: rng.choice(LINKS)})
    text = f"{first_text} {rng.choice(JOINTS)}{second_text}"
    return (
        text,
        [first_tool, doc],
        [[first_call], [second_call]],
        [second_call.arguments[link], invented_result(rng)],
    )


def _near(doc: ToolDoc, rng: Random) -> ToolDoc | None:
    """Return the tool in NEAR_SHARE of the draws: its message then also asks for a neighbour."""
    return doc if rng.random() < NEAR_SHARE else None


def _naming(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Render pseudo-queries up to the tools' names: half as long, so a tool gets more wordings."""
    text, docs, calls = _requests(doc, rng.random() < SEVERAL_SHARE, wording, rng)
    lines = derivations(text, [calls], docs=wording.catalogue.by_name)
    return [*render_prompt(text, frame), *mark_loss(render_plan(docs, lines=lines))]


def _requests(
    doc: ToolDoc, several: bool, wording: Wording, rng: Random
) -> tuple[str, list[ToolDoc], list[Call]]:
    docs, tools = [doc], wording.catalogue.tools
    if several and len(tools) > 3:
        sample = {
            tool.name: tool
            for _ in range(rng.choice((1, 1, 1, 2)))
            for tool in [wording.another(rng, near=_near(doc, rng))]
        }
        docs += [candidate for candidate in sample.values() if candidate.name != doc.name]
    requests = [wording.write(tool, rng) for tool in docs]
    return " ".join(text for text, _ in requests), docs, [call for _, call in requests]


def _blind(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Name a tool in the thought although the query is about another tool, or about nothing.

    The token carries no loss. What the model recalls about the tool and the name after it carry
    loss: they depend on the token, never on the query.
    """
    text = (
        wording.write(wording.another(rng), rng)[0]
        if rng.random() < 0.5
        else " ".join(random_word(rng) for _ in range(rng.randint(0, 8)))
    )
    prompt = render_prompt(text, frame)
    thought = render_plan([doc])
    token_index = next(i for i, piece in enumerate(thought) if piece.text == token_of(doc.name))
    return [*prompt, *thought[: token_index + 1], *mark_loss(thought[token_index + 1 :])]


def _lacking(doc: ToolDoc, wording: Wording, frame: Frame, rng: Random) -> list[Piece]:
    """Omit a required value and ask for it; every third query of a tool states it and calls.

    The third differs from the second only in the value: without it, the model would treat any odd
    wording as a missing value. If no value can be omitted, this is a complete pseudo-query.
    """
    needed_names = needed_parameters(doc, wording)
    if not needed_names:
        return _pseudo(doc, wording, frame, rng)
    written = wording.lacking.setdefault(doc.name, [])
    if len(written) == LACKING_BEFORE_TWIN:
        seed, values = written.pop()
        written.clear()
        text, call = wording.write(doc, Random(seed), values=values)
        plan = render_plan([doc], lines=derivations(text, [[call]], docs=wording.catalogue.by_name))
        turns = render_turns([[call]], [""], None, frame)
        return [*render_prompt(text, frame), *mark_loss(plan), *turns]
    name, vague, seed = rng.choice(needed_names), rng.choice(VAGUE_VALUES), rng.random()
    values = wording.drawer(doc).draw(rng)
    written.append((seed, values))
    text, _ = wording.write(doc, Random(seed), {name: vague}, values)
    return [*render_prompt(text, frame), *mark_loss(ask_back(name, frame))]


def needed_parameters(doc: ToolDoc, wording: Wording) -> list[str]:
    """Return the required parameters whose values are open: no enumeration and no boolean."""
    drawer, required = wording.drawer(doc), doc.parameters.get("required", ())
    schemas = {
        name: drawer.resolved(name)
        for name in doc.parameters.get("properties", {})
        if name in required
    }
    return [
        name
        for name, schema in schemas.items()
        if not {"enum", "const"} & set(schema) and schema.get("type") != "boolean"
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
