"""Questions made from documents: what is right, what is wrong, and who is asked."""

import re
from random import Random

import pytest

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.render import signature
from tinr.catalogue.similar import near_duplicates, nearest_neighbours
from tinr.chat.codec import FRAMES, token_of
from tinr.data.pseudo_queries import DEGREES, Wording
from tinr.evaluation.changed_signatures import Surroundings
from tinr.evaluation.choices import MINIMAL, blind, chance, make_choices
from tinr.records import ToolDoc

FRAME = FRAMES["tinr"]
SHIPPED = load_catalogue(("toolbox", "fieldkit"))


def doc(name: str, description: str, required: tuple[str, ...] = (), **properties) -> ToolDoc:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolDoc(name, description, schema)


def parts(line: str) -> list[str]:
    return line.split(", ")


@pytest.fixture(scope="module")
def questions():
    return make_choices(SHIPPED, FRAME, seed=0)


def test_neighbours_are_those_of_the_similarity_measure() -> None:
    nearest = nearest_neighbours(SHIPPED.tools, 3)
    assert set(nearest) == set(SHIPPED.names) and {len(v) for v in nearest.values()} == {3}
    assert all(name not in others for name, others in nearest.items())
    top = near_duplicates(SHIPPED.tools, 0.5)[0]
    assert nearest[top.first][0] == top.second and nearest[top.second][0] == top.first


def test_every_tool_with_the_property_is_asked_about(questions) -> None:
    specs = {d.name: d.parameters["properties"].values() for d in SHIPPED.tools}
    having = {
        "choose_description": set(SHIPPED.names),
        "choose_token": set(SHIPPED.names),
        "choose_signature": set(SHIPPED.names),
        "choose_type": {n for n, v in specs.items() if any("enum" not in s for s in v)},
        "choose_default": {n for n, v in specs.items() if any("default" in s for s in v)},
        "choose_enum": {n for n, v in specs.items() if any("enum" in s for s in v)},
        "choose_required": set(SHIPPED.names),
    }
    assert {kind: {c.about for c in found} for kind, found in questions.items()} == having
    assert len(having["choose_enum"]) == 43 and len(having["choose_default"]) == 90


def test_the_right_option_stands_first_and_none_twice(questions) -> None:
    for kind, found in questions.items():
        for choice in found:
            tool = SHIPPED.by_name[choice.about]
            right = {"choose_description": tool.description, "choose_token": token_of(tool.name)}
            assert choice.options[0][0].text == right.get(kind, signature(tool))
            texts = [option[0].text for option in choice.options]
            assert len(set(texts)) == len(texts) and 2 <= len(texts) <= 4


@pytest.mark.parametrize("kind", MINIMAL)
def test_a_minimal_pair_differs_in_one_property(kind, questions) -> None:
    for choice in questions[kind]:
        tool = SHIPPED.by_name[choice.about]
        right = signature(tool)
        names = list(tool.parameters["properties"])
        for option in choice.options[1:]:
            pattern = ", ".join(rf"{name}(\??: .*)" for name in names)
            was, now = re.fullmatch(pattern, right), re.fullmatch(pattern, option[0].text)
            assert was and now
            assert sum(a != b for a, b in zip(was.groups(), now.groups(), strict=True)) == 1


def wrong(kind: str, *docs: ToolDoc) -> set[str]:
    """The wrong lines for the first of the documents."""
    found = make_choices(Catalogue(docs), FRAME)[kind]
    return {o[0].text for c in found if c.about == docs[0].name for o in c.options[1:]}


def test_what_each_kind_changes() -> None:
    tool = doc("a", "Does it.", ("n",), n={"type": "number"},
               unit={"enum": ["metre", "foot"], "default": "foot"})  # fmt: skip
    near = doc("b", "Does it too.", (), unit={"enum": ["mile", "foot"], "default": "mile"})
    unit = "unit?: metre|foot = foot"
    assert signature(tool) == f"n: number, {unit}"
    types = wrong("choose_type", tool, near)
    assert types == {f"n: {k}, {unit}" for k in ("string", "integer", "boolean")}
    assert wrong("choose_default", tool, near) == {
        "n: number, unit?: metre|foot = metre", "n: number, unit?: metre|foot",
    }  # fmt: skip
    assert wrong("choose_enum", tool, near) == {"n: number, unit?: mile|foot = foot"}
    assert wrong("choose_required", tool, near) == {  # no default of a number anywhere
        f"n?: number, {unit}", "n: number, unit: metre|foot",
    }  # fmt: skip


def test_a_needed_parameter_becomes_optional_with_a_default_where_there_is_one() -> None:
    tool = doc("a", "Does it.", ("n",), n={"type": "integer"})
    other = doc("b", "Else.", (), k={"type": "integer", "default": 7})
    assert wrong("choose_required", tool, other) == {"n?: integer = 7"}


def test_what_the_catalogue_says_of_others_too_is_no_wrong_option() -> None:
    same = {"text": {"type": "string"}}
    twins = [doc(name, "Says it.", ("text",), **same) for name in "ab"]
    third = doc("c", "Counts sheep.", ("text",), **same)
    found = make_choices(Catalogue((*twins, third)), FRAME)
    assert found["choose_signature"] == []
    by_tool = {c.about: [o[0].text for o in c.options] for c in found["choose_token"]}
    assert by_tool == {"a": ["<<a>>", "<<c>>"], "b": ["<<b>>", "<<c>>"],
                       "c": ["<<c>>", "<<a>>", "<<b>>"]}  # fmt: skip
    assert chance(found["choose_token"]) == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)


def test_a_tools_questions_do_not_depend_on_the_order_of_the_catalogue(questions) -> None:
    turned = make_choices(Catalogue(SHIPPED.tools[::-1]), FRAME, seed=0)
    for kind in ("choose_default", "choose_signature"):
        was = {c.about: len(c.options) for c in questions[kind]}
        assert {c.about: len(c.options) for c in turned[kind]} == was
    again = make_choices(SHIPPED, FRAME, seed=0)
    assert again == questions and make_choices(SHIPPED, FRAME, seed=1) != questions


def test_the_blind_question_is_asked_of_another_tool(questions) -> None:
    asked = questions["choose_type"]
    for choice, control in zip(asked, blind(asked, SHIPPED, FRAME), strict=True):
        assert control.options == choice.options
        told = [p.text for p in control.prompt if p.token and p.text.startswith("<<")]
        assert len(told) == 1 and told != [token_of(choice.about)]


def test_an_enum_of_numbers_gets_a_new_number() -> None:
    tool = doc("a", "Does it.", (), n={"enum": [1, 2]})
    made = wrong("choose_enum", tool, doc("b", "Else."))
    assert made and made <= {"n?: 3|2", "n?: 1|3"}
    assert Surroundings(Catalogue((tool,))).enum_values == [1, 2]


def test_the_degrees_of_vagueness_differ_in_the_documents_words_alone() -> None:
    wording = Wording(SHIPPED)
    for tool in SHIPPED.tools[:60]:
        texts, call = wording.at_degrees(tool, Random(tool.name))
        assert tuple(texts) == tuple(DEGREES) and call.name == tool.name
        explicit, usual, vague = (text.rstrip("?").split() for text in texts.values())
        assert all(explicit.count(word) >= usual.count(word) for word in usual)
        assert all(usual.count(word) >= vague.count(word) for word in vague)
        words = f"{tool.name.replace('_', ' ')} {tool.description}".replace(",", "")
        about = len(set(words.rstrip(".").split()))
        assert len(usual) - len(vague) == min(3, about) - 1
        lost = set(usual) - set(vague)  # a vague query keeps a telling word, if there is one
        kept = set(vague) & set(words.rstrip(".").split())
        assert any(map(wording._telling, kept)) or not any(map(wording._telling, lost))
        assert len(explicit) - len(vague) == min(8, about) - 1
    assert wording.at_degrees(tool, Random(1)) == wording.at_degrees(tool, Random(1))
