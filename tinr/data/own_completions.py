"""What the base itself says to plain prompts, replayed so that its own skills stay.

Sampled once for each base and kept beside the registry's checkpoints: every phase and every start
replays the same ones. Training on a model's own samples is, in expectation, training on
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
TEMPERATURE = 0.8  # small models at 1 write much that no greedy reply would have
FOLDER = "own_completions"


@dataclass(frozen=True)
class Completion:
    """A plain prompt and what the base said to it, as ids of its vocabulary."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


def own_completions(registry: Registry, ref: str, seed: int) -> list[Completion]:
    """Those of the base that `ref` comes from, sampled now or read; BadInput for a broken file."""
    base = registry.lineage(ref)[0]
    path = registry.root / FOLDER / f"{base.id}-{seed}.json"

    def sample() -> None:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            model, codec = open_model(registry.open(base.id)[1])
            rows = [asdict(one) for one in sample_own(model, codec, seed)]
            write_text(path, json.dumps(rows))

    distributed.shared(sample)
    try:
        rows = json.loads(path.read_text("utf-8"))
        return [Completion(tuple(row["prompt"]), tuple(row["completion"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: damaged ({error}); remove it, and it is sampled again") from error


def sample_own(model: PreTrainedModel, codec: Codec, seed: int) -> list[Completion]:
    """One completion of every plain prompt; those that the limit cut end where they were cut."""
    prompts = [*(_asked(codec, text) for text in REQUESTS), *(_opened(codec, t) for t in OPENINGS)]
    end: Any = codec.tokenizer.eos_token_id
    ends = {codec.vocabulary.get(codec.frame.close), end} - {None}
    rows = generate(
        model,
        prompts,
        lambda index, written: None,
        frozenset(ends),
        max_tokens=COMPLETION_TOKENS,
        pad=codec.pad,
        temperature=TEMPERATURE,
        seed=seed,
    )
    return [Completion(tuple(p), tuple(r.ids)) for p, r in zip(prompts, rows, strict=True)]


def own_examples(completions: Sequence[Completion], rng: Random, tokens: float) -> list[Example]:
    """Completions in random order, again and again, of at least `tokens` tokens (none for 0)."""
    made: list[Example] = []
    while tokens > 0 and completions:
        for one in rng.sample(completions, len(completions)):
            if tokens <= 0:
                break
            labels = [IGNORE] * len(one.prompt) + list(one.completion)
            made.append(Example([*one.prompt, *one.completion], labels))
            tokens -= made[-1].width
    return made


def placeholder_completions() -> list[Completion]:
    """As many tokens as there would be, where no base is at hand to be asked."""
    count = len(REQUESTS) + len(OPENINGS)
    return [Completion((0,) * 24, (0,) * COMPLETION_TOKENS)] * count


def _asked(codec: Codec, text: str) -> list[int]:
    """A request as the base's own chat template has it; in our frame where it has none."""
    tokenizer: Any = codec.tokenizer
    if tokenizer.chat_template:
        said = [{"role": "user", "content": text}]
        return list(
            tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
        )
    pieces = render_question([Piece(text)], codec.frame)
    known = all(piece.text in codec.vocabulary for piece in pieces if piece.token)
    return codec.encode(pieces)[0] if known else _opened(codec, text)


def _opened(codec: Codec, text: str) -> list[int]:
    return [*codec.start, *codec.encode_plain(text)]
