"""Load a causal language model, and grow it by tags and tool tokens.

Growing happens once, offline, in one process; loading a grown checkpoint never
initialises anything again.
"""

import copy
import warnings
from collections.abc import Mapping
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
from tinr.chat.codec import Codec, grow_tokenizer, token_of
from tinr.checkpoints.model_source import find_source, read_gguf
from tinr.records import BadInput

Initialisation = Literal["name_mean", "document", "random"]
ToolsAs = Literal["tokens", "names"]
ROOM = 1.3  # times its weights is what a model that is not trained needs of an accelerator


def load(source: str | Path) -> tuple[PreTrainedModel, Any]:
    """A float32 model with SDPA attention and its fast tokenizer, from a folder or a hub name.

    Names of packaged models and GGUF files are read as well (see `tinr.checkpoints.model_source`).
    BadInput where it cannot be loaded or has no fast tokenizer.
    """
    found = find_source(str(source))
    if found.gguf:
        read_gguf(found.file)  # says what is wrong with the file
        return load_gguf(found.file)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"{source}: cannot load a causal language model ({reason}); "
            "give a local folder or a hub name"
        ) from error
    return model, checked_tokenizer(tokenizer, source)


def load_gguf(path: Path) -> tuple[PreTrainedModel, Any]:
    """A GGUF file as `load` gives any other model: dequantised to float32, its tokenizer beside it.

    The configuration forgets that there was a file: `save_pretrained` refuses such models.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bars = is_progress_bar_enabled()
        disable_progress_bar()
        try:
            kind: Any = {"gguf_file": path.name}
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **kind)
            read = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **kind)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(
                f"{path}: transformers cannot read this GGUF file ({reason}); give the Hugging "
                "Face folder of the model"
            ) from error
        finally:
            if bars:
                enable_progress_bar()
    config: Any = copy.deepcopy(read.config)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, checked_tokenizer(tokenizer, path)


def to_accelerator(model: PreTrainedModel) -> PreTrainedModel:
    """The model on this process's accelerator, where there is one with room for it to read and
    write; else where it is."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    if not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < ROOM * size:
        return model
    return model.to("cuda")  # type: ignore[arg-type]


def checked_tokenizer(tokenizer: Any, source: str | Path) -> Any:
    """A tokenizer that can be grown, with a padding token; BadInput where it is not a fast one."""
    if not getattr(tokenizer, "is_fast", False):
        raise BadInput(f"{source}: no fast tokenizer; convert it to tokenizer.json first")
    if tokenizer.pad_token is None:
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
    """Add tags, frame and one entry per tool, with input and output rows; how many are new.

    tools_as "names" adds no tool's entry: tools are then written out (see `Codec`).
    Rows that are already there are not touched. Tied models stay tied. New tool rows
    start as the mean of the rows of the name's pieces (TInR-U), of the document's pieces
    (GTI, arXiv 2604.02324), or random, in the spread of the trained rows; tag rows start
    as the mean of their spelling's pieces.
    """
    plain = Codec(tokenizer)  # knows no tool token yet: spellings are text
    known = set(plain.vocabulary)
    before = len(known)
    rows_before = vocabulary_rows(model)[0].weight.shape[0]
    grow_tokenizer(tokenizer, catalogue.names if tools_as == "tokens" else [])
    added = {t: i for t, i in tokenizer.get_vocab().items() if t not in known}
    if len(tokenizer) > rows_before:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    sources = _sources(catalogue, added, initialisation)
    generator = torch.Generator().manual_seed(seed)
    tables = [rows.weight for rows in vocabulary_rows(model)]
    if tables[0].data_ptr() == tables[1].data_ptr():
        tables.pop()
    for table in tables:
        _initialise(table, added, sources, plain, before, generator)
    return len(added)


def vocabulary_rows(model: PreTrainedModel) -> tuple[Any, Any]:
    """The input embedding and the output head, each a module with a `weight` (V, H)."""
    return model.get_input_embeddings(), model.get_output_embeddings()


@dataclass(frozen=True)
class Scale:
    """What a model does to the products of its output head: times `factor`, then capped."""

    factor: float = 1.0
    cap: float | None = None


def scale_of(model: PreTrainedModel) -> Scale:
    """Granite divides by `logits_scaling`, Cohere multiplies by `logit_scale`, Gemma caps."""
    names = ("logits_scaling", "logit_scale", "final_logit_softcapping")
    scaling, scale, cap = (getattr(model.config, name, None) or None for name in names)
    return Scale((scale or 1.0) / (scaling or 1.0), cap)


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits (N, V) of hidden states (N, H), scaled and capped as the model's own forward does."""
    scale, logits = scale_of(model), vocabulary_rows(model)[1](hidden)
    logits = logits if scale.factor == 1 else logits * scale.factor
    return torch.tanh(logits / scale.cap) * scale.cap if scale.cap else logits


@torch.no_grad()
def check_head(model: PreTrainedModel) -> None:
    """BadInput for a model whose logits are not those of `head_logits`: it would learn others."""
    ids = torch.tensor([[0, 1]], device=model.device)
    own = model(input_ids=ids, use_cache=False).logits.float()
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.allclose(head_logits(model, hidden).float(), own, rtol=1e-3, atol=1e-3):
        raise BadInput(
            f"{model.config.model_type}: its logits are not those of its output head, whose loss "
            "is trained on; give a model of another kind"
        )


def _sources(
    catalogue: Catalogue, added: Mapping[str, int], initialisation: Initialisation
) -> dict[str, str | None]:
    """For every added entry the text whose pieces its row starts from; None: random."""
    texts: dict[str, str | None] = {token: token.strip("<>|/") for token in added}
    for doc in catalogue.tools:
        if token_of(doc.name) not in added:
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
    added: Mapping[str, int],
    sources: Mapping[str, str | None],
    plain: Codec,
    before: int,
    generator: torch.Generator,
) -> None:
    trained = table[:before].float()
    centre, spread = trained.mean(0), trained.std(0)
    for token, index in sorted(added.items(), key=lambda item: item[1]):
        text = sources[token]
        noise = torch.randn(centre.shape, generator=generator) * spread
        if text is None:
            row = centre + noise
        else:  # a little noise keeps rows of the same words apart
            row = trained[plain.encode_plain(text)].mean(0) + 0.1 * noise
        table[index] = row.to(table.dtype)
