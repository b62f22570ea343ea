"""What a model writes after plain prompts, without tools."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from tinr.chat.codec import Codec
from tinr.data.own_completions import ends_of
from tinr.progress import counting_tokens, part_of, progress_bar
from tinr.rollout.generate import generate


def plain_replies(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    title: str = "",
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """The ids written after each prompt, with the end token; a title shows a bar of tokens."""
    prompt_tokens = sum(map(len, prompts))
    tokens = prompt_tokens + len(prompts) * max_tokens
    with progress_bar(tokens, title, "token") as bar, part_of(bar, tokens) as move:
        rows = generate(
            model,
            prompts,
            lambda index, written: None,
            ends_of(codec),
            max_tokens=max_tokens,
            pad=codec.pad,
            temperature=temperature,
            seed=seed,
            steer=counting_tokens(prompt_tokens, move),
        )
    return [row.ids for row in rows]
