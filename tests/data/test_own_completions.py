"""What a base says to plain prompts: sampled once, replayed with loss on its own words alone."""

import json
from random import Random

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tests.registry_parts import make_card
from tinr.chat.codec import IGNORE
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.data import own_completions as own
from tinr.data.own_completions import Completion, own_examples
from tinr.records import BadInput

SAID = [Completion((1, 2), (3, 4, 5)), Completion((6,), (7,))]


def test_only_what_the_base_said_carries_loss():
    ids = {tuple(e.ids): list(e.labels) for e in own_examples(SAID, Random(0), 7)}
    assert ids == {
        (1, 2, 3, 4, 5): [IGNORE, IGNORE, 3, 4, 5],
        (6, 7): [IGNORE, 7],
    }


def test_they_come_again_until_there_are_enough_tokens():
    """5 + 2 tokens a round: 20 tokens are two rounds and at least one more."""
    made = own_examples(SAID, Random(0), 20)
    assert 20 <= sum(e.width for e in made) < 25
    assert own_examples(SAID, Random(0), 0) == [] == own_examples([], Random(0), 9)


def test_a_base_is_asked_once_and_what_it_said_is_kept(tmp_path, codec, monkeypatch):
    registry, card = published(tmp_path, codec)
    first = own.own_completions(registry, card.id, 0)
    assert len(first) == len(own.REQUESTS) + len(own.OPENINGS)
    assert all(one.prompt and 1 <= len(one.completion) <= own.COMPLETION_TOKENS for one in first)
    assert len({one.prompt for one in first}) == len(first)
    monkeypatch.setattr(own, "sample_own", lambda *_: pytest.fail("asked again"))
    assert own.own_completions(registry, card.id, 0) == first


def test_a_damaged_file_is_named(tmp_path, codec):
    registry, card = published(tmp_path, codec)
    path = registry.root / own.FOLDER / f"{card.id}-0.json"
    path.parent.mkdir()
    path.write_text(json.dumps([{"prompt": [1]}]))
    with pytest.raises(BadInput, match=r"damaged .* remove it"):
        own.own_completions(registry, card.id, 0)


def test_no_plain_prompt_is_in_a_corpus_or_what_the_tax_is_measured_on():
    from tinr.catalogue.english import held_out_sentences
    from tool_corpora.suites import test_suite as suite

    texts = {q.text for name in ("in_domain", "out_of_domain") for q in suite(name, 60)}
    prompts = {*own.REQUESTS, *own.OPENINGS}
    assert not prompts & texts
    assert not [s for s in held_out_sentences() if any(s.startswith(p) for p in own.OPENINGS)]


def published(tmp_path, codec):
    """A registry with a tiny random base."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(codec.tokenizer), hidden_size=16, intermediate_size=32,
            num_hidden_layers=1, num_attention_heads=1, tie_word_embeddings=True,
        )
    )  # fmt: skip
    registry = Registry(tmp_path / "registry")
    return registry, registry.publish(
        make_card(), lambda folder: save(folder, model, codec.tokenizer, None)
    )
