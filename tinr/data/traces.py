"""Phase 2 examples: reasoning traces of reference conversations.

A thought names the tool that is needed, recalls from memory what it does and which
parameters it takes, and then the calls follow. Only the assistant's tokens carry loss.
The token stands before the description: a greedy reply then picks the likeliest tool, not
the likeliest first word of a description (docs/notebook.md has the figures).
"""

from collections.abc import Sequence

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import sentences, signature
from tinr.chat.codec import Frame, Piece, token_of
from tinr.chat.render import (
    cut,
    learned,
    render_calls,
    render_documents,
    render_environment,
    render_names,
    render_observations,
    render_prompt,
    render_response,
    render_thought,
)
from tinr.records import UNANSWERED, Call, Mention, Query, ToolDoc

NO_TOOL = {
    "chat": "No tool is needed.",
    "missing": "A needed value is missing.",
    "foreign": "No tool fits.",
}
NEED_WORDS = 24  # of a description's first sentence in a thought


def plan(docs: Sequence[ToolDoc], thought: Sequence[str | Mention] = ()) -> list[Piece]:
    """The thought, composed where none is given, and the names of the tools."""
    parts = [_piece(part) for part in thought or compose(docs)]
    names = dict.fromkeys(doc.name for doc in docs)
    return [*render_thought(parts), *render_names(list(names))]


def compose(docs: Sequence[ToolDoc]) -> list[str | Mention]:
    """A thought from the documents: token, what it does, signature, for each tool in turn."""
    thought: list[str | Mention] = []
    for number, doc in enumerate(docs):
        need = " ".join(sentences(doc)[0].split()[:NEED_WORDS])
        thought += ["\n"] if number else []
        thought += [Mention(doc.name), f" {need} ({signature(doc)})"]
    return thought


def _piece(part: str | Mention) -> Piece | str:
    return part if isinstance(part, str) else Piece(token_of(part.tool), token=True)


def render_turns(
    turns: Sequence[Sequence[Call]],
    observations: Sequence[str],
    response: str | None,
    frame: Frame,
) -> list[Piece]:
    """Calls turn by turn, each answered by the environment, then the response.

    `observations` are those of all calls in order. Without a response the conversation
    ends at its last calls.
    """
    pieces: list[Piece] = []
    left = list(observations)
    for number, turn in enumerate(turns):
        pieces += learned(render_calls(turn))
        if response is None and number == len(turns) - 1:
            return pieces
        seen, left = left[: len(turn)], left[len(turn) :]
        pieces += render_environment(render_observations(seen), frame)
    return [*pieces, *learned([*render_response(response or ""), *frame.end()])]


def render_trace(
    query: Query,
    catalogue: Catalogue,
    frame: Frame,
    on_select: bool = False,
    documents: Sequence[ToolDoc] = (),
) -> list[Piece]:
    """The reference conversation of a query: documents in the prompt, on selection, or none.

    Where it is not known what the calls return, it ends at the first turn's calls, and names
    their tools alone.
    """
    prompt = render_prompt(query.text, frame, history=query.history, documents=documents)
    if not query.turns:
        said = query.reply or query.answer or UNANSWERED
        thought = query.thought or (NO_TOOL.get(query.kind, NO_TOOL["chat"]),)
        return [*prompt, *learned(without_tool(thought, said, frame))]
    known = len(query.observations) == len(query.calls)
    turns = query.turns if known else query.turns[:1]
    docs = [catalogue.by_name[call.name] for turn in turns for call in turn]
    named = list({doc.name: doc for doc in docs}.values())
    shown = render_environment(render_documents(named), frame)
    said = spoken_answer(query) if known else None
    seen = [cut(text) for text in query.observations]
    return [
        *prompt,
        *learned(plan(docs, query.thought)),
        *(shown if on_select else []),
        *render_turns(turns, seen, said, frame),
    ]


def without_tool(thought: Sequence[str | Mention], response: str, frame: Frame) -> list[Piece]:
    """A reply that calls nothing."""
    return [*render_thought([*map(_piece, thought)]), *render_response(response), *frame.end()]


def ask_back(parameter: str, frame: Frame) -> list[Piece]:
    """The reply to a query that lacks a needed value."""
    return without_tool([NO_TOOL["missing"]], f"Please give the {parameter}.", frame)


def spoken_answer(query: Query) -> str:
    """The final response of a trace; without a reference answer, what the calls returned."""
    answer = query.answer
    if answer is None:
        answer = "; ".join(cut(text) for text in query.observations)
    return query.reply or f"The answer is {answer}."
