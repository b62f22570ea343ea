"""Shared fixtures: a small catalogue and two tiny tokenizers, ours and a Qwen2-style one."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Regex as Pattern
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tinr.catalogue.english import train_sentences
from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec, grow_tokenizer
from tinr.checkpoints.registry import Registry
from tinr.data.base_tokenizer import train_tokenizer
from tinr.records import ToolDoc

# How Qwen2 splits text before its byte pairs.
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

START = "<|begin|>"  # what begins every text of the tokenizer `marked`

CIRCLE = ToolDoc(
    name="circle_area",
    description="Area of a circle from its radius.",
    parameters={
        "type": "object",
        "properties": {
            "radius": {"type": "number", "description": "In metres."},
            "digits": {"type": "integer", "default": 2},
        },
        "required": ["radius"],
    },
    returns="Square metres.",
    source="hand",
    domain="geometry",
)
LENGTH = ToolDoc(
    name="length_convert",
    description="Convert a length between units.",
    parameters={
        "type": "object",
        "properties": {
            "length": {"type": "number"},
            "source": {"enum": ["metre", "foot"]},
            "target": {"enum": ["metre", "foot"]},
        },
        "required": ["length", "source", "target"],
    },
    source="hand",
    domain="units",
)
CITY = ToolDoc(
    name="city.find",
    description="Look up a city.",
    parameters={
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name"],
    },
    source="hand",
    domain="places",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Three hand-written tools: circle_area, length_convert and city.find."""
    return Catalogue((CIRCLE, LENGTH, CITY))


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Our SentencePiece tokenizer; copy it before growing it."""
    return train_tokenizer(1024, seed=0)


@pytest.fixture(scope="session")
def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer as Qwen2 has it, untouched; copy it before growing it.

    Among its pieces is "<<>>", which looks like the token of a tool without a name.
    """
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Pattern(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator([*train_sentences()[:800], *["a<<>>b"] * 500], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.pad_token, tokenizer.eos_token = "<|endoftext|>", "<|im_end|>"
    return tokenizer


@pytest.fixture(scope="session")
def grown(
    tiny_tokenizer: PreTrainedTokenizerFast,
    qwen_tokenizer: PreTrainedTokenizerFast,
    catalogue: Catalogue,
) -> Callable[[str], Codec]:
    """`grown("tiny" | "qwen")`: the codec of a fresh copy that knows the catalogue's tools."""

    def make(which: str) -> Codec:
        tokenizer = copy.deepcopy(tiny_tokenizer if which == "tiny" else qwen_tokenizer)
        grow_tokenizer(tokenizer, catalogue.names)
        return Codec(tokenizer)

    return make


@pytest.fixture(scope="session", params=["tiny", "qwen"])
def codec(request: pytest.FixtureRequest, grown: Callable[[str], Codec]) -> Codec:
    """A codec that knows the catalogue's tools, once per tokenizer."""
    return grown(request.param)


@pytest.fixture(scope="session")
def marked(qwen_tokenizer: PreTrainedTokenizerFast, catalogue: Catalogue) -> Codec:
    """A tokenizer that begins every text with an entry of its own, as those of Llama 3 do."""
    tokenizer = copy.deepcopy(qwen_tokenizer)
    tokenizer.add_special_tokens({"bos_token": START})
    template = (START, tokenizer.get_vocab()[START])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[template]
    )
    assert tokenizer.encode("a")[0] == template[1]  # else the tests below test nothing
    grow_tokenizer(tokenizer, catalogue.names)
    return Codec(tokenizer)


@pytest.fixture
def model(codec: Codec) -> LlamaForCausalLM:
    """A random model of one layer over the vocabulary of `codec`."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(codec.tokenizer), hidden_size=16, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=2, pad_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry of the test's own."""
    return Registry(tmp_path / "registry")
