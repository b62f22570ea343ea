"""Other texts for a value, and forms that only a description states."""

from datetime import datetime
from random import Random

import pytest

from tinr.catalogue.forms import draw_of, stated_form
from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe, signature
from tinr.catalogue.restated import abridged, restated
from tinr.catalogue.values import ArgumentDrawer
from tinr.data.pseudo_queries import Wording
from tinr.records import ToolDoc


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("2023-03-01", {"March 1st, 2023", "1 March 2023", "1st of Mar 2023", "3/1/2023"}),
        ("03/22/2023", {"March 22nd 2023", "2023-03-22", "2023.3.22"}),
        ("2023-03-13", {"13th of March, 2023"}),
        ("19:30", {"7:30 pm", "7:30pm", "7:30 p.m."}),
        ("00:00", {"12 am"}),
        ("09:00:00", {"9 am", "09:00"}),
        (8, {"eight"}),
        (20.0, {"twenty"}),
        (0.05, {"5%", "5 percent"}),
        (0.125, {"12.5%"}),
        (2_500_000, {"2.5 million"}),
        (5000, {"5 thousand"}),
    ],
)
def test_people_write_dates_times_and_numbers_otherwise(value, texts):
    assert texts <= {*restated(value)} and str(value) not in restated(value)


@pytest.mark.parametrize(
    "value",
    [True, None, "", "Paris", 1, 0, -3, 21.5, 1234567, float("nan"), float("inf"), 10**400,
     -(10**400), "2023-02-30", "9" * 5000, "1.2.3.4", "²-1-1", [2, 3], {"a": 2}],
)  # fmt: skip
def test_other_values_have_one_text(value):
    assert restated(value) == []


def test_a_value_is_abridged_where_readers_know_the_rest():
    assert "March 1st" in abridged("2023-03-01") and not any(
        "2023" in t for t in abridged("2023-03-01")
    )
    assert abridged("San Diego, CA") == ["San Diego", "SD"]
    assert abridged("Paris, FR") == ["Paris"]
    assert abridged("New York") == ["NY"]
    assert (
        abridged("a, b")
        == abridged(", b")
        == abridged("1,000")
        == abridged("plain words")
        == abridged(1)
        == []
    )
    assert abridged(7) == ["7th"] and abridged(22) == ["22nd"] and abridged(True) == []


@pytest.mark.parametrize(
    ("description", "form"),
    [
        ("The day, in the format 'YYYY-MM-DD' (e.g. '2023-06-15').", "YYYY-MM-DD"),
        ("In the format of 'City, State', such as 'New York, NY' or 'Ulm, BW'.", "New York, NY"),
        ("Formatted as `Street, City`.", "Street, City"),
        ("A label. For example, \"wake-up call\".", "wake-up call"),
        ("The name of the city.", ""),
        ("Use 'any' if it does not matter.", ""),
        ("The user's name, such as the customer's.", ""),
        (None, ""),
        (["such as 'x'"], ""),
        ("such as '" + "x" * 31 + "'", ""),
        ("such as '<<add_days>>'", ""),
    ],
)  # fmt: skip
def test_a_description_states_a_form(description, form):
    assert stated_form({"description": description}) == form


def test_no_description_states_no_form():
    assert stated_form({}) == stated_form(True) == stated_form("such as 'x'") == ""


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("YYYY-MM-DD", "%Y-%m-%d"),
        ("MM/DD/YYYY", "%m/%d/%Y"),
        ("HH:MM", "%H:%M"),
        ("YYYY-MM-DD HH:MM:SS", "%Y-%m-%d %H:%M:%S"),
        ("yyyy-mm-ddThh:mm:ssZ", "%Y-%m-%dT%H:%M:%SZ"),
    ],
)
def test_values_of_a_form_are_dates_and_times_of_it(form, pattern):
    rng = Random(0)
    for _ in range(50):
        text = draw_of(form, rng)
        assert f"{datetime.strptime(text, pattern):{pattern}}" == text


def test_values_of_an_example_are_like_it():
    rng = Random(0)
    drawn = {draw_of("New York, NY", rng) for _ in range(30)}
    assert len(drawn) > 20
    for text in drawn:
        place, _, state = text.partition(", ")
        assert place and len(state) == 2 and state.isupper()
    assert draw_of("100% MMxyz", rng) != ""  # no pattern of dates


DOC = ToolDoc("ride", "Order a ride.", {
    "type": "object",
    "properties": {
        "day": {"type": "string", "description": "Day, in the format 'MM/DD/YYYY'."},
        "to": {"type": ["string", "null"], "description": "Address, such as 'Long Road, Ulm'."},
        "kind": {"enum": ["cab", "bus"], "description": "Vehicle, such as 'cab'."},
        "code": {"type": "string", "maxLength": 4, "description": "Such as 'ABCDE'."},
    },
    "required": ["day", "code"],
})  # fmt: skip


def test_signatures_and_values_follow_the_stated_form():
    assert signature(DOC) == (
        "day: string 'MM/DD/YYYY', to?: string|null, kind?: cab|bus, code: string 'ABCDE'"
    )
    assert "day: string. Day" in describe(DOC)  # which has the description anyway
    rng, drawer = Random(1), ArgumentDrawer(DOC.parameters)
    for _ in range(20):
        arguments = drawer.draw(rng)
        datetime.strptime(arguments["day"], "%m/%d/%Y")
        assert len(arguments["code"]) <= 4  # the schema comes before the description


def test_only_texts_of_a_stated_form_are_worded_freely():
    """A list or a switch with an example in its description is not written as Python writes it."""
    spec = {"items": {"type": "array", "items": {"type": "integer"},
                      "description": "Numbers, such as '4 and 5'."},
            "on": {"type": "boolean", "description": "Written like 'yes'."},
            "day": {"type": "string", "description": "In the format 'YYYY-MM-DD'."}}  # fmt: skip
    doc = ToolDoc("t", "Do it.", {"type": "object", "properties": spec, "required": [*spec]})
    wording = Wording(Catalogue((doc,)))
    texts = [wording.write(doc, Random(seed)) for seed in range(40)]
    for text, call in texts:
        assert "[" not in text and "True" not in text and "False" not in text
        day = call.arguments["day"]
        assert day in text or any(other in text for other in restated(day))
    assert 5 < sum(call.arguments["day"] in text for text, call in texts) < 35
