"""Choose which weights train: all, the last layers, LoRA adapters, or the new rows alone.

PEFT puts adapters and trained rows inside the model, so its callers need not know about them. A
published checkpoint always has merged weights. A trained adapter is stored next to them in PEFT
format.
The last layers train together with the new rows of the output head. As inputs these rows get no
gradient, so the backward pass ends at the lowest trained layer.
Source: LoRA, arXiv 2106.09685.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftModel,
    TrainableTokensConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from tinr.checkpoints.model import layer_list
from tinr.config import TrainableConfig
from tinr.records import BadInput


@dataclass(frozen=True)
class Adapter:
    """A trained adapter, saved as the files that PEFT reads."""

    config: Any
    weights: dict[str, Any]  # name -> tensor

    def save(self, folder: Path) -> None:
        """Write adapter_config.json and adapter_model.safetensors to `folder`."""
        folder.mkdir(parents=True)
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.weights.items()}
        save_file(tensors, folder / "adapter_model.safetensors")
        self.config.save_pretrained(folder)


def adapt(model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]) -> PeftModel | None:
    """Freeze all parameters except the configured ones. Returns None if there is no adapter.

    rows: ids whose rows train in the input embedding and, if it is not tied, in the output head.
    This changes the model in place. The returned PeftModel serves only to merge and save.
    """
    if config.what == "all":
        return None
    if config.what == "top":
        _free_top(model, config.layers, rows)
        return None
    adapted = _rows_alone(model, rows) if config.what == "rows" else _lora(model, config, rows)
    head: Any = model.get_output_embeddings()
    if not hasattr(head, "bias"):  # PEFT's wrapper hides it, and TRL asks for it
        head.bias = None
    if config.what == "rows":
        head.__class__ = type("MergedRows", (type(head),), {"weight": property(_merged_weights)})
    return adapted


def _free_top(model: PreTrainedModel, layers: int, rows: Sequence[int]) -> None:
    """Train the last `layers` blocks, what follows them, and `rows` of the output head."""
    blocks = layer_list(model)
    if layers > len(blocks):
        raise BadInput(
            f"trainable.layers={layers}: this model has only {len(blocks)}; give at most that many"
        )
    inputs: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    frozen_ids = {id(p) for block in blocks[: len(blocks) - layers] for p in block.parameters()}
    frozen_ids |= {id(p) for p in inputs.parameters()} - {id(p) for p in head.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in frozen_ids)
    table = head.weight
    row_mask = torch.zeros(len(table), 1, device=table.device)
    row_mask[list(rows)] = 1.0
    hooks = [
        table.register_hook(lambda gradient: gradient * row_mask.to(gradient)),
        inputs.register_forward_hook(lambda module, args, output: output.detach()),
    ]
    vars(model)[_TOP] = hooks  # for `release_top`


_TOP = "_tinr_top_hooks"


def release_top(model: PreTrainedModel) -> None:
    """Undo what `adapt` did for the last layers, so that every weight trains again."""
    for hook in vars(model).pop(_TOP, ()):
        hook.remove()
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def count_moving(model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]) -> int:
    """Count the parameters that `adapt` would train, on a model without storage."""
    if config.what == "all":
        return model.num_parameters()
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # only the sizes of this model are used
        meta_model = AutoModelForCausalLM.from_config(model.config)
        adapt(meta_model, config, rows)
    count = sum(p.numel() for p in meta_model.parameters() if p.requires_grad)
    if config.what == "top":  # only these rows of the head train
        head: Any = meta_model.get_output_embeddings().weight
        count -= (len(head) - len(rows)) * head.shape[1]
    return count


def _merged_weights(head: Any) -> Any:
    """Merge the trained rows into the head's weights: TRL reads `weight` without the adapter."""
    return head.get_merged_weights(head.active_adapters)


def _rows_alone(model: PreTrainedModel, rows: Sequence[int]) -> PeftModel:
    with warnings.catch_warnings():  # PEFT does tie them; a test checks that
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        return get_peft_model(
            model,
            TrainableTokensConfig(
                token_indices=sorted(rows), target_modules=list(_table_names(model))
            ),
        )


def _lora(model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]) -> PeftModel:
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(config.targets) or "all-linear",
        trainable_token_indices={name: sorted(rows) for name in _table_names(model)},
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, lora)
    except ValueError as error:  # the model has no such target
        raise BadInput(
            f"trainable.targets: {' '.join(str(error).split())[:200]}; "
            "name linear layers of the model"
        ) from error


def merge(adapted: PeftModel) -> tuple[PreTrainedModel, Adapter]:
    """Merge the adapter into the weights. Returns the model and the adapter."""
    config = adapted.active_peft_config
    config.inference_mode = True
    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    copies = {name: value.clone() for name, value in weights.items()}
    model: Any = adapted.merge_and_unload()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model, Adapter(config, copies)


def _table_names(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the last part of the names of the input embedding and, if not tied, of the head."""
    tied = bool(model.config.tie_word_embeddings)
    tables = [model.get_input_embeddings()] + ([] if tied else [model.get_output_embeddings()])
    names = {id(module): name for name, module in model.named_modules()}
    return tuple(names[id(module)].rpartition(".")[2] for module in tables)
