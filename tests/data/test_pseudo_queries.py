"""Pseudo-queries: what stands beside a value."""

from random import Random

from tinr.catalogue.load import Catalogue
from tinr.data.pseudo_queries import Wording, _label
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
        places = [text.find(str(value)) for value in call.arguments.values()]
        assert min(places) >= 0
        if places != sorted(places):
            shuffled += 1
            names = {name.replace("_", " ") for name in call.arguments}
            described = {"car", "away", "years", "driver", "least"}
            said = set(text.lower().replace("odd one", "odd-one").split())
            assert len(said & (names | described | {"odd-one"})) >= 1
    assert shuffled > 50
