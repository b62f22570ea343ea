"""Growing a model by tool tokens: tied and untied, ours and Qwen2's, and loading it again."""

import copy

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec, grow_tokenizer, token_of
from tinr.checkpoints.model import check_head, grow, head_logits, load
from tinr.records import BadInput, ToolDoc


def tiny(family: str, size: int, tied: bool):
    """A random two-layer model of a family with `size` rows."""
    kind, settings = {
        "qwen": (Qwen2ForCausalLM, Qwen2Config),
        "tinr": (LlamaForCausalLM, LlamaConfig),
    }[family]
    torch.manual_seed(0)
    return kind(
        settings(
            vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=tied,
        )
    )  # fmt: skip


SCALED = {
    "llama": {},
    "granite": {"logits_scaling": 8.0},
    "cohere": {"logit_scale": 0.0625},
    "gemma2": {"final_logit_softcapping": 0.2, "head_dim": 16},
}


def of_kind(kind: str, **settings):
    torch.manual_seed(0)
    shape = AutoConfig.for_model(
        kind, vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, pad_token_id=0, **settings,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(shape).eval()


@pytest.mark.parametrize("kind", SCALED)
@torch.no_grad()
def test_logits_of_the_head_are_the_model_s_own(kind):
    model, ids = of_kind(kind, **SCALED[kind]), torch.tensor([[3, 4, 5]])
    hidden = model.base_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(head_logits(model, hidden), model(input_ids=ids).logits)
    check_head(model)


def test_a_model_whose_logits_are_otherwise_is_refused():
    model = of_kind("granite", logits_scaling=8.0)
    model.config.logits_scaling, forward = 2.0, model.forward

    def otherwise(**inputs):
        given = forward(**inputs)
        return type(given)(logits=given.logits + 1)

    model.forward = otherwise
    with pytest.raises(BadInput, match="granite: its logits are not those of its output head"):
        check_head(model)


@pytest.fixture(params=["tinr", "qwen"])
def bare(request, tiny_tokenizer, qwen_tokenizer):
    """A family and a fresh tokenizer of it, without tool tokens."""
    tokenizer = {"tinr": tiny_tokenizer, "qwen": qwen_tokenizer}[request.param]
    return request.param, copy.deepcopy(tokenizer)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("initialisation", ["name_mean", "document", "random"])
def test_growing_adds_rows_and_touches_no_old_one(bare, catalogue, tied, initialisation):
    family, tokenizer = bare
    model = tiny(family, len(tokenizer), tied)
    before = [model.get_input_embeddings().weight.detach().clone(),
              model.get_output_embeddings().weight.detach().clone()]  # fmt: skip
    size = len(tokenizer)
    new = grow(model, tokenizer, catalogue, initialisation)
    after = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    assert new == len(tokenizer) - size
    for old, grown in zip(before, after, strict=True):
        assert torch.equal(grown[:size], old)
        assert grown.shape[0] >= len(tokenizer)
        rows = grown[size : len(tokenizer)]
        assert rows.std() > 0 and torch.isfinite(rows).all()
        assert torch.cdist(rows, rows).fill_diagonal_(1).min() > 0  # no two rows alike
    assert (after[0].data_ptr() == after[1].data_ptr()) == tied


def test_name_mean_is_near_the_mean_of_the_names_pieces(bare, catalogue):
    family, tokenizer = bare
    model = tiny(family, len(tokenizer), tied=False)
    pieces = Codec(tokenizer).encode_plain("circle area")
    head = model.get_output_embeddings().weight.detach().clone()
    grow(model, tokenizer, catalogue)
    row = model.get_output_embeddings().weight[Codec(tokenizer).id("<<circle_area>>")]
    expected = head[pieces].mean(0)
    assert torch.dist(row, expected) < 0.2 * torch.dist(row, torch.zeros_like(row)) + 0.05


def test_growing_again_changes_nothing(bare, catalogue):
    family, tokenizer = bare
    model = tiny(family, len(tokenizer), tied=True)
    grow(model, tokenizer, catalogue)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert grow(model, tokenizer, catalogue) == 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_growing_by_a_larger_catalogue_keeps_the_trained_rows(bare, catalogue):
    family, tokenizer = bare
    model = tiny(family, len(tokenizer), tied=False)
    grow(model, tokenizer, catalogue)
    index = Codec(tokenizer).id("<<circle_area>>")
    with torch.no_grad():
        model.get_output_embeddings().weight[index] = 7.0  # as if it was trained
    more = ToolDoc("new_tool", "Do more.", {"type": "object", "properties": {}})
    assert grow(model, tokenizer, Catalogue((*catalogue.tools, more))) == 1
    assert (model.get_output_embeddings().weight[index] == 7.0).all()


@pytest.mark.parametrize("tied", [True, False])
def test_loading_never_initialises_again(bare, catalogue, tmp_path, tied):
    """Saved and loaded, every parameter and every token's id is the same."""
    family, tokenizer = bare
    model = tiny(family, len(tokenizer), tied)
    grow(model, tokenizer, catalogue, "random")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, again = load(tmp_path)
    assert again.get_vocab() == tokenizer.get_vocab()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    codec, text = Codec(again), "a <think> <<circle_area>> <|im_end|> b"
    assert codec.encode_plain(text) == Codec(tokenizer).encode_plain(text)
    assert all(len(again.encode(token_of(d.name), add_special_tokens=False)) == 1
               for d in catalogue.tools)  # fmt: skip


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot load"):
        load(tmp_path)


def test_grow_tokenizer_counts(bare, catalogue):
    _, tokenizer = bare
    before = len(tokenizer)
    assert grow_tokenizer(tokenizer, catalogue.names) == len(tokenizer) - before
    assert grow_tokenizer(tokenizer, catalogue.names) == 0
