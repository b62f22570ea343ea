"""The report of a run in whose registry something was calibrated."""

import json
from pathlib import Path

import pytest
from registry_parts import make_card, moment, write_model
from report_parts import whole_run

from tinr.checkpoints.registry import Registry
from tinr.evaluation.errors.faults import counted
from tinr.evaluation.report.page import write_report
from tinr.training.preference.rounds import changes

BEFORE = {f"q{n}": ["poor", "malformed"] if n < 8 else ["excellent"] for n in range(20)}
AFTER = {f"q{n}": ["fair", "wrong_key"] if n < 1 else ["excellent"] for n in range(20)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run whose sft checkpoint was calibrated by two losses, and sampled from."""
    folder = whole_run(tmp_path)
    registry = Registry(folder / "registry")
    parent = registry.resolve("sft@latest").id
    found = {"before": counted(BEFORE), "after": counted(AFTER), "changes": changes(BEFORE, AFTER)}
    rounds = [{"queries": 6, "nodes": 50, "tokens": 1234, "seconds": 9.5, "pairs": 7, "steps": 2}]
    sampled = {"replies": 90, "right": 5, "tokens": 1240, "kept": 4, "queries": 3, "seconds": 2.0}
    for number, (phase, loss, more) in enumerate(
        (
            ("calibrate", "simpo", {"rounds": rounds}),
            ("calibrate", "dpo", {"rounds": rounds, "after": counted(BEFORE), "changes": {}}),
            ("reject", None, {"sampled": sampled}),
        )
    ):
        config = {"preference": {"loss": loss}} if loss else {"seed": 1}
        card = make_card(
            phase, created=moment(9 + number), parent=parent, config=config, seconds=60.0,
            metrics=found | more,
        )  # fmt: skip
        registry.publish(card, write_model)
    return folder


def section_of(folder: Path) -> dict:
    write_report(folder)
    sections = json.loads((folder / "report.json").read_text())["sections"]
    return next(one for one in sections if one["key"] == "deficiencies")


def test_losses_of_one_parent_stand_beside_what_was_there_before(run: Path) -> None:
    table, taken = section_of(run)["tables"]
    assert table["columns"] == ["before", "simpo", "dpo", "reject"]
    rows = {row["label"]: [cell["value"] for cell in row["cells"]] for row in table["rows"]}
    assert rows["malformed"] == pytest.approx([0.4, 0.0, 0.4, 0.0])
    assert rows["wrong key"] == pytest.approx([0.0, 0.05, 0.0, 0.05])
    assert "wrong value" not in rows and "acceptable" not in rows  # nobody's
    assert [row["cells"][2:4] for row in taken["rows"]] == [[1234, 7], [1234, 7], [1240, 4]]


def test_changes_are_said_with_their_tests(run: Path) -> None:
    """8 malformed ones mended, none broken: p = 2 / 256, the smallest of 5 by Holm's 5."""
    said = section_of(run)["said"]
    assert "40.0 points fewer malformed (p = 0.039 after Holm)" in said
    assert said.endswith("cannot be told apart from chance.")


def test_all_three_forms_have_it(run: Path) -> None:
    page = write_report(run).read_text()
    assert "Deficiencies before and after calibration" in page
    assert "deficiencies: wrong key" in (run / "report.md").read_text()


def test_a_run_without_it_does_not_miss_it(tmp_path: Path) -> None:
    page = write_report(whole_run(tmp_path)).read_text()
    assert "Deficiencies before" not in page


def test_a_card_of_an_earlier_form_is_shown_without_tests(run: Path) -> None:
    registry = Registry(run / "registry")
    old = {"before": counted(BEFORE), "after": counted(AFTER)}
    card = make_card("calibrate", created=moment(20), parent=None, metrics=old)
    registry.publish(card, write_model)
    tables = section_of(run)["tables"]
    assert [t["columns"] for t in tables[:2]] == [["before", "simpo", "dpo", "reject"],
                                                  ["before", "calibrate"]]  # fmt: skip
