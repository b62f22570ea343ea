"""Phase 2 examples: reasoning traces of reference conversations.

A thought names the tool that the query needs, recalls its purpose and parameters from memory, and
states which words give them their values; the calls follow. Only the assistant's tokens carry loss.
The token comes before the description: a greedy reply then picks the most likely tool, not the most
likely first word of a description (docs/notebook.md has the figures).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tinr.catalogue.failures import invented_reason, refusal, refusal_reason, spoiled
from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import sentences, signature
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import (
    cut,
    mark_loss,
    render_calls,
    render_documents,
    render_environment,
    render_names,
    render_observations,
    render_prompt,
    render_response,
    render_thought,
)
from tinr.data.bindings import derivations
from tinr.records import UNANSWERED, Call, Mention, Query, ToolDoc

NO_TOOL = {
    "chat": "No tool is needed.",
    "missing": "A needed value is missing.",
    "foreign": "No tool fits.",
}
MENDED_SHARE = 0.5  # of the conversations with a failed call; the others report the error
MISLED_SHARE = 0.5  # of the mended ones: the thought is already wrong and has no loss
NEED_WORDS = 24  # maximum words of a description's first sentence in a thought


def render_plan(
    docs: Sequence[ToolDoc],
    thought: Sequence[str | Mention] = (),
    lines: Sequence[str] = (),
) -> list[Piece]:
    """Render the thought and the names of the tools; compose the thought if it is empty.

    lines: where the values of each call come from (`tinr.data.bindings`), for a composed thought.
    """
    parts = [_piece(part) for part in thought or compose(docs, lines)]
    names = dict.fromkeys(doc.name for doc in docs)
    return [*render_thought(parts), *render_names(list(names))]


def compose(docs: Sequence[ToolDoc], lines: Sequence[str] = ()) -> list[str | Mention]:
    """Compose a thought: for each tool its token, its purpose, its signature, its values.

    lines: where the values of each tool's call come from; empty: not stated.
    """
    thought: list[str | Mention] = []
    for number, doc in enumerate(docs):
        need = " ".join(sentences(doc)[0].split()[:NEED_WORDS])
        thought += ["\n"] if number else []
        values = f": {line}" if (line := lines[number] if lines else "") else ""
        thought += [Mention(doc.name), f" {need} ({signature(doc)}){values}"]
    return thought


def value_lines(
    query: Query, turns: Sequence[Sequence[Call]], docs: Mapping[str, ToolDoc]
) -> list[str]:
    """Derive the values of the calls of `turns` from the query.

    Values that the query does not state are derived from earlier messages of the user.
    """
    said = [message.content for message in query.history if message.role == "user"]
    text = "\n".join([query.text, *reversed(said)])
    return derivations(text, turns, query.observations, docs, query.implied)


def _piece(part: str | Mention) -> Piece | str:
    return part if isinstance(part, str) else Piece(token_of(part.tool), token=True)


@dataclass(frozen=True)
class Failure:
    """A first try that fails: its turn, its place there, the call as written, the observation.

    misled: the thought is already wrong; its line of values is about this call.
    """

    turn: int
    place: int
    call: Call
    observation: str
    misled: bool = False


def first_try(
    turns: Sequence[Sequence[Call]], docs: Mapping[str, ToolDoc], text: str, rng: Random
) -> Failure | None:
    """Invent a first try of one of the calls that its document rejects; None if it rejects none.

    The model reads the failed call and the reason, and learns the call that follows. text: the
    query.
    """
    turn = rng.randrange(len(turns))
    place = rng.randrange(len(turns[turn]))
    call = turns[turn][place]
    words = re.findall(r"[^\W\d_]{3,}", text)
    wrong_call = spoiled(call, docs[call.name], rng, words)
    return Failure(turn, place, *wrong_call, rng.random() < MISLED_SHARE) if wrong_call else None


def planned(turns: Sequence[Sequence[Call]], failure: Failure | None) -> list[list[Call]]:
    """Return the calls that the thought is about; for a misled thought, with the failing call."""
    calls = [[*turn] for turn in turns]
    if failure is not None and failure.misled:
        calls[failure.turn][failure.place] = failure.call
    return calls


def refused(
    turns: Sequence[Sequence[Call]], observations: Sequence[str], rng: Random
) -> tuple[Sequence[Sequence[Call]], list[str], str]:
    """Make one of the right calls fail permanently.

    Returns the turns up to it, the environment's observations of them, and the response.
    """
    turns = turns[: rng.randrange(len(turns)) + 1]
    before = sum(map(len, turns[:-1]))
    place = rng.randrange(len(turns[-1]))
    reason = invented_reason(turns[-1][place], rng)
    texts = [*observations[: before + len(turns[-1])]]
    texts[before + place] = refusal(reason)
    return turns, texts, answer_of(texts[before:])


def answer_of(observations: Sequence[str]) -> str:
    """State the results of the last calls in words, and why others failed."""
    reasons = [refusal_reason(text) for text in observations]
    results = [
        _bare(text) for text, reason in zip(observations, reasons, strict=True) if reason is None
    ]
    parts = [f"The answer is {'; '.join(results)}."] if results else []
    parts += [f"The tool reports an error: {reason}." for reason in reasons if reason is not None]
    return " ".join(parts)


def _bare(observation: str) -> str:
    """Return a result's text; a JSON string without its quotes."""
    try:
        value = json.loads(observation)
    except (ValueError, RecursionError):
        return observation
    return value if isinstance(value, str) else observation


def render_turns(
    turns: Sequence[Sequence[Call]],
    observations: Sequence[str],
    response: str | None,
    frame: Frame,
    failure: Failure | None = None,
) -> list[Piece]:
    """Render the calls of each turn with the environment's results, then the response.

    `observations` has the results of all calls in order. Without a response the conversation
    ends at its last calls. failure: a first try, without loss; only the right call follows it.
    """
    pieces: list[Piece] = []
    rest = list(observations)
    for number, turn in enumerate(turns):
        results, rest = rest[: len(turn)], rest[len(turn) :]
        if failure is not None and failure.turn == number:
            at = slice(failure.place, failure.place + 1)
            calls, first_results = [*turn], [*results]
            calls[at], first_results[at] = [failure.call], [failure.observation]
            pieces += render_calls(calls)
            pieces += render_environment(render_observations(first_results), frame)
            turn, results = turn[at], results[at]
        pieces += mark_loss(render_calls(turn))
        if response is None and number == len(turns) - 1:
            return pieces
        pieces += render_environment(render_observations(results), frame)
    return [*pieces, *mark_loss([*render_response(response or ""), *frame.end()])]


def render_trace(
    query: Query,
    catalogue: Catalogue,
    frame: Frame,
    on_select: bool = False,
    documents: Sequence[ToolDoc] = (),
    failing: Random | None = None,
) -> list[Piece]:
    """Render a query's reference conversation: documents in the prompt, on selection, or none.

    If the results of the calls are unknown, the conversation ends at the first turn's calls and
    names only their tools. failing: draws a call that fails; MENDED_SHARE of them are mended.
    """
    prompt = render_prompt(query.text, frame, history=query.history, documents=documents)
    if not query.turns:
        response = query.reply or query.answer or UNANSWERED
        thought = query.thought or (NO_TOOL.get(query.kind, NO_TOOL["chat"]),)
        return [*prompt, *mark_loss(without_tool(thought, response, frame))]
    has_observations = len(query.observations) == len(query.calls)
    known_turns = query.turns if has_observations else query.turns[:1]
    turns: Sequence[Sequence[Call]] = known_turns
    docs = [catalogue.by_name[call.name] for turn in turns for call in turn]
    named_docs = list({doc.name: doc for doc in docs}.values())
    document_pieces = render_environment(render_documents(named_docs), frame)
    response = spoken_answer(query) if has_observations else None
    observations = [cut(text) for text in query.observations]
    failure = None
    if failing and has_observations:
        if failing.random() < MENDED_SHARE:
            failure = first_try(turns, catalogue.by_name, query.text, failing)
        else:
            turns, observations, response = refused(turns, observations, failing)
    lines = value_lines(query, planned(known_turns, failure), catalogue.by_name)
    plan = render_plan(docs, query.thought, lines)
    return [
        *prompt,
        *(plan if failure and failure.misled and not query.thought else mark_loss(plan)),
        *(document_pieces if on_select else []),
        *render_turns(turns, observations, response, frame, failure),
    ]


def without_tool(thought: Sequence[str | Mention], response: str, frame: Frame) -> list[Piece]:
    """Render a reply without calls."""
    return [*render_thought([*map(_piece, thought)]), *render_response(response), *frame.end()]


def ask_back(parameter: str, frame: Frame) -> list[Piece]:
    """Render the reply to a query that lacks a required value."""
    return without_tool([NO_TOOL["missing"]], f"Please give the {parameter}.", frame)


def spoken_answer(query: Query) -> str:
    """Return a trace's final response; without a reference answer it repeats the results."""
    answer = query.answer
    if answer is None:
        answer = "; ".join(cut(text) for text in query.observations)
    return query.reply or f"The answer is {answer}."
