"""What must come out of the weights, in bits: what a base does not know yet of its tools.

documents  the smaller of two bounds: the base's own negative log-likelihood of each document
           after its tool's name, and what one compressor packs all of them into together.
           The first knows the base's language; the second counts once what documents share,
           which a small base does not know. Documents that say the same count once.
tokens     log2 of the number of tools for each: which of them a document belongs to
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

DOCUMENT_CHARACTERS = 3000  # characters of a document that the base reads at once
STREAM = [{"id": lzma.FILTER_LZMA1, "preset": 9}]
READ = 128  # documents that a base reads where all would take long


@dataclass(frozen=True)
class Bits:
    """Bits that a catalogue's tools take; `likelihood` None: no base has read them."""

    tools: int
    same: int  # documents that say what another one says: counted once
    read: int  # documents that the base read
    likelihood: float | None  # all documents, by the base; from those that it read
    likelihood_low: float | None  # 95 % interval; without width where it read all
    likelihood_high: float | None
    packed: float  # all documents, by the compressor
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
        given = self.packed if self.likelihood_low is None else self.likelihood_low
        return min(given, self.packed) + self.tokens

    @property
    def high(self) -> float:
        """The upper end of the total."""
        given = self.packed if self.likelihood_high is None else self.likelihood_high
        return min(given, self.packed) + self.tokens


def count_bits(
    catalogue: Catalogue,
    model: PreTrainedModel | None = None,
    codec: Codec | None = None,
    read: int = 0,
    seed: int = 0,
) -> Bits:
    """The bits of a catalogue for a base, which must not be grown yet; without one the packed ones.

    read: documents that the base reads, drawn by the seed; 0: all. BadInput for a catalogue of
    one tool: there is nothing to tell apart, and a load of it would mean nothing; and for one
    document read of several, which says nothing of the others.
    """
    if len(catalogue.tools) < 2:
        raise BadInput(
            f"the catalogue has {len(catalogue.tools)} tool; capacity is about telling tools "
            "apart, give at least two"
        )
    if read < 0:
        raise BadInput(f"documents to read: {read} is below 0; give 0 for all of them")
    first: dict[str, ToolDoc] = {}
    for doc in catalogue.tools:
        first.setdefault(describe(doc), doc)
    different = list(first.values())
    if read == 1 < len(different):
        raise BadInput("one document says nothing of the others; let the base read two, or 0: all")
    read = min(read or len(different), len(different))
    value = low = high = None
    if model is not None and codec is not None:
        drawn = different
        if read < len(different):
            drawn = Random(f"{seed}/capacity").sample(different, read)
        each = ratio(nats(model, codec, drawn), [1.0] * read, seed)
        drawn_few = read < len(different)
        ends = (each.value, each.low, each.high) if drawn_few else (each.value,) * 3
        value, low, high = (
            None if one is None else one * len(different) / math.log(2) for one in ends
        )
    return Bits(
        tools=len(catalogue.tools),
        same=len(catalogue.tools) - len(different),
        read=0 if model is None else read,
        likelihood=value,
        likelihood_low=low,
        likelihood_high=high,
        packed=packed_bits(different),
        tokens=len(catalogue.tools) * math.log2(len(catalogue.tools)),
    )


def packed_bits(docs: Sequence[ToolDoc]) -> float:
    """Bits of all documents as one LZMA stream, without the container around it."""
    text = "\n".join(map(describe, docs)).encode()
    return 8.0 * len(lzma.compress(text, format=lzma.FORMAT_RAW, filters=STREAM))


def nats(model: PreTrainedModel, codec: Codec, docs: Sequence[ToolDoc]) -> list[float]:
    """Each document's negative log-likelihood after its tool's name, by this model.

    The name is given because a new tool's row starts from it. What is beyond DOCUMENT_CHARACTERS
    is read after the name again.
    """
    choices, owner = [], []
    for place, doc in enumerate(docs):
        text, name = describe(doc), doc.name.replace("_", " ")
        for start in range(0, len(text), DOCUMENT_CHARACTERS):
            part = (Piece(text[start : start + DOCUMENT_CHARACTERS]),)
            choices.append(Choice((*codec.frame.start_pieces(), Piece(f"{name}: ")), (part,)))
            owner.append(place)
    was = model.training
    model.eval()
    found = [0.0] * len(docs)
    for place, [one] in zip(owner, likelihoods(model, codec, choices), strict=True):
        found[place] -= one.total
    model.train(was)
    return found
