"""Bases that are not as usual: their vocabularies, experts, quantised weights and frames."""

import json

import pytest
import torch
from tokenizers import Tokenizer, processors
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
)

from tinr.chat.codec import Codec, Piece, grow_tokenizer
from tinr.chat.render import SYSTEM, as_text, render_prompt
from tinr.checkpoints.model import PAD, grow, load
from tinr.config import TrainingConfig
from tinr.data.packing import Example, collate
from tinr.records import BadInput, Message
from tinr.run_log import RunLog
from tinr.training.supervised import train

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip


def bare(qwen_tokenizer, change=None, **special) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer without an added entry; `change` edits its JSON."""
    state = json.loads(qwen_tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = []
    if change:
        change(state)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), **special
    )


def folder_of(path, tokenizer, rows, **config):
    """Save a random model with a tokenizer, as a user has it."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=rows, **SIZES, **config)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_vocabulary_with_holes_grows_behind_its_last_entry(tmp_path, qwen_tokenizer, catalogue):
    def far(state):
        entry = {"id": 900, "content": "<|endoftext|>", "special": True, "normalized": False}
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        state["added_tokens"] = [entry | flags]
        state["model"]["vocab"]["<|endoftext|>"] = 900

    tokenizer = bare(qwen_tokenizer, far, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    model, tokenizer = load(folder_of(tmp_path, tokenizer, 904))
    before = model.get_input_embeddings().weight[:901].clone()
    grow(model, tokenizer, catalogue)
    codec = Codec(tokenizer)
    rows = model.get_input_embeddings().weight
    assert len(rows) > max(codec.tool_ids.values()) and min(codec.tool_ids.values()) > 900
    assert torch.equal(rows[:901], before)
    assert model(input_ids=torch.tensor([list(codec.tool_ids.values())])).logits.shape[-1] == len(
        rows
    )


def test_a_tokenizer_without_padding_or_end_gets_an_entry_for_padding(
    tmp_path, qwen_tokenizer, catalogue
):
    tokenizer = bare(qwen_tokenizer)
    assert tokenizer.pad_token is None and tokenizer.eos_token is None
    rows = len(tokenizer)
    model, tokenizer = load(folder_of(tmp_path, tokenizer, rows))
    assert tokenizer.pad_token == PAD and len(model.get_input_embeddings().weight) == rows + 1
    grow(model, tokenizer, catalogue)
    codec = Codec(tokenizer)
    assert codec.pad == rows
    assert codec.pad not in codec.encode_plain(f"None {PAD}"), "what spells it stays text"


def test_a_tokenizer_that_adds_a_beginning_and_an_end_keeps_its_beginning(
    qwen_tokenizer, catalogue
):
    tokenizer = bare(qwen_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    marks = [(token, tokenizer.get_vocab()[token]) for token in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=marks
    )
    grow_tokenizer(tokenizer, catalogue.names)
    codec = Codec(tokenizer)
    assert codec.start == [marks[0][1]]
    ids, _ = codec.encode(render_prompt("Hi", codec.frame))
    assert ids[0] == marks[0][1] and marks[1][1] not in ids


def test_what_a_trainer_sets_on_experts_is_undone(tmp_path, qwen_tokenizer, catalogue):
    """Router logits left on end generation with a traceback: their loss cannot read one token."""
    tokenizer = bare(qwen_tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tokenizer), num_local_experts=4, num_experts_per_tok=2, **SIZES
    )
    model = MixtralForCausalLM(config)
    grow(model, tokenizer, catalogue)
    codec = Codec(tokenizer)
    ids, _ = codec.encode([Piece("Rome is far.")])
    batch = collate([[Example(ids, ids)]], codec.pad)
    with RunLog(tmp_path, "base", {}) as log:
        trained = train(model, tokenizer, [batch], TrainingConfig(), 0, log, "experts")
    assert trained.model.config.output_router_logits is False
    written = trained.model.generate(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=3,
        do_sample=False,
    )  # fmt: skip
    assert written.shape[1] > len(ids)


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq"),
        ({"bits": 2}, "None"),
    ],
)
def test_quantised_weights_are_refused_before_they_are_read(
    settings, method, tmp_path, qwen_tokenizer
):
    tokenizer = bare(qwen_tokenizer, eos_token="<|endoftext|>")
    folder = folder_of(tmp_path, tokenizer, len(tokenizer))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": settings}))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match=rf"quantised \({method}\).*or a \.gguf file"):
        load(folder)


def test_a_model_without_sdpa_keeps_its_own_attention(tmp_path, qwen_tokenizer):
    tokenizer = bare(qwen_tokenizer, eos_token="<|endoftext|>")
    BloomForCausalLM(
        BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=1, n_head=2)
    ).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert isinstance(load(tmp_path)[0], BloomForCausalLM)


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        (("<start_of_turn>", "<end_of_turn>"),
         "<start_of_turn>user\nSYSTEM\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nYes?"
         "<end_of_turn>\n<start_of_turn>user\nAdd.<end_of_turn>\n<start_of_turn>model\n"),
        (("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
         "<|start_of_role|>system<|end_of_role|>SYSTEM\nBe brief.<|end_of_text|>\n"
         "<|start_of_role|>user<|end_of_role|>Hi<|end_of_text|>\n"
         "<|start_of_role|>assistant<|end_of_role|>Yes?<|end_of_text|>\n"
         "<|start_of_role|>user<|end_of_role|>Add.<|end_of_text|>\n"
         "<|start_of_role|>assistant<|end_of_role|>"),
    ],
)  # fmt: skip
def test_gemma_and_granite_keep_their_own_frames(markers, expected, qwen_tokenizer):
    tokenizer = bare(
        qwen_tokenizer, eos_token="<|endoftext|>", additional_special_tokens=list(markers)
    )
    frame = Codec(tokenizer).frame
    history = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?")]
    text = as_text(render_prompt("Add.", frame, history=history))
    assert text == expected.replace("SYSTEM", SYSTEM)
