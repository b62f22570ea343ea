"""Query sets of the usual forms, brought into one: names, turns, alternatives, histories."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.importing.queries.read_queries import import_queries
from tinr.catalogue.load import load_catalogue, read_queries, write_jsonl
from tinr.chat.codec import FRAMES
from tinr.chat.render import as_text
from tinr.cli.main import app
from tinr.data.replay import teachable
from tinr.data.traces import render_trace
from tinr.records import HISTORY_CUT, BadInput, Call, Message

WEATHER = {
    "name": "get weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["city"],
    },
}
TIME = {
    "name": "get_time",
    "description": "Time in a city.",
    "parameters": {"city": "str, optional"},
}


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
    assert [m["role"] for m in by_id["simple_0"]["messages"]] == ["system", "user"]
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
        Message("system", "x"),
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


def test_a_catalogue_of_one_s_own_making_needs_no_more_than_its_documents(tmp_path, tools):
    bare = {"name": "get_time", "description": "Time in a city.", "parameters": {"type": "object"}}
    odd = {"original": None, "extra": {"path": "/time"}, "orig_name": None, "domain": None}
    write_jsonl(tmp_path / "bare" / "tools.jsonl", [bare | odd])
    (query,), *_ = imported(tmp_path, tmp_path / "bare", [{"id": 1, "query": "x", "calls": AGAIN}])
    assert query.calls[0].name == "get_time"
    assert load_catalogue(tmp_path / "bare").tools[0].domain == ""


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
    "OpenAI's older form, no arguments": (
        [{"role": "assistant", "content": None,
          "function_call": {"name": "get_time", "arguments": ""}},
         {"role": "function", "name": "get_time", "content": "noon"}, SAID],
        ("noon",), "Rain at noon.",
    ),
    "Hermes' tags in the text": (
        [{"role": "assistant", "content": "So: <tool_call>\n"
          '{"name": "get_time", "arguments": {"city": "Kiel"}}\n</tool_call>'},
         returned("noon"), SAID],
        ("noon",), "Rain at noon.",
    ),
    "Anthropic's parts": (
        [{"role": "assistant", "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "x", "name": "get_time", "input": {"city": "Kiel"}}]},
         {"role": "user", "content": [
             {"type": "tool_result", "tool_use_id": "x", "content": "noon"}]}, SAID],
        ("noon",), "Rain at noon.",
    ),
}  # fmt: skip


LOGS |= {
    "Anthropic's results of two calls": (
        [{"role": "assistant", "content": [
            {"type": "tool_use", "id": name, "name": name, "input": {"city": "Kiel"}}
            for name in ("get weather", "get_time")]},
         {"role": "user", "content": [
             {"type": "tool_result", "tool_use_id": "get_time", "content": "noon"},
             {"type": "tool_result", "tool_use_id": "get weather",
              "content": [{"type": "text", "text": "rain"}]}]}, SAID],
        ("rain", "noon"), "Rain at noon.",
    ),
    "roles of calls and responses": (
        [{"role": "tool_call", "content": '{"name": "get_time", "arguments": {"city": "Kiel"}}'},
         {"role": "tool_response", "content": "noon"}, SAID],
        ("noon",), "Rain at noon.",
    ),
    "Responses' items": (
        [{"type": "reasoning", "summary": []},
         {"type": "function_call", "call_id": "c", "name": "get_time",
          "arguments": '{"city": "Kiel"}'},
         {"type": "function_call_output", "call_id": "c", "output": "noon"},
         {"role": "assistant", "content": [{"type": "output_text", "text": "Rain at noon."}]}],
        ("noon",), "Rain at noon.",
    ),
    "a text that is calls alone": (
        [{"role": "assistant",
          "content": '[{"name": "get_time", "parameters": {"city": "Kiel"}}]'},
         returned("noon"), SAID],
        ("noon",), "Rain at noon.",
    ),
    "a text that is other JSON": (
        [{"role": "assistant", "content": '{"name": "Kiel"}'}], (), '{"name": "Kiel"}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOGS)
def test_a_chat_log_keeps_what_calls_returned_and_what_was_said(case, tmp_path, tools):
    messages, observations, reply = LOGS[case]
    (query,), _, problems = imported(tmp_path, tools, [log_of(*messages)])
    assert not [problem for problem in problems if problem.kind == "lost"]
    assert (query.observations, query.reply) == (observations, reply)
    assert len(query.calls) >= len(observations)


UNREADABLE = {
    "a call that ends too soon": ([called(("get_time", "a"), ) | {"tool_calls": [
        {"function": {"name": "get_time", "arguments": '{"city'}}]}, SAID], "cannot be read"),
    "brackets without end": ([called() | {"tool_calls": [
        {"function": {"name": "get_time", "arguments": "[" * 20_000}}]}, SAID], "cannot be read"),
    "tags without end": (
        [{"role": "assistant", "content": "<tool_call>{"}, SAID], "without an end"),
    "a call cut short": (
        [{"role": "assistant", "content": "<functioncall> {\"name\": \"get_time\""}, SAID],
        "without an end",
    ),
    "a call in a form that is not known": (
        [{"role": "assistant", "content": "I ask get_time('Kiel')."}, SAID], "looks like a call",
    ),
    "a role that nobody knows": ([{"role": "oracle", "content": "noon"}, SAID], "'oracle'"),
    "results of no call": ([returned("noon"), SAID], "no call was recognised"),
    "nobody answers": ([], "no answer"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_turn_that_cannot_be_read_costs_that_turn_and_is_no_query_without_a_tool(
    case, tmp_path, tools
):
    messages, reason = UNREADABLE[case]
    log = log_of(*messages, {"role": "user", "content": "Thanks!"}, SAID)
    (query,), _, problems = imported(tmp_path, tools, [log])
    assert (query.text, query.calls, query.reply) == ("Thanks!", (), "Rain at noon.")
    (problem,) = problems
    assert reason in problem.reason and "turn 1 of a conversation" in problem.reason


def test_files_of_one_name_in_two_folders_are_both_kept(tmp_path, tools):
    for folder in ("jan", "feb"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chat.json").write_text(json.dumps([log_of(SAID)]))
    lines, problems = import_queries([str(tmp_path / "jan"), str(tmp_path / "feb")], tools)
    assert len({line["id"] for line in lines}) == 2 and not problems
    assert lines[0]["id"] == "chat-0-1"


def test_our_own_lines_come_back_as_they_were(tmp_path, tools):
    thought = ["So: ", {"tool": "get_time"}, " tells it."]
    line = {
        "id": "own", "query": "Time?", "calls": [{"name": "get_time", "arguments": {}, "turn": 0}],
        "thought": thought, "tools": ["get_time"], "group": "clocks", "reply": "Noon.",
    }  # fmt: skip
    ending = [{"role": "user", "content": "Time?"}, {"role": "assistant", "content": "Where?"}]
    other = {"id": "said", "messages": ending, "calls": []}
    (query, said), lines, problems = imported(tmp_path, tools, [line, other])
    assert not problems and lines[0] == line
    assert query.group == "clocks" and query.tools == ("get_time",)
    assert said.text == "Time?" and said.history == ()


GONE_ON = [
    {"role": "system", "content": "It is Monday."},
    {"role": "user", "content": "Time?"},
    {"role": "assistant", "content": "", "calls": [{"name": "get_time", "arguments": {}}]},
    {"role": "tool", "content": "noon"},
]
AGAIN = [{"name": "get_time", "arguments": {"city": "Kiel"}}]


def test_a_line_that_goes_on_after_its_user_is_flagged_and_not_trained_on(tmp_path, tools):
    line = {"id": "on", "messages": GONE_ON, "calls": AGAIN}
    (query,), _, problems = imported(tmp_path, tools, [line])
    assert not problems and query.flags == (HISTORY_CUT,) and not query.teachable
    assert query.text == "Time?" and query.history == (Message("system", "It is Monday."),)


def test_lines_are_read_as_suites_read_them(tmp_path, tools):
    asked = {"id": "asked", "messages": GONE_ON, "suffix": "And in Kiel?", "calls": AGAIN}
    some = {"id": "some", "query": "x", "calls": [], "expect": "some_call"}
    told = {"id": "told", "query": "x", "calls": [], "context": {"time": "It is May."}}
    told |= {"messages": []}
    (one, two, three), lines, problems = imported(tmp_path, tools, [asked, some, told])
    assert not problems and one.flags == () and two.any_call
    assert one.text == "And in Kiel?" and three.text == "It is May.\n\nx"
    assert [m.role for m in one.history] == ["system", "user", "assistant", "tool"]
    assert "get_time" in one.history[2].content, "a past call, as JSON"
    again, *_ = imported(tmp_path, tools, lines)
    assert again == [one, two, three]


def test_the_last_answer_of_a_line_without_calls_is_its_reply(tmp_path, tools):
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    (query,), *_ = imported(tmp_path, tools, [{"id": 1, "messages": said, "calls": []}])
    assert (query.text, query.reply, query.flags) == ("Hi", "Hello!", ())


def test_what_is_read_is_not_written_over(tmp_path, tools):
    path = tmp_path / "q.json"
    path.write_text(json.dumps([{"id": 1, "query": "x", "calls": []}]))
    words = ["traces", "import", str(path), "--catalogue", str(tools), "--out", str(path)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, BadInput) and "is an input file" in str(done.exception)
    assert "query" in path.read_text()


def test_a_file_of_a_folder_that_is_read_is_not_written_over(tmp_path, tools):
    path = tmp_path / "raw" / "queries.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"id": "d", "query": "x", "calls": []}) + "\n")
    words = ["traces", "import", str(path.parent), "--catalogue", str(tools), "--out", str(path)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, BadInput) and "is an input file" in str(done.exception)
    assert json.loads(path.read_text())["id"] == "d"


def test_every_query_that_did_not_arrive_is_told(tmp_path, tools, capsys):
    """Those alike in one line on the screen, each in the file beside OUT, which is no source."""
    path = tmp_path / "raw" / "q.json"
    path.parent.mkdir()
    bad = [{"id": i, "query": "x", "calls": [{"name": f"no_{i}", "arguments": {}}]} for i in "abc"]
    path.write_text(json.dumps([{"id": "d", "query": "x", "calls": []}, *bad]))
    out = path.parent / "queries.jsonl"
    words = ["traces", "import", str(path.parent), "--catalogue", str(tools), "--out", str(out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "1 queries in" in done.output and "3 not imported" in done.output
    assert done.output.count("not imported: ") == 1 and "and 2 more" in done.output
    lost = path.parent / "queries.problems.jsonl"
    told = [json.loads(line) for line in lost.read_text().splitlines()]
    assert ["no_a" in one["reason"] for one in told] == [True, False, False] and len(told) == 3
    out.unlink()
    assert CliRunner().invoke(app, words, catch_exceptions=False).output == done.output


def test_queries_without_arguments_are_not_trained_on(tmp_path, tools):
    """An empty call is not what their references mean."""
    rows = [{"query": "Time?", "relevant APIs": [["x", "get_time"]], "query_id": 3}]
    bare, *_ = imported(tmp_path, tools, rows)
    whole = replace(bare[0], flags=())
    with pytest.warns(UserWarning, match="FILE: 1 of 2 queries have no reference arguments"):
        assert teachable([*bare, whole], "FILE") == [whole]
    with pytest.raises(BadInput, match="FILE: 1 of 1 queries"):
        teachable(bare, "FILE")
