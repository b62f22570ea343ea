"""`tinr study capacity`: align at several loads, fit recall against load, validate the fit.

Every finished alignment is written to OUT/cells.jsonl at once; rerunning the command resumes.
`tinr capacity` accepts OUT/calibration.json in place of the shipped figures.
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
    """A preset over a catalogue, with its cells so far."""

    def __init__(self, preset: Preset, sources: Sequence[str], out: Path):
        self.preset, self.out, self.path = preset, out, out / "cells.jsonl"
        catalogue, self.faults = read_all(sources)
        self.drawn = {
            point: draw_documents(catalogue.tools, point, preset.longest) for point in preset.points
        }
        self.read()

    def read(self) -> None:
        """Read the cells from the file, including those of other studies."""
        self.cells = {cell.key: cell for cell in read_cells(self.path)}

    def settings(self, point: Point) -> str:
        """A hash of everything that determines a cell's result and is not in its key."""
        shared_settings = {
            k: v for k, v in asdict(self.preset).items() if k not in ("points", "minutes")
        }
        catalogue_hash = self.drawn[point].hash
        inputs = (
            tinr.__version__,
            shared_settings,
            asdict(TAUGHT),
            ROW,
            point.heads,
            catalogue_hash,
        )
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]

    def key(self, point: Point) -> tuple[Any, ...]:
        """The key of this point's cell."""
        return (
            point.documents, point.hidden, point.layers, point.epochs, point.seed,
            self.settings(point),
        )  # fmt: skip

    def own(self) -> list[AlignmentCell]:
        """The cells of this study's points, in their order."""
        keys = map(self.key, self.preset.points)
        return [self.cells[key] for key in keys if key in self.cells]  # type: ignore[index]

    def missing(self) -> list[Point]:
        """The points still to train, the fastest first."""
        missing_points = [p for p in self.preset.points if self.key(p) not in self.cells]
        return sorted(missing_points, key=lambda p: p.documents * p.epochs * p.hidden)

    def align(self, point: Point) -> AlignmentCell:
        """Train and probe one point; write its cell to the file at once."""
        catalogue: Catalogue = self.drawn[point]
        cell = align_one(point, self.preset, catalogue, self.settings(point), self.out)
        self.cells[cell.key] = cell
        write_lines(self.path, list(self.cells.values()))
        return cell


def run_study(
    preset: str, sources: Sequence[str], out: Path, minutes: float | None = None
) -> dict[str, Any]:
    """Align the missing points, then write OUT/study.json, table.md and study.svg.

    Also writes calibration.json if there are enough cells. Returns the summary. BadInput for an
    unknown preset, too few documents, or minutes that are not above 0. Points not started after
    `minutes` are left for the next run.
    """
    if preset not in PRESETS:
        raise BadInput(f"--preset: no {preset!r}; give one of {', '.join(PRESETS)}")
    if minutes is not None and not minutes > 0:
        raise BadInput(f"--minutes: {minutes} is not above 0")
    study = Study(PRESETS[preset], sources, out)
    with held(study.path):  # a bad path fails before any training
        study.read()
        return _run(study, preset, sources, minutes or study.preset.minutes)


def _run(study: Study, preset: str, sources: Sequence[str], minutes: float) -> dict[str, Any]:
    """Align the missing points within the time limit, and write the results."""
    start_time = time.monotonic()
    deadline = start_time + 60 * minutes
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if study.faults:
        console.print(f"{len(study.faults)} invalid documents are skipped", markup=False)
    missing_points = study.missing()
    while missing_points and time.monotonic() < deadline:
        console.print(_words(study.align(missing_points.pop(0))), markup=False)
    results = summary(study, preset, sources, complete=not missing_points)
    results["seconds"] = round(time.monotonic() - start_time, 1)  # of this run
    write_together(_files(study, preset, results, study.out))
    if results["calibration"] is None:  # an old file may be of other documents
        (study.out / "calibration.json").unlink(missing_ok=True)
    return results


def summary(study: Study, preset: str, sources: Sequence[str], complete: bool) -> dict[str, Any]:
    """The cells, each cell's predicted recall, and the errors, as plain data."""
    cells = study.own()
    usual_cells = practised(cells)
    expectations = held_out(usual_cells) or {}
    rows = [
        asdict(cell)
        | {"load": round(cell.load, 4), "usual": cell in usual_cells}
        | {"foreseen": {k: asdict(v) for k, v in expectations.get(cell.key, {}).items()} or None}
        for cell in cells
    ]
    return {
        "preset": preset,
        "sources": [Path(source).name for source in sources],
        "settings": {k: v for k, v in asdict(study.preset).items() if k != "points"},
        "complete": complete,
        "points": len(study.preset.points),
        "made": _origins(cells),
        "seconds_trained": round(sum(cell.seconds for cell in cells), 1),
        "cells": rows,
        "errors": {name: _errors(rows, name) for name in ASKED} if expectations else None,
        "crossings": [
            asdict(crossing) | {"apart": round(crossing.apart, 4)}
            for crossing in crossings(usual_cells)
        ],
    }


def _errors(rows: Sequence[dict[str, Any]], name: str) -> dict[str, float | int]:
    """Mean error of the recall predicted from other catalogue sizes; cells within the interval."""
    foreseen_rows = [row for row in rows if row["foreseen"]]
    gaps, inside_count = [], 0
    for row in foreseen_rows:
        measured_recall, expectation = row[name] / row["asked"], row["foreseen"][name]
        gaps.append(abs(measured_recall - expectation["value"]))
        inside_count += expectation["low"] <= measured_recall <= expectation["high"]
    return {
        "mean": round(sum(gaps) / len(gaps), 4),
        "inside": inside_count,
        "cells": len(foreseen_rows),
    }


def _files(study: Study, preset: str, results: dict[str, Any], out: Path) -> dict[Path, str]:
    longest = study.preset.longest
    about = (
        f"alignments of real documents of at most {longest} characters "
        f"({', '.join(results['sources'])}) in models from scratch, preset {preset}, all weights "
        "trained"
    )
    usual_cells = practised(study.own())
    source = {
        "cells": ", ".join(f"{c.documents}x{c.holding}" for c in usual_cells),
        "made": _origins(usual_cells),
    }
    calibration = calibrate(study.own(), about, source)
    results["calibration"] = None if calibration is None else asdict(calibration)
    if calibration is None:
        results["left_out"] = f"fewer than {LEAST} cells with equal exposures: nothing was fitted"
    files = {
        out / "study.json": json.dumps(results, indent=1) + "\n",
        out / "table.md": markdown(results),
        out / "study.svg": draw(results),
    }
    if calibration is not None:
        files[out / "calibration.json"] = calibration_text(calibration)
    return files


def _origins(cells: Sequence[AlignmentCell]) -> str:
    """Where and when the cells were trained, from their own records."""
    return "; ".join(dict.fromkeys(cell.made for cell in cells))


def _words(cell: AlignmentCell) -> str:
    shares = ", ".join(f"{name} {cell.recall(name):.3f}" for name in ASKED)
    return (
        f"{cell.documents} documents, {cell.holding:,} parameters to hold them, load "
        f"{cell.load:.3f}, {cell.exposures:g} exposures: {shares}; {cell.seconds:.0f} s"
    )
