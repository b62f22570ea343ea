"""Render conversations as pieces: every tag and prompt. `tinr.chat.parse` is the inverse.

assistant  <think> reasoning, naming tool tokens </think>
           <tool_token> one token per line </tool_token>
tool       documents of the named tools                      (on_select only)
assistant  <tool_call> JSON object or list </tool_call>
tool       <obs> ... </obs>
assistant  <response> final answer </response>
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from tinr.catalogue.render import describe
from tinr.chat.codec import Frame, Piece, token_of
from tinr.records import Call, Message, ToolDoc

SYSTEM = "Think, name the tools, call them, then answer."
OBSERVATION_CHARACTERS = 400  # longest observation; longer ones are cut


def render_prompt(
    query: str,
    frame: Frame,
    history: Sequence[Message] = (),
    documents: Sequence[ToolDoc] = (),
) -> list[Piece]:
    """Render system message, history, query, and the opening of the assistant's turn.

    The single system message has our own line, the text of the history's system messages, and the
    documents (modes in_prompt and retrieved).
    """
    rules = [message.content for message in history if message.role == "system"]
    system = "\n".join([SYSTEM, *(rule for rule in rules if rule != SYSTEM)])
    messages = [*(m for m in history if m.role != "system"), Message("user", query)]
    document_pieces = [Piece("\n"), *render_documents(documents)] if documents else []
    opening = [*frame.begin("system"), Piece(system), *document_pieces]
    if frame.joins_system and messages[0].role == "user":
        opening += [Piece(f"\n\n{messages.pop(0).content}")]
    past_messages = (render_message(m.role, [Piece(m.content)], frame) for m in messages)
    return [
        *frame.start_pieces(),
        *opening,
        *frame.end(),
        *itertools.chain.from_iterable(past_messages),
        *frame.begin("assistant"),
    ]


def render_question(content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """Render a question without a system message, and the opening of the assistant's turn."""
    question = render_message("user", content, frame)
    return [*frame.start_pieces(), *question, *frame.begin("assistant")]


def render_message(role: Any, content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """Render a closed message."""
    return [*frame.begin(role), *content, *frame.end()]


def render_environment(content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """Render the environment's part of a reply: close the turn, add a message, open the next."""
    return [*frame.end(), *render_message("tool", content, frame), *frame.begin("assistant")]


def render_thought(content: Sequence[Piece | str]) -> list[Piece]:
    """Render `<think>..</think>`; strings are plain text."""
    return _tagged(
        "think", [piece if isinstance(piece, Piece) else Piece(piece) for piece in content]
    )


def render_names(names: Sequence[str]) -> list[Piece]:
    """Render `<tool_token>` with one tool token per line."""
    lines = [piece for name in names for piece in (Piece(token_of(name), token=True), Piece("\n"))]
    return _tagged("tool_token", [Piece("\n"), *lines])


def render_calls(calls: Sequence[Call]) -> list[Piece]:
    """Render `<tool_call>` with a JSON object, or with a JSON list for several calls."""
    call_pieces = [_call_pieces(call) for call in calls]
    if len(call_pieces) == 1:
        return _tagged("tool_call", call_pieces[0])
    pieces = [
        piece
        for index, call_piece in enumerate(call_pieces)
        for piece in ([Piece(", ")] if index else []) + call_piece
    ]
    return _tagged("tool_call", [Piece("["), *pieces, Piece("]")])


def _call_pieces(call: Call) -> list[Piece]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return [
        Piece('{"token": "'),
        Piece(token_of(call.name), token=True),
        Piece(f'", "parameters": {arguments}}}'),
    ]


def render_response(text: str) -> list[Piece]:
    """Render `<response>..</response>`."""
    return _tagged("response", [Piece(text)])


def cut(text: str) -> str:
    """Return a short observation unchanged, and a long one as JSON with its beginning."""
    length, excerpt = OBSERVATION_CHARACTERS // 2, text
    while len(excerpt) > OBSERVATION_CHARACTERS:
        excerpt = json.dumps({"cut": text[:length]}, ensure_ascii=False)
        length //= 2
    return excerpt


def render_observations(observations: Sequence[str]) -> list[Piece]:
    """Render one `<obs>..</obs>` per call of the turn, in the order of the calls."""
    return [piece for text in observations for piece in _tagged("obs", [Piece(text)])]


def render_documents(docs: Sequence[ToolDoc]) -> list[Piece]:
    """Render the documents of the named tools, each after its token."""
    pieces: list[Piece] = []
    for doc in docs:
        pieces += [Piece(token_of(doc.name), token=True), Piece(f" {describe(doc)}\n")]
    return pieces


def mark_loss(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the same pieces with loss."""
    return [Piece(piece.text, piece.token, learn=True) for piece in pieces]


def as_text(pieces: Iterable[Piece]) -> str:
    """Return the pieces' text, for people and logs."""
    return "".join(piece.text for piece in pieces)


def _tagged(tag: str, content: Iterable[Piece]) -> list[Piece]:
    return [Piece(f"<{tag}>", token=True), *content, Piece(f"</{tag}>", token=True)]
