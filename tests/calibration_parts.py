"""A policy that knows nothing, for tests of the search."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def random_model(codec) -> LlamaForCausalLM:
    torch.manual_seed(3)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(codec.tokenizer), hidden_size=32, intermediate_size=64,
            num_hidden_layers=1, num_attention_heads=2, pad_token_id=codec.pad,
        )
    ).eval()  # fmt: skip
