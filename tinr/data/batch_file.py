"""Batches in a file of the run, written once before the first step and memory-mapped.

    FOLDER/batches.bin    the tensors of each batch, (5, R, T): ids, positions, labels, weights,
                          rows of distributions
    FOLDER/batches.json   R, T and the real tokens of each batch; written last, to mark completion

Memory holds one epoch during writing and one batch during training, however many epochs there
are. All processes of a run read the file that the first one wrote.
"""

import json
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from tinr import distributed
from tinr.checkpoints.step_checkpoints import Steps
from tinr.data.packing import Batch
from tinr.files import write_text
from tinr.records import BadInput

DATA, INDEX = "batches.bin", "batches.json"
FIELDS = {"input_ids": "<i4", "position_ids": "<i4", "labels": "<i4", "weights": "<f4"}
FIELDS["soft"] = "<i4"
POSITION_BYTES = 4 * len(FIELDS)  # per position, in the file


class Prepared:
    """The batches of a run in order; `tokens`: real tokens of each batch."""

    def __init__(self, folder: Path):
        rows = json.loads((folder / INDEX).read_text())
        self.shapes = [(count, width) for count, width, _ in rows]
        self.tokens = [tokens for _, _, tokens in rows]
        self._starts = [0, *accumulate(len(FIELDS) * r * t for r, t in self.shapes)]
        self._data = np.memmap(folder / DATA, np.dtype("<i4"), "r")

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch as `packing.collate` makes it: int64 and float32, (R, T)."""
        start, end = self._starts[index : index + 2]
        parts = self._data[start:end].reshape(len(FIELDS), *self.shapes[index])
        kinds = (np.float32 if kind == "<f4" else np.int64 for kind in FIELDS.values())
        return {
            name: torch.from_numpy(part.view(stored_type).astype(kind))
            for (name, stored_type), part, kind in zip(FIELDS.items(), parts, kinds, strict=True)
        }


def prepare(batches: Iterable[Batch], steps: Steps, title: str) -> Prepared:
    """Write the batches to the folder of the run's step checkpoints, or reuse the existing file.

    A run that resumes from a step checkpoint uses the batches of its first start and does not
    consume `batches`. Raises BadInput if there is no batch.
    """

    def write() -> Path:
        if not (steps.done and _is_whole(steps.folder)):
            _write(batches, steps.folder, title)
        return steps.folder

    return Prepared(distributed.shared(write))


def _is_whole(folder: Path) -> bool:
    if not (folder / INDEX).is_file():
        return False
    positions = sum(count * width for count, width, _ in json.loads((folder / INDEX).read_text()))
    return (folder / DATA).stat().st_size == POSITION_BYTES * positions


def _write(batches: Iterable[Batch], folder: Path, title: str) -> None:
    rows: list[tuple[int, int, int]] = []
    with (folder / DATA).open("wb") as data_file:
        for batch in batches:
            for name, stored_type in FIELDS.items():
                data_file.write(batch[name].numpy().astype(stored_type).tobytes())
            count, width = batch["input_ids"].shape
            rows.append((count, width, int((batch["weights"] > 0).sum())))
    if not rows:
        raise BadInput(f"{title}: nothing to train on; give at least one epoch and one example")
    write_text(folder / INDEX, json.dumps(rows))
