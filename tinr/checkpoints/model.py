"""Load a causal language model, and add tags and tool tokens to its vocabulary (grow it).

A model is grown once, offline, in one process. Loading a grown checkpoint initialises nothing.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe
from tinr.chat.codec import Codec, grow_tokenizer, rows_needed, token_of
from tinr.checkpoints.model_source import find_source, read_gguf, refuse_quantised
from tinr.records import BadInput

Initialisation = Literal["name_mean", "document", "random"]
ToolsAs = Literal["tokens", "names"]
PAD = "<|pad|>"  # for a tokenizer with neither a padding nor an end-of-text token
ROOM = 1.3  # memory for inference on an accelerator, as a multiple of the weights


def load(source: str | Path) -> tuple[PreTrainedModel, Any]:
    """Load a float32 model with SDPA attention and its fast tokenizer, from a folder or a hub name.

    Names of packaged models and GGUF files work too (see `tinr.checkpoints.model_source`).
    Raises BadInput if it cannot be loaded or has no fast tokenizer.
    """
    model_source = find_source(str(source))
    if model_source.gguf:
        read_gguf(model_source.file)  # raises BadInput for an invalid file
        return load_gguf(model_source.file)
    refuse_quantised(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = _pretrained(source)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"{source}: cannot load a causal language model ({reason}); "
            "give a local folder or a hub name"
        ) from error
    tokenizer = checked_tokenizer(tokenizer, source)
    _give_rows(model, tokenizer)
    return model, tokenizer


def _pretrained(source: str | Path) -> PreTrainedModel:
    """Load a model with SDPA attention, or with its own if it has no SDPA."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="sdpa"
        )
    except ValueError as error:
        if "attn_implementation" not in str(error):
            raise
    return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)


def load_gguf(path: Path) -> tuple[PreTrainedModel, Any]:
    """Load a GGUF file as `load` does: dequantised to float32, with its tokenizer.

    The configuration loses its GGUF entry, because `save_pretrained` refuses models with one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        has_progress_bars = is_progress_bar_enabled()
        disable_progress_bar()
        try:
            options: Any = {"gguf_file": path.name}
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **options)
            gguf_model = AutoModelForCausalLM.from_pretrained(
                path.parent, dtype=torch.float32, **options
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(
                f"{path}: transformers cannot read this GGUF file ({reason}); give the Hugging "
                "Face folder of the model"
            ) from error
        finally:
            if has_progress_bars:
                enable_progress_bar()
    config: Any = copy.deepcopy(gguf_model.config)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.load_state_dict(gguf_model.state_dict())
    model.tie_weights()
    return model, checked_tokenizer(tokenizer, path)


def to_accelerator(model: PreTrainedModel) -> PreTrainedModel:
    """Move the model to this process's accelerator, if there is one with enough memory."""
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < ROOM * size:
        return model
    return model.to("cuda")  # type: ignore[arg-type]


def checked_tokenizer(tokenizer: Any, source: str | Path) -> Any:
    """Return a tokenizer that can be grown, with a padding token; BadInput if it is not fast."""
    if not getattr(tokenizer, "is_fast", False):
        raise BadInput(f"{source}: no fast tokenizer; convert it to tokenizer.json first")
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD})
    elif tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def grow(
    model: PreTrainedModel,
    tokenizer: Any,
    catalogue: Catalogue,
    initialisation: Initialisation = "name_mean",
    seed: int = 0,
    tools_as: ToolsAs = "tokens",
) -> int:
    """Add tags, frame and one entry per tool, with input and output rows; return their number.

    tools_as "names" adds no entries for tools: they are written as text (see `Codec`). Existing
    rows do not change. Tied models stay tied. A new tool row starts as the mean of the rows of the
    name's pieces (TInR-U) or of the document's pieces (GTI, arXiv 2604.02324), or at random with
    the spread of the trained rows. A tag row starts as the mean of the rows of its spelling's
    pieces.
    """
    codec = Codec(tokenizer)  # it has no tool tokens yet: spellings are text
    known_tokens, trained_ids = set(codec.vocabulary), sorted(set(codec.vocabulary.values()))
    grow_tokenizer(tokenizer, catalogue.names if tools_as == "tokens" else [])
    new_ids = {
        token: index for token, index in tokenizer.get_vocab().items() if token not in known_tokens
    }
    _give_rows(model, tokenizer)
    sources = _sources(catalogue, new_ids, initialisation)
    generator = torch.Generator().manual_seed(seed)
    for table in tables_of(model):
        _initialise(table, new_ids, sources, codec, trained_ids, generator)
    return len(new_ids)


@torch.no_grad()
def _give_rows(model: PreTrainedModel, tokenizer: Any) -> None:
    """Give every entry of a tokenizer a row in both tables; new rows are zero."""
    rows, needed = vocabulary_rows(model)[0].weight.shape[0], rows_needed(tokenizer)
    if needed > rows:
        model.resize_token_embeddings(needed, mean_resizing=False)
        for table in vocabulary_rows(model):
            table.weight[rows:] = 0


def vocabulary_rows(model: PreTrainedModel) -> tuple[Any, Any]:
    """Return the input embedding and the output head, each a module with a `weight` (V, H)."""
    return model.get_input_embeddings(), model.get_output_embeddings()


def tables_of(model: PreTrainedModel) -> list[torch.Tensor]:
    """Return input and output rows, (V, H) each; one table if they are tied."""
    tables = [module.weight for module in vocabulary_rows(model)]
    return tables[:1] if tables[0].data_ptr() == tables[1].data_ptr() else tables


@dataclass(frozen=True)
class Scale:
    """How a model scales the products of its output head: times `factor`, then capped."""

    factor: float = 1.0
    cap: float | None = None

    def applied(self, products: torch.Tensor) -> torch.Tensor:
        """Return logits of any shape from the head's products."""
        logits = products if self.factor == 1 else products * self.factor
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits


def scale_of(model: PreTrainedModel) -> Scale:
    """Return the scale of a model's output head.

    Granite divides by `logits_scaling`, Cohere multiplies by `logit_scale`, Gemma caps.
    """
    names = ("logits_scaling", "logit_scale", "final_logit_softcapping")
    scaling, scale, cap = (getattr(model.config, name, None) or None for name in names)
    return Scale((scale or 1.0) / (scaling or 1.0), cap)


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Return logits (N, V) of hidden states (N, H), scaled and capped as in the model's forward."""
    return scale_of(model).applied(vocabulary_rows(model)[1](hidden))


@torch.no_grad()
def check_head(model: PreTrainedModel) -> None:
    """Raise BadInput if a model's logits differ from `head_logits`, which the loss uses."""
    ids = torch.tensor([[0, 1]], device=model.device)
    model_logits = model(input_ids=ids, use_cache=False).logits.float()
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.allclose(head_logits(model, hidden).float(), model_logits, rtol=1e-3, atol=1e-3):
        raise BadInput(
            f"{model.config.model_type}: its logits are not those of its output head, which the "
            "loss uses; choose a model of another type"
        )


def _sources(
    catalogue: Catalogue, new_tokens: Mapping[str, int], initialisation: Initialisation
) -> dict[str, str | None]:
    """Return, per new entry, the text from whose pieces its row starts; None: random."""
    texts: dict[str, str | None] = {token: token.strip("<>|/") for token in new_tokens}
    for doc in catalogue.tools:
        if token_of(doc.name) not in new_tokens:
            continue
        texts[token_of(doc.name)] = {
            "name_mean": doc.name.replace("_", " "),
            "document": f"{doc.name.replace('_', ' ')} {describe(doc)}",
            "random": None,
        }[initialisation]
    return texts


@torch.no_grad()
def _initialise(
    table: torch.Tensor,
    new_ids: Mapping[str, int],
    sources: Mapping[str, str | None],
    codec: Codec,
    trained_ids: Sequence[int],
    generator: torch.Generator,
) -> None:
    trained_rows = table[list(trained_ids)].float()
    centre, spread = trained_rows.mean(0), trained_rows.std(0)
    for token, index in sorted(new_ids.items(), key=lambda item: item[1]):
        text = sources[token]
        noise = torch.randn(centre.shape, generator=generator) * spread
        if text is None:
            row = centre + noise
        else:  # a little noise keeps rows of the same words apart
            row = table[codec.encode_plain(text)].float().mean(0) + 0.1 * noise
        table[index] = row.to(table.dtype)


def layer_list(model: PreTrainedModel) -> torch.nn.ModuleList:
    """Return the model's layers, its longest list of modules; BadInput if it has none."""
    lists = [m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList)]
    if not lists:
        raise BadInput(
            f"{model.config.model_type}: the model has no list of layers; set trainable.what=lora "
            "and training.compile=false"
        )
    return max(lists, key=len)
