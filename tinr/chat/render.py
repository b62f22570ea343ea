"""Every tag and prompt: a conversation rendered as pieces. `tinr.chat.parse` is its inverse.

assistant  <think> reasoning, naming tool tokens </think>
           <tool_token> one token a line </tool_token>
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
OBSERVATION_CHARACTERS = 400  # of an observation at most; longer ones are cut


def render_prompt(
    query: str,
    frame: Frame,
    system: str = SYSTEM,
    history: Sequence[Message] = (),
    documents: Sequence[ToolDoc] = (),
) -> list[Piece]:
    """System, what was said before, user, and the opening of the assistant's turn.

    Documents (modes in_prompt and retrieved) stand in the system message.
    """
    said = (render_message(m.role, [Piece(m.content)], frame) for m in history)
    shown = [Piece("\n"), *render_documents(documents)] if documents else []
    return [
        *frame.start_pieces(),
        *render_message("system", [Piece(system), *shown], frame),
        *itertools.chain.from_iterable(said),
        *render_message("user", [Piece(query)], frame),
        *frame.begin("assistant"),
    ]


def render_question(content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """A lone question, without a system message, and the opening of the assistant's turn."""
    asked = render_message("user", content, frame)
    return [*frame.start_pieces(), *asked, *frame.begin("assistant")]


def render_message(role: Any, content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """A closed message."""
    return [*frame.begin(role), *content, *frame.end()]


def render_environment(content: Iterable[Piece], frame: Frame) -> list[Piece]:
    """What the environment adds inside a reply: it closes the turn, speaks, and hands back."""
    return [*frame.end(), *render_message("tool", content, frame), *frame.begin("assistant")]


def render_thought(content: Sequence[Piece | str]) -> list[Piece]:
    """`<think>..</think>`; strings are plain text."""
    return _tagged("think", [p if isinstance(p, Piece) else Piece(p) for p in content])


def render_names(names: Sequence[str]) -> list[Piece]:
    """`<tool_token>` with one tool token a line."""
    lines = [piece for name in names for piece in (Piece(token_of(name), token=True), Piece("\n"))]
    return _tagged("tool_token", [Piece("\n"), *lines])


def render_calls(calls: Sequence[Call]) -> list[Piece]:
    """`<tool_call>` with a JSON object, or a JSON list where there are several calls."""
    rendered = [_call_pieces(call) for call in calls]
    if len(rendered) == 1:
        return _tagged("tool_call", rendered[0])
    between = [p for n, c in enumerate(rendered) for p in ([Piece(", ")] if n else []) + c]
    return _tagged("tool_call", [Piece("["), *between, Piece("]")])


def _call_pieces(call: Call) -> list[Piece]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return [
        Piece('{"token": "'),
        Piece(token_of(call.name), token=True),
        Piece(f'", "parameters": {arguments}}}'),
    ]


def render_response(text: str) -> list[Piece]:
    """`<response>..</response>`."""
    return _tagged("response", [Piece(text)])


def cut(text: str) -> str:
    """An observation as it is shown: all of it, or its beginning and how much is left out."""
    kept, said = OBSERVATION_CHARACTERS // 2, text
    while len(said) > OBSERVATION_CHARACTERS:
        said = json.dumps({"cut": text[:kept]}, ensure_ascii=False)
        kept //= 2
    return said


def render_observations(observations: Sequence[str]) -> list[Piece]:
    """One `<obs>..</obs>` per call of the turn, in the order of the calls."""
    return [piece for text in observations for piece in _tagged("obs", [Piece(text)])]


def render_documents(docs: Sequence[ToolDoc]) -> list[Piece]:
    """The documents of the named tools, each behind its token."""
    pieces: list[Piece] = []
    for doc in docs:
        pieces += [Piece(token_of(doc.name), token=True), Piece(f" {describe(doc)}\n")]
    return pieces


def learned(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces, carrying loss."""
    return [Piece(piece.text, piece.token, learn=True) for piece in pieces]


def as_text(pieces: Iterable[Piece]) -> str:
    """The pieces' text, for people and logs."""
    return "".join(piece.text for piece in pieces)


def _tagged(tag: str, content: Iterable[Piece]) -> list[Piece]:
    return [Piece(f"<{tag}>", token=True), *content, Piece(f"</{tag}>", token=True)]
