"""`tinr study in-tool`: the smallest model that knows, or looks up, each number of facts.

Every finished model is written to OUT/cells.jsonl at once; rerunning the command resumes.
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

EDITION = 1  # version of names, phrasings and lists; raising it invalidates old cells


@dataclass(frozen=True)
class Wanted:
    """One model to train next."""

    form: Form
    width: int
    budget: Budget
    town: Town


class Study:
    """A preset with its cells so far."""

    def __init__(self, preset: Preset, dependence: float, threshold: float, out: Path):
        self.preset, self.dependence = preset, dependence
        self.recipe = TrainRecipe(threshold, asked=preset.asked, unseen=preset.unseen)
        list(self.questions())  # an invalid town fails before anything else
        self.path = out / "cells.jsonl"
        self.read()

    def read(self) -> None:
        """Read the cells from the file, including those of other studies."""
        self.cells = {cell.key: cell for cell in read_cells(self.path)}

    def questions(self) -> Iterator[tuple[Form, Schedule, Town]]:
        """The study's questions: each form, plan and town for which to find the smallest width."""
        for form, plan in self.preset.plans.items():
            for facts in plan.facts:
                for seed in range(self.preset.seeds):
                    yield form, plan, Town(facts, seed, self.dependence)

    @property
    def seconds(self) -> float:
        """Training time of all cells that answer this study's questions."""
        return sum(cell.seconds for question in self.questions() for cell in self.own(*question))

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
        """The models to train next, grouped by stack, with the fastest stack first."""
        groups: dict[tuple[Form, int, Budget], list[Wanted]] = {}
        for form, plan, town in self.questions():
            outcomes = {cell.width: cell.reached for cell in self.own(form, plan, town)}
            width = next_width(plan.widths, outcomes, plan.first[plan.facts.index(town.facts)])
            if width is not None:
                budget = plan.budget(town.facts)
                request = Wanted(form, width, budget, town)
                groups.setdefault((form, width, budget), []).append(request)
        return sorted(groups.values(), key=_cost)

    def add(self, group: Sequence[Wanted], results: Sequence[TrainedStack | None]) -> None:
        """Add the finished models to the cells and write the file at once."""
        for request, result in zip(group, results, strict=True):
            if result is not None:
                cell = FitCell(
                    form=request.form,
                    facts=request.town.facts,
                    width=request.width,
                    seed=request.town.seed,
                    settings=self.settings(request.budget, request.town),
                    parameters=Shape(request.width).parameters,
                    bits=round(bits(request.town), 1),
                    **asdict(result),
                )
                self.cells[cell.key] = cell
        write_lines(self.path, list(self.cells.values()))

    def settings(self, budget: Budget, town: Town) -> str:
        """A hash of everything that determines a cell's result, except form, facts, width, seed."""
        inputs = (EDITION, asdict(budget), asdict(self.recipe), town.dependence, town.family)
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]


def run_study(
    preset: str,
    out: Path,
    seeds: int | None = None,
    threshold: float = 0.95,
    dependence: float = 0.0,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Train the missing models, then write OUT/study.json, table.md and study.svg.

    Returns the summary. BadInput for an unknown preset or a number out of range. Points that are
    unfinished after `minutes` are open in the results, and the next run resumes them.
    """
    study = Study(_preset(preset, seeds, minutes), dependence, threshold, out)
    with held(study.path):  # a bad path fails before any training
        study.read()
        return _run(study, preset, out)


def _run(study: Study, preset: str, out: Path) -> dict[str, Any]:
    """Train the missing models within the time limit, and write the results."""
    start_time = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32: bf16 gains nothing at such widths
    deadline = start_time + 60 * study.preset.minutes
    is_complete = _train(study, device, deadline)
    results = {
        "preset": preset,
        "seeds": study.preset.seeds,
        "threshold": study.recipe.threshold,
        "dependence": study.dependence,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "complete": is_complete,
        "seconds": round(time.monotonic() - start_time, 1),  # of this run
        "seconds_trained": round(study.seconds, 1),
        "recipe": asdict(study.recipe),
        "curves": {form: _curve(study, form) for form in study.preset.plans},
    }
    write_together(
        {
            out / "study.json": json.dumps(results, indent=1) + "\n",
            out / "table.md": markdown(results),
            out / "study.svg": draw(results),
        }
    )
    return results


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
    """Train until no model is missing; False if time runs out first."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    while groups := study.wanted():
        for group in groups:
            if time.monotonic() > deadline:
                return False
            form, width, budget = group[0].form, group[0].width, group[0].budget
            towns = [request.town for request in group]
            results = train_stack(form, width, towns, budget, study.recipe, device, deadline)
            study.add(group, results)
            for town, result in zip(towns, results, strict=True):
                console.print(f"{form} {town.facts} facts, width {width}, seed {town.seed}: "
                              f"{_words(result)}")  # fmt: skip
            if None in results:
                return False
    return True


def _words(result: TrainedStack | None) -> str:
    if result is None:
        return "out of time; not recorded"
    verdict = "reached" if result.reached else "not reached"
    return (
        f"{verdict}, recall {result.right / result.asked:.3f} after {result.steps} steps, "
        f"{result.exposures:.0f} exposures, {result.seconds:.0f} s"
    )


def _cost(group: Sequence[Wanted]) -> float:
    """Rough cost of a stack: conversations times width; database queries double it."""
    request = group[0]
    size = request.budget.batch * request.budget.steps * request.width * len(group)
    return size * (2 if request.form == "in_tool" else 1)


def _preset(name: str, seeds: int | None, minutes: float | None) -> Preset:
    if name not in PRESETS:
        raise BadInput(f"--preset: no {name!r}; give one of {', '.join(PRESETS)}")
    if seeds is not None and not 1 <= seeds <= 100:
        raise BadInput(f"--seeds: {seeds} is not between 1 and 100")
    if minutes is not None and not minutes > 0:
        raise BadInput(f"--minutes: {minutes} is not above 0")
    preset = PRESETS[name]
    return replace(
        preset, seeds=seeds or preset.seeds, minutes=preset.minutes if minutes is None else minutes
    )
