"""Next-token distributions of a teacher, which a student should keep while it learns other things.

The most likely entries of each position are stored; the remaining probability counts as one entry.
The loss is KL(teacher || student) over these entries and the remainder: a lower bound of the full
KL, without the noise of a single sampled token.
Source: Hinton et al., arXiv 1503.02531 (temperature 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from tinr.checkpoints.model import head_logits

ENTRIES = 32  # per position
ROWS = 16  # sequences that the teacher reads at once
LEAST = 1e-6  # lower bound of a probability, so that its logarithm is finite


@dataclass(frozen=True)
class Distributions:
    """A table of distributions; an example's `soft` contains its row numbers, and row 0 is none.

    ids (M, K): entries of the vocabulary. probs (M, K): their probabilities, whose sum is below 1.
    """

    ids: torch.Tensor
    probs: torch.Tensor

    def divergence(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """KL (N,) in nats between the rows (N,) and the student's logits (N, V)."""
        ids, probs = self.ids[rows.cpu()], self.probs[rows.cpu()].float()
        ids, probs = ids.long().to(logits.device), probs.to(logits.device)
        logq = F.log_softmax(logits, -1).gather(1, ids)
        rest = (1 - probs.sum(1)).clamp_min(LEAST)
        log_rest = torch.log((1 - logq.exp().sum(1)).clamp_min(LEAST))
        kept = (probs * (probs.clamp_min(LEAST).log() - logq)).sum(1)
        return kept + rest * (rest.log() - log_rest)


@torch.inference_mode()
def distributions_of(
    teacher: PreTrainedModel, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
) -> Distributions:
    """Compute the distributions at all positions of completions, in order, after row 0 (none)."""
    table: Any = teacher.get_input_embeddings().weight
    width = min(ENTRIES, len(table) - 1)
    sizes = [len(completion) for completion in completions]
    starts = [*accumulate(sizes, initial=1)]
    ids = torch.zeros(starts[-1], width, dtype=torch.int32)
    probs = torch.zeros(starts[-1], width, dtype=torch.float16)
    rows = [torch.tensor([*p, *c]) for p, c in zip(prompts, completions, strict=True)]
    by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for first in range(0, len(rows), ROWS):
        batch = by_length[first : first + ROWS]
        # padding follows the text, where a causal model does not see it
        inputs = pad_sequence([rows[i] for i in batch], batch_first=True).to(teacher.device)
        hidden = teacher.base_model(input_ids=inputs, use_cache=False).last_hidden_state
        for states, i in zip(hidden, batch, strict=True):
            begin = len(rows[i]) - sizes[i] - 1
            logits = head_logits(teacher, states[begin : begin + sizes[i]]).float()
            top = torch.softmax(logits, -1).topk(width)
            ids[starts[i] : starts[i + 1]] = top.indices.int().cpu()
            probs[starts[i] : starts[i + 1]] = top.values.half().cpu()
    return Distributions(ids, probs)
