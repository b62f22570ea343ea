"""The judge: a table of graded replies, what is wrong with each, and that mending never hurts."""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.catalogue.load import Catalogue
from tinr.chat.parse import parse_text
from tinr.evaluation.errors.call_alignment import align
from tinr.evaluation.errors.evidence import is_known
from tinr.evaluation.errors.grades import WORTH, Deficiency, deficiency, difference, judge, near
from tinr.records import NO_ARGUMENTS, SOME_CALL, Call, Message, Query, Reply, ToolDoc
from tinr.rollout.scoring.matching import lenient_calls


def document(name: str, *required: str, **properties: Any) -> ToolDoc:
    return ToolDoc(
        name, name, {"type": "object", "properties": properties, "required": list(required)}
    )


BOOK = document(
    "book",
    "city",
    city={"type": "string"},
    nights={"type": "integer", "default": 1},
    price={"type": "number"},
    view={"enum": ["sea", "court"]},
)
TOOLS = Catalogue((BOOK, document("pay", "sum", sum={"type": "number"}), document("now")))


def book(**arguments: Any) -> Call:
    return Call("book", arguments)


def pay(amount: Any) -> Call:
    return Call("pay", {"sum": amount})


def said(*calls: Call, named: str | None = None) -> Reply:
    """A reply as a model writes it, that ends at its calls; `named` in the place of their tools."""
    names = dict.fromkeys(call.name for call in calls) if named is None else named.split()
    made = [{"token": f"<<{call.name}>>", "parameters": dict(call.arguments)} for call in calls]
    listed = "".join(f"<<{name}>>\n" for name in names)
    return parse_text(
        f"<think>so</think><tool_token>\n{listed}</tool_token>"
        f"<tool_call>{json.dumps(made[0] if len(made) == 1 else made)}</tool_call>"
    )


def asked(*calls: Call, flags: tuple[str, ...] = (), accept: Any = ()) -> Query:
    text = "A room in Oslo for 3 nights at 80.5, then pay 1,200 to Ann."
    return Query("q", text, (calls,) if calls else (), flags=flags, accept=accept)


OSLO = book(city="Oslo", nights=3)
ONE, BOTH, NONE = asked(OSLO), asked(OSLO, pay(1200)), asked()
TWO = asked(OSLO, book(city="Rome", nights=2))
SPEECH = parse_text("<think>so</think><response>Gladly.</response>")
GOOD = json.dumps({"token": "<<book>>", "parameters": {"city": "Oslo", "nights": 3}})
HEAD = "<think>so</think><tool_token>\n<<book>>\n</tool_token>"
RUN = HEAD + f"<tool_call>{GOOD}</tool_call>"

# query, reply, grade, what is wrong
TABLE: dict[str, tuple[Query, Reply, str, str]] = {
    "right": (ONE, said(OSLO), "excellent", ""),
    "right, keys in another order": (ONE, said(book(nights=3, city="oslo")), "excellent", ""),
    "right, and observed and answered": (
        ONE,
        parse_text(RUN + "<obs>1</obs><response>Done.</response>"),
        "excellent",
        "",
    ),
    "a default spelled out": (
        asked(book(city="Oslo")),
        said(book(city="Oslo", nights=1)),
        "excellent",
        "",
    ),
    "parallel calls in another order": (BOTH, said(pay(1200.0), OSLO), "excellent", ""),
    "abstained": (NONE, SPEECH, "excellent", ""),
    "wrong name": (ONE, said(Call("now", OSLO.arguments)), "poor", "wrong_name"),
    "a name that nearly is": (ONE, said(Call("books", OSLO.arguments)), "poor", "wrong_name"),
    "right call, one name too many": (ONE, said(OSLO, named="book pay"), "fair", "wrong_name"),
    "right call, named twice": (ONE, said(OSLO, named="book book"), "fair", "wrong_name"),
    "right call, another named": (ONE, said(OSLO, named="pay"), "fair", "wrong_name"),
    "missing parameter": (ONE, said(book(city="Oslo")), "fair", "missing_parameter"),
    "no parameter": (ONE, said(book()), "poor", "missing_parameter"),
    "extra parameter, of the query": (
        ONE,
        said(book(city="Oslo", nights=3, price=80.5)),
        "fair",
        "extra_parameter",
    ),
    "extra parameter, made up": (
        ONE,
        said(book(city="Oslo", nights=3, price=99)),
        "fair",
        "extra_parameter hallucinated_value",
    ),
    "wrong key": (ONE, said(book(town="Oslo", nights=3)), "fair", "wrong_key"),
    "wrong key of the one parameter": (
        asked(pay(1200)),
        said(Call("pay", {"amount": 1200})),
        "fair",
        "wrong_key",
    ),
    "one wrong key for two equal values": (
        asked(book(nights=3, price=3)),
        said(book(days=3)),
        "fair",
        "missing_parameter wrong_key",
    ),
    "wrong key and value": (
        ONE,
        said(book(town="Rome", nights=3)),
        "poor",
        "missing_parameter extra_parameter hallucinated_value",
    ),
    "wrong value, near": (
        asked(pay(80)),
        said(pay(80.5)),
        "acceptable",
        "wrong_value",
    ),
    "wrong value, far": (ONE, said(book(city="Ann", nights=3)), "fair", "wrong_value"),
    "one value of many far": (
        asked(book(city="Oslo", nights=3, price=80.5, view="sea")),
        said(book(city="Oslo", nights=3, price=80.5, view="court")),
        "fair",
        "wrong_value",
    ),
    "text in the place of a number": (
        ONE,
        said(book(city="Oslo", nights="3")),
        "acceptable",
        "wrong_type",
    ),
    "3.0 in the place of an integer": (
        ONE,
        said(book(city="Oslo", nights=3.0)),
        "acceptable",
        "wrong_type",
    ),
    "a list in the place of a text": (
        ONE,
        said(book(city=["Oslo"], nights=3)),
        "acceptable",
        "wrong_type",
    ),
    "true in the place of a number": (
        ONE,
        said(book(city="Oslo", nights=True)),
        "fair",
        "wrong_type",
    ),
    "made up, near": (ONE, said(book(city="Osla", nights=3)), "acceptable", "hallucinated_value"),
    "made up, far": (ONE, said(book(city="Madrid", nights=3)), "fair", "hallucinated_value"),
    "all values wrong": (
        ONE,
        said(book(city="Madrid", nights=80.5)),
        "fair",
        "wrong_value hallucinated_value",
    ),
    "an extra call": (ONE, said(OSLO, pay(5)), "fair", "extra_call"),
    "a repeated call": (ONE, said(OSLO, OSLO), "fair", "extra_call"),
    "the call five times": (ONE, said(*[OSLO] * 5), "poor", "extra_call"),
    "one of two calls": (BOTH, said(OSLO), "fair", "missing_call"),
    "one of two with another tool": (BOTH, said(OSLO, Call("now", {})), "fair", "wrong_name"),
    "one value of two calls wrong, near": (BOTH, said(OSLO, pay(1100)), "acceptable",
        "hallucinated_value"),
    "one call twice for two of a tool": (TWO, said(OSLO, OSLO), "fair", "wrong_value"),
    "two calls of a tool in another order": (TWO, said(*reversed(TWO.calls)), "excellent", ""),
    "a call where none is expected": (NONE, said(OSLO), "poor", "should_have_abstained"),
    "a name where no call is expected": (
        NONE,
        replace(SPEECH, named=("book",)),
        "poor",
        "should_have_abstained",
    ),
    "no call where one is expected": (ONE, SPEECH, "poor", "should_have_called"),
    "prose": (ONE, parse_text("I book a room."), "poor", "should_have_called malformed"),
    "prose where no call is expected": (NONE, parse_text("Gladly."), "poor", "malformed"),
    "nothing": (ONE, parse_text(""), "poor", "should_have_called malformed"),
    "nothing where no call is expected": (NONE, Reply(), "poor", "malformed"),
    "half a call": (ONE, parse_text(HEAD + "<tool_call>" + GOOD[:40]), "poor", "malformed"),
    "half a call, its tool wrong": (
        BOTH,
        parse_text(HEAD.replace("book", "now") + "<tool_call>" + GOOD[:40]),
        "poor",
        "wrong_name malformed",
    ),
    "right, then no end": (ONE, parse_text(RUN + "<obs>1</obs>"), "poor", "malformed"),
    "an answer without end": (
        NONE,
        parse_text("<think>so</think><response>ha ha ha"),
        "poor",
        "malformed",
    ),
    "much at once": (
        TWO,
        said(book(city=7, nights=3, price=9), Call("now", {}), OSLO, named="pay book"),
        "fair",
        "wrong_name extra_parameter wrong_value wrong_type hallucinated_value extra_call",
    ),
    "any call, and there is one": (asked(flags=(SOME_CALL,)), said(pay(3)), "excellent", ""),
    "any call, and there is none": (
        asked(flags=(SOME_CALL,)),
        SPEECH,
        "poor",
        "should_have_called",
    ),
    "only names stated": (asked(book(), flags=(NO_ARGUMENTS,)), said(OSLO), "excellent", ""),
    "only names stated, wrong": (
        asked(book(), flags=(NO_ARGUMENTS,)),
        said(pay(3)),
        "poor",
        "wrong_name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_grade_and_deficiencies(case: str) -> None:
    query, reply, grade, wrong = TABLE[case]
    verdict = judge(reply, query, TOOLS)
    assert verdict.grade == grade, verdict
    assert deficiency(reply, query, TOOLS) == tuple(wrong.split())


def test_every_deficiency_has_an_example() -> None:
    single = {wrong for *_, wrong in TABLE.values() if len(wrong.split()) == 1}
    assert single == set(get_args(Deficiency))


def test_criteria_by_hand() -> None:
    """One call right, one to another tool, one missing."""
    query = asked(book(city="Oslo", nights=3), pay(1200), Call("now", {}))
    verdict = judge(said(book(city="Oslo", days=3, view="sea"), Call("cash", {})), query, TOOLS)
    # called: 1 of 3 right; named before: book of {book, pay, now}, the longer side has 3
    assert verdict.names == pytest.approx((1 / 3 + 1 / 3) / 2)
    # book: city, and days for nights, are paired; view is one too many: 2 of 3
    assert verdict.count == pytest.approx((2 / 3) / 3)
    assert verdict.keys == pytest.approx((1 / 3) / 3)  # city alone
    assert verdict.values == pytest.approx((2 / 3) / 3)  # of city and of days
    assert verdict.closeness == 0  # of the missing call
    assert (verdict.grade, verdict.worth) == ("poor", -0.5)


def test_the_grades_are_worth_what_the_paper_says() -> None:
    assert list(WORTH.values()) == [1.0 / 4, 0.1 / 4, -1.0 / 4, -2.0 / 4]


@pytest.mark.parametrize(
    ("given", "expected", "value"),
    [
        (80, 100, 0.8),
        (-1, 1, 0.0),
        (0, 0.0, 1.0),
        (10**400, 1.5, 0.0),
        (float("inf"), 2, 0.0),
        (True, 1, 0.0),
        ("1", 1, 1.0),
        ("abcd", "abcx", 0.75),  # 2 * 3 same letters of 8
        ("Oslo", "oslo", 1.0),
        ([1], "[1]", 1.0),
    ],
)
def test_near(given: Any, expected: Any, value: float) -> None:
    assert near(given, expected) == pytest.approx(value)


def test_of_equal_alignments_the_one_in_order_is_taken() -> None:
    """Else mending one call could turn a tie, and with it another criterion, round."""
    calls = [book(city="A"), book(city="B")]
    found = align(calls, asked(book(city="C"), book(city="D")), TOOLS)
    assert [one.given for one in found.facing] == calls


# -- what is accepted, and what could be known ----------------------------------------


def test_accepted_values_and_what_may_be_left_out() -> None:
    query = asked(
        OSLO, accept=({"city": ["Oslo", "Christiania"], "nights": [3], "view": ["", "sea"]},)
    )
    for call in (OSLO, book(city="christiania", nights=3, view="sea")):
        assert judge(said(call), query, TOOLS).grade == "excellent"
    assert deficiency(said(book(city="Oslo")), query, TOOLS) == ("missing_parameter",)
    assert deficiency(said(book(city="Oslo", nights=3, view="court")), query, TOOLS) == (
        "wrong_value",
    )


def test_values_of_history_documents_and_earlier_observations_are_known() -> None:
    chain = Query(
        "q",
        "And for Ann?",
        ((book(city="Rome"),), (pay(7),)),
        history=(Message("user", "In Bergen."),),
        observations=("Room 41", "Paid 99"),
    )
    for city, wrong in {
        "Bergen": "wrong_value",
        "Paris": "hallucinated_value",
        "sea": "wrong_value",
    }.items():
        assert deficiency(said(book(city=city), pay(7)), chain, TOOLS) == (wrong,)
    for amount, wrong in {41: "wrong_value", 99: "hallucinated_value"}.items():
        assert deficiency(said(book(city="Rome"), pay(amount)), chain, TOOLS) == (wrong,)
    early = said(book(city="41"), pay(7))  # before anything was observed
    assert deficiency(early, chain, TOOLS) == ("hallucinated_value",)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("to Ann", True),
        (1200, True),
        (-1200.0, True),
        ("1200", True),
        ({"who": ["Ann"]}, True),
        ({"Ann": ["who"]}, False),
        (True, True),
        ([], True),
        (12, False),
        (10**400, False),
        ("sea", True),
        ("enum", False),
    ],
)
def test_is_known(value: Any, known: bool) -> None:
    assert is_known(value, ["pay 1,200 to Ann."], BOOK.parameters) == known


def test_however_deep_a_value_is() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert not is_known(deep, ["y"], {})


# -- differences ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("better", "worse", "first"),
    [
        (said(OSLO), said(book(city="Oslo", nights="3")), "wrong_type"),
        (said(book(city="Rome", nights=3)), said(book(town="Oslo", view="x")), "missing_parameter"),
        (said(book(city="Oslo")), said(book(city="Oslo")), None),
        (said(book(city="Oslo")), said(OSLO), None),
        (said(OSLO), SPEECH, "should_have_called"),
    ],
)
def test_difference(better: Reply, worse: Reply, first: str | None) -> None:
    assert difference(better, worse, ONE, TOOLS) == first


# -- properties -----------------------------------------------------------------------

KEYS = ("city", "nights", "price", "view", "other")
VALUES = ("Oslo", "Rome", "", "3", 1, 2, 3, 3.0, 80.5, True, None, [1], {"a": "sea"}, "court")
arguments = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4)
made = st.builds(Call, st.sampled_from(["book", "pay", "now", "boo"]), arguments)
lists = st.lists(made, max_size=3)
wanted = st.lists(st.builds(Call, st.sampled_from(["book", "pay"]), arguments), max_size=3)
faults = st.sampled_from([(), (), ("unclosed <response>",)])


def read(calls: list[Call], problems: tuple[str, ...] = ()) -> Reply:
    """A reply that names what it calls."""
    named = tuple(dict.fromkeys(call.name for call in calls))
    return Reply("so", named, tuple(calls), None if calls else "Gladly.", problems)


def near_copies(data: st.DataObject, calls: list[Call]) -> list[Call]:
    """Reference calls with some arguments and names changed, in any order, some left out."""
    copies = [
        Call(
            data.draw(st.sampled_from([call.name, call.name, "boo"])),
            {k: v for k, v in (dict(call.arguments) | data.draw(arguments)).items()
             if data.draw(st.integers(0, 3))},
        )
        for call in calls
    ]  # fmt: skip
    return data.draw(st.permutations([*copies, *data.draw(st.lists(made, max_size=1))]))


def corrections(calls: list[Call], query: Query) -> list[list[Call]]:
    """Every list of calls with one thing mended, among those that the alignment finds wrong."""
    found = align(calls, query, TOOLS)
    mended = [[c for c in calls if c is not extra] for extra in found.extra]
    for one in found.facing:
        right = one.wanted.call
        if one.given is None:
            mended += [[*calls[:n], right, *calls[n:]] for n in range(len(calls) + 1)]
            continue
        given, arguments = one.given, dict(one.given.arguments)
        better = [] if one.right_name else [Call(right.name, arguments)]
        if one.right_name:
            changed = [
                arguments | {k: right.arguments[k]} for k, ok in one.shared.items() if not ok
            ]
            changed += [arguments | {k: right.arguments[k]} for k in one.missing]
            changed += [{k: v for k, v in arguments.items() if k != extra} for extra in one.extra]
            changed += [
                {key if k == wrong else k: v for k, v in arguments.items()}
                for key, wrong in one.renamed.items()
            ]
            better += [Call(given.name, change) for change in changed]
        mended += [[call if c is given else c for c in calls] for call in better]
    return mended


def no_worse(before: Reply, after: Reply, query: Query) -> None:
    old, new = judge(before, query, TOOLS), judge(after, query, TOOLS)
    assert new.worth >= old.worth, (before, after, old, new)
    for criterion in ("names", "count", "keys", "values", "closeness"):
        assert getattr(new, criterion) >= getattr(old, criterion) - 1e-12, (before, after, old, new)


@given(expected=wanted, data=st.data(), problems=faults)
@settings(max_examples=400, deadline=None)
def test_mending_one_thing_lowers_nothing(
    expected: list[Call], data: st.DataObject, problems: tuple[str, ...]
) -> None:
    query = asked(*expected)
    calls = near_copies(data, expected)
    before = read(calls, problems)
    no_worse(before, read(calls), query)
    if expected:
        for better in corrections(calls, query):
            no_worse(before, read(better, problems), query)
    no_worse(before, read(expected), query)


@given(call=st.builds(book, city=st.sampled_from(VALUES), nights=st.integers(2, 4)))
@settings(max_examples=50, deadline=None)
def test_a_key_may_be_mended_before_its_value(call: Call) -> None:
    misnamed = {"town" if k == "city" else k: v for k, v in call.arguments.items()}
    no_worse(read([Call("book", misnamed)]), read([call]), ONE)


@given(expected=wanted, data=st.data(), problems=faults)
@settings(max_examples=400, deadline=None)
def test_excellent_is_what_the_project_calls_right(
    expected: list[Call], data: st.DataObject, problems: tuple[str, ...]
) -> None:
    query = asked(*expected)
    calls = data.draw(st.sampled_from([expected, expected[::-1], near_copies(data, expected)]))
    reply = read(calls, problems)
    right = lenient_calls(calls, query, TOOLS.by_name) and not problems
    assert (judge(reply, query, TOOLS).grade == "excellent") == right
    assert (deficiency(reply, query, TOOLS) == ()) == right


@given(
    given_=lists,
    expected=lists,
    named=st.lists(st.sampled_from(["book", "boo"]), max_size=2),
    response=st.sampled_from([None, "Gladly."]),
    flags=st.sampled_from([(), (SOME_CALL,), (NO_ARGUMENTS,)]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_has_a_verdict(
    given_: list[Call], expected: list[Call], named: list[str], response: Any, flags: Any
) -> None:
    """Hand-made replies too, whose names, calls and answer need not fit one another."""
    reply, query = Reply("so", tuple(named), tuple(given_), response), asked(*expected, flags=flags)
    verdict = judge(reply, query, TOOLS)
    criteria = (verdict.names, verdict.count, verdict.keys, verdict.values, verdict.closeness)
    assert all(0 <= value <= 1 for value in criteria)
    wrong = deficiency(reply, query, TOOLS)
    assert (verdict.grade == "excellent") == (not wrong)
    assert list(wrong) == [kind for kind in get_args(Deficiency) if kind in wrong]
