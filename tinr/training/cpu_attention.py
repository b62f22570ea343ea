"""Speed up layers on a CPU: attention as plain products, reuse of memory, compiled layers.

PyTorch's fused attention for the CPU takes three to four times as long as two batched
bfloat16 products at the length of packed rows. Returning memory to the system after each product
costs a quarter of a step. Compiling fuses the operations between the products
(docs/notebook.md has the figures). Nothing here is used on an accelerator.
"""

import ctypes
import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from tinr.checkpoints.model import layer_list
from tinr.machine_speed import faster_type

PRODUCTS = "tinr_products"  # the name of this attention in transformers
PRODUCTS_ROW_TOKENS = 1024  # maximum tokens of a row
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)

# ids (R, T) and positions (R, T), starting at 0 with each example -> hidden states (R, T, H)
Encode = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention (R, heads, T, D) -> (R, T, heads, D) as two products and a softmax.

    Rows longer than PRODUCTS_ROW_TOKENS use the fused attention, because scores grow with the
    square of the length.
    """
    if query.shape[2] > PRODUCTS_ROW_TOKENS:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal=False
        )
    # heads that share keys are concatenated as queries of one head, so that no key is repeated
    shape = (query.shape[0], key.shape[1], -1, query.shape[-1])
    scores = (query * scaling).reshape(shape) @ key.transpose(-1, -2)
    scores = scores.view(*query.shape[:3], key.shape[2])
    if attention_mask is not None:
        # finite in any type: a row that sees nothing must not become NaN
        scores = scores + attention_mask.clamp(min=torch.finfo(scores.dtype).min).to(scores.dtype)
    weights = torch.softmax(scores, -1)
    if dropout and module.training:
        weights = torch.nn.functional.dropout(weights, dropout)
    outputs = weights.to(value.dtype).view(*shape[:3], key.shape[2]) @ value
    return outputs.view(*query.shape[:3], value.shape[-1]).transpose(1, 2).contiguous(), None


AttentionInterface.register(PRODUCTS, attend)
AttentionMaskInterface.register(PRODUCTS, eager_mask)


@contextmanager
def products(model: PreTrainedModel) -> Iterator[None]:
    """Context manager in which a CPU computes attention as plain products.

    From then on the process also keeps freed memory.
    """
    if model.device.type == "cpu":
        keep_freed_memory()
    swap = model.device.type == "cpu" and model.config._attn_implementation == "sdpa"
    if swap:
        model.set_attn_implementation(PRODUCTS)
    try:
        yield
    finally:
        if swap:
            model.set_attn_implementation("sdpa")


def keep_freed_memory() -> None:
    """Make glibc keep the memory of freed tensors for new ones.

    By default it maps each large tensor anew, and the system clears every page of it. With this
    setting the process holds its peak memory until it ends. Other C libraries are not changed.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)  # never


def compiled(model: PreTrainedModel) -> Encode | None:
    """Compile the model's layers for packed rows on a CPU; warn and return None if impossible.

    The embedding is not compiled, so a grown vocabulary does not cause a recompilation.
    """
    missing_part = _missing_part()
    if missing_part:
        warnings.warn(f"layers are not compiled: {missing_part}", stacklevel=2)
        return None
    layers = layer_list(model)
    forwards = [torch.compile(layer.forward, dynamic=True) for layer in layers]

    def encode(ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        for layer, forward in zip(layers, forwards, strict=True):
            layer.forward = forward
        try:
            return model.base_model(
                input_ids=ids,
                position_ids=positions,
                attention_mask=packed_mask(positions, mask_type(model)),
                use_cache=False,
            ).last_hidden_state
        finally:
            for layer in layers:
                del layer.forward

    return encode


def use_bf16(wanted: bool | None, accelerator: bool = False) -> bool:
    """Whether to compute in bfloat16: as wanted, or (None) if products are faster in it.

    A CPU is measured once (`tinr.machine_speed`). accelerator: the answer is for an accelerator
    that is only described.
    """
    if wanted is not None or accelerator:
        return wanted is not False
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return faster_type() is torch.bfloat16


def packed_mask(positions: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (R, 1, T, T): each position sees its own example, up to itself."""
    example = (positions == 0).cumsum(1)
    return shared_mask(example, torch.zeros_like(example), dtype)


def shared_mask(groups: torch.Tensor, members: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (R, 1, T, T) for rows in which the members of a group share a prompt.

    Each position sees, within its group (R, T) and up to itself, its own member (R, T) and what all
    members share, member 0.
    """
    length = groups.shape[1]
    causal_mask = torch.ones(length, length, dtype=torch.bool, device=groups.device).tril()
    member_mask = (members[:, None, :] == 0) | (members[:, :, None] == members[:, None, :])
    visibility = (groups[:, :, None] == groups[:, None, :]) & member_mask & causal_mask
    mask = torch.zeros(visibility.shape, dtype=dtype, device=groups.device)
    return mask.masked_fill_(~visibility, torch.finfo(mask.dtype).min)[:, None]


def mask_type(model: PreTrainedModel) -> torch.dtype:
    """Return the type that attention computes in: fused attention accepts no other mask."""
    kind = model.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype


def _missing_part() -> str:
    """Name what this machine lacks for compiling; empty if nothing."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return "no C++ compiler (set CXX or install g++)"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "no Python headers (install python3-dev)"
    return ""
