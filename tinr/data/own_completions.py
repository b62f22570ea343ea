"""The base's own completions without tools, replayed to preserve its skills.

The base answers plain requests, continues openings of texts, and answers requests that it invents:
after the opening of a user's turn a chat model writes what users ask (Magpie, arXiv 2406.08464).
All completions are sampled once per base and stored next to the registry's checkpoints, so every
phase and every start replays the same ones. The base's distributions at each of their tokens are
stored too: the loss is KL(base || policy), without a second model in memory.

An answer is replayed in the base's own chat template, or in a tool conversation after the thought
that no tool is needed, because a user must find the same skills there.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from random import Random
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from tinr import distributed
from tinr.chat.codec import IGNORE, Codec, Piece
from tinr.chat.render import mark_loss, render_prompt, render_question, render_thought
from tinr.checkpoints.open import open_model
from tinr.checkpoints.registry import Registry
from tinr.data.distillation import Distributions, distributions_of
from tinr.data.packing import Example
from tinr.data.plain_prompts import OPENINGS, REQUESTS
from tinr.data.traces import NO_TOOL
from tinr.files import write_text
from tinr.records import BadInput
from tinr.rollout.generate import generate

REPLY_TOKENS = 96  # maximum of an answer or a text
REQUEST_TOKENS = 40  # maximum of a request that the base invents; longer ones are dropped
OWN_REQUESTS = 320  # requests that a chat model invents
ROWS = 64  # sampled at once; memory limits them
TEXTS = 8  # texts that continue each opening; one is enough for a base made by tinr
TEMPERATURE = 0.8  # of answers; at 1, small models often write what a greedy reply never contains
FRAMED_SHARE = 0.5  # of the answers that are placed in a tool conversation
SENTENCE_ENDS = set(".!?")
FOLDER = "own_completions"


@dataclass(frozen=True)
class Completion:
    """A plain prompt and the base's completion of it, as ids of its vocabulary.

    request: the text of the prompt if it is a request, else empty. said: how many ids of the
    completion are whole sentences. row: the table's row for the completion's first id.
    """

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    request: str = ""
    said: int = 0
    row: int = 0

    @property
    def rows(self) -> list[int]:
        """The table's rows for all ids of the completion; 0 without a table."""
        size = len(self.completion)
        return list(range(self.row, self.row + size)) if self.row else [0] * size


@dataclass(frozen=True)
class OwnCompletions:
    """The completions of a base, and its distributions at each of their ids."""

    completions: tuple[Completion, ...] = ()
    teacher: Distributions | None = None


def own_completions(registry: Registry, ref: str, seed: int, share: float = 1.0) -> OwnCompletions:
    """Read or sample the completions of the base of `ref`; BadInput for a broken file.

    share: of the replay; if it is 0, nothing is read or sampled.
    """
    if not share:
        return OwnCompletions()
    base = registry.lineage(ref)[0]
    path = registry.root / FOLDER / f"{base.id}-{seed}.json"
    table = path.with_suffix(".safetensors")

    def sample() -> None:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            model, codec = open_model(registry.open(base.id)[1])
            own = sample_own(model, codec, seed)
            assert own.teacher is not None
            partial = table.with_name(f"{table.name}.{os.getpid()}.partial")
            save_file({"ids": own.teacher.ids, "probs": own.teacher.probs}, partial)
            partial.replace(table)
            rows = [asdict(completion) for completion in own.completions]
            write_text(path, json.dumps(rows))

    distributed.shared(sample)
    try:
        rows = json.loads(path.read_text("utf-8"))
        completions = tuple(
            Completion(tuple(row.pop("prompt")), tuple(row.pop("completion")), **row)
            for row in rows
        )
        return OwnCompletions(completions, Distributions(**load_file(table)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise BadInput(f"{path}: damaged ({error}); remove it to sample it again") from error


def sample_own(model: PreTrainedModel, codec: Codec, seed: int) -> OwnCompletions:
    """Sample answers and texts; one cut at the token limit has no end token."""
    requests = [*REQUESTS, *_own_requests(model, codec, seed)]
    prompts = [request_prompt(codec, text) for text in requests]
    each = TEXTS if _user_opening(codec) else 1
    openings = [_opening_prompt(codec, text) for text in OPENINGS for _ in range(each)]
    completions = [
        *_sampled(model, codec, prompts, REPLY_TOKENS, TEMPERATURE, seed),
        *_sampled(model, codec, openings, REPLY_TOKENS, 1.0, seed + 1),
    ]
    prompts += openings
    rows = accumulate(map(len, completions), initial=1)
    texts = [*requests, *([""] * len(openings))]
    return OwnCompletions(
        tuple(
            Completion(tuple(prompt), tuple(ids), text, _said(codec, ids) if text else 0, row)
            for prompt, ids, text, row in zip(prompts, completions, texts, rows, strict=False)
            if ids
        ),
        distributions_of(model, prompts, completions),
    )


def _said(codec: Codec, ids: Sequence[int]) -> int:
    """Count the ids of an answer's whole sentences; for a finished answer, all but its end.

    The base's own markup ends an answer, because it would have a meaning in a tool conversation.
    """
    markup = {codec.vocabulary.get(token) for token in codec.frame.tokens()} | ends_of(codec)
    first = next((n for n, index in enumerate(ids) if index in markup), None)
    if first is not None:
        return first
    sizes = range(len(ids), 0, -1)
    return next((n for n in sizes if _text(codec, ids[n - 1 : n]).strip()[-1:] in SENTENCE_ENDS), 0)


def _own_requests(model: PreTrainedModel, codec: Codec, seed: int) -> list[str]:
    """Let a chat model invent requests; keep short ones without numbers, which need no tool."""
    opening = _user_opening(codec)
    if not opening:
        return []
    prompts = [opening] * OWN_REQUESTS
    ends = ends_of(codec)
    requests = [
        _text(codec, ids[:-1]).strip()
        for ids in _sampled(model, codec, prompts, REQUEST_TOKENS, 1.0, seed + 2)
        if ids and ids[-1] in ends
    ]
    plain_requests = (text for text in requests if text and not any(c.isdigit() for c in text))
    return [text for text in dict.fromkeys(plain_requests) if text not in REQUESTS]


def _sampled(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    temperature: float,
    seed: int,
) -> list[list[int]]:
    completions: list[list[int]] = []
    for start in range(0, len(prompts), ROWS):
        rows = generate(
            model,
            prompts[start : start + ROWS],
            lambda index, ids: None,
            ends_of(codec),
            max_tokens=tokens,
            pad=codec.pad,
            temperature=temperature,
            seed=seed + start,
        )
        completions += [list(row.ids) for row in rows]
    return completions


def own_examples(own: OwnCompletions, codec: Codec, rng: Random, tokens: float) -> list[Example]:
    """Repeat completions in random order up to at least `tokens` tokens (none for 0)."""
    examples: list[Example] = []
    while tokens > 0 and own.completions:
        for completion in rng.sample(own.completions, len(own.completions)):
            if tokens <= 0:
                break
            is_framed = completion.said and rng.random() < FRAMED_SHARE
            examples.append(_framed(completion, codec) if is_framed else _plain(completion))
            tokens -= examples[-1].width
    return examples


def _plain(completion: Completion) -> Example:
    size = len(completion.prompt)
    labels = [IGNORE] * size + list(completion.completion)
    soft = [0] * size + completion.rows
    return Example([*completion.prompt, *completion.completion], labels, soft=soft)


def _framed(completion: Completion, codec: Codec) -> Example:
    """Put the same ids into a tool conversation, after the thought that no tool is needed."""
    opening = mark_loss([*render_thought([NO_TOOL["chat"]]), Piece("<response>", token=True)])
    ids, labels = codec.encode([*render_prompt(completion.request, codec.frame), *opening])
    end = codec.encode(mark_loss([Piece("</response>", token=True), *codec.frame.end()]))
    reply = list(completion.completion[: completion.said])
    soft = [0] * len(ids) + completion.rows[: completion.said] + [0] * len(end[0])
    return Example([*ids, *reply, *end[0]], [*labels, *reply, *end[1]], soft=soft)


def placeholder_completions() -> OwnCompletions:
    """Return as many completions as there usually are, for estimates without a base."""
    answers = len(REQUESTS) + OWN_REQUESTS // 2  # half of the invented requests can be used
    completion = Completion((0,) * 24, (0,) * REPLY_TOKENS)
    return OwnCompletions((completion,) * (answers + TEXTS * len(OPENINGS)))


def sampling_steps() -> list[tuple[float, float]]:
    """Return the decoding steps that sampling takes, with their rows, for estimates."""
    count = len(placeholder_completions().completions)
    return [(REPLY_TOKENS * count / ROWS, ROWS), (REQUEST_TOKENS * OWN_REQUESTS / ROWS, ROWS)]


def ends_of(codec: Codec) -> frozenset[int]:
    """Return the ids that end a plain reply."""
    end: Any = codec.tokenizer.eos_token_id
    return frozenset({codec.vocabulary.get(codec.frame.close), end} - {None})


def request_prompt(codec: Codec, text: str) -> list[int]:
    """Encode a request in the base's own chat template; without a template, in our frame."""
    tokenizer: Any = codec.tokenizer
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": text}]
        return list(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        )
    pieces = render_question([Piece(text)], codec.frame)
    has_tokens = all(piece.text in codec.vocabulary for piece in pieces if piece.token)
    return codec.encode(pieces)[0] if has_tokens else _opening_prompt(codec, text)


def _opening_prompt(codec: Codec, text: str) -> list[int]:
    return [*codec.start, *codec.encode_plain(text)]


def _user_opening(codec: Codec) -> list[int]:
    """Encode the base's chat template up to the user's text; empty if it is no chat model.

    A base made by tinr has a template too, but has never seen what users ask without tools.
    """
    tokenizer: Any = codec.tokenizer
    if not tokenizer.chat_template or "<response>" in codec.vocabulary:
        return []
    mark = "Hello"
    messages = [{"role": "user", "content": mark}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    return list(tokenizer.encode(text[: text.rindex(mark)], add_special_tokens=False))


def _text(codec: Codec, ids: Sequence[int]) -> str:
    return str(codec.tokenizer.decode(list(ids), skip_special_tokens=True))
