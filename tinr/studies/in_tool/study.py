"""`tinr study in-tool`: for each number of facts the smallest model that knows or looks them up.

Every finished model is a line of OUT/cells.jsonl at once; the same command goes on from there.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tinr.files import write_together
from tinr.records import BadInput
from tinr.studies.cells import held, write_lines
from tinr.studies.in_tool.cells import FitCell, read_cells
from tinr.studies.in_tool.curves import summarise
from tinr.studies.in_tool.people import Form, Town, bits
from tinr.studies.in_tool.plot import draw
from tinr.studies.in_tool.presets import PRESETS, Preset, Schedule
from tinr.studies.in_tool.recipe import Budget, TrainRecipe
from tinr.studies.in_tool.search import next_width
from tinr.studies.in_tool.stack import Shape
from tinr.studies.in_tool.table import markdown
from tinr.studies.in_tool.train import TrainedStack, train_stack

EDITION = 1  # of names, phrasings and lists; another one makes old cells unusable


@dataclass(frozen=True)
class Wanted:
    """One model to be trained next."""

    form: Form
    width: int
    budget: Budget
    town: Town


class Study:
    """A preset with its cells so far."""

    def __init__(self, preset: Preset, dependence: float, threshold: float, out: Path):
        self.preset, self.dependence = preset, dependence
        self.recipe = TrainRecipe(threshold, asked=preset.asked, unseen=preset.unseen)
        list(self.questions())  # a town that cannot be is refused before anything else
        self.path = out / "cells.jsonl"
        self.read()

    def read(self) -> None:
        """Take the cells from the file, those of other studies too."""
        self.cells = {cell.key: cell for cell in read_cells(self.path)}

    def questions(self) -> Iterator[tuple[Form, Schedule, Town]]:
        """Each smallest width that is looked for."""
        for form, plan in self.preset.plans.items():
            for facts in plan.facts:
                for seed in range(self.preset.seeds):
                    yield form, plan, Town(facts, seed, self.dependence)

    @property
    def seconds(self) -> float:
        """Of training, of all the cells that answer this study's questions."""
        return sum(cell.seconds for asked in self.questions() for cell in self.own(*asked))

    def own(self, form: Form, plan: Schedule, town: Town) -> list[FitCell]:
        """The cells that answer one question, under this study's settings."""
        settings = self.settings(plan.budget(town.facts), town)
        return [
            cell
            for cell in self.cells.values()
            if (cell.form, cell.facts, cell.seed) == (form, town.facts, town.seed)
            and cell.settings == settings
        ]

    def wanted(self) -> list[list[Wanted]]:
        """The models to be trained next, those of one stack together, the quickest first."""
        groups: dict[tuple[Form, int, Budget], list[Wanted]] = {}
        for form, plan, town in self.questions():
            tried = {cell.width: cell.reached for cell in self.own(form, plan, town)}
            width = next_width(plan.widths, tried, plan.first[plan.facts.index(town.facts)])
            if width is not None:
                budget = plan.budget(town.facts)
                one = Wanted(form, width, budget, town)
                groups.setdefault((form, width, budget), []).append(one)
        return sorted(groups.values(), key=_cost)

    def add(self, group: Sequence[Wanted], trained: Sequence[TrainedStack | None]) -> None:
        """Keep what was finished, in the file before anything else happens."""
        for one, ended in zip(group, trained, strict=True):
            if ended is not None:
                cell = FitCell(
                    form=one.form,
                    facts=one.town.facts,
                    width=one.width,
                    seed=one.town.seed,
                    settings=self.settings(one.budget, one.town),
                    parameters=Shape(one.width).parameters,
                    bits=round(bits(one.town), 1),
                    **asdict(ended),
                )
                self.cells[cell.key] = cell
        write_lines(self.path, list(self.cells.values()))

    def settings(self, budget: Budget, town: Town) -> str:
        """A hash of what decides a cell's result beside form, facts, width and seed."""
        rest = (EDITION, asdict(budget), asdict(self.recipe), town.dependence, town.family)
        return hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:12]


def run_study(
    preset: str,
    out: Path,
    seeds: int | None = None,
    threshold: float = 0.95,
    dependence: float = 0.0,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Train what is missing, then write OUT/study.json, table.md and study.svg; the summary.

    BadInput for an unknown preset or a figure out of range. What is not done after `minutes`
    is left open in the results, and the next run goes on with it.
    """
    study = Study(_preset(preset, seeds, minutes), dependence, threshold, out)
    with held(study.path):  # a wrong place is known before anything is trained
        study.read()
        return _run(study, preset, out)


def _run(study: Study, preset: str, out: Path) -> dict[str, Any]:
    """Train what is missing within the time, and write what came out."""
    began = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32: widths this small gain nothing by bf16
    deadline = began + 60 * study.preset.minutes
    in_time = _train(study, device, deadline)
    found = {
        "preset": preset,
        "seeds": study.preset.seeds,
        "threshold": study.recipe.threshold,
        "dependence": study.dependence,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "complete": in_time,
        "seconds": round(time.monotonic() - began, 1),  # of this run
        "seconds_trained": round(study.seconds, 1),
        "recipe": asdict(study.recipe),
        "curves": {form: _curve(study, form) for form in study.preset.plans},
    }
    write_together(
        {
            out / "study.json": json.dumps(found, indent=1) + "\n",
            out / "table.md": markdown(found),
            out / "study.svg": draw(found),
        }
    )
    return found


def _curve(study: Study, form: Form) -> list[dict[str, Any]]:
    """The points of one form, by number of facts."""
    plan = study.preset.plans[form]
    points = []
    for facts in plan.facts:
        towns = [Town(facts, seed, study.dependence) for seed in range(study.preset.seeds)]
        cells = [study.own(form, plan, town) for town in towns]
        point = {"facts": facts, "bits": round(bits(towns[0]), 1)}
        points.append(point | summarise(plan.widths, plan.budget(facts), cells))
    return points


def _train(study: Study, device: str, deadline: float) -> bool:
    """Train round after round; False where time ended before the work."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    while groups := study.wanted():
        for group in groups:
            if time.monotonic() > deadline:
                return False
            form, width, budget = group[0].form, group[0].width, group[0].budget
            towns = [one.town for one in group]
            trained = train_stack(form, width, towns, budget, study.recipe, device, deadline)
            study.add(group, trained)
            for town, ended in zip(towns, trained, strict=True):
                console.print(f"{form} {town.facts} facts, width {width}, seed {town.seed}: "
                              f"{_words(ended)}")  # fmt: skip
            if None in trained:
                return False
    return True


def _words(ended: TrainedStack | None) -> str:
    if ended is None:
        return "time ended; not recorded"
    verdict = "reached" if ended.reached else "not reached"
    return (
        f"{verdict}, recall {ended.right / ended.asked:.3f} after {ended.steps} steps, "
        f"{ended.exposures:.0f} exposures, {ended.seconds:.0f} s"
    )


def _cost(group: Sequence[Wanted]) -> float:
    """Symbols times parameters of a stack, roughly; queries double a conversation."""
    one = group[0]
    size = one.budget.batch * one.budget.steps * one.width * len(group)
    return size * (2 if one.form == "in_tool" else 1)


def _preset(name: str, seeds: int | None, minutes: float | None) -> Preset:
    if name not in PRESETS:
        raise BadInput(f"--preset: no {name!r}; give one of {', '.join(PRESETS)}")
    if seeds is not None and not 1 <= seeds <= 100:
        raise BadInput(f"--seeds: {seeds} is not within 1 and 100")
    if minutes is not None and not minutes > 0:
        raise BadInput(f"--minutes: {minutes} is not above 0")
    preset = PRESETS[name]
    return replace(
        preset, seeds=seeds or preset.seeds, minutes=preset.minutes if minutes is None else minutes
    )
