"""Next-id distributions along given ids: how well a text is predicted, how far two models differ.

total variation   1/2 sum |p - q|
KL(p || q)        sum p log(p / q)
leaked mass       probability of entries that p does not have
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from transformers import PreTrainedModel

from tinr.chat.codec import Codec
from tinr.data.base_tasks import make_task
from tinr.evaluation.ability.replies import plain_replies
from tinr.evaluation.likelihood import batch_tokens, batches
from tinr.progress import progress_bar

COMPLETION_TOKENS = 48  # ids of a completion
BEGINNING = 8  # words of a plain text that the base continues
WINDOW = 256  # ids of a window of text


@dataclass(frozen=True)
class Shift:
    """Sums over the positions of one sequence; the divergence in nats."""

    positions: int
    total_variation: float
    divergence: float
    leaked_tools: float
    leaked_other: float


@torch.inference_mode()
def text_nats(
    model: PreTrainedModel, codec: Codec, texts: Sequence[str], title: str = ""
) -> list[tuple[float, int, int]]:
    """The nats of each window of text, its predicted ids and their bytes.

    The softmax covers the whole vocabulary, so probability on new entries costs. The first id of
    a window has no context and is not predicted, unless the tokenizer starts texts with a special
    token. A non-empty title shows a progress bar.
    """
    rows = [[*codec.start, *stretch] for text in texts for stretch in _stretches(codec, text)]
    sums: dict[int, tuple[float, int, int]] = {}
    for batch in _sequences(model, rows, title):
        logp = torch.log_softmax(_logits(model, [rows[i] for i in batch], codec.pad), -1)
        for row, i in enumerate(batch):
            targets = torch.tensor(rows[i][1:], device=model.device)
            nats = -logp[row, : len(targets)].gather(1, targets[:, None]).double().sum()
            sums[i] = (float(nats), len(targets), _size(codec, rows[i]))
    return [sums[i] for i in range(len(rows))]


def _stretches(codec: Codec, text: str) -> Iterator[list[int]]:
    ids = codec.encode_plain(text)
    yield from (ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW))


def _size(codec: Codec, ids: Sequence[int]) -> int:
    """Bytes of the text after the first id."""
    tokenizer: Any = codec.tokenizer
    text, first_text = (
        tokenizer.decode(ids_part, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids_part in (list(ids), list(ids[:1]))
    )
    return len(text.encode()) - len(first_text.encode())


def sample_completions(
    base: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str],
    count: int,
    seed: int,
    title: str = "",
) -> tuple[list[list[int]], list[list[int]]]:
    """Sample a completion of each generic prompt from the base at temperature 1; both as ids.

    Every other prompt is the beginning of one of the texts, the rest are generic tasks. A base
    without the markers of a conversation gets only texts.
    """
    rng = Random(f"{seed}/tax")
    prompts: list[list[int]] = []
    has_chat = all(token in codec.vocabulary for token in codec.frame.tokens())
    for number in range(count):
        words = texts[rng.randrange(len(texts))].split()[:BEGINNING]
        task_ids = _generic_prompt(rng, codec) if has_chat and number % 2 else []
        prompts.append(task_ids or [*codec.start, *codec.encode_plain(" ".join(words))])
    return prompts, plain_replies(base, codec, prompts, COMPLETION_TOKENS, title, 1.0, seed)


def _generic_prompt(rng: Random, codec: Codec) -> list[int]:
    """The prompt of a generic task; empty if it has none, or the vocabulary lacks its tags."""
    pieces = make_task(rng, codec.frame)
    reply_start = next(place for place, piece in enumerate(pieces) if piece.learn)
    prompt_pieces = pieces[:reply_start]
    is_encodable = all(piece.text in codec.vocabulary for piece in prompt_pieces if piece.token)
    return codec.encode(prompt_pieces)[0] if is_encodable else []


@torch.inference_mode()
def shifts_of(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    title: str = "",
) -> list[Shift]:
    """How far the model's next-id distribution is from the base's along each completion."""
    base_ids = torch.tensor(sorted(set(base_codec.vocabulary.values())), device=model.device)
    tools = torch.tensor(sorted(codec.tool_ids.values()), dtype=torch.long, device=model.device)
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    shifts: dict[int, Shift] = {}
    for batch in _sequences(model, rows, title):
        batch_rows = [rows[i] for i in batch]
        base_logits, model_logits = (
            _logits(base, batch_rows, codec.pad),
            _logits(model, batch_rows, codec.pad),
        )
        # the two models may not fit on one device
        base_logits = base_logits.to(model_logits.device)
        for row, i in enumerate(batch):
            positions = slice(len(prompts[i]) - 1, len(rows[i]) - 1)
            shifts[i] = shift(
                base_logits[row, positions], model_logits[row, positions], base_ids, tools
            )
    return [shifts[i] for i in range(len(rows))]


def shift(
    base_TV: torch.Tensor, model_TW: torch.Tensor, base_ids: torch.Tensor, tools: torch.Tensor
) -> Shift:
    """Sums over T positions, from logits of the base (T, V) and of the model (T, W).

    base_ids: ids of the base's vocabulary; tools: ids of the tool tokens that the base lacks.
    Both distributions are renormalised over `base_ids` for total variation and KL. The leaked
    mass is what the model gives to ids outside of it.
    """
    base_logp = torch.log_softmax(base_TV.double()[:, base_ids], -1)
    full_logp = torch.log_softmax(model_TW.double(), -1)
    model_logp = torch.log_softmax(model_TW.double()[:, base_ids], -1)
    is_added = torch.ones(full_logp.shape[1], dtype=torch.bool, device=full_logp.device)
    is_added[base_ids] = False
    is_tool = torch.zeros_like(is_added)
    is_tool[tools] = True
    return Shift(
        positions=len(base_logp),
        total_variation=float((base_logp.exp() - model_logp.exp()).abs().sum() / 2),
        divergence=float((base_logp.exp() * (base_logp - model_logp)).sum()),
        leaked_tools=float(full_logp[:, is_added & is_tool].exp().sum()),
        leaked_other=float(full_logp[:, is_added & ~is_tool].exp().sum()),
    )


def _sequences(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], title: str
) -> Iterator[list[int]]:
    """Yield batches of row numbers, short rows first; the bar moves after each batch."""
    sizes = [(len(row), len(row), 1) for row in rows]
    with progress_bar(sum(map(len, rows)), title, "token") as bar:
        for batch in batches(sizes, batch_tokens(model)):
            yield batch
            bar.update(sum(len(rows[i]) for i in batch))


def _logits(model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    """Logits (B, T, V) float32 of rows padded right."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    ids, mask = ids.to(model.device), mask.to(model.device)
    return model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
