"""Probe what a checkpoint knows of its catalogue beyond recall, without a judge.

    choose_*        multiple choice by likelihood (tinr.evaluation.choices), chance level stated
    name_DEGREE     a pseudo-query at three degrees of vagueness, the tool named freely
    ..._among       the same, with decoding of the name restricted to tools
    document_to_token_among    recall with decoding restricted to tools

No model judges: a choice is right if the right option is the most likely, a name if it is exactly
the expected tool. Every tool with the property is in the denominator.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from random import Random
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec, Piece, token_of
from tinr.chat.parse import parse
from tinr.chat.render import render_prompt
from tinr.data.alignment_examples import ask_token
from tinr.data.pseudo_queries import DEGREES, Wording
from tinr.data.traces import render_plan
from tinr.evaluation.choices import Choice, blind, chance, make_choices
from tinr.evaluation.intervals import Figure, plain, share
from tinr.evaluation.likelihood import decode_among, hits
from tinr.evaluation.recall import rows_at_once
from tinr.progress import counting_ends, part_of, progress_bar
from tinr.rollout.generate import generate

THOUGHT_TOKENS = 200  # maximum ids of a thought and the names after it


def knowledge_summary(
    model: PreTrainedModel,
    codec: Codec,
    catalogue: Catalogue,
    splits: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Probe -> value, 95 % interval, n and chance, as plain data; see `knowledge`."""
    return plain(knowledge(model, codec, catalogue, splits, seed))


def knowledge(
    model: PreTrainedModel,
    codec: Codec,
    catalogue: Catalogue,
    splits: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """The figure of every probe; vagueness probes also per split, as `name_vague/unseen`.

    splits: tool -> split; tools without a split count only in the overall figure.
    """
    model.eval()
    figures = {
        kind: _choice_figure(model, codec, catalogue, kind, choices)
        for kind, choices in make_choices(catalogue, codec.frame).items()
    }
    chance_level = 1 / len(catalogue.tools)
    names_by_probe = {"document_to_token_among": _recalled_among(model, codec, catalogue)}
    figures |= {
        name: share(_matches(names, catalogue), chance_level)
        for name, names in names_by_probe.items()
    }
    queries = vague_queries(catalogue, seed)
    for degree, texts in queries.items():
        for name, matches in (
            (
                f"name_{degree}",
                _matches(name_freely(model, codec, texts, f"knowledge: {degree} query"), catalogue),
            ),
            (
                f"name_{degree}_among",
                _matches(name_among(model, codec, catalogue, texts), catalogue),
            ),
        ):
            figures |= _by_split(name, matches, catalogue, splits or {}, chance_level)
    return figures


def _choice_figure(
    model: PreTrainedModel, codec: Codec, catalogue: Catalogue, kind: str, choices: list[Choice]
) -> Figure:
    title = f"knowledge: {kind.replace('_', ' ')}"
    choice_hits = hits(model, codec, choices, title)
    blind_choices = blind(choices, catalogue, codec.frame)
    return share(choice_hits, chance(choices), hits(model, codec, blind_choices, f"{title}, blind"))


def vague_queries(catalogue: Catalogue, seed: int = 0) -> dict[str, list[str]]:
    """Degree of vagueness -> one query per tool, in the catalogue's order."""
    wording = Wording(catalogue)
    texts_by_tool = [
        wording.at_degrees(doc, Random(f"{seed}/vague/{doc.name}"))[0] for doc in catalogue.tools
    ]
    return {degree: [texts[degree] for texts in texts_by_tool] for degree in DEGREES}


def name_freely(
    model: PreTrainedModel, codec: Codec, texts: Sequence[str], title: str = ""
) -> list[str | None]:
    """The tool that each greedy reply names; None if it names none or several.

    A non-empty title shows a progress bar.
    """
    prompts = [codec.encode(render_prompt(text, codec.frame))[0] for text in texts]
    stops = frozenset(codec.id(t) for t in ("</tool_token>", "</response>", codec.frame.close))
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    name_of_text: dict[int, str | None] = {}
    size = rows_at_once(model)
    with progress_bar(len(order), title, "reply") as bar:
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            with part_of(bar, len(chunk)) as move:
                rows = generate(
                    model,
                    [prompts[i] for i in chunk],
                    counting_ends(lambda index, written: None, move),
                    stops,
                    max_tokens=THOUGHT_TOKENS,
                    pad=codec.pad,
                )
            for index, row in zip(chunk, rows, strict=True):
                names = parse(codec.decode(row.ids)).named
                name_of_text[index] = names[0] if len(names) == 1 else None
    return [name_of_text[i] for i in range(len(texts))]


def name_among(
    model: PreTrainedModel, codec: Codec, catalogue: Catalogue, texts: Sequence[str]
) -> list[str]:
    """The tool decoded after the beginning of a composed thought; only tools are allowed."""
    prompts = [[*render_prompt(text, codec.frame), *_lead(catalogue)] for text in texts]
    return decode_among(model, codec, prompts, _tokens(catalogue))


def _recalled_among(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> list[str]:
    prompts = [ask_token(doc, codec.frame) for doc in catalogue.tools]
    return decode_among(model, codec, prompts, _tokens(catalogue))


def _lead(catalogue: Catalogue) -> list[Piece]:
    """The beginning of a composed thought, before the tool's token; the same for every tool."""
    doc = catalogue.tools[0]
    return list(takewhile(lambda piece: piece.text != token_of(doc.name), render_plan([doc])))


def _tokens(catalogue: Catalogue) -> dict[str, list[Piece]]:
    return {doc.name: [Piece(token_of(doc.name), token=True)] for doc in catalogue.tools}


def _matches(names: Sequence[str | None], catalogue: Catalogue) -> list[bool]:
    return [name == doc.name for name, doc in zip(names, catalogue.tools, strict=True)]


def _by_split(
    name: str,
    matches: Sequence[bool],
    catalogue: Catalogue,
    splits: Mapping[str, str],
    chance_level: float,
) -> dict[str, Figure]:
    """The overall figure, and one for each split that has tools."""
    figures = {name: share(matches, chance_level)}
    for split in dict.fromkeys(splits.values()):
        split_matches = [hit for hit, doc in zip(matches, catalogue.tools, strict=True)
                         if splits.get(doc.name) == split]  # fmt: skip
        if split_matches:
            figures[f"{name}/{split}"] = share(split_matches, chance_level)
    return figures
