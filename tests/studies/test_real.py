"""The study on real tools: how tools and questions are chosen, and one cell from end to end."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.evaluation.evaluate import evaluate
from tinr.evaluation.suites import Suite, read_suite
from tinr.evaluation.verdicts import read_verdicts
from tinr.records import BadInput, Call, Query, ToolDoc
from tinr.studies.real.selection import choose, one_version
from tinr.studies.real.study import Cell, Place, check, run_cell
from tinr.studies.real.untuned import ask_untuned, read_reply, request_text

WORDS = "amber basil cedar delta ember fable grove hazel inlet jasper kernel larch".split()


def document(name: str, text: str, **types: str) -> ToolDoc:
    properties = {key: {"type": kind} for key, kind in types.items()}
    return ToolDoc(name, text, {"type": "object", "properties": properties, "required": [*types]})


def question(number: int, text: str, *calls: Call, **more) -> Query:
    return Query(f"q{number}", text, (calls,), group="simple", **more)


def suite_of(docs: list[ToolDoc], queries: list[Query], source_names=None) -> Suite:
    catalogue = Catalogue(tuple(docs))
    return Suite("own", catalogue, tuple(queries), (), source_names or {})


@pytest.fixture
def own() -> Suite:
    """Twelve unlike tools, the n-th with 12 - n questions, and one with a neighbour."""
    docs = [document(word, f"The {word} of {word}s.", x="integer") for word in WORDS]
    queries = [
        question(100 * n + k, f"{word} number{k} please {word * 2}{k}", Call(word, {"x": k}))
        for n, word in enumerate(WORDS)
        for k in range(12 - n)
    ]
    return suite_of(docs, queries)


def test_tools_with_more_questions_come_first_and_every_fourth_is_unseen(own):
    chosen = choose(own, 8)
    assert chosen.catalogue.names == sorted(WORDS[:8])
    unseen = {call.name for q in chosen.test if q.split == "unseen" for call in q.calls}
    assert unseen == {WORDS[3], WORDS[7]}
    assert {q.split for q in chosen.train} == {"seen"}
    fewer = choose(own, 4)
    assert {*fewer.catalogue.names} < {*chosen.catalogue.names}
    assert {q.id for q in fewer.test} < {q.id for q in chosen.test}
    assert choose(own, 8) == chosen


def test_every_tested_seen_tool_has_training_questions(own):
    chosen = choose(own, 12)
    trained = Counter(call.name for q in chosen.train for call in q.calls)
    tested = Counter(call.name for q in chosen.test if q.split == "seen" for call in q.calls)
    assert all(trained[name] >= 2 * count for name, count in tested.items())
    assert tested[WORDS[0]] == 4 and trained[WORDS[0]] == 8
    assert not {q.id for q in chosen.train} & {q.id for q in chosen.test}


def test_like_questions_are_on_one_side(own):
    twins = [replace(query, id=f"{query.id}-twin", text=f"{query.text}!") for query in own.queries]
    chosen = choose(replace(own, queries=(*own.queries, *twins)), 8)
    sides = [{q.id.removesuffix("-twin") for q in part} for part in (chosen.train, chosen.test)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_like_documents_are_on_one_side(own):
    neighbour = replace(own.catalogue.by_name[WORDS[0]], name=f"{WORDS[0]}_again")
    asked = [
        question(9000 + k, f"{neighbour.name} n{k} {'z' * k}", Call(neighbour.name, {"x": k}))
        for k in range(10)  # of its own it would be the fourth tool
    ]
    docs = [*own.catalogue.tools, neighbour]
    chosen = choose(suite_of(docs, [*own.queries, *asked]), 8)
    assert neighbour.name in chosen.catalogue.names
    assert all(q.split == "seen" for q in chosen.test if q.calls[0].name == neighbour.name)


def test_a_conversation_of_several_turns_is_not_taken(own):
    several = [replace(query, group="multi_turn_base") for query in own.queries[:12]]
    chosen = choose(replace(own, queries=(*several, *own.queries[12:])), 8)
    assert WORDS[0] not in chosen.catalogue.names


def test_versions_of_a_function_count_as_one_where_no_question_needs_what_differs():
    first = document("a.find", "Find.", x="integer")
    same = document("b.find", "Find it.", x="integer")
    more = document("c.find", "Find.", x="integer", y="string")
    unasked = document("d.find", "Find.", z="string")
    calls = [("a.find", {"x": 1}), ("a.find", {"x": 2}), ("b.find", {"x": 3}),
             ("c.find", {"x": 4, "y": "s"})]  # fmt: skip
    queries = [question(n, f"t{n}", Call(*call)) for n, call in enumerate(calls)]
    names = dict.fromkeys(("a.find", "b.find", "c.find", "d.find"), "find")
    kept, versions = one_version(suite_of([first, same, more, unasked], queries, names), queries)
    assert sorted(kept) == ["find", "find_2"]
    assert versions == {"a.find": "find", "b.find": "find", "c.find": "find_2", "d.find": "find"}


def test_too_many_tools_are_refused(own):
    with pytest.raises(BadInput, match="questions of 12 tools; give 4 to 12"):
        choose(own, 13)


@pytest.mark.skipif(
    not Path("../shared/data/tinr").is_dir(), reason="the real sets are not on this machine"
)
def test_a_real_set_is_split_without_a_leak():
    chosen = choose(read_suite("tinr", Path("../shared/data")), 64)
    assert len(chosen.catalogue.tools) == 64 and len(chosen.train) > 50 and len(chosen.test) > 30
    trained = {call.name for q in chosen.train for call in q.calls}
    for query in chosen.test:
        names = {call.name for call in query.calls}
        assert (names <= trained) if query.split == "seen" else not names & trained


@pytest.mark.parametrize(
    ("text", "calls", "response"),
    [
        ('[{"name": "amber", "arguments": {"x": 3}}]', [("amber", {"x": 3})], None),
        ('Sure:\n```json\n{"name": "amber", "arguments": {"x": 3}}\n```',
         [("amber", {"x": 3})], None),
        ("I cannot do that.", [], "I cannot do that."),
        ('[{"name": "amber", "arguments": {"x"', [], None),
        ('[{"name": "functions.Amber", "arguments": {"x": 3}}]\nThis calls amber(x=3) for you.',
         [("amber", {"x": 3})], None),
        ("<function=amber><parameter=x>3</parameter></function>", [("amber", {"x": 3})], None),
        ('<tool_call>call:amber{x:"\\u00009"}</tool_call>', [("amber", {"x": "\x009"})], None),
    ],
)  # fmt: skip
def test_calls_of_the_untuned_base_are_read_in_any_notation(text, calls, response):
    reply = read_reply(text, [document("amber", "x", x="integer")])
    assert [(call.name, dict(call.arguments)) for call in reply.calls] == calls
    assert reply.response == response
    assert bool(reply.problems) == (not calls and response is None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("stf.epochs=1", "write PHASE.KEY=VALUE"),
        ("sft.epochs", "write PHASE.KEY=VALUE"),
        ("sft.pseudo=0", "arm bm25 sets pseudo itself"),
    ],
)
def test_a_change_that_would_not_hold_is_refused(tmp_path, change, says):
    place = Place(tmp_path, tmp_path, changes=[change])
    with pytest.raises(BadInput, match=says):
        check(Cell("own", 4, 1, "bm25"), place)


def test_the_untuned_base_is_shown_whole_documents():
    text = request_text(question(1, "Amber 3?"), [document("amber", "It is {odd}.", x="integer")])
    assert '"description": "It is {odd}."' in text and text.endswith("Request: Amber 3?")


@pytest.fixture
def place(tmp_path, tiny_tokenizer) -> Place:
    """A study of a model of one layer, without the base's own completions."""
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64,
                    num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path / "base")  # fmt: skip
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    changes = ["align.epochs=1", "align.replay=0", "sft.replay=0"]
    return Place(
        tmp_path / "out", tmp_path / "results", str(tmp_path / "base"), "", "smoke", changes
    )


@pytest.mark.parametrize("arm", ["internalized", "bm25", "base"])
def test_a_cell_ends_in_verdicts_and_is_not_run_twice(own, place, arm):
    path = run_cell(Cell("own", 4, 1, arm), own, place)
    found = read_verdicts(path)
    chosen = choose(own, 4)
    assert {row["id"] for row in found.rows} == {query.id for query in chosen.test}
    assert found.facts["trained_on"] == sorted(query.id for query in chosen.train)
    assert set(found.facts["training"]) == {
        "internalized": {"base", "align", "sft"}, "bm25": {"base", "sft"}, "base": {"base"},
    }[arm]  # fmt: skip
    assert found.seed == (None if arm == "base" else 1)
    text = path.read_text().replace(found.facts["checkpoint"], "as it was")
    path.write_text(text)
    assert run_cell(Cell("own", 4, 1, arm), own, place) == path
    assert path.read_text() == text
    with pytest.raises(BadInput, match=r"measured with other settings \(changes\)"):
        run_cell(Cell("own", 4, 1, arm), own, replace(place, changes=place.changes[:2]))


def test_offered_names_are_a_column_of_their_own_from_the_same_checkpoint(own, place, monkeypatch):
    plain = Cell("own", 4, 1, "internalized")
    free = read_verdicts(run_cell(plain, own, place))
    queries = [replace(query, tools=(query.calls[0].name, "absent")) for query in own.queries]
    offering = replace(own, queries=tuple(queries))
    seen = []
    monkeypatch.setattr(
        "tinr.studies.real.study.evaluate",
        lambda *args, offered, **more: (
            seen.append(offered),
            evaluate(*args, offered=offered, **more),
        )[1],
    )
    named = read_verdicts(run_cell(replace(plain, offered=True), offering, place))
    assert (
        named.arm == "internalized-offered" and named.path.stem == "own-4-internalized-offered-s1"
    )
    assert named.facts["checkpoint"] == free.facts["checkpoint"]
    tests = choose(offering, 4).test
    assert seen == [{query.id: (query.calls[0].name,) for query in tests}]


def test_of_offered_functions_the_untuned_base_sees_no_other_document(own, place, monkeypatch):
    shown = []

    def asked(model, codec, queries, catalogue, prompt):
        documents = Library(catalogue, prompt).shown(queries, "in_prompt")
        shown.extend([doc.name for doc in docs] for docs in documents)
        return ask_untuned(model, codec, queries, catalogue, prompt)

    monkeypatch.setattr("tinr.studies.real.study.ask_untuned", asked)
    queries = [replace(query, tools=(query.calls[0].name,)) for query in own.queries]
    offering = replace(own, queries=tuple(queries))
    run_cell(Cell("own", 4, 1, "base", offered=True), offering, place)
    assert shown == [[query.calls[0].name] for query in choose(offering, 4).test]
