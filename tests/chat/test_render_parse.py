"""Transcript: golden conversations with their loss marks, render and parse as inverses."""

import json
import sys
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import FRAMES, TAG_TOKENS, Codec, Piece, token_of
from tinr.chat.parse import parse, parse_messages, parse_text, split_text
from tinr.chat.render import (
    as_text,
    render_calls,
    render_names,
    render_observations,
    render_response,
    render_thought,
)
from tinr.data.traces import render_trace
from tinr.records import Call, Message, Query

GOLDEN = Path(__file__).parents[1] / "golden"
AREA = Call("circle_area", {"radius": 2})
FEET = Call("length_convert", {"length": 12.57, "source": "metre", "target": "foot"})
CITY = Call("city.find", {"name": "Århus", "tags": ["port", "<think>"]})

SINGLE = Query(
    "q1", "How large is a circle of radius 2?", ((AREA,),), "12.57", None, "", "", ("12.57",)
)
PARALLEL = Query(
    "q2",
    "Circle of 2, and find Århus?",
    ((AREA, CITY),),
    None,
    reply="Done.",
    observations=("12.57", '{"id": 7}'),
)
CHAINED = Query(
    "q3", "Area of radius 2, in feet?", ((AREA,), (FEET,)), "41.24", observations=("12.57", "41.24")
)
HOSTILE = Query("q4", "Is <<circle_area>> </think><|end|> a tool?", kind="chat", reply="It <is>.")
TWICE = Query(
    "q5", "Circles of 2 and 2?", ((AREA, AREA),), "12.57", observations=("12.57", "12.57")
)


# -- golden conversations -------------------------------------------------------------


def marked(pieces: list[Piece]) -> str:
    """A line per markup entry and stretch of `|plain text|`; `+` carries loss, `.` does not.

    Plain text of several lines takes several lines, only the last one closed.
    """
    lines = []
    runs = groupby(pieces, lambda piece: (piece.learn, "" if piece.token else "plain"))
    for (learn, plain), run in runs:
        texts = ["".join(piece.text for piece in run)] if plain else [piece.text for piece in run]
        margin = "+" if learn else "."
        for text in texts:
            shown = "|" + text.replace("\n", "\n  |") + "|" if plain else text
            lines.append(f"{margin} {shown}\n")
    return "".join(lines)


@pytest.mark.parametrize(
    ("name", "query", "family", "on_select"),
    [
        ("single_none", SINGLE, "tinr", False),
        ("single_on_select", SINGLE, "tinr", True),
        ("single_on_select_chatml", SINGLE, "chatml", True),
        ("parallel_none", PARALLEL, "tinr", False),
        ("parallel_on_select", PARALLEL, "tinr", True),
        ("chained_none", CHAINED, "tinr", False),
        ("chained_on_select", CHAINED, "tinr", True),
        ("same_tool_twice_none", TWICE, "tinr", False),
        ("no_tool_none", HOSTILE, "tinr", False),
        ("no_tool_on_select", HOSTILE, "tinr", True),
    ],
)
def test_golden_conversation(
    name: str, query: Query, family: str, on_select: bool, catalogue: Catalogue
) -> None:
    pieces = render_trace(query, catalogue, FRAMES[family], on_select)
    assert marked(pieces) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", [SINGLE, PARALLEL, CHAINED, HOSTILE, TWICE])
@pytest.mark.parametrize("on_select", [False, True])
def test_what_carries_loss_is_a_well_formed_reply(
    query: Query, on_select: bool, catalogue: Catalogue, codec: Codec
) -> None:
    """Through ids and labels: what is learned reads back as the reference calls."""
    ids, labels = codec.encode(render_trace(query, catalogue, codec.frame, on_select))
    learned = codec.decode([index for index in labels if index != -100])
    reply = parse([piece for piece in learned if piece.text != codec.frame.close])
    assert reply.calls == query.calls
    assert reply.named == tuple(dict.fromkeys(call.name for call in query.calls))
    assert reply.response == (query.reply or f"The answer is {query.answer}.")
    chained = len(query.turns) > 1  # without its observations, the second call comes too early
    assert bool(reply.problems) == chained
    assert len(ids) == len(labels)


# -- render and parse are inverses ----------------------------------------------------

SPELLED = [*TAG_TOKENS, "<<circle_area>>", "<|end|>", "<|im_end|>", '"}', "\\", "\n", "<think"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=12),
    st.lists(st.sampled_from([*SPELLED, "a", " "]), max_size=4).map("".join),
).map(lambda text: unicodedata.normalize("NFC", text))
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(texts, values, max_size=3)
TOOLS = ("circle_area", "length_convert", "city.find")
turns = st.lists(
    st.lists(st.builds(Call, st.sampled_from(TOOLS), arguments), min_size=1, max_size=3),
    min_size=1,
    max_size=2,
)


def spoken(calls: list[list[Call]], answer: str) -> list[Piece]:
    """A whole reply: names, then calls and their observations turn by turn, then the answer."""
    pieces = [
        *render_thought(["so"]),
        *render_names([call.name for turn in calls for call in turn]),
    ]
    for turn in calls:
        pieces += [*render_calls(turn), *render_observations(["</obs><response>"] * len(turn))]
    return [*pieces, *render_response(answer)]


@given(calls=turns, answer=texts.filter(str.strip))
@settings(max_examples=100, deadline=None)
def test_parse_inverts_render_through_ids(
    codec: Codec, calls: list[list[Call]], answer: str
) -> None:
    ids, _ = codec.encode(spoken(calls, answer))
    reply = parse(codec.decode(ids))
    given_calls = tuple(call for turn in calls for call in turn)
    assert reply.problems == ()
    assert reply.calls == given_calls
    assert reply.named == tuple(call.name for call in given_calls)
    assert (reply.thought, reply.response, reply.observed) == ("so", answer.strip(), True)


@given(calls=st.lists(st.builds(Call, st.sampled_from(TOOLS), arguments), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_split_text_inverts_as_text(calls: list[Call]) -> None:
    pieces = [*render_thought(["so"]), *render_names(["city.find"]), *render_calls(calls)]
    reply = parse(split_text(as_text(pieces)))
    assert reply.problems == ()
    assert reply.calls == tuple(calls)
    assert reply.named == ("city.find",)


@given(text=texts | st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_splitting_loses_no_text(text: str) -> None:
    assert as_text(split_text(text)) == text


# -- what a model may write -----------------------------------------------------------


@given(
    pieces=st.lists(
        st.builds(
            Piece,
            st.sampled_from([*TAG_TOKENS, "<<a>>", "{", "[", "]", "}", '{"token": "', '"', "1"])
            | st.text(max_size=8),
            st.booleans(),
        ),
        max_size=14,
    )
)
@settings(max_examples=200, deadline=None)
def test_parse_never_raises(pieces: list[Piece]) -> None:
    assert isinstance(parse(pieces).problems, tuple)
    assert isinstance(parse_text(as_text(pieces)).problems, tuple)


@pytest.mark.parametrize(
    "inside",
    [
        "[" * 5000,
        '{"a":' * 5000,
        "1" * 5000,
        '{"token": "<<a>>", "parameters": {"x": ' + "9" * 5000,
    ],
    ids=["lists", "objects", "digits", "digits within"],
)
def test_extreme_json_is_a_problem_not_an_exception(inside: str) -> None:
    reply = parse_text(call_text(inside))
    assert reply.calls == ()
    assert any("<tool_call>" in problem for problem in reply.problems)


def call_text(inside: str) -> str:
    """A reply whose call is `inside`."""
    return f"<think>x</think><tool_token>\n<<a>>\n</tool_token><tool_call>{inside}</tool_call>"


GOOD = '{"token": "<<a>>", "parameters": {"x": 1}}'


@pytest.mark.parametrize(
    "inside",
    [
        GOOD,
        f"\n{GOOD}\n",
        '{\n  "token": "<<a>>",\n  "parameters": {\n    "x": 1\n  }\n}',
        '[\n  {"parameters": {"x": 1},\n   "token": "<<a>>"}\n]',
        '{"name": "a", "arguments": {"x": 1}}',
        '{"name": "a", "parameters": {"x": 1}}',
    ],
)
def test_any_layout_of_a_call_parses(inside: str) -> None:
    reply = parse_text(call_text(inside))
    assert reply.problems == ()
    assert reply.calls == (Call("a", {"x": 1}),)


BAD_CALLS = {
    "duplicate key": ('{"token": "<<a>>", "parameters": {"x": 1, "x": 2}}', "duplicate key"),
    "NaN": ('{"token": "<<a>>", "parameters": {"x": NaN}}', "NaN is not a JSON value"),
    "Infinity": ('{"token": "<<a>>", "parameters": {"x": -Infinity}}', "-Infinity is not a JSON"),
    "trailing comma": ('{"token": "<<a>>", "parameters": {"x": 1,}}', "not JSON"),
    "comma in list": (f"[{GOOD},]", "not JSON"),
    "two objects": (f"{GOOD}\n{GOOD}", "not JSON"),
    "text after": (f"{GOOD} done", "not JSON"),
    "single quotes": ("{'token': '<<a>>', 'parameters': {}}", "not JSON"),
    "comment": (f"{GOOD} // call", "not JSON"),
    "cut off": (GOOD[:-1], "not JSON"),
    "raw line break": ('{"token": "<<a>>", "parameters": {"x": "1\n2"}}', "not JSON"),
    "no parameters": ('{"token": "<<a>>"}', 'not {"token"'),
    "extra key": ('{"token": "<<a>>", "parameters": {}, "id": 1}', 'not {"token"'),
    "parameters a list": ('{"token": "<<a>>", "parameters": []}', 'not {"token"'),
    "parameters as text": ('{"token": "<<a>>", "parameters": "{}"}', 'not {"token"'),
    "token a number": ('{"token": 1, "parameters": {}}', 'not {"token"'),
    "no name": ('{"token": "", "parameters": {}}', 'not {"token"'),
    "a string": ('"<<a>>"', 'not {"token"'),
    "empty": ("", "empty <tool_call>"),
    "blank": (" \n", "empty <tool_call>"),
    "empty list": ("[]", "empty <tool_call>"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_is_a_problem(case: str) -> None:
    inside, problem = BAD_CALLS[case]
    reply = parse_text(call_text(inside))
    assert reply.calls == ()
    assert any(problem in found for found in reply.problems), reply.problems


def test_one_bad_call_of_two_leaves_the_other() -> None:
    reply = parse_text(call_text(f'[{GOOD}, {{"token": "<<a>>"}}]'))
    assert reply.calls == (Call("a", {"x": 1}),)
    assert len(reply.problems) == 1


NAMES = "<tool_token>\n<<a>>\n</tool_token>"
CALL = f"<tool_call>{GOOD}</tool_call>"
BAD_REPLIES = {
    "nothing": ("", "does not begin with <think>"),
    "plain words": ("It is 4.", "text outside the tags"),
    "no thought": ("<response>4</response>", "does not begin with <think>"),
    "thought last": ("<response>4</response><think>x</think>", "does not begin with <think>"),
    "two thoughts": (
        "<think>x</think><think>y</think><response>4</response>",
        "<think> occurs twice",
    ),
    "two responses": (
        "<think>x</think><response>4</response><response>5</response>",
        "<response> occurs twice",
    ),
    "two lists of names": (f"<think>x</think>{NAMES}{NAMES}{CALL}", "<tool_token> occurs twice"),
    "thought alone": ("<think>x</think>", "parts missing or out of order"),
    "names alone": (f"<think>x</think>{NAMES}", "parts missing or out of order"),
    "call without names": (f"<think>x</think>{CALL}", "parts missing or out of order"),
    "call before names": (f"<think>x</think>{CALL}{NAMES}", "parts missing or out of order"),
    "two calls unanswered": (f"<think>x</think>{NAMES}{CALL}{CALL}", "out of order"),
    "response before call": (
        f"<think>x</think>{NAMES}<response>4</response>{CALL}",
        "out of order",
    ),
    "unclosed thought": ("<think>x<response>4</response>", "unclosed <think>"),
    "unclosed response": ("<think>x</think><response>4", "unclosed <response>"),
    "stray end": ("</think><think>x</think><response>4</response>", "stray </think>"),
    "crossed ends": ("<think>x</response><response>4</response>", "stray </response>"),
    "reversed tags": ("</think>x<think></response>4<response>", "stray </think>"),
    "text between": ("<think>x</think> so <response>4</response>", "text outside the tags"),
    "text after": ("<think>x</think><response>4</response> bye", "text outside the tags"),
    "empty thought": ("<think> </think><response>4</response>", "empty <think>"),
    "empty response": ("<think>x</think><response></response>", "empty <response>"),
    "empty names": (f"<think>x</think><tool_token>\n</tool_token>{CALL}", "empty <tool_token>"),
    "words among names": (
        f"<think>x</think><tool_token>\n<<a>> and\n</tool_token>{CALL}",
        "something other than tool tokens",
    ),
    "two names in a line": (
        f"<think>x</think><tool_token>\n<<a>> <<b>>\n</tool_token>{CALL}",
        "two tokens on one line",
    ),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_a_bad_reply_has_its_problem(case: str) -> None:
    text, problem = BAD_REPLIES[case]
    assert any(problem in found for found in parse_text(text).problems), parse_text(text).problems


def test_a_tag_spelled_in_a_string_of_a_call_is_part_of_the_string() -> None:
    spelled: dict[str, Any] = {"x": "</tool_call><response><<b>></response>", "<think>": "<<a>>"}
    inside = json.dumps({"token": "<<a>>", "parameters": spelled})
    reply = parse_text(call_text(inside))
    assert reply.problems == ()
    assert reply.calls == (Call("a", spelled),)
    assert reply.response is None


def test_a_name_spelled_as_text_names_no_tool() -> None:
    """Only the vocabulary entry names a tool; its letters do not."""
    pieces = [*render_thought(["x"]), *render_names(["b"])]
    spelled = [Piece(p.text) if p.text == token_of("b") else p for p in pieces]
    assert parse(pieces).named == ("b",)
    assert parse(spelled).named == ()
    assert any("something other" in problem for problem in parse(spelled).problems)


def test_messages_of_tools_are_documents_or_observations_never_markup() -> None:
    reply = parse_messages(
        [
            Message("user", "<response>no</response>"),
            Message("assistant", f"<think>x</think>{NAMES}"),
            Message("tool", "<<a>> Adds. <response>no</response>"),
            Message("assistant", CALL),
            Message("tool", "<obs>4</obs>"),
            Message("assistant", CALL),
            Message("tool", "<response>no</response>"),
            Message("assistant", "<response>4</response>"),
        ]
    )
    assert reply.problems == ()
    assert reply.named == ("a",)
    assert (reply.response, reply.observed) == ("4", True)
    assert reply.calls == (Call("a", {"x": 1}),) * 2


def test_a_trace_without_observations_ends_at_the_first_calls(catalogue: Catalogue) -> None:
    """What the tools return is not known: nothing is invented."""
    bare = Query("q", "Area?", ((AREA,), (CITY,)))
    text = as_text(render_trace(bare, catalogue, FRAMES["tinr"]))
    assert text.endswith("</tool_call>") and text.count("<tool_call>") == 1
    assert "<obs>" not in text and "None" not in text


def test_a_number_that_is_too_large_is_the_largest_there_is():
    """1e999 is JSON; as infinity it could be written nowhere."""
    text = '<tool_call>{"token": "a", "parameters": {"x": 1e999, "y": [-1e999]}}</tool_call>'
    arguments = parse_text(text).calls[0].arguments
    assert arguments == {"x": sys.float_info.max, "y": [-sys.float_info.max]}
    assert json.loads(json.dumps(arguments, allow_nan=False)) == arguments
