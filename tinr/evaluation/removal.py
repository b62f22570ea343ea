"""Measure whether a tool is gone from the weights: not produced and not recited."""

from collections.abc import Mapping, Sequence
from random import Random

import torch
from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe, signature
from tinr.chat.codec import Codec, Piece, token_of
from tinr.chat.render import render_prompt
from tinr.data.alignment_examples import TO_DOCUMENT, TO_SIGNATURE, ask_about, ask_token
from tinr.data.pseudo_queries import Wording
from tinr.evaluation.recall import rows_at_once
from tinr.records import ToolDoc
from tinr.rollout.generate import generate

QUERIES = 8  # pseudo-queries per tool
RUN = 5  # consecutive words of a document in a reply that count as reciting it
MARGIN = 8  # tokens of a reply beyond the document's length


def naming_prompts(
    codec: Codec, catalogue: Catalogue, docs: Sequence[ToolDoc], seed: int = 0
) -> dict[str, list[list[int]]]:
    """Return, per tool, the prompts (as ids) after which a model that knows it writes its token.

    They are its document, and QUERIES pseudo-queries up to the beginning of the thought.
    catalogue: must contain the tools.
    """
    wording, rng = Wording(catalogue), Random(f"{seed}/removal")
    prompts: dict[str, list[list[int]]] = {}
    for doc in docs:
        texts = [wording.write(doc, rng)[0] for _ in range(QUERIES * wording.practicable(doc))]
        requests = [
            [*render_prompt(text, codec.frame), Piece("<think>", token=True)] for text in texts
        ]
        prompts[doc.name] = [
            codec.encode(pieces)[0] for pieces in (ask_token(doc, codec.frame), *requests)
        ]
    return prompts


@torch.no_grad()
def final_states(model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the hidden states (N, H) after the last token of each prompt."""
    states = [
        model.base_model(
            input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False
        ).last_hidden_state[0, -1]
        for ids in prompts
    ]
    return torch.stack(states)


@torch.inference_mode()
def naming_probability(
    model: PreTrainedModel, codec: Codec, prompts: Mapping[str, Sequence[Sequence[int]]]
) -> float:
    """Return the largest probability of a tool's token after its own prompts, unconstrained."""
    largest = 0.0
    for name, tool_prompts in prompts.items():
        index = codec.id(token_of(name))
        for ids in tool_prompts:
            logits = model(torch.tensor([list(ids)], device=model.device)).logits[0, -1]
            largest = max(largest, float(logits.float().softmax(-1)[index]))
    return largest


def recited(
    model: PreTrainedModel, codec: Codec, docs: Sequence[ToolDoc], others: Sequence[ToolDoc] = ()
) -> list[str]:
    """Return the tools whose token still recites RUN consecutive words of its own document.

    Every question wording of phase 1 is asked, greedily. others: documents that the model still
    knows; words that one of them contains too ("number: integer. Number of the book") do not count.
    """
    if not docs:
        return []
    wordings = (*TO_DOCUMENT, *TO_SIGNATURE)
    asked = [(doc, wording) for doc in docs for wording in wordings]
    prompts = [codec.encode(ask_about(doc, codec.frame, wording))[0] for doc, wording in asked]
    texts = {doc.name: _said_of(doc) for doc in docs}
    known = [_said_of(doc) for doc in others]
    longest = max(len(codec.encode_plain(text)) for text in texts.values())
    end, size = codec.id(codec.frame.close), rows_at_once(model)
    names: list[str] = []
    for start in range(0, len(prompts), size):
        rows = generate(
            model, prompts[start : start + size], lambda index, ids: None, frozenset([end]),
            max_tokens=longest + MARGIN, pad=codec.pad,
        )  # fmt: skip
        for (doc, _), row in zip(asked[start : start + size], rows, strict=True):
            reply = "".join(piece.text for piece in codec.decode(row.ids) if not piece.token)
            if shares_run(reply, texts[doc.name], known) and doc.name not in names:
                names.append(doc.name)
    return names


def _said_of(doc: ToolDoc) -> str:
    return f"{describe(doc)} {signature(doc)}"


def shares_run(reply: str, text: str, known: Sequence[str] = (), run: int = RUN) -> bool:
    """Whether `run` consecutive words of a text occur in a reply, and in no known text."""
    words, reply_words = text.lower().split(), _spaced(reply)
    known_words = [_spaced(other) for other in known]
    size = min(run, len(words))
    runs = (f" {' '.join(words[start : start + size])} " for start in range(len(words) - size + 1))
    return size > 0 and any(
        piece in reply_words and not any(piece in other for other in known_words) for piece in runs
    )


def _spaced(text: str) -> str:
    return f" {' '.join(text.lower().split())} "
