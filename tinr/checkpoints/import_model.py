"""Import a pretrained model as a base, from any source that `tinr.checkpoints.model_source` finds.

The card says where the weights came from, and whether they were dequantised.
"""

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.checkpoints.card import Card, environment
from tinr.checkpoints.durable_files import digest
from tinr.checkpoints.fingerprint import fingerprint, tokenizer_hash
from tinr.checkpoints.model import load, load_gguf
from tinr.checkpoints.model_source import (
    PACKAGED,
    Source,
    check_resources,
    find_source,
    read_gguf,
    stored_weights,
)
from tinr.checkpoints.open import save
from tinr.checkpoints.registry import Registry

UNLIKE = ("_name_or_path", "transformers_version")  # these differ between copies of one model


def import_base(name: str, registry: Registry, seed: int = 0) -> Card:
    """Publish a pretrained model unchanged as a base, or return its card if already published.

    Raises BadInput if it cannot be read or does not fit this machine.
    """
    source = find_source(name)
    if source.gguf:
        return _import_gguf(source, registry, seed)
    if source.file.is_dir():
        check_resources(name, stored_weights(source.file), registry.root)
    model, tokenizer = load(source.place)
    weights = weights_hash(model)
    tokenizer_state = (
        tokenizer.backend_tokenizer.to_str(),
        getattr(tokenizer, "chat_template", None),
    )
    model_config = {
        key: value for key, value in model.config.to_dict().items() if key not in UNLIKE
    }
    source_fingerprint = fingerprint("import", name, weights, *tokenizer_state, model_config)
    card = registry.find("base", source_fingerprint)
    if card:
        return card
    return _publish(registry, model, tokenizer, source_fingerprint, name, {"source": name}, seed)


def named_base(name: str, registry: Registry) -> Card:
    """Return a published base by its id or tag; import any other name with `import_base`.

    Raises BadInput for a checkpoint of another phase, and for an unknown name.
    """
    if Path(name).exists() or name in PACKAGED or not registry.holds(name):
        return import_base(name, registry)
    return registry.open(name, phase="base")[0]


def weights_hash(model: PreTrainedModel) -> str:
    """Return the sha256 of the names and values of all parameters, sorted by name."""
    hasher = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hasher.update(name.encode())
        hasher.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()


def _import_gguf(source: Source, registry: Registry, seed: int) -> Card:
    """Import a GGUF file; its hash identifies it, and an imported file is not loaded again."""
    file_hash = digest(source.file)
    source_fingerprint = fingerprint("import", file_hash, metadata.version("transformers"))
    card = registry.find("base", source_fingerprint)
    if card:
        return card
    content = read_gguf(source.file)
    check_resources(source.place, content.weights, registry.root)
    model, tokenizer = load_gguf(source.file)
    facts = {
        **source.facts,
        "source": source.name,
        "file": source.file.name,
        "sha256": file_hash,
        "licence": source.facts.get("licence", content.licence),
        "quantisation": content.quantisation,
    }
    note = f"weights dequantised from {content.quantisation} to float32"
    return _publish(
        registry, model, tokenizer, source_fingerprint, source.name, facts, seed, (note,)
    )


def _publish(
    registry: Registry,
    model: PreTrainedModel,
    tokenizer: Any,
    source_fingerprint: str,
    name: str,
    facts: Mapping[str, Any],
    seed: int,
    notes: tuple[str, ...] = (),
) -> Card:
    card = Card(
        phase="base",
        base_model=name,
        base_hash=weights_hash(model),
        tokenizer_hash=tokenizer_hash(tokenizer),
        config=dict(facts),
        seed=seed,
        fingerprint=source_fingerprint,
        notes=list(notes),
        **environment(),
    )
    # another process may have imported it while this one read it
    known = registry.find("base", source_fingerprint)
    return known or registry.publish(card, lambda folder: save(folder, model, tokenizer, None))
