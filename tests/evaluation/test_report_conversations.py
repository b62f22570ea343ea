"""Sampled conversations in the report: chosen, cut, escaped, and never an exception."""

import json
from pathlib import Path

import pytest
from report_parts import sampled, write_lines

from tinr.evaluation.report.conversations import TURN_CHARACTERS, read_conversations, spread
from tinr.evaluation.report.curves import read_logs
from tinr.evaluation.report.page import write_report
from tinr.records import REWARDS, BadInput


def write_run(folder: Path, rows: list) -> Path:
    """A run with a log, its samples and an empty summary."""
    write_lines(folder / "logs" / "grpo.jsonl", [{"step": 1, "train/loss": 1.0}])
    write_lines(folder / "logs" / "grpo.conversations.jsonl", rows)
    (folder / "summary.json").write_text("{}")
    return folder


def test_steps_are_spread_with_the_first_and_the_last():
    # 21 steps, 8 of them: positions 0, 2.9, 5.7, 8.6, 11.4, 14.3, 17.1, 20
    assert spread(range(0, 201, 10), 8) == [0, 30, 60, 90, 110, 140, 170, 200]
    assert spread([3, 5], 8) == [3, 5] and spread([], 8) == []


def test_a_conversation_is_read_with_its_turns_and_rewards(tmp_path):
    write_run(tmp_path, sampled())
    moments = read_conversations(tmp_path / "logs")
    assert [m.step for m in moments] == [0, 30, 60, 90, 110, 140, 170, 200]
    assert {m.phase for m in moments} == {"grpo"}
    first = moments[0].samples[0]
    assert [turn.role for turn in first.turns] == ["user", "model", "tool", "model"]
    known = {"total": 0.5, "format": 1.0, "tool": 0.25}  # the row has no other reward
    assert first.rewards == dict.fromkeys(REWARDS) | known


def test_no_more_than_four_a_step_and_long_texts_are_cut(tmp_path):
    row = sampled()[0] | {"reply": "x" * (TURN_CHARACTERS + 1200)}
    write_run(tmp_path, [row] * 9)
    [moment] = read_conversations(tmp_path / "logs")
    assert len(moment.samples) == 4
    said = moment.samples[0].turns[1].text
    assert said.startswith("x" * TURN_CHARACTERS) and said.endswith("… and 1,200 more")


def test_the_page_and_the_json_show_them_and_the_samples_are_no_phase(tmp_path):
    run = write_run(tmp_path, [sampled()[0] | {"prompt": "<script>alert(1)</script>"}])
    html = write_report(run).read_text()
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "total 0.50, format 1.00, tool 0.25, answer –" in html
    assert list(read_logs(run / "logs")) == ["grpo"]
    sections = {s["key"]: s for s in json.loads((run / "report.json").read_text())["sections"]}
    [moment] = sections["conversations"]["conversations"]
    assert moment["step"] == 0 and moment["samples"][0]["query"] == "q0"
    assert [t["key"] for t in sections["training"]["tables"]] == ["curve-grpo-loss"]


def test_rows_that_are_none_are_left_out_and_missing_parts_are_empty(tmp_path):
    rows = [["no row"], {"query": "q"}, {"step": True}, {"step": 3, "reply": None, "total": "x"}]
    run = write_run(tmp_path, rows)
    (run / "logs" / "grpo.conversations.jsonl").open("a").write('{"step": 4, "que')
    [moment] = read_conversations(run / "logs")
    assert moment.step == 3 and moment.samples[0].rewards["total"] is None
    assert "None" not in [turn.text for turn in moment.samples[0].turns]
    assert write_report(run).is_file()


def test_a_file_that_is_no_text_stops_with_one_line(tmp_path):
    run = write_run(tmp_path, [])
    (run / "logs" / "grpo.conversations.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"grpo\.conversations\.jsonl: unreadable"):
        write_report(run)
