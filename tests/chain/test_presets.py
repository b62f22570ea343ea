"""Every shipped YAML is a valid configuration, and the three phases stay recipes."""

from pathlib import Path

import pytest

import phases.align
import phases.calibrate
import phases.grpo
import phases.reject
import phases.sft
from phases.base import BaseConfig
from tinr.chain.quickstart import PRESETS_FOLDER
from tinr.config_files import load_config
from tinr.records import BadInput
from tinr.studies.arms import ARMS, overrides
from tinr.studies.calibration import CALIBRATION_ARMS, train_arms

KINDS = {
    "base": BaseConfig,
    "align": phases.align.AlignConfig,
    "sft": phases.sft.SftConfig,
    "grpo": phases.grpo.GrpoConfig,
    "calibrate": phases.calibrate.CalibrateConfig,
    "reject": phases.reject.RejectConfig,
}
FILES = sorted(PRESETS_FOLDER.glob("*/*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_configuration_is_valid(file):
    loaded = load_config(KINDS[file.stem], file)
    assert loaded != KINDS[file.stem]()  # it holds what differs


def test_both_presets_cover_all_phases():
    """The quickstart's base is pretrained: it has no settings of its own."""
    found = {(file.parent.name, file.stem) for file in FILES}
    expected = {(preset, phase) for preset in ("quickstart", "smoke") for phase in KINDS}
    assert found == expected - {("quickstart", "base")}


@pytest.mark.parametrize("phase", ["align", "sft", "grpo"])
def test_a_phase_is_read_on_a_page_or_two(phase):
    lines = Path(phases.align.__file__).with_name(f"{phase}.py").read_text().splitlines()
    assert len(lines) < 200


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_changes_what_it_says_and_nothing_by_mistake(name):
    """Every override is a known key; an arm answers in the documents mode it was trained in."""
    arm = ARMS[name]
    loaded = {
        phase: load_config(KINDS[phase], PRESETS_FOLDER / "quickstart" / f"{phase}.yaml", changes)
        for phase, changes in arm.changes.items()
    }
    assert loaded["grpo"].policy.documents == (arm.documents,)
    if arm.documents == "none":
        assert list(loaded) == ["align", "sft", "grpo"]
    else:
        assert list(loaded) == ["sft", "grpo"]
        assert loaded["sft"].documents == {arm.documents: 1} and loaded["sft"].catalogue
        taught = [*vars(loaded["sft"].mix).values(), *vars(loaded["grpo"].mix).values()]
        assert not any(taught) and loaded["sft"].replay_pairs == 0
        assert loaded["sft"].prompt == loaded["grpo"].prompt


def test_a_change_of_all_arms_leaves_what_an_arm_itself_says():
    """in_prompt has no align, and replays no pairs whatever the others do."""
    given = ["sft.size=5000", "sft.replay_pairs=1", "align.epochs=4", "grpo.policy.steps=12"]
    prompted = overrides(ARMS["in_prompt"], given)
    assert list(prompted) == ["sft", "grpo"]
    sft = load_config(KINDS["sft"], PRESETS_FOLDER / "quickstart" / "sft.yaml", prompted["sft"])
    assert (sft.size, sft.replay_pairs, sft.documents) == (5000, 0, {"in_prompt": 1})
    assert overrides(ARMS["internalized"], given) == {
        "align": ("epochs=4",),
        "sft": ("size=5000", "replay_pairs=1"),
        "grpo": ("policy.steps=12",),
    }


@pytest.mark.parametrize("change", ["sft", "sft.size", "size=1", "base.tokens=1", ".size=1", ""])
def test_a_change_that_names_no_setting_of_a_phase_is_refused(change):
    with pytest.raises(BadInput, match=r"write PHASE.KEY=VALUE with a phase of align, sft, grpo"):
        overrides(ARMS["internalized"], [change])


@pytest.mark.parametrize("name", CALIBRATION_ARMS)
def test_an_arm_of_the_calibration_study_changes_known_keys(name):
    """The losses differ in nothing that the search depends on."""
    loaded = load_config(KINDS["calibrate"], PRESETS_FOLDER / "quickstart" / "calibrate.yaml")
    changed = load_config(
        KINDS["calibrate"],
        PRESETS_FOLDER / "quickstart" / "calibrate.yaml",
        CALIBRATION_ARMS[name].loss,
    )
    assert all(getattr(loaded, key) == getattr(changed, key) for key in phases.calibrate.SEARCH)
    assert set(CALIBRATION_ARMS[name].steps) <= {"calibrate", "grpo", "reject"}


def test_an_unknown_arm_is_refused(tmp_path):
    with pytest.raises(BadInput, match="the arms are sft, grpo, simpo"):
        train_arms(["nosuch"], "smoke", 0, tmp_path)
