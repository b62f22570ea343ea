"""Apply a changed catalogue to the vocabulary: add, rename and retire entries.

What is left of removed tools is measured before and after, from the weights alone.
"""

from collections.abc import Sequence
from itertools import chain
from random import Random
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.catalogue.similar import Difference
from tinr.chat.codec import Codec
from tinr.checkpoints.model import grow, tables_of
from tinr.checkpoints.retired_rows import copy_rows, retire
from tinr.evaluation.removal import final_states, naming_probability, naming_prompts, recited
from tinr.records import GateFailed

OTHERS = 12  # other tools whose states determine the retired rows
MOST_LIKELY = 0.001  # largest allowed probability of a removed tool's token after its own prompts


class CatalogueChange:
    """The change from the catalogue `old`, which a model knows, to `new`; apply it once."""

    def __init__(self, old: Catalogue, new: Catalogue, changes: Difference, seed: int):
        self.old, self.new, self.changes, self.seed = old, new, changes, seed
        self.docs = [old.by_name[name] for name in changes.removed]
        self.gone = [*changes.removed, *(name for name, _ in changes.renamed)]
        self._prompts: dict[str, list[list[int]]] = {}
        self._probability = 0.0

    def apply(self, model: PreTrainedModel, tokenizer: Any) -> None:
        """Grow, rename and retire entries; `gone` are the retired ones."""
        codec = Codec(tokenizer)
        self._prompts = naming_prompts(codec, self.old, self.docs, self.seed)
        if self.docs:
            self._probability = naming_probability(model, codec, self._prompts)
        known_ids = [codec.tool_ids[name] for name in self.old.names]
        grow(model, tokenizer, self.new, seed=self.seed)
        grown_codec = Codec(tokenizer)
        ids = grown_codec.tool_ids
        _shift(model, grown_codec, self.old, known_ids, self.changes.added)
        copy_rows(model, {ids[old]: ids[new] for old, new in self.changes.renamed})
        if self.gone:
            docs = [self.old.by_name[name] for name in self.gone]  # some are only renamed
            own = self._prompts or naming_prompts(codec, self.old, docs)
            kept = [doc for doc in self.old.tools if doc.name not in self.gone]
            sample = Random("retire").sample(kept, min(OTHERS, len(kept)))
            states, other_states = (
                final_states(model, list(chain.from_iterable(asked.values())))
                for asked in (own, naming_prompts(codec, self.old, sample) or own)
            )
            retire(model, [ids[name] for name in self.gone], states, other_states)

    def left(self, model: PreTrainedModel, codec: Codec) -> dict[str, Any]:
        """Measure what is left of the removed tools; GateFailed if it is too much."""
        if not self.docs:
            return {}
        probability = naming_probability(model, codec, self._prompts)
        names = recited(model, codec, self.docs, self.new.tools)
        if probability > MOST_LIKELY or names:
            what = f"{names[0]} still recites its document" if names else "a token is predicted"
            raise GateFailed(
                f"update: removed tools: {what} (largest probability {probability:.2g}); nothing "
                "was published. Align again"
            )
        return {
            "removed_probability": {"before": self._probability, "after": probability},
            "removed_recited": len(names),
        }


@torch.no_grad()
def _shift(
    model: PreTrainedModel,
    codec: Codec,
    old: Catalogue,
    known_ids: Sequence[int],
    added: Sequence[str],
) -> None:
    """Move the rows of added tools by the mean shift that alignment gave the others."""
    new_ids = [codec.tool_ids[name] for name in added]
    for table in tables_of(model):
        starts = [
            table[codec.encode_plain(name.replace("_", " "))].float().mean(0) for name in old.names
        ]
        shift = (table[list(known_ids)].float() - torch.stack(starts)).mean(0)
        table[new_ids] += shift.to(table.dtype)
