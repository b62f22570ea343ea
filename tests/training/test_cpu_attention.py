"""The faster layers compute what the usual ones do."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tinr.config import TrainableConfig
from tinr.data.packing import Example, collate
from tinr.training import cpu_attention
from tinr.training.adapters import adapt
from tinr.training.cpu_attention import compiled, packed_mask, products, use_bf16
from tinr.training.loop import labelled_loss

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "attn_implementation": "sdpa",
    "pad_token_id": 0,
}


def model(kind: str = "llama"):
    torch.manual_seed(0)
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**SHAPE)).eval()


def batch():
    def example(size: int) -> Example:
        ids = torch.randint(1, 60, (size,)).tolist()
        return Example(ids, ids)

    torch.manual_seed(1)
    return collate([[example(5), example(9)], [example(3), example(8), example(2)]], 0)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_products_give_the_same_loss_and_gradient_as_the_fused_attention(kind):
    one, rows = model(kind), batch()
    results = []
    for use in (False, True):
        one.zero_grad()
        if use:
            with products(one):
                assert one.config._attn_implementation == cpu_attention.PRODUCTS
                loss = labelled_loss(one, rows)
        else:
            loss = labelled_loss(one, rows)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in one.parameters()])
        results.append((loss.item(), gradient))
    assert one.config._attn_implementation == "sdpa"
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)


def test_left_padding_gives_no_nan_in_bfloat16():
    """A padded position sees nothing; what it becomes must not reach the others."""
    one = model()
    ids, mask = torch.randint(1, 60, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    mask[0, :4] = 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        usual = one(input_ids=ids, attention_mask=mask).logits[:, -1]
        with products(one):
            fast = one(input_ids=ids, attention_mask=mask).logits[:, -1]
    torch.testing.assert_close(fast, usual, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("half", [False, True])
def test_rows_that_are_too_long_get_the_fused_attention(half, monkeypatch):
    """Compiled or not, in either type; and rows of both kinds follow each other in one run."""
    one, rows = model(), batch()
    monkeypatch.setattr(cpu_attention, "PRODUCTS_ROW_TOKENS", 14)
    longer = collate([[Example(range(1, 16), range(1, 16))]], 0)
    encode = compiled(one)
    fused = []
    usual = cpu_attention.sdpa_attention_forward
    monkeypatch.setattr(
        cpu_attention, "sdpa_attention_forward", lambda *a, **k: fused.append(1) or usual(*a, **k)
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=half), torch.no_grad():
        expected = [labelled_loss(one, b).item() for b in (rows, longer)]
        with products(one):
            plain = [labelled_loss(one, b).item() for b in (rows, longer)]
            assert len(fused) == SHAPE["num_hidden_layers"]
            fast = [labelled_loss(one, b, None, encode).item() for b in (rows, longer, rows)]
    assert plain == pytest.approx(expected, rel=1e-2 if half else 1e-5)
    assert fast == pytest.approx([*expected, expected[0]], rel=1e-2 if half else 1e-4)


def test_the_packed_mask_lets_each_example_see_only_itself():
    positions = torch.tensor([[0, 1, 2, 0, 1]])
    allowed = packed_mask(positions, torch.float32)[0, 0] == 0
    expected = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2)).tril().bool()
    assert torch.equal(allowed, expected)


def test_compiled_layers_give_the_same_loss():
    one, rows = model(), batch()
    encode = compiled(one)
    assert encode is not None
    with torch.no_grad(), products(one):
        plain, fast = labelled_loss(one, rows), labelled_loss(one, rows, encode=encode)
    assert fast.item() == pytest.approx(plain.item(), rel=1e-4)


def test_compiled_layers_with_adapters_give_the_same_gradients():
    one, rows = model(), batch()
    adapt(one, TrainableConfig(what="lora", rank=2), [5])
    torch.manual_seed(2)
    moving = {name: p for name, p in one.named_parameters() if p.requires_grad}
    for parameter in moving.values():
        torch.nn.init.normal_(parameter, std=0.1)
    gradients, encodings = [], (None, compiled(one))
    assert encodings[1] is not None
    with products(one):
        for encode in encodings:
            one.zero_grad()
            labelled_loss(one, rows, None, encode).backward()
            gradients.append({name: p.grad.clone() for name, p in moving.items()})
    plain, fast = gradients
    assert len(plain) > 14 and all(gradient.any() for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-3, atol=1e-5)


def test_without_a_compiler_nothing_is_compiled_and_it_is_said(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler"):
        assert compiled(model()) is None


@pytest.mark.parametrize("faster", [torch.bfloat16, torch.float32])
def test_bfloat16_is_taken_where_the_machine_multiplies_faster_in_it(faster, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(cpu_attention, "faster_type", lambda: faster)
    assert use_bf16(None) is (faster is torch.bfloat16)
    assert use_bf16(True) is True
    assert use_bf16(False) is False
    assert use_bf16(None, accelerator=True) is True
