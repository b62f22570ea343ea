"""Derive a model's dimensions and parameters from its configuration, without its weights."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from tinr.chat.codec import TAG_TOKENS, frame_of, grow_tokenizer, name_of, rows_needed, token_of
from tinr.checkpoints.model import checked_tokenizer, vocabulary_rows
from tinr.checkpoints.model_source import find_source, read_gguf
from tinr.config import TrainableConfig
from tinr.records import BadInput


@dataclass(frozen=True)
class Linear:
    """The linear layers with the same name and size inside the blocks."""

    name: str
    count: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Growth:
    """New vocabulary entries by kind, and rows of the tables before and after growth."""

    tags: int
    frame: int
    tools: int
    rows_before: int
    rows: int
    own: int  # tinr's entries, including those of earlier phases: the rows that "rows" trains


@dataclass(frozen=True)
class Shape:
    """The dimensions of a grown model that the formulas of `memory` need."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    positions: int | None  # longest context, tokens
    tied: bool  # one table for input and output
    growth: Growth
    parameters: int  # after growth; a tied table counts once
    normed: bool  # queries and keys are normalised
    linears: tuple[Linear, ...]  # inside the blocks

    @property
    def tables(self) -> int:
        """Vocabulary tables: 1 tied, 2 untied."""
        return 1 if self.tied else 2

    @property
    def before(self) -> int:
        """Parameters before growth."""
        row_count = self.growth.rows - self.growth.rows_before
        return self.parameters - row_count * self.hidden * self.tables

    @property
    def matrices(self) -> int:
        """Weights of the linear layers inside the blocks."""
        return sum(linear.count * linear.inputs * linear.outputs for linear in self.linears)

    def adapted(self, trainable: TrainableConfig) -> list[Linear]:
        """The linear layers that get an adapter. BadInput for an unknown name."""
        if trainable.what != "lora":
            return []
        names = {linear.name for linear in self.linears}
        unknown_names = [name for name in trainable.targets if name not in names]
        if unknown_names:
            raise BadInput(
                f"trainable.targets: no linear layer {unknown_names[0]!r} inside the blocks; "
                f"there are {', '.join(sorted(names))}"
            )
        return [
            linear
            for linear in self.linears
            if not trainable.targets or linear.name in trainable.targets
        ]

    def added(self, trainable: TrainableConfig) -> int:
        """Parameters that training adds: adapters and a copy of new rows; 0 without adapters."""
        if not trainable.adapts:
            return 0
        rows = self.growth.own * self.hidden * self.tables
        pairs = sum(
            linear.count * (linear.inputs + linear.outputs) for linear in self.adapted(trainable)
        )
        return rows + trainable.rank * pairs

    def moving(self, trainable: TrainableConfig) -> int:
        """Parameters with a gradient. With "top" every row of the head counts, though few train."""
        if trainable.what == "top":
            share = self.trained_layers(trainable) / self.layers
            return round(share * self.matrices) + self.growth.rows * self.hidden
        return self.parameters if trainable.what == "all" else self.added(trainable)

    def trained_layers(self, trainable: TrainableConfig) -> int:
        """Layers that the backward pass traverses."""
        return min(trainable.layers, self.layers) if trainable.what == "top" else self.layers

    def holding(self, trainable: TrainableConfig) -> int:
        """Trained parameters that can store new information, as in `capacity.plan.Moving`."""
        tables = 1 if trainable.what == "top" else self.tables
        known_count = (self.growth.rows - self.growth.own) * self.hidden * tables
        return self.moving(trainable) - (0 if trainable.adapts else known_count)


def open_source(source: str | Path) -> tuple[Any, Any]:
    """Load config and fast tokenizer of a folder or hub name. BadInput as in `model.load`."""
    origin = find_source(str(source))
    address, kind = origin.place, {}
    if origin.gguf:
        read_gguf(origin.file)
        address, kind = str(origin.file.parent), {"gguf_file": origin.file.name}
    try:
        config = AutoConfig.from_pretrained(address, **kind)
        tokenizer = AutoTokenizer.from_pretrained(address, **kind)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(
            f"{source}: no model can be found ({reason}); give a local folder, or a hub name if "
            "there is a network"
        ) from error
    return config.get_text_config(), checked_tokenizer(tokenizer, source)


def grow_vocabulary(tokenizer: Any, names: Sequence[str], rows: int) -> Growth:
    """Add tags, frame and tools to the tokenizer, in place; `rows`: rows of the model's table."""
    entries = set(tokenizer.get_vocab())
    frame = frame_of(tokenizer).tokens()
    grow_tokenizer(tokenizer, names)

    def count_new(tokens: Iterable[str]) -> int:
        return sum(token not in entries for token in tokens)

    own_count = sum(t in TAG_TOKENS or name_of(t) is not None for t in tokenizer.get_vocab())
    tools = count_new(map(token_of, names))
    rows_after = max(rows, rows_needed(tokenizer))
    return Growth(
        count_new(TAG_TOKENS),
        count_new(frame),
        tools,
        rows,
        rows_after,
        own_count + count_new(frame),
    )


def shape_of(config: Any, growth: Growth, source: str | Path) -> Shape:
    """Compute the shape of a model of this configuration with a grown vocabulary."""
    config.vocab_size = growth.rows
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"{source}: not a causal language model ({reason}); give another base"
        ) from error
    tables = vocabulary_rows(model)
    heads = config.num_attention_heads
    hidden = config.hidden_size
    return Shape(
        hidden=hidden,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or hidden // heads,
        intermediate=getattr(config, "intermediate_size", None) or 4 * hidden,
        positions=getattr(config, "max_position_embeddings", None),
        tied=tables[0].weight is tables[1].weight,
        growth=growth,
        parameters=sum(p.numel() for p in model.parameters()),
        normed=any(re.search(r"\bq_norm\b", name) for name, _ in model.named_modules()),
        linears=_linears(model),
    )


def _linears(model: PreTrainedModel) -> tuple[Linear, ...]:
    """Collect the linear layers without the output head, grouped by name and size."""
    counts: dict[tuple[str, int, int], int] = {}
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            key = (name.rsplit(".", 1)[-1], module.in_features, module.out_features)
            counts[key] = counts.get(key, 0) + 1
    return tuple(Linear(n, count, i, o) for (n, i, o), count in counts.items())
