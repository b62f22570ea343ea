"""Tool <-> token <-> id, and the only way text becomes ids.

Conversations are lists of pieces. A piece is either one vocabulary entry by name (a
tag, a tool token, a role marker) or plain text. Plain text goes through a copy of the
tokenizer that does not know those entries, so whatever a user, a tool or a document
spells stays text: `encode` cannot turn it into a tag or a tool token.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from tinr.files import whole_text
from tinr.records import BadInput, Role

TAGS = ("think", "tool_token", "tool_call", "obs", "response")
TAG_TOKENS = tuple(mark for tag in TAGS for mark in (f"<{tag}>", f"</{tag}>"))
SPELLING = re.compile(r"<<[^\s<>]+>>")
IGNORE = -100  # label of a position that carries no loss


@dataclass(frozen=True)
class Piece:
    """A stretch of a conversation; `token`: one vocabulary entry; `learn`: carries loss."""

    text: str
    token: bool = False
    learn: bool = False


@dataclass(frozen=True)
class Frame:
    """How a model family wraps a message: `open role line_end content close after`.

    start: the vocabulary entries before the first message, where the family has such.
    """

    open: str
    opened: str  # plain text or token after the role's name
    close: str
    after: str = ""
    role_is_token: bool = False
    start: tuple[str, ...] = ()

    def start_pieces(self) -> list[Piece]:
        """What stands before the first message."""
        return [Piece(token, token=True) for token in self.start]

    def begin(self, role: Role) -> list[Piece]:
        """The pieces that open a message of `role`."""
        if self.role_is_token:
            return [Piece(self.open.format(role=role), token=True)]
        opened = [Piece(self.open, token=True), Piece(role)]
        header, _, line_end = self.opened.partition(">")
        if line_end or self.opened.startswith("<"):
            return [*opened, Piece(header + ">", token=True), Piece(line_end)]
        return [*opened, Piece(self.opened)]

    def end(self) -> list[Piece]:
        """The pieces that close a message."""
        return [Piece(self.close, token=True), *([Piece(self.after)] if self.after else [])]

    def tokens(self) -> list[str]:
        """The vocabulary entries the frame needs."""
        if self.role_is_token:
            roles = ("system", "user", "assistant", "tool")
            return [self.open.format(role=role) for role in roles] + [self.close]
        header = [self.opened.partition(">")[0] + ">"] if self.opened.startswith("<") else []
        return [self.open, *header, self.close]


# The families whose markers we keep, so that what they learned of turns is not lost.
FRAMES = {
    "chatml": Frame("<|im_start|>", "\n", "<|im_end|>", "\n"),
    "llama3": Frame("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
    "tinr": Frame("<|{role}|>", "", "<|end|>", role_is_token=True),
}


def token_of(name: str) -> str:
    """The tool token's spelling: `<<name>>`."""
    return f"<<{name}>>"


def name_of(token: str) -> str | None:
    """The tool's name of a token spelling; None where it is none."""
    return token[2:-2] if SPELLING.fullmatch(token) else None


def frame_of(tokenizer: PreTrainedTokenizerFast) -> Frame:
    """The message frame of a tokenizer's family, or ours where none is known.

    It starts as the tokenizer starts a text: Llama 3 and Gemma never read one without their mark.
    """
    vocabulary = tokenizer.get_vocab()
    known = (f for f in FRAMES.values() if all(token in vocabulary for token in f.tokens()))
    frame = next(known, FRAMES["tinr"])
    start = _start_of(tokenizer)
    return replace(frame, start=start) if start else frame


def _start_of(tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    """The entries that the tokenizer itself puts before a text."""
    marked, bare = (tokenizer.encode("a", add_special_tokens=add) for add in (True, False))
    if not bare or marked[-len(bare) :] != bare:
        return ()
    return tuple(tokenizer.convert_ids_to_tokens(marked[: -len(bare)]))  # type: ignore[arg-type]


def grow_tokenizer(tokenizer: PreTrainedTokenizerFast, names: Sequence[str]) -> int:
    """Add the tags, the frame and one entry per tool, in place; returns how many are new.

    Raises BadInput where two names would share one entry.
    """
    spelled = [token_of(name) for name in names]
    if len(set(spelled)) != len(spelled):
        raise BadInput("two tools have one name; rename one of them")
    wanted = [*TAG_TOKENS, *frame_of(tokenizer).tokens(), *spelled]
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in wanted if token not in vocabulary]
    entries = [AddedToken(token, normalized=False, special=False) for token in missing]
    tokenizer.add_tokens(entries)  # type: ignore[arg-type]
    taken = [token for token in wanted if tokenizer.encode(token, add_special_tokens=False)[1:]]
    if taken:
        raise BadInput(f"{taken[0]!r} is not one vocabulary entry of this tokenizer; rename it")
    return len(missing)


class Codec:
    """Pieces <-> ids for one tokenizer that was grown.

    A vocabulary without tool tokens writes tools out: `<<name>>` as plain text, read back
    as a tool where the model wrote it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self.tokenizer = tokenizer
        self.pad: int = tokenizer.convert_tokens_to_ids(str(tokenizer.pad_token))  # type: ignore[assignment]
        self.frame = frame_of(tokenizer)
        self.vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.plain = _plain_tokenizer(tokenizer)
        self.start = [self.vocabulary[token] for token in self.frame.start]  # ids before a text
        self._markup = {
            token: index
            for token, index in self.vocabulary.items()
            if _is_markup(token, self.frame)
        }
        self._spelled = {index: token for token, index in self._markup.items()}

    @property
    def markup(self) -> dict[str, int]:
        """Every tag, role marker and tool token -> its id: the rows that growing added."""
        return dict(self._markup)

    @cached_property
    def tool_ids(self) -> dict[str, int]:
        """Tool name -> id, every tool token of the vocabulary."""
        named = ((name_of(token), index) for token, index in self._markup.items())
        return {name: index for name, index in named if name is not None}

    @cached_property
    def writes_names(self) -> bool:
        """Whether tools are written as text, for want of any tool token."""
        return not self.tool_ids

    def id(self, token: str) -> int:
        """The id of a tag, marker or tool token; BadInput where the vocabulary lacks it."""
        if token in self.frame.start:
            return self.vocabulary[token]
        try:
            return self._markup[token]
        except KeyError:
            raise BadInput(
                f"{token!r} is not in this checkpoint's vocabulary; "
                "align the model with a catalogue that has the tool"
            ) from None

    def encode_plain(self, text: str) -> list[int]:
        """Ids of text that stays text; half a surrogate pair, as tools return it, is replaced."""
        try:
            return self.plain.encode(text, add_special_tokens=False).ids
        except TypeError:
            return self.plain.encode(whole_text(text), add_special_tokens=False).ids

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[int]]:
        """Ids and labels of a conversation: labels are the ids where `learn`, else IGNORE."""
        ids: list[int] = []
        labels: list[int] = []
        if self.writes_names:
            pieces = [_written(piece) for piece in pieces]
        for piece in _merged(pieces):
            new = [self.id(piece.text)] if piece.token else self.encode_plain(piece.text)
            ids += new
            labels += new if piece.learn else [IGNORE] * len(new)
        return ids, labels

    def decode(self, ids: Iterable[int]) -> list[Piece]:
        """The pieces of generated ids; entries that are neither text nor markup are dropped."""
        pieces: list[Piece] = []
        run: list[int] = []
        for index in [*ids, None]:
            if index is not None and index not in self._spelled:
                run.append(index)
                continue
            if run:
                pieces += self._plain_pieces(self._text(run))
                run = []
            if index is not None:
                pieces.append(Piece(self._spelled[index], token=True))
        return [piece for piece in pieces if piece.text]

    def _plain_pieces(self, text: str) -> list[Piece]:
        """A stretch of written text, the tools that it spells apart where tools are spelled."""
        if not self.writes_names:
            return [Piece(text)]
        parts = re.split(f"({SPELLING.pattern})", text)
        return [Piece(part, token=bool(n % 2)) for n, part in enumerate(parts)]

    def _text(self, ids: list[int]) -> str:
        return str(
            self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )


def _written(piece: Piece) -> Piece:
    """A tool token as the text that spells it; any other piece as it is."""
    is_tool = piece.token and name_of(piece.text) is not None
    return Piece(piece.text, learn=piece.learn) if is_tool else piece


def _is_markup(token: str, frame: Frame) -> bool:
    return token in TAG_TOKENS or token in frame.tokens() or name_of(token) is not None


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbouring plain pieces with the same loss as one, as a model would write them."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and not piece.token and not last.token and last.learn == piece.learn:
            merged[-1] = Piece(last.text + piece.text, learn=piece.learn)
        elif piece.text:
            merged.append(piece)
    return merged


def _plain_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of the tokenizer in which no added entry is recognised in text."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = []
    state["truncation"] = state["padding"] = None
    return Tokenizer.from_str(json.dumps(state))


def stop_ids(codec: Codec) -> frozenset[int]:
    """The ids at which the environment is asked."""
    return frozenset(
        codec.id(token)
        for token in ("</tool_token>", "</tool_call>", "</response>", codec.frame.close)
    )
