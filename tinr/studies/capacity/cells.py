"""The result of one alignment of the study. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinr.studies.cells import need_numbers, read_lines

ASKED = ("document_to_token", "token_to_document", "token_to_schema")  # as `probe` names them
GATED = ("document_to_token", "token_to_schema")  # the recalls that align's gate tests
Key = tuple[int, int, int, int, int, str]


@dataclass(frozen=True)
class AlignmentCell:
    """One model aligned with `documents` documents: its load, its exposures and its recall."""

    documents: int
    hidden: int
    layers: int
    epochs: int
    seed: int
    settings: str  # hash of all other inputs of the result
    made: str  # where and when: machine, date, commit
    parameters: int  # all of them are trained
    holding: int  # without the rows of tokens that the base knew
    likelihood: float  # bits of the documents under its base
    packed: float  # bits of the documents after compression
    bits: float  # to learn: the smaller of the two, plus those of the tokens
    exposures: float  # examples per tool in the whole training, equally many of each kind in TAUGHT
    steps: int
    tokens: int
    loss: float
    asked: int
    document_to_token: int  # correct answers out of `asked`
    token_to_document: int
    token_to_schema: int
    seconds: float  # of training and evaluation

    @property
    def key(self) -> Key:
        """The configuration, without the result."""
        return (
            self.documents, self.hidden, self.layers, self.epochs, self.seed, self.settings,
        )  # fmt: skip

    @property
    def load(self) -> float:
        """Bits per parameter that can hold new information."""
        return self.bits / self.holding

    def recall(self, name: str) -> float:
        """The recall of one kind of ASKED."""
        return getattr(self, name) / self.asked


def read_cells(path: Path) -> list[AlignmentCell]:
    """Read all cells of a file, none if it is missing; BadInput names an invalid line."""
    return read_lines(path, AlignmentCell, _check)


def _check(row: Mapping[str, Any]) -> None:
    need_numbers(row, set(row) - {"settings", "made"})
    if not all(row[name] > 0 for name in ("documents", "holding", "bits", "asked")):
        raise ValueError("documents, holding, bits or asked is not above 0")
    if not all(0 <= row[name] <= row["asked"] for name in ASKED):
        raise ValueError("a number of right answers is not between 0 and asked")
