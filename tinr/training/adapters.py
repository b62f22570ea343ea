"""Which weights move: all, the last layers, LoRA adapters, or the new rows alone.

Adapters and rows by PEFT, inside the model: whoever calls the model need not know. A published
checkpoint always holds whole weights; a trained adapter lies beside them as an ordinary PEFT one.
The last layers move with the new rows as outputs: as inputs these rows carry no gradient, so the
backward pass ends at the lowest layer that moves.
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

from tinr.config import TrainableConfig
from tinr.records import BadInput


@dataclass(frozen=True)
class Adapter:
    """A trained adapter as the files that PEFT reads."""

    config: Any
    weights: dict[str, Any]  # name -> tensor

    def save(self, folder: Path) -> None:
        """adapter_config.json and adapter_model.safetensors in `folder`."""
        folder.mkdir(parents=True)
        plain = {name: value.detach().cpu().contiguous() for name, value in self.weights.items()}
        save_file(plain, folder / "adapter_model.safetensors")
        self.config.save_pretrained(folder)


def adapt(model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]) -> PeftModel | None:
    """Freeze all but what the configuration names; None where everything moves.

    rows: ids whose rows are trained in the input embedding and, where it is not tied, the
    output head. The model itself is changed; the PeftModel around it only merges and saves.
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
        head.__class__ = type("MergedRows", (type(head),), {"weight": property(_merged)})
    return adapted


def _free_top(model: PreTrainedModel, layers: int, rows: Sequence[int]) -> None:
    """Let the last `layers` blocks, what follows them, and `rows` of the output head move."""
    blocks = _blocks(model)
    if layers > len(blocks):
        raise BadInput(
            f"trainable.layers={layers}: this model has {len(blocks)}; give at most that many"
        )
    inputs: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    below = {id(p) for block in blocks[: len(blocks) - layers] for p in block.parameters()}
    below |= {id(p) for p in inputs.parameters()} - {id(p) for p in head.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in below)
    table = head.weight
    chosen = torch.zeros(len(table), 1, device=table.device)
    chosen[list(rows)] = 1.0
    hooks = [
        table.register_hook(lambda gradient: gradient * chosen.to(gradient)),
        inputs.register_forward_hook(lambda module, given, output: output.detach()),
    ]
    vars(model)[_TOP] = hooks  # for `release_top`


_TOP = "_tinr_top_hooks"


def release_top(model: PreTrainedModel) -> None:
    """Undo what `adapt` did for the last layers: every weight can move again."""
    for hook in vars(model).pop(_TOP, ()):
        hook.remove()
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def _blocks(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The model's layers: its longest list of modules."""
    lists = [m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList)]
    if not lists:
        raise BadInput(
            f"trainable.what=top: {model.config.model_type} has no list of layers; use lora"
        )
    return max(lists, key=len)


def count_moving(model: PreTrainedModel, config: TrainableConfig, rows: Sequence[int]) -> int:
    """Parameters that `adapt` would let move, counted on a model without storage."""
    if config.what == "all":
        return model.num_parameters()
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing of this model is used but its sizes
        empty = AutoModelForCausalLM.from_config(model.config)
        adapt(empty, config, rows)
    moving = sum(p.numel() for p in empty.parameters() if p.requires_grad)
    if config.what == "top":  # of the head, these rows alone
        head: Any = empty.get_output_embeddings().weight
        moving -= (len(head) - len(rows)) * head.shape[1]
    return moving


def _merged(head: Any) -> Any:
    """The head's weights with the trained rows in them: TRL reads `weight` past the adapter."""
    return head.get_merged_weights(head.active_adapters)


def _rows_alone(model: PreTrainedModel, rows: Sequence[int]) -> PeftModel:
    with warnings.catch_warnings():  # it does tie them; a test watches that
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
    except ValueError as error:  # a target that this model has not
        raise BadInput(
            f"trainable.targets: {' '.join(str(error).split())[:200]}; "
            "name linear layers of the model"
        ) from error


def merge(adapted: PeftModel) -> tuple[PreTrainedModel, Adapter]:
    """The model with the adapter in its weights, and the adapter itself."""
    config = adapted.active_peft_config
    config.inference_mode = True
    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    kept = {name: value.clone() for name, value in weights.items()}
    merged: Any = adapted.merge_and_unload()
    for parameter in merged.parameters():
        parameter.requires_grad_(True)
    return merged, Adapter(config, kept)


def _table_names(model: PreTrainedModel) -> tuple[str, ...]:
    """The last part of the name of the input embedding, and of the head where it is its own."""
    tied = bool(model.config.tie_word_embeddings)
    wanted = [model.get_input_embeddings()] + ([] if tied else [model.get_output_embeddings()])
    names = {id(module): name for name, module in model.named_modules()}
    return tuple(names[id(module)].rpartition(".")[2] for module in wanted)
