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

CHUNK = 64  # steps whose rows are put on the device at once
STRANGERS = 4096  # facts of people with unseen first names that are made


@dataclass(frozen=True)
class TrainedStack:
    """How one model ended."""

    right: int
    asked: int
    unseen_right: int | None  # in-tool alone: facts of people with unseen first names
    unseen_asked: int
    reached: bool
    steps: int
    exposures: float  # of each fact
    seconds: float  # its share of the stack's


class Pupil:
    """What one model of a stack learns from and is asked."""

    def __init__(self, town: Town, form: Form, recipe: TrainRecipe, budget: Budget):
        people, strangers = make_people(town), make_people(_strangers(town), unseen=True)
        facts = facts_of(people)
        self.town = town
        self.form: Form = form
        self.facts = len(facts)
        self.table = tabulate(facts, form)
        self.draws = draws(len(facts), budget.batch, town.seed)
        self.asked = _some(facts, recipe.asked, town.seed)
        self.unseen = _some(facts_of(strangers), recipe.unseen, town.seed)
        self.database, self.strangers = open_database(people), open_database(strangers)
        order = {fact.query: row for row, fact in enumerate(facts)}
        self.rows = np.array([order[fact.query] * PHRASINGS for fact in self.asked])
        self.rows += np.arange(len(self.rows)) % PHRASINGS


class Stack:
    """The models that still learn, their weights, their moments and their data on the device."""

    def __init__(self, shape: Shape, pupils: Sequence[Pupil], recipe: TrainRecipe, device: str):
        self.shape, self.recipe, self.pupils = shape, recipe, list(pupils)
        seeds = [pupil.town.seed for pupil in pupils]
        self.weights = new_weights(shape, seeds, device).requires_grad_()
        self.optimiser = StackOptimiser(shape, self.weights, recipe.optimiser)
        self.table = stacked([pupil.table for pupil in pupils], device)

    def step(self, rows_MB: Tensor, rate: float) -> None:
        """One step of all models on these rows of theirs."""
        ids, at, targets = pick(self.table, rows_MB)
        loss = losses(forward(self.shape, self.weights, ids, at), targets).sum()
        (gradient,) = torch.autograd.grad(loss, self.weights)
        self.optimiser.step(self.weights, gradient, rate)

    def ready(self) -> list[int]:
        """Models that seem to recall enough; the greedy replies decide."""
        most = max(len(pupil.rows) for pupil in self.pupils)
        rows = np.stack([np.resize(pupil.rows, most) for pupil in self.pupils])
        shares = said_right(self.shape, self.weights, self.table, rows)
        return [row for row, share in enumerate(shares) if share >= self.recipe.threshold]

    def ask(self, rows: Sequence[int]) -> list[list[bool]]:
        """Whether each of these models' greedy replies is right."""
        pupils = [self.pupils[row] for row in rows]
        return self._recalls(rows, [p.asked for p in pupils], [p.database for p in pupils])

    def ask_unseen(self, rows: Sequence[int]) -> list[list[bool]]:
        """The same for people with unseen first names, whom the database knows."""
        pupils = [self.pupils[row] for row in rows]
        return self._recalls(rows, [p.unseen for p in pupils], [p.strangers for p in pupils])

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these models alone."""
        kept = torch.tensor(rows, device=self.weights.device)
        self.weights = self.weights.detach()[kept].requires_grad_()
        self.optimiser.keep(kept)
        self.pupils = [self.pupils[row] for row in rows]
        self.table = SymbolTable(*(part[kept] for part in (self.table.ids_RT, self.table.at_RK,
                                                     self.table.targets_RK)))  # fmt: skip

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
    """Train one model for each town, all of one width; None for what the deadline cut off.

    A model leaves the stack when its greedy replies reach the threshold. `deadline` is a time
    of `time.monotonic`; what it cuts off has no result, since it had less than its budget.
    """
    pupils = [Pupil(town, form, recipe, budget) for town in towns]
    stack = Stack(Shape(width), pupils, recipe, device)
    found: dict[int, TrainedStack] = {}
    every = max(1, budget.steps // recipe.checks)
    began, spent = time.monotonic(), 0.0  # seconds of each model that is still there
    for step in range(budget.steps):
        if step % CHUNK == 0:
            rows = _rows(stack.pupils, min(CHUNK, budget.steps - step), device)
        stack.step(rows[step % CHUNK], recipe.optimiser.rate_at(step, budget.steps))
        last = step + 1 == budget.steps
        if not last and time.monotonic() > deadline:
            break
        if not last and (step + 1) % every:
            continue
        ended = _ended(stack, budget, step + 1)
        now = time.monotonic()
        spent, began = spent + (now - began) / len(stack.pupils), now
        for row, trained in ended.items():
            found[pupils.index(stack.pupils[row])] = replace(trained, seconds=round(spent, 2))
        left = [row for row in range(len(stack.pupils)) if row not in ended]
        if not left:
            break
        if ended:
            stack.keep(left)
            rows = rows[:, torch.tensor(left, device=device)]
    return [found.get(row) for row in range(len(pupils))]


def _ended(stack: Stack, budget: Budget, steps: int) -> dict[int, TrainedStack]:
    """The models that are done after so many steps, by row: all of them where no step is left."""
    last, threshold = steps == budget.steps, stack.recipe.threshold
    candidates = list(range(len(stack.pupils))) if last else stack.ready()
    if not candidates:
        return {}
    asked = dict(zip(candidates, stack.ask(candidates), strict=True))
    done = [row for row, hits in asked.items() if last or np.mean(hits) >= threshold]
    if not done:
        return {}
    in_tool = stack.pupils[0].form == "in_tool"
    unseen = stack.ask_unseen(done) if in_tool else [[] for _ in done]
    return {
        row: TrainedStack(
            right=sum(asked[row]),
            asked=len(asked[row]),
            unseen_right=sum(others) if in_tool else None,
            unseen_asked=len(others),
            reached=bool(np.mean(asked[row]) >= threshold),
            steps=steps,
            exposures=round(steps * budget.batch / stack.pupils[row].facts, 1),
            seconds=0.0,
        )
        for row, others in zip(done, unseen, strict=True)
    }


def _rows(pupils: Sequence[Pupil], steps: int, device: str) -> Tensor:
    """Rows of the next steps (S, M, B), put on the device at once."""
    drawn = [[next(pupil.draws) for pupil in pupils] for _ in range(steps)]
    return torch.from_numpy(np.array(drawn)).to(device)


def _strangers(town: Town) -> Town:
    """People of a town beside this one: the same last names as far as they go."""
    return Town(min(town.facts, STRANGERS), town.seed, town.dependence, town.family)


def _some(facts: list[Fact], most: int, seed: int) -> list[Fact]:
    """At most so many of the facts, drawn by the seed."""
    return facts if len(facts) <= most else Random(f"asked {seed}").sample(facts, most)
