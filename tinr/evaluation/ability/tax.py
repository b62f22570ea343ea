"""Measure what tools cost a model: its general ability compared with the base it was grown from.

    perplexity        of plain text unrelated to tools, and bits per byte, comparable across
                      vocabularies
    total_variation   1/2 sum |p - q| per position, over the base vocabulary, renormalised
    divergence        KL(p || q) = sum p log(p / q) per position, in nats
    leaked_tools      probability that the model gives to tool tokens, per position
    leaked_other      ... to other entries that the base does not have
    tasks             share of requests without a tool that are answered correctly (`tasks`), in
                      the base's own chat template
    tasks_framed      the same, in the format of tool conversations
    choice            for a base trained here, instead of tasks: share of questions about values in
                      the prompt, answered by likelihood

p is the base, q the model. The middle four are measured at the positions of completions that the
base itself samples, where no tool belongs. Every interval is a bootstrap over whole sequences, or
Wilson's for shares. A base against itself costs exactly 0.

The plain text is passages.txt, written for this project and never trained on. A base trained here
knows the language of only one document; its plain text is held-out sentences of that document.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from tinr.catalogue.english import held_out_sentences
from tinr.chat.codec import Codec, Piece
from tinr.chat.render import render_prompt
from tinr.data.base_tasks import pick_question
from tinr.evaluation.ability.divergence import sample_completions, shifts_of, text_nats
from tinr.evaluation.ability.tasks import (
    framed_prompts,
    load_tasks,
    plain_prompts,
    right_replies,
)
from tinr.evaluation.choices import Choice, chance
from tinr.evaluation.intervals import Figure, plain, ratio, share
from tinr.evaluation.likelihood import hits
from tinr.records import BadInput

UNITS = {  # units of measures that are not shares
    "perplexity_ratio": "times",
    "bits_per_byte": "bits",
    "bits_per_byte_base": "bits",
    "divergence": "nats",
}
PASSAGES_FILE = Path(__file__).parent / "passages.txt"
COMPLETIONS, CHOICES = 192, 300  # sequences and questions


def tax_summary(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Measure -> value, 95 % interval, n, chance and unit, as plain data; see `tax`."""
    figures = plain(tax(base, base_codec, model, codec, texts, seed))
    return {name: row | {"unit": UNITS.get(name, "")} for name, row in figures.items()}


def tax(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Figure]:
    """Every measure; `_base` is the base's value, `_ratio` the model's divided by the base's.

    texts: plain text that neither model was trained on (default: see the module). Raise BadInput
    unless the model's vocabulary is the base's with added entries.
    """
    check_grown(base_codec, codec)
    base.eval()
    model.eval()
    is_made_here = "<response>" in base_codec.vocabulary
    texts = texts or (held_out_sentences() if is_made_here else passages())
    skill_figures = _choice_figures if is_made_here else _task_figures
    return {
        **_text_figures(base, base_codec, model, codec, texts, seed),
        **_shift_figures(base, base_codec, model, codec, texts, seed),
        **skill_figures(base, base_codec, model, codec, seed),
    }


def passages() -> list[str]:
    """Read the passages of plain prose that ship with the package."""
    return PASSAGES_FILE.read_text("utf-8").strip().split("\n\n")


def check_grown(base: Codec, grown: Codec) -> None:
    """Raise BadInput unless every entry of the base's vocabulary has the same id in the model's."""
    for token, index in base.vocabulary.items():
        if grown.vocabulary.get(token) != index:
            raise BadInput(
                f"the base's vocabulary entry {token!r} has another id in the model; "
                "give the base that the model was grown from"
            )


# -- plain text ---------------------------------------------------------------------------


def _text_figures(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str],
    seed: int,
) -> dict[str, Figure]:
    base_counts = text_nats(base, base_codec, texts, "cost: plain text, base")
    model_counts = text_nats(model, codec, texts, "cost: plain text, model")
    tokens, sizes = [[row[column] for row in model_counts] for column in (1, 2)]
    base_nats, model_nats = [row[0] for row in base_counts], [row[0] for row in model_counts]
    bits = [nats / math.log(2) for nats in model_nats]
    excess_nats = [a - b for a, b in zip(model_nats, base_nats, strict=True)]
    return {
        "perplexity": ratio(model_nats, tokens, seed, np.exp),
        "perplexity_base": ratio(base_nats, [row[1] for row in base_counts], seed, np.exp),
        "perplexity_ratio": ratio(excess_nats, tokens, seed, np.exp),
        "bits_per_byte": ratio(bits, sizes, seed),
        "bits_per_byte_base": ratio([n / math.log(2) for n in base_nats], sizes, seed),
    }


# -- the base's own completions -----------------------------------------------------------


def _shift_figures(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str],
    seed: int,
) -> dict[str, Figure]:
    prompts, completions = sample_completions(
        base, base_codec, texts, COMPLETIONS, seed, "cost: base's own replies"
    )
    shifts = shifts_of(
        base, base_codec, model, codec, prompts, completions, "cost: model on these replies"
    )
    counts = [shift.positions for shift in shifts]
    return {
        name: ratio([getattr(shift, name) for shift in shifts], counts, seed)
        for name in ("total_variation", "divergence", "leaked_tools", "leaked_other")
    }


# -- requests without a tool --------------------------------------------------------------


def _task_figures(
    base: PreTrainedModel, base_codec: Codec, model: PreTrainedModel, codec: Codec, seed: int
) -> dict[str, Figure]:
    tasks = load_tasks()
    plain_ids = plain_prompts(base_codec, tasks)
    framed_ids = framed_prompts(codec, tasks)
    return {
        "tasks": share(right_replies(model, codec, tasks, plain_ids, "cost: requests, model")),
        "tasks_framed": share(
            right_replies(model, codec, tasks, framed_ids, "cost: requests in the frame, model")
        ),
        "tasks_base": share(
            right_replies(base, base_codec, tasks, plain_ids, "cost: requests, base")
        ),
    }


# -- multiple choice ----------------------------------------------------------------------


def _choice_figures(
    base: PreTrainedModel, base_codec: Codec, model: PreTrainedModel, codec: Codec, seed: int
) -> dict[str, Figure]:
    choices = generic_choices(base_codec, CHOICES, seed)
    guess = chance(choices)
    return {
        "choice": share(hits(model, codec, choices, "cost: multiple choice, model"), guess),
        "choice_base": share(hits(base, base_codec, choices, "cost: multiple choice, base"), guess),
    }


def generic_choices(codec: Codec, count: int, seed: int) -> list[Choice]:
    """Make questions for one of several named values; the other values are wrong options.

    Options have the form that the base was taught, or are plain text if it has no markers or tags.
    """
    rng = Random(f"{seed}/tax/choice")
    has_chat = all(token in codec.vocabulary for token in codec.frame.tokens())
    has_tags = has_chat and "<response>" in codec.vocabulary
    choices: list[Choice] = []
    while len(choices) < count:
        query, right_value, other_values = pick_question(rng)
        values = list(dict.fromkeys([right_value, *other_values]))
        if len(values) < 2:
            continue
        plain_prompt = [*codec.frame.start_pieces(), Piece(f"{query}\n")]
        prompt = render_prompt(query, codec.frame) if has_chat else plain_prompt
        opening = [Piece("<response>", token=True)] if has_tags else []
        closing = [Piece("</response>", token=True)] if has_tags else []
        options = tuple((Piece(text), *closing) for text in values)
        choices.append(Choice((*prompt, *opening), options, even=not has_tags))
    return choices
