"""`tinr study capacity`: align at several loads, fit recall against load, validate the fit.

Every finished alignment is a line of OUT/cells.jsonl at once; the same command goes on from
there. OUT/calibration.json is what `tinr capacity` takes in the place of the shipped figures.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

import tinr
from tinr.catalogue.load import Catalogue
from tinr.catalogue.survey import read_all
from tinr.files import write_together
from tinr.planning.capacity.curve import TAUGHT, calibration_text
from tinr.records import BadInput
from tinr.studies.capacity.cells import ASKED, AlignmentCell, read_cells
from tinr.studies.capacity.fit import LEAST, calibrate, crossings, held_out, practised
from tinr.studies.capacity.plot import draw
from tinr.studies.capacity.presets import PRESETS, Point, Preset
from tinr.studies.capacity.pupil import ROW, align_one, draw_documents
from tinr.studies.capacity.table import markdown
from tinr.studies.cells import held, write_lines


class Study:
    """A preset over documents, with its cells so far."""

    def __init__(self, preset: Preset, sources: Sequence[str], out: Path):
        self.preset, self.out, self.path = preset, out, out / "cells.jsonl"
        catalogue, self.faults = read_all(sources)
        self.drawn = {
            point: draw_documents(catalogue.tools, point, preset.longest) for point in preset.points
        }
        self.read()

    def read(self) -> None:
        """Take the cells from the file, those of other studies too."""
        self.cells = {cell.key: cell for cell in read_cells(self.path)}

    def settings(self, point: Point) -> str:
        """A hash of what decides a cell's result beside what its key says."""
        shared = {k: v for k, v in asdict(self.preset).items() if k not in ("points", "minutes")}
        drawn = self.drawn[point].hash
        rest = (tinr.__version__, shared, asdict(TAUGHT), ROW, point.heads, drawn)
        return hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:12]

    def key(self, point: Point) -> tuple[Any, ...]:
        """The key that this point's cell has."""
        return (
            point.documents, point.hidden, point.layers, point.epochs, point.seed,
            self.settings(point),
        )  # fmt: skip

    def own(self) -> list[AlignmentCell]:
        """The cells of this study's points, in their order."""
        keys = map(self.key, self.preset.points)
        return [self.cells[key] for key in keys if key in self.cells]  # type: ignore[index]

    def missing(self) -> list[Point]:
        """What is still to be trained, the quickest first."""
        left = [p for p in self.preset.points if self.key(p) not in self.cells]
        return sorted(left, key=lambda p: p.documents * p.epochs * p.hidden)

    def align(self, point: Point) -> AlignmentCell:
        """Train and ask one; it is in the file before anything else happens."""
        catalogue: Catalogue = self.drawn[point]
        cell = align_one(point, self.preset, catalogue, self.settings(point), self.out)
        self.cells[cell.key] = cell
        write_lines(self.path, list(self.cells.values()))
        return cell


def run_study(
    preset: str, sources: Sequence[str], out: Path, minutes: float | None = None
) -> dict[str, Any]:
    """Align what is missing, then write OUT/study.json, table.md, study.svg and, where there are
    cells enough, calibration.json; the summary.

    BadInput for an unknown preset, too few documents, or minutes that are none. What is not
    begun after `minutes` is left to the next run.
    """
    if preset not in PRESETS:
        raise BadInput(f"--preset: no {preset!r}; give one of {', '.join(PRESETS)}")
    if minutes is not None and not minutes > 0:
        raise BadInput(f"--minutes: {minutes} is not above 0")
    study = Study(PRESETS[preset], sources, out)
    with held(study.path):  # a wrong place is known before anything is trained
        study.read()
        return _run(study, preset, sources, minutes or study.preset.minutes)


def _run(study: Study, preset: str, sources: Sequence[str], minutes: float) -> dict[str, Any]:
    """Align what is missing within the time, and write what came out."""
    began = time.monotonic()
    deadline = began + 60 * minutes
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if study.faults:
        console.print(f"{len(study.faults)} documents are not valid and left out", markup=False)
    missing = study.missing()
    while missing and time.monotonic() < deadline:
        console.print(_words(study.align(missing.pop(0))), markup=False)
    found = summary(study, preset, sources, complete=not missing)
    found["seconds"] = round(time.monotonic() - began, 1)  # of this run
    write_together(_files(study, preset, found, study.out))
    if found["calibration"] is None:  # one of other documents is not this study's
        (study.out / "calibration.json").unlink(missing_ok=True)
    return found


def summary(study: Study, preset: str, sources: Sequence[str], complete: bool) -> dict[str, Any]:
    """The cells with what was foreseen of each, and how well, as plain data."""
    cells = study.own()
    usual = practised(cells)
    foreseen = held_out(usual) or {}
    rows = [
        asdict(cell)
        | {"load": round(cell.load, 4), "usual": cell in usual}
        | {"foreseen": {k: asdict(v) for k, v in foreseen.get(cell.key, {}).items()} or None}
        for cell in cells
    ]
    return {
        "preset": preset,
        "sources": [Path(source).name for source in sources],
        "settings": {k: v for k, v in asdict(study.preset).items() if k != "points"},
        "complete": complete,
        "points": len(study.preset.points),
        "made": _made(cells),
        "seconds_trained": round(sum(cell.seconds for cell in cells), 1),
        "cells": rows,
        "errors": {name: _errors(rows, name) for name in ASKED} if foreseen else None,
        "crossings": [asdict(one) | {"apart": round(one.apart, 4)} for one in crossings(usual)],
    }


def _errors(rows: Sequence[dict[str, Any]], name: str) -> dict[str, float | int]:
    """How far measured recall was from what the other catalogue sizes foretold."""
    kept = [row for row in rows if row["foreseen"]]
    gaps, inside = [], 0
    for row in kept:
        measured, one = row[name] / row["asked"], row["foreseen"][name]
        gaps.append(abs(measured - one["value"]))
        inside += one["low"] <= measured <= one["high"]
    return {"mean": round(sum(gaps) / len(gaps), 4), "inside": inside, "cells": len(kept)}


def _files(study: Study, preset: str, found: dict[str, Any], out: Path) -> dict[Path, str]:
    longest = study.preset.longest
    about = (
        f"alignments of real documents of at most {longest} characters "
        f"({', '.join(found['sources'])}) in models from scratch, preset {preset}, all weights "
        "moving"
    )
    used = practised(study.own())
    source = {
        "cells": ", ".join(f"{c.documents}x{c.holding}" for c in used),
        "made": _made(used),
    }
    calibration = calibrate(study.own(), about, source)
    found["calibration"] = None if calibration is None else asdict(calibration)
    if calibration is None:
        found["left_out"] = f"fewer than {LEAST} cells of one practice: nothing was fitted"
    files = {
        out / "study.json": json.dumps(found, indent=1) + "\n",
        out / "table.md": markdown(found),
        out / "study.svg": draw(found),
    }
    if calibration is not None:
        files[out / "calibration.json"] = calibration_text(calibration)
    return files


def _made(cells: Sequence[AlignmentCell]) -> str:
    """Where and when they were trained, as they say themselves."""
    return "; ".join(dict.fromkeys(cell.made for cell in cells))


def _words(cell: AlignmentCell) -> str:
    shares = ", ".join(f"{name} {cell.recall(name):.3f}" for name in ASKED)
    return (
        f"{cell.documents} documents, {cell.holding:,} parameters to hold them, load "
        f"{cell.load:.3f}, {cell.exposures:g} exposures: {shares}; {cell.seconds:.0f} s"
    )
