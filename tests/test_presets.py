"""Every shipped YAML is a valid configuration, and the three phases stay recipes."""

from pathlib import Path

import pytest

import phases.align
import phases.grpo
import phases.sft
from tinr.bases import BaseConfig
from tinr.config import load_config
from tinr.quickstart import PRESETS

KINDS = {
    "base": BaseConfig,
    "align": phases.align.AlignConfig,
    "sft": phases.sft.SftConfig,
    "grpo": phases.grpo.GrpoConfig,
}
FILES = sorted(PRESETS.glob("*/*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_configuration_is_valid(file):
    loaded = load_config(KINDS[file.stem], file)
    assert loaded != KINDS[file.stem]()  # it holds what differs


def test_both_presets_cover_all_phases():
    assert {(f.parent.name, f.stem) for f in FILES} == {
        (preset, phase) for preset in ("quickstart", "smoke") for phase in KINDS
    }


@pytest.mark.parametrize("phase", ["align", "sft", "grpo"])
def test_a_phase_is_read_on_a_page_or_two(phase):
    lines = Path(phases.align.__file__).with_name(f"{phase}.py").read_text().splitlines()
    assert len(lines) < 200
