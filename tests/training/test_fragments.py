"""Fragments: where a reply may be cut, in both tokenizers, with and without tool tokens."""

import copy
import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tinr.chat.codec import TAG_TOKENS, Codec, Piece, grow_tokenizer, token_of
from tinr.chat.render import as_text, render_calls, render_names, render_response, render_thought
from tinr.records import Call
from tinr.training.preference.fragments import Borders, Fragment, cut

FEET = Call("length_convert", {"length": 12.5, "source": "metre"})
AREA = Call("circle_area", {"radius": 2})
TRAP = Call("city.find", {"name": 'a", "b": {\\, <<circle_area>>} é', "tags": [1, {"x": []}]})


@pytest.fixture(scope="module", params=["tiny", "qwen"])
def spelling(
    request: pytest.FixtureRequest,
    tiny_tokenizer: PreTrainedTokenizerFast,
    qwen_tokenizer: PreTrainedTokenizerFast,
) -> Codec:
    """A codec without tool tokens: tools are written out."""
    tokenizer = copy.deepcopy(tiny_tokenizer if request.param == "tiny" else qwen_tokenizer)
    grow_tokenizer(tokenizer, [])
    return Codec(tokenizer)


def reply(*calls: Call) -> list[Piece]:
    names = list(dict.fromkeys(call.name for call in calls))
    return [*render_thought(["so, {x}:"]), *render_names(names), *render_calls(calls)]


def text_of(codec: Codec, ids: Sequence[int]) -> str:
    return as_text(codec.decode(ids))


def shown(codec: Codec, pieces: list[Piece]) -> list[tuple[str, str | None]]:
    """Text and kind of each fragment; closing brackets, which a tokenizer may part, as one."""
    ids, _ = codec.encode(pieces)
    found: list[tuple[str, str | None]] = []
    for one in cut(codec, ids):
        text = text_of(codec, ids[one.start : one.end])
        if found and set(text) <= set("}]"):
            text, _ = found.pop()[0] + text, None
        found.append((text, one.kind))
    return found


ONE_CALL = [
    ("<think>so, {x}:</think>", "thought"),
    ("<tool_token>\n<<length_convert>>", "name"),
    ("\n</tool_token>", "end"),
    ('<tool_call>{"token":', "key"),
    (' "<<length_convert>>', "name"),
    ('", "parameters":', "key"),
    (' {"length":', "key"),
    (" 12.5,", "value"),
    (' "source":', "key"),
    (' "metre"}}', "value"),
    ("</tool_call>", "end"),
]


def test_a_call_is_cut_at_its_borders(codec: Codec) -> None:
    assert shown(codec, reply(FEET)) == ONE_CALL


def test_tools_that_are_written_out_are_names_too(spelling: Codec) -> None:
    """The quote behind a name may be of one piece with its last characters."""
    found = shown(spelling, reply(FEET))
    assert [kind for _, kind in found] == [kind for _, kind in ONE_CALL]
    assert all("length_convert>>" in text for text, kind in found if kind == "name")


def test_a_list_of_calls_and_what_strings_hold(codec: Codec) -> None:
    found = shown(codec, reply(AREA, TRAP))
    calls = found[[kind for _, kind in found].index("end") + 1 :]
    assert calls[0] == ('<tool_call>[{"token":', "key")
    kinds = [kind for _, kind in calls if kind != "value"]
    #        token  name    parameters radius  token  name    parameters name  tags   x
    assert kinds == "key name key key key name key key key key end".split()
    whole = json.dumps(TRAP.arguments["name"], ensure_ascii=False)
    assert (f" {whole},", "value") in calls  # nothing within a string is a border


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"name": "a", "arguments": {}}', ["key", "name", "key", "value"]),
        ('{"arguments": {"name": "b"}, "name": "a"}', ["key", "key", "value", "key", "name"]),
        ('{"token": "<<a>>", "parameters": {}}', ["key", "name", "key", "value"]),
        ('{"token": 7, "parameters": {"k": "\\"}"}}', ["key", "name", "key", "key", "value"]),
        ('"only text: {, }"', []),
    ],
)
def test_plain_names_and_other_layouts(spelling: Codec, text: str, kinds: list[str]) -> None:
    pieces = [Piece("<tool_call>", token=True), Piece(text)]
    found = [f.kind for f in cut(spelling, spelling.encode(pieces)[0]) if f.kind]
    merged = [
        k for n, k in enumerate(found) if not (k == "value" and found[n - 1 : n] == ["value"])
    ]
    assert merged == kinds


def test_several_borders_in_one_piece_are_one_of_the_last_kind(codec: Codec) -> None:
    """No shared piece has several, so the texts of two ids are put in place of others'."""
    borders = Borders.after(codec, codec.encode([Piece("<tool_call>", token=True)])[0])
    one, two = codec.encode_plain("a")[0], codec.encode_plain("b")[0]
    borders._pieces = {one: Piece('{"token": "<<a>>", "parameters": {"x":'), two: Piece("1}}")}
    assert (borders.feed(one), borders.feed(two)) == ("key", "value")


def test_a_thought_is_cut_where_a_tool_is_chosen_and_an_answer_is_not(codec: Codec) -> None:
    tool = Piece(token_of("circle_area"), token=True)
    pieces = [*render_thought(["a", tool, '"x": 1,\nb']), *render_response('{"a": 1, "b": 2}')]
    close = Piece(codec.frame.close, token=True)
    assert [kind for _, kind in shown(codec, [*pieces, close])] == [
        "name", "thought", "thought", "end", "end"
    ]  # fmt: skip


def test_a_stray_closing_tag_ends_no_call(codec: Codec) -> None:
    """As `parse` reads it: the call goes on behind it."""
    tags = [Piece(mark, token=True) for mark in ("<tool_call>", "</response>")]
    pieces = [tags[0], Piece('{"a":'), tags[1], Piece(" 1,")]
    kinds = [kind for _, kind in shown(codec, pieces)]
    assert kinds == ["key", "end", "value"]


def test_what_is_not_finished_is_a_fragment_without_a_border(codec: Codec) -> None:
    ids, _ = codec.encode([Piece("<tool_call>", token=True), Piece('{"to')])
    assert cut(codec, ids) == [Fragment(0, len(ids), None)]
    assert cut(codec, []) == []


# -- any call -------------------------------------------------------------------------

SPELLED = [*TAG_TOKENS, "<<circle_area>>", '"}', '"', "\\", "\n", "{", "]", ",", ":", "a", " ", "é"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁\ufffd"), max_size=8),
    st.lists(st.sampled_from(SPELLED), max_size=4).map("".join),
).map(lambda text: unicodedata.normalize("NFC", text))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
TOOLS = ("circle_area", "length_convert", "city.find")
calls = st.lists(
    st.builds(Call, st.sampled_from(TOOLS), st.dictionaries(texts, values, max_size=3)),
    min_size=1,
    max_size=2,
)


def ends(value: Any, start: int) -> Iterator[int]:
    """Where, in JSON text, the colon of each key and the character behind each value stands."""
    position = start + 1
    members = value.items() if isinstance(value, dict) else [(None, inner) for inner in value]
    for key, inner in members:
        if key is not None:
            position += len(json.dumps(key, ensure_ascii=False))
            yield position
            position += 2
        if isinstance(inner, dict | list):
            yield from ends(inner, position)
        position += len(json.dumps(inner, ensure_ascii=False))
        yield position
        position += 2


def check_any_call(codec: Codec, made: list[Call]) -> None:
    pieces = reply(*made)
    ids, _ = codec.encode(pieces)
    fragments = cut(codec, ids)
    assert [i for f in fragments for i in ids[f.start : f.end]] == ids
    assert all(f.start < f.end and f.kind for f in fragments)
    text, stops = as_text(pieces), {f.end for f in fragments}
    prefixes = [text_of(codec, ids[:n]) for n in range(len(ids) + 1)]
    at = 0
    for call in made:
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        at = text.index(f'"{token_of(call.name)}", "parameters": {arguments}', at)
        start = at + len(f'"{token_of(call.name)}", "parameters": ')
        for position in ends(call.arguments, start):
            first = next(n for n, p in enumerate(prefixes) if p.startswith(text[: position + 1]))
            assert first in stops, text[start : position + 1]


@given(made=calls)
@settings(max_examples=100, deadline=None)
def test_every_key_and_value_of_any_call_ends_at_a_border(codec: Codec, made: list[Call]) -> None:
    check_any_call(codec, made)


@given(made=calls)
@settings(max_examples=50, deadline=None)
def test_so_it_does_where_tools_are_written_out(spelling: Codec, made: list[Call]) -> None:
    check_any_call(spelling, made)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_anything_can_be_cut_and_gone_on_with(codec: Codec, data: st.DataObject) -> None:
    """Tags, tools, brackets and any other ids in any order, those without a meaning too."""
    marks = [*codec.markup.values(), *codec.encode_plain('{}[]",:\\<>')]
    some = st.sampled_from(marks) | st.integers(0, len(codec.vocabulary) + 9)
    ids = data.draw(st.lists(some, max_size=40))
    fragments = cut(codec, ids)
    assert [i for f in fragments for i in ids[f.start : f.end]] == ids
    kinds = {f.end: f.kind for f in fragments}
    place = data.draw(st.integers(0, len(ids)))
    rest = Borders.after(codec, ids[:place])
    assert [rest.feed(i) for i in ids[place:]] == [
        kinds.get(n) for n in range(place + 1, len(ids) + 1)
    ]


def test_the_tail_of_a_long_nest_costs_no_more_than_its_head(codec: Codec) -> None:
    """Depth is a count of brackets, however deep a model goes."""
    opening = codec.encode_plain("[")
    ids = [codec.id("<tool_call>"), *opening * 20_000]
    assert cut(codec, ids) == [Fragment(0, len(ids), None)]
    assert Borders.after(codec, ids).feed(codec.encode_plain("]")[-1]) == "value"
