"""Logs: JSONL always; what goes to wandb is in test_wandb.py."""

import json

import pytest

from tinr.records import BadInput
from tinr.run_log import METRIC_NAMES, RunLog, read_log


def test_rows_are_json_lines_with_step_and_seconds(tmp_path):
    with RunLog(tmp_path, "align", {"seed": 3}) as log:
        log.log(5, {"train/loss": 1.5})
        rows = read_log(tmp_path / "align.jsonl")  # flushed while the run goes on
    assert rows[0]["step"] == 5 and rows[0]["train/loss"] == 1.5 and rows[0]["seconds"] >= 0
    assert json.loads((tmp_path / "align.config.json").read_text()) == {"seed": 3}


def test_a_metric_that_is_not_listed_is_refused(tmp_path):
    with RunLog(tmp_path, "align", {}) as log, pytest.raises(KeyError, match="train/los"):
        log.log(1, {"train/los": 1.0})


def test_every_listed_metric_says_what_it_is():
    assert all(about for about in METRIC_NAMES.values())


def test_a_row_cut_short_by_a_kill_is_left_out(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"step": 1}\n{"step": 2, "tr')
    assert read_log(tmp_path / "x.jsonl") == [{"step": 1}]


def test_rows_outlive_a_restart_that_cannot_write(tmp_path, monkeypatch):
    """A disk that is full when a run goes on costs no row of its log."""
    with RunLog(tmp_path, "sft", {}) as log:
        log.log(1, {"train/loss": 2.0})
    before = (tmp_path / "sft.jsonl").read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinr.run_log.write_text", full)
    with pytest.raises(BadInput, match="No space left"):
        RunLog(tmp_path, "sft", {}, done=1)
    assert (tmp_path / "sft.jsonl").read_text() == before


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="choose another run folder"):
        RunLog(tmp_path / "file", "align", {})


def test_two_runs_do_not_write_one_log(tmp_path):
    with RunLog(tmp_path, "sft", {"seed": 1}) as log:
        log.log(1, {"train/loss": 1.0})
        with pytest.raises(BadInput, match="another run writes this log"):
            RunLog(tmp_path, "sft", {"seed": 2})
        log.log(2, {"train/loss": 0.5})
    assert [row["step"] for row in read_log(tmp_path / "sft.jsonl")] == [1, 2]
    assert json.loads((tmp_path / "sft.config.json").read_text()) == {"seed": 1}
    RunLog(tmp_path, "sft", {}).close()  # the first has ended


def test_gates_stand_at_the_last_step_of_all_rounds(tmp_path):
    with RunLog(tmp_path, "calibrate", {}) as log:
        log.log(50, {"train/loss": 1.0})
        log.offset = 50
        log.log(50, {"train/loss": 0.5})
        log.gates({"token_to_schema": {"value": 1.0, "low": 0.9, "high": 1.0, "limit": None}})
    assert [row["step"] for row in read_log(tmp_path / "calibrate.jsonl")] == [50, 100, 100]


def test_what_an_earlier_run_sampled_is_gone(tmp_path):
    (tmp_path / "grpo.conversations.jsonl").write_text("{}\n")
    RunLog(tmp_path, "grpo", {}).close()
    assert not (tmp_path / "grpo.conversations.jsonl").exists()


def test_a_conversation_without_a_reward_is_a_programming_error(tmp_path):
    with RunLog(tmp_path, "grpo", {}) as log, pytest.raises(KeyError, match="reply"):
        log.conversations(1, [{"query": "q", "prompt": "p"}])


def test_gates_without_a_measured_value_leave_no_row(tmp_path):
    unknown = dict.fromkeys(("value", "low", "high", "limit"))
    with RunLog(tmp_path, "align", {}) as log:
        log.gates({"token_to_schema": unknown})
        log.gates({})
    assert read_log(tmp_path / "align.jsonl") == []
