"""Configuration: defaults once, a file over them, overrides over both, and no key in vain."""

import dataclasses
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from phases.align import AlignConfig
from phases.base import BaseConfig
from phases.calibrate import CalibrateConfig
from phases.grpo import GrpoConfig
from phases.reject import RejectConfig
from phases.sft import SftConfig
from tinr.config import OptimiserConfig, PreferenceConfig, TrainingConfig, as_dict
from tinr.config_files import build, described, load_config, override
from tinr.records import BadInput
from tinr.training.grpo_config import PolicyConfig


@dataclass(frozen=True)
class Recipe:
    """A phase's configuration in small: two levels below it."""

    name: str = "plain"
    training: TrainingConfig = field(default_factory=TrainingConfig)


def write(folder: Path, text: str) -> Path:
    """A YAML file."""
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold() -> None:
    config = load_config(Recipe, None)
    assert config == Recipe()
    assert config.training.optimiser == OptimiserConfig()
    assert config.training.optimiser.learning_rate == 5e-5
    assert config.training.optimiser.betas == (0.9, 0.95)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(Recipe, write(tmp_path, "# nothing differs\n")) == Recipe()


def test_a_file_holds_what_differs_and_an_override_wins(tmp_path: Path) -> None:
    path = write(tmp_path, "name: mine\ntraining:\n  row_tokens: 64\n  max_tokens: 128\n")
    config = load_config(Recipe, path, ["training.max_tokens=99", "training.optimiser.name=muon"])
    expected = TrainingConfig(row_tokens=64, max_tokens=99, optimiser=OptimiserConfig(name="muon"))
    assert config == Recipe("mine", expected)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config(Recipe, None).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("written", ["5e-5", "5.0e-5", "0.00005", "5E-5"])
def test_a_small_number_is_a_float_however_written(written: str, tmp_path: Path) -> None:
    """YAML 1.1 reads 5e-5 as text."""
    inside = f"training: {{optimiser: {{learning_rate: {written}, weight_decay: 1e-2}}}}"
    from_file = load_config(Recipe, write(tmp_path, inside)).training.optimiser
    override = f"training.optimiser.learning_rate={written}"
    from_line = load_config(Recipe, None, [override]).training.optimiser
    assert from_file.learning_rate == from_line.learning_rate == 5e-5
    assert isinstance(from_file.learning_rate, float)
    assert from_file.weight_decay == 0.01


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("bf16=false", "bf16", False),
        ("deepspeed=null", "deepspeed", None),
        ("deepspeed=zero2.json", "deepspeed", "zero2.json"),
        ("deepspeed=a=b", "deepspeed", "a=b"),  # only the first = divides
        ("batch_tokens=512", "batch_tokens", 512),
        ("deepspeed=", "deepspeed", ""),
        ("deepspeed='5'", "deepspeed", "5"),
    ],
)
def test_override_syntax(override: str, key: str, value: object) -> None:
    assert getattr(load_config(TrainingConfig, None, [override]), key) == value


def test_a_list_for_a_pair() -> None:
    config = load_config(OptimiserConfig, None, ["betas=[0.8, 0.9]"])
    assert config.betas == (0.8, 0.9)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["nmae=x"], ["'nmae'", "did you mean 'name'"]),
        (["training.max_tokns=9"], ["'training.max_tokns'", "'training.max_tokens'"]),
        (
            ["training.optimiser.learning_rat=1"],
            [
                "'training.optimiser.learning_rat'",
                "did you mean 'training.optimiser.learning_rate'",
            ],
        ),
        (["row_tokens=9"], ["did you mean 'training.row_tokens'"]),
        (["zzzzzz=1"], ["'zzzzzz'", "known here: name, training"]),
        (["training.row_tokens=many"], ["training.row_tokens", "integer", "'many'"]),
        (["training.row_tokens=1.5"], ["training.row_tokens", "1.5"]),
        (["training.optimiser.name=sgd"], ["training.optimiser.name", "'adamw'", "'sgd'"]),
        (["training.optimiser.betas=[1]"], ["training.optimiser.betas"]),
        (["training.optimiser.learning_rate=null"], ["training.optimiser.learning_rate"]),
        (["training=5"], ["training: a group of settings; write training.NAME=VALUE", "5"]),
        (["name=x", "name.y=1"], ["'name.y=1'", "name is a value"]),
        (["name"], ["'name'", "key=value"]),
        (["=1"], ["'=1'", "key=value"]),
        (["name=[1"], ["'name=[1'", "not YAML"]),
        (["name=2024-31-12"], ["'name=2024-31-12'", "not YAML"]),
    ],
)
def test_wrong_overrides_say_what_and_where(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(BadInput) as raised:
        load_config(Recipe, None, overrides)
    message = str(raised.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "training:\n  optimiser:\n    warmpu: 0\n",
            ["'training.optimiser.warmpu'", "'training.optimiser.warmup'"],
        ),
        ("- name\n", ["not a mapping"]),
        ("name: [\n", ["not YAML"]),
        ("name: 2024-31-12\n", ["not YAML"]),
        ("1: 2\n", ["'1'"]),
    ],
)
def test_a_wrong_file_is_named(text: str, words: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as raised:
        load_config(Recipe, path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize("written", ["inf", "-inf", ".inf", "nan", ".nan", "1e999"])
def test_a_number_without_end_is_refused_before_anything_is_trained(written: str) -> None:
    """No card could be written with it."""
    with pytest.raises(BadInput, match=r"command line: gamma|gamma: -?(inf|nan) is not a finite"):
        load_config(PreferenceConfig, None, [f"gamma={written}"])
    with pytest.raises(BadInput, match=r"optimiser.gradient_clip"):
        load_config(PreferenceConfig, None, [f"optimiser.gradient_clip={written}"])


def test_what_is_given_in_part_keeps_the_rest_of_its_own_default(tmp_path: Path) -> None:
    """Of this place, not of its class: grpo's rate is not that of every optimiser."""
    policy = load_config(PolicyConfig, None, ["optimiser.warmup=0.1"])
    assert policy.optimiser == replace(PolicyConfig().optimiser, warmup=0.1)
    assert policy.optimiser.learning_rate == 2e-6
    written = write(tmp_path, "optimiser: {warmup: 0.1}")
    assert load_config(PolicyConfig, written) == policy
    base = load_config(BaseConfig, None, ["training.max_tokens=100"])
    assert base.training == replace(BaseConfig().training, max_tokens=100)


def test_one_entry_of_a_mapping_leaves_the_others(tmp_path: Path) -> None:
    """A gate that nobody took back is still asked for; a mapping that is given whole replaces."""
    one = load_config(AlignConfig, None, ["least.token_to_document=0.9"])
    assert one.min_recall == {**AlignConfig().min_recall, "token_to_document": 0.9}
    assert load_config(AlignConfig, None, ["min_recall={token_to_document: 0.9}"]).min_recall == {
        "token_to_document": 0.9
    }
    file = write(tmp_path, "least: {document_to_token: 0.5}")
    from_file = load_config(AlignConfig, file, ["least.token_to_document=0.9"])
    assert from_file.min_recall == {"document_to_token": 0.5, "token_to_document": 0.9}


@pytest.mark.parametrize(
    "text", ["x #1", "4.1", "2024-31-12", "a: b", "null", "[1", "5e-5", 'q"', "x/\U0001f600"]
)
def test_a_text_is_read_back_as_it_is(text: str) -> None:
    assert load_config(Recipe, None, [override("name", text)]).name == text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such configuration file"):
        load_config(Recipe, tmp_path / "absent.yaml")


def test_the_resolved_configuration_is_plain_data_and_reads_back() -> None:
    config = load_config(Recipe, None, ["training.max_tokens=77", "name=x"])
    plain = as_dict(config)
    assert plain["training"]["max_tokens"] == 77
    assert plain["training"]["optimiser"]["betas"] == [0.9, 0.95]
    assert build(Recipe, plain, "saved") == config


@pytest.mark.parametrize(
    "override",
    [
        "training.accumulate=0",
        "training.batch_tokens=-5",
        "training.row_tokens=0",
        "training.optimiser.learning_rate=-1",
        "training.optimiser.learning_rate=.nan",
        "training.checkpoint_steps=-1",
    ],
)
def test_a_number_out_of_its_range_is_refused_by_its_key(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(BadInput, match=rf"{key}: Input should be"):
        load_config(Recipe, None, [override])


@pytest.mark.parametrize(
    "kind", [AlignConfig, SftConfig, GrpoConfig, CalibrateConfig, RejectConfig, BaseConfig]
)
def test_every_setting_is_listed_with_its_default_and_reads_back(kind, tmp_path):
    text = described(kind)
    (tmp_path / "all.yaml").write_text(text)
    assert load_config(kind, tmp_path / "all.yaml") == kind()
    assert "learning_rate: " in text and "# peak" in text
    assert re.search(r"^registry: runs/registry( +#|$)", text, re.MULTILINE)


def test_a_comment_of_several_lines_is_told_whole():
    said = described(GrpoConfig)
    assert "with all of them the policy abstains everywhere" in said
    assert re.search(r"^parent: sft@latest  # registry reference", said, re.MULTILINE)


def test_a_wrong_value_is_looked_for_where_it_was_given(tmp_path):
    (tmp_path / "a.yaml").write_text("epochs: 3\n")
    with pytest.raises(BadInput, match=r"^command line: catalogue: .* a list: catalogue=\[...\]"):
        load_config(AlignConfig, tmp_path / "a.yaml", ["catalogue=tools"])
    (tmp_path / "a.yaml").write_text("epochs: many\n")
    with pytest.raises(BadInput, match=r"a\.yaml, command line: epochs: "):
        load_config(AlignConfig, tmp_path / "a.yaml", ["seed=1"])


def test_an_old_name_of_a_setting_still_works_and_warns(tmp_path):
    (tmp_path / "old.yaml").write_text("training: {longest: 64}\nleast: {token_to_schema: 0.5}\n")
    with pytest.warns(UserWarning) as warned:
        config = load_config(AlignConfig, tmp_path / "old.yaml", ["training.longest=99"])
    assert config.training.max_tokens == 99
    assert config.min_recall["token_to_schema"] == 0.5
    said = {str(warning.message) for warning in warned}
    assert f"{tmp_path / 'old.yaml'}: longest is called max_tokens now; write max_tokens" in said
    assert "training.longest=99: longest is called max_tokens now; write max_tokens" in said
    (tmp_path / "both.yaml").write_text("training: {longest: 64, max_tokens: 65}\n")
    with pytest.raises(BadInput, match="max_tokens is given twice"), pytest.warns(UserWarning):
        load_config(AlignConfig, tmp_path / "both.yaml", [])


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (CalibrateConfig, "held=7", "holdout"),
        (CalibrateConfig, "hardest=0.7", "hard_fraction"),
        (CalibrateConfig, "preference.longest=70", "preference.max_tokens"),
        (RejectConfig, "sampling.longest=70", "sampling.max_tokens"),
        (GrpoConfig, "policy.longest=70", "policy.max_tokens"),
        (CalibrateConfig, "judge.longest=70", "judge.max_tokens"),
    ],
)
def test_every_renamed_setting_is_read_by_its_old_name(kind, old, new):
    with pytest.warns(UserWarning, match="is called"):
        found = load_config(kind, None, [old])
    for part in new.split("."):
        found = getattr(found, part)
    assert found == float(old.partition("=")[2])


def test_an_old_name_inside_a_group_that_is_given_whole_is_read():
    with pytest.warns(UserWarning, match="longest is called max_tokens"):
        assert load_config(GrpoConfig, None, ["replay={longest: 70}"]).replay.max_tokens == 70
