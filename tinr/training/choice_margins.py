"""Logit adjustment where a tool or an option is chosen: how much the data favour each choice.

Training queries call the tools that have queries, and far more of them need a tool than a user's
would. A model learns both as a prior: a tool without queries loses to its neighbours that have
some, and small talk becomes a call. An option that is not asked for is a dash, always the same, and
one that is asked for is one of many words, so that the dash wins where the model doubts. So in the
loss, and only there, the logits of what the data favour are raised by the margin; the model learns
logits that are lower by as much.
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
    """What is added to logits at the positions where a tool, none, or an option is chosen.

    start: the id after which a thought begins. ids (K,): the tools' entries, retired ones too.
    values (K,): nats. colon, dash: ids of an option that is left out, `unit: -`. unasked: nats; 0
    where blanks are entries of their own, and one entry does not tell where an option begins.
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
        """Return the margins; silent: the tools without training queries. None: all are 0.

        A vocabulary without tool tokens has none either: there a choice is no single token.
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
        """Adjust the logits (N, V) in place behind `previous` ids (N,), where labels (N,) are due.

        A tool is chosen where a thought begins, and wherever a tool token is due; an option behind
        a colon.
        """
        ids, values = self.ids.to(logits.device), self.values.to(logits)
        is_choice = (previous == self.start) | torch.isin(labels, ids)
        places = is_choice.nonzero()  # (M, 1)
        logits.index_put_((places, ids), values, accumulate=True)
        logits[:, self.dash] += self.unasked * (previous == self.colon)
        return logits
