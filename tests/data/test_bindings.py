"""Lines of a thought that say which words of a query give each argument its value."""

import re
import time

import pytest

from tinr.catalogue.load import load_catalogue
from tinr.chat.render import as_text
from tinr.data.bindings import MAX_CHARACTERS, MOST_UNASKED, derivations
from tinr.data.traces import render_trace
from tinr.records import Call, Message, Query, ToolDoc
from tool_corpora.suites import training_queries


def line(text: str, /, **arguments) -> str:
    return derivations(text, [[Call("t", arguments)]])[0]


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("Subtract 3 from 10.", {"a": 10, "b": 3}, "Subtract 3 from = b; from 10 = a"),
        ("10", {"a": 10}, "10 = a"),
        ("Write 'ab c' backwards.", {"text": "ab c"}, "Write ab c backwards = text"),
        ("Sort (4, 1, 9) now", {"values": [4, 1, 9]}, "Sort 4, 1, 9 now = values"),
        ("Which city is ULM near?", {"city": "Ulm"}, "city is ULM near = city"),
        ("Half of a ball of radius 2.0", {"r": 2.0, "half": True}, "radius 2.0 = r; half: -> true"),
        ("A radius of 2", {"r": 2.0}, "radius of 2 = r"),
        ("Several of them", {"n": 2}, "n: -> 2"),
        ("In 1.25 and 25 and 0.2", {"n": 25}, "and 25 = n"),
        ("Add 4 and 4", {"a": 4, "b": 4}, "Add 4 = a; and 4 = b"),
        ("Nothing", {}, ""),
        ("Nothing", {"a": [], "b": None, "c": "", "d": {"e": 1}},
         'a: -> []; b: -> null; c: -> ; d: -> {"e": 1}'),
    ],
)  # fmt: skip
def test_a_value_stands_between_the_words_beside_it(text, arguments, expected):
    assert line(text, **arguments) == expected


def test_long_values_are_cut_between_words_and_lines_are_one_line():
    long = "one two three four\nfive"
    assert line(f'Reverse "{long}" please', text=long) == "Reverse one two three... please = text"
    assert "\n" not in line("x", text=long)
    assert line("x", word="a" * 50) == f"word: -> {'a' * MAX_CHARACTERS}..."


def test_values_that_are_stated_in_other_words():
    assert line("from March 1st to March 3rd 2023", start="2023-03-01", end="2023-03-03") == (
        "from March 1st to = start; to March 3rd 2023 = end"
    )
    assert line("Show it at 7:30 pm", time="19:30") == "it at 7:30 pm = time"
    assert line("Two tickets, please", count=2) == "Two tickets = count"
    assert line("at a rate of 8%", rate=0.08) == "rate of 8% = rate"
    assert line("a bus to LA", city="Los Angeles, CA") == "bus to LA = city"
    assert line("the 7th one", k=7) == "the 7th one = k"
    assert line("for la lady", city="Los Angeles, CA") == "city: -> Los Angeles,..."  # not LA
    assert line("7 and seven", a=7, b=7) == "7 = a; and seven = b"


def test_nested_values_are_found_whole():
    vertices = [[1, 1], [1, 5], [5, 5]]
    assert (
        line("Corners at (1, 1), (1, 5) and (5, 5)", at=vertices)
        == "Corners at 1, 1), (1, 5)... = at"
    )
    pairs = {"a": 1, "b": 2}
    assert line("Merge {'a': 1, 'b': 2} please", one=pairs) == "Merge a': 1, 'b': 2 = one"


def test_a_negation_is_one_of_the_words_that_ask():
    about = {"type": "boolean", "description": "Include special characters."}
    doc = ToolDoc("t", "", {"type": "object", "properties": {"special": about}})
    turns = [[Call("t", {"special": False})]]
    derived_line = derivations("Without special characters!", turns, docs={"t": doc})
    assert derived_line == ["special: Without special characters -> false"]


def test_calls_share_a_place_that_is_stated_once():
    text = "A chance of 0.6 in 10 tries and in 20 tries?"
    turns = [[Call("t", {"p": 0.6, "n": 10}), Call("t", {"p": 0.6, "n": 20})]]
    assert derivations(text, turns) == [
        "chance of 0.6 in = p; in 10 tries = n", "chance of 0.6 in = p; and in 20 tries = n"
    ]  # fmt: skip


def test_a_place_gives_one_value_also_over_two_calls():
    turns = [[Call("t", {"a": 5}), Call("t", {"a": 5})]]
    assert derivations("First 5 then 5", turns) == ["First 5 then = a", "then 5 = a"]


def test_what_an_earlier_call_returns_is_the_result_and_its_value_is_not_told():
    """The thought comes before the first call: it cannot know the result."""
    turns = [[Call("t", {"a": 5})], [Call("u", {"of": 71, "times": 2, "exact": True, "by": "day"})]]
    derived_line = derivations("Double 5. Then 2 of that", turns, ["71"])
    assert derived_line == [
        "Double 5 = a",
        "Then 2 of that = times; (result) = of; exact: -> true; by: -> day",
    ]
    rounded = derivations("Double 5.", [turns[0], [Call("u", {"of": 71.3})]], ["71.29"])
    assert rounded[1] == "(result) = of"
    words = derivations("Name it.", [[Call("t", {})], [Call("u", {"name": "Ulm"})]], ['"Ulm"'])
    assert words == ["", "(result) = name"]


def test_the_first_calls_never_take_a_result():
    assert derivations("How many?", [[Call("t", {"n": 7})]], ["7"]) == ["n: -> 7"]


def test_a_trace_says_where_values_come_from_and_given_thoughts_stay(catalogue, codec):
    call = Call("circle_area", {"radius": 3})
    query = Query("q", "And the area?", ((call,),), history=(
        Message("user", "A circle of radius 3."), Message("assistant", "Nice, radius 9."),
    ))  # fmt: skip
    text = as_text(render_trace(query, catalogue, codec.frame))
    assert "): radius 3 = radius</think>" in text.replace("\n", "")
    given = Query("q", query.text, query.turns, thought=("Because I say so.",))
    assert "= radius" not in as_text(render_trace(given, catalogue, codec.frame))


def test_nearly_every_value_of_the_shipped_queries_is_derived():
    """Values of options and results are not said; of all others nearly every one is found."""
    queries = training_queries(400, 0, "bindings", load_catalogue("toolbox").by_name)
    lines = [
        (call, text)
        for query in queries
        for call, text in zip(
            query.calls, derivations(query.text, query.turns, query.observations), strict=True
        )
    ]
    values = sum(len(call.arguments) for call, _ in lines)
    stated = sum(text.count(" = ") for _, text in lines)
    assert values > 500 and stated / values > 0.9


DOC = ToolDoc(
    "ball_volume",
    "Find the volume of a ball.",
    {
        "type": "object",
        "properties": {
            "radius": {"type": "number", "description": "Radius in centimetres."},
            "half": {"type": "boolean", "description": "Take only half of the sphere."},
            "unit": {"enum": ["litres", "cubic inches"], "description": "Unit of the result."},
        },
        "required": ["radius"],
    },
)


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("A half sphere of radius 2", {"radius": 2, "half": True},
         "radius 2 = radius; half: half sphere -> true; unit: -"),
        ("A dome of radius 2", {"radius": 2, "half": True},
         "radius 2 = radius; half: -> true; unit: -"),
        ("Volume of a ball of 2", {"radius": 2, "half": True},
         "ball of 2 = radius; half: -> true; unit: -"),
        ("In cubic inches: ball, 2", {"radius": 2, "unit": "cubic inches"},
         "2 = radius; half: -; unit: In cubic inches -> cubic inches"),
        ("Ball, 2, inch result", {"radius": 2, "unit": "cubic inches"},
         "2 = radius; half: -; unit: inch -> cubic inches"),
    ],
)  # fmt: skip
def test_fixed_values_stand_behind_the_open_ones_with_the_words_that_imply_them(
    text, arguments, expected
):
    """In the document's order, or a dash where nobody asks for one. Words that the tool's
    own description has too imply nothing; "result" implies no unit.
    """
    call = Call("ball_volume", arguments)
    assert derivations(text, [[call]], docs={"ball_volume": DOC}) == [expected]


def test_words_that_are_known_to_ask_for_an_option_stand_in_its_slot():
    """They share nothing with the document. Where they are wrong, what it shares serves."""
    call = Call("ball_volume", {"radius": 2, "half": True})
    for text, words, slot in (
        ("A dome of radius 2", {"half": "dome"}, "half: dome -> true"),
        ("A half dome of radius 2", {"half": "cupola"}, "half: half -> true"),
        ("A half dome, radius 2", {"half": "radius 2"}, "half: half -> true"),
        ("A dome of radius 2", {"unit": "dome"}, "half: -> true"),
    ):
        line = derivations(text, [[call]], docs={"ball_volume": DOC}, implied=[words])[0]
        assert line.split("; ")[1] == slot
    calls = [call, Call("ball_volume", {"radius": 3, "half": True})]  # each has its own
    implied = [{"half": "dome"}, {"half": "cap"}]
    lines = derivations("A dome of 2, a cap of 3", [calls], (), {"ball_volume": DOC}, implied)
    assert [line.split("; ")[1] for line in lines] == [
        "half: dome -> true",
        "half: cap -> true",
    ]
    implied = [{"half": "domes"}, {"half": "domes"}]  # both have the same words
    lines = derivations("Two domes, of 2 and 3", [calls], (), {"ball_volume": DOC}, implied)
    assert [line.split("; ")[1] for line in lines] == ["half: domes -> true"] * 2


def test_of_many_options_that_nobody_asks_for_the_first_are_named():
    properties = {f"o{n}": {"enum": ["x", "y"]} for n in range(MOST_UNASKED + 3)}
    doc = ToolDoc("t", "", {"properties": properties, "required": ["o1"]})
    derived_line = derivations("Take x", [[Call("t", {"o1": "x", "o0": "x"})]], docs={"t": doc})[0]
    dashes = [f"o{n}: -" for n in range(2, MOST_UNASKED + 2)]
    assert derived_line.split("; ") == ["o0: -> x", "o1: Take x -> x", *dashes]


def test_open_values_of_options_stand_where_the_query_has_them():
    properties = {"tempo": {"type": "number"}, "swing": {"type": "boolean"},
                  "beats": {"type": "integer"}, "meter": {}}  # fmt: skip
    doc = ToolDoc("bar", "", {"properties": properties, "required": ["tempo", "swing"]})
    call = Call("bar", {"tempo": 158, "beats": 3, "swing": False})
    derived_line = derivations("A bar of 3 beats at tempo 158", [[call]], docs={"bar": doc})[0]
    assert derived_line == "bar of 3 beats = beats; tempo 158 = tempo; swing: -> false"


def test_an_option_that_takes_an_earlier_result_says_so():
    doc = ToolDoc("t", "", {"properties": {"of": {"enum": [7, 8]}, "in": {"enum": ["a", "b"]}},
                            "required": ["in"]})  # fmt: skip
    turns = [[Call("u", {})], [Call("t", {"of": 7, "in": "a"})]]
    derived_line = derivations("Do it. Take that result in a", turns, ["7"], {"t": doc})[1]
    assert derived_line == "of: Take that result in (result); in: result in a -> a"


def test_equal_values_stand_beside_the_words_of_their_parameters():
    doc = ToolDoc("burn", "Count calories.", {"required": ["minutes", "weight"], "properties": {
        "minutes": {"description": "Minutes of it."}, "weight": {"description": "Weight in kg."},
    }})  # fmt: skip
    call = Call("burn", {"minutes": 49, "weight": 49})
    derived_line = derivations("Weight 49 kg, then 49 minutes", [[call]], docs={"burn": doc})
    assert derived_line == ["Weight 49 kg = weight; then 49 minutes = minutes"]


def test_a_value_inside_another_one_is_not_its_place():
    call = Call("reach", {"edges": "K-M, M-P", "start": "K"})
    assert derivations('From "K-M, M-P" as given, start K', [[call]])[0].endswith("start K = start")
    assert line("Values 4, 9, 2 and k 9", values=[4, 9, 2], k=9).endswith("k 9 = k")


def test_words_that_speak_of_a_result_are_bound_where_they_stand():
    turns = [[Call("t", {"a": 5})], [Call("u", {"fixed": 7, "price": 9})]]
    derived_line = derivations("Double 5. Fixed costs the value you get, price 9?", turns, ["7"])
    assert derived_line[1] == "costs the value you... (result) = fixed; price 9 = price"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("With a cost of [33] per unit", "cost of 33 per unit = n"),
        ("My table is at [7] now", "table is at 7 now = n"),
        ("Is it of the [7]", "it of the 7 = n"),
        ("By the [7]", "the 7 = n"),
        ("Regular [7]-gon", "Regular 7 gon = n"),
        ("Leaving [3] of spacing, how many", "Leaving 3 of spacing = n"),
        ("Take [3] as the base here", "Take 3 as the base = n"),
        (
            "Download: 46 megabits at [83] percent efficiency, 9 hours",
            "at 83 percent efficiency = n",
        ),
        ("Load 46 megabits at 83 percent, [9] hours", "9 hours = n"),
        ("Does it end? [9] hours", "9 hours = n"),
        ("Turn 41 into [83] now", "into 83 now = n"),
        ("Spend 37.1 per guest and [105] on the hall", "and 105 on = n"),
        ("Is (1, 5) or ([2])?", "or 2 = n"),
        ("A price of [8], 30 if new", "price of 8 = n"),
        ("Cost [28] and price 9", "Cost 28 = n"),
        ("More than [28] of 4 parts", "More than 28 of = n"),
    ],
)
def test_a_value_stands_among_the_words_that_tell_which_it_is(text, expected):
    """Back to a telling word of its clause, on over its unit or "of spacing", no further value."""
    value = re.search(r"\[(\d+)\]", text)[1]
    assert line(text.replace(f"[{value}]", value), n=int(value)) == expected


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("Split 1,500 euros among 500 guests", {"n": 500, "sum": 1500},
         "Split 1,500 euros among = sum; among 500 guests = n"),
        ("Pay 1,000 for 1 box", {"n": 1}, "for 1 box = n"),
        ("Add -5 and 5", {"y": 5, "x": -5}, "Add -5 = x; and 5 = y"),
        ("Is (-5) above 5?", {"y": 5}, "above 5 = y"),
        ("Sort 1,200,5", {"values": [1, 200, 5]}, "Sort 1,200,5 = values"),
    ],
)  # fmt: skip
def test_a_number_is_no_part_of_another_one(text, arguments, expected):
    assert line(text, **arguments) == expected


def test_of_equal_values_the_one_that_is_spoken_of_is_stated():
    turns = [[Call("d", {"x": 10})], [Call("t", {"base": 5, "power": 5})]]
    derived_line = derivations("Halve 10. Raise that result to the power 5.", turns, ["5"])[1]
    assert derived_line == "Raise that result to (result) = base; power 5 = power"


@pytest.mark.parametrize(
    ("result", "value"),
    [('{"id": "u-9f31"}', "u-9f31"), ("71", "71"), ('["Ulm", "Bonn"]', "Ulm"), ("true", True)],
)
def test_a_part_of_a_result_is_not_known_before_the_call(result, value):
    turns = [[Call("find", {})], [Call("delete", {"id": value})]]
    assert derivations("Find Bob and delete him", turns, [result])[1] == "(result) = id"


def test_a_switch_is_no_number_of_an_earlier_result():
    turns = [[Call("count", {})], [Call("u", {"exact": True})]]
    assert derivations("Count, then do it", turns, ["1"])[1] == "exact: -> true"


def test_fixed_values_that_a_schema_refers_to_have_slots():
    units = {"enum": ["cm", "inch"]}
    doc = ToolDoc("t", "", {
        "$defs": {"unit": units},
        "properties": {"a": {"$ref": "#/$defs/unit"}, "b": {"anyOf": [units, {"type": "null"}]},
                       "c": {"anyOf": [units, {"type": "string"}]}},
        "required": ["a", "b", "c"],
    })  # fmt: skip
    call = Call("t", {"a": "cm", "b": "inch", "c": "mile"})
    derived_line = derivations("From cm over inch to mile", [[call]], docs={"t": doc})[0]
    assert derived_line == "inch to mile = c; a: From cm over inch -> cm; b: over inch to -> inch"


def test_words_of_other_scripts_are_told_apart():
    doc = ToolDoc("t", "", {"properties": {"city": {"enum": ["Москва", "Киев"]}}})
    call = Call("t", {"city": "Москва"})
    derived_line = derivations("Покажи погоду завтра", [[call]], docs={"t": doc})[0]
    assert derived_line == "city: -> Москва"
    assert derivations("Погода, Москва", [[call]], docs={"t": doc})[0] == "city: Москва -> Москва"


@pytest.mark.parametrize(
    "text",
    ["#" * 2000 + " take 7", "x" * 50_000 + " take 7", "a-" * 20_000 + "7", "a 7 " * 10_000,
     "7" + "-a" * 20_000, "7 " + "#" * 5000],
)  # fmt: skip
def test_long_queries_take_no_time(text):
    start = time.process_time()
    line(text, n=7, word="a", other=["a", 7])
    assert time.process_time() - start < 1
