"""Decoding in bfloat16: only where it is faster, and the float32 weights come back unchanged."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr import distributed
from tinr.rollout import decoding_weights as module
from tinr.rollout.decoding_weights import decoding_weights
from tinr.rollout.generate import generate


@pytest.fixture
def model(monkeypatch):
    """A small model with tied rows, on a machine where bfloat16 is faster, of a size that gains."""
    monkeypatch.setattr(module, "faster_type", lambda: torch.bfloat16)
    monkeypatch.setattr(module, "MIN_PARAMETERS", 1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def types(model):
    return {parameter.dtype for parameter in model.parameters()}


def test_weights_are_bfloat16_within_and_come_back_to_the_bit(model):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with decoding_weights(model):
        assert types(model) == {torch.bfloat16}
        assert model.lm_head.weight is model.model.embed_tokens.weight
    assert types(model) == {torch.float32}
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_weights_come_back_when_decoding_fails(model):
    with pytest.raises(RuntimeError, match="stop"), decoding_weights(model):
        raise RuntimeError("stop")
    assert types(model) == {torch.float32}


def test_a_model_trains_on_after_it_has_written(model):
    def step():
        loss = model(torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss
        loss.backward()
        return loss.item()

    before = step()
    row = generate(model, [[1, 2, 3]], lambda i, ids: None, frozenset(), max_tokens=4, pad=0)[0]
    assert len(row.ids) == 4
    model.zero_grad()
    assert step() == before
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_generate_writes_with_bfloat16_weights(model, monkeypatch):
    seen = []
    forward = model.forward
    monkeypatch.setattr(
        model,
        "forward",
        lambda *args, **kwargs: seen.append(types(model)) or forward(*args, **kwargs),
    )
    generate(model, [[1, 2, 3]], lambda i, ids: None, frozenset(), max_tokens=3, pad=0)
    assert seen == [{torch.bfloat16}] * 3


@pytest.mark.parametrize(
    "reason", ["small", "slow here", "several processes", "not float32", "nested"]
)
def test_weights_stay_where_nothing_is_gained(model, monkeypatch, reason):
    match reason:
        case "small":
            monkeypatch.setattr(module, "MIN_PARAMETERS", 10**9)
        case "slow here":
            monkeypatch.setattr(module, "faster_type", lambda: torch.float32)
        case "several processes":
            monkeypatch.setattr(distributed, "world", lambda: 2)
        case "not float32":
            model.lm_head.weight.data = model.lm_head.weight.data.half()
        case "nested":
            with decoding_weights(model), decoding_weights(model):
                assert types(model) == {torch.bfloat16}
    expected = types(model)
    with decoding_weights(model):
        assert (types(model) == expected) == (reason != "nested")
    assert types(model) == expected
