"""A run in wandb's offline mode, read back; and a wandb that fails, which ends no run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb_parts
from registry_parts import make_card, moment

from tinr.checkpoints.card import Card
from tinr.run_log import ANCESTOR, CONVERSATION, RunLog, read_log

GATE = {"value": 0.9, "n": 40, "low": 0.77, "high": 0.96, "limit": None, "passed": True}
GATES = {"document_to_token": GATE | {"limit": 0.85}, "token_to_schema": GATE}
SAID = dict(
    zip(CONVERSATION, ("q1", "Area?", "<think>é</think>", 0.5, 1.0, 0.25, None), strict=True)
)
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.path[:0] = ["tests", "tests/cli"]
from pathlib import Path
from test_wandb import whole_log
whole_log(Path(sys.argv[1]))
"""


def cards() -> list[Card]:
    """A base and what grew from it."""
    base = make_card("base", id="base-20250131-00000001", created=moment(1))
    return [base, make_card("grpo", id="grpo-20250131-00000002", parent=base.id, gates=GATES,
                            created=moment(2), git_commit="c" * 40, tokens=7)]  # fmt: skip


def whole_log(folder: Path) -> None:
    """All that a phase logs."""
    with RunLog(folder, "grpo", {"seed": 3, "policy": {"group": 8}}, wandb=True) as log:
        log.conversations(0, [SAID, SAID | {"query": "q2", "answer": 1.0}])
        log.log(5, {"train/loss": 1.5, "reward/total": 0.5})
        log.log(9, {"train/loss": 0.5})
        log.gates(GATES)
        log.published(cards())


def run_apart(work: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`whole_log` in a process whose home, current and temporary folders are all in `work`."""
    for name in ("home", "temporary"):
        (work / name).mkdir(parents=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_"))}
    places = {"HOME": str(work / "home"), "TMPDIR": str(work / "temporary")}
    path = {"PYTHONPATH": str(ROOT), "NETRC": str(work / "home" / "netrc")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(work / "run")],
        cwd=ROOT,
        env=kept | places | path | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which an offline run was written, in `run`."""
    folder = tmp_path_factory.mktemp("offline")
    done = run_apart(folder, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def found(work: Path) -> list[Any]:
    """The records of its run file."""
    (path,) = (work / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    return list(wandb_parts.records(path))


def test_the_run_has_its_configuration_project_and_phase(found):
    config = wandb_parts.config(found)
    assert config["seed"] == 3 and config["policy"] == {"group": 8}
    (run,) = [r.run for r in found if r.HasField("run")][:1]
    assert (run.project, run.display_name, run.job_type) == ("tinr", "grpo", "grpo")


def test_rows_stand_at_the_step_of_the_training(found):
    rows = wandb_parts.rows(found)
    assert [(r["train/global_step"], r["train/loss"]) for r in rows if "train/loss" in r] == [
        (5, 1.5),
        (9, 0.5),
    ]
    (metric,) = [r.metric for r in found if r.HasField("metric")]
    assert (metric.glob_name, metric.step_metric) == ("*", "train/global_step")


def test_gates_are_a_row_at_the_last_step_and_in_the_summary(work, found):
    (row,) = [r for r in wandb_parts.rows(found) if "gate/document_to_token" in r]
    gates = {name: value for name, value in row.items() if name.startswith("gate/")}
    assert row["train/global_step"] == 9
    assert gates == {
        "gate/document_to_token": 0.9,
        "gate/document_to_token_low": 0.77,
        "gate/document_to_token_high": 0.96,
        "gate/document_to_token_limit": 0.85,
        "gate/token_to_schema": 0.9,  # no limit: it is measured, not gated
        "gate/token_to_schema_low": 0.77,
        "gate/token_to_schema_high": 0.96,
    }
    summary = wandb_parts.summary(found)
    assert gates.items() <= summary.items() and summary["gates"] == GATES
    kept = read_log(work / "run" / "grpo.jsonl")[-1]
    assert kept["step"] == 9 and gates.items() <= kept.items()


def table(work: Path, found: list[Any], name: str) -> dict[str, Any]:
    """A table that was logged once, from the file that its row names."""
    (row,) = [r for r in wandb_parts.rows(found) if name in r]
    assert row[name]["_type"] == "table-file"
    (path,) = (work / "run" / "wandb").glob(f"offline-run-*/files/{row[name]['path']}")
    return json.loads(path.read_text()) | {"at": row.get("train/global_step")}


def test_conversations_are_a_table_and_a_file(work, found):
    said = table(work, found, "conversations")
    assert said["columns"] == ["step", *CONVERSATION] and said["at"] == 0
    assert said["data"][0] == [0, *SAID.values()] and said["data"][1][-1] == 1.0
    kept = read_log(work / "run" / "grpo.conversations.jsonl")
    assert kept[0] == {"step": 0, **SAID} and [row["query"] for row in kept] == ["q1", "q2"]


def test_the_lineage_is_a_table_facts_and_the_card_alone(work, found):
    base, card = cards()
    line = table(work, found, "lineage")
    assert line["columns"] == list(ANCESTOR)
    assert [row[:3] for row in line["data"]] == [
        [base.id, "base", None],
        [card.id, "grpo", base.id],
    ]
    facts = wandb_parts.summary(found)["checkpoint"]
    assert facts["id"] == card.id and facts["parent"] == base.id and facts["git_commit"] == "c" * 40
    ids = {"base": base.id, "parent": base.id, "checkpoint": card.id}
    assert wandb_parts.config(found)["lineage"] == ids
    (artifact,) = [a for r in found if (a := r.artifact).type == "checkpoint"]
    assert artifact.name == card.id
    (entry,) = artifact.manifest.contents  # no weights
    assert entry.path == "card.json" and Path(entry.local_path).read_text() == card.to_json()


def test_nothing_is_written_outside_the_run_folder(work):
    outside = [path for path in files_of(work) if not path.is_relative_to(work / "run")]
    assert outside == [] and list((work / "run" / "wandb").glob("offline-run-*"))
    assert not (ROOT / "wandb").exists()


def test_without_a_login_the_run_goes_on_with_one_warning(tmp_path):
    done = run_apart(tmp_path, WANDB_MODE="online")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(said) == 1 and "wandb is off" in said[0] and "API key" in said[0]
    rows = read_log(tmp_path / "run" / "grpo.jsonl")
    assert [row["step"] for row in rows] == [5, 9, 9]
    assert len(read_log(tmp_path / "run" / "grpo.conversations.jsonl")) == 2


class Broken:
    """A run of wandb that fails at the named method, with an error of no known kind."""

    offline = False

    def __init__(self, fails: str):
        self.fails, self.called, self.config, self.summary = fails, [], self, self

    def __getattr__(self, name: str) -> Any:
        def method(*given: Any, **_: Any) -> None:
            self.called.append((name, given))
            if name == self.fails:
                raise RuntimeError("no space left\non this line")

        return method


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`broken("log")`: wandb.init gives a run that fails there; "init" fails itself."""
    import wandb

    def make(fails: str) -> Broken:
        run = Broken(fails)
        monkeypatch.setattr(wandb, "init", lambda **given: run.init() or run)
        return run

    monkeypatch.setattr(wandb, "Table", SimpleNamespace)
    return make


@pytest.mark.parametrize(
    "fails",
    ["init", "define_metric", "log", "update", "log_artifact", "use_artifact", "finish"],
)
def test_whatever_fails_in_wandb_the_log_goes_on(fails, broken, tmp_path, capsys):
    run = broken(fails)
    whole_log(tmp_path)
    assert [row["step"] for row in read_log(tmp_path / "grpo.jsonl")] == [5, 9, 9]
    said = capsys.readouterr().err.splitlines()
    assert said == ["warning: wandb is off, the JSONL continues: no space left"]
    assert run.called[-1][0] == fails  # and it is left alone from then on


def test_online_the_parent_is_an_input_and_the_checkpoint_an_output(broken, tmp_path):
    run = broken("nothing")
    whole_log(tmp_path)
    given = {name: arguments[0] for name, arguments in run.called if name.endswith("_artifact")}
    base, card = cards()
    assert given["use_artifact"].name == base.id and given["log_artifact"].name == card.id


def test_a_run_that_fails_is_marked_and_variables_are_given_back(broken, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_CACHE_DIR", "mine")
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    run = broken("nothing")
    codes = []
    run.finish = lambda exit_code: codes.append(exit_code)
    with pytest.raises(ZeroDivisionError), RunLog(tmp_path, "sft", {}, wandb=True):
        assert os.environ["WANDB_DATA_DIR"] == str(tmp_path)
        raise ZeroDivisionError
    assert codes == [1]
    assert os.environ["WANDB_CACHE_DIR"] == "mine" and "WANDB_DATA_DIR" not in os.environ
