"""The recipes of scripts/configs: each is run for a few steps on a tiny model of its kind."""

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from phases import align, calibrate, grpo, sft
from tinr.catalogue.load import write_jsonl
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config
from tinr.training.loop import ZERO, deepspeed_file
from tinr.training.phase_run import ADAPTER

CONFIGS = Path(__file__).parents[2] / "scripts" / "configs"
PHASES = {
    "align": (align.run, align.AlignConfig),
    "sft": (sft.run, sft.SftConfig),
    "grpo": (grpo.run, grpo.GrpoConfig),
}
LAYERED = ("lora", "rows")  # laid over a model's own
MODELS = sorted({p.parent.name for p in CONFIGS.glob("*/*.yaml")} - set(LAYERED))


def files(model: str, kind: str, phase: str) -> list[Path]:
    own = [CONFIGS / model / f"{phase}.yaml"]
    return own if kind == "all" else [*own, CONFIGS / kind / f"{phase}.yaml"]


def tiny(model: str, vocabulary: int):
    """A random model of the same architecture: grouped queries, tied as the real one is."""
    torch.manual_seed(0)
    size = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
    }
    if model.startswith("llama"):
        return LlamaForCausalLM(LlamaConfig(**size, tie_word_embeddings=False))
    tied = model == "qwen2.5-1.5b"
    return Qwen2ForCausalLM(Qwen2Config(**size, tie_word_embeddings=tied))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", ["all", *LAYERED])
@pytest.mark.parametrize("model", MODELS)
def test_a_recipe_is_valid_and_says_what_moves(model, kind, phase):
    config = load_config(PHASES[phase][1], files(model, kind, phase))
    assert config.trainable.what == kind
    loop = config.policy if phase == "grpo" else config.training
    assert deepspeed_file(loop.deepspeed, loop.optimiser) == str(ZERO / f"{loop.deepspeed}.json")


@pytest.mark.parametrize("file", sorted(ZERO.glob("*.json")), ids=lambda path: path.stem)
def test_a_deepspeed_configuration_is_what_its_name_says(file):
    """And it leaves to the phase what the phase configures."""
    read = json.loads(file.read_text())
    stage = read["zero_optimization"]
    assert stage["stage"] == int(file.stem.removeprefix("zero")[0])
    assert ("offload_optimizer" in stage) == file.stem.endswith("offload")
    assert "optimizer" not in read and "scheduler" not in read
    assert read["train_batch_size"] == read["gradient_clipping"] == "auto"


EACH_ONCE = [*((model, "all") for model in MODELS), *zip(MODELS, LAYERED, strict=False)]


@pytest.mark.parametrize(("model", "kind"), EACH_ONCE)
def test_a_recipe_runs_on_a_tiny_model(model, kind, qwen_tokenizer, catalogue, tmp_path):
    """All three phases, two steps at least, in float32 on one rank; the card says what moved."""
    tiny(model, len(qwen_tokenizer)).save_pretrained(tmp_path / "base")
    qwen_tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "tools").mkdir()
    write_jsonl(tmp_path / "tools" / "tools.jsonl", (vars(doc) for doc in catalogue.tools))
    asked = [
        {"id": f"q{n}", "query": f"What is the area of a circle of radius {n}?",
         "calls": [{"name": "circle_area", "arguments": {"radius": n}}]}
        for n in range(1, 9)
    ]  # fmt: skip
    write_jsonl(tmp_path / "queries.jsonl", asked)
    places = [f"registry={tmp_path / 'registry'}", f"run={tmp_path / 'run'}"]
    queries = f"queries={tmp_path / 'queries.jsonl'}"
    few = {
        "align": [
            f"base={tmp_path / 'base'}", f"catalogue=[{tmp_path / 'tools'}]", "epochs=2",
            "min_recall={}", "training.deepspeed=null", "training.bf16=false",
        ],
        "sft": [queries, "epochs=2", "tolerance=1", "training.deepspeed=null",
                "training.bf16=false"],
        "grpo": [
            queries, "tolerance=1", "policy.steps=2", "policy.prompts=2", "policy.max_tokens=24",
            "policy.deepspeed=null", "policy.bf16=false", "pseudo=1", "unqueried=1",
        ],
    }  # fmt: skip
    for phase, (run, settings) in PHASES.items():
        card = run(load_config(settings, files(model, kind, phase), [*places, *few[phase]]))
        assert card.data_position["steps"] >= 2
        beside = Registry(tmp_path / "registry").path(card) / ADAPTER
        assert beside.is_dir() == (kind != "all")


def test_the_recipe_of_calibration_is_valid():
    config = load_config(calibrate.CalibrateConfig, CONFIGS / "lora" / "calibrate.yaml")
    assert config.trainable.what == "lora" and config.preference.optimiser.learning_rate == 1e-6
