"""What tools cost a model: its general ability against the base it was grown from.

    perplexity        of held-out plain text, and bits a byte, which vocabularies share
    total_variation   1/2 sum |p - q| a position, over the base vocabulary, renormalised
    divergence        KL(p || q) = sum p log(p / q) a position, in nats
    leaked_tools      probability that the model gives to tool tokens, a position
    leaked_other      ... to other entries that the base does not have
    choice            share of questions about values in the prompt answered by likelihood

p is the base, q the model. The positions of the middle four are those of completions that
the base itself samples: what it would say, and no tool belongs there. Every interval is a
bootstrap over whole sequences, or Wilson's for shares. A base against itself costs exactly 0.
"""

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from tinr.catalogue.english import held_out_sentences
from tinr.chat.codec import Codec, Piece
from tinr.chat.render import render_prompt
from tinr.data.base_tasks import pick_question
from tinr.evaluation.choices import Choice, chance
from tinr.evaluation.divergence import sample_completions, shifts_of, text_nats
from tinr.evaluation.intervals import Figure, plain, ratio, share
from tinr.evaluation.likelihood import hits
from tinr.records import BadInput

UNITS = {  # of what is no share
    "perplexity_ratio": "times",
    "bits_per_byte": "bits",
    "bits_per_byte_base": "bits",
    "divergence": "nats",
}
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
    found = plain(tax(base, base_codec, model, codec, texts, seed))
    return {name: row | {"unit": UNITS.get(name, "")} for name, row in found.items()}


def tax(
    base: PreTrainedModel,
    base_codec: Codec,
    model: PreTrainedModel,
    codec: Codec,
    texts: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Figure]:
    """Every measure; `_base` is the base's own, `_ratio` the model's through the base's.

    texts: plain text that nobody trained on (none: the sentences held out here). BadInput
    where the model's vocabulary is not the base's with entries added.
    """
    check_grown(base_codec, codec)
    base.eval()
    model.eval()
    return {
        **_text_figures(base, base_codec, model, codec, texts or held_out_sentences(), seed),
        **_shift_figures(base, base_codec, model, codec, seed),
        **_choice_figures(base, base_codec, model, codec, seed),
    }


def check_grown(base: Codec, grown: Codec) -> None:
    """BadInput unless every entry of the base's vocabulary has the same id in the model's."""
    for token, index in base.vocabulary.items():
        if grown.vocabulary.get(token) != index:
            raise BadInput(
                f"the base's vocabulary entry {token!r} is another one in the model; "
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
    was = text_nats(base, base_codec, texts, "cost: plain text, base")
    now = text_nats(model, codec, texts, "cost: plain text, model")
    tokens, sizes = [[w[place] for w in now] for place in (1, 2)]
    before, after = [w[0] for w in was], [w[0] for w in now]
    bits = [nats / math.log(2) for nats in after]
    more = [a - b for a, b in zip(after, before, strict=True)]
    return {
        "perplexity": ratio(after, tokens, seed, np.exp),
        "perplexity_base": ratio(before, [w[1] for w in was], seed, np.exp),
        "perplexity_ratio": ratio(more, tokens, seed, np.exp),
        "bits_per_byte": ratio(bits, sizes, seed),
        "bits_per_byte_base": ratio([n / math.log(2) for n in before], sizes, seed),
    }


# -- the base's own completions -----------------------------------------------------------


def _shift_figures(
    base: PreTrainedModel, base_codec: Codec, model: PreTrainedModel, codec: Codec, seed: int
) -> dict[str, Figure]:
    prompts, completions = sample_completions(
        base, base_codec, COMPLETIONS, seed, "cost: the base's own replies"
    )
    shifts = shifts_of(
        base, base_codec, model, codec, prompts, completions, "cost: the model along them"
    )
    counts = [shift.positions for shift in shifts]
    return {
        name: ratio([getattr(shift, name) for shift in shifts], counts, seed)
        for name in ("total_variation", "divergence", "leaked_tools", "leaked_other")
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
    """Questions for one of several named values, the others being wrong; options in the
    form the base was taught, or as plain text where it has no markers or tags."""
    rng = Random(f"{seed}/tax/choice")
    talks = all(token in codec.vocabulary for token in codec.frame.tokens())
    tagged = talks and "<response>" in codec.vocabulary
    choices: list[Choice] = []
    while len(choices) < count:
        query, right, others = pick_question(rng)
        shown = list(dict.fromkeys([right, *others]))
        if len(shown) < 2:
            continue
        plain = [*codec.frame.start_pieces(), Piece(f"{query}\n")]
        prompt = render_prompt(query, codec.frame) if talks else plain
        opened = [Piece("<response>", token=True)] if tagged else []
        closed = [Piece("</response>", token=True)] if tagged else []
        options = tuple((Piece(text), *closed) for text in shown)
        choices.append(Choice((*prompt, *opened), options, even=not tagged))
    return choices
