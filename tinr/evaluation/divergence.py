"""Distributions along given ids: how well a text is predicted, how far two models part.

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

from tinr.catalogue.english import held_out_sentences
from tinr.chat.codec import Codec
from tinr.data.base_tasks import make_task
from tinr.evaluation.likelihood import batch_tokens, batches
from tinr.progress import counting_tokens, part_of, progress_bar
from tinr.rollout.generate import generate

COMPLETION_TOKENS = 48  # ids of a completion
BEGINNING = 8  # words of a plain text that is to be gone on with
WINDOW = 256  # ids of a stretch of text


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
    """For each stretch of text its nats, its predicted ids and their bytes; a title shows progress.

    Over the whole vocabulary, so what goes to new entries costs. The first id of a stretch
    has nothing before it and is not predicted, unless the tokenizer begins texts with a mark.
    """
    rows = [[*codec.start, *stretch] for text in texts for stretch in _stretches(codec, text)]
    sums: dict[int, tuple[float, int, int]] = {}
    for batch in _sequences(model, rows, title):
        logp = torch.log_softmax(_logits(model, [rows[i] for i in batch], codec.pad), -1)
        for place, i in enumerate(batch):
            told = torch.tensor(rows[i][1:], device=model.device)
            nats = -logp[place, : len(told)].gather(1, told[:, None]).double().sum()
            sums[i] = (float(nats), len(told), _size(codec, rows[i]))
    return [sums[i] for i in range(len(rows))]


def _stretches(codec: Codec, text: str) -> Iterator[list[int]]:
    ids = codec.encode_plain(text)
    yield from (ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW))


def _size(codec: Codec, ids: Sequence[int]) -> int:
    """Bytes of the text behind the first id."""
    tokenizer: Any = codec.tokenizer
    whole, first = (
        tokenizer.decode(part, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for part in (list(ids), list(ids[:1]))
    )
    return len(whole.encode()) - len(first.encode())


def sample_completions(
    base: PreTrainedModel, codec: Codec, count: int, seed: int, title: str = ""
) -> tuple[list[list[int]], list[list[int]]]:
    """Generic prompts, and what the base says to each at temperature 1, as ids.

    Every other prompt is the beginning of a plain text, the others are generic tasks; a base
    without the markers of a conversation gets the texts alone.
    """
    rng = Random(f"{seed}/tax")
    texts = held_out_sentences()
    prompts: list[list[int]] = []
    talks = all(token in codec.vocabulary for token in codec.frame.tokens())
    for number in range(count):
        words = texts[rng.randrange(len(texts))].split()[:BEGINNING]
        asked = _generic_prompt(rng, codec) if talks and number % 2 else []
        prompts.append(asked or [*codec.start, *codec.encode_plain(" ".join(words))])
    end: Any = codec.tokenizer.eos_token_id
    ends = {codec.vocabulary.get(codec.frame.close), end}
    read = sum(map(len, prompts))
    tokens = read + count * COMPLETION_TOKENS
    with progress_bar(tokens, title, "token") as bar, part_of(bar, tokens) as move:
        rows = generate(
            base,
            prompts,
            lambda index, written: None,
            frozenset(one for one in ends if one is not None),
            max_tokens=COMPLETION_TOKENS,
            pad=codec.pad,
            temperature=1.0,
            seed=seed,
            steer=counting_tokens(read, move),
        )
    return prompts, [row.ids for row in rows]


def _generic_prompt(rng: Random, codec: Codec) -> list[int]:
    """A task up to what the model is to write; nothing where there is no prompt, or no tags."""
    pieces = make_task(rng, codec.frame)
    learned = next(place for place, piece in enumerate(pieces) if piece.learn)
    given = pieces[:learned]
    known = all(piece.text in codec.vocabulary for piece in given if piece.token)
    return codec.encode(given)[0] if known else []


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
    kept = torch.tensor(sorted(set(base_codec.vocabulary.values())), device=model.device)
    tools = torch.tensor(sorted(codec.tool_ids.values()), dtype=torch.long, device=model.device)
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    found: dict[int, Shift] = {}
    for batch in _sequences(model, rows, title):
        given = [rows[i] for i in batch]
        was, now = _logits(base, given, codec.pad), _logits(model, given, codec.pad)
        was = was.to(now.device)  # one of the two may have had no room beside the other
        for place, i in enumerate(batch):
            here = slice(len(prompts[i]) - 1, len(rows[i]) - 1)
            found[i] = shift(was[place, here], now[place, here], kept, tools)
    return [found[i] for i in range(len(rows))]


def shift(
    base_TV: torch.Tensor, model_TW: torch.Tensor, kept: torch.Tensor, tools: torch.Tensor
) -> Shift:
    """Sums over T positions, from logits of the base (T, V) and of the model (T, W).

    kept: ids of the base's vocabulary; tools: ids of tool tokens, those of the base excepted.
    Both distributions are renormalised over `kept` for total variation and KL; what the
    model gives to ids outside of it is the leaked mass.
    """
    old = torch.log_softmax(base_TV.double()[:, kept], -1)
    whole = torch.log_softmax(model_TW.double(), -1)
    new = torch.log_softmax(model_TW.double()[:, kept], -1)
    added = torch.ones(whole.shape[1], dtype=torch.bool, device=whole.device)
    added[kept] = False
    named = torch.zeros_like(added)
    named[tools] = True
    return Shift(
        positions=len(old),
        total_variation=float((old.exp() - new.exp()).abs().sum() / 2),
        divergence=float((old.exp() * (old - new)).sum()),
        leaked_tools=float(whole[:, added & named].exp().sum()),
        leaked_other=float(whole[:, added & ~named].exp().sum()),
    )


def _sequences(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], title: str
) -> Iterator[list[int]]:
    """Numbers of rows, short ones first, in batches that fit; a bar moves after each."""
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
