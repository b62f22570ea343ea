"""The base: generic skills only, and any Hugging Face model in its place."""

import copy
import json
import re
from random import Random

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from phases.align import AlignConfig, run
from phases.base import BaseConfig, build_base
from tinr.catalogue.english import held_out_sentences, train_sentences
from tinr.catalogue.load import load_catalogue, write_jsonl
from tinr.chat.codec import FRAMES, IGNORE
from tinr.chat.render import as_text
from tinr.checkpoints.import_model import import_base, named_base
from tinr.checkpoints.model import to_accelerator
from tinr.checkpoints.registry import Registry
from tinr.data.alignment_examples import PairMix
from tinr.data.base_tasks import EASY, HARD, make_task
from tool_corpora import suites


@pytest.fixture(scope="module")
def tasks() -> list[str]:
    rng = Random(0)
    return [as_text(make_task(rng, FRAMES["tinr"])) for _ in range(3000)]


def test_nothing_of_the_corpora_is_in_the_base(tasks):
    """No tool name, no description, no query and no phrasing stands in what a base sees."""
    seen = "\n".join([*tasks, *train_sentences()])
    tools = load_catalogue(["toolbox", "fieldkit"]).tools
    assert not [doc.name for doc in tools if doc.name in seen]
    assert not [doc.description for doc in tools if doc.description in seen]
    queries = [*suites.training_queries(300, 0, "sft"), *suites.test_suite("in_domain", 100)]
    assert not [q.text for q in queries if len(q.text) > 30 and q.text in seen]


def test_values_are_open(tasks):
    """Of the words that tasks ask to repeat, most occur once: nothing to memorise."""
    words = [w for t in tasks for w in re.findall(r'"token": "(\w+)"', t)]
    assert len(words) > 1000 and len(set(words)) > 0.8 * len(words)


def test_every_kind_of_task_is_made_and_learns_something(codec):
    from tinr.data.base_tasks import _TASKS

    assert set(_TASKS) == set(EASY.mix) == set(HARD.mix)
    for name, make in _TASKS.items():
        ids, labels = codec.encode(make(Random(name), codec.frame, HARD))
        learned = [i for i in labels if i != IGNORE]
        assert 0 < len(learned) <= len(ids)


def test_held_out_english_is_not_trained_on():
    assert not set(held_out_sentences()) & set(train_sentences())
    assert len(held_out_sentences()) > 100


def test_the_same_seed_builds_the_same_base_once(tmp_path):
    config = BaseConfig(
        registry=str(tmp_path / "a"),
        run=str(tmp_path),
        tokens=20_000,
        hidden=32,
        layers=1,
        heads=1,
        vocabulary=600,
    )
    card = build_base(config)
    assert build_base(config).id == card.id
    other = build_base(BaseConfig(**{**vars(config), "registry": str(tmp_path / "b")}))
    assert other.base_hash == card.base_hash


def write_qwen(folder, tokenizer) -> None:
    """A tiny random Qwen2 with a byte-level tokenizer, as transformers saves it."""
    torch.manual_seed(0)
    tokenizer = copy.deepcopy(tokenizer)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            tie_word_embeddings=False,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_a_qwen2_model_goes_through_align(tmp_path, qwen_tokenizer, catalogue):
    """Any causal language model with a fast tokenizer: untied, byte-level, ChatML."""
    write_qwen(tmp_path / "qwen", qwen_tokenizer)
    write_jsonl(tmp_path / "tools" / "tools.jsonl", (vars(doc) for doc in catalogue.tools))
    registry = Registry(tmp_path / "registry")
    base = import_base(str(tmp_path / "qwen"), registry)
    assert import_base(str(tmp_path / "qwen"), registry).id == base.id
    registry.tag("mine", base.id)
    for name in (base.id, "mine", "base@latest", str(tmp_path / "qwen")):
        assert named_base(name, registry).id == base.id
    card = run(
        AlignConfig(
            base=str(tmp_path / "qwen"),
            registry=str(tmp_path / "registry"),
            run=str(tmp_path),
            catalogue=(str(tmp_path / "tools"),),
            epochs=2,
            replay=0.0,
            min_recall={},
            mix=PairMix(1, 1, 1, 1, 1, 1, 1),
        )
    )
    assert card.base_model.endswith("qwen") and card.base_hash == base.base_hash
    assert card.tokens > 500


def test_another_tokenizer_or_configuration_is_another_base(tmp_path, qwen_tokenizer):
    """The weights alone do not say what a folder is."""
    write_qwen(tmp_path / "qwen", qwen_tokenizer)
    registry, folder = Registry(tmp_path / "registry"), str(tmp_path / "qwen")
    ids = [import_base(folder, registry).id]
    for name, key, value in (
        ("config.json", "max_position_embeddings", 77),
        ("tokenizer_config.json", "chat_template", "{{ messages }}"),
    ):
        path = tmp_path / "qwen" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        ids += [import_base(folder, registry).id, import_base(folder, registry).id]
    assert len(set(ids)) == 3 and ids[1::2] == ids[2::2]


@pytest.mark.parametrize(("free", "moved"), [(2.0, True), (1.2, False)])
def test_a_model_goes_to_the_accelerator_where_it_fits(monkeypatch, free, moved):
    """There is none here: what the driver would say is played."""
    model = torch.nn.Linear(4, 4)
    size = 4 * 20
    places: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * size, 10 * size))
    monkeypatch.setattr(model, "to", lambda place: places.append(place) or model)
    assert to_accelerator(model) is model
    assert places == (["cuda"] if moved else [])
