"""Constrained decoding: what may be written inside the tags, whatever the model would like to."""

import copy
import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import CIRCLE, CITY, LENGTH
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.codec import Codec, Piece, grow_tokenizer, token_of
from tinr.chat.parse import parse
from tinr.chat.render import render_calls, render_names, render_response, render_thought
from tinr.data.base_tokenizer import train_tokenizer
from tinr.records import Call
from tinr.rollout.generate import generate
from tinr.rollout.grammar import Grammars
from tinr.rollout.sampling_support import nucleus, pack, unpack
from tinr.studies.benchmarks import roundtrip as trip
from tinr.studies.benchmarks.roundtrip import roundtrip

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


def test_each_row_of_a_batch_names_only_the_tools_it_is_offered(grammars):
    codec, rows = grammars.codec, np.arange(3)
    state = grammars.start(3, offered=[["city.find"], [], ["circle_area", "length_convert"]])
    for index in ids_of(grammars, Piece("<tool_token>", token=True), Piece("\n")):
        state.feed(rows, np.full(3, index))
    _, packed = state.allowed(rows)
    sets = [
        set(allowed.nonzero().squeeze(1).tolist())
        for allowed in unpack(torch.from_numpy(packed), 4096)
    ]
    offered = [["city.find"], ALL, ["circle_area", "length_convert"]]
    assert sets == [{codec.tool_ids[name] for name in names} for names in offered]


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
    monkeypatch.setattr("tinr.rollout.grammar.MOST_SCHEMAS", 2)
    made = Grammars(codec, Catalogue((CIRCLE, LENGTH, CITY)))
    ids = ids_of(made, *render_calls([Call("circle_area", {"any": 1})]))
    assert follow(made, ids) == len(ids)


def test_a_vocabulary_without_tool_tokens_spells_the_tools(qwen_tokenizer, catalogue):
    tokenizer = copy.deepcopy(qwen_tokenizer)
    grow_tokenizer(tokenizer, [])
    made = Grammars(Codec(tokenizer), catalogue)
    ids = ids_of(made, *render_names(["city.find"]), *render_calls(CALLS[2]))
    assert follow(made, ids) == len(ids)
    wrong = ids_of(made, *render_names(["city.find"]), *render_calls([CALL]))
    assert follow(made, wrong) < len(wrong)


# -- in the sampler ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(grammars):
    """Random weights, and more rows than the vocabulary has entries."""
    torch.manual_seed(2)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(grammars.codec.tokenizer) + 30, hidden_size=32, intermediate_size=64,
            num_hidden_layers=1, num_attention_heads=2, initializer_range=0.2, pad_token_id=0,
        )
    ).eval()  # fmt: skip


def held(model, grammars, opening: list[int], group: int, max_tokens: int, **settings):
    """Rows in which the environment writes `opening` after the first id; they end at a close."""
    closes = [grammars.codec.id(f"</{tag}>") for tag in ("tool_token", "tool_call")]

    def answer(row, ids):
        return opening if len(ids) == 1 else None if ids[-1] in closes else []

    return generate(
        model, [[3, 4]], answer, frozenset(range(model.config.vocab_size)),
        max_tokens=max_tokens, pad=0, group=group, constraint=grammars.start(group), **settings,
    )  # fmt: skip


def test_a_random_model_names_tools_and_nothing_else(model, grammars):
    tag = [grammars.codec.id("<tool_token>")]
    rows = held(model, grammars, tag, 64, 40, temperature=1.0, seed=1)
    closed = [row for row in rows if row.finished]
    assert len(closed) > 40
    for row in closed:
        reply = parse(grammars.codec.decode(row.ids[1:]))
        assert reply.named and set(reply.named) <= set(ALL)
        assert not [p for p in reply.problems if "tool_token" in p]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_random_models_calls_fit_the_schema_of_a_named_tool(model, grammars, temperature):
    opening = ids_of(grammars, *render_names(["circle_area", "length_convert"]))
    opening.append(grammars.codec.id("<tool_call>"))
    rows = held(model, grammars, opening, 48, 200, temperature=temperature, top_p=0.95, seed=1)
    calls = []
    for row in rows:
        if row.finished:
            reply = parse(grammars.codec.decode(row.ids[1:]))
            assert not [p for p in reply.problems if "tool_call" in p], reply.problems
            calls += reply.calls
    assert len(calls) > 8 or temperature == 0
    docs = {"circle_area": CIRCLE, "length_convert": LENGTH}
    for call in calls:
        closed = {**docs[call.name].parameters, "additionalProperties": False}
        jsonschema.validate(dict(call.arguments), closed)


def test_what_is_no_entry_of_the_tokenizer_is_never_written_inside(model, grammars):
    tag = [grammars.codec.id("<tool_call>")]
    rows = held(model, grammars, tag, 16, 40, temperature=3.0, seed=1)
    assert max(max(row.ids[2:]) for row in rows) < len(grammars.codec.tokenizer)


def test_where_nothing_is_allowed_the_row_ends_and_says_so(model, codec):
    """No tool is known: the row is as long as what was written, its neighbours go on."""
    none = Grammars(codec, Catalogue(()))
    tag = codec.id("<tool_token>")
    rows = generate(
        model, [[3, 4], [5, 6]], lambda row, ids: [tag] if row == 0 and len(ids) == 2 else [],
        frozenset(range(model.config.vocab_size)), max_tokens=12, pad=0, temperature=1.0, seed=4,
        constraint=none.start(2),
    )  # fmt: skip
    # the line break after the tag may be refused at once, or only the tool after it
    assert rows[0].stuck and not rows[0].finished and 3 <= len(rows[0].ids) <= 4
    assert rows[0].ids[2] == tag and len(rows[0].mask) == len(rows[0].logprobs) == len(rows[0].ids)
    assert not rows[1].stuck and len(rows[1].ids) == 12


class Scripted:
    """A model that would write one row of ids, whatever it is fed, after a prompt of one id."""

    device = torch.device("cpu")

    def __init__(self, ids: list[int], entries: int):
        self.ids, self.entries = [*ids, 0], entries

    def parameters(self):
        return ()

    def __call__(self, position_ids, **_):
        at = min(int(position_ids[0, -1]), len(self.ids) - 1)
        logits = F.one_hot(torch.tensor([[self.ids[at]]]), self.entries).float()
        return SimpleNamespace(logits=logits)


def greedy(grammars: Grammars, ids: list[int], constrained: bool) -> list[int]:
    end = grammars.codec.id("</response>")
    rows = generate(
        Scripted(ids, len(grammars.codec.tokenizer)), [[3]], lambda row, ids: None,
        frozenset({end}), max_tokens=len(ids) + 20, pad=0,
        constraint=grammars.start(1) if constrained else None,
    )  # fmt: skip
    return rows[0].ids


@pytest.mark.parametrize("calls", CALLS)
def test_a_greedy_reply_that_is_allowed_is_written_as_it_would_be(grammars, calls):
    names = list(dict.fromkeys(call.name for call in calls))
    thought = render_thought(["so ", Piece(token_of(names[0]), token=True)])
    whole = [*thought, *render_names(names), *render_calls(calls), *render_response("done")]
    ids = ids_of(grammars, *whole)
    assert greedy(grammars, ids, True) == greedy(grammars, ids, False) == ids


def test_a_greedy_reply_that_is_not_allowed_is_another_one(grammars):
    wrong = Call("circle_area", {"radius": "2"})
    ids = ids_of(grammars, *render_names(["circle_area"]), *render_calls([wrong]))
    assert greedy(grammars, ids, False)[: len(ids)] == ids
    assert greedy(grammars, ids, True)[: len(ids)] != ids


# -- sets, and the whole way ---------------------------------------------------------------


@pytest.mark.parametrize("entries", [1, 8, 13, 40])
def test_packing_loses_nothing(entries):
    sets = torch.rand(5, entries) < 0.5
    packed = pack(sets)
    assert packed.shape == (5, -(-entries // 8)) and torch.equal(unpack(packed, entries), sets)
    assert not unpack(packed, entries + 20)[:, entries:].any()
    assert pack(torch.tensor([1, 0, 0, 1, 0, 0, 0, 0, 1]).bool()).tolist() == [9, 1]


def test_a_nucleus_is_the_fewest_likeliest():
    """0.5 + 0.3 < 0.9 <= 0.5 + 0.3 + 0.15; of 0.8 the first two; the first one is always in."""
    logp = torch.tensor([[0.05, 0.5, 0.15, 0.3], [0.05, 0.5, 0.15, 0.3]]).log()
    assert nucleus(logp, 0.9)[0].tolist() == [False, True, True, True]
    assert nucleus(logp, 0.79)[1].tolist() == [False, True, False, True]
    assert nucleus(logp, 1e-9)[0].tolist() == [False, True, False, False]
    off = logp.masked_fill(torch.tensor([0, 0, 1, 0]).bool(), -torch.inf)
    assert not nucleus(off, 0.9999)[:, 2].any()


def test_samples_of_a_nucleus_follow_what_is_left_of_the_distribution(model, grammars):
    """First ids of 4,000 samples, within 4 sigma of the renormalised nucleus; none outside."""
    rows = generate(model, [[7, 8]], lambda row, ids: [], frozenset(), max_tokens=1, pad=0,
                    group=4000, temperature=1.0, top_p=0.7, seed=2)  # fmt: skip
    with torch.no_grad():
        p = (model(torch.tensor([[7, 8]])).logits[0, -1]).softmax(-1)
    kept = nucleus(p.log()[None], 0.7)[0]
    left = p.where(kept, 0.0) / p[kept].sum()
    drawn = torch.tensor([row.ids[0] for row in rows])
    counts = torch.bincount(drawn, minlength=len(p)) / 4000
    assert kept[drawn].all() and 1 < kept.sum() < len(p)
    assert ((counts - left).abs() <= 4 * (left * (1 - left) / 4000).sqrt() + 1e-3).all()
    assert torch.allclose(
        torch.tensor([row.logprobs[0] for row in rows]), left[drawn].log(), atol=1e-5
    )
    assert torch.equal(rows[0].support.sets(len(p))[0], kept)


def test_random_conversations_are_trained_as_they_were_sampled():
    """Ids, masks and sets, padded, shuffled and split; the long form is `tinr bench roundtrip`."""
    count = roundtrip(30_000, seed=3)
    assert count.errors == 0
    assert count.conversations >= 250 and count.turns > 500 and count.given > 5000
    assert count.narrowed > 2000


@pytest.mark.parametrize("wrong", ["all", "none", "lost"])
def test_a_set_that_is_not_the_samplers_is_counted(monkeypatch, wrong):
    """The whole vocabulary, no set at all, a batch that forgets its sets."""
    check = trip._check

    def spoiled(witness, batches):
        for batch in batches:
            if wrong == "lost":
                del batch["support"]
                continue
            batch["support"] = [
                given and (None if wrong == "none"
                           else replace(given, packed=np.full_like(given.packed, 255)))
                for given in batch["support"]
            ]  # fmt: skip
        check(witness, batches)

    monkeypatch.setattr(trip, "_check", spoiled)
    tokenizer, tools = train_tokenizer(512, 3), load_catalogue("toolbox")
    grow_tokenizer(tokenizer, tools.names)
    count = trip.Count()
    trip._compare(count, 1, Codec(tokenizer), tools, narrowed=True, seed=3)
    assert count.errors > 500
