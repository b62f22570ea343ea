"""A model that grades replies: what it is asked, what counts, and what its failures cost."""

import json
from dataclasses import replace

import pytest
from teacher_parts import Teacher

from phases.calibrate import CalibrateConfig
from tinr.config import SearchConfig
from tinr.config_files import load_config
from tinr.evaluation.errors.grades import judge
from tinr.records import BadInput, Call, Query, Reply
from tinr.rollout.conversation import make_prompts
from tinr.rollout.tools.executor import Executor
from tinr.training.preference.model_judge import (
    UNANSWERED_BATCHES,
    JudgeConfig,
    ModelJudge,
    messages,
    read_grade,
)
from tinr.training.preference.search import search

pytest.importorskip("openai", reason="the openai package is not installed")

AREA = Query("q1", "Area of a circle of radius 2?", ((Call("circle_area", {"radius": 2}),),))
RIGHT = Reply("so", ("circle_area",), AREA.calls, response="12.6")
OFF = Reply("so", ("circle_area",), (Call("circle_area", {"radius": 77}),), response="8")
LATER = Reply("so", ("circle_area",), (Call("circle_area", {"radius": 9}),), response="8")
BROKEN = Reply(problems=("no response",))
FAIR, GOOD = '{"reason": "r", "grade": "poor"}', 'Well: {"reason": "r", "grade": "acceptable"}.'


def model_judge(server, catalogue, **more) -> ModelJudge:
    given = {"pause": 0.01, "attempts": 2, "timeout": 5.0} | more
    return ModelJudge(catalogue, JudgeConfig(endpoint=server.url, model="m", **given))


def test_the_grade_is_the_models_and_the_criteria_are_the_rules(catalogue):
    server = Teacher(GOOD)
    [verdict] = model_judge(server, catalogue)([(OFF, AREA)])
    rule = judge(OFF, AREA, catalogue)
    assert (verdict.grade, rule.grade) == ("acceptable", "fair")
    assert (verdict.values, verdict.closeness) == (rule.values, rule.closeness)
    assert verdict.worth == 0.025


def test_what_the_rules_are_sure_of_is_not_asked_and_nothing_twice(catalogue):
    server = Teacher(GOOD)
    graded = model_judge(server, catalogue)
    hello = Query("q2", "Hello.")
    said = [(RIGHT, AREA), (BROKEN, AREA), (Reply(response="Hi."), hello), (OFF, hello)]
    grades = [verdict.grade for verdict in graded(said)]
    assert grades == ["excellent", "poor", "excellent", "poor"] and server.count == 0
    graded([(OFF, AREA), (OFF, AREA), (LATER, AREA)])
    graded([(OFF, AREA)])
    assert server.count == 2 and graded.counts() == (4, 0) and graded.counts() == (0, 0)


def test_it_is_shown_all_that_a_grade_needs(catalogue):
    system, user = messages(OFF, AREA, catalogue)
    said = json.loads(user["content"])
    assert "excellent" in system["content"] and "circle_area" in said["documents"]
    assert said["reference_calls"] == [{"name": "circle_area", "arguments": {"radius": 2}}]
    assert said["assistant_calls"][0]["arguments"] == {"radius": 77}
    assert said["conversation"][-1] == {"role": "user", "content": AREA.text}


@pytest.mark.parametrize(
    ("answer", "grade"),
    [
        (FAIR, "poor"),
        (GOOD, "acceptable"),
        ('{"grade": "Excellent"}', None),
        ('{"grade": "not excellent"}', None),
        ('{"grade": ["fair"]}', None),
        ("excellent", None),
        ('{"grade": "fair"', None),
        ("[" * 5000 + "{" * 5000, None),
        (None, None),
    ],
)
def test_a_grade_is_read_whole_or_not_at_all(answer, grade):
    assert read_grade(answer) == grade


@pytest.mark.parametrize("fault", ["500", "401", "404", "cut", "nonsense", '{"grade": "so so"}'])
def test_a_fault_leaves_the_rules_grade_and_is_said_once(fault, catalogue, capsys):
    server = Teacher(fault)
    graded = model_judge(server, catalogue)
    for reply in (OFF, LATER):
        assert graded([(reply, AREA)]) == [judge(reply, AREA, catalogue)]
    assert graded.counts() == (2, 2)
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "the rules grade the rest" in said
    if fault in ("500", "401", "404", "cut"):  # it is not asked for the second reply
        assert server.count == (2 if fault in ("500", "cut") else 1)


def test_one_refused_or_late_reply_does_not_switch_it_off(catalogue, capsys):
    """Others were answered before: 400 is that prompt's own affair, and a silence may end."""
    server = Teacher(GOOD, "400", GOOD, "500", "500", GOOD)
    graded = model_judge(server, catalogue)
    replies = [
        Reply("so", ("circle_area",), (Call("circle_area", {"radius": r}),), response="8")
        for r in (70, 71, 72, 73, 74)
    ]
    grades = [graded([(reply, AREA)])[0].grade for reply in replies]
    assert grades == ["acceptable", "fair", "acceptable", "fair", "acceptable"]
    assert graded.counts() == (5, 2) and capsys.readouterr().err.count("warning: ") == 1


def test_it_is_not_waited_for_when_it_is_gone(catalogue):
    server = Teacher(GOOD, "500")
    graded = model_judge(server, catalogue)
    for radius in range(70, 78):
        reply = Reply("so", ("circle_area",), (Call("circle_area", {"radius": radius}),))
        graded([(replace(reply, response="8"), AREA)])
    assert server.count == 1 + 2 * UNANSWERED_BATCHES  # two attempts at each of so many


@pytest.mark.parametrize("address", ["http://localhost:80a/v1", "http://localhost:8000/v1\n"])
def test_an_address_that_is_none_leaves_the_rules_grade(address, catalogue, capsys):
    graded = ModelJudge(catalogue, JudgeConfig(endpoint=address, model="m", attempts=1))
    assert graded([(OFF, AREA)]) == [judge(OFF, AREA, catalogue)]
    assert "the rules grade the rest" in capsys.readouterr().err


def test_a_search_counts_its_grades(grown, catalogue, monkeypatch):
    """Every reply of every tree goes through the one who judges."""
    from calibration_parts import random_model

    codec = grown("tiny")
    seen: list[int] = []

    def graded(replies):
        seen.append(len(replies))
        return [judge(reply, query, catalogue) for reply, query in replies]

    trees, _ = search(
        random_model(codec), codec, [AREA], make_prompts(codec, [AREA], [()]), catalogue,
        Executor(catalogue, {}), SearchConfig(fragment=8, completion=8, iterations=2),
        graded=graded,
    )  # fmt: skip
    judged = [node for tree in trees for node in tree.nodes() if node.verdict is not None]
    assert sum(seen) == len(judged) > 0


def test_it_is_off_unless_an_endpoint_and_a_model_are_given():
    assert CalibrateConfig().judge.endpoint == ""
    with pytest.raises(BadInput, match="belong together"):
        load_config(CalibrateConfig, None, ["judge.endpoint=http://localhost:1/v1"])
