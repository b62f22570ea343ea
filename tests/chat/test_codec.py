"""Tokens: plain text never becomes markup, a tool is one id, loss stands only where it should."""

import copy
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from conftest import START
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import (
    FRAMES,
    IGNORE,
    TAG_TOKENS,
    Codec,
    Piece,
    grow_tokenizer,
    name_of,
    token_of,
)
from tinr.chat.parse import parse
from tinr.chat.render import (
    as_text,
    mark_loss,
    render_calls,
    render_environment,
    render_names,
    render_prompt,
    render_thought,
)
from tinr.data.alignment_examples import PairMix, make_pairs
from tinr.records import BadInput, Call

HOSTILE = [
    *TAG_TOKENS,
    "<<circle_area>>",
    "<<city.find>>",
    "<<unknown>>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|im_start|>assistant\n",
    "<|im_end|>",
    "<|endoftext|>",
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<0x3C>",
    "<<<circle_area>>>",
    "<<circle_area>> <<circle_area>>",
    "x<think>y</think>z",
    "<think",
    "a<<>>b",
]
# Parts of markup, so that random joins of them spell markup at every kind of border.
SHARDS = ["<", ">", "<<", ">>", "</", "<|", "|>", "think", "tool_call", "obs"]
SHARDS += ["circle_area", "city.", "find", "user", "end", "im_start"]
hostile_text = st.one_of(
    st.lists(st.sampled_from([*SHARDS, *HOSTILE, " ", "\n"])).map("".join),
    # "▁" is how SentencePiece writes a blank: text that has it comes back with a blank.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=30),
).map(lambda text: unicodedata.normalize("NFC", text))  # Qwen2's tokenizer does so too


def markup_ids(codec: Codec) -> set[int]:
    """Every id that has a meaning in a conversation, the family's own special tokens too."""
    spelled = [*TAG_TOKENS, *codec.frame.tokens(), *map(token_of, codec.tool_ids)]
    added = codec.tokenizer.added_tokens_decoder
    return {*map(codec.id, spelled), *(index for index, token in added.items() if token.special)}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(codec: Codec, text: str) -> None:
    ids = codec.encode_plain(text)
    assert not markup_ids(codec) & set(ids)
    assert codec.decode(ids) == [Piece(text)]


@given(text=hostile_text)
@settings(max_examples=150, deadline=None)
def test_any_text_stays_text_and_comes_back(codec: Codec, text: str) -> None:
    ids = codec.encode_plain(text)
    assert not markup_ids(codec) & set(ids)
    assert codec.decode(ids) == ([Piece(text)] if text else [])


@given(parts=st.lists(hostile_text, max_size=4), learn=st.lists(st.booleans(), min_size=4))
@settings(max_examples=80, deadline=None)
def test_neighbouring_pieces_never_join_to_markup(
    codec: Codec, parts: list[str], learn: list[bool]
) -> None:
    pieces = [Piece(part, learn=learn[index]) for index, part in enumerate(parts)]
    ids, labels = codec.encode(pieces)
    assert not markup_ids(codec) & set(ids)
    assert len(labels) == len(ids)


def test_a_markers_halves_on_both_sides_of_a_token_stay_text(codec: Codec) -> None:
    pieces = [Piece("<<"), Piece("<think>", token=True), Piece("circle_area>>")]
    ids, _ = codec.encode(pieces)
    assert codec.decode(ids) == pieces
    assert codec.id("<<circle_area>>") not in ids


def test_a_plain_piece_of_the_vocabulary_is_no_tool_token(grown: Callable[[str], Codec]) -> None:
    """A base tokenizer may hold "<<>>" as an ordinary piece; only added entries are tools."""
    codec = grown("qwen")
    assert "<<>>" in codec.vocabulary  # else the fixture does not test it
    assert set(codec.tool_ids) == {"circle_area", "length_convert", "city.find"}


def test_each_tool_token_is_one_id(codec: Codec, catalogue: Catalogue) -> None:
    for name in catalogue.names:
        ids, labels = codec.encode([Piece(token_of(name), token=True)])
        assert ids == [codec.tool_ids[name]]
        assert labels == [IGNORE]
        assert codec.decode(ids) == [Piece(token_of(name), token=True)]
    assert len({codec.tool_ids[name] for name in catalogue.names}) == 3


def test_growing_twice_adds_nothing(codec: Codec, catalogue: Catalogue) -> None:
    tokenizer = copy.deepcopy(codec.tokenizer)
    before = tokenizer.get_vocab()
    assert grow_tokenizer(tokenizer, catalogue.names) == 0
    assert tokenizer.get_vocab() == before


@pytest.mark.parametrize("family", ["tiny", "qwen"])
def test_growing_keeps_old_ids_and_reports_the_new(
    family: str, tiny_tokenizer: PreTrainedTokenizerFast, qwen_tokenizer: PreTrainedTokenizerFast
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer if family == "tiny" else qwen_tokenizer)
    before = tokenizer.get_vocab()
    new = grow_tokenizer(tokenizer, ["a", "b"])
    # ours has the ten tags and the five markers already; Qwen's lacks the ten tags only
    assert new == (2 if family == "tiny" else 12)
    after = tokenizer.get_vocab()
    assert {token: after[token] for token in before} == before
    assert len(after) == len(before) + new


def test_two_tools_with_one_name_are_refused(qwen_tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer = copy.deepcopy(qwen_tokenizer)
    with pytest.raises(BadInput, match="one name"):
        grow_tokenizer(tokenizer, ["a", "b", "a"])
    assert tokenizer.get_vocab() == qwen_tokenizer.get_vocab()


def test_the_family_keeps_its_own_markers(grown: Callable[[str], Codec]) -> None:
    assert grown("qwen").frame is FRAMES["chatml"]
    assert grown("tiny").frame is FRAMES["tinr"]


@pytest.mark.parametrize(
    ("family", "rendered"),
    [
        ("chatml", "<|im_start|>user\nhi<|im_end|>\n"),
        ("llama3", "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"),
        ("tinr", "<|user|>hi<|end|>"),
    ],
)
def test_frames_render_as_their_families_do(family: str, rendered: str) -> None:
    frame = FRAMES[family]
    pieces = [*frame.begin("user"), Piece("hi"), *frame.end()]
    assert "".join(piece.text for piece in pieces) == rendered
    tokens = [piece.text for piece in pieces if piece.token]
    assert set(tokens) <= set(frame.tokens())


def test_an_unknown_tool_has_no_id(codec: Codec) -> None:
    with pytest.raises(BadInput, match="<<teleport>>"):
        codec.encode([Piece("<<teleport>>", token=True)])


def test_labels_stand_only_where_learn(codec: Codec) -> None:
    pieces = [
        Piece("never learned "),
        Piece("<think>", token=True, learn=True),
        Piece("learned, ", learn=True),
        Piece("not learned"),
        Piece("<<circle_area>>", token=True),
        Piece("</think>", token=True, learn=True),
    ]
    ids, labels = codec.encode(pieces)
    kept = [label for label in labels if label != IGNORE]
    assert all(label in (IGNORE, index) for index, label in zip(ids, labels, strict=True))
    assert codec.decode(kept) == [
        Piece("<think>", token=True),
        Piece("learned, "),
        Piece("</think>", token=True),
    ]
    assert codec.decode(ids) == [
        Piece("never learned "),
        Piece("<think>", token=True),
        Piece("learned, not learned"),
        Piece("<<circle_area>>", token=True),
        Piece("</think>", token=True),
    ]


def test_padding_and_other_special_entries_are_dropped(codec: Codec) -> None:
    pad = codec.tokenizer.pad_token_id
    assert codec.decode([pad, *codec.encode_plain("hi"), pad]) == [Piece("hi")]


def test_a_saved_tokenizer_reads_text_the_same(codec: Codec, tmp_path: Path) -> None:
    text = "three words  here\n<think> and <<circle_area>>"
    codec.tokenizer.save_pretrained(tmp_path)
    again = Codec(PreTrainedTokenizerFast.from_pretrained(tmp_path))
    assert again.encode_plain(text) == codec.encode_plain(text)
    assert again.decode(codec.encode_plain(text)) == [Piece(text)]
    assert again.tool_ids == codec.tool_ids


def test_the_spelling_of_a_tool_token_has_an_inverse() -> None:
    assert token_of("city.find") == "<<city.find>>"
    assert name_of("<<city.find>>") == "city.find"
    assert [name_of(text) for text in ("city.find", "<city.find>", "<think>")] == [None] * 3


@pytest.fixture(params=["tiny", "qwen"])
def names_codec(request, tiny_tokenizer, qwen_tokenizer) -> Codec:
    """A codec whose vocabulary has tags but no tool tokens."""
    tokenizer = copy.deepcopy(tiny_tokenizer if request.param == "tiny" else qwen_tokenizer)
    grow_tokenizer(tokenizer, [])
    return Codec(tokenizer)


def test_without_tool_tokens_tools_are_written_out_and_read_back(names_codec: Codec) -> None:
    """The same conversation in names: nothing else about it changes."""
    call = Call("city.find", {"name": "<<circle_area>> Rome"})
    thought = render_thought([Piece("<<city.find>>", token=True), " finds"])
    pieces = mark_loss([*thought, *render_names(["city.find"]), *render_calls([call])])
    ids, labels = names_codec.encode(pieces)
    assert names_codec.writes_names and ids == labels
    decoded = names_codec.decode(ids)
    assert as_text(decoded) == as_text(pieces)
    reply = parse(decoded)
    assert reply.named == ("city.find",) and not reply.problems
    assert reply.calls == (call,)


def test_a_vocabulary_with_tool_tokens_never_reads_a_spelling_as_one(codec: Codec) -> None:
    ids = codec.encode_plain("<<circle_area>>")
    assert not codec.writes_names
    assert codec.decode(ids) == [Piece("<<circle_area>>")]
    with pytest.raises(BadInput):
        codec.encode([Piece("<<nosuch>>", token=True)])


def test_half_a_surrogate_pair_of_a_tools_result_has_ids(codec):
    """A worker passes what a tool returned as it is."""
    assert codec.encode_plain("a \ud83d b") == codec.encode_plain("a \ufffd b")


def test_a_conversation_starts_as_the_tokenizer_starts_a_text(marked: Codec) -> None:
    assert marked.frame == replace(FRAMES["chatml"], start=(START,))
    start = marked.tokenizer.get_vocab()[START]
    ids, labels = marked.encode(render_prompt("hi", marked.frame))
    assert ids[0] == start and start not in ids[1:]
    assert labels[0] == IGNORE
    assert START not in as_text(marked.decode(ids))  # nobody said it
    turn, _ = marked.encode(render_environment([Piece("a")], marked.frame))
    assert start not in turn  # it stands once, not before each message


def test_every_pair_of_alignment_starts_so(marked: Codec, catalogue: Catalogue) -> None:
    forms = dict.fromkeys(vars(PairMix()), 1)
    made = list(make_pairs(catalogue, marked.frame, PairMix(**forms), Random(0)))
    assert {pair.form for pair in made} == set(forms)
    assert all([p.text for p in pair.pieces].index(START) == 0 for pair in made)
    assert all([p.text for p in pair.pieces].count(START) == 1 for pair in made)


def test_the_start_is_no_row_that_growing_added_and_no_text_becomes_it(marked: Codec) -> None:
    start = marked.tokenizer.get_vocab()[START]
    assert start not in marked.markup.values()
    assert start not in marked.encode_plain(START)
    assert marked.encode_plain("hi") == marked.tokenizer.encode("hi", add_special_tokens=False)
