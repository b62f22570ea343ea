"""Pseudo-queries: what stands beside a value."""

import re
from random import Random

from tinr.catalogue.load import Catalogue
from tinr.catalogue.words import stem
from tinr.data.pseudo_queries import CONTRAST_SHARE, EVERYDAY_WORDS, Wording, _label
from tinr.records import ToolDoc

RENT = ToolDoc(
    "rent_car",
    "Rents a car for some days.",
    {
        "type": "object",
        "properties": {
            "days": {"type": "integer", "description": "How long the car is away."},
            "age": {"type": "integer", "description": "Years of the driver, at least 18."},
            "plain": {"type": "integer"},
            "odd_one": {"type": "integer", "description": "18, 25!"},
        },
        "required": ["days", "age"],
    },
)


def labels(name: str) -> set[str]:
    rng = Random(0)
    return {_label(RENT, name, rng) for _ in range(300)}


def test_a_parameter_is_called_by_its_name_or_by_words_of_its_own_description():
    said = labels("days")
    assert "days" in said and "car" in said and "long the car" in said
    assert all(label == "days" or label in "how long the car is away" for label in said)


def test_everyday_words_alone_call_no_parameter():
    assert all({"car", "away"} & set(label.split()) for label in labels("days") - {"days"})
    assert not any("18" in label for label in labels("age"))


def test_without_a_description_it_is_called_by_its_name():
    assert labels("plain") == {"plain"} and labels("odd_one") == {"odd one"}


def test_values_out_of_the_documents_order_stand_beside_words_of_their_parameters():
    wording, rng = Wording(Catalogue((RENT,))), Random(1)
    shuffled = 0
    for _ in range(300):
        text, call = wording.write(RENT, rng)
        places = [
            re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", text).start()
            for value in call.arguments.values()
        ]
        if places != sorted(places):
            shuffled += 1
            names = {name.replace("_", " ") for name in call.arguments}
            described = {"car", "away", "years", "driver", "least"}
            said = set(text.lower().replace("odd one", "odd-one").split())
            assert len(said & (names | described | {"odd-one"})) >= 1
    assert shuffled > 50


def tool(name: str, description: str, **properties) -> ToolDoc:
    schema = {"type": "object", "properties": properties, "required": []}
    return ToolDoc(name, description, schema)


NEXT = tool("next_prime", "Find the next prime after a whole number. Looks upward.")
PREVIOUS = tool("previous_prime", "Find the previous prime before a whole number. Looks downward.")
SORT = tool("sort_words", "Put words in order.")


def test_neighbours_are_told_apart_by_a_word_of_one_alone():
    wording, rng = Wording(Catalogue((NEXT, PREVIOUS, SORT))), Random(2)
    own = {stem(word) for word in ("next", "after", "upward")}
    other = {stem(word) for word in ("previous", "before", "downward")}
    texts = [wording.write(NEXT, rng)[0] for _ in range(400)]
    stems = [{stem(word) for word in text.split()} for text in texts]
    assert sum(bool(found & own) for found in stems) > 400 * CONTRAST_SHARE
    assert {"before", "after"} <= set(EVERYDAY_WORDS)  # else nothing below could fail
    assert not any(found & other for found in stems)


def test_who_wants_a_switch_says_what_it_does_and_not_true():
    switch = {"type": "boolean", "description": "Whether to leave out the face at the top."}
    box = tool("box_surface", "Measure a box.", open=switch)
    wording, rng = Wording(Catalogue((box, SORT))), Random(3)
    texts = [text for text, call in (wording.write(box, rng) for _ in range(400))
             if call.arguments.get("open") is True]  # fmt: skip
    silent = [text for text in texts if "true" not in text.split()]
    assert 0.4 * len(texts) < len(silent) < 0.9 * len(texts)
    said = {stem(word) for word in ("open", "leave", "out", "the", "face", "at", "top")}
    assert all(said & {stem(word) for word in text.split()} for text in silent)


def test_the_same_seed_and_values_give_the_same_words_around_another_value():
    wording = Wording(Catalogue((RENT, SORT)))
    values = {"days": 12345, "age": 67}
    whole, call = wording.write(RENT, Random(5), values=values)
    vague, _ = wording.write(RENT, Random(5), {"days": "some days or so"}, values)
    assert call.arguments == values
    assert vague == whole.replace('"12345"', "12345").replace("12345", "some days or so")


def test_no_filler_is_a_word_of_a_fixed_value():
    """Else a query would have the word and not ask for the value."""
    doc = ToolDoc("mountain_height", "Look up how high a mountain is, in metres or feet.", {
        "type": "object", "required": ["mountain"], "properties": {
            "mountain": {"type": "string"}, "unit": {"enum": ["metres", "feet"]},
        },
    })  # fmt: skip
    wording, rng = Wording(Catalogue((doc,))), Random(0)
    counts = {True: 0, False: 0}
    for _ in range(300):
        text, call = wording.write(doc, rng)
        words = [word.strip('.?"') for word in text.lower().split()]
        unit_words = [word for word in words if word.startswith(("metre", "feet"))]
        asked = "unit" in call.arguments
        counts[asked] += 1
        assert unit_words == ([call.arguments["unit"]] if asked else [])
    assert min(counts.values()) > 100


def test_a_value_that_tells_what_it_is_stands_anywhere_without_a_name():
    doc = ToolDoc("fall", "Let it fall.", {
        "type": "object", "required": ["height", "place"], "properties": {
            "height": {"type": "integer"}, "place": {"enum": ["mars", "moon"]},
        },
    })  # fmt: skip
    wording, rng = Wording(Catalogue((doc,))), Random(0)
    texts = [(wording.write(doc, rng)) for _ in range(200)]
    first = [
        t for t, c in texts if t.find(c.arguments["place"]) < t.find(str(c.arguments["height"]))
    ]
    unnamed = [t for t, _ in texts if "place" not in t.lower()]
    assert len(first) > 50 and len(unnamed) > 50 and any(t in unnamed for t in first)
