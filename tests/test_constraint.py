"""Constrained decoding: what may be written inside the tags, whatever the model would like to."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CIRCLE, CITY, LENGTH

from tinr.catalogue import Catalogue
from tinr.constraint import Grammars
from tinr.records import Call
from tinr.support import unpack
from tinr.tokens import Codec, Piece, token_of
from tinr.transcript import render_calls, render_names, render_response

CALL = Call("circle_area", {"radius": 2.5, "digits": 3})
CALLS = [
    [CALL],
    [CALL, Call("length_convert", {"length": -2e3, "source": "foot", "target": "metre"})],
    [Call("city.find", {"name": 'Ü "漢"\\ \n </tool_call> <<circle_area>>', "tags": ["a", ""]})],
]
ALL = [CIRCLE.name, LENGTH.name, CITY.name]


@pytest.fixture(scope="module")
def grammars(codec: Codec, catalogue: Catalogue) -> Grammars:
    return Grammars(codec, catalogue)


def follow(grammars: Grammars, ids: list[int]) -> int:
    """How many of a row's ids may be written, one after the other."""
    state, row = grammars.start(1), np.array([0])
    for number, index in enumerate(ids):
        found = state.allowed(row)
        if found is not None and not unpack(torch.from_numpy(found[1]), index + 1)[0, index]:
            return number
        state.feed(row, np.array([index]))
    return len(ids)


def next_set(grammars: Grammars, ids: list[int]) -> set[int]:
    """What may be written after a row's ids, inside a tag."""
    state, row = grammars.start(1), np.array([0])
    for index in ids:
        state.feed(row, np.array([index]))
    _, packed = state.allowed(row)
    return set(unpack(torch.from_numpy(packed), 4096)[0].nonzero().squeeze(1).tolist())


def ids_of(grammars: Grammars, *pieces: Piece) -> list[int]:
    return grammars.codec.encode(pieces)[0]


@pytest.mark.parametrize("calls", CALLS)
def test_what_the_transcript_renders_may_be_written(grammars, calls):
    """Names and calls as traces have them, text that spells tags and tokens among them."""
    names = list(dict.fromkeys(call.name for call in calls))
    ids = ids_of(grammars, *render_names(names), *render_calls(calls), *render_response("done"))
    assert follow(grammars, ids) == len(ids)


def test_any_layout_of_a_call_may_be_written(grammars):
    text = json.dumps([{"token": "X", "parameters": {"radius": 1}}], indent=2).split("X")
    token = Piece(token_of("circle_area"), token=True)
    tag, close = (Piece(t, token=True) for t in ("<tool_call>", "</tool_call>"))
    ids = ids_of(grammars, tag, Piece("\n" + text[0]), token, Piece(text[1] + "\n"), close)
    assert follow(grammars, ids) == len(ids)


def test_after_the_tag_of_names_only_a_line_break_then_tools_then_the_close(grammars):
    codec = grammars.codec
    tag = Piece("<tool_token>", token=True)
    tools = {codec.tool_ids[name] for name in ALL}
    assert next_set(grammars, ids_of(grammars, tag, Piece("\n"))) == tools
    one = [tag, Piece("\n"), Piece(token_of("circle_area"), token=True)]
    assert codec.id("</tool_token>") not in next_set(grammars, ids_of(grammars, *one))
    after = next_set(grammars, ids_of(grammars, *one, Piece("\n")))
    assert after == {*tools, codec.id("</tool_token>")}


def test_only_tools_of_the_catalogue_are_named(codec):
    """The vocabulary may know tools of other catalogues."""
    small = Grammars(codec, Catalogue((CITY,)))
    ids = ids_of(small, Piece("<tool_token>", token=True), Piece("\n"))
    assert next_set(small, ids) == {codec.tool_ids["city.find"]}


def test_only_what_was_named_is_called(grammars):
    codec = grammars.codec
    begun = [Piece("<tool_call>", token=True), Piece('{"token": "')]
    after = next_set(grammars, ids_of(grammars, *render_names(["city.find"]), *begun))
    assert after == {codec.tool_ids["city.find"]}
    assert next_set(grammars, ids_of(grammars, *begun)) == {codec.tool_ids[n] for n in ALL}


BAD = {
    "a wrong type": '", "parameters": {"radius": "2"}}',
    "an unknown parameter": '", "parameters": {"radius": 2, "colour": 1}}',
    "a missing parameter": '", "parameters": {"digits": 2}}',
    "no parameters": '"}',
    "another key": '", "parameters": {"radius": 2}, "x": 1}',
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_schema_forbids_may_not_be_written(grammars, case):
    token = Piece(token_of("circle_area"), token=True)
    tags = [Piece(t, token=True) for t in ("<tool_call>", "</tool_call>")]
    ids = ids_of(grammars, tags[0], Piece('{"token": "'), token, Piece(BAD[case]), tags[1])
    assert follow(grammars, ids) < len(ids)


def test_inside_a_string_no_markup_may_be_written(grammars):
    """A tool token or a tag in an argument would end the call, or be read as another call."""
    codec = grammars.codec
    begun = [*render_names(["city.find"]), Piece("<tool_call>", token=True), Piece('{"token": "')]
    token = Piece(token_of("city.find"), token=True)
    within = next_set(
        grammars, ids_of(grammars, *begun, token, Piece('", "parameters": {"name": "Ul'))
    )
    assert not within & {*codec.markup.values(), codec.pad}
    assert within & set(codec.encode_plain("m"))


def test_outside_the_tags_everything_is_free(grammars):
    state, row = grammars.start(2), np.array([0, 1])
    assert state.allowed(row) is None
    state.feed(row, np.array([grammars.codec.id("<tool_token>"), grammars.codec.id("<think>")]))
    inside, _ = state.allowed(row)
    assert inside.tolist() == [0]


def test_the_environment_may_take_the_floor_inside_a_tag(grammars):
    """What is forced in and does not fit ends the tag's hold; the names so far are kept."""
    codec = grammars.codec
    token = Piece(token_of("city.find"), token=True)
    ids = ids_of(grammars, Piece("<tool_token>", token=True), Piece("\n"), token, Piece("\n"))
    state, row = grammars.start(1), np.array([0])
    for index in [*ids, codec.id(codec.frame.close)]:
        state.feed(row, np.array([index]))
    assert state.allowed(row) is None and state.turns[0].named == ["city.find"]


def test_a_schema_without_a_grammar_is_any_object_and_is_said_once(codec):
    odd = replace(CITY, parameters={"type": "object", "not": {"required": ["x"]}})
    made = Grammars(codec, Catalogue((CIRCLE, odd)))
    call = ids_of(made, *render_calls([Call("city.find", {"x": [1, {"y": None}]})]))
    with pytest.warns(UserWarning, match=r"city\.find.*any JSON object"):
        assert follow(made, call) == len(call)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert follow(made, call) == len(call)
        both = ids_of(made, *render_names(["city.find"]), *render_calls([CALL]))
        assert follow(made, both) < len(both)  # the other tool is not named
    assert made.loose == {"city.find"}


def test_so_many_tools_that_their_schemas_are_left_out(codec, monkeypatch):
    monkeypatch.setattr("tinr.constraint.MOST_SCHEMAS", 2)
    made = Grammars(codec, Catalogue((CIRCLE, LENGTH, CITY)))
    ids = ids_of(made, *render_calls([Call("circle_area", {"any": 1})]))
    assert follow(made, ids) == len(ids)


def test_a_vocabulary_without_tool_tokens_spells_the_tools(qwen_tokenizer, catalogue):
    import copy

    from tinr.tokens import grow_tokenizer

    tokenizer = copy.deepcopy(qwen_tokenizer)
    grow_tokenizer(tokenizer, [])
    made = Grammars(Codec(tokenizer), catalogue)
    ids = ids_of(made, *render_names(["city.find"]), *render_calls(CALLS[2]))
    assert follow(made, ids) == len(ids)
    wrong = ids_of(made, *render_names(["city.find"]), *render_calls([CALL]))
    assert follow(made, wrong) < len(wrong)
