"""The executor: whatever a model calls, the answer is JSON text, never an exception."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.parse import parse_text
from tinr.chat.render import OBSERVATION_CHARACTERS, cut
from tinr.records import Call, ToolDoc
from tinr.rollout.tools.executor import Executor, corpus_executor


def tool(name: str, **properties: Any) -> ToolDoc:
    """A tool whose parameters are all optional."""
    return ToolDoc(name, f"Does {name}.", {"type": "object", "properties": properties})


NUMBER, ANY = {"type": "number"}, {}


def fail(**_: Any) -> None:
    """A tool that breaks."""
    raise ZeroDivisionError("nothing to divide by")


TOOLS: Mapping[str, tuple[ToolDoc, Callable[..., Any]]] = {
    "double": (tool("double", x=NUMBER, unit={"enum": ["m", "ft"]}), lambda x=1, unit="m": 2 * x),
    "echo": (tool("echo", x=ANY), lambda x=None: x),
    "step": (tool("step", x={"type": "number", "multipleOf": 0.5}), lambda x=0: x),
    "words": (tool("words", x={"type": "string"}), lambda x="": x),
    "fail": (tool("fail"), fail),
    "endless": (tool("endless"), lambda: math.inf),
    "undefined": (tool("undefined"), lambda: {"a": [math.nan]}),
    "thing": (tool("thing"), object),
    "long": (tool("long"), lambda: "oak " * 500),
}


@pytest.fixture(scope="module")
def executor() -> Executor:
    """Small tools, some of them broken; "unbound" has a document and no code."""
    docs = tuple(doc for doc, _ in TOOLS.values())
    functions = {name: function for name, (_, function) in TOOLS.items()}
    return Executor(Catalogue((*docs, tool("unbound"))), functions)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("double", {"x": 2}, 4),
        ("double", {"x": 1.5, "unit": "ft"}, 3.0),
        ("double", {}, 2),
        ("echo", {"x": {"Århus": [None, True]}}, {"Århus": [None, True]}),
        ("step", {"x": 1.5}, 1.5),
    ],
)
def test_a_call_that_fits_is_run(
    executor: Executor, name: str, arguments: Mapping[str, Any], result: Any
) -> None:
    assert json.loads(executor.run(Call(name, arguments))) == result


def test_text_is_not_escaped_needlessly(executor: Executor) -> None:
    assert executor.run(Call("echo", {"x": "Århus"})) == '"Århus"'


HUGE = float("inf")
DEEP: list[Any] = []
for _ in range(900):  # as deep as the parser of calls lets through
    DEEP = [DEEP]

WRONG = {
    "unknown tool": (Call("teleport", {}), "no tool teleport"),
    "a document without code": (Call("unbound", {}), "no tool unbound"),
    "wrong type": (Call("double", {"x": "two"}), "x: 'two' is not of type 'number'"),
    "true is no number": (Call("double", {"x": True}), "x: True is not of type 'number'"),
    "outside the choices": (Call("double", {"unit": "mile"}), "unit: 'mile' is not one of"),
    "extra argument": (Call("double", {"x": 1, "why": 2}), "'why'"),
    "not a multiple": (Call("step", {"x": 0.3}), "multiple"),
    "a tool that raises": (Call("fail", {}), "ZeroDivisionError: nothing to divide by"),
    "infinite argument": (Call("double", {"x": HUGE}), "not finite"),
    "infinite argument within": (Call("echo", {"x": [HUGE]}), ""),
    "infinite argument, multiples": (Call("step", {"x": HUGE}), ""),
    "huge whole number, multiples": (Call("step", {"x": 10**400}), ""),
    "huge whole number": (Call("echo", {"x": 10**5000}), ""),
    "infinite result": (Call("endless", {}), "ValueError"),
    "undefined result": (Call("undefined", {}), "ValueError"),
    "result that is no JSON": (Call("thing", {}), "TypeError"),
    "deeply nested argument": (Call("words", {"x": DEEP}), ""),
    "long name": (Call("a" * 1000, {}), "no tool aaa"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_run_is_an_error_in_json(executor: Executor, case: str) -> None:
    call, words = WRONG[case]
    shown = executor.run(call)
    found = json.loads(shown)
    assert list(found) == ["error"]
    assert words in found["error"]
    assert len(shown) <= OBSERVATION_CHARACTERS


def test_a_long_result_is_cut_and_still_json(executor: Executor) -> None:
    shown = executor.run(Call("long", {}))
    assert len(shown) <= OBSERVATION_CHARACTERS
    assert "oak oak" in shown
    json.loads(shown)


@pytest.mark.parametrize("sign", ["\u4e2d", "\U0001f600", '"', "\x00"])
def test_whatever_the_script_a_cut_result_is_short_readable_and_json(sign: str) -> None:
    shown = cut(json.dumps([sign * 4000], ensure_ascii=False))
    assert OBSERVATION_CHARACTERS / 8 < len(shown) <= OBSERVATION_CHARACTERS
    assert json.dumps(sign, ensure_ascii=False)[1:-1] in json.loads(shown)["cut"]


@pytest.mark.parametrize("name", ["echo", r"\ud800"])
def test_half_a_surrogate_pair_is_refused_or_can_be_shown(executor: Executor, name: str) -> None:
    """JSON may spell half a pair; no tokenizer and no file takes it."""
    inside = f'{{"name": "{name}", "arguments": {{"x": "\\ud800"}}}}'
    reply = parse_text(f"<think>x</think><tool_token>\n<<a>>\n</tool_token><tool_call>{inside}")
    refused = any("strict JSON" in problem for problem in reply.problems)
    assert len(reply.calls) == (0 if refused else 1)
    for call in reply.calls:
        executor.run(call).encode("utf-8")


def test_the_shipped_tools_run() -> None:
    catalogue = load_catalogue(["toolbox", "fieldkit"])
    with corpus_executor(catalogue) as executor:
        assert set(executor.functions) == set(catalogue.by_name)
        for name in catalogue.names:
            json.loads(executor.run(Call(name, {"no such parameter": 1})))


def test_only_tools_of_the_catalogue_run() -> None:
    everything = load_catalogue("toolbox")
    few = Catalogue(everything.tools[:2])
    assert set(corpus_executor(few).functions) == set(few.by_name)


def test_a_tool_that_only_shares_a_name_with_a_shipped_one_does_not_run() -> None:
    ours = load_catalogue("toolbox").tools[0]
    theirs = replace(ours, description="Something else of the same name.")
    assert corpus_executor(Catalogue((theirs,))).functions == {}
    changed = replace(ours, parameters={"type": "object", "properties": {}})
    assert corpus_executor(Catalogue((changed,))).functions == {}
