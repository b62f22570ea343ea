"""Calls in the text of assistants: every notation is read, and nothing like a call is an answer."""

import contextlib
import json
import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tinr.catalogue.importing.queries.literals import Untyped, literal
from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.tool_names import ToolNames

KNOWN = ToolNames([
    ("get_tide", ["port", "day", "feet", "tags", "near"]), ("list_ports", []), ("sum", ["a", "b"]),
])  # fmt: skip


def as_json(name, arguments, key="arguments"):
    return json.dumps({"name": name, key: arguments}, ensure_ascii=False)


def as_python(name, arguments):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def as_parameters(arguments, begin, end):
    def written(value):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return "".join(f"{begin % key}\n{written(value)}\n{end}" for key, value in arguments.items())


def as_braces(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_braces(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_braces, value)) + "]"
    return f'<|"|>{value}<|"|>' if isinstance(value, str) else json.dumps(value)


def each(form, between="\n"):
    return lambda calls: between.join(form(name, arguments) for name, arguments in calls)


def listed(form):
    return lambda calls: f"[{', '.join(form(name, arguments) for name, arguments in calls)}]"


def around(begin, form, end=""):
    return lambda calls: f"{begin}{form(calls)}{end}"


def hermes(name, arguments):
    return f"<tool_call>\n{as_json(name, arguments)}\n</tool_call>"


JSON_LIST = listed(as_json)
NOTATIONS = {
    "Hermes": each(hermes),
    "Hermes with Python's literals": each(
        lambda n, a: f"<tool_call>\n{ {'arguments': a, 'name': n} }\n</tool_call>"
    ),
    "Hermes, a list": around("<tool_call>", JSON_LIST, "</tool_call>"),
    "Hermes without the last end": around("<tool_call>", JSON_LIST),
    "Qwen-Coder": each(
        lambda n, a: f"<tool_call>\n<function={n}>\n"
        f"{as_parameters(a, '<parameter=%s>', '</parameter>')}</function>\n</tool_call>"
    ),
    "GLM": each(
        lambda n, a: f"<tool_call>{n}\n"
        + "".join(
            f"<arg_key>{k}</arg_key>\n<arg_value>{v if isinstance(v, str) else json.dumps(v)}"
            "</arg_value>\n"
            for k, v in a.items()
        )
        + "</tool_call>"
    ),
    "Anthropic's text": around(
        "<function_calls>\n",
        each(
            lambda n, a: '<invoke name="' + n + '">\n'
            + as_parameters(a, '<parameter name="%s">', "</parameter>") + "</invoke>"
        ),
        "\n</function_calls>",
    ),
    "Llama's function tag": each(lambda n, a: f"<function={n}>{json.dumps(a)}</function>"),
    "Llama's python tag": around("<|python_tag|>", each(
        lambda n, a: as_json(n, a, "parameters"), "; "), "<|eom_id|>"),
    "Llama's pythonic list": listed(as_python),
    "LFM2": around("<|tool_call_start|>", listed(as_python), "<|tool_call_end|>"),
    "Mistral": around("[TOOL_CALLS]", JSON_LIST, "</s>"),
    "Mistral's newer": each(lambda n, a: f"[TOOL_CALLS]{n}[ARGS]{json.dumps(a)}", ""),
    "Granite": around("<|tool_call|>", JSON_LIST),
    "Phi": around("<|tool_call|>", JSON_LIST, "<|/tool_call|>"),
    "functools": around("functools", JSON_LIST),
    "DeepSeek": around("<｜tool▁calls▁begin｜>", each(
        lambda n, a: f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{n}\n"
        f"```json\n{json.dumps(a)}\n```"
        "<｜tool▁call▁end｜>"), "<｜tool▁calls▁end｜>"),
    "DeepSeek's newer": around("<｜tool▁calls▁begin｜>", each(
        lambda n, a: f"<｜tool▁call▁begin｜>{n}<｜tool▁sep｜>{json.dumps(a)}"
        "<｜tool▁call▁end｜>", ""),
        "<｜tool▁calls▁end｜>"),
    "Kimi": around("<|tool_calls_section_begin|>", each(
        lambda n, a: f"<|tool_call_begin|>functions.{n}:0<|tool_call_argument_begin|>"
        f"{json.dumps(a)}<|tool_call_end|>", ""), "<|tool_calls_section_end|>"),
    "Gemma 4": each(lambda n, a: f"<|tool_call>call:{n}{as_braces(a)}<tool_call|>", ""),
    "Gemma 3": around("```tool_code\n", each(as_python), "\n```"),
    "Harmony": each(
        lambda n, a: f"<|channel|>commentary to=functions.{n} <|constrain|>json<|message|>"
        f"{json.dumps(a)}<|call|>"),
    "glaive": each(lambda n, a: f"<functioncall> {as_json(n, a)} <|endoftext|>"),
    "Nemotron": around("<TOOLCALL>", JSON_LIST, "</TOOLCALL>"),
    "InternLM": each(lambda n, a: "<|action_start|><|plugin|>\n"
                     f"{as_json(n, a, 'parameters')}<|action_end|>"),
    "Command": around("Action: ```json\n", listed(lambda n, a: json.dumps(
        {"tool_name": n, "parameters": a})), "\n```"),
    "ReAct": each(lambda n, a: f"Thought: so.\nAction: {n}\nAction Input: {json.dumps(a)}\n"),
    "JSON": each(as_json),
    "JSON, a list": JSON_LIST,
    "JSON in a fence": around("```json\n", JSON_LIST, "\n```"),
    "JSON after words": around("I look it up.\n", each(as_json)),
    "a function by its name": each(lambda n, a: json.dumps({"function": n, "arguments": a})),
    "OpenAI's objects": listed(lambda n, a: json.dumps(
        {"type": "function", "function": {"name": n, "arguments": json.dumps(a)}})),
    "calls in an object": lambda calls: json.dumps(
        {"tool_calls": [{"name": n, "args": a} for n, a in calls]}),
    "LangChain's action": each(lambda n, a: json.dumps({"action": n, "action_input": a})),
    "the name as the key": each(lambda n, a: json.dumps({n: a})),
    "printed": around("```python\n", each(lambda n, a: f"print({as_python(n, a)})"), "\n```"),
}  # fmt: skip

QUICK = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
tides = st.fixed_dictionaries(
    {"port": st.sampled_from(["Kiel", "Port of Spain", "Å (nord)", "x, y", "{a}", "it's"])},
    optional={"day": st.integers(0, 40), "tags": st.lists(st.sampled_from("ab"), max_size=2),
              "near": st.just({"port": "Bern"}), "feet": st.booleans()},
)  # fmt: skip
calls = st.lists(
    st.one_of(
        st.tuples(st.just("get_tide"), tides),
        st.tuples(st.just("sum"), st.fixed_dictionaries({"a": st.integers(), "b": st.integers()})),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("notation", NOTATIONS)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=QUICK)
@given(calls)
def test_a_notation_is_read(notation, wanted):
    assume(notation != "the name as the key" or {name for name, _ in wanted} == {"get_tide"})
    text = NOTATIONS[notation](wanted)
    found = read_text(text, KNOWN).calls
    bare = [(name.removeprefix("functions."), typed(arguments)) for name, arguments in found]
    assert bare == wanted


def typed(arguments):
    """Untyped values as the schema of `get_tide` and `sum` has them."""
    return {
        key: literal(value) if isinstance(value, Untyped) and key != "port" else value
        for key, value in arguments.items()
    }


def is_silent(text):
    """Whether a text would be taught as an answer without a call."""
    try:
        return not read_text(text, KNOWN).calls
    except ValueError:
        return False


@st.composite
def damaged(draw, text, name):
    """A call that a model or a log has damaged; the name of the tool stands in it still."""
    end = text.index(name) + len(name)
    ways = ("cut", "drop", "insert", "twice", "words", "quotes", "case", "blanks", "fence", "lines")
    for way in draw(st.lists(st.sampled_from(ways), min_size=1, max_size=2)):
        before, after = text[: text.index(name)], text[text.index(name) + len(name) :]
        place = draw(st.integers(1, max(1, len(after) - 1)))  # the name stays a word
        if way == "cut":
            text = text[: max(end + 2, draw(st.integers(end, len(text))))]
        elif way == "drop":
            text = before + name + after[:place] + after[place + 1 :]
        elif way == "insert":
            text = (
                before + name + after[:place] + draw(st.sampled_from("}]\"',x\n ")) + after[place:]
            )
        elif way == "twice":
            text = f"{text}\n{text}"
        elif way == "words":
            text = f"I look.\n{text}\nThat is all."
        elif way == "quotes":
            text = text.replace('"', "'")
        elif way == "case":
            text = before.upper() + name + after
        elif way == "blanks":
            text = text.replace(":", " : ").replace("(", " ( ")
        elif way == "fence":
            text = f"```\n{text}\n```"
        else:
            text = text.replace("\n", " ")
        end = text.index(name) + len(name)
    return text


@pytest.mark.parametrize("notation", NOTATIONS)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=QUICK)
@given(st.data())
def test_a_damaged_call_is_never_an_answer_without_a_tool(notation, data):
    wanted = [("get_tide", data.draw(tides))]
    text = data.draw(damaged(NOTATIONS[notation](wanted), "get_tide"))
    assert not is_silent(text)


@pytest.mark.parametrize(
    "text",
    [
        'get_tide("Kiel")', "get_tide[Kiel]", "<get_tide>Kiel</get_tide>", "get_tide port=Kiel",
        '<tool name="get_tide"/>', "Let me call get_tide for Kiel.", "get_tide --port Kiel",
        'await get_tide({port: "Kiel"})', '(get_tide :port "Kiel")', '{{get_tide port="Kiel"}}',
        "@get_tide Kiel", "/get_tide Kiel", "Tool: get_tide\nKiel", "**Function:** get_tide",
        'tide = get_tide("Kiel", 3)\nprint(tide)', '{"tool": "get_tide", "city": {"x": 1}}',
        "sum(1, 2)", "Action: sum", '{"name": "sum"', "<|unknown_tool_mark|> Kiel",
        '{"name": "nobody_knows", "arguments": {"a"', "[get_tide(port=Kiel)]",
        '{"steps": [{"name": "get_tide", "arguments": {}}]}', "list_ports ()", "Get Tide(port='x')",
        "mcp__sea__get_tide(port='Kiel', port='Bern')", "get_tide\n{'port'",
        "<tool>get_tide</tool><tool_input>Kiel</tool_input>", "Action 1: sum[3]",
        '✿FUNCTION✿: get_tide\n✿ARGS✿: {"port": 1}', 'Action：get_tide\nAction Input：{"port": 1}',
        'get_tide（port="Kiel"）', 'get_tide: {"port": "Kiel"}', "Using tool: get_tide",
        '### Tool: `get_tide`\n```json\n{"port": "Kiel"}\n```', "functions.sum({a: 1, b: 2})",
        '{\\"name\\": \\"get_tide\\", \\"arguments\\": {}}', 'Calling sum with {"a": 1}',
        '&lt;tool_call&gt;{"name": "get_tide"}', "ToolCall(name='sum', arguments={'a': 1})",
        'The syntax is:\nget_tide(port="Kiel")', '{"tool": "nobody_knows", "input": "x"}',
        "<tool_call>" * 300, 'get_tide(port="Kiel")\nObservation: high\nFinal Answer: high',
        '{"action": "nobody_knows", "action_input": "x"}',
        "<sum>1 2</sum>", "list_ports", "`list_ports`", 'get_tide.invoke({"port": "Kiel"})',
        "await sum.ainvoke({a: 1})", "Thought: x\nget_tide(port='K')\nFinal Answer: high",
        "<|tool_calls_section_begin|>sum 1 2<|tool_calls_section_end|>",
        "<tool-call>sum</tool-call>",
        'Function: sum\nParameters: {"a": 1}', '**Tool:** sum\n**Input:** {"a": 1}',
        'I will use the `sum` tool with {"a": 1}', '<tool name="sum"><a>1</a></tool>',
        '<sum a="1"/>', "<function>sum</function>", '{get_tide: {port: "Kiel"}}',
        '{name: "sum", args: {a: 1}}', "name: sum\narguments:\n  a: 1", "sum({a: 1})",
        "sum(a: 1)", "get_tide\u200b('Kiel')", 'mcp.call_tool("sum", a=1)', 'get_tide "Kiel"',
        '<|get_tide|>{"port": 1}', 'Final Answer: get_tide(port="K")', "get\\_tide(port=1)",
    ],
)  # fmt: skip
def test_what_looks_like_a_call_in_any_other_way_is_reported(text):
    assert not is_silent(text)
    assert not is_silent(f"I look it up.\n\n{text}\n\nWait a moment.")


PLAIN = [
    "The sum (of 3 and 4) is 7.", "I can tell tides with get_tide and list ports.",
    "Kiel [1] has a port {see the map}.", '{"port": "Kiel", "tides": [1, 2]}', "f(x) = sum(x, y)",
    '```json\n{"name": "Kiel", "population": 250000}\n```', "Use `sum(values)` in Python.",
    "```python\ndef get_tide(port):\n    return 3\n\nprint(get_tide('Kiel'))\n```",
    '{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}',
    "[sin(x), cos(x)]", "print('hello', end='')", "numbers.sum()", "<b>sum</b> of <i>a</i>",
    "Action is needed. Input: none.", "std::vector<int> sum(3);", "[Kiel](https://example.com)",
    '{"action": "buy", "params": {"n": 1}}',
    "Before calling get_tide I need a port.", "Tool: Sum", "class Sum:\n    pass\nx = Sum()",
    "```python\ndef sum(a, b):\n    return a + b\n\nprint(sum(a=1, b=2))\n```",
    "[c for c in names if c.isidentifier()]",
    "`get_tide(port, day)` tells the tide.", 'get_tide(port: str, day: int = 3) -> str',
    "I will use the get_tide tool once you tell me the port.", "POST /get_tide",
    "Using get_tide I found that it is high.", '["get_tide", "list_ports"]', "=SUM(2, 3)",
    '{"type": "function", "function": {"name": "get_tide", "description": "d", "parameters": '
    '{"type": "object", "properties": {}}}}', 'name = "get_tide"', '{"sum": 3}',
    "from operator import sum\nprint(sum(1, 2))", "const sum = (a, b) => a + b;\nsum(1, 2)",
    "long sum(long a, long b);\nx = sum(1, 2);", "f(2, 3) = 5, so sum(2, 3) = 5",
    'pd.read_csv(path="a.csv", sep=",")', 'x = {"name": "a", "args": [1, 2]}',
    '[{"name": "Alice", "arguments": "none"}]', '{"name": "hook", "parameters": ["a"]}',
    "To think, use <think>...</think> tags.", "model = LinearRegression(fit_intercept=True)",
    "curl -X POST http://localhost/v1/get_tide -d '{\"port\": \"Kiel\"}'",
    "Thread(name='worker', args=(1, 2))", "`TypeError: sum() takes 2 arguments`", "x = _sum(3)",
    "| tool | use |\n|---|---|\n| get_tide | tides |",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_code_brackets_and_json_are_answers(text):
    assert read_text(text, KNOWN).calls == () and read_text(text, KNOWN).text == text


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("<think>\nget_tide(port=1)? No.\n</think>\n\nHello!", "Hello!"),
        ("No tool fits.</think>Hello!", "Hello!"),
        ("[THINK]so[/THINK]Hello!", "Hello!"),
        ("<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>Hello!",
         "Hello!"),
        ("Thought: I know.\nFinal Answer: Hello!", "Hello!"),
        ("Hello!<|im_end|>\n", "Hello!"),
        ("<reasoning>x</reasoning>Hello!", "Hello!"),
        ("<|START_THINKING|>get_tide(port=1)<|END_THINKING|>Hello!", "Hello!"),
        ("It ends with </think> and then goes on.", "It ends with </think> and then goes on."),
        ('Action: Finish\nAction Input: {"final_answer": "Hello!"}', "Hello!"),
    ],
)  # fmt: skip
def test_the_thought_before_an_answer_is_no_part_of_it(text, reply):
    assert read_text(text, KNOWN).text == reply and not read_text(text, KNOWN).calls


def test_names_as_toolace_has_them_and_arguments_of_many_lines():
    names = ["Women's Fashion & Stuff", "Get Quality (v2)", "/api/v1/users", "3D Print"]
    known = ToolNames([(name, ["q"]) for name in names])
    text = f"[{', '.join(f'{name}(q={chr(34)}x, y{chr(34)})' for name in names)}]"
    assert read_text(text, known).calls == tuple((name, {"q": "x, y"}) for name in names)
    code = "x = 1\nfor i in y:\n    print(i)"
    for text in (f"[get_tide(port={code!r})]", f'print(get_tide(\n    port="""{code}"""\n))'):
        assert read_text(text, KNOWN).calls == (("get_tide", {"port": code}),)


@pytest.mark.parametrize(
    "shard",
    ["a", "0af3", "\n", " ", "[{", '{"', "sum(", "tool:", "a.", "<function=a>", "Thought:\n", "(",
     "{\"arguments\": '{", ">>>a\n{", "get_tide(", "get_tide ", "<|im_end|>", "[a](b) ", "word ("],
)  # fmt: skip
def test_a_long_text_is_read_in_linear_time(shard):
    """20,000 characters; patterns that try every start again would take minutes."""
    start = time.perf_counter()
    with contextlib.suppress(ValueError):
        read_text("x" + shard * (20_000 // len(shard)) + "y", KNOWN)
    assert time.perf_counter() - start < 5
