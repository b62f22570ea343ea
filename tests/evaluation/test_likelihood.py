"""Likelihoods in batches with a shared cache: the same numbers as one option at a time."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.chat.codec import Piece, token_of
from tinr.data.alignment_examples import ask_about, ask_token
from tinr.evaluation import likelihood
from tinr.evaluation.choices import Choice
from tinr.evaluation.likelihood import Likelihood, decode_among, hits, likelihoods


def random_model(size: int):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, initializer_range=0.3, pad_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def model(codec):
    return random_model(len(codec.tokenizer))


def naive(model, codec, prompt, option) -> float:
    """One forward pass over prompt and option, nothing padded, nothing cached."""
    before, after = codec.encode(prompt)[0], codec.encode(option)[0]
    with torch.no_grad():
        logits = model(torch.tensor([before + after])).logits[0].double()
    logp = torch.log_softmax(logits, -1)
    return sum(float(logp[len(before) - 1 + i, index]) for i, index in enumerate(after))


@pytest.fixture
def choices(codec, catalogue):
    """Prompts and options of many lengths: one id, texts, tokens within texts."""
    made = []
    for doc in catalogue.tools:
        tokens = tuple((Piece(token_of(name), token=True),) for name in catalogue.names)
        texts = tuple((Piece(one.description), *codec.frame.end()) for one in catalogue.tools)
        mixed = ((Piece("a"),), (*tokens[0], Piece(" and "), *tokens[1]))
        made.append(Choice(tuple(ask_token(doc, codec.frame)), tokens))
        made.append(Choice(tuple(ask_about(doc, codec.frame, "Describe ")), texts, even=True))
        made.append(Choice((Piece("x"),), mixed))
    return made


@pytest.mark.parametrize("tokens", [64, 4096])
def test_batches_give_what_single_passes_give(model, codec, choices, tokens, monkeypatch):
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", tokens)
    for choice, found in zip(choices, likelihoods(model, codec, choices), strict=True):
        for option, one in zip(choice.options, found, strict=True):
            assert one.total == pytest.approx(naive(model, codec, choice.prompt, option), abs=1e-3)
            assert one.tokens == len(codec.encode(option)[0])
            assert one.mean == pytest.approx(one.total / one.tokens)


def test_what_all_options_begin_with_cancels_out(model, codec, catalogue):
    """Sums of the rest differ from one another as the whole sums do; means are left alone."""
    lines = ("radius: number, digits?: integer", "radius: number", "radius: number, digits")
    options = tuple((Piece(line), *codec.frame.end()) for line in lines)
    prompt = tuple(ask_about(catalogue.tools[0], codec.frame, "Parameters of "))
    asked = [Choice(prompt, options), Choice(prompt, options, even=True)]
    (whole, even), (rest, same) = (likelihoods(model, codec, asked, s) for s in (True, False))
    for one, other in zip(whole, rest, strict=True):
        assert other.tokens < one.tokens
        assert one.total - whole[0].total == pytest.approx(other.total - rest[0].total, abs=1e-3)
    assert [one.tokens for one in even] == [one.tokens for one in same]


def test_a_hit_is_the_likeliest_by_sum_or_by_mean_and_a_tie_is_none(monkeypatch, model, codec):
    """-4 over 4 ids against -3 over 1: by sum the second, by mean the first."""
    scored = [Likelihood(-4.0, 4), Likelihood(-3.0, 1)]
    monkeypatch.setattr(
        likelihood, "likelihoods", lambda m, c, given, shared: [scored] * len(given)
    )
    two = ((Piece("a"),), (Piece("b"),))
    asked = [Choice((Piece("x"),), two), Choice((Piece("x"),), two, even=True)]
    assert hits(model, codec, asked) == [False, True]
    for equal in (-2.0, math.nan):
        scored[:] = [Likelihood(equal, 1), Likelihood(equal, 1)]
        assert hits(model, codec, asked) == [False, False]


def test_among_single_ids_the_likeliest_is_written(model, codec, catalogue):
    prompts = [ask_token(doc, codec.frame) for doc in catalogue.tools]
    options = {name: [Piece(token_of(name), token=True)] for name in catalogue.names}
    for prompt, name in zip(prompts, decode_among(model, codec, prompts, options), strict=True):
        best = max(options, key=lambda n: naive(model, codec, prompt, options[n]))
        assert name == best


def test_spelled_tools_are_decoded_id_by_id(model, codec, catalogue):
    """Tools as plain text: each step takes the likeliest id that goes on with a name."""
    names = ["circle_area", "circle_arc", "length_convert", "city.find", "city"]
    options = {name: [Piece(f"<<{name}>>")] for name in names}
    ids = {name: codec.encode(pieces)[0] for name, pieces in options.items()}
    prompts = [ask_token(doc, codec.frame) for doc in catalogue.tools]
    for prompt, found in zip(prompts, decode_among(model, codec, prompts, options), strict=True):
        left, written = set(names), codec.encode(prompt)[0]
        for step in range(max(map(len, ids.values()))):
            if len(left) == 1:
                break
            with torch.no_grad():
                logits = model(torch.tensor([written])).logits[0, -1]
            best = max({ids[n][step] for n in left}, key=lambda i: float(logits[i]))
            left = {n for n in left if ids[n][step] == best}
            written = [*written, best]
        assert {found} == left


@pytest.mark.parametrize("texts", [("a", "ab"), ("ab", "a"), ("a", "a"), ("a", "")])
def test_options_that_end_within_one_another_are_refused(model, codec, texts):
    options = {str(n): [Piece(c) for c in t] for n, t in enumerate(texts)}
    options = {n: [Piece(p.text, learn=bool(i % 2)) for i, p in enumerate(pieces)]
               for n, pieces in options.items()}  # fmt: skip  # letters stay apart
    with pytest.raises(ValueError, match="option"):
        decode_among(model, codec, [[Piece("x")]], options)
