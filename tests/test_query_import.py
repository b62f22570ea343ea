"""Query sets of the usual forms, brought into one: names, turns, alternatives, histories."""

import json

import pytest

from tinr.catalogue import load_catalogue, read_queries, write_jsonl
from tinr.catalogue.importing import import_tools, write_catalogue
from tinr.catalogue.importing.queries import import_queries
from tinr.records import BadInput, Call, Message
from tinr.tokens import FRAMES
from tinr.traces import render_trace
from tinr.transcript import as_text

WEATHER = {
    "name": "get weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["city"],
    },
}
TIME = {"name": "get_time", "description": "Time in a city.", "parameters": {"city": "str"}}


@pytest.fixture
def tools(tmp_path):
    (tmp_path / "tools.json").write_text(json.dumps([WEATHER, TIME]))
    write_catalogue(import_tools([str(tmp_path / "tools.json")]), tmp_path / "tools")
    return tmp_path / "tools"


def imported(tmp_path, tools, value, name="q.json"):
    (tmp_path / name).write_text(json.dumps(value))
    lines, problems = import_queries([str(tmp_path / name)], tools)
    write_jsonl(tmp_path / "out.jsonl", lines)
    return read_queries(tmp_path / "out.jsonl", load_catalogue(tools)), lines, problems


def test_bfcl_with_its_accepted_alternatives(tmp_path, tools):
    folder = tmp_path / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    question = {
        "id": "simple_0",
        "question": [[{"role": "system", "content": "s"}, {"role": "user", "content": "Kiel?"}]],
        "function": [WEATHER],
    }
    none = {"id": "irrelevance_0", "question": [[{"role": "user", "content": "Hi"}]]}
    lost = {**question, "id": "simple_1"}
    rows = [question, {**none, "function": [WEATHER]}, lost]
    (folder / "q.json").write_text("\n".join(map(json.dumps, rows)))
    answer = {
        "id": "simple_0",
        "ground_truth": [{"get weather": {"city": ["Kiel"], "unit": ["", "C"]}}],
    }
    (folder / "possible_answer" / "q.json").write_text(json.dumps(answer))
    lines, problems = import_queries([str(folder)], tools)
    by_id = {line["id"]: line for line in lines}
    assert by_id["simple_0"]["calls"] == [
        {"name": "get_weather", "arguments": {"city": "Kiel"}, "turn": 0}
    ]
    assert by_id["simple_0"]["accept"][0]["arguments"]["unit"] == ["", "C"]
    assert "messages" not in by_id["simple_0"], "the system prompt is our own"
    assert by_id["irrelevance_0"]["calls"] == []
    assert ["no reference answer" in p.reason for p in problems] == [True]


def test_chat_logs_become_one_query_for_each_turn_of_a_user(tmp_path, tools):
    call = {"function": {"name": "get_time", "arguments": '{"city": "Rome"}'}}
    row = {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi, what can I do?"},
            {"role": "user", "content": "Time in Rome?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "12:00"},
            {"role": "assistant", "content": "Noon."},
        ]
    }
    queries, _, problems = imported(tmp_path, tools, [row])
    assert not problems
    assert [len(q.calls) for q in queries] == [0, 1]
    assert queries[1].calls == (Call("get_time", {"city": "Rome"}),)
    assert queries[1].history == (
        Message("user", "Hello"),
        Message("assistant", "Hi, what can I do?"),
    )
    text = as_text(render_trace(queries[1], load_catalogue(tools), FRAMES["tinr"]))
    assert text.index("Hello") < text.index("what can I do") < text.index("Time in Rome")


def test_calls_that_use_former_results_are_later_turns(tmp_path, tools):
    output = [
        {"name": "get_time", "arguments": {"city": "Rome"}, "label": "var1"},
        {"name": "get_time", "arguments": {"city": "Oslo"}, "label": "var2"},
        {"name": "get weather", "arguments": {"city": "$var1.town$"}, "label": "var3"},
    ]
    queries, lines, _ = imported(tmp_path, tools, [{"input": "Do it.", "output": output}])
    assert [len(turn) for turn in queries[0].turns] == [2, 1]
    assert lines[0]["flags"] == ["nested_reference"]


def test_what_cannot_be_a_query_is_reported(tmp_path, tools):
    rows = [
        {"id": 1, "query": "x", "calls": [{"name": "unknown", "arguments": {}}]},
        {"id": 2, "query": " ", "calls": []},
        {"id": 3, "query": "y", "calls": [{"arguments": {}}]},
        {"id": 4, "query": "fine", "calls": []},
        {"id": 4, "query": "again", "calls": []},
        {"odd": True},
        7,
    ]
    queries, _, problems = imported(tmp_path, tools, rows)
    assert [q.text for q in queries] == ["fine"]
    assert len(problems) == 6
    with pytest.raises(BadInput, match="no query could be imported"):
        imported(tmp_path, tools, [{"odd": True}])


def test_a_namespace_decides_between_tools_of_one_name(tmp_path):
    apis = [
        {
            "tool_name": tool,
            "api_name": "search",
            "api_description": tool,
            "required_parameters": [],
        }
        for tool in ("Alpha", "Beta")
    ]
    (tmp_path / "tools.json").write_text(json.dumps(apis))
    write_catalogue(import_tools([str(tmp_path / "tools.json")]), tmp_path / "tools")
    row = {"query": "x", "relevant APIs": [["Alpha", "search"], ["Beta", "search"]], "query_id": 1}
    for extra in ({}, {"api_list": apis}):
        queries, _, problems = imported(tmp_path, tmp_path / "tools", [row | extra])
        assert not problems
        assert [c.name for c in queries[0].calls] == ["Alpha.search", "Beta.search"]


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "query": "x", "calls": [{"name": None}]},
        {"id": 1, "query": "x", "calls": [{"name": ["a"]}]},
        {"id": 1, "messages": ["hi"], "calls": []},
        {"id": 1, "query": "x", "calls": [], "accept": [{}]},
        {"id": 1, "query": "x", "calls": [{"name": "get_time", "arguments": [1]}]},
        {"Instructions": "not py!", "Golden_Answers": "[]"},
    ],
)
def test_a_malformed_row_costs_that_row_only(row, tmp_path, tools):
    fine = {"id": 2, "query": "fine", "calls": []}
    queries, _, problems = imported(tmp_path, tools, [row, fine])
    assert [q.text for q in queries] == ["fine"] and len(problems) == 1


def test_missing_arguments_are_flagged(tmp_path, tools):
    row = {"query": "Time?", "relevant APIs": [["x", "get_time"]], "query_id": 3}
    _, lines, _ = imported(tmp_path, tools, [row])
    assert lines[0]["flags"] == ["no_reference_arguments"]


def log_of(*messages):
    return {"messages": [{"role": "user", "content": "Weather and time?"}, *messages]}


def called(*names_and_ids):
    calls = [
        {"id": identifier, "function": {"name": name, "arguments": '{"city": "Kiel"}'}}
        for name, identifier in names_and_ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def returned(text, identifier=None):
    return {"role": "tool", "content": text, "tool_call_id": identifier}


BOTH = called(("get weather", "a"), ("get_time", "b"))
SAID = {"role": "assistant", "content": " Rain at noon. "}
LOGS = {
    "one result for each call, in any order": (
        [BOTH, returned("noon", "b"), returned("rain", "a"), SAID],
        ("rain", "noon"), "Rain at noon.",
    ),
    "results without ids": (
        [BOTH, returned("rain"), returned("noon"), SAID], ("rain", "noon"), "Rain at noon.",
    ),
    "one turn after the other": (
        [called(("get weather", "a")), returned("rain", "a"),
         called(("get_time", "b")), returned("noon", "b"), SAID],
        ("rain", "noon"), "Rain at noon.",
    ),
    "a result is missing": ([BOTH, returned("rain", "a"), SAID], (), "Rain at noon."),
    "nothing after the results": (
        [BOTH, returned("rain", "a"), returned("noon", "b")], ("rain", "noon"), "",
    ),
    "what is said before a result is no answer": (
        [BOTH, SAID, returned("rain", "a"), returned("noon", "b")], ("rain", "noon"), "",
    ),
    "no call": ([SAID], (), "Rain at noon."),
}  # fmt: skip


@pytest.mark.parametrize("case", LOGS)
def test_a_chat_log_keeps_what_calls_returned_and_what_was_said(case, tmp_path, tools):
    messages, observations, reply = LOGS[case]
    (query,), _, problems = imported(tmp_path, tools, [log_of(*messages)])
    assert not problems and (query.observations, query.reply) == (observations, reply)
