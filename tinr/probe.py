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

ROWS = 256


def probe(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> dict[str, Rate]:
    """document_to_token, token_to_document and token_to_schema over the whole catalogue."""
    return {name: rate(hits) for name, hits in probe_hits(model, codec, catalogue).items()}


def probe_hits(model: PreTrainedModel, codec: Codec, catalogue: Catalogue) -> dict[str, list[bool]]:
    """Hit or miss of every tool, in the catalogue's order, for each probe."""
    frame, tools = codec.frame, catalogue.tools
    spelled = [codec.encode([Piece(token_of(doc.name), token=True)])[0] for doc in tools]
    room = max(map(len, spelled), default=0) + 3
    token, document, schema = (
        _ask(model, codec, [ask_token(doc, frame) for doc in tools], room),
        _ask(model, codec, [ask_about(doc, frame, TO_DOCUMENT[0]) for doc in tools], 320),
        _ask(model, codec, [ask_about(doc, frame, TO_SIGNATURE[0]) for doc in tools], 256),
    )
    return {
        "document_to_token": [t == token_of(d.name) for t, d in zip(token, tools, strict=True)],
        "token_to_document": _equal(document, [describe(doc) for doc in tools]),
        "token_to_schema": _equal(schema, [signature(doc) for doc in tools]),
    }


def _equal(given: Sequence[str], expected: Sequence[str]) -> list[bool]:
    return [g.strip() == e.strip() for g, e in zip(given, expected, strict=True)]


@torch.inference_mode()
def _ask(
    model: PreTrainedModel, codec: Codec, prompts: Sequence[list[Piece]], longest: int
) -> list[str]:
    """The greedy replies as text, each up to the end of its turn."""
    ids = [codec.encode(prompt)[0] for prompt in prompts]
    end = codec.id(codec.frame.close)
    replies: list[str] = []
    for start in range(0, len(ids), ROWS):
        rows = generate(
            model,
            ids[start : start + ROWS],
            lambda index, written: None,
            frozenset([end]),
            longest=longest,
            pad=codec.pad,
        )
        replies += [
            "".join(piece.text for piece in codec.decode(i for i in row.ids if i != end))
            for row in rows
        ]
    return replies
