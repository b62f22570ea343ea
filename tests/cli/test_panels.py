"""The dashboard as data, as wandb's own workspace, and the command that makes it."""

import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tinr.cli import panels
from tinr.cli.main import app
from tinr.command import guarded
from tinr.evaluation.report.curves import DRAWN
from tinr.run_log import METRIC_NAMES, TABLE_NAMES

SECTIONS = ["Training", "Rewards", "Rollouts", "Gates", "Conversations", "Lineage"]


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """No key in the variables nor in a netrc, and nothing known of an earlier login."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_ENTITY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    import wandb

    settings = SimpleNamespace(
        api_key=None, identity_token_file=None, base_url="https://api.wandb.ai"
    )
    monkeypatch.setattr(wandb, "setup", lambda: SimpleNamespace(settings=settings))
    return settings


def error_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that ends with exit code 2."""

    def program() -> None:
        CliRunner().invoke(app, ["dashboards", *words], catch_exceptions=False)

    assert guarded(program) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.strip().splitlines()) == 1
    return said


def test_every_metric_and_table_is_in_exactly_one_panel_and_no_other_is():
    shown = Counter(name for panel in panels.panels() for name in panel["names"])
    assert shown == Counter([*METRIC_NAMES, *TABLE_NAMES])


def test_sections_stand_in_their_order_with_the_charts_of_the_report():
    shown = panels.panels()
    assert list(dict.fromkeys(panel["section"] for panel in shown)) == SECTIONS
    lines = {panel["title"] for panel in shown if panel["kind"] == "lines"}
    assert lines == {chart.title for chart in DRAWN}
    assert all(panel["names"] and panel["title"] for panel in shown)


def test_the_workspace_holds_the_panels_by_the_step_of_the_training():
    pytest.importorskip("wandb_workspaces", reason="pip install .[dashboards]")
    made = panels.workspace("team", "tinr")
    assert (made.entity, made.project) == ("team", "tinr")
    assert [section.name for section in made.sections] == SECTIONS
    spec = json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    sections = spec["section"]["panelBankConfig"]["sections"]
    drawn = [panel for section in sections for panel in section["panels"]]
    assert len(drawn) == len(panels.panels())
    lines = [panel["config"] for panel in drawn if panel["viewType"] == "Run History Line Plot"]
    assert lines[0]["metrics"] == ["train/loss"]
    assert {line["xAxis"] for line in lines} == {"train/global_step"}
    text = json.dumps(drawn)
    assert all(f'"{name}"' in text for name in [*METRIC_NAMES, *TABLE_NAMES])


def test_a_dry_run_prints_the_layout_and_asks_nobody(no_account, monkeypatch):
    monkeypatch.setattr(panels, "create", None)
    done = CliRunner().invoke(app, ["dashboards", "--entity", "team", "--dry-run"])
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "entity": "team",
        "project": "tinr",
        "panels": panels.panels(),
    }


def test_without_an_account_one_line_says_what_to_do(no_account, capsys):
    said = error_of("--entity", "team", capsys=capsys)
    assert "WANDB_API_KEY" in said and "wandb login" in said and "tinr report" in said


def test_an_entity_is_asked_for(no_account, capsys):
    assert "--entity" in error_of(capsys=capsys)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("machine api.wandb.ai login user password abc\n", True),
        ("machine example.org login user password abc\n", False),
        ("machine\n", False),
    ],
)
def test_a_login_of_this_host_is_found(no_account, tmp_path, text, known):
    (tmp_path / "netrc").write_text(text)
    assert panels.has_key() is known


def test_what_wandb_refuses_is_one_line(no_account, monkeypatch, capsys):
    no_account.api_key = "key"

    def refuse():
        raise RuntimeError("permission denied\nand more")

    monkeypatch.setattr(panels, "workspace", lambda *_: SimpleNamespace(save=refuse))
    said = error_of("--entity", "team", capsys=capsys)
    assert "team/tinr was not changed (permission denied)" in said and "and more" not in said


def test_settings_that_wandb_cannot_read_are_one_line(monkeypatch, capsys):
    import wandb

    def refuse():
        raise wandb.UsageError("API key may only contain\nletters")

    monkeypatch.setattr(wandb, "setup", refuse)
    said = error_of("--entity", "team", capsys=capsys)
    assert "wandb rejects its settings (API key may only contain letters)" in said


def test_the_address_of_the_new_view_is_printed(no_account, monkeypatch):
    no_account.api_key = "key"
    view = SimpleNamespace(url="https://example.org/team/tinr?nw=1")
    monkeypatch.setattr(panels, "workspace", lambda *_: SimpleNamespace(save=lambda: view))
    words = ["dashboards", "--entity", "team", "--project", "other"]
    assert CliRunner().invoke(app, words).output.strip() == view.url
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).output) == {"url": view.url}


def test_a_missing_package_is_named(monkeypatch, no_account, capsys):
    no_account.api_key = "key"
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    assert "tinr[dashboards]" in error_of("--entity", "team", capsys=capsys)
