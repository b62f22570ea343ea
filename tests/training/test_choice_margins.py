"""Margins of the loss where a tool, or none, is chosen."""

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.chat.codec import Codec, Piece
from tinr.chat.render import mark_loss, render_prompt
from tinr.config import ChoiceConfig
from tinr.data.distillation import distributions_of
from tinr.data.packing import Example, collate
from tinr.training.choice_margins import ChoiceMargins
from tinr.training.loop import labelled_loss

MARGINS = ChoiceConfig(unqueried=3.0, call=9.0)


@pytest.fixture(scope="module")
def model(grown):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(grown("tiny").tokenizer), hidden_size=32, intermediate_size=64,
        num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def thought(codec: Codec, *said: Piece | str) -> Example:
    """Encode a reply that begins to think and goes on as said."""
    pieces = [Piece("<think>", token=True)]
    pieces += [piece if isinstance(piece, Piece) else Piece(piece) for piece in said]
    prompt = render_prompt("How large is a circle of radius 3?", codec.frame)
    return Example(*codec.encode([*prompt, *mark_loss(pieces)]))


@pytest.mark.parametrize("said", ["a tool", "no tool", "a tool behind another one"])
def test_only_logits_where_a_tool_is_chosen_are_adjusted(said, model, grown, catalogue):
    """The loss is the cross-entropy of logits that the margins changed at the choices alone."""
    codec = grown("tiny")
    queried, *others = catalogue.names
    token = Piece(f"<<{queried}>>", token=True)
    other = Piece(f"<<{others[0]}>>", token=True)
    example = {
        "a tool": thought(codec, token, " computes it."),
        "no tool": thought(codec, "No tool is needed."),
        "a tool behind another one": thought(codec, token, " and\n", other, " too."),
    }[said]
    margins = ChoiceMargins.of(codec, others, MARGINS)
    assert margins is not None
    logits = model(torch.tensor([example.ids])).logits[0, :-1].detach().clone()
    targets = torch.tensor(example.labels[1:])
    think, tools = codec.id("<think>"), set(codec.tool_ids.values())
    choices = [
        place
        for place, label in enumerate(targets.tolist())
        if label in tools or (example.ids[place] == think and label >= 0)
    ]
    assert len(choices) == (2 if "behind" in said else 1)
    for place in choices:
        logits[place, codec.tool_ids[queried]] += 9.0
        for name in others:
            logits[place, codec.tool_ids[name]] += 9.0 - 3.0
    expected = F.cross_entropy(logits, targets)
    batch = collate([[example]], codec.pad)
    assert labelled_loss(model, batch, margins=margins).item() == pytest.approx(expected.item())
    assert labelled_loss(model, batch).item() != pytest.approx(expected.item(), abs=1e-3)


def test_an_option_that_is_left_out_wins_by_the_margin_in_the_loss(model, grown, monkeypatch):
    """Behind the colon of its slot alone, whether the dash is due there or not."""
    codec = grown("tiny")
    example = thought(codec, "unit: radians; side: -")
    colon, dash = (codec.encode_plain(text)[0] for text in ":-")
    ids = {"unit: -": [1, colon, dash], ":": [colon]}  # as most tokenizers: ` -` is one entry
    monkeypatch.setattr(codec, "encode_plain", ids.__getitem__)
    margins = ChoiceMargins.of(codec, (), ChoiceConfig(unasked=2.0))
    assert margins is not None
    logits = model(torch.tensor([example.ids])).logits[0, :-1].detach().clone()
    targets = torch.tensor(example.labels[1:])
    places = [place for place, index in enumerate(example.ids[:-1]) if index == colon]
    assert len(places) == 2
    logits[places, dash] += 2.0
    expected = F.cross_entropy(logits, targets)
    batch = collate([[example]], codec.pad)
    assert labelled_loss(model, batch, margins=margins).item() == pytest.approx(expected.item())


def test_where_blanks_are_entries_no_option_has_a_margin(grown):
    margins = ChoiceMargins.of(grown("tiny"), (), ChoiceConfig(unasked=2.0, call=1.0))
    assert margins is not None and margins.unasked == 0.0


def test_without_a_margin_or_without_tool_tokens_nothing_is_adjusted(
    grown, catalogue, tiny_tokenizer
):
    names = catalogue.names
    assert ChoiceMargins.of(grown("tiny"), names, ChoiceConfig()) is None
    assert ChoiceMargins.of(Codec(tiny_tokenizer), names, MARGINS) is None


def test_a_retired_entry_gains_nothing(grown, catalogue):
    """Tokens of removed tools keep their place in the vocabulary, and lose with all tools."""
    codec = grown("tiny")
    retired, *others = catalogue.names
    margins = ChoiceMargins.of(codec, others, MARGINS)
    assert margins is not None
    values = dict(zip(margins.ids.tolist(), margins.values.tolist(), strict=True))
    assert values.pop(codec.tool_ids[retired]) == 9.0
    assert list(values.values()) == [9.0 - 3.0] * len(others)


def test_what_the_base_says_is_held_to_the_base_without_margins(model, grown, catalogue):
    """Distilled positions behind a tag keep their divergence."""
    codec = grown("tiny")
    margins = ChoiceMargins.of(codec, catalogue.names, MARGINS)
    example = thought(codec, "No tool is needed.")
    place = example.ids.index(codec.id("<think>")) + 1
    table = distributions_of(model, [list(example.ids[:place])], [list(example.ids[place:])])
    soft = [0] * place + [*range(1, len(example.ids) - place + 1)]
    batch = collate([[Example(example.ids, example.labels, 1.0, soft)]], codec.pad)
    assert labelled_loss(model, batch, None, None, table, margins).item() == pytest.approx(
        labelled_loss(model, batch, None, None, table).item()
    )
