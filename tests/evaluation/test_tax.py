"""The tax: hand-worked distances, exactly nothing against itself, something once disturbed."""

import copy
import math
import re

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.catalogue.english import held_out_sentences, train_sentences
from tinr.chat.codec import Codec
from tinr.chat.render import render_response, render_thought
from tinr.checkpoints.model import grow
from tinr.data.plain_prompts import OPENINGS, REQUESTS
from tinr.evaluation.ability import tax as tax_module
from tinr.evaluation.ability.divergence import sample_completions, shift, shifts_of, text_nats
from tinr.evaluation.ability.tasks import Task, _said, is_right, load_tasks
from tinr.evaluation.ability.tax import (
    check_grown,
    generic_choices,
    passages,
    tax,
    tax_summary,
)
from tinr.records import BadInput

TEXTS = ("The cat sat on the mat, and nobody minded.", "It rained.")


@pytest.fixture(scope="module", params=["tiny", "qwen"])
def pair(request, tiny_tokenizer, qwen_tokenizer, catalogue):
    """A random base with its codec, and the same grown by the catalogue's tools."""
    tokenizer = copy.deepcopy({"tiny": tiny_tokenizer, "qwen": qwen_tokenizer}[request.param])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, tie_word_embeddings=False, pad_token_id=0, eos_token_id=0,
        initializer_range=0.2,
    )  # fmt: skip
    base = LlamaForCausalLM(config).eval()
    model, grown = copy.deepcopy(base), copy.deepcopy(tokenizer)
    grow(model, grown, catalogue)
    return base, Codec(tokenizer), model, Codec(grown)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(tax_module, "COMPLETIONS", 12)
    monkeypatch.setattr(tax_module, "CHOICES", 20)
    monkeypatch.setattr(tax_module, "load_tasks", lambda: load_tasks()[:3])


def skill(codec: Codec) -> tuple[str, int]:
    """Which skill is measured, and with how many questions: a base made here has our tags."""
    return ("choice", 20) if "<response>" in codec.vocabulary else ("tasks", 3)


def test_a_shift_worked_by_hand() -> None:
    """Base over 2 entries: (1/2, 1/2). Model over 4: (6, 2, 1, 1)/10. Renormalised over the
    base's: (3/4, 1/4). TV = (1/4 + 1/4)/2 = 1/4; KL = ln(2/3)/2 + ln(2)/2 = ln(4/3)/2. Of the
    tools 1 and 2 the base has the first: leaked are 1/10 and 1/10. A second position agrees."""
    base = torch.log(torch.tensor([[0.5, 0.5], [0.3, 0.7]]))
    model = torch.log(torch.tensor([[0.6, 0.2, 0.1, 0.1], [0.3, 0.7, 1e-30, 1e-30]]))
    found = shift(base, model, torch.tensor([0, 1]), torch.tensor([1, 2]))
    assert found.positions == 2
    assert found.total_variation == pytest.approx(0.25, abs=1e-6)
    assert found.divergence == pytest.approx(math.log(4 / 3) / 2, abs=1e-6)
    assert found.leaked_tools == pytest.approx(0.1, abs=1e-6)
    assert found.leaked_other == pytest.approx(0.1, abs=1e-6)


def test_only_the_positions_of_the_completion_count(pair):
    """Three ids said after two: three positions, each against a pass over that row alone."""
    base, base_codec, model, codec = pair
    prompts, said = [[5, 6], [7] * 9], [[8, 9, 10], [11]]
    found = shifts_of(base, base_codec, model, codec, prompts, said)
    assert [one.positions for one in found] == [3, 1]
    kept = torch.tensor(sorted(base_codec.vocabulary.values()))
    tools = torch.tensor(sorted(codec.tool_ids.values()))
    with torch.no_grad():
        was, now = (m(torch.tensor([[5, 6, 8, 9]])).logits[0, 1:] for m in (base, model))
    alone = shift(was, now, kept, tools)
    assert found[0].leaked_tools == pytest.approx(alone.leaked_tools, abs=1e-4)
    assert found[0].leaked_other == pytest.approx(alone.leaked_other, abs=1e-4)
    assert 0 < found[0].leaked_tools < 3


def test_growing_alone_leaks_but_does_not_shift(pair):
    """New rows take mass; among the base's entries nothing has changed. Ours has its tags."""
    found = tax(*pair, TEXTS)
    assert found["total_variation"].value == pytest.approx(0, abs=1e-6)
    assert found["divergence"].value == pytest.approx(0, abs=1e-6)
    assert found["leaked_tools"].value > 0
    assert (found["leaked_other"].value > 0) == ("<think>" not in pair[1].vocabulary)
    assert found["perplexity_ratio"].value > 1


def test_a_base_against_itself_costs_exactly_nothing(pair):
    base, codec, *_ = pair
    found = tax(base, codec, base, codec, TEXTS)
    for name in ("total_variation", "divergence", "leaked_tools", "leaked_other"):
        assert (found[name].value, found[name].low, found[name].high) == (0.0, 0.0, 0.0)
        assert found[name].n == 12
    assert found["perplexity_ratio"].value == found["perplexity_ratio"].high == 1.0
    assert found["perplexity"] == found["perplexity_base"]
    name, count = skill(codec)
    assert found[name] == found[f"{name}_base"] and found[name].n == count


def test_a_disturbed_head_costs(pair):
    base, base_codec, model, codec = pair
    disturbed = copy.deepcopy(model)
    with torch.no_grad():
        disturbed.get_output_embeddings().weight += 0.3 * torch.randn(
            disturbed.get_output_embeddings().weight.shape,
            generator=torch.Generator().manual_seed(0),
        )
    found = tax(base, base_codec, disturbed, codec, TEXTS)
    for name in ("total_variation", "divergence", "leaked_tools"):
        assert 0 < found[name].low <= found[name].value <= found[name].high


def test_perplexity_of_a_model_that_knows_nothing_is_the_size_of_its_vocabulary(pair):
    """Uniform over V: every id costs ln V; bits a byte follow from ids and bytes."""
    _, _, model, codec = pair
    flat = copy.deepcopy(model)
    with torch.no_grad():
        flat.get_output_embeddings().weight.zero_()
    size = flat.get_output_embeddings().weight.shape[0]
    nats = text_nats(flat, codec, TEXTS)
    for text, (cost, count, size_of) in zip(TEXTS, nats, strict=True):
        ids = codec.encode_plain(text)
        assert count == len(ids) - 1 and cost == pytest.approx(count * math.log(size), rel=1e-5)
        first = str(codec.tokenizer.decode(ids[:1])).strip()  # not predicted, so not counted
        assert text.startswith(first) and size_of == len(text) - len(first)
    found = tax(flat, codec, flat, codec, TEXTS)
    ids, length = sum(n[1] for n in nats), sum(n[2] for n in nats)
    assert found["perplexity"].value == pytest.approx(size, rel=1e-4)
    assert found["bits_per_byte"].value == pytest.approx(ids * math.log2(size) / length, rel=1e-4)


def test_long_texts_are_cut_and_none_of_their_ids_is_lost(pair, monkeypatch):
    from tinr.evaluation.ability import divergence

    monkeypatch.setattr(divergence, "WINDOW", 5)
    base, codec, *_ = pair
    ids = codec.encode_plain(TEXTS[0])
    found = text_nats(base, codec, TEXTS[:1])
    assert len(found) == -(-len(ids) // 5)
    assert sum(count for _, count, _ in found) == len(ids) - len(found)


def test_what_the_base_says_is_sampled_by_seed(pair):
    """Not its greedy replies: of six first ids some are not the likeliest."""
    base, codec, *_ = pair
    prompts, said = sample_completions(base, codec, TEXTS, 6, seed=1)
    assert (prompts, said) == sample_completions(base, codec, TEXTS, 6, seed=1)
    assert said != sample_completions(base, codec, TEXTS, 6, seed=2)[1]
    assert all(prompts) and all(said) and len(prompts) == 6
    with torch.no_grad():
        best = [int(base(torch.tensor([p])).logits[0, -1].argmax()) for p in prompts]
    assert best != [one[0] for one in said]


def test_generic_questions_hold_their_options(pair):
    """Every option stands in the question; the right one is what is named and asked for."""
    _, codec, *_ = pair
    choices = generic_choices(codec, 20, seed=0)
    for choice in choices:
        told = " ".join(piece.text for piece in choice.prompt)
        shown = [option[0].text for option in choice.options]
        assert len(shown) == len(set(shown)) > 1 and all(text in told for text in shown)


def test_a_base_that_is_none_is_refused(pair):
    _, base_codec, _, codec = pair
    with pytest.raises(BadInput, match="grown from"):
        check_grown(codec, base_codec)
    check_grown(base_codec, codec)


def test_the_summary_is_plain(pair):
    found = tax_summary(*pair, TEXTS)
    name, _ = skill(pair[1])
    assert set(found[name]) == {"value", "low", "high", "n", "chance", "blind", "unit"}
    assert (found["divergence"]["unit"], found[name]["unit"]) == ("nats", "")
    assert found["perplexity"]["n"] == 2
    if name == "choice":
        assert 0 < found["choice"]["chance"] < 0.5


def test_plain_text_is_of_no_source_that_training_uses():
    """Whole passages, none of which shares a run of six words with anything that is replayed."""
    texts = passages()
    assert len(texts) == len(set(texts)) >= 40 and all(40 <= len(t.split()) <= 80 for t in texts)
    trained = [*train_sentences(), *REQUESTS, *OPENINGS]

    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"[a-z']+", text.lower())
        return {tuple(words[i : i + 6]) for i in range(len(words) - 5)}

    known = set().union(*map(runs, trained))
    assert not known & set().union(*map(runs, texts))


def test_the_text_of_a_base_made_here_is_its_own_held_out_text(pair, monkeypatch):
    seen: list[list[str]] = []

    def noted(model, codec, texts, title=""):
        seen.append(list(texts))
        return [(1.0, 1, 1)] * len(texts)

    monkeypatch.setattr(tax_module, "text_nats", noted)
    tax(*pair)
    made_here = "<response>" in pair[1].vocabulary
    assert seen == [held_out_sentences() if made_here else passages()] * 2


def test_tasks_ask_for_nothing_that_training_replays():
    tasks = load_tasks()
    assert len({task.ask for task in tasks}) == len(tasks) >= 80
    assert not {task.ask for task in tasks} & set(REQUESTS)
    assert all(task.any and not set(task.any) & set(task.none) for task in tasks)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Paris", True),
        ("The capital of France is PARIS.", True),
        ("It is Parisian.", False),
        ("Paris, not Lyon", False),
        ("", False),
        ("Paris " * 9, False),
    ],
)
def test_a_reply_is_right_by_its_words(reply, right):
    task = Task("?", any=("Paris", "the city of light"), none=("Lyon",), words=(1, 8))
    assert is_right(task, reply) is right


def test_what_a_user_reads_of_a_reply_is_judged(qwen_tokenizer, catalogue):
    """A thought that names the answer is not an answer; a reply without tags is one."""
    tokenizer = copy.deepcopy(qwen_tokenizer)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, pad_token_id=0, eos_token_id=0,
    )  # fmt: skip
    grow(LlamaForCausalLM(config), tokenizer, catalogue)
    codec = Codec(tokenizer)
    thought = [*render_thought(["Paris"]), *render_response("No idea.")]
    assert _said(codec, codec.encode(thought)[0]) == "No idea."
    assert _said(codec, codec.encode_plain("Paris it is")) == "Paris it is"
