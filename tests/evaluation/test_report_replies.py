"""Replies judged: the kind of an error, confusion between tools, the worst cases."""

import json
from typing import Any

import pytest

from tinr.evaluation.report.cases import worst_cases
from tinr.evaluation.report.errors import (
    MOST_TOOLS,
    confusion_table,
    heat,
    kind_table,
    problem_table,
)
from tinr.evaluation.report.replies import Judged, Replies, confused, judged, read_evaluations
from tinr.records import Call

AREA = {"name": "area", "arguments": {"radius": 2, "unit": "m"}}
TIME = {"name": "time", "arguments": {}}


def reply(*calls: dict[str, Any], response: str = "12") -> str:
    """A well-formed reply that makes these calls."""
    if not calls:
        return f"<think>so</think><response>{response}</response>"
    named = "".join(f"<<{call['name']}>>\n" for call in calls)
    items = [{"name": call["name"], "parameters": call["arguments"]} for call in calls]
    return (
        f"<think>so</think><tool_token>\n{named}</tool_token><tool_call>{json.dumps(items)}"
        f"</tool_call><obs>12</obs><response>{response}</response>"
    )


def row(text: str, calls: list[dict[str, Any]], right: bool, **more: Any) -> dict[str, Any]:
    metric = "call_em" if calls else "abstain_acc"
    outcome = {metric: right, "format_ok": True, "answer_acc": None, "param_acc": 0.5}
    outcome |= more.pop("outcome", {})
    return {"id": "q1", "query": "How large?", "calls": calls, "reply": text, "split": "seen",
            "outcome": outcome, "problems": []} | more  # fmt: skip


def changed(**arguments: Any) -> dict[str, Any]:
    return {"name": "area", "arguments": AREA["arguments"] | arguments}


def without(key: str) -> dict[str, Any]:
    return {"name": "area", "arguments": {k: v for k, v in AREA["arguments"].items() if k != key}}


OTHER = {"name": "volume", "arguments": {"side": 1}}
CASES = {
    "right": (row(reply(AREA), [AREA], True), "right", ()),
    "right in another order": (row(reply(TIME, AREA), [AREA, TIME], True), "right", ()),
    "no call where none is expected": (row(reply(), [], True), "right", ()),
    "another tool": (row(reply(OTHER), [AREA], False), "wrong name",
                     ("volume is called, expected area",)),
    "a value": (row(reply(changed(radius=3)), [AREA], False), "wrong value",
                ("area: radius is 3, expected 2",)),
    "a number as text": (row(reply(changed(radius="2")), [AREA], False), "wrong value",
                         ('area: radius is "2", expected 2',)),
    "a parameter less": (row(reply(without("unit")), [AREA], False), "missing parameter",
                         ('area: unit is missing, expected "m"',)),
    "a parameter more": (row(reply(changed(digits=1)), [AREA], False), "extra parameter",
                         ("area: digits = 1 is not expected",)),
    "a call less": (row(reply(AREA), [AREA, TIME], False), "missed call",
                    ("time is not called",)),
    "no call at all": (row(reply(), [AREA], False), "missed call", ("area is not called",)),
    "a call more": (row(reply(AREA, TIME), [AREA], False), "false call",
                    ("time is called but not needed",)),
    "a call without need": (row(reply(TIME), [], False), "false call",
                            ("time is called but not needed",)),
    "a name without a call": (row("<think>a</think><tool_token><<time>></tool_token>", [], False),
                              "false call", ("a tool is named but not needed",)),
    "a call that cannot be read": (
        row("<tool_call>{</tool_call>", [AREA], False,
            problems=["<tool_call> is not strict JSON: not JSON"]),
        "format",
        ("area is not called", "form: <tool_call> is not strict JSON: not JSON")),
    "another tool beside a call that cannot be read": (
        row(reply(OTHER), [AREA], False, problems=["empty <tool_call>"]), "wrong name",
        ("volume is called, expected area", "form: empty <tool_call>")),
    "a broken form around a right call": (
        row(reply(AREA), [AREA], True, outcome={"format_ok": False}, problems=["stray </x>"]),
        "format", ("form: stray </x>",)),
    "the answer": (row(reply(AREA, response="7"), [AREA], True, outcome={"answer_acc": False},
                       answer="12"), "wrong answer", ("the answer is not '12'",)),
    "what we cannot tell": (row(reply(AREA), [AREA], False), "other", ()),
    "a value that is accepted as well": (
        row(reply(changed(radius=2.5)), [AREA], True, outcome={"call_em": None,
            "call_em_lenient": True}, accept=[{"name": "area", "arguments": {"radius": [2.5]}}]),
        "right", ()),
    "a value beside a default that is spelled out": (
        row(reply(changed(radius=3, digits=1)), [AREA], False,
            in_short={"calls": [AREA], "called": [changed(radius=3)]}),
        "wrong value", ("area: radius is 3, expected 2",)),
    "no verdict": (row(reply(changed(radius=3)), [AREA], False, outcome={"call_em": None}),
                   "wrong value", ("area: radius is 3, expected 2",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_reply_has_one_kind_and_is_told_in_words(case: str) -> None:
    line, kind, said = CASES[case]
    found = judged(line)
    assert (found.kind, found.words) == (kind, said)


def test_what_may_be_left_out_is_not_missed() -> None:
    accept = [{"name": "area", "arguments": {"unit": ["cm", ""], "radius": [3]}}]
    faulty = row(reply({"name": "area", "arguments": {"radius": 4}}), [AREA], False, accept=accept)
    assert judged(faulty).words == ("area: radius is 4, expected 2",)
    faulty = row(reply(changed(radius=3, unit="km")), [AREA], False, accept=accept)
    assert judged(faulty).words == ('area: unit is "km", expected "m"',)


def test_calls_of_one_tool_are_compared_with_the_most_alike() -> None:
    two = [changed(radius=1), changed(radius=9)]
    found = judged(row(reply(changed(radius=9), changed(radius=5)), two, False))
    assert found.words == ("area: radius is 5, expected 1",)


def calls(*names: str) -> list[Call]:
    return [Call(name, {}) for name in names]


@pytest.mark.parametrize(
    ("expected", "called", "pairs"),
    [
        ("a b", "b a", ()),
        ("a b", "c b", (("a", "c"),)),
        ("a a", "a", (("a", "no call"),)),
        ("", "c", (("no call", "c"),)),
        ("a b", "c d e", (("a", "c"), ("b", "d"), ("no call", "e"))),
    ],
)
def test_tools_are_paired_where_they_differ(expected: str, called: str, pairs: Any) -> None:
    assert confused(calls(*expected.split()), calls(*called.split())) == pairs


def evaluated(*lines: dict[str, Any]) -> Replies:
    return Replies("grpo", "none", tuple(judged(line) for line in lines))


def test_kinds_are_counted_by_split() -> None:
    table = kind_table(
        evaluated(
            *(CASES[case][0] for case in ("right", "another tool", "a value")),
            CASES["a value"][0] | {"split": "bfcl simple_python"},
        )
    )
    assert table and table.columns == ("Seen tools", "bfcl simple_python")
    counts = {row.label: [(c.count, c.of) for c in row.cells] for row in table.rows}  # type: ignore[union-attr]
    assert counts == {
        "right": [(1, 3), (0, 1)],
        "wrong name": [(1, 3), (0, 1)],
        "wrong value": [(1, 3), (1, 1)],
        "all queries": [(3, 0), (1, 0)],
    }


def test_confusions_are_ranked_with_the_queries_that_expect_the_tool() -> None:
    wrong, right = CASES["another tool"][0], CASES["right"][0]
    silent = CASES["a call without need"][0] | {"split": "no_tool"}
    table = confusion_table(evaluated(wrong, wrong, right, silent))
    assert table
    rows = [(r.group, r.label, r.cells[0], r.cells[1].count, r.cells[1].of) for r in table.rows]  # type: ignore[union-attr]
    assert rows == [
        ("Seen tools", "area", "volume", 2, 3),
        ("No tool needed", "no call", "time", 1, 1),
    ]
    tools, counts = heat(evaluated(wrong, wrong, right, silent))
    assert (tools, counts) == (["area", "volume"], {("area", "volume"): 2})


def test_the_heat_map_is_of_the_most_frequent_pairs() -> None:
    """30 confusions of different tools, the last of them twice: 6 of them, the twice first."""
    lines = [
        row(reply(TIME | {"name": f"c{n:02}"}), [TIME | {"name": f"e{n:02}"}], False)
        for n in (*range(30), 29)
    ]
    tools, counts = heat(evaluated(*lines))
    assert tools == ["e29", "c29", *(f"{side}{n:02}" for n in range(5) for side in "ec")]
    assert len(tools) == MOST_TOOLS and counts["e29", "c29"] == 2 and len(counts) == 6


def test_the_heat_map_does_not_grow_beyond_its_limit() -> None:
    """One tool called for 20 others, and 20 called for one."""
    many = [TIME | {"name": f"e{n:02}"} for n in range(20)]
    for lines in ([(TIME, one) for one in many], [(one, TIME) for one in many]):
        tools, counts = heat(evaluated(*(row(reply(c), [e], False) for c, e in lines)))
        assert len(tools) == MOST_TOOLS and "time" in tools and len(counts) == MOST_TOOLS - 1


def test_faults_of_form_are_counted_once_a_reply() -> None:
    lines = [row(reply(), [], True, problems=p) for p in (["x", "x"], ["x", "y"], [])]
    table = problem_table([evaluated(*lines)])
    assert table and table.columns == ("grpo",)
    counts = [(row.label, row.cells[0].count) for row in table.rows]  # type: ignore[union-attr]
    assert counts == [("x", 2), ("y", 1), ("none", 1)]


def test_rare_faults_are_counted_together() -> None:
    lines = [row(reply(), [], True, problems=[f"p{n:02}", "a"]) for n in range(20)]
    table = problem_table([evaluated(*lines)])
    assert table and table.rows[0].label == "a" and table.rows[-2].label == "9 rarer ones"
    assert table.rows[-2].cells[0].count == 9  # type: ignore[union-attr]


def test_the_worst_come_first_and_are_the_same_every_time() -> None:
    """By share of the reference met, then id; the same confusion is shown once if others are."""
    shares = {"a": 0.4, "b": 0.1, "c": 0.1, "d": 0.2, "e": 0.9}
    lines = [row(reply(TIME if name == "e" else OTHER), [AREA], False, id=name) for name in shares]
    for line in lines:
        line["outcome"]["param_acc"] = shares[line["id"]]
    for order in (lines, lines[::-1]):
        (kind,) = worst_cases(evaluated(*order))
        assert (kind.kind, kind.count, kind.of) == ("wrong name", 5, 5)
        assert [case.id for case in kind.cases] == ["b", "e", "c"]


def test_a_case_holds_the_whole_conversation() -> None:
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    messages = [*before, {"role": "user", "content": "How large?"}]
    text = reply(OTHER)
    (kind,) = worst_cases(evaluated(row(text, [AREA], False, messages=messages)))
    (case,) = kind.cases
    said = [(turn.role, turn.text) for turn in case.turns]
    assert said[:3] == [("user", "Hi"), ("assistant", "Hello"), ("user", "How large?")]
    assert [role for role, _ in said[3:]] == ["model", "tool", "model"]
    assert "".join(words for _, words in said[3:]) == text
    assert case.expected == ('area {"radius": 2, "unit": "m"}',)
    (kind,) = worst_cases(evaluated(row("", [AREA], False)))
    assert kind.cases[0].turns[-1].text == "(nothing)"


def test_a_line_may_lack_everything() -> None:
    found = judged({})
    assert isinstance(found, Judged) and (found.split, found.kind) == ("no_tool", "right")


def test_what_the_evaluation_could_not_judge_is_neither_right_nor_wrong(tmp_path):
    rows = [
        {"id": "a", "query": "x", "calls": [], "outcome": {"abstain_acc": True}},
        {"id": "b", "query": "x", "calls": [], "outcome": None, "unscorable": "no document"},
    ]
    (tmp_path / "sft-1").mkdir()
    path = tmp_path / "sft-1" / "replies.none.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_evaluations(tmp_path, {"sft-1": "sft"})
    assert [reply.id for reply in found[0].replies] == ["a"]
