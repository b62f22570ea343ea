"""What one alignment of the study came to. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.studies.cells import need_numbers, read_lines

ASKED = ("document_to_token", "token_to_document", "token_to_schema")  # as `probe` names them
GATED = ("document_to_token", "token_to_schema")  # what align's gate asks for
Key = tuple[int, int, int, int, int, str]


@dataclass(frozen=True)
class AlignmentCell:
    """One model aligned with so many documents: its load, its practice and its recall."""

    documents: int
    hidden: int
    layers: int
    epochs: int
    seed: int
    settings: str  # hash of everything else that decides the result
    made: str  # where and when: machine, date, commit
    parameters: int  # all of them move
    holding: int  # without the rows of tokens that the base knew
    likelihood: float  # bits of the documents for its base
    packed: float  # ... for a compressor
    bits: float  # to be learned: the smaller one, and the tokens
    exposures: float  # examples of each tool in the whole training, as many of each in TAUGHT
    steps: int
    tokens: int
    loss: float
    asked: int
    document_to_token: int  # right ones of those asked
    token_to_document: int
    token_to_schema: int
    seconds: float  # of the training and the asking

    @property
    def key(self) -> Key:
        """What it was, apart from how it ended."""
        return (
            self.documents, self.hidden, self.layers, self.epochs, self.seed, self.settings,
        )  # fmt: skip

    @property
    def load(self) -> float:
        """Bits a parameter that can hold something new."""
        return self.bits / self.holding

    def recall(self, name: str) -> float:
        """The share of one of ASKED."""
        return getattr(self, name) / self.asked


def read_cells(path: Path) -> list[AlignmentCell]:
    """All cells of a file, none where it is missing; BadInput with the line that is no cell."""
    return read_lines(path, AlignmentCell, _check)


def _check(row: Mapping[str, Any]) -> None:
    need_numbers(row, set(row) - {"settings", "made"})
    if not all(row[name] > 0 for name in ("documents", "holding", "bits", "asked")):
        raise ValueError("documents, holding, bits or asked is not above 0")
    if not all(0 <= row[name] <= row["asked"] for name in ASKED):
        raise ValueError("more are right than were asked")
