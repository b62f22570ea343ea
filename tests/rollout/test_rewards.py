"""Rewards: hand-worked numbers, the gold reply at the top, every known way to cheat below it."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phases.grpo import GrpoConfig
from tinr.chat.parse import parse_text
from tinr.config_files import load_config
from tinr.records import (
    NO_ARGUMENTS,
    REWARDS,
    SOME_CALL,
    BadInput,
    Call,
    Query,
    Reply,
    Score,
    ToolDoc,
)
from tinr.rollout.scoring.rewards import (
    RewardWeights,
    agrees,
    call_similarity,
    matched_similarity,
    same_calls,
    same_value,
    score,
    tool_reward,
    without_defaults,
)

A = Call("a", {"x": 1, "y": 2})
B = Call("b", {"s": "oak"})


def reply_text(
    names: str = "a", calls: Sequence[Call] = (A,), response: str | None = "The answer is 42."
) -> str:
    """A reply as text; `names` one letter each; no response: it ends at its calls."""
    listed = "".join(f"<<{name}>>\n" for name in names)
    made = [{"token": f"<<{call.name}>>", "parameters": call.arguments} for call in calls]
    inside = json.dumps(made[0] if len(made) == 1 else made)
    text = f"<think>so</think><tool_token>\n{listed}</tool_token><tool_call>{inside}</tool_call>"
    if response is None:
        return text
    return text + "<obs>42</obs>" * len(calls) + f"<response>{response}</response>"


ONE = Query("1", "How much?", ((A,),), "42")
UNSCORED = Query("2", "How much?", ((A,),))  # no reference answer
BOTH = Query("3", "Both?", ((A, B),))
TWICE = Query("4", "Twice?", ((A, Call("a", {"x": 3, "y": 4})),))
BARE = Query("5", "Now?", ((Call("now", {}),),))
NONE = Query("6", "Hello")
TALK = Query("7", "Say 42", (), "42")
NO_CALL = "<think>so</think><response>The answer is 42.</response>"

# (query, reply, format, tool, answer); tool = 0.25 * Jaccard(names) + 0.75 * Jaccard(calls)
TABLE = {
    "gold": (ONE, reply_text(), 1, 1, 1),
    "gold without an answer to score": (UNSCORED, reply_text(), 1, 1, None),
    "gold that ends at its call": (UNSCORED, reply_text(response=None), 1, 1, None),
    "gold, two calls": (BOTH, reply_text("ab", [A, B]), 1, 1, None),
    "two calls in the other order": (BOTH, reply_text("ba", [B, A]), 1, 1, None),
    "gold, one tool twice": (TWICE, reply_text("a", TWICE.calls), 1, 1, None),
    "gold, no parameters": (
        BARE,
        reply_text("", BARE.calls).replace("<tool_token>\n", "<tool_token>\n<<now>>\n"),
        1,
        1,
        None,
    ),
    "gold, no call": (NONE, NO_CALL, 1, 1, None),
    "gold, no call but an answer": (TALK, NO_CALL, 1, 1, 1),
    # names 0/2, calls 1/1: 0.75
    "wrong names, right call": (ONE, reply_text("z"), 1, 0.75, 1),
    # names 1/2, calls 1/1: 0.125 + 0.75
    "one name too many": (ONE, reply_text("az"), 1, 0.875, 1),
    "a name twice": (ONE, reply_text("aa"), 1, 0.875, 1),
    # names 1/1, calls 1/(1 + 6 - 1): 0.25 + 0.125
    "right call plus five wrong": (ONE, reply_text("a", [A] + [B] * 5), 1, 0.375, 1),
    # names 1/2, calls 1/6: 0.125 + 0.125
    "right call plus five wrong, named": (ONE, reply_text("ab", [A] + [B] * 5), 1, 0.25, 1),
    # names 1/1, calls 1/(1 + 3 - 1): 0.25 + 0.25
    "the same call three times": (ONE, reply_text("a", [A] * 3), 1, 0.5, 1),
    # names 1/1, calls 0/(1 + 1 - 0): 0.25
    "right tool without parameters": (ONE, reply_text("a", [Call("a", {})]), 1, 0.25, 1),
    # one of two arguments: calls 0.5/(1 + 1 - 0.5) = 1/3: 0.25 + 0.25
    "one argument wrong": (ONE, reply_text("a", [Call("a", {"x": 1, "y": 3})]), 1, 0.5, 1),
    "one argument missing": (ONE, reply_text("a", [Call("a", {"x": 1})]), 1, 0.5, 1),
    # two of three keys: calls (2/3)/(2 - 2/3) = 1/2: 0.25 + 0.375
    "one argument too many": (
        ONE,
        reply_text("a", [Call("a", {"x": 1, "y": 2, "z": 0})]),
        1,
        0.625,
        1,
    ),
    # names 1/2, calls 1/2: 0.125 + 0.375
    "one of two calls": (BOTH, reply_text("a", [A]), 1, 0.5, None),
    # names 1/1, calls 1/(2 + 2 - 1) = 1/3: 0.25 + 0.25
    "one of two calls, twice": (TWICE, reply_text("a", [A, A]), 1, 0.5, None),
    "wrong answer": (ONE, reply_text(response="The answer is 41."), 1, 1, 0),
    "observed but no response": (
        ONE,
        reply_text().split("<response>")[0],
        0,
        1,
        0,
    ),
    "nothing": (ONE, "", 0, 0, 0),
    "plain words": (ONE, "42", 0, 0, 0),
    "empty tags": (
        ONE,
        "<think></think><tool_token></tool_token><tool_call></tool_call><response></response>",
        0,
        0,
        0,
    ),
    "empty tags, no call expected": (NONE, "<think></think><response></response>", 0, 1, None),
    # what stands after the opening <tool_token> is read as names, the call is never opened: 0.25
    "reversed tags": (
        ONE,
        "</think>so<think></tool_token>\n<<a>>\n<tool_token></tool_call>"
        '{"token": "<<a>>", "parameters": {"x": 1, "y": 2}}<tool_call>',
        0,
        0.25,
        0,
    ),
    "answers without the call": (ONE, NO_CALL, 0, 0, 1),
    "a call where none is expected": (NONE, reply_text(), 0, 0, None),
    "names where none is expected": (
        NONE,
        "<think>so</think><tool_token>\n<<a>>\n</tool_token><response>x</response>",
        0,
        0,
        None,
    ),
    "no response where no call is expected": (NONE, "<think>so</think>", 0, 1, None),
}


@pytest.mark.parametrize("case", TABLE)
def test_rewards_by_hand(case: str) -> None:
    query, text, form, tool, answer = TABLE[case]
    found = score(parse_text(text), query)
    assert found.format == form
    assert found.tool == pytest.approx(tool)
    assert found.answer == answer
    parts = [part for part in (form, tool, answer) if part is not None]
    assert found.total == pytest.approx(sum(parts) / len(parts))
    assert bool(found.why) == (found.total < 1)  # a lost point has its reason, a gold reply none


GOLD = reply_text("ab", [A, B])
FULL = Query("g", "Both?", ((A, B),), "42")
CORRUPTIONS = {
    "no thought": ("<think>so</think>", ""),
    "empty thought": ("so", ""),
    "open thought": ("</think>", ""),
    "thought twice": ("<think>so</think>", "<think>so</think>" * 2),
    "no names": ("<tool_token>\n<<a>>\n<<b>>\n</tool_token>", ""),
    "a name missing": ("<<b>>\n", ""),
    "a name too many": ("<<b>>\n", "<<b>>\n<<c>>\n"),
    "a name repeated": ("<<b>>\n", "<<b>>\n<<b>>\n"),
    "a wrong name": ("\n<<b>>\n", "\n<<c>>\n"),
    "names in one line": ("<<a>>\n", "<<a>> "),
    "open names": ("</tool_token>", ""),
    "no call": ("<tool_call>", "<obs>"),
    "open call": ("</tool_call>", ""),
    "another tool called": ('"token": "<<b>>"', '"token": "<<c>>"'),
    "a value changed": ('"x": 1', '"x": 2'),
    "a value of another type": ('"x": 1', '"x": "1"'),
    "a value made true": ('"x": 1', '"x": true'),
    "a key changed": ('"y"', '"Y"'),
    "an argument missing": (', "y": 2', ""),
    "an argument too many": ('"y": 2', '"y": 2, "z": 0'),
    "a string in another case": ('"oak"', '"Oak"'),
    "trailing comma": ('"y": 2', '"y": 2,'),
    "a duplicate key": ('"y": 2', '"y": 2, "y": 2'),
    "no list": ("}}]", "}}"),
    "no response": ("<response>The answer is 42.</response>", ""),
    "empty response": ("The answer is 42.", " "),
    "wrong response": ("42.<", "43.<"),
    "open response": ("</response>", ""),
    "response twice": ("</response>", "</response><response>42</response>"),
    "response first": ("<think>", "<response>42</response><think>"),
    "text outside": ("</think>", "</think> so"),
    "one observation's tags as text": ("</obs>", ""),
}


@pytest.mark.parametrize("case", CORRUPTIONS)
def test_every_corruption_of_the_gold_reply_costs(case: str) -> None:
    old, new = CORRUPTIONS[case]
    broken = GOLD.replace(old, new, 1)
    assert broken != GOLD
    assert score(parse_text(GOLD), FULL).total == 1.0
    assert score(parse_text(broken), FULL).total < 1.0


def test_a_pretty_printed_call_scores_full() -> None:
    made = {"token": "<<a>>", "parameters": {"x": 1, "y": 2}}
    pretty = reply_text().replace(json.dumps(made), f"\n{json.dumps(made, indent=4)}\n")
    assert pretty.count("\n") > 5
    assert score(parse_text(pretty), ONE).total == 1.0


def test_a_reference_without_a_call_never_raises() -> None:
    for text in ("", NO_CALL, reply_text(), "<tool_call>", "<tool_call>[]</tool_call>"):
        for query in (NONE, TALK):
            found = score(parse_text(text), query)
            assert 0.0 <= found.total <= 1.0


def test_total_is_the_weighted_mean_of_what_is_scored() -> None:
    reply = parse_text(reply_text("z", response="41"))  # format 1, tool 0.75, answer 0
    weights = RewardWeights(format=1.0, tool=4.0, answer=3.0)
    assert score(reply, ONE, weights).total == pytest.approx((1 + 3 + 0) / 8)
    assert score(reply, UNSCORED, weights).total == pytest.approx((1 + 3) / 5)
    assert score(reply, UNSCORED, RewardWeights(0.0, 0.0, 1.0)).total == 0.0


def test_every_reward_has_a_weight_and_is_logged_and_shown() -> None:
    names = {setting.name for setting in fields(RewardWeights)}
    assert {*REWARDS} == {"total", *names} == {part.name for part in fields(Score)} - {"why"}


@pytest.mark.parametrize(
    ("override", "words"),
    [("weights.tool=-1", "weights.tool"), ("weights={format: 0, tool: 0, answer: 0}", "all are 0")],
)
def test_weights_that_reward_nothing_or_less_are_refused(override: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_config(GrpoConfig, None, [override])


# -- matching -------------------------------------------------------------------------

calls = st.lists(
    st.builds(
        Call,
        st.sampled_from("ab"),
        st.dictionaries(st.sampled_from("xyz"), st.integers(0, 1), max_size=3),
    ),
    max_size=4,
)


@given(given_calls=calls, expected=calls)
@settings(max_examples=150, deadline=None)
def test_matching_is_the_best_of_all(given_calls: list[Call], expected: list[Call]) -> None:
    short, long = sorted((given_calls, expected), key=len)
    best = max(
        sum(call_similarity(g, e) for g, e in zip(short, order, strict=True))
        for order in permutations(long, len(short))
    )
    assert matched_similarity(given_calls, expected) == pytest.approx(best)


@given(given_calls=calls, expected=calls.filter(bool))
@settings(max_examples=100, deadline=None)
def test_only_the_reference_reaches_the_full_tool_reward(
    given_calls: list[Call], expected: list[Call]
) -> None:
    query = Query("h", "?", (tuple(expected),))
    names = tuple({call.name: None for call in expected})
    found = tool_reward(Reply(named=names, calls=tuple(given_calls)), query)
    same = sorted(map(repr, given_calls)) == sorted(map(repr, expected))
    unordered = {repr(sorted(c.arguments.items())) + c.name for c in given_calls}
    assert 0.0 <= found <= 1.0
    assert not same or found == pytest.approx(1.0)
    if found == pytest.approx(1.0):
        assert same_calls(given_calls, expected)
        assert unordered == {repr(sorted(c.arguments.items())) + c.name for c in expected}


@pytest.mark.parametrize(
    ("given_value", "expected", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        ("Oak", "oak", False),
        ([1, 2], [1.0, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": [True]}, {"a": [True]}, True),
        ({"a": [True]}, {"a": [1]}, False),
        ({"a": 1}, {"b": 1}, False),
        ({}, [], False),
    ],
)
def test_equality_of_json_values(given_value: object, expected: object, same: bool) -> None:
    assert same_value(given_value, expected) is same
    assert same_value(expected, given_value) is same


# -- defaults -------------------------------------------------------------------------

DOCUMENTS = {
    "pay": ToolDoc("pay", "Pay.", {
        "type": "object",
        "required": ["sum", "kind"],
        "properties": {
            "sum": {"type": "number"},
            "kind": {"type": "string", "default": "cash"},  # required: never left out
            "places": {"type": "integer", "default": 1},
            "note": {"type": "string", "default": None},
            "to": {
                "type": "object",
                "default": {"city": "Rome", "zip": 7},
                "properties": {
                    "city": {"type": "string"},
                    "zip": {"type": "integer", "default": 7},
                    "street": {"type": "object", "properties": {"number": {"default": 0}}},
                },
            },
            "rows": {"type": "array", "items": {"properties": {"count": {"default": 1}}}},
        },
    })
}  # fmt: skip
BASE = {"sum": 5, "kind": "cash"}
# arguments beside BASE: (reply, reference, whether they are one call); each both ways
DEFAULTS = {
    "spelled on one side": ({"places": 1}, {}, True),
    "spelled on both": ({"places": 1}, {"places": 1}, True),
    "on neither": ({}, {}, True),
    "by value": ({"places": 1.0}, {}, True),
    "one on each side": ({"places": 1}, {"note": None}, True),
    "an object": ({"to": {"city": "Rome", "zip": 7}}, {}, True),
    "an object whose own default is left out": ({"to": {"city": "Rome"}}, {}, True),
    "within an object": ({"to": {"city": "Oslo", "zip": 7}}, {"to": {"city": "Oslo"}}, True),
    "two deep": (
        {"to": {"city": "Oslo", "street": {"number": 0}}},
        {"to": {"city": "Oslo", "street": {}}},
        True,
    ),
    "within a list": ({"rows": [{"count": 1}, {"count": 2}]}, {"rows": [{}, {"count": 2}]}, True),
    "another value than the default": ({"places": 2}, {}, False),
    "another value than the default that is spelled": ({"places": 2}, {"places": 1}, False),
    "true for 1": ({"places": True}, {}, False),
    "the default as text": ({"places": "1"}, {}, False),
    "text for null": ({"note": ""}, {}, False),
    "another value within": ({"to": {"city": "Oslo", "zip": 8}}, {"to": {"city": "Oslo"}}, False),
    "another object": ({"to": {"city": "Oslo"}}, {}, False),
    "an argument without default": ({"rows": []}, {}, False),
    "an argument that no document has": ({"speed": 1}, {}, False),
    "a list for an object": ({"to": [7]}, {}, False),
}


def paid(more: dict[str, object], name: str = "pay") -> Call:
    return Call(name, BASE | more)


@pytest.mark.parametrize("case", DEFAULTS)
def test_a_default_spelled_out_is_the_call_that_leaves_it_out(case: str) -> None:
    left, right, same = DEFAULTS[case]
    for said, meant in ((left, right), (right, left)):
        made, query = paid(said), Query("d", "Pay", ((paid(meant),),))
        reply = Reply(named=("pay",), calls=(made,), response="ok", observed=True)
        assert same_calls([made], query.calls, DOCUMENTS) is same
        found = score(reply, query, documents=DOCUMENTS)
        assert (found.tool == 1.0) is same and (found.total == 1.0) is same
        assert (found.why == ()) is same
        literal = left == right or (case == "by value" and "places" in said and "places" in meant)
        assert same_calls([made], query.calls) is literal  # nothing is known of defaults
        assert (score(reply, query).tool == 1.0) is literal


def test_a_default_costs_nothing_beside_what_is_wrong() -> None:
    """One of two arguments is right: 0.25 + 0.75 * (1/2)/(2 - 1/2), spelled default or not."""
    query = Query("d", "Pay", ((paid({}),),))
    for more in ({}, {"places": 1}, {"places": 1, "note": None}):
        wrong = Reply(named=("pay",), calls=(paid({"sum": 6} | more),), response="ok")
        assert score(wrong, query, documents=DOCUMENTS).tool == pytest.approx(0.25 + 0.25)


def test_what_is_required_and_what_has_no_document_keep_their_defaults() -> None:
    assert without_defaults(paid({"places": 1}), DOCUMENTS["pay"]) == paid({})
    assert not same_calls([Call("pay", {"sum": 5})], [paid({})], DOCUMENTS)
    other = paid({"places": 1}, "lend")
    assert without_defaults(other, None) == other
    assert not same_calls([other], [paid({}, "lend")], DOCUMENTS)


# -- the answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "answer", "agree"),
    [
        ("42", "42", True),
        ("The answer is 42.", "42", True),
        ("It is 42!", "42", True),
        ("(42)", "42", True),
        ("142", "42", False),
        ("421", "42", False),
        ("-42", "42", False),
        ("42.5", "42", False),
        ("0.42", "42", False),
        ("1.42", "42", False),
        ("42e3", "42", False),
        ("42", "-42", False),
        ("It is -42.", "-42", True),
        ("42 or 43", "42", False),
        (" ".join(map(str, range(100))), "42", False),
        ("word " * 100 + "42", "42", False),
        ("The answer is PARIS.", "Paris", True),
        ('The answer is "Paris".', "Paris", True),
        ("The answer is Paris.", '"Paris"', True),
        ("Parisian", "Paris", False),
        ("It stands in New  York City.", "new york", True),
        ("It stands in York, the new one.", "new york", False),
        ("The date is 2024-01-05.", "2024-01-05", True),
        ("The date is 2024-01-06.", "2024-01-05", False),
        ("[1, 2, 3]", "[1, 2, 3]", True),
        ("The list is [1, 2, 3].", "[1, 2, 3]", True),
        ("[1, 2]", "[1, 2, 3]", False),
        ("", "42", False),
        ("yes", "", False),
        ("It is Paris, London, Rome or Berlin.", "Paris", False),
        ("It is not Paris, it is London.", "Paris", False),
        ("It isn't Paris.", "Paris", False),
        ("It is not true.", "true", False),
        ("It is 42 million.", "42", False),
        ("It is 42 metres.", "42", True),
        ("It is not far.", "not far", True),
    ],
)
def test_agreement_with_the_answer(response: str, answer: str, agree: bool) -> None:
    assert agrees(response, answer) is agree


def test_numbers_of_the_query_may_be_repeated_but_not_recited() -> None:
    query = "What is the largest of 3, 9 and 5?"
    assert agrees("The largest of 3, 9 and 5 is 9.", "9", query)
    assert not agrees("The largest of 3, 9 and 4 is 9.", "9", query)
    assert not agrees("3, 9, 5", "9", query)
    assert not agrees("The largest of 3, 9 and 5 is 3.", "9", query)  # 3 once more than asked


def test_a_reference_without_arguments_is_matched_by_names() -> None:
    query = Query("q", "?", ((Call("find", {}), Call("send", {})),), flags=(NO_ARGUMENTS,))
    right = Reply(named=("find", "send"), calls=(Call("find", {"x": 1}), Call("send", {"to": 2})))
    assert tool_reward(right, query) == 1.0
    assert score(right, query).why == ()
    assert tool_reward(replace(right, calls=right.calls[:1]), query) < 1.0


def test_where_any_call_will_do_calling_is_right_and_abstaining_wrong() -> None:
    query = Query("q", "?", flags=(SOME_CALL,))
    called = score(Reply(named=("find",), calls=(Call("find", {"x": 1}),)), query)
    silent = score(Reply(response="no tool is needed"), query)
    assert (called.format, called.tool, called.total) == (1.0, 1.0, 1.0)
    assert (silent.format, silent.tool, silent.total) == (0.0, 0.0, 0.0)


def test_a_call_that_cannot_be_read_is_not_abstaining() -> None:
    query = Query("q", "thanks")
    assert tool_reward(parse_text("<tool_call>{bad</tool_call>"), query) == 0.0
    assert tool_reward(parse_text("<response>You are welcome.</response>"), query) == 1.0


def test_saying_both_true_and_false_is_no_answer() -> None:
    assert agrees("The answer is true.", "true")
    assert not agrees("It is true or false.", "true")
    assert not agrees("It is true or false.", "false")
