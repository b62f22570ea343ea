"""Count the bits that training must store in the weights: what a base does not know of the tools.

documents  the smaller of two bounds: the base's negative log-likelihood of each document after its
           tool's name, and the compressed size of all documents together. The first uses what the
           base knows of the language. The second counts common text once, which a small base
           does not do. Equal documents count once.
tokens     log2 of the number of tools per tool: which tool a document belongs to
"""

import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe
from tinr.chat.codec import Codec, Piece
from tinr.evaluation.choices import Choice
from tinr.evaluation.intervals import ratio
from tinr.evaluation.likelihood import likelihoods
from tinr.records import BadInput, ToolDoc

DOCUMENT_CHARACTERS = 3000  # characters of a document that the base reads in one chunk
STREAM = [{"id": lzma.FILTER_LZMA1, "preset": 9}]
READ = 128  # documents that a base reads if reading all would take too long


@dataclass(frozen=True)
class Bits:
    """Bits of a catalogue's tools. `likelihood` is None if no base has read them."""

    tools: int
    same: int  # documents equal to another one: counted once
    read: int  # documents that the base read
    likelihood: float | None  # of all documents, by the base; estimated from those that it read
    likelihood_low: float | None  # 95 % interval; of width 0 if it read all
    likelihood_high: float | None
    packed: float  # of all documents, by the compressor
    tokens: float

    @property
    def documents(self) -> float:
        """The smaller bound."""
        return self.packed if self.likelihood is None else min(self.likelihood, self.packed)

    @property
    def total(self) -> float:
        return self.documents + self.tokens

    @property
    def low(self) -> float:
        """The lower end of the total."""
        bound = self.packed if self.likelihood_low is None else self.likelihood_low
        return min(bound, self.packed) + self.tokens

    @property
    def high(self) -> float:
        """The upper end of the total."""
        bound = self.packed if self.likelihood_high is None else self.likelihood_high
        return min(bound, self.packed) + self.tokens


def count_bits(
    catalogue: Catalogue,
    model: PreTrainedModel | None = None,
    codec: Codec | None = None,
    read: int = 0,
    seed: int = 0,
) -> Bits:
    """Count the bits of a catalogue for a base before growth; without a base the packed bits.

    read: number of documents that the base reads, a random sample; 0: all. BadInput for a
    catalogue of one tool: there is nothing to tell apart, so its load has no meaning. BadInput for
    a sample of one document, which gives no interval.
    """
    if len(catalogue.tools) < 2:
        raise BadInput(
            f"the catalogue has {len(catalogue.tools)} tool; capacity is about telling tools "
            "apart, so give at least two"
        )
    if read < 0:
        raise BadInput(f"documents to read: {read} is below 0; give 0 for all of them")
    docs_by_text: dict[str, ToolDoc] = {}
    for doc in catalogue.tools:
        docs_by_text.setdefault(describe(doc), doc)
    documents = list(docs_by_text.values())
    if read == 1 < len(documents):
        raise BadInput("one document gives no interval; let the base read two or more, or 0: all")
    read = min(read or len(documents), len(documents))
    value = low = high = None
    if model is not None and codec is not None:
        sample = documents
        if read < len(documents):
            sample = Random(f"{seed}/capacity").sample(documents, read)
        rate = ratio(nats(model, codec, sample), [1.0] * read, seed)
        is_sampled = read < len(documents)
        ends = (rate.value, rate.low, rate.high) if is_sampled else (rate.value,) * 3
        value, low, high = (
            None if end is None else end * len(documents) / math.log(2) for end in ends
        )
    return Bits(
        tools=len(catalogue.tools),
        same=len(catalogue.tools) - len(documents),
        read=0 if model is None else read,
        likelihood=value,
        likelihood_low=low,
        likelihood_high=high,
        packed=packed_bits(documents),
        tokens=len(catalogue.tools) * math.log2(len(catalogue.tools)),
    )


def packed_bits(docs: Sequence[ToolDoc]) -> float:
    """Bits of all documents as one raw LZMA stream, without container."""
    text = "\n".join(map(describe, docs)).encode()
    return 8.0 * len(lzma.compress(text, format=lzma.FORMAT_RAW, filters=STREAM))


def nats(model: PreTrainedModel, codec: Codec, docs: Sequence[ToolDoc]) -> list[float]:
    """Compute each document's negative log-likelihood after its tool's name, by this model.

    The name comes first because a new tool's row is initialised from it. Each further chunk of
    DOCUMENT_CHARACTERS follows the name again.
    """
    choices, owner = [], []
    for index, doc in enumerate(docs):
        text, name = describe(doc), doc.name.replace("_", " ")
        for start in range(0, len(text), DOCUMENT_CHARACTERS):
            chunk = (Piece(text[start : start + DOCUMENT_CHARACTERS]),)
            choices.append(Choice((*codec.frame.start_pieces(), Piece(f"{name}: ")), (chunk,)))
            owner.append(index)
    was_training = model.training
    model.eval()
    totals = [0.0] * len(docs)
    for index, [likelihood] in zip(owner, likelihoods(model, codec, choices), strict=True):
        totals[index] -= likelihood.total
    model.train(was_training)
    return totals
