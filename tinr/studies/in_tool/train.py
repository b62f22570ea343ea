"""Train a stack of small models until each recalls its facts or its budget is spent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from torch import Tensor

from tinr.rollout.tools.executor import Executor
from tinr.studies.in_tool.answers import pick, recalls, said_right
from tinr.studies.in_tool.optimiser import StackOptimiser
from tinr.studies.in_tool.people import (
    PHRASINGS,
    Fact,
    Form,
    Town,
    facts_of,
    make_people,
    open_database,
)
from tinr.studies.in_tool.recipe import Budget, TrainRecipe
from tinr.studies.in_tool.stack import Shape, forward, losses, new_weights
from tinr.studies.in_tool.texts import SymbolTable, draws, stacked, tabulate

CHUNK = 64  # number of steps whose rows are copied to the device together
STRANGERS = 4096  # facts of people with unseen first names, at most


@dataclass(frozen=True)
class TrainedStack:
    """The result of one model."""

    right: int
    asked: int
    unseen_right: int | None  # in-tool only: facts of people with unseen first names
    unseen_asked: int
    reached: bool
    steps: int
    exposures: float  # per fact
    seconds: float  # its share of the stack's time


class Pupil:
    """The training data and the questions of one model of a stack."""

    def __init__(self, town: Town, form: Form, recipe: TrainRecipe, budget: Budget):
        people, strangers = make_people(town), make_people(_strangers(town), unseen=True)
        facts = facts_of(people)
        self.town = town
        self.form: Form = form
        self.facts = len(facts)
        self.table = tabulate(facts, form)
        self.draws = draws(len(facts), budget.batch, town.seed)
        self.asked = _sample(facts, recipe.asked, town.seed)
        self.unseen = _sample(facts_of(strangers), recipe.unseen, town.seed)
        self.database, self.strangers = open_database(people), open_database(strangers)
        order = {fact.query: row for row, fact in enumerate(facts)}
        self.rows = np.array([order[fact.query] * PHRASINGS for fact in self.asked])
        self.rows += np.arange(len(self.rows)) % PHRASINGS


class Stack:
    """The models in training: weights, optimiser moments and data on the device."""

    def __init__(self, shape: Shape, pupils: Sequence[Pupil], recipe: TrainRecipe, device: str):
        self.shape, self.recipe, self.pupils = shape, recipe, list(pupils)
        seeds = [pupil.town.seed for pupil in pupils]
        self.weights = new_weights(shape, seeds, device).requires_grad_()
        self.optimiser = StackOptimiser(shape, self.weights, recipe.optimiser)
        self.table = stacked([pupil.table for pupil in pupils], device)

    def step(self, rows_MB: Tensor, rate: float) -> None:
        """One step of all models, each on its own rows."""
        ids, positions, targets = pick(self.table, rows_MB)
        loss = losses(forward(self.shape, self.weights, ids, positions), targets).sum()
        (gradient,) = torch.autograd.grad(loss, self.weights)
        self.optimiser.step(self.weights, gradient, rate)

    def ready(self) -> list[int]:
        """Models that reach the threshold under teacher forcing; greedy replies then decide."""
        row_count = max(len(pupil.rows) for pupil in self.pupils)
        rows = np.stack([np.resize(pupil.rows, row_count) for pupil in self.pupils])
        shares = said_right(self.shape, self.weights, self.table, rows)
        return [row for row, share in enumerate(shares) if share >= self.recipe.threshold]

    def ask(self, rows: Sequence[int]) -> list[list[bool]]:
        """Whether each of these models' greedy replies is right."""
        pupils = [self.pupils[row] for row in rows]
        return self._recalls(rows, [p.asked for p in pupils], [p.database for p in pupils])

    def ask_unseen(self, rows: Sequence[int]) -> list[list[bool]]:
        """The same for people with unseen first names, who are in the database."""
        pupils = [self.pupils[row] for row in rows]
        return self._recalls(rows, [p.unseen for p in pupils], [p.strangers for p in pupils])

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all models but these."""
        indices = torch.tensor(rows, device=self.weights.device)
        self.weights = self.weights.detach()[indices].requires_grad_()
        self.optimiser.keep(indices)
        self.pupils = [self.pupils[row] for row in rows]
        self.table = SymbolTable(*(tensor[indices] for tensor in (
            self.table.ids_RT, self.table.at_RK, self.table.targets_RK,
        )))  # fmt: skip

    def _recalls(
        self, rows: Sequence[int], facts: list[list[Fact]], databases: list[Executor]
    ) -> list[list[bool]]:
        weights = self.weights.detach()[torch.tensor(rows, device=self.weights.device)]
        seeds = [self.pupils[row].town.seed for row in rows]
        return recalls(self.shape, weights, self.pupils[0].form, facts, databases, seeds)


def train_stack(
    form: Form,
    width: int,
    towns: Sequence[Town],
    budget: Budget,
    recipe: TrainRecipe,
    device: str = "cpu",
    deadline: float = float("inf"),
) -> list[TrainedStack | None]:
    """Train one model per town, all of one width; None for models that the deadline cut off.

    A model leaves the stack when its greedy replies reach the threshold. `deadline` is a time of
    `time.monotonic`; a model that it cuts off has no result, since it did not use its full budget.
    """
    pupils = [Pupil(town, form, recipe, budget) for town in towns]
    stack = Stack(Shape(width), pupils, recipe, device)
    results: dict[int, TrainedStack] = {}
    check_interval = max(1, budget.steps // recipe.checks)
    start_time, model_seconds = time.monotonic(), 0.0  # seconds of each remaining model
    for step in range(budget.steps):
        if step % CHUNK == 0:
            rows = _rows(stack.pupils, min(CHUNK, budget.steps - step), device)
        stack.step(rows[step % CHUNK], recipe.optimiser.rate_at(step, budget.steps))
        is_last = step + 1 == budget.steps
        if not is_last and time.monotonic() > deadline:
            break
        if not is_last and (step + 1) % check_interval:
            continue
        new_results = _new_results(stack, budget, step + 1)
        now = time.monotonic()
        model_seconds, start_time = model_seconds + (now - start_time) / len(stack.pupils), now
        for row, result in new_results.items():
            results[pupils.index(stack.pupils[row])] = replace(
                result, seconds=round(model_seconds, 2)
            )
        open_rows = [row for row in range(len(stack.pupils)) if row not in new_results]
        if not open_rows:
            break
        if new_results:
            stack.keep(open_rows)
            rows = rows[:, torch.tensor(open_rows, device=device)]
    return [results.get(row) for row in range(len(pupils))]


def _new_results(stack: Stack, budget: Budget, steps: int) -> dict[int, TrainedStack]:
    """Row -> result of the models that finish after `steps` steps; all of them at the last step."""
    is_last, threshold = steps == budget.steps, stack.recipe.threshold
    candidates = list(range(len(stack.pupils))) if is_last else stack.ready()
    if not candidates:
        return {}
    hits_by_row = dict(zip(candidates, stack.ask(candidates), strict=True))
    done_rows = [row for row, hits in hits_by_row.items() if is_last or np.mean(hits) >= threshold]
    if not done_rows:
        return {}
    in_tool = stack.pupils[0].form == "in_tool"
    all_unseen_hits = stack.ask_unseen(done_rows) if in_tool else [[] for _ in done_rows]
    return {
        row: TrainedStack(
            right=sum(hits_by_row[row]),
            asked=len(hits_by_row[row]),
            unseen_right=sum(unseen_hits) if in_tool else None,
            unseen_asked=len(unseen_hits),
            reached=bool(np.mean(hits_by_row[row]) >= threshold),
            steps=steps,
            exposures=round(steps * budget.batch / stack.pupils[row].facts, 1),
            seconds=0.0,
        )
        for row, unseen_hits in zip(done_rows, all_unseen_hits, strict=True)
    }


def _rows(pupils: Sequence[Pupil], steps: int, device: str) -> Tensor:
    """Rows of the next steps (S, M, B), copied to the device in one transfer."""
    batches = [[next(pupil.draws) for pupil in pupils] for _ in range(steps)]
    return torch.from_numpy(np.array(batches)).to(device)


def _strangers(town: Town) -> Town:
    """A town of at most STRANGERS facts; the same seed gives it the same leading last names."""
    return Town(min(town.facts, STRANGERS), town.seed, town.dependence, town.family)


def _sample(facts: list[Fact], limit: int, seed: int) -> list[Fact]:
    """At most `limit` of the facts, drawn by the seed."""
    return facts if len(facts) <= limit else Random(f"asked {seed}").sample(facts, limit)
