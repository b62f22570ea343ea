"""Which weights move: all, adapters with the new rows, or these rows alone."""

import copy

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.config import OptimiserConfig, TrainableConfig, TrainingConfig
from tinr.data.packing import Example, collate
from tinr.records import BadInput
from tinr.run_log import RunLog
from tinr.training.adapters import adapt, count_moving, release_top
from tinr.training.supervised import train

ROWS = [3, 40, 58]
IDS = torch.tensor([[3, 17, 40, 9, 58, 2, 3]])


def fresh_model(tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=60,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=tied,
            pad_token_id=0,
        )
    )


def trained(model, tokenizer, tmp_path, what, **settings):
    ids = IDS[0].tolist()
    batches = [collate([[Example(ids, ids)]], 0)] * 8
    config = TrainingConfig(optimiser=OptimiserConfig(learning_rate=0.02), bf16=False)
    with RunLog(tmp_path, "align", {}) as log:
        return train(
            model, tokenizer, batches, config, 0, log, "test",
            trainable=TrainableConfig(what, rank=4, **settings), rows=ROWS,
        )  # fmt: skip


def changed_rows(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return (before != after).any(1).nonzero().flatten().tolist()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("what", ["rows", "lora"])
def test_only_what_is_named_moves(tiny_tokenizer, tmp_path, what, tied):
    model = fresh_model(tied)
    before = copy.deepcopy(model.state_dict())
    done = trained(model, tiny_tokenizer, tmp_path, what)
    after = done.model.state_dict()
    assert after.keys() == before.keys()  # whole weights, no adapter left inside
    for table in ("model.embed_tokens.weight", "lm_head.weight"):
        assert changed_rows(before[table], after[table]) == ROWS
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    inner = {key for key in moved if "embed" not in key and "lm_head" not in key}
    linear = {key for key in before if "proj" in key}
    assert inner == (linear if what == "lora" else set())
    shared = done.model.get_input_embeddings().weight is done.model.get_output_embeddings().weight
    assert shared == tied


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("what", ["rows", "lora"])
def test_the_adapter_on_the_untouched_model_is_the_merged_one(tiny_tokenizer, tmp_path, what, tied):
    """Beside the merged weights lies what was trained: PEFT loads it onto the parent."""
    done = trained(fresh_model(tied), tiny_tokenizer, tmp_path, what)
    done.adapter.save(tmp_path / "adapter")
    again = PeftModel.from_pretrained(fresh_model(tied), tmp_path / "adapter").eval()
    plain = fresh_model(tied).eval()
    with torch.no_grad():
        merged, unmerged = done.model.eval()(IDS).logits, again(IDS).logits
        assert torch.allclose(merged, unmerged, atol=1e-5)
        assert not torch.allclose(merged, plain(IDS).logits, atol=1e-2)


@pytest.mark.parametrize("tied", [True, False])
def test_of_the_last_layers_nothing_below_moves(tiny_tokenizer, tmp_path, tied):
    """The last of two layers, the norm behind it and the rows of the output head; as inputs these
    rows stay where the tables are apart, and every other row stays to the bit."""
    model = fresh_model(tied)
    before = copy.deepcopy(model.state_dict())
    done = trained(model, tiny_tokenizer, tmp_path, "top", layers=1)
    after = done.model.state_dict()
    assert done.adapter is None and after.keys() == before.keys()
    inputs, head = "model.embed_tokens.weight", "lm_head.weight"
    assert changed_rows(before[head], after[head]) == ROWS
    assert changed_rows(before[inputs], after[inputs]) == (ROWS if tied else [])
    moved = {key for key in before if not torch.equal(before[key], after[key])} - {inputs, head}
    assert moved == {key for key in before if "layers.1." in key or key == "model.norm.weight"}
    assert all(parameter.requires_grad for parameter in done.model.parameters())


def test_the_backward_pass_ends_at_the_lowest_layer_that_moves():
    """And after release every weight gets its whole gradient again."""
    model = fresh_model(True)
    adapt(model, TrainableConfig("top", layers=1), ROWS)
    loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    assert all(p.grad is None for p in model.model.layers[0].parameters())
    table = model.get_input_embeddings().weight
    assert changed_rows(torch.zeros_like(table), table.grad) == ROWS
    release_top(model)
    model.zero_grad()
    model(input_ids=IDS, labels=IDS).loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert len(changed_rows(torch.zeros_like(table), table.grad)) == len(table)


def test_more_layers_than_there_are_is_refused():
    with pytest.raises(BadInput, match=r"trainable\.layers=3: this model has only 2"):
        adapt(fresh_model(True), TrainableConfig("top", layers=3), ROWS)


@pytest.mark.parametrize("tied", [True, False])
def test_what_moves_of_the_last_layers_is_counted(tied):
    """One of two layers, the last norm, and three rows of 32."""
    model = fresh_model(tied)
    layer = sum(p.numel() for p in model.model.layers[1].parameters())
    assert count_moving(model, TrainableConfig("top", layers=1), ROWS) == layer + 32 + 3 * 32


def test_rows_that_are_not_trained_do_not_decay(tiny_tokenizer, tmp_path):
    model = fresh_model(True)
    before = model.get_input_embeddings().weight.detach().clone()
    config = TrainingConfig(optimiser=OptimiserConfig(learning_rate=0.02, weight_decay=0.5))
    ids = IDS[0].tolist()
    with RunLog(tmp_path, "align", {}) as log:
        train(
            model, tiny_tokenizer, [collate([[Example(ids, ids)]], 0)] * 3, config, 0, log, "test",
            trainable=TrainableConfig("top", layers=1), rows=ROWS,
        )  # fmt: skip
    assert changed_rows(before, model.get_input_embeddings().weight) == ROWS


def test_all_weights_move_by_default_and_leave_no_adapter(tiny_tokenizer, tmp_path):
    model = fresh_model(True)
    before = copy.deepcopy(model.state_dict())
    done = trained(model, tiny_tokenizer, tmp_path, "all")
    assert done.adapter is None
    assert all(
        not torch.equal(before[key], value) for key, value in done.model.state_dict().items()
    )


def test_a_target_that_the_model_has_not_is_named(tiny_tokenizer, tmp_path):
    with pytest.raises(BadInput, match="nosuch"):
        trained(fresh_model(True), tiny_tokenizer, tmp_path, "lora", targets=("nosuch",))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("what", ["rows", "lora"])
def test_the_heads_weight_is_what_the_head_computes_with(what, tied):
    """TRL's fused head reads `lm_head.weight`; what moved must be in it, and get a gradient."""
    model = fresh_model(tied)
    adapt(model, TrainableConfig(what, rank=4), ROWS)
    moving = [p for n, p in model.named_parameters() if "trainable_tokens_delta" in n]
    with torch.no_grad():
        for parameter in moving:
            parameter.add_(1.0)
    hidden, head = torch.randn(2, 32), model.get_output_embeddings()
    by_weight = hidden @ head.weight.T
    assert torch.allclose(by_weight, head(hidden), atol=1e-5)
    by_weight.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in moving)
