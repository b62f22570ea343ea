"""The base's own completions of plain prompts, replayed to preserve its skills.

They are sampled once for each base and stored beside the registry's checkpoints: every phase and
every start replays the same ones. Training on a model's own samples is, in expectation, training on
KL(base || policy) up to a constant, without a second model in memory.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from transformers import PreTrainedModel

from tinr import distributed
from tinr.chat.codec import IGNORE, Codec, Piece
from tinr.chat.render import render_question
from tinr.checkpoints.open import open_model
from tinr.checkpoints.registry import Registry
from tinr.data.packing import Example
from tinr.data.plain_prompts import OPENINGS, REQUESTS
from tinr.files import write_text
from tinr.records import BadInput
from tinr.rollout.generate import generate

COMPLETION_TOKENS = 56  # tokens of a completion
TEMPERATURE = 0.8  # at 1, small models often write what a greedy reply never has
FOLDER = "own_completions"


@dataclass(frozen=True)
class Completion:
    """A plain prompt and the base's completion of it, as ids of its vocabulary."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


def own_completions(registry: Registry, ref: str, seed: int) -> list[Completion]:
    """Read or sample the completions of the base of `ref`; BadInput for a broken file."""
    base = registry.lineage(ref)[0]
    path = registry.root / FOLDER / f"{base.id}-{seed}.json"

    def sample() -> None:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            model, codec = open_model(registry.open(base.id)[1])
            rows = [asdict(completion) for completion in sample_own(model, codec, seed)]
            write_text(path, json.dumps(rows))

    distributed.shared(sample)
    try:
        rows = json.loads(path.read_text("utf-8"))
        return [Completion(tuple(row["prompt"]), tuple(row["completion"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: damaged ({error}); remove it, and it is sampled again") from error


def sample_own(model: PreTrainedModel, codec: Codec, seed: int) -> list[Completion]:
    """Sample one completion of every plain prompt; one cut at the token limit has no end token."""
    prompts = [
        *(_request_prompt(codec, text) for text in REQUESTS),
        *(_opening_prompt(codec, t) for t in OPENINGS),
    ]
    end: Any = codec.tokenizer.eos_token_id
    ends = {codec.vocabulary.get(codec.frame.close), end} - {None}
    rows = generate(
        model,
        prompts,
        lambda index, ids: None,
        frozenset(ends),
        max_tokens=COMPLETION_TOKENS,
        pad=codec.pad,
        temperature=TEMPERATURE,
        seed=seed,
    )
    return [Completion(tuple(p), tuple(r.ids)) for p, r in zip(prompts, rows, strict=True)]


def own_examples(completions: Sequence[Completion], rng: Random, tokens: float) -> list[Example]:
    """Repeat completions in random order up to at least `tokens` tokens (none for 0)."""
    examples: list[Example] = []
    while tokens > 0 and completions:
        for completion in rng.sample(completions, len(completions)):
            if tokens <= 0:
                break
            labels = [IGNORE] * len(completion.prompt) + list(completion.completion)
            examples.append(Example([*completion.prompt, *completion.completion], labels))
            tokens -= examples[-1].width
    return examples


def placeholder_completions() -> list[Completion]:
    """Return completions of the usual number of tokens, for estimates without a base."""
    count = len(REQUESTS) + len(OPENINGS)
    return [Completion((0,) * 24, (0,) * COMPLETION_TOKENS)] * count


def _request_prompt(codec: Codec, text: str) -> list[int]:
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
