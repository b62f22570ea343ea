"""Chat logs of the usual APIs and data sets: calls, results and answers arrive, or are reported."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinr.catalogue.importing.problems import Problem
from tinr.catalogue.importing.queries.read_queries import import_queries
from tinr.records import BadInput

SEE = {"name": "see", "description": "The sea.", "parameters": {"type": "object", "properties": {}}}
TIDE = {
    "name": "get_tide",
    "description": "The tide in a port.",
    "parameters": {
        "type": "object",
        "properties": {"port": {"type": "string"}, "day": {"type": "integer"}},
        "required": ["port"],
    },
}
ASKED, ANSWER, RESULT = "The tide in Kiel?", "It is high.", "high"
ARGUMENTS = {"port": "Kiel"}
TEXT = json.dumps(ARGUMENTS)
USER = {"role": "user", "content": ASKED}
SAID = {"role": "assistant", "content": ANSWER}
TOOL = {"role": "tool", "tool_call_id": "c1", "content": RESULT}
WAIT = "One moment."


def typed(kind, **fields):
    return {"type": kind, **fields}


def assistant(*parts, **fields):
    return {"role": "assistant", "content": list(parts), **fields}


OPENAI = {"id": "c1", "type": "function", "function": {"name": "get_tide", "arguments": TEXT}}
LANGCHAIN = {"name": "get_tide", "args": ARGUMENTS, "id": "c1", "type": "tool_call"}
FORMS = {
    "OpenAI": {"messages": [USER, {"role": "assistant", "content": WAIT, "tool_calls": [OPENAI]},
                            TOOL, SAID]},
    "OpenAI's older form": {"messages": [
        USER, {"role": "assistant", "content": None,
               "function_call": {"name": "get_tide", "arguments": TEXT}},
        {"role": "function", "name": "get_tide", "content": RESULT}, SAID]},
    "Responses, a request and what came": {
        "input": ASKED,
        "output": [typed("reasoning", summary=[]),
                   typed("function_call", call_id="c1", name="get_tide", arguments=TEXT),
                   typed("function_call_output", call_id="c1", output=RESULT),
                   typed("message", role="assistant", content=[typed("output_text", text=ANSWER)])],
    },
    "messages as a text": {"messages": json.dumps(
        [USER, {"role": "assistant", "content": None, "tool_calls": [OPENAI]}, TOOL, SAID])},
    "LangChain": {"messages": [USER, {"role": "assistant", "content": WAIT,
                                      "tool_calls": [LANGCHAIN]}, TOOL, SAID]},
    "LangChain, stored": {"messages": [
        {"type": "human", "data": {"content": ASKED}},
        {"type": "ai", "data": {"content": "", "tool_calls": [LANGCHAIN]}},
        {"type": "tool", "data": {"content": RESULT, "tool_call_id": "c1"}},
        {"type": "ai", "data": {"content": ANSWER}}]},
    "LangChain, dumped": {"messages": [
        {"type": "constructor", "id": ["langchain", name], "kwargs": fields}
        for name, fields in [
            ("HumanMessage", {"content": ASKED}),
            ("AIMessage", {"content": "", "tool_calls": [LANGCHAIN]}),
            ("ToolMessage", {"content": RESULT, "tool_call_id": "c1"}),
            ("AIMessage", {"content": ANSWER})]]},
    "LangGraph": {"values": {"messages": [
        {"type": "human", "content": ASKED},
        {"type": "ai", "content": "", "tool_calls": [LANGCHAIN]},
        {"type": "tool", "content": RESULT, "tool_call_id": "c1"},
        {"type": "ai", "content": ANSWER}]}},
    "Anthropic": {"messages": [
        USER,
        assistant(typed("thinking", thinking="so"), typed("text", text=WAIT),
                  typed("tool_use", id="c1", name="get_tide", input=ARGUMENTS)),
        {"role": "user", "content": [typed("tool_result", tool_use_id="c1", content=RESULT)]},
        assistant(typed("text", text=ANSWER))]},
    "Vercel": {"messages": [
        {"role": "user", "content": [typed("text", text=ASKED)]},
        assistant(typed("text", text=WAIT),
                  typed("tool-call", toolCallId="c1", toolName="get_tide", args=ARGUMENTS)),
        {"role": "tool", "content": [
            typed("tool-result", toolCallId="c1", toolName="get_tide", result=RESULT)]},
        assistant(typed("text", text=ANSWER))]},
    "Vercel's newer": {"messages": [
        {"role": "user", "content": [typed("text", text=ASKED)]},
        assistant(typed("tool-call", toolCallId="c1", toolName="get_tide", input=ARGUMENTS)),
        {"role": "tool", "content": [
            typed("tool-result", toolCallId="c1", toolName="get_tide",
                  output={"type": "text", "value": RESULT})]},
        assistant(typed("text", text=ANSWER))]},
    "Vercel's interface": {"messages": [
        {"role": "user", "parts": [typed("text", text=ASKED)]},
        {"role": "assistant", "parts": [
            typed("step-start"),
            typed("tool-get_tide", toolCallId="c1", state="output-available", input=ARGUMENTS,
                  output=RESULT)]},
        {"role": "assistant", "parts": [typed("text", text=ANSWER)]}]},
    "Vercel's older interface": {"messages": [
        USER,
        {"role": "assistant", "content": "", "parts": [typed("tool-invocation", toolInvocation={
            "state": "result", "toolCallId": "c1", "toolName": "get_tide", "args": ARGUMENTS,
            "result": RESULT})]},
        SAID]},
    "Bedrock": {"messages": [
        {"role": "user", "content": [{"text": ASKED}]},
        {"role": "assistant", "content": [
            {"text": WAIT},
            {"toolUse": {"toolUseId": "c1", "name": "get_tide", "input": ARGUMENTS}}]},
        {"role": "user", "content": [{"toolResult": {
            "toolUseId": "c1", "content": [{"text": RESULT}], "status": "success"}}]},
        {"role": "assistant", "content": [{"text": ANSWER}]}]},
    "Gemini": {"contents": [
        {"role": "user", "parts": [{"text": ASKED}]},
        {"role": "model", "parts": [{"functionCall": {"name": "get_tide", "args": ARGUMENTS}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "get_tide", "response": RESULT}}]},
        {"role": "model", "parts": [{"text": "so", "thought": True}, {"text": ANSWER}]}]},
    "Gemini in snake case": {"contents": [
        {"role": "user", "parts": [{"text": ASKED}]},
        {"role": "model", "parts": [{"function_call": {"name": "get_tide", "args": ARGUMENTS}}]},
        {"role": "function", "parts": [
            {"function_response": {"name": "get_tide", "response": RESULT}}]},
        {"role": "model", "parts": [{"text": ANSWER}]}]},
    "Cohere": {"messages": [
        {"role": "USER", "message": ASKED},
        {"role": "CHATBOT", "message": WAIT,
         "tool_calls": [{"name": "get_tide", "parameters": ARGUMENTS}]},
        {"role": "TOOL", "tool_results": [{"call": {"name": "get_tide"}, "outputs": RESULT}]},
        {"role": "CHATBOT", "message": ANSWER}]},
    "smolagents": {"messages": [
        USER,
        {"role": "tool-call", "content": [typed("text", text="Calling tools:\n" + str(
            [{"id": "c1", "type": "function",
              "function": {"name": "get_tide", "arguments": ARGUMENTS}}]))]},
        {"role": "tool-response", "content": [typed("text", text=RESULT)]}, SAID]},
    "ShareGPT": {"conversations": [
        {"from": "human", "value": ASKED},
        {"from": "function_call",
         "value": json.dumps({"name": "get_tide", "arguments": ARGUMENTS})},
        {"from": "observation", "value": RESULT}, {"from": "gpt", "value": ANSWER}]},
    "glaive": {"system": "SYSTEM: You have functions.", "chat": (
        f"USER: {ASKED}\n\n\nASSISTANT: <functioncall> "
        f"{{\"name\": \"get_tide\", \"arguments\": '{TEXT}'}} <|endoftext|>\n\n\n"
        f"FUNCTION RESPONSE: {RESULT}\n\n\nASSISTANT: {ANSWER} <|endoftext|>")},
    "Hermes, results in a message of the user": {"messages": [
        USER, {"role": "assistant", "content":
               f'<tool_call>{{"name": "get_tide", "arguments": {TEXT}}}</tool_call>'},
        {"role": "user", "content": f"<tool_response>\n{RESULT}\n</tool_response>"}, SAID]},
    "ReAct": {"messages": [
        USER, {"role": "assistant", "content": f"Action: get_tide\nAction Input: {TEXT}"},
        {"role": "user", "content": f"Observation: {RESULT}"},
        {"role": "assistant", "content": f"Thought: so.\nFinal Answer: {ANSWER}"}]},
    "TRL": {"prompt": [USER], "completion": [
        {"role": "assistant", "content": None, "tool_calls": [OPENAI]}, TOOL, SAID]},
}  # fmt: skip


QUICK = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def tide(tmp_path_factory):
    path = tmp_path_factory.mktemp("tide") / "tools.jsonl"
    path.write_text(f"{json.dumps(TIDE)}\n{json.dumps(SEE)}")
    return path


def imported(folder: Path, tide: Path, *rows):
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        return import_queries([str(path)], tide)
    except BadInput as error:
        return [], [Problem(str(path), "", str(error))]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_arrives_with_call_result_and_answer(form, tmp_path, tide):
    (line,), problems = imported(tmp_path, tide, FORMS[form])
    assert not [p for p in problems if p.kind == "lost"]
    assert line["query"] == ASKED
    assert line["calls"] == [{"name": "get_tide", "arguments": ARGUMENTS, "turn": 0}]
    assert (line["observations"], line["reply"]) == ([RESULT], ANSWER)


def test_xlam_and_toolace_have_calls_alone(tmp_path, tide):
    call = json.dumps([{"name": "get_tide", "arguments": ARGUMENTS}])
    rows = [
        {"id": 7, "query": ASKED, "answers": call, "tools": json.dumps([TIDE])},
        {"system": "s", "conversations": [
            {"from": "user", "value": ASKED},
            {"from": "assistant", "value": "[Get Tide(port='Kiel')]"}]},
    ]  # fmt: skip
    lines, _ = imported(tmp_path, tide, *rows)
    assert [line["calls"][0]["arguments"] for line in lines] == [ARGUMENTS, ARGUMENTS]


def called(*ids_and_ports):
    calls = [
        {"id": i, "function": {"name": "get_tide", "arguments": {"port": port}}}
        for i, port in ids_and_ports
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def returned(identifier, content):
    return {"role": "tool", "tool_call_id": identifier, "content": content}


ONE = called(("c1", "Kiel"))
SYSTEM = {"role": "developer", "content": "The user lives in Kiel."}
SPECIAL = {
    "ids used again in a later round": (
        [USER, called((0, "Oslo"), (1, "Rome")), returned(1, "ROME"), returned(0, "OSLO"),
         called((0, "Bern")), returned(0, "BERN"), SAID],
        {"observations": ["OSLO", "ROME", "BERN"]},
    ),
    "one id for two calls": (
        [USER, called((0, "Oslo"), (0, "Rome")), returned(0, "OSLO"), returned(0, "ROME"), SAID],
        {"observations": ["OSLO", "ROME"]},
    ),
    "a result that is an object": (
        [USER, ONE, returned("c1", {"high": True, "next": None}), SAID],
        {"observations": ['{"high": true, "next": null}']},
    ),
    "a result that is a list of texts": (
        [USER, ONE, returned("c1", ["high", "tide"]), SAID], {"observations": ['["high", "tide"]']},
    ),
    "two answers": ([USER, SAID, {"role": "assistant", "content": "More?"}],
                    {"calls": [], "reply": f"{ANSWER}\n\nMore?"}),
    "a refusal": ([USER, {"role": "assistant", "content": None, "refusal": "No."}],
                  {"calls": [], "reply": "No."}),
    "a developer's text": ([SYSTEM, USER, ONE], {"messages": [
        {"role": "system", "content": SYSTEM["content"]}, USER]}),
    "the documents of tools in the system's text": (
        [{"role": "system", "content": f"Tools: {json.dumps(TIDE)}"}, USER, ONE],
        {"query": ASKED, "messages": None}),
    "a thought beside the answer": (
        [USER, ONE, returned("c1", RESULT),
         {"role": "assistant", "content": f"<think>x</think>{ANSWER}"}],
        {"reply": ANSWER}),
    "results by name, in another order": (
        [USER, {"role": "assistant", "content": "<tool_call>"
                '[{"name": "get_tide", "arguments": {"port": "Oslo"}}, '
                '{"name": "see", "arguments": {}}]'
                "</tool_call>"},
         {"role": "tool", "name": "see", "content": "SEA"},
         {"role": "tool", "name": "get_tide", "content": "OSLO"}, SAID],
        {"observations": ["OSLO", "SEA"]}),
    "results with ids of their own": (
        [USER, called((0, "Oslo"), (1, "Rome")),
         {"role": "tool", "id": "m1", "tool_call_id": 1, "content": "ROME"},
         {"role": "tool", "id": "m2", "tool_call_id": 0, "content": "OSLO"}, SAID],
        {"observations": ["OSLO", "ROME"]}),
    "results by another spelling of the names": (
        [USER, {"role": "assistant", "content": "<tool_call>"
                '[{"name": "get_tide", "arguments": {"port": "Oslo"}}, '
                '{"name": "see", "arguments": {}}]</tool_call>'},
         {"role": "tool", "name": "see", "content": "SEA"},
         {"role": "tool", "name": "functions.get_tide", "content": "OSLO"}, SAID],
        {"observations": ["OSLO", "SEA"]}),
    "results in one message": (
        [USER, called((None, "Oslo"), (None, "Rome")),
         {"role": "tool", "content": '[{"name": "get_tide", "results": "O"}, '
                                     '{"name": "get_tide", "results": {"x": 1}}]'}, SAID],
        {"observations": ["O", '{"x": 1}']}),
    "calls of two messages before their results": (
        [USER, called(("a", "Oslo")), called(("b", "Rome")), returned("b", "R"), returned("a", "O"),
         SAID],
        {"observations": ["O", "R"]}),
    "a thought inside an argument": (
        [USER, {"role": "assistant", "content": '<tool_call>{"name": "get_tide", "arguments": '
                '{"port": "<think>x</think>y"}}</tool_call>'}],
        {"calls": [{"name": "get_tide", "arguments": {"port": "<think>x</think>y"}, "turn": 0}]}),
    "metadata that names a reason": (
        [USER, ONE | {"response_metadata": {"finish_reason": "tool_calls"}}],
        {"calls": [{"name": "get_tide", "arguments": ARGUMENTS, "turn": 0}]}),
    "results of other calls": (
        [USER, called((0, "Oslo"), (1, "Rome")), returned(7, "X"), returned(0, "OSLO"), SAID],
        {"observations": None, "reply": ANSWER}),
    "a call that stands in two places": (
        [USER, {"role": "assistant", "tool_calls": [OPENAI], "content": [
            {"type": "tool_use", "id": "c1", "name": "get_tide", "input": ARGUMENTS}]}],
        {"calls": [{"name": "get_tide", "arguments": ARGUMENTS, "turn": 0}]}),
    "items of calls made at once": (
        [USER, *({"type": "function_call", "call_id": i, "name": "get_tide",
                  "arguments": {"port": i}} for i in "ab"),
         *({"type": "function_call_output", "call_id": i, "output": i} for i in "ba"), SAID],
        {"observations": ["a", "b"], "calls": [
            {"name": "get_tide", "arguments": {"port": i}, "turn": 0} for i in "ab"]}),
    "steps of an interface": (
        [USER, {"role": "assistant", "parts": [
            part for i in "ab" for part in ({"type": "step-start"}, {
                "type": "tool-get_tide", "toolCallId": i, "input": {"port": i}, "output": i})
        ] + [{"type": "text", "text": ANSWER}]}],
        {"reply": ANSWER, "observations": ["a", "b"], "calls": [
            {"name": "get_tide", "arguments": {"port": i}, "turn": n}
            for n, i in enumerate("ab")]}),
    "untyped values as the document has them": (
        [USER, {"role": "assistant", "content": "<tool_call><function=get_tide>"
                "<parameter=port>12</parameter><parameter=day>3</parameter></function></tool_call>"}],
        {"calls": [{"name": "get_tide", "arguments": {"port": "12", "day": 3}, "turn": 0}]}),
    "a thought as a message": (
        [USER, {"role": "assistant", "channel": "analysis", "content": "so"}, SAID],
        {"calls": [], "reply": ANSWER}),
    "nulls of a table": (
        [USER, {"role": "assistant", "tool_calls": [{"function": {
            "name": "get_tide", "arguments": {"port": "Kiel", "day": None, "x": None}}}]}],
        {"calls": [{"name": "get_tide", "arguments": ARGUMENTS, "turn": 0}]}),
}  # fmt: skip


@pytest.mark.parametrize("case", SPECIAL)
def test_nothing_of_a_log_is_lost_or_exchanged(case, tmp_path, tide):
    messages, wanted = SPECIAL[case]
    (line,), _ = imported(tmp_path, tide, {"messages": messages})
    assert {key: line.get(key) for key in wanted} == wanted


def test_what_a_user_adds_to_results_is_a_turn_of_its_own(tmp_path, tide):
    result = typed("tool_result", tool_use_id="c1", content=RESULT)
    call = typed("tool_use", id="c1", name="get_tide", input=ARGUMENTS)
    more = {"role": "user", "content": [result, typed("text", text="Now look at the sea.")]}
    look = assistant(typed("tool_use", id="c2", name="see", input={}))
    lines, _ = imported(tmp_path, tide, {"messages": [USER, assistant(call), more, look]})
    assert [line["query"] for line in lines] == [ASKED, "Now look at the sea."]
    assert [line["calls"][0]["name"] for line in lines] == ["get_tide", "see"]
    assert lines[0]["observations"] == [RESULT]


@pytest.mark.parametrize(
    "system",
    [{"systemInstruction": {"parts": [{"text": "Be brief."}]}}, {"instructions": "Be brief."},
     {"system": "Be brief."}],
)  # fmt: skip
def test_a_system_text_beside_the_messages_is_kept(system, tmp_path, tide):
    (line,), _ = imported(tmp_path, tide, {"messages": [USER, SAID], **system})
    assert line["messages"][0] == {"role": "system", "content": "Be brief."}


def arguments(value):
    call = {"function": {"name": "get_tide", "arguments": value}}
    return [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]


IMAGE = {"type": "image_url", "image_url": {"url": "data:x"}}
REPORTED = {
    "a picture": (
        [{"role": "user", "content": [typed("text", text=ASKED), IMAGE]}, SAID], "image_url"),
    "a part that nobody knows": ([USER, assistant(typed("hologram", x=1))], "hologram"),
    "a key that nobody knows": ([USER, {**SAID, "calls_made": [OPENAI]}], "calls_made"),
    "arguments under another key": (
        [USER, {"role": "assistant", "tool_calls": [{"name": "get_tide", "with": ARGUMENTS}]}],
        "'with'"),
    "an unknown parameter": (arguments({"port": "Kiel", "moon": 1}), "unknown parameter"),
    "a missing one": (arguments({}), "missing parameter"),
    "a text for a number": (arguments({"port": "Kiel", "day": "3"}), "wrong type"),
    "arguments encoded twice": (arguments(json.dumps(TEXT)), "not an object"),
    "arguments in Python": (arguments("{'port': 'Kiel'}"), "cannot be read"),
    "a key that stands twice": (arguments('{"port": "a", "port": "b"}'), "twice"),
    "arguments cut short": (arguments('{"port": "Ki'), "cannot be read"),
    "no number": (arguments('{"port": "Kiel", "day": NaN}'), "NaN"),
    "a call in words": ([USER, {"role": "assistant", "content": "I ask get_tide(port=Kiel)."}],
                                    "looks like a call"),
    "a call in the text beside another one": (
        [USER, {"role": "assistant", "tool_calls": [OPENAI], "content":
                '<tool_call>{"name": "get_tide", "arguments": {"port": "Rome"}}</tool_call>'}],
        "differ from those of the message"),
    "a call that was not written to its end": (
        [USER, {"role": "assistant", "parts": [typed(
            "tool-get_tide", toolCallId="1", state="input-streaming", input=ARGUMENTS)]}],
        "an incomplete call"),
    "results inside the text of the calls": (
        [USER, {"role": "assistant", "content":
                f"Action: get_tide\nAction Input: {TEXT}\nObservation: high\nFinal Answer: High."}],
        "calls and their results"),
    "a key with a call": ([USER, {**SAID, "metadata": {"tool_calls": [OPENAI]}}], "metadata"),
    "half a character": (arguments('{"port": "\\ud83d"}'), "UnicodeEncodeError"),
}  # fmt: skip


@pytest.mark.parametrize("case", REPORTED)
def test_what_is_not_taught_is_reported(case, tmp_path, tide):
    messages, reason = REPORTED[case]
    fine = {"messages": [{"role": "user", "content": "Hello"}, SAID]}
    (line,), (problem,) = imported(tmp_path, tide, {"messages": messages}, fine)
    assert line["query"] == "Hello"
    assert reason in problem.reason and problem.kind == "lost"


def test_a_refused_call_is_kept_if_the_user_says_so(tmp_path, tide):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"messages": arguments({"port": "Kiel", "moon": 1})}))
    with pytest.raises(BadInput, match=r"unknown parameter.*or use --keep-refused"):
        import_queries([str(path)], tide)
    (line,), problems = import_queries([str(path)], tide, keep_refused=True)
    assert line["calls"][0]["arguments"]["moon"] == 1 and not problems


def places(value, path=()):
    """Every place in a JSON value: of keys, of items and of values."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def is_call_gone(row):
    """Whether nothing in a damaged log names the tool any more."""
    return "get_tide" not in json.dumps(row, ensure_ascii=False)


@st.composite
def damaged(draw, row):
    """A log with a few keys renamed, dropped or replaced by values of other kinds."""
    row = copy.deepcopy(row)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(row)) or [()]))
        if not path:
            return row
        holder = row
        for key in path[:-1]:
            holder = holder[key]
        way = draw(st.sampled_from(["rename", "drop", "replace", "case"]))
        if way == "drop" or isinstance(holder, list):
            if way == "replace":
                holder[path[-1]] = draw(st.sampled_from([None, 3, [], {}, "x", True]))
            else:
                del holder[path[-1]]
        elif way in ("rename", "case"):
            new = str(path[-1]).upper() if way == "case" else f"{path[-1]}_x"
            holder[new] = holder.pop(path[-1])
        else:
            holder[path[-1]] = draw(st.sampled_from([None, 3, [], {}, "x", True]))
    return row


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=QUICK)
@given(data=st.data())
def test_a_damaged_log_never_teaches_that_no_tool_is_needed(form, data, tmp_path, tide):
    row = data.draw(damaged(FORMS[form]))
    lines, _ = imported(tmp_path, tide, row)
    assert is_call_gone(row) or all(line["calls"] for line in lines)
