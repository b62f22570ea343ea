"""What a checkpoint knows of its catalogue, asked directly: recall both ways.

Every probe generates greedily from the plain prompt and compares exactly; every tool of
the catalogue is in every denominator.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from tinr.catalogue import Catalogue, describe, signature
from tinr.metrics import Rate, rate
from tinr.pairs import TO_DOCUMENT, TO_SIGNATURE, ask_about, ask_token
from tinr.sampler import generate
from tinr.tokens import Codec, Piece, token_of

GATES = ("document_to_token", "token_to_document", "token_to_schema")
ROWS = 256
MARGIN = 8  # tokens beyond the answer's own: other pieces may spell the same, and its end


def probe(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> dict[str, Rate]:
    """document_to_token, token_to_document and token_to_schema over the whole catalogue."""
    return {name: rate(hits) for name, hits in probe_hits(model, codec, catalogue).items()}


def probe_hits(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> dict[str, list[bool]]:
    """Hit or miss of every tool, in the catalogue's order, for each probe."""
    frame, tools = codec.frame, catalogue.tools
    asked: dict[str, tuple[list[list[Piece]], list[Piece]]] = {
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
    return {name: _ask(model, codec, *pairs) for name, pairs in asked.items()}


@torch.inference_mode()
def _ask(
    model: PreTrainedModel,
    codec: Codec,
    prompts: Sequence[list[Piece]],
    expected: Sequence[Piece],
) -> list[bool]:
    """Whether each greedy reply, up to the end of its turn, is what is expected.

    Asked in the order of their lengths, each batch with room for its longest answer.
    """
    ids = [codec.encode(prompt)[0] for prompt in prompts]
    lengths = [len(codec.encode([piece])[0]) for piece in expected]
    end = codec.id(codec.frame.close)
    hits = [False] * len(ids)
    order = sorted(range(len(ids)), key=lambda number: lengths[number])
    for start in range(0, len(order), ROWS):
        batch = order[start : start + ROWS]
        rows = generate(
            model,
            [ids[number] for number in batch],
            lambda index, written: None,
            frozenset([end]),
            longest=max(lengths[number] for number in batch) + MARGIN,
            pad=codec.pad,
        )
        for number, row in zip(batch, rows, strict=True):
            pieces = codec.decode(i for i in row.ids if i != end)
            said = "".join(piece.text for piece in pieces)
            hits[number] = said.strip() == expected[number].text.strip()
    return hits
