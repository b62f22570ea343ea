"""Teach a checkpoint its new and changed tools, and check what it still knows of the others.

    rows      only the tools' rows, on the frozen model
    adapters  LoRA in the layers as well, with replay of other tools
    auto      rows for a few added tools, then adapters if these do not pass; else adapters

Training rows alone changes no bit of any layer or other row. A row rarely holds a changed
signature, and each takes about a minute (docs/notebook.md).
Source: training only rows of a model that was adapted to tools before: TokMem, ICLR 2026; LoRA,
arXiv 2106.09685.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.catalogue.similar import Difference, nearest_neighbours
from tinr.chat.codec import Codec
from tinr.checkpoints.model import tables_of
from tinr.checkpoints.step_checkpoints import Steps
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.replay import (
    aligned_examples,
    requests_of_one_tool,
    tools_without_queries,
    trace_examples,
)
from tinr.evaluation.recall import not_recalled, probe
from tinr.records import GateFailed, Query
from tinr.run_log import RunLog
from tinr.training.loop import TrainedModel
from tinr.training.new_rows import NewRows, train_rows
from tinr.training.phase_run import Phase, passes
from tinr.training.update_config import UpdateConfig, Way

ROWS_FIRST = 2  # added tools up to which `auto` tries rows alone


@dataclass(frozen=True)
class UpdateTraining:
    """What an update teaches, and with what."""

    phase: Phase
    config: UpdateConfig
    codec: Codec
    newcomers: Sequence[str]  # names of new and changed tools
    queries: Sequence[Query]  # stored in the parent, for replay
    log: RunLog

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the child."""
        return self.phase.catalogue

    @cached_property
    def neighbours(self) -> set[str]:
        """The nearest neighbours of the newcomers."""
        near = nearest_neighbours(self.catalogue.tools, self.config.neighbours)
        return {other for name in self.newcomers for other in near[name]} - {*self.newcomers}

    @cached_property
    def others(self) -> list[str]:
        """The nearest neighbours of the newcomers and a fixed sample of the rest."""
        names = self.neighbours
        rest = [n for n in self.catalogue.names if n not in names and n not in self.newcomers]
        sample = Random("update").sample(rest, min(self.config.sample, len(rest)))
        return sorted(names | {*sample})

    @cached_property
    def checked(self) -> Catalogue:
        """The other tools whose recall is checked."""
        known = [name for name in self.catalogue.names if name not in self.newcomers]
        return subset(self.catalogue, known if self.config.full_gate else self.others)

    def traces(self, rng: Random) -> list[Example]:
        """Make reference traces of some of the stored queries."""
        sample = rng.sample(self.queries, min(self.config.contrast_queries, len(self.queries)))
        library = Library(self.catalogue, DocumentsConfig())
        return trace_examples(self.codec, library, sample, {"none": 1.0}, rng)


def adapter_steps(phase: Phase) -> Steps:
    """Return the step checkpoints of the adapters; the phase's own are those of the rows."""
    return Steps(phase.steps.folder / "adapters")


def choose_way(way: Way, changes: Difference) -> Way:
    """Resolve auto to adapters where rows would be slower or seldom pass, and say so."""
    if way != "auto" or (not changes.changed and len(changes.added) <= ROWS_FIRST):
        return way
    reason = "a document changed" if changes.changed else f"more than {ROWS_FIRST} tools were added"
    say(f"{reason}: training adapters in the layers")
    return "adapters"


def train_newcomers(
    training: UpdateTraining, model: PreTrainedModel, way: Way
) -> tuple[TrainedModel, list[str] | None]:
    """Train the newcomers' rows, adapters, or adapters after rows that do not pass the checks.

    Returns the trained model and which checked tools it lost; None if that was not measured.
    """
    trained, lost_names = TrainedModel(model, 0, 0, 0.0), []
    if way != "adapters":
        trained = _train_rows(training, model)
    if way == "rows":
        return trained, None
    if way == "auto" and not adapter_steps(training.phase).done:
        checked = training.checked
        lost_names = _lost(training.phase, trained.model, training.codec, checked)
        failures = _failures(training, trained.model, lost_names, len(checked.tools))
        if not failures:
            return trained, lost_names
        say(f"the rows alone do not pass ({', '.join(failures)}): training adapters as well")
    training.log.offset = training.phase.steps.done  # the rows' entries in the log
    return _train_adapters(training, trained, lost_names), None


def _train_rows(training: UpdateTraining, model: PreTrainedModel) -> TrainedModel:
    """Train only the newcomers' rows, scaled to the mean length of the other tools' rows."""
    config, codec, names = training.config, training.codec, training.newcomers
    rng = Random(f"{config.seed}/update")
    fixed = [
        *aligned_examples(codec, training.catalogue, config.before, rng, only=names),
        *aligned_examples(codec, training.catalogue, config.contrast, rng, only=training.others),
        *training.traces(rng),
    ]
    rows = NewRows(model, [codec.tool_ids[name] for name in names])
    requests = requests_of_one_tool(codec, training.catalogue, config.behind, rng, names)
    behind = [requests[index] for index in rows.ids.tolist()]
    known_ids = [index for name, index in codec.tool_ids.items() if name not in names]
    lengths = [table[known_ids].norm(dim=-1).mean() for table in tables_of(model)]
    steps, tokens = train_rows(
        rows, lengths, fixed, behind, config.rows, codec.pad, training.log, training.phase.steps
    )
    return TrainedModel(model, steps, tokens, 0.0)


def _failures(
    training: UpdateTraining, model: PreTrainedModel, lost_names: Sequence[str], total: int
) -> list[str]:
    """Return which checks a model does not pass, in words; none that is accepted by name."""
    config = training.config
    new_docs = subset(training.catalogue, training.newcomers)
    names = tuple(config.min_recall)
    rates = probe(model, training.codec, new_docs, "check of the rows", names)
    failures = [
        f"{name.replace('_', ' ')} {round((rate.value or 0) * rate.n)} of {rate.n}"
        for name, rate in rates.items()
        if name not in config.accept and not passes(rate, config.min_recall[name])
    ]
    if _too_many(config, lost_names, total):
        failures.append(f"{len(lost_names)} other tools forgotten")
    return failures


def _train_adapters(
    training: UpdateTraining, start: TrainedModel, lost_names: Collection[str]
) -> TrainedModel:
    """Train adapters and the newcomers' rows, with replayed examples of other tools.

    Each epoch replays the newcomers' neighbours and the lost tools, and draws from all others,
    whether they are checked afterwards or not: the check stays a fair sample.
    """
    config, codec, catalogue = training.config, training.codec, training.catalogue
    near = training.neighbours | {*lost_names}
    rest = [name for name in catalogue.names if name not in (*training.newcomers, *near)]

    def epoch_batches() -> Iterator[Batch]:
        for epoch in range(config.epochs):
            rng = Random(f"{config.seed}/update/{epoch}")
            sample = [*sorted(near), *rng.sample(rest, min(config.replayed, len(rest)))]
            examples = [
                *aligned_examples(codec, catalogue, config.mix, rng, only=training.newcomers),
                *_replayed(training, sample, rng),
                *training.traces(rng),
            ]
            yield from make_batches(examples, config.training, epoch, codec.pad)

    rows = [codec.tool_ids[name] for name in training.newcomers]
    phase = replace(training.phase, steps=adapter_steps(training.phase))
    result = phase.train(
        start.model, codec, epoch_batches(), config.training, training.log, rows=rows
    )
    steps, tokens = start.steps + result.steps, start.tokens + result.tokens
    return replace(result, steps=steps, tokens=tokens)


def _replayed(training: UpdateTraining, names: Sequence[str], rng: Random) -> list[Example]:
    """Make replayed examples of tools; pseudo-queries only if no stored query calls them."""
    queries = training.queries if training.config.contrast_queries else ()
    silent_tools = tools_without_queries(training.catalogue, queries)
    mix = training.config.replay
    groups = (
        ([name for name in names if name in silent_tools], mix),
        ([name for name in names if name not in silent_tools], replace(mix, pseudo=0)),
    )
    return [
        example
        for group, group_mix in groups
        if group
        for example in aligned_examples(
            training.codec, training.catalogue, group_mix, rng, only=group
        )
    ]


def _lost(phase: Phase, model: PreTrainedModel, codec: Codec, checked: Catalogue) -> list[str]:
    """Return the checked tools that the parent recalls and this model does not."""
    missed = [doc.name for doc in not_recalled(model, codec, checked)]
    if missed:  # again, in the batch that the parent is asked in: bfloat16 decides near-ties by it
        again = subset(checked, missed)
        missed = [doc.name for doc in not_recalled(model, codec, again)]
    if missed:
        parent_model, parent_tokenizer = phase.load()
        known = subset(load_catalogue(phase.folder), missed)
        never = {doc.name for doc in not_recalled(parent_model, Codec(parent_tokenizer), known)}
        missed = [name for name in missed if name not in never]
    return missed


def _too_many(config: UpdateConfig, lost_names: Sequence[str], total: int) -> bool:
    return len(lost_names) > config.max_forgotten * total


def forgotten(
    phase: Phase, config: UpdateConfig, model: PreTrainedModel, codec: Codec, checked: Catalogue,
    lost_names: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Count the tools that the parent knew and this model lost; GateFailed if they are too many.

    lost_names: the tools, if they were measured already.
    """
    if lost_names is None:
        lost_names = _lost(phase, model, codec, checked)
    count, total = len(lost_names), len(checked.tools)
    if _too_many(config, lost_names, total):
        raise GateFailed(
            f"update: {count} of {total} other tools that the parent knew are no longer recalled, "
            f"such as {lost_names[0]}; nothing was published. Raise replayed (adapters) or "
            "contrast (rows), or raise max_forgotten"
        )
    return {"n": total, "names": lost_names}


def subset(catalogue: Catalogue, names: Collection[str]) -> Catalogue:
    """Return the catalogue of only these tools."""
    wanted = {*names}
    return Catalogue(tuple(doc for doc in catalogue.tools if doc.name in wanted))


def say(text: str) -> None:
    """Print a line for people."""
    print(text, file=sys.stderr)
