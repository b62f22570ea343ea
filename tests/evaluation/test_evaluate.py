"""What an evaluation counts: everything that was to be asked, and nothing twice."""

import json
from dataclasses import replace

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.catalogue.load import Catalogue, query_from, query_line, write_jsonl
from tinr.evaluation.contenders import CALLS, _kept, values_from
from tinr.evaluation.evaluate import (
    SuiteResult,
    by_split,
    costs,
    evaluate,
    load_suite,
    read_equivalent,
    write_replies,
)
from tinr.evaluation.metrics import outcome
from tinr.evaluation.report.results import markdown_table
from tinr.records import BadInput, Call, Query, Reply, ToolDoc
from tinr.rollout.conversation import Conversation, reachable
from tinr.rollout.generate import Row
from tinr.rollout.tools.executor import Executor

AREA = Query("q1", "Area?", ((Call("circle_area", {"radius": 2}),),), split="seen")


@pytest.fixture
def asked(grown, catalogue: Catalogue):
    """(an untrained model of 96 positions, codec, catalogue, an executor of no tools)."""
    codec = grown("tiny")
    config = LlamaConfig(
        vocab_size=len(codec.tokenizer), hidden_size=16, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=96,
    )  # fmt: skip
    return LlamaForCausalLM(config), codec, catalogue, Executor(catalogue, {})


def test_a_prompt_that_does_not_fit_counts_as_wrong(asked):
    model, codec, catalogue, executor = asked
    long = replace(AREA, id="q2", text="Area? " * 60)
    found = evaluate(model, codec, [AREA, long], catalogue, executor, "none", max_tokens=8)
    assert list(found.unasked) == ["q2"] and found.unscorable == {}
    assert found.evidence[1] is None and found.outcomes[1] is not None
    rates = by_split(found)["seen"]
    assert rates["call_em"].n == 2 and rates["format_ok"].n == 2
    assert costs(found)["prompt_tokens"] > 60 and costs(found)["generated_tokens"] <= 8


def test_replies_are_written_with_their_calls_as_they_were_compared(catalogue, tmp_path):
    """Where a default is spelled out, the short form of both sides stands beside what was said."""
    document = ToolDoc("t", "", {"type": "object", "properties": {"x": {}, "y": {"default": 2}}})
    query = Query("q", "x?", ((Call("t", {"x": 1}),),))
    for arguments, short in (({"x": 1, "y": 2}, {"x": 1}), ({"x": 1, "y": 3}, None)):
        said = Conversation(query, (), Row(), Reply(calls=(Call("t", arguments),)), ())
        judged = outcome(said.reply, query, {"t": document})
        found = SuiteResult("none", [said], [judged], [None], {}, {}, [None])
        write_replies(tmp_path, found, {"t": document})
        row = json.loads((tmp_path / "replies.none.jsonl").read_text())
        assert row["called"][0]["arguments"] == arguments
        assert row["outcome"]["call_em"] is (short is not None)
        if short is None:
            assert "in_short" not in row
        else:
            assert row["in_short"] == {
                side: [{"name": "t", "arguments": short}] for side in ("calls", "called")
            }


def test_nothing_that_can_be_asked_or_scored_is_bad_input(asked):
    model, codec, catalogue, executor = asked
    unknown = Query("q3", "x", ((Call("nosuch", {}),),))
    with pytest.raises(BadInput, match="no query can be scored: 'q3'"):
        evaluate(model, codec, [unknown], catalogue, executor, "none", max_tokens=8)
    with pytest.raises(BadInput, match="no prompt fits: query 'q1'"):
        evaluate(model, codec, [AREA], catalogue, executor, "none", max_tokens=96)
    with pytest.raises(BadInput, match="no query can be scored"):
        evaluate(model, codec, [], catalogue, executor, "none", max_tokens=8)


def test_of_tools_that_do_not_run_what_is_reached_is_asked_and_no_answer(catalogue):
    turns = (*AREA.turns, (Call("length_convert", {"length": 1}),))
    query = replace(AREA, turns=turns, answer="7", observations=("1",))
    left = reachable(query, Executor(catalogue, {}))
    assert (left.turns, left.answer, left.observations) == (AREA.turns, None, ())
    runs = {name: print for name in catalogue.by_name}
    assert reachable(query, Executor(catalogue, runs)) is query
    recorded = replace(query, observations=("1", "2"))
    assert reachable(recorded, Executor(catalogue, {})) is recorded
    half = Executor(catalogue, {"circle_area": print})  # the second call is the one that ends it
    assert reachable(query, half).turns == turns and reachable(query, half).answer is None
    long = replace(query, turns=AREA.turns * 5, observations=("1",) * 5)
    assert reachable(long, Executor(catalogue, {})) is long


def test_a_size_is_of_each_split_of_a_folder_too_and_none_is_all(tmp_path, catalogue):
    queries = [replace(AREA, id=f"{s}{n}", split=s) for s in ("seen", "unseen") for n in range(9)]
    write_jsonl(tmp_path / "queries.jsonl", map(query_line, queries))
    assert len(load_suite(str(tmp_path), None, catalogue).queries) == 18
    some = load_suite(str(tmp_path), 2, catalogue).queries
    assert sorted(query.split for query in some) == ["seen", "seen", "unseen", "unseen"]


@pytest.mark.parametrize("text", ['[["circle_area", ["x"]]]', "[[{}]]", '["circle_area"]'])
def test_groups_that_are_no_lists_of_names_are_bad_input(tmp_path, catalogue, text):
    (tmp_path / "groups.json").write_text(text)
    with pytest.raises(BadInput, match="list of lists of tool names"):
        read_equivalent(tmp_path / "groups.json", catalogue)


def test_groups_that_overlap_are_bad_input(tmp_path, catalogue):
    groups = '[["circle_area", "city.find"], ["city.find", "length_convert"]]'
    (tmp_path / "groups.json").write_text(groups)
    with pytest.raises(BadInput, match=r"'city\.find' is in two groups"):
        read_equivalent(tmp_path / "groups.json", catalogue)


def test_a_split_that_is_no_text_is_bad_input():
    with pytest.raises(BadInput, match="split"):
        query_from({"id": "a", "query": "x", "calls": [], "split": ["seen"]}, "here")


def row(identifier: str, split: str, calls: bool = True) -> dict:
    right = {"name_em": True, "call_em": True} if calls else {"abstain_acc": True}
    return {"id": identifier, "split": split, "format_ok": True, "faults": None} | right


def test_calls_together_are_those_that_expect_calls_and_only_of_several_splits():
    values = values_from([row("a", "seen"), row("b", "ood"), row("c", "irrelevance", calls=False)])
    assert set(values[CALLS]["call_em"]) == {"a", "b"} == set(values[CALLS]["format_ok"])
    assert CALLS not in values_from([row("a", "seen"), row("c", "irrelevance", calls=False)])
    assert values_from([row("a", "all")])["all"]["call_em"] == {"a": 1.0}


def summary(**values: float) -> dict:
    """Of a run whose phases named so many percent of the seen tools."""
    rate = {phase: {"value": value / 100, "n": 4, "low": 0, "high": 1}
            for phase, value in values.items()}  # fmt: skip
    return {
        "phases": {phase: {"checkpoint": phase} for phase in values},
        "history": {p: {"seen": {"none": {"name_em": one}}} for p, one in rate.items()},
    }


def test_runs_of_other_phases_stand_under_their_own_names():
    table = markdown_table([summary(align=10, sft=20), summary(base=0, align=30, grpo=40)])
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if "|" in line}
    assert table.splitlines()[0] == "| | align | sft | grpo |"
    assert "**20.0** (10.0, 30.0) | **20.0** (20.0, -) | **40.0** (-, 40.0)" in lines["name seen"]


def test_what_could_not_be_asked_makes_no_false_call_and_no_right_one(asked):
    model, codec, catalogue, executor = asked
    short = Query("n1", "Hello.")
    long = replace(short, id="n2", text="hello " * 60)
    found = evaluate(model, codec, [short, long], catalogue, executor, "none", max_tokens=8)
    assert list(found.unasked) == ["n2"]
    rates = by_split(found)["no_tool"]
    assert rates["abstain_acc"].n == 2 and rates["false_call_no_tool"].n == 1


@pytest.mark.parametrize("spoilt", ["", "{}\n", "no JSON\n"])
def test_kept_values_that_are_not_of_these_queries_are_none(spoilt, tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_text(spoilt)
    assert list(_kept(path)) == [] == list(_kept(tmp_path / "none"))
    path.write_text(json.dumps({"id": "q1", "split": "seen"}) + "\n" + spoilt)
    assert [row["id"] for row in _kept(path)] == ["q1"]
