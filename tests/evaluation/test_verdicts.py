"""Verdicts in small files: written, read and pooled over days, machines and seeds."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tinr.cli.main import app
from tinr.evaluation.comparison import differences
from tinr.evaluation.evaluate import SuiteResult
from tinr.evaluation.metrics import outcome
from tinr.evaluation.verdicts import Verdicts, pooled, read_verdicts, write_verdicts
from tinr.records import BadInput, Call, Message, Query, Reply
from tinr.rollout.conversation import Conversation
from tinr.rollout.generate import Row

ASKED = Query("q0", "x?", ((Call("t", {"x": 1}),),), split="seen", phrasings=("{x}?",))
SMALL_TALK = Query("n0", "Hello", split="no_tool", kind="chat")
RIGHT, WRONG = Reply(calls=ASKED.calls, named=("t",)), Reply(response="no")


def verdicts(folder: Path, arm: str, seed: int | None, right: str, suite: str = "a") -> Verdicts:
    """A file of one query for each sign of `right` (1: the reply is right), and small talk."""
    queries = [replace(ASKED, id=f"{suite}{n}", phrasings=(f"{n}?",)) for n in range(len(right))]
    replies = [RIGHT if sign == "1" else WRONG for sign in right]
    queries.append(replace(SMALL_TALK, id=f"{suite}-talk"))
    replies.append(WRONG)
    said = [
        Conversation(query, (), Row(), reply, ())
        for query, reply in zip(queries, replies, strict=True)
    ]
    outcomes = [outcome(c.reply, c.query) for c in said]
    nothing = [None] * len(said)
    result = SuiteResult("none", said, outcomes, nothing, {}, {}, nothing)
    path = folder / f"{arm}-{seed}-{suite}.jsonl"
    write_verdicts(path, result, arm=arm, seed=seed, facts={"suite": suite})
    return read_verdicts(path)


def test_what_is_written_is_read(tmp_path):
    found = verdicts(tmp_path, "sft", 3, "101")
    assert (found.arm, found.seed, found.facts["suite"]) == ("sft", 3, "a")
    assert [(row["id"], row["call_em"], row["abstain_acc"]) for row in found.rows] == [
        ("a0", True, None), ("a1", False, None), ("a2", True, None), ("a-talk", None, True),
    ]  # fmt: skip
    assert [row["calls"] for row in found.rows] == [1, 1, 1, 0]
    assert len({mark for row in found.rows for mark in row["phrasings"]}) == 3
    assert found.path.stat().st_size < 1000


def test_a_question_behind_other_messages_is_another_one(tmp_path, monkeypatch):
    alone = verdicts(tmp_path, "first", 1, "1")
    history = (Message("user", "y?"), Message("assistant", "2."))
    monkeypatch.setattr(sys.modules[__name__], "ASKED", replace(ASKED, history=history))
    later = verdicts(tmp_path, "other", 1, "1")
    with pytest.raises(BadInput, match="query 'a0' differs from the one in"):
        pooled([alone, later])


def test_runs_are_pooled_by_arm_and_seed_over_their_suites(tmp_path):
    files = [
        verdicts(tmp_path, "first", 1, "1000", "a"),
        verdicts(tmp_path, "other", 2, "1111", "a"),
        verdicts(tmp_path, "other", 1, "1110", "a"),
        verdicts(tmp_path, "first", 2, "1000", "a"),
        verdicts(tmp_path, "first", 3, "1111", "a"),  # a seed that the other one lacks
        verdicts(tmp_path, "first", 1, "0", "b"),
        verdicts(tmp_path, "other", 1, "1", "b"),
    ]
    runs, phrasings = pooled(files)
    assert list(runs) == ["first", "other"] and phrasings["a0"] == phrasings["b0"]
    assert {arm: len(seeds) for arm, seeds in runs.items()} == {"first": 2, "other": 2}
    found = next(d for d in differences(runs, ["call_em"], phrasings) if d.split == "seen")
    assert found.n == 4  # b was asked of seed 1 alone
    assert found.by_seed == (0.5, 0.75)
    assert list(pooled(files, "other")[0]) == ["other", "first"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "not a verdict file"),
        ('{"arm": "x"}\n', "not a verdict file"),
        ('{"arm": "", "seed": 1}\n', "not a verdict file"),
        ('{"arm": "x", "seed": true}\n', "not a verdict file"),
        ('{"arm": "x", "seed": 1}\n{"split": "seen"}\n', "line 2: not a split"),
        ('{"arm": "x", "seed": 1}\nnonsense\n', "x.jsonl:2"),
    ],
)
def test_a_file_that_holds_no_verdicts_is_bad_input(tmp_path, line, says):
    path = tmp_path / "x.jsonl"
    path.write_text(line)
    with pytest.raises(BadInput, match=says):
        read_verdicts(path)


def test_a_cut_column_is_bad_input(tmp_path):
    path = verdicts(tmp_path, "sft", 1, "11").path
    first, second, *others = path.read_text().splitlines()
    split = json.loads(second)
    split["call_em"] = "1"
    path.write_text("\n".join([first, json.dumps(split), *others]) + "\n")
    with pytest.raises(BadInput, match=r"line 2: .*columns differ in length"):
        read_verdicts(path)


def test_what_cannot_be_compared_is_bad_input(tmp_path):
    one, other = verdicts(tmp_path, "sft", 1, "11"), verdicts(tmp_path, "grpo", 1, "11")
    with pytest.raises(BadInput, match="all files are of one arm"):
        pooled([one])
    with pytest.raises(BadInput, match="occurs in two files"):
        pooled([one, one, other])
    with pytest.raises(BadInput, match="--baseline x: unknown arm"):
        pooled([one, other], "x")
    with pytest.raises(BadInput, match="several calls"):
        pooled([one, other], several=True)
    with pytest.raises(BadInput, match="the arms share no seed"):
        pooled([one, verdicts(tmp_path, "x", 2, "11")])
    with pytest.raises(BadInput, match="no query is in all files"):
        pooled([one, verdicts(tmp_path, "x", 1, "11", "b")])


def test_files_that_do_not_belong_together_are_told(tmp_path):
    one, other = verdicts(tmp_path, "sft", 1, "11"), verdicts(tmp_path, "grpo", 1, "11")
    text = other.path.read_text()
    mark = one.rows[0]["mark"]
    other.path.write_text(text.replace(mark, "00000000"))
    with pytest.raises(BadInput, match="'a0' differs from the one in"):
        pooled([one, read_verdicts(other.path)])
    shown = Verdicts(other.path, "sft", 2, {"documents": "on_select"}, one.rows)
    with pytest.raises(BadInput, match=r"documents on_select, but .* of the same arm has None"):
        pooled([one, shown])


def test_an_arm_without_seeds_is_the_same_for_each(tmp_path):
    files = [verdicts(tmp_path, "sft", seed, "1100") for seed in (1, 2)]
    files.append(verdicts(tmp_path, "base", None, "0000"))
    runs, phrasings = pooled(files)
    assert [len(seeds) for seeds in runs.values()] == [2, 2]
    found = next(d for d in differences(runs, ["call_em"], phrasings) if d.split == "seen")
    assert found.by_seed == (-0.5, -0.5)


def test_files_are_compared_by_the_command(tmp_path, capsys):
    files = [
        str(verdicts(tmp_path, arm, seed, right).path)
        for arm, right in (("sft", "1" * 4 + "0" * 12), ("grpo", "1" * 16))
        for seed in (1, 2)
    ]
    app(["compare", *files, "--json"], standalone_mode=False)
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["cells"]["grpo"]["seen"]["call_em"]["value"] == 1.0
    with pytest.raises(BadInput, match="with files, give only"):
        app(["compare", *files, "--suite", "in_domain"], standalone_mode=False)
    with pytest.raises(BadInput, match="--baseline is for files"):
        app(["compare", "a@latest", "b@latest", "--baseline", "x"], standalone_mode=False)
