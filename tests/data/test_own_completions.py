"""What a base says to plain prompts: sampled once, replayed with loss on its own words alone."""

import copy
import json
from random import Random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.registry_parts import make_card
from tinr.chat.codec import IGNORE, Codec, Piece
from tinr.chat.parse import parse
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry
from tinr.data import own_completions as own
from tinr.data.own_completions import Completion, OwnCompletions, own_examples
from tinr.data.traces import NO_TOOL
from tinr.records import BadInput

SAID = OwnCompletions(
    (Completion((1, 2), (3, 4, 5), "Who?", said=2, row=1), Completion((6,), (7,), row=4))
)


def test_only_what_the_base_said_carries_loss(codec, monkeypatch):
    monkeypatch.setattr(own, "FRAMED_SHARE", 0.0)
    made = {
        tuple(e.ids): (list(e.labels), list(e.soft))
        for e in own_examples(SAID, codec, Random(0), 7)
    }
    assert made == {
        (1, 2, 3, 4, 5): ([IGNORE, IGNORE, 3, 4, 5], [0, 0, 1, 2, 3]),
        (6, 7): ([IGNORE, 7], [0, 4]),
    }


def test_an_answer_stands_in_a_tool_conversation_too(codec, monkeypatch):
    """Its whole sentences, as the same ids with their rows, behind the thought that none fits."""
    monkeypatch.setattr(own, "FRAMED_SHARE", 1.0)
    text = "Paris is large."
    ids = codec.encode_plain(text)
    said = OwnCompletions((Completion((1,), (*ids, 5), "Is it?", said=len(ids), row=9),))
    (example,) = own_examples(said, codec, Random(0), 1)
    pieces = codec.decode(example.ids)
    reply = parse(pieces[pieces.index(Piece("<think>", token=True)) :])
    assert (reply.thought, reply.response) == (NO_TOOL["chat"], text)
    assert "Is it?" in "".join(p.text for p in pieces)
    start = list(example.soft).index(9)
    assert (
        list(example.ids[start : start + len(ids)])
        == ids
        == list(example.labels[start : start + len(ids)])
    )
    assert list(example.soft[start : start + len(ids)]) == list(range(9, 9 + len(ids)))
    assert sum(map(bool, example.soft)) == len(ids)


@pytest.mark.parametrize(
    ("text", "end", "said"),
    [
        ("Paris is large. It", None, "Paris is large."),
        ("Paris is large", None, ""),
        ("Paris is large", "close", "Paris is large"),
        ("It is. Paris", "close and more", "It is. Paris"),
    ],
)
def test_whole_sentences_before_any_markup_are_an_answer(codec, text, end, said):
    ids = codec.encode_plain(text)
    if end:
        ids = [
            *ids,
            codec.id(codec.frame.close),
            *(codec.encode_plain("On.") if "more" in end else ()),
        ]
    kept = own._said(codec, ids)
    assert str(codec.tokenizer.decode(ids[:kept])).strip() == said


def test_they_come_again_until_there_are_enough_tokens(codec, monkeypatch):
    """5 + 2 tokens a round: 20 tokens are two rounds and at least one more."""
    monkeypatch.setattr(own, "FRAMED_SHARE", 0.0)
    made = own_examples(SAID, codec, Random(0), 20)
    assert 20 <= sum(e.width for e in made) < 25
    assert own_examples(SAID, codec, Random(0), 0) == []
    assert own_examples(OwnCompletions(), codec, Random(0), 9) == []


def test_a_base_is_asked_once_and_what_it_said_is_kept(tmp_path, codec, monkeypatch):
    monkeypatch.setattr(own, "TEXTS", 2)
    monkeypatch.setattr(own, "OWN_REQUESTS", 4)
    registry, card = published(tmp_path, codec)
    first = own.own_completions(registry, card.id, 0)
    said = first.completions
    assert len(own.REQUESTS) < len(said) <= len(own.REQUESTS) + 2 * len(own.OPENINGS) + 4
    assert all(one.prompt and 1 <= len(one.completion) <= own.REPLY_TOKENS for one in said)
    assert [one.row for one in said] == [
        1 + sum(len(o.completion) for o in said[:n]) for n in range(len(said))
    ]
    assert first.teacher is not None
    assert len(first.teacher.ids) == 1 + sum(len(one.completion) for one in said)
    monkeypatch.setattr(own, "sample_own", lambda *_: pytest.fail("asked again"))
    again = own.own_completions(registry, card.id, 0)
    assert again.completions == said and again.teacher is not None
    assert torch.equal(again.teacher.probs, first.teacher.probs)


def test_a_chat_model_makes_requests_of_its_own(qwen_tokenizer, monkeypatch):
    """Behind the opening of a user's turn; unfinished ones, and those with numbers, are dropped."""
    chat = Codec(copy.deepcopy(qwen_tokenizer))
    chat.tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    end = chat.id("<|im_end|>")
    written = ["Why is it so?", "What is 2 + 2?", "Tell me", "Why is it so?"]
    asked: list[list[int]] = []

    def sampled(model, codec, prompts, *_):
        asked.extend(prompts)
        rows = [chat.encode_plain(text) for text in written]
        return [[*row, end] if n != 2 else row for n, row in enumerate(rows)]

    monkeypatch.setattr(own, "_sampled", sampled)
    assert own._own_requests(None, chat, 0) == ["Why is it so?"]  # type: ignore[arg-type]
    assert chat.tokenizer.decode(asked[0]) == "<|im_start|>user\n"
    chat.tokenizer.chat_template = None
    assert own._own_requests(None, chat, 0) == []  # type: ignore[arg-type]


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
