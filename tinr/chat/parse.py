"""Parse a reply from pieces, text or messages. Never raises: a model's output is data."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinr.catalogue.failures import refusal_reason
from tinr.chat.codec import SPELLING, TAG_TOKENS, TAGS, Piece, name_of
from tinr.chat.render import as_text, render_observations
from tinr.records import Call, Message, Reply

MARKUP = re.compile("|".join([*map(re.escape, TAG_TOKENS), SPELLING.pattern]))
# Only an answer; or names, then calls with observations after each, then the answer.
_LETTERS = {"think": "T", "tool_token": "N", "tool_call": "C", "obs": "O", "response": "R"}
_FLOW = re.compile("T(R|NC(O+C)*O*R?)")
CALL_KEYS = ({"token", "parameters"}, {"name", "parameters"}, {"name", "arguments"})


@dataclass(frozen=True)
class Section:
    """A tag's content in a reply; `closed` says whether the reply has its end tag."""

    tag: str
    pieces: tuple[Piece, ...]
    closed: bool

    @property
    def text(self) -> str:
        return as_text(self.pieces)


def parse(pieces: Sequence[Piece]) -> Reply:
    """Read a reply: the model's pieces and the observations of the environment.

    The pieces must not include documents from the environment. Never raises: `problems` lists every
    format error.
    """
    sections, problems = _sections(pieces)
    tools: list[str] = []
    calls: list[Call] = []
    failed: list[int] = []
    unanswered: list[int] = []  # indices of the last turn's calls
    for section in sections:
        if section.tag == "obs" and unanswered:
            place = unanswered.pop(0)
            if refusal_reason(section.text) is not None:
                failed.append(place)
        if not section.text.strip() and section.tag != "obs":
            problems.append(f"empty <{section.tag}>")
        elif section.tag == "tool_token":
            names, faults = _names(section)
            tools += names
            problems += faults
        elif section.tag == "tool_call":
            section_calls, faults = _calls(section.text)
            unanswered = list(range(len(calls), len(calls) + len(section_calls)))
            calls += section_calls
            problems += faults
    order = [section.tag for section in sections]
    return Reply(
        thought=_last_text(sections, "think"),
        named=tuple(tools),
        calls=tuple(calls),
        response=_last_text(sections, "response"),
        problems=tuple(problems + _order_problems(order)),
        attempted="tool_token" in order or "tool_call" in order,
        observed="obs" in order,
        failed=tuple(failed),
    )


def last_calls(pieces: Sequence[Piece]) -> tuple[Call, ...]:
    """Return the calls of the last `<tool_call>` of a reply."""
    starts = [n for n, piece in enumerate(pieces) if piece == Piece("<tool_call>", token=True)]
    return parse(pieces[starts[-1] :]).calls if starts else ()


def parse_text(text: str) -> Reply:
    """Read a reply given as text only (see `split_text`)."""
    return parse(split_text(text))


def parse_messages(messages: Sequence[Message]) -> Reply:
    """Read a reply given as messages: assistant text is split into markup, tool text is not.

    A tool message right after `</tool_token>` contains documents; any other contains observations.
    """
    pieces: list[Piece] = []
    for message in messages:
        if message.role == "assistant":
            pieces += split_text(message.content)
        elif message.role == "tool" and not _ends_with(pieces, "</tool_token>"):
            observation = re.fullmatch(r"\s*<obs>(.*)</obs>\s*", message.content, re.DOTALL)
            pieces += render_observations([observation[1] if observation else message.content])
    return parse(pieces)


def split_text(text: str) -> list[Piece]:
    """Split text into pieces: tags and tool tokens become markup, except inside a call's JSON.

    A tag inside a JSON string of a call is part of that string.
    """
    pieces: list[Piece] = []
    position = 0
    while position < len(text):
        match = MARKUP.search(text, position)
        if match is None:
            break
        pieces += [Piece(text[position : match.start()]), Piece(match[0], token=True)]
        position = match.end()
        if match[0] == "<tool_call>":
            end = _json_end(text, position)
            pieces.append(Piece(text[position:end]))
            position = end
    pieces.append(Piece(text[position:]))
    return [piece for piece in pieces if piece.text]


def _json_end(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    try:
        return json.JSONDecoder().raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return start


def _sections(pieces: Sequence[Piece]) -> tuple[list[Section], list[str]]:
    sections: list[Section] = []
    problems: list[str] = []
    tag: str | None = None
    content: list[Piece] = []
    for piece in pieces:
        tag_name = piece.text[1:-1] if piece.token and piece.text in TAG_TOKENS else None
        if tag_name is None and tag is not None:
            content.append(piece)
        elif tag_name is None:
            if piece.text.strip():
                problems.append("text outside the tags")
        elif tag_name in TAGS:
            if tag is not None:
                problems.append(f"unclosed <{tag}>")
                sections.append(Section(tag, tuple(content), closed=False))
            tag, content = tag_name, []
        elif tag_name[1:] == tag:
            sections.append(Section(tag_name[1:], tuple(content), closed=True))
            tag, content = None, []
        else:
            problems.append(f"stray <{tag_name}>")
    if tag is not None:
        problems.append(f"unclosed <{tag}>")
        sections.append(Section(tag, tuple(content), closed=False))
    return sections, problems


def _names(section: Section) -> tuple[list[str], list[str]]:
    names: list[str] = []
    problems: list[str] = []
    for piece in section.pieces:
        name = name_of(piece.text.strip()) if piece.token else None
        if name is not None:
            names.append(name)
        elif piece.text.strip():
            problems.append("<tool_token> contains something other than tool tokens")
    if any("\n" not in as_text(gap) for gap in _gaps(section.pieces)):
        problems.append("<tool_token> has two tokens on one line")
    return names, problems


def _gaps(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the plain pieces between each token and the next one."""
    gaps: list[list[Piece]] = []
    gap: list[Piece] | None = None
    for piece in pieces:
        if piece.token:
            if gap is not None:
                gaps.append(gap)
            gap = []
        elif gap is not None:
            gap.append(piece)
    return gaps


def _calls(text: str) -> tuple[list[Call], list[str]]:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_of_pairs,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is not text
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _NotStrict) else "not JSON"
        return [], [f"<tool_call> is not strict JSON: {reason}"]
    items = value if isinstance(value, list) else [value]
    calls: list[Call] = []
    problems: list[str] = []
    if not items:
        problems.append("empty <tool_call>")
    for item in items:
        call = _call(item)
        if call is None:
            problems.append('<tool_call> is not {"token": ..., "parameters": {...}}')
        else:
            calls.append(call)
    return calls, problems


class _NotStrict(ValueError):
    """JSON that json.loads accepts but strict JSON does not allow."""


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise _NotStrict("duplicate key")
    return dict(pairs)


def _finite(digits: str) -> float:
    """Return the number, clipped to the finite range: 1e999 is valid JSON, infinity is not."""
    return min(max(float(digits), -sys.float_info.max), sys.float_info.max)


def _no_constant(name: str) -> Any:
    raise _NotStrict(f"{name} is not a JSON value")


def _call(item: Any) -> Call | None:
    if not isinstance(item, Mapping) or set(item) not in CALL_KEYS:
        return None
    name = item.get("token", item.get("name"))
    arguments = item.get("parameters", item.get("arguments"))
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return Call(name_of(name) or name, arguments)


def _order_problems(order: Sequence[str]) -> list[str]:
    """Return why the parts are not in order; empty if they are."""
    problems = [] if order[:1] == ["think"] else ["does not begin with <think>"]
    for tag in ("think", "tool_token", "response"):
        if order.count(tag) > 1:
            problems.append(f"<{tag}> occurs twice")
    letters = "".join(_LETTERS[tag] for tag in order)
    if not problems and not _FLOW.fullmatch(letters):
        problems.append(f"parts missing or out of order: {', '.join(order)}")
    return problems


def _last_text(sections: Sequence[Section], tag: str) -> str | None:
    texts = [section.text for section in sections if section.tag == tag]
    return texts[-1].strip() if texts else None


def _ends_with(pieces: Sequence[Piece], token: str) -> bool:
    visible_pieces = [piece for piece in pieces if piece.text.strip()]
    return bool(visible_pieces) and visible_pieces[-1] == Piece(token, token=True)
