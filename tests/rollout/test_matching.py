"""Matching of calls: tables of right and wrong, and what strict and lenient owe each other."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.evaluation.metrics import as_one
from tinr.records import NO_ARGUMENTS, SOME_CALL, Call, Query, Reply, ToolDoc
from tinr.rollout.scoring.bfcl_rules import standard
from tinr.rollout.scoring.bfcl_values import Language, text_of, value_of
from tinr.rollout.scoring.matching import identical, lenient_calls, strict_calls


def document(name: str = "book", **properties: Any) -> ToolDoc:
    """A tool whose parameters are all optional but those with "required" in their schema."""
    required = [key for key, schema in properties.items() if schema.pop("required", False)]
    return ToolDoc(
        name, "A tool.", {"type": "object", "properties": properties, "required": required}
    )


BOOK = document(
    city={"type": "string", "required": True},
    nights={"type": "integer", "default": 1},
    price={"type": "number"},
    pets={"type": "boolean", "default": False},
    days={"type": "array", "items": {"type": "number"}},
    guest={
        "type": "object",
        "properties": {"name": {"type": "string"}, "title": {"type": "string", "default": "Dr"}},
    },
    rows={"type": "array", "items": {"type": "object"}},
)
TOOLS = {"book": BOOK, "pay": document("pay", sum={"type": "number"})}


def book(**arguments: Any) -> Call:
    return Call("book", arguments)


def asked(*calls: Call, accept: Any = (), kind: str = "", flags: tuple[str, ...] = ()) -> Query:
    return Query("q", "Do it.", (calls,) if calls else (), kind=kind, accept=accept, flags=flags)


OSLO, ROME = book(city="Oslo", nights=2), book(city="Rome", nights=3)
PAY = Call("pay", {"sum": 2.5})

# reference, reply, strict, lenient
PLAIN = {
    "the same": ([OSLO], [OSLO], True, True),
    "keys in another order": ([OSLO], [book(nights=2, city="Oslo")], True, True),
    "two in order": ([OSLO, PAY], [OSLO, PAY], True, True),
    "two in the other order": ([OSLO, PAY], [PAY, OSLO], False, True),
    "none of one": ([OSLO], [], False, False),
    "one of none": ([], [OSLO], False, False),
    "none of none": ([], [], True, True),
    "one of two": ([OSLO, ROME], [OSLO], False, False),
    "one too many": ([OSLO], [OSLO, OSLO], False, False),
    "one for two": ([OSLO, ROME], [OSLO, OSLO], False, False),
    "another tool": ([PAY], [Call("book", {"sum": 2.5})], False, False),
    "another value": ([OSLO], [book(city="Oslo", nights=3)], False, False),
    "an integer where a number is": (
        [book(city="Oslo", price=3.0)],
        [book(city="Oslo", price=3)],
        False,
        True,
    ),
    "a number where an integer is": ([OSLO], [book(city="Oslo", nights=2.0)], False, False),
    "a number where the reference has it": (
        [book(city="Oslo", nights=2.0)],
        [book(city="Oslo", nights=2)],
        False,
        True,
    ),
    "true for 1": ([book(city="Oslo", nights=1)], [book(city="Oslo", nights=True)], False, False),
    "1 for true": ([book(city="Oslo", pets=True)], [book(city="Oslo", pets=1)], False, False),
    "a text for a number": ([OSLO], [book(city="Oslo", nights="2")], False, False),
    "another case": ([OSLO], [book(city="oslo", nights=2)], False, True),
    "punctuation": ([book(city="St. John's")], [book(city='St John"s')], False, True),
    "another letter": ([OSLO], [book(city="Osla", nights=2)], False, False),
    "a default spelled out": ([book(city="Oslo")], [book(city="Oslo", nights=1)], False, True),
    "a default left out": ([book(city="Oslo", nights=1)], [book(city="Oslo")], False, True),
    "no default spelled out": ([book(city="Oslo")], [book(city="Oslo", nights=2)], False, False),
    "a value left out": ([OSLO], [book(city="Oslo")], False, False),
    "no default to leave out": ([book(city="Oslo", price=2)], [book(city="Oslo")], False, False),
    "a default in an object": (
        [book(city="Oslo", guest={"name": "Ada", "title": "Dr"})],
        [book(city="Oslo", guest={"name": "ada"})],
        False,
        True,
    ),
    "an undocumented one": ([OSLO], [book(city="Oslo", nights=2, x=1)], False, False),
    "a list": ([book(days=[1, 2.0])], [book(days=[1.0, 2])], False, True),
    "a list in another order": ([book(days=[1, 2])], [book(days=[2, 1])], False, False),
    "a list cut short": ([book(days=[1, 2])], [book(days=[1])], False, False),
    "null for nothing": ([book(city="Oslo")], [book(city="Oslo", price=None)], False, False),
    "an object for a list": ([book(days=[])], [book(days={})], False, False),
}


@pytest.mark.parametrize("case", PLAIN)
def test_matching_with_the_reference(case: str) -> None:
    reference, reply, strict, lenient = PLAIN[case]
    query = asked(*reference)
    assert strict_calls(reply, query) is strict
    assert lenient_calls(reply, query, TOOLS) is lenient


# accepted values of one call to `book`, its arguments, lenient; as BFCL's checker decides
ACCEPTED: dict[str, tuple[dict[str, list[Any]], dict[str, Any], bool]] = {
    "the first": ({"city": ["Oslo", "Kristiania"]}, {"city": "Oslo"}, True),
    "another": ({"city": ["Oslo", "Kristiania"]}, {"city": "kristiania"}, True),
    "none of them": ({"city": ["Oslo"]}, {"city": "Rome"}, False),
    "one that may be left out": ({"city": ["Oslo"], "nights": ["", 1]}, {"city": "Oslo"}, True),
    "one that may not": ({"city": ["Oslo"], "nights": [2]}, {"city": "Oslo"}, False),
    "a required one that may": ({"city": ["Oslo", ""]}, {}, False),
    "a default nobody accepts": ({"city": ["Oslo"]}, {"city": "Oslo", "nights": 1}, False),
    "an integer for a number": (
        {"city": ["Oslo"], "price": [3.0]},
        {"city": "Oslo", "price": 3},
        True,
    ),
    "a number for an integer": (
        {"city": ["Oslo"], "nights": [3]},
        {"city": "Oslo", "nights": 3.0},
        False,
    ),
    "a number for an integer, accepted": (
        {"city": ["Oslo"], "nights": [3.0]},
        {"city": "Oslo", "nights": 3.0},
        True,
    ),
    "true for an integer": (
        {"city": ["Oslo"], "nights": [1]},
        {"city": "Oslo", "nights": True},
        False,
    ),
    "a variable for a number": (
        {"city": ["Oslo"], "price": ["fee"]},
        {"city": "Oslo", "price": "fee"},
        True,
    ),
    "a variable in another case": (
        {"city": ["Oslo"], "price": ["fee"]},
        {"city": "Oslo", "price": "Fee"},
        False,
    ),
    "a list": (
        {"city": ["Oslo"], "days": [[1.5, 2.0]]},
        {"city": "Oslo", "days": [1.5, 2.0]},
        True,
    ),
    "integers in a list of numbers": (
        {"city": ["Oslo"], "days": [[1.0, 2.0]]},
        {"city": "Oslo", "days": [1, 2]},
        False,
    ),
    "an object": (
        {"city": ["Oslo"], "guest": [{"name": ["Ada", "A."], "title": ["", "Dr"]}]},
        {"city": "Oslo", "guest": {"name": "a"}},
        True,
    ),
    "an object with a key too many": (
        {"city": ["Oslo"], "guest": [{"name": ["Ada"]}]},
        {"city": "Oslo", "guest": {"name": "Ada", "x": 1}},
        False,
    ),
    "an object without a key": (
        {"city": ["Oslo"], "guest": [{"name": ["Ada"], "title": ["Dr"]}]},
        {"city": "Oslo", "guest": {"name": "Ada"}},
        False,
    ),
    "objects in order": (
        {"city": ["Oslo"], "rows": [[{"a": [1]}, {"a": [2, 3]}]]},
        {"city": "Oslo", "rows": [{"a": 1}, {"a": 3}]},
        True,
    ),
    "objects out of order": (
        {"city": ["Oslo"], "rows": [[{"a": [1]}, {"a": [2]}]]},
        {"city": "Oslo", "rows": [{"a": 2}, {"a": 1}]},
        False,
    ),
    "something else for objects": (
        {"city": ["Oslo"], "rows": [[{"a": [1]}]]},
        {"city": "Oslo", "rows": [1]},
        False,
    ),
    "a variable for an object": (
        {"city": ["Oslo"], "guest": ["ada"]},
        {"city": "Oslo", "guest": "ada"},
        True,
    ),
    "an object beside something else": (
        {"city": ["Oslo"], "guest": [{"name": ["Ada"]}, 5]},
        {"city": "Oslo", "guest": {"name": "Bo"}},
        False,
    ),
    "objects cut short": (
        {"city": ["Oslo"], "rows": [[{"a": [1]}, {"a": [2]}]]},
        {"city": "Oslo", "rows": [{"a": 1}]},
        False,
    ),
    "an undocumented one": ({"city": ["Oslo"], "x": [1]}, {"city": "Oslo", "x": 1}, False),
    "a number too large": (
        {"city": ["Oslo"], "price": [1.0]},
        {"city": "Oslo", "price": 10**400},
        False,
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_matching_with_what_is_accepted(case: str) -> None:
    accept, arguments, lenient = ACCEPTED[case]
    query = asked(book(city="Oslo"), accept=(accept,))
    assert lenient_calls([book(**arguments)], query, TOOLS) is lenient


def test_accepted_values_stay_with_their_call_in_any_order() -> None:
    """The second reply fits both calls, the first only the second: a greedy matching fails."""
    query = asked(
        book(city="Oslo"), book(city="Rome"), accept=({"city": ["A", "B"]}, {"city": ["A"]})
    )
    assert lenient_calls([book(city="A"), book(city="B")], query, TOOLS)
    assert not lenient_calls([book(city="B"), book(city="B")], query, TOOLS)


def test_a_query_that_any_call_answers() -> None:
    query = asked(flags=(SOME_CALL,))
    assert lenient_calls([OSLO], query, TOOLS) and strict_calls([OSLO], query)
    assert not lenient_calls([], query, TOOLS) and not strict_calls([], query)


def test_a_reference_without_arguments_says_so() -> None:
    assert asked(OSLO).states_arguments and not asked(OSLO, flags=(NO_ARGUMENTS,)).states_arguments


def test_equivalent_tools_keep_the_document_of_the_reference() -> None:
    """`book` and `take` count as one; only `book`, the reference's, has the default of 1."""
    same = {"take": "take", "book": "take"}
    documents = TOOLS | {"take": document("take", city={"type": "string"})}
    query = asked(book(city="Oslo", nights=1), accept=({"city": ["Oslo"], "nights": [1]},))
    reply = [Call("take", {"city": "oslo", "nights": 1})]
    assert not lenient_calls(reply, query, documents)
    assert lenient_calls(reply, query, documents, same)
    given, merged = as_one(Reply(calls=tuple(reply)), query, same)
    assert merged.accept == query.accept and merged.calls[0].name == given.calls[0].name == "take"
    assert not lenient_calls(given.calls, merged, documents), "the other tool's document"


# text or value, its word and that of its items, what BFCL reads in it
SOURCE: dict[str, tuple[Language, Any, str, str, Any]] = {
    "a truth": ("java", True, "boolean", "any", True),
    "a truth in another case": ("java", "True", "boolean", "any", "True"),
    "a long": ("java", 5, "long", "any", 5),
    "a long without its letter": ("java", "5", "long", "any", "5"),
    "a float": ("java", 0.5, "float", "any", 0.5),
    "a double": ("java", 5, "double", "any", 5.0),
    "a fraction for an integer": ("java", 5.0, "integer", "any", "5.0"),
    "an array": ("java", ["a", "-b"], "Array", "String", ["a", "-b"]),
    "an array in quotes": ("java", 'new String[]{"a"}', "Array", "String", ['"a"']),
    "a list": ("java", ["a", "b"], "ArrayList", "String", ["a", "b"]),
    "a list of longs": ("java", [1, 2], "ArrayList", "long", [1, 2]),
    "an empty list": ("java", [], "ArrayList", "String", []),
    "a list filled": (
        "java",
        "new ArrayList<>() {{ add(1); add(2); }}",
        "ArrayList",
        "integer",
        [1, 2],
    ),
    "a map": (
        "java",
        {"a": 1, "b": "c", "d": True},
        "HashMap",
        "any",
        {"a": 1, "b": "c", "d": True},
    ),
    "an empty map": ("java", {}, "HashMap", "any", {}),
    "a map that is filled outside": ("java", "new HashMap<>() { }", "HashMap", "any", {}),
    "a map over several lines": (
        "java",
        'new HashMap<String,\n Integer>() {{\n put("a", 1);\n put("b", 2L); }}',
        "HashMap",
        "any",
        {"a": 1, "b": 2},
    ),
    "a list filled with nothing": ("java", "new ArrayList<>() {{ }}", "ArrayList", "any", []),
    "a variable": ("java", "docFields", "HashMap", "any", "docFields"),
    "any": ("java", 20.5, "any", "any", "20.5"),
    "null": ("java", None, "any", "any", "null"),
    "a quoted text": ("javascript", "'a'", "String", "any", "a"),
    "a Boolean": ("javascript", False, "Boolean", "any", False),
    "a Bigint": ("javascript", 7, "Bigint", "any", 7),
    "an integer for a float": ("javascript", 3, "float", "any", 3.0),
    "a script's array": ("javascript", ["a", "b"], "array", "String", ["a", "b"]),
    "an array of arrays": ("javascript", [[1, 2], [3, 4]], "array", "array", [[1, 2], [3, 4]]),
    "a new Array": ("javascript", "new Array(1, 2)", "array", "integer", [1, 2]),
    "an object": ("javascript", {"a": "b", "c": 1}, "dict", "any", {"a": "b", "c": 1}),
    "digits in quotes": ("javascript", {"a": "1"}, "dict", "any", {"a": 1}),
    "more digits than a number has": ("java", "9" * 5000, "integer", "any", "9" * 5000),
}


@pytest.mark.parametrize("case", SOURCE)
def test_source_text_is_read_as_bfcl_reads_it(case: str) -> None:
    language, value, word, items, expected = SOURCE[case]
    read = value_of(text_of(value, language, word, items), language, word, items)
    assert identical(read, expected), read


def test_no_text_takes_for_ever_and_no_depth_is_an_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert text_of(deep, "javascript", "array") == text_of(deep, "java", "Array") == ""
    for text in (
        "[[1],[" * 500,
        "{a: " * 900,
        "new HashMap<>() {" + " " * 3900,
        "new HashMap<>() {" + " " * 3900 + "}",
        "new HashMap<>() {" + 'put("a",' * 480 + "}",
        "new ArrayList<>() {{" + " " * 3900,
        "new ArrayList<>() {{" + " add(" * 700 + "}}",
        "new HashMap<>() {" * 200,
        "[[" + "],[" * 1000,
    ):
        for word in ("array", "dict"):
            value_of(text, "javascript", word)
        for word in ("Array", "ArrayList", "HashMap"):
            value_of(text, "java", word)


def test_java_calls_are_matched_by_their_values() -> None:
    tools = {
        "book": document(
            nights={"type": "integer"}, days={"type": "array", "items": {"type": "string"}}
        )
    }
    accept = ({"nights": [5], "days": [["Mon", "Tue"]]},)
    java = asked(book(nights=5), accept=accept, kind="simple_java")
    python = asked(book(nights=5), accept=accept, kind="simple_python")
    days = ["mon", "tue"]
    for nights, right in ((5, True), ("5", True), ("5L", True), (6, False), (5.0, False)):
        assert lenient_calls([book(nights=nights, days=days)], java, tools) is right, nights
    assert lenient_calls([book(nights=5, days="new String[]{Mon, Tue}")], java, tools)
    assert not lenient_calls([book(nights="5", days=days)], python, tools)


# -- properties -------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, 1.5])
    | st.text("aB .", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
    ),
    max_leaves=4,
)
names = st.sampled_from(["city", "nights", "price", "pets", "days", "guest", "rows", "x"])
calls = st.lists(
    st.builds(Call, st.sampled_from(["book", "pay"]), st.dictionaries(names, values, max_size=3)),
    max_size=3,
)
accepts = st.lists(
    st.dictionaries(names, st.lists(values | st.just(""), max_size=3), max_size=3), max_size=3
)


@given(reply=calls, reference=calls)
@settings(max_examples=200, deadline=None)
def test_strict_implies_lenient_without_accepted_values(
    reply: list[Call], reference: list[Call]
) -> None:
    query = asked(*reference)
    assert strict_calls(reference, query) and lenient_calls(reference, query, TOOLS)
    assert lenient_calls(reference[::-1], query, TOOLS)
    assert not strict_calls(reply, query) or lenient_calls(reply, query, TOOLS)
    if len(reply) != len(reference):
        assert not lenient_calls(reply, query, TOOLS)


@given(
    reply=calls,
    accept=accepts,
    language=st.sampled_from(["simple_java", "simple_javascript", "multiple"]),
)
@settings(max_examples=300, deadline=None)
def test_no_reply_and_no_accepted_value_is_an_error(
    reply: list[Call], accept: list[Any], language: str
) -> None:
    query = asked(*(book() for _ in accept), accept=tuple(accept), kind=language)
    assert lenient_calls(reply, query, TOOLS) in (True, False)


@given(left=values, right=values)
@settings(max_examples=200, deadline=None)
def test_identity_is_that_of_types_and_values(left: Any, right: Any) -> None:
    assert identical(left, left)
    assert identical(left, right) == identical(right, left)
    # repr tells 1, 1.0 and True apart; only the order of keys is nothing to go by
    ordered = [repr(_sorted(value)) for value in (left, right)]
    assert identical(left, right) == (ordered[0] == ordered[1])


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value


@given(text=st.text("aB1 ,./-_*^'\"!", max_size=8))
def test_standard_texts_stay_as_they_are(text: str) -> None:
    assert standard(standard(text)) == standard(text)
