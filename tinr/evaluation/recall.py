"""Probe directly what a checkpoint knows of its catalogue: recall in both directions.

Every probe generates greedily from the plain prompt and compares exactly; every tool of
the catalogue is in every denominator.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe, signature
from tinr.chat.codec import Codec, Piece, token_of
from tinr.data.alignment_examples import TO_DOCUMENT, TO_SIGNATURE, ask_about, ask_token
from tinr.evaluation.metrics import Rate, rate
from tinr.progress import counting_tokens, part_of, progress_bar
from tinr.records import ToolDoc
from tinr.rollout.generate import Row, generate

ROWS, CPU_ROWS = 256, 32  # batch sizes; small ones are as fast on a CPU, and move the bar more
PROBES = ("document_to_token", "token_to_document", "token_to_schema")
MARGIN = 8  # tokens beyond the expected answer, for another tokenization and the end


def probe(
    model: PreTrainedModel,
    codec: Codec,
    catalogue: Catalogue,
    title: str = "gate",
    probes: Sequence[str] = PROBES,
) -> dict[str, Rate]:
    """document_to_token, token_to_document and token_to_schema over the whole catalogue.

    title: of the progress bars; if empty, there are none.
    """
    hits_of_probe = probe_hits(model, codec, catalogue, title, probes)
    return {name: rate(tool_hits) for name, tool_hits in hits_of_probe.items()}


def not_recalled(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> list[ToolDoc]:
    """The tools for which document -> token or token -> schema is wrong."""
    if not catalogue.tools:
        return []
    probes = ("document_to_token", "token_to_schema")
    hits = probe_hits(model, codec, catalogue, "recall check", probes)
    pairs = zip(*(hits[name] for name in probes), strict=True)
    return [doc for doc, both in zip(catalogue.tools, pairs, strict=True) if not all(both)]


def probe_hits(
    model: PreTrainedModel,
    codec: Codec,
    catalogue: Catalogue,
    title: str = "gate",
    probes: Sequence[str] = PROBES,
) -> dict[str, list[bool]]:
    """Probe -> hit or miss of every tool, in the catalogue's order; only the given probes."""
    frame, tools = codec.frame, catalogue.tools
    questions: dict[str, tuple[list[list[Piece]], list[Piece]]] = {
        "document_to_token": (
            [ask_token(doc, frame) for doc in tools],
            [Piece(token_of(doc.name), token=True) for doc in tools],
        ),
        "token_to_document": (
            [ask_about(doc, frame, TO_DOCUMENT[0]) for doc in tools],
            [Piece(describe(doc)) for doc in tools],
        ),
        "token_to_schema": (
            [ask_about(doc, frame, TO_SIGNATURE[0]) for doc in tools],
            [Piece(signature(doc)) for doc in tools],
        ),
    }
    return {
        name: _ask(model, codec, *pairs, title and f"{title}: {name.replace('_', ' ')}")
        for name, pairs in questions.items()
        if name in probes
    }


def rows_at_once(model: PreTrainedModel) -> int:
    """Batch size for questions with short answers."""
    return CPU_ROWS if model.device.type == "cpu" else ROWS


@torch.inference_mode()
def _ask(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[list[Piece]],
    expected: Sequence[Piece],
    title: str,
) -> list[bool]:
    """Whether each greedy reply, up to the end of its turn, equals the expected text.

    Prompts are sorted by answer length; each batch allows the tokens of its longest answer.
    """
    ids = [codec.encode(prompt)[0] for prompt in prompts]
    lengths = [len(codec.encode([piece])[0]) for piece in expected]
    end = codec.id(codec.frame.close)
    order = sorted(range(len(ids)), key=lambda number: lengths[number])
    size = rows_at_once(model)
    tokens = [len(row) + length + 1 for row, length in zip(ids, lengths, strict=True)]  # + end
    replies: dict[int, Row] = {}
    with progress_bar(sum(tokens), title, "token") as bar:
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            with part_of(bar, sum(tokens[number] for number in batch)) as move:
                rows = generate(
                    model,
                    [ids[number] for number in batch],
                    lambda index, written: None,
                    frozenset([end]),
                    max_tokens=max(lengths[number] for number in batch) + MARGIN,
                    pad=codec.pad,
                    steer=counting_tokens(sum(len(ids[number]) for number in batch), move),
                )
            replies.update(zip(batch, rows, strict=True))
    return [
        _text(codec, replies[number].ids, end) == piece.text.strip()
        for number, piece in enumerate(expected)
    ]


def _text(codec: Codec, ids: Sequence[int], end: int) -> str:
    return "".join(piece.text for piece in codec.decode(i for i in ids if i != end)).strip()
