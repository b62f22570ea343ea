"""Cut a reply into fragments: a fragment is the ids up to the next structural border.

A border follows a thought (`</think>`) and each of its lines, a tool's name (also in the thought,
where it is chosen), a key (its colon), a value (the next comma or closing bracket) and every other
closing tag. Cutting loses nothing and never re-tokenises: the fragments of a reply, joined, are its
ids. Any text can be cut. Source of the idea: iTool, arXiv 2501.09766, which splits on `, `, `=`
and `(`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self
from weakref import WeakKeyDictionary

from tinr.chat.codec import TAG_TOKENS, Codec, Piece
from tinr.chat.render import as_text

Border = Literal["thought", "name", "key", "value", "end"]
NAME_KEYS = ("token", "name")  # keys of a call's tool name
Feed = Callable[[str], Border | None]
LONGEST_KEY = max(map(len, NAME_KEYS))
_PIECES: WeakKeyDictionary[Codec, dict[int, Piece]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Fragment:
    """The ids [start, end) of a reply. `kind`: of the border at its end; None: no border."""

    start: int
    end: int
    kind: Border | None


def cut(codec: Codec, ids: Sequence[int]) -> list[Fragment]:
    """Cut a reply into its fragments, in order. Only the last may end without a border."""
    borders, fragments, start = Borders(codec), [], 0
    for end, index in enumerate(ids, 1):
        kind = borders.feed(index)
        if kind is not None:
            fragments.append(Fragment(start, end, kind))
            start = end
    return fragments + ([Fragment(start, len(ids), None)] if start < len(ids) else [])


class Borders:
    """Reads a reply id by id and finds where a fragment ends, with constant work per character.

    An id whose text contains several borders counts as one border, of the last kind.
    """

    def __init__(self, codec: Codec):
        self._codec = codec
        self._pieces = _PIECES.get(codec)
        if self._pieces is None:
            self._pieces = {i: Piece(text, token=True) for text, i in codec.markup.items()}
            _PIECES[codec] = self._pieces
        self._tag = ""  # the open tag
        self._spelling = _Spelling()
        self._json = _Json()

    @classmethod
    def after(cls, codec: Codec, ids: Iterable[int]) -> Self:
        """Make the state after ids that are already written."""
        borders = cls(codec)
        for index in ids:
            borders.feed(index)
        return borders

    def feed(self, index: int) -> Border | None:
        """Take the next id. Returns the border that it completes, None inside a fragment."""
        piece = self._piece(index)
        if piece.token and piece.text in TAG_TOKENS:
            return self._feed_tag(piece.text)
        if piece.token and piece.text == self._codec.frame.close:
            return "end"
        if self._tag == "tool_call":
            return self._feed_text(piece.text, self._json.feed)
        if self._tag == "tool_token":
            return self._feed_text(piece.text, self._name)
        if self._tag == "think":
            return self._feed_text(piece.text, self._thought)
        return None

    def _piece(self, index: int) -> Piece:
        """The piece of an id. An incomplete character counts as one without meaning here."""
        assert self._pieces is not None
        if index not in self._pieces:
            self._pieces[index] = Piece(as_text(self._codec.decode([index])))
        return self._pieces[index]

    def _feed_tag(self, mark: str) -> Border | None:
        """Like `tinr.chat.parse`: any opening tag opens, only its own closing tag closes."""
        if not mark.startswith("</"):
            self._tag = mark[1:-1]
            self._spelling, self._json = _Spelling(), _Json()
            return None
        if mark[2:-1] == self._tag:
            self._tag = ""
        return "thought" if mark == "</think>" else "end"

    def _feed_text(self, text: str, feed: Feed) -> Border | None:
        """Feed the characters of a text. Returns the last border in it."""
        border: Border | None = None
        for character in text:
            border = feed(character) or border
        return border

    def _name(self, character: str) -> Border | None:
        return "name" if self._spelling.feed(character) else None

    def _thought(self, character: str) -> Border | None:
        return "thought" if character == "\n" else self._name(character)


class _Spelling:
    """Finds `<<name>>` in text, character by character."""

    def __init__(self) -> None:
        self._state = 0  # 0 outside, 1 "<", 2 "<<", 3 in the name, 4 ">" after it

    def feed(self, character: str) -> bool:
        """Whether this character completes a spelled tool token."""
        state = self._state
        if character == "<":
            self._state = 2 if state in (1, 2) else 1
        elif character == ">":
            self._state = 4 if state == 3 else 0
            return state == 4
        else:
            self._state = 3 if state in (2, 3) and not character.isspace() else 0
        return False


class _Json:
    """Finds the borders in the JSON of calls, character by character. It accepts any text."""

    def __init__(self) -> None:
        self._open: list[str] = []  # brackets
        self._quoted = self._escaped = False
        self._string = ""  # the beginning of the last string
        self._member = ""  # of a call: "name", "named" (its tool is spelled), "value"
        self._spelling = _Spelling()

    def feed(self, character: str) -> Border | None:
        """Take a character. Returns the border that it completes."""
        if self._quoted:
            return self._feed_quoted(character)
        if character == '"':
            self._quoted, self._string, self._spelling = True, "", _Spelling()
        elif character in "{[":
            self._open.append(character)
            self._member = "" if self._in_call else self._member
        elif character == ":" and self._open[-1:] == ["{"]:
            if self._in_call:
                self._member = "name" if self._string in NAME_KEYS else "value"
            return "key"
        elif character in ",}]":
            return self._end_member(character)
        return None

    @property
    def _in_call(self) -> bool:
        """Whether the innermost bracket is that of a call."""
        return self._open == ["{"] or self._open == ["[", "{"]

    def _feed_quoted(self, character: str) -> Border | None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False
        if self._quoted and len(self._string) <= LONGEST_KEY:
            self._string += character
        ends_name = self._spelling.feed(character)
        if ends_name and self._member == "name" and self._in_call:
            self._member = "named"
            return "name"
        return None

    def _end_member(self, character: str) -> Border | None:
        """Handle a comma or closing bracket. A spelled name already has its border."""
        member = self._member if self._in_call else "value"
        if self._in_call:
            self._member = ""
        if character != "," and self._open:
            self._open.pop()
            self._member = "value" if self._in_call else self._member
        if member == "name":
            return "name"
        return None if member == "named" and character == "," else "value"
