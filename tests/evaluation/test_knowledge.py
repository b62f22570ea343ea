"""Knowledge probes: every tool counts, scripted replies are judged, plain figures come out."""

import pytest
import torch

from tinr.chat.codec import Piece, token_of
from tinr.chat.render import render_names, render_prompt, render_response, render_thought
from tinr.evaluation import knowledge as probes
from tinr.evaluation.knowledge import knowledge, knowledge_summary, name_among, name_freely
from tinr.rollout.generate import Row


def test_every_tool_is_in_every_denominator(model, codec, catalogue, monkeypatch):
    monkeypatch.setattr(probes, "THOUGHT_TOKENS", 4)
    splits = {"circle_area": "seen", "length_convert": "seen", "city.find": "ood"}
    found = knowledge(model, codec, catalogue, splits)
    counts = {name: figure.n for name, figure in found.items()}
    assert {k: n for k, n in counts.items() if k.startswith("choose")} == {
        "choose_description": 3, "choose_token": 3, "choose_signature": 3, "choose_type": 3,
        "choose_default": 0, "choose_enum": 0,  # one tool has such a property: no wrong option
        "choose_required": 3,
    }  # fmt: skip
    assert counts["document_to_token_among"] == 3
    for degree in ("explicit", "usual", "vague"):
        for how in ("", "_among"):
            name = f"name_{degree}{how}"
            assert (counts[name], counts[f"{name}/seen"], counts[f"{name}/ood"]) == (3, 2, 1)
            assert found[name].chance == pytest.approx(1 / 3)
    assert all(f.low <= f.value <= f.high for f in found.values() if f.n)
    asked = {k for k, f in found.items() if k.startswith("choose") and f.n}
    assert {k for k, f in found.items() if f.blind is not None} == asked
    assert knowledge(model, codec, catalogue, splits) == found


def test_the_summary_is_plain(model, codec, catalogue, monkeypatch):
    monkeypatch.setattr(probes, "THOUGHT_TOKENS", 4)
    found = knowledge_summary(model, codec, catalogue)
    assert set(found["choose_type"]) == {"value", "low", "high", "n", "chance", "blind"}
    assert not any("/" in name for name in found)


def replies(codec):
    tool, other = (Piece(token_of(n), token=True) for n in ("circle_area", "city.find"))
    return {
        "one": ([*render_thought([tool]), *render_names(["circle_area"])], "circle_area"),
        "named otherwise than thought": (
            [*render_thought([other]), *render_names(["circle_area"])], "circle_area",
        ),
        "two": ([*render_thought([tool]), *render_names(["circle_area", "city.find"])], None),
        "only thought of": ([*render_thought([tool]), *render_response("no")], None),
        "never ended": ([*render_thought([tool, "and so on"])], None),
        "spelled in letters": ([Piece("<tool_token><<circle_area>></tool_token>")], None),
    }  # fmt: skip


def test_the_name_of_a_free_reply_is_the_one_tool_it_names(model, codec, monkeypatch):
    scripted = replies(codec)
    rows = iter([Row(codec.encode(pieces)[0]) for pieces, _ in scripted.values()])
    monkeypatch.setattr(
        probes, "generate", lambda m, prompts, *a, **k: [next(rows) for _ in prompts]
    )
    found = name_freely(model, codec, ["x"] * len(scripted))
    assert dict(zip(scripted, found, strict=True)) == {k: v for k, (_, v) in scripted.items()}


def test_the_constraint_asks_where_the_thought_names_its_tool(model, codec, catalogue, monkeypatch):
    """After the prompt and <think>; argmax over the tool tokens' logits alone."""
    before = [*render_prompt("Area?", codec.frame), Piece("<think>", token=True)]
    asked: list[list[Piece]] = []
    decode = probes.decode_among

    def listen(model, codec, prompts, options):
        asked.extend(prompts)
        return decode(model, codec, prompts, options)

    monkeypatch.setattr(probes, "decode_among", listen)
    with torch.no_grad():
        logits = model(torch.tensor([codec.encode(before)[0]])).logits[0, -1]
    best = max(catalogue.names, key=lambda name: float(logits[codec.tool_ids[name]]))
    assert name_among(model, codec, catalogue, ["Area?"]) == [best]
    assert asked == [before]
