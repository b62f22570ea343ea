"""Logit adjustment where a tool or an option is chosen: it removes the prior of the data.

Training queries call only tools that have queries, and far more of them need a tool than users'
messages do. A model learns both as a prior: a tool without queries loses to its neighbours that
have some, and small talk becomes a call. An omitted option is always the same dash, while an option
that is asked for is one of many words, so the dash wins if the model is unsure. Therefore the loss,
and only the loss, adds a margin to the logits of the choices that the data favour; the model learns
logits that are lower by that margin.
Source: logit adjustment, Menon et al. 2021, arXiv 2007.07314, equation 10.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from tinr.chat.codec import Codec
from tinr.config import ChoiceConfig
from tinr.data.bindings import UNASKED


@dataclass(frozen=True)
class ChoiceMargins:
    """Margins that are added to logits where a tool, none, or an option is chosen.

    start: the id after which a thought begins. ids (K,): the tools' entries, including retired
    ones. values (K,): nats. colon, dash: ids in an omitted option, `unit: -`. unasked: nats; 0 if
    blanks are separate entries, because a single entry then does not show where an option begins.
    """

    start: int
    ids: torch.Tensor
    values: torch.Tensor
    colon: int
    dash: int
    unasked: float

    @classmethod
    def of(
        cls, codec: Codec, silent: Collection[str], config: ChoiceConfig
    ) -> "ChoiceMargins | None":
        """Return the margins, or None if all are 0. silent: the tools without training queries.

        A vocabulary without tool tokens has none either: a choice is not a single token there.
        """
        if codec.writes_names or not (config.unqueried or config.call or config.unasked):
            return None
        values = [
            config.call - (config.unqueried if name in silent else 0.0) for name in codec.tool_ids
        ]
        ids = torch.tensor(list(codec.tool_ids.values()))
        *_, colon, dash = codec.encode_plain(f"unit: {UNASKED}")
        unasked = config.unasked if codec.encode_plain(":") == [colon] else 0.0
        return cls(codec.id("<think>"), ids, torch.tensor(values), colon, dash, unasked)

    def adjust(
        self, logits: torch.Tensor, previous: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Add the margins in place to logits (N, V) that follow `previous` ids (N,).

        labels (N,): the ids to predict. A tool is chosen where a thought begins and wherever the
        label is a tool token; an option is chosen after a colon.
        """
        ids, values = self.ids.to(logits.device), self.values.to(logits)
        is_choice = (previous == self.start) | torch.isin(labels, ids)
        places = is_choice.nonzero()  # (M, 1)
        logits.index_put_((places, ids), values, accumulate=True)
        logits[:, self.dash] += self.unasked * (previous == self.colon)
        return logits
