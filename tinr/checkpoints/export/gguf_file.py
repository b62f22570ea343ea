"""Write a checkpoint as one GGUF file, for llama.cpp and programs built on it.

Tool tokens and tags are entries of type USER_DEFINED, which are written out as text; CONTROL
entries would be blank. A reply ends at `</tool_call>` (the file's end of message), `</response>`
(its end of turn) or the end of the message; these are not part of the text.
Source: the GGUF specification and the names of the package `gguf`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open

from tinr.checkpoints.durable_files import disk_errors
from tinr.records import BadInput

ARCHITECTURES = {  # in a Hugging Face config -> in GGUF
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3,
}
# How a pre-tokenizer splits text -> its name in GGUF.
BYTE_LEVEL = "gpt-2"
SPLITS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+": "llama-bpe",
}
OTHERWISE = "export --to hf and convert the folder with llama.cpp's convert_hf_to_gguf.py"


def write_gguf(folder: Path, out: Path, name: str) -> None:
    """Write the Hugging Face folder of a checkpoint as the file `out`, in its own number type.

    Raises BadInput, and writes nothing, for an unsupported model or tokenizer.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    architecture = _architecture(config)
    pre_tokenizer = _pre_tokenizer(tokenizer)
    tensors = {key: file for file in sorted(folder.glob("*.safetensors")) for key in _keys(file)}
    if not tensors:
        raise BadInput(f"{folder}: no weights in safetensors; {OTHERWISE}")
    with disk_errors(out, "nothing was exported"):
        writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[architecture])
        try:
            _add_shape(writer, config, name)
            _add_vocabulary(writer, folder, config, tokenizer, pre_tokenizer)
            for key, tensor in _tensors(tensors, config, architecture):
                writer.add_tensor(key, *_array(tensor))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        except BaseException:
            with suppress(OSError):
                out.unlink()
            raise
        finally:
            writer.close()


def _architecture(config: Mapping[str, Any]) -> gguf.MODEL_ARCH:
    named = (config.get("architectures") or ["?"])[0]
    if named not in ARCHITECTURES:
        raise BadInput(f"architecture {named} is not supported as GGUF here; {OTHERWISE}")
    rope = _rope(config).get("rope_type", "default")
    if rope != "default":
        raise BadInput(f"rope_type {rope} is not supported as GGUF here; {OTHERWISE}")
    return ARCHITECTURES[named]


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _pre_tokenizer(tokenizer: Mapping[str, Any]) -> str:
    """Return GGUF's name for how the tokenizer splits text; only byte-level BPE is supported."""
    parts = tokenizer.get("pre_tokenizer") or {}
    steps = parts.get("pretokenizers", [parts])
    patterns = [step["pattern"].get("Regex") for step in steps if step.get("type") == "Split"]
    bytes_of = [step for step in steps if step.get("type") == "ByteLevel"]
    is_bpe = tokenizer["model"].get("type") == "BPE" and len(bytes_of) == 1
    is_plain = is_bpe and not bytes_of[0].get("add_prefix_space")
    uses_regex = is_bpe and bytes_of[0].get("use_regex", True)
    ignores_merges = bool(tokenizer["model"].get("ignore_merges"))
    if is_plain and uses_regex and not patterns and len(steps) == 1 and not ignores_merges:
        return BYTE_LEVEL
    if is_plain and not uses_regex and len(steps) == 2 and len(patterns) == 1:
        name = SPLITS.get(patterns[0])
        if name is not None and ignores_merges == (name == "llama-bpe"):
            return name
    raise BadInput(f"this tokenizer's way of splitting text has no name in GGUF here; {OTHERWISE}")


def _add_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any], name: str) -> None:
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(_rope(config).get("rope_theta") or config.get("rope_theta", 10_000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_vocabulary(
    writer: gguf.GGUFWriter,
    folder: Path,
    config: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    pre_tokenizer: str,
) -> None:
    added = {entry["content"]: entry for entry in tokenizer["added_tokens"]}
    ids = dict(tokenizer["model"]["vocab"]) | {text: one["id"] for text, one in added.items()}
    texts = [f"[UNUSED{index}]" for index in range(config["vocab_size"])]
    types = [gguf.TokenType.UNUSED] * config["vocab_size"]
    for text, index in ids.items():
        texts[index], types[index] = text, gguf.TokenType.NORMAL
        if text in added:
            is_special = added[text]["special"]
            types[index] = gguf.TokenType.CONTROL if is_special else gguf.TokenType.USER_DEFINED
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_add_bos_token(False)  # the template writes the start of the text
    special = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    for kind in ("bos", "eos", "pad", "unk"):
        text = special.get(f"{kind}_token")
        text = text["content"] if isinstance(text, dict) else text
        if text in ids:
            getattr(writer, f"add_{kind}_token_id")(ids[text])
    if "</tool_call>" in ids:
        writer.add_eom_token_id(ids["</tool_call>"])
        writer.add_eot_token_id(ids["</response>"])
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text("utf-8"))


def _keys(file: Path) -> list[str]:
    with safe_open(file, "pt") as tensors:
        return [*tensors.keys()]


def _tensors(
    files: Mapping[str, Path], config: Mapping[str, Any], architecture: gguf.MODEL_ARCH
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each weight under its GGUF name; one file is open at a time."""
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    heads = config["num_attention_heads"]
    key_heads = config.get("num_key_value_heads") or heads
    for file in sorted(set(files.values())):
        with safe_open(file, "pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (a file, not a mapping)
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise BadInput(f"weight {key} has no name in GGUF; {OTHERWISE}")
                tensor = tensors.get_tensor(key)
                if architecture is gguf.MODEL_ARCH.LLAMA and ".self_attn." in key:
                    if ".q_proj." in key:
                        tensor = _interleaved(tensor, heads)
                    elif ".k_proj." in key:
                        tensor = _interleaved(tensor, key_heads)
                yield name, tensor


def _interleaved(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of each head for llama.cpp's rotary positions: alternate the two halves."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _array(tensor: torch.Tensor) -> tuple[np.ndarray, None, gguf.GGMLQuantizationType]:
    """Return a tensor's array, None (keep its shape), and its type; vectors are float32."""
    types = gguf.GGMLQuantizationType
    if tensor.dim() == 1 or tensor.dtype == torch.float32:
        return tensor.float().numpy(), None, types.F32
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(np.uint8), None, types.BF16
    return tensor.to(torch.float16).numpy(), None, types.F16
