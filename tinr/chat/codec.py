"""Map tools, tokens and ids to each other; the only place where text becomes ids.

Conversations are lists of pieces. A piece is either one vocabulary entry by name (a
tag, a tool token, a role marker) or plain text. A copy of the tokenizer without those entries
encodes plain text. So text of a user, a tool or a document stays text: `encode` cannot turn it
into a tag or a tool token.
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
TAG_TOKENS = tuple(token for tag in TAGS for token in (f"<{tag}>", f"</{tag}>"))
SPELLING = re.compile(r"<<[^\s<>]+>>")
IGNORE = -100  # label of a position that carries no loss


@dataclass(frozen=True)
class Piece:
    """A piece of a conversation; `token`: it is one vocabulary entry; `learn`: it has loss."""

    text: str
    token: bool = False
    learn: bool = False


@dataclass(frozen=True)
class Frame:
    """How a model family wraps a message: `open role line_end content close after`.

    start: the vocabulary entries before the first message, if the family has them. names: the
    family's own names of roles. joins_system: the family has no system message; its text is put
    before the user's first message.
    """

    open: str
    opened: str  # plain text or token after the role's name
    close: str
    after: str = ""
    role_is_token: bool = False
    start: tuple[str, ...] = ()
    names: tuple[tuple[Role, str], ...] = ()
    joins_system: bool = False

    def start_pieces(self) -> list[Piece]:
        """Return the pieces before the first message."""
        return [Piece(token, token=True) for token in self.start]

    def begin(self, role: Role) -> list[Piece]:
        """Return the pieces that open a message of `role`."""
        if self.role_is_token:
            return [Piece(self.open.format(role=role), token=True)]
        opening = [Piece(self.open, token=True), Piece(dict(self.names).get(role, role))]
        header, _, line_end = self.opened.partition(">")
        if line_end or self.opened.startswith("<"):
            return [*opening, Piece(header + ">", token=True), Piece(line_end)]
        return [*opening, Piece(self.opened)]

    def end(self) -> list[Piece]:
        """Return the pieces that close a message."""
        return [Piece(self.close, token=True), *([Piece(self.after)] if self.after else [])]

    def tokens(self) -> list[str]:
        """Return the vocabulary entries that the frame needs."""
        if self.role_is_token:
            roles = ("system", "user", "assistant", "tool")
            return [self.open.format(role=role) for role in roles] + [self.close]
        header = [self.opened.partition(">")[0] + ">"] if self.opened.startswith("<") else []
        return [self.open, *header, self.close]


# Families that keep their own markers, so that their models keep what they know about turns.
FRAMES = {
    "chatml": Frame("<|im_start|>", "\n", "<|im_end|>", "\n"),
    "llama3": Frame("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
    "granite": Frame("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "\n"),
    "gemma": Frame(
        "<start_of_turn>",
        "\n",
        "<end_of_turn>",
        "\n",
        names=(("assistant", "model"), ("system", "user"), ("tool", "user")),
        joins_system=True,
    ),
    "tinr": Frame("<|{role}|>", "", "<|end|>", role_is_token=True),
}


def token_of(name: str) -> str:
    """Return the tool token's spelling: `<<name>>`."""
    return f"<<{name}>>"


def name_of(token: str) -> str | None:
    """Return the tool's name from a tool token's spelling; None for any other text."""
    return token[2:-2] if SPELLING.fullmatch(token) else None


def frame_of(tokenizer: PreTrainedTokenizerFast) -> Frame:
    """Return the message frame of a tokenizer's family, or ours for an unknown family.

    It includes the entries that the tokenizer puts before a text: Llama 3 and Gemma never saw a
    text without them.
    """
    vocabulary = tokenizer.get_vocab()
    frames = (
        frame for frame in FRAMES.values() if all(token in vocabulary for token in frame.tokens())
    )
    frame = next(frames, FRAMES["tinr"])
    start = _start_of(tokenizer)
    return replace(frame, start=start) if start else frame


def _start_of(tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    """Return the entries that the tokenizer itself puts before a text."""
    ids_with_start, plain_ids = (
        tokenizer.encode("a", add_special_tokens=add_special_tokens)
        for add_special_tokens in (True, False)
    )
    for length in range(len(ids_with_start) - len(plain_ids) + 1):  # some also add an end
        if plain_ids and ids_with_start[length : length + len(plain_ids)] == plain_ids:
            return tuple(tokenizer.convert_ids_to_tokens(ids_with_start[:length]))  # type: ignore[arg-type]
    return ()


def rows_needed(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return how many rows a table needs for every entry: a vocabulary may have gaps."""
    return max(tokenizer.get_vocab().values()) + 1


def grow_tokenizer(tokenizer: PreTrainedTokenizerFast, names: Sequence[str]) -> int:
    """Add the tags, the frame and one entry per tool in place; return the number of new entries.

    Raises BadInput if two names would share one entry.
    """
    tool_tokens = [token_of(name) for name in names]
    if len(set(tool_tokens)) != len(tool_tokens):
        raise BadInput("two tools have one name; rename one of them")
    tokens = [*TAG_TOKENS, *frame_of(tokenizer).tokens(), *tool_tokens]
    vocabulary = tokenizer.get_vocab()
    new_tokens = [token for token in tokens if token not in vocabulary]
    entries = [AddedToken(token, normalized=False, special=False) for token in new_tokens]
    tokenizer.add_tokens(entries)  # type: ignore[arg-type]
    split_tokens = [
        token for token in tokens if tokenizer.encode(token, add_special_tokens=False)[1:]
    ]
    if split_tokens:
        raise BadInput(
            f"{split_tokens[0]!r} is not one vocabulary entry of this tokenizer; rename it"
        )
    return len(new_tokens)


class Codec:
    """Pieces <-> ids for one grown tokenizer.

    If the vocabulary has no tool tokens, tools are plain text `<<name>>`; `decode` reads it back as
    a tool.
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
        self._token_by_id = {index: token for token, index in self._markup.items()}

    @property
    def markup(self) -> dict[str, int]:
        """Every tag, role marker and tool token -> its id: the rows that `grow` added."""
        return dict(self._markup)

    @cached_property
    def tool_ids(self) -> dict[str, int]:
        """Tool name -> id, for every tool token of the vocabulary."""
        pairs = ((name_of(token), index) for token, index in self._markup.items())
        return {name: index for name, index in pairs if name is not None}

    @cached_property
    def writes_names(self) -> bool:
        """Whether tools are written as text, because the vocabulary has no tool token."""
        return not self.tool_ids

    def id(self, token: str) -> int:
        """Return the id of a tag, marker or tool token; BadInput if the vocabulary lacks it."""
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
        """Encode text that stays text; lone surrogates, which tools can return, are replaced."""
        try:
            return self.plain.encode(text, add_special_tokens=False).ids
        except TypeError:
            return self.plain.encode(whole_text(text), add_special_tokens=False).ids

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[int]]:
        """Encode a conversation as ids and labels; a label is the id if `learn`, else IGNORE."""
        ids: list[int] = []
        labels: list[int] = []
        if self.writes_names:
            pieces = [_as_spelling(piece) for piece in pieces]
        for piece in _merge_pieces(pieces):
            piece_ids = [self.id(piece.text)] if piece.token else self.encode_plain(piece.text)
            ids += piece_ids
            labels += piece_ids if piece.learn else [IGNORE] * len(piece_ids)
        return ids, labels

    def decode(self, ids: Iterable[int]) -> list[Piece]:
        """Decode generated ids into pieces; drop entries that are neither text nor markup."""
        pieces: list[Piece] = []
        run: list[int] = []
        for index in [*ids, None]:
            if index is not None and index not in self._token_by_id:
                run.append(index)
                continue
            if run:
                pieces += self._plain_pieces(self._text(run))
                run = []
            if index is not None:
                pieces.append(Piece(self._token_by_id[index], token=True))
        return [piece for piece in pieces if piece.text]

    def _plain_pieces(self, text: str) -> list[Piece]:
        """Return plain text as pieces; if tools are written as text, each is a separate piece."""
        if not self.writes_names:
            return [Piece(text)]
        segments = re.split(f"({SPELLING.pattern})", text)
        return [Piece(segment, token=bool(index % 2)) for index, segment in enumerate(segments)]

    def _text(self, ids: list[int]) -> str:
        return str(
            self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )


def _as_spelling(piece: Piece) -> Piece:
    """Turn a tool token into the text that spells it; return any other piece as it is."""
    is_tool = piece.token and name_of(piece.text) is not None
    return Piece(piece.text, learn=piece.learn) if is_tool else piece


def _is_markup(token: str, frame: Frame) -> bool:
    return token in TAG_TOKENS or token in frame.tokens() or name_of(token) is not None


def _merge_pieces(pieces: Iterable[Piece]) -> list[Piece]:
    """Merge neighbouring plain pieces with the same loss, as a model would write them."""
    joined_pieces: list[Piece] = []
    for piece in pieces:
        previous = joined_pieces[-1] if joined_pieces else None
        if previous and not piece.token and not previous.token and previous.learn == piece.learn:
            joined_pieces[-1] = Piece(previous.text + piece.text, learn=piece.learn)
        elif piece.text:
            joined_pieces.append(piece)
    return joined_pieces


def _plain_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """Return a copy of the tokenizer that recognises no added entry in text."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = []
    state["truncation"] = state["padding"] = None
    return Tokenizer.from_str(json.dumps(state))


def stop_ids(codec: Codec) -> frozenset[int]:
    """Return the ids after which the environment answers."""
    return frozenset(
        codec.id(token)
        for token in ("</tool_token>", "</tool_call>", "</response>", codec.frame.close)
    )
