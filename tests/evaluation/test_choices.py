"""Questions made from documents: what is right, what is wrong, and who is asked."""

import re
from random import Random

import pytest

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.render import signature
from tinr.catalogue.similar import near_duplicates, nearest_neighbours
from tinr.chat.codec import FRAMES, token_of
from tinr.data.pseudo_queries import DEGREES, Wording
from tinr.evaluation.choices import blind, chance, make_choices
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
    return make_choices(SHIPPED, FRAME)


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
    for kind, found in questions.items():  # but for tools all of whose neighbours are alike
        about = {choice.about for choice in found}
        assert about <= having[kind] and len(about) >= 0.97 * len(having[kind]), kind


def test_the_right_option_stands_first_and_none_twice(questions) -> None:
    for kind, found in questions.items():
        for choice in found:
            tool = SHIPPED.by_name[choice.about]
            right = {"choose_description": tool.description, "choose_token": token_of(tool.name)}
            assert choice.options[0][0].text == right.get(kind, signature(tool))
            texts = [option[0].text for option in choice.options]
            assert len(set(texts)) == len(texts) and 2 <= len(texts) <= 4


def test_every_wrong_option_is_what_the_catalogue_says_of_another_tool(questions) -> None:
    said = {
        "choose_description": {d.description: d.name for d in SHIPPED.tools},
        "choose_token": {token_of(d.name): d.name for d in SHIPPED.tools},
    }
    lines = {signature(d) for d in SHIPPED.tools}
    for kind, found in questions.items():
        for choice in found:
            assert {o[0].text for o in choice.options} <= set(said.get(kind, lines))


PROFILE = {
    "choose_default": lambda line: re.findall(r" = ([^,]+)", line),
    "choose_enum": lambda line: re.findall(r"[\w-]+(?:\|[\w-]+)+", line),
    "choose_required": lambda line: [p.partition(":")[0][-1] == "?" for p in parts(line)],
}


@pytest.mark.parametrize("kind", PROFILE)
def test_the_options_differ_in_the_property_that_is_asked_about(kind, questions) -> None:
    for choice in questions[kind]:
        right, *wrong_ones = (PROFILE[kind](option[0].text) for option in choice.options)
        assert right and all(one and one != right for one in wrong_ones)


def wrong(kind: str, *docs: ToolDoc) -> list[str]:
    """The wrong options for the first of the documents, in their order."""
    found = make_choices(Catalogue(docs), FRAME)[kind]
    return [o[0].text for c in found if c.about == docs[0].name for o in c.options[1:]]


def test_wrong_options_differ_in_as_little_else_as_there_is() -> None:
    number, text, unit = {"type": "number"}, {"type": "string"}, {"enum": ["metre", "foot"]}
    tool = doc("a", "Does it.", ("n",), n=number, unit=unit | {"default": "foot"})
    words = doc("b", "Says it.", ("t",), t=text)
    same_but_default = doc("c", "Flies.", ("n",), n=number, unit=unit | {"default": "metre"})
    same_but_type = doc("d", "Swims.", ("n",), n=text, unit=unit | {"default": "foot"})
    same_but_enum = doc(
        "e", "Digs.", ("n",), n=number, unit={"enum": ["a", "b"], "default": "foot"}
    )
    docs = (tool, words, same_but_default, same_but_type, same_but_enum)
    lines = {d.name: signature(d) for d in docs}
    assert wrong("choose_type", *docs) == [lines["d"], lines["b"]]
    assert wrong("choose_default", *docs) == [lines["c"]]
    assert wrong("choose_enum", *docs) == [lines["e"]]
    assert wrong("choose_required", *docs) == [lines["b"]]  # the others need `n` and no unit


def test_a_tool_without_the_property_is_not_asked_about() -> None:
    tools = [doc(name, f"{name} it.", ("n",), n={"type": kind})
             for name, kind in (("a", "number"), ("b", "string"))]  # fmt: skip
    found = make_choices(Catalogue(tuple(tools)), FRAME)
    assert (
        not found["choose_default"] and not found["choose_enum"] and len(found["choose_type"]) == 2
    )


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
    turned = make_choices(Catalogue(SHIPPED.tools[::-1]), FRAME)
    for kind in ("choose_default", "choose_signature"):
        was = {c.about: len(c.options) for c in questions[kind]}
        assert {c.about: len(c.options) for c in turned[kind]} == was
    assert make_choices(SHIPPED, FRAME) == questions


@pytest.mark.parametrize("kind", ["choose_type", "choose_description", "choose_token"])
def test_the_blind_question_is_asked_of_another_tool(kind, questions) -> None:
    asked = questions[kind]
    names = [tool.name for tool in SHIPPED.tools]
    distant = dict(zip(names, [*names[114:], *names[:114]], strict=True))
    for choice, control in zip(asked, blind(asked, SHIPPED, FRAME), strict=True):
        assert control.options == choice.options
        other = SHIPPED.by_name[distant[choice.about]]
        told = "".join(p.text for p in control.prompt)
        assert (other.description if kind == "choose_token" else token_of(other.name)) in told
        assert token_of(choice.about) not in told


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
