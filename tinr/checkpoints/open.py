"""Open and save a checkpoint's folder: model, tokenizer and catalogue."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue, load_catalogue, write_jsonl
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.chat_template import usable
from tinr.checkpoints.model import load, to_accelerator
from tinr.checkpoints.registry import Registry
from tinr.distributed import keep_stdout_clean
from tinr.records import BadInput


def open_checkpoint(registry: Registry, ref: str) -> tuple[Card, PreTrainedModel, Codec, Catalogue]:
    """Open a published checkpoint for use; BadInput if it has no catalogue yet."""
    card, folder, catalogue = open_catalogue(registry, ref)
    return card, *open_model(folder), catalogue


def open_catalogue(registry: Registry, ref: str) -> tuple[Card, Path, Catalogue]:
    """Open a checkpoint's card, folder and catalogue without its weights; BadInput as above."""
    card, folder = registry.open(ref)
    if card.catalogue_hash is None:
        raise BadInput(f"{ref}: a checkpoint of phase {card.phase} knows no tools; align it first")
    return card, folder, load_catalogue(folder)


def open_model(folder: Path) -> tuple[PreTrainedModel, Codec]:
    """Load a folder's model, in eval mode, on an accelerator if it fits, and its codec."""
    model, tokenizer = load(folder)
    return to_accelerator(model).eval(), Codec(tokenizer)


def save(folder: Path, model: PreTrainedModel, tokenizer: Any, catalogue: Catalogue | None) -> None:
    """Save a Hugging Face folder (see `tinr.checkpoints.chat_template`), with the catalogue."""
    keep_stdout_clean()  # saving imports DeepSpeed if it is installed
    with usable(model, tokenizer):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if catalogue is not None:
        write_jsonl(folder / "tools.jsonl", (asdict(doc) for doc in catalogue.tools))
