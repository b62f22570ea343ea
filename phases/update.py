"""Update: adapt a checkpoint to a changed catalogue, with as little training as possible.

    added, changed  the rows of their tokens train, in most cases with LoRA in the layers
                    (tinr/training/update_training.py)
    renamed         the new token gets the old one's rows
    removed         the rows are overwritten: the token is not produced and recalls nothing

Recall is measured for the new documents, their nearest neighbours and a fixed sample of the rest;
the full gate measures every tool.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tinr import distributed
from tinr.catalogue.load import Catalogue, load_catalogue, read_queries
from tinr.catalogue.similar import Difference, difference, near_duplicates
from tinr.chat.codec import Codec, token_of
from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.checkpoints.retired_rows import compact
from tinr.command import main
from tinr.records import BadInput, Query
from tinr.training.catalogue_change import CatalogueChange
from tinr.training.loop import TrainedModel
from tinr.training.phase_run import QUERIES, Phase, begin
from tinr.training.update_config import UpdateConfig
from tinr.training.update_training import (
    UpdateTraining,
    adapter_steps,
    choose_way,
    forgotten,
    say,
    subset,
    train_newcomers,
)

PARENTS = ("align", "sft", "grpo", "calibrate", "reject", "update")
CONFUSABLE = 0.6  # similarity of documents from which a new tool is reported as confusable


def run(config: UpdateConfig) -> Card:
    """Update a checkpoint. Returns the published card, or the parent's if nothing changed."""
    if not config.catalogue:
        raise BadInput("update: give the new catalogue: catalogue=[FOLDER]")
    phase = begin("update", config, PARENTS, _new_catalogue(config))
    if phase.published:
        return phase.published
    if distributed.world() > 1:
        raise BadInput("update: runs on one process only; start it without a launcher")
    old = load_catalogue(phase.folder)
    changes = difference(old.by_name, phase.catalogue.by_name)
    retired = list(phase.parent.data_position.get("retired", ()))
    if changes.empty and not (config.compact and retired):
        say(f"{phase.parent.id} already knows this catalogue; nothing was published")
        return phase.parent
    newcomers = [*changes.added, *(name for name, _ in changes.changed)]
    _announce(changes, newcomers, phase.catalogue)
    model, tokenizer = phase.load()
    _check_tokens(changes, tokenizer, retired, phase.parent.id)
    change = CatalogueChange(old, phase.catalogue, changes, config.seed)
    queries = _queries_beside(phase, old, changes)
    earlier = adapter_steps(phase)
    phase.steps.add(earlier.seconds)
    with phase.log(phase.steps.done + earlier.done) as log:
        change.apply(model, tokenizer)
        codec = Codec(tokenizer)
        training = UpdateTraining(phase, config, codec, newcomers, queries, log)
        trained, lost_names = TrainedModel(model, 0, 0, 0.0), None
        if newcomers:
            way = choose_way(config.train, changes)
            trained, lost_names = train_newcomers(training, model, way)
        metrics = change.left(trained.model, codec) | {"changes": _counts(changes)}
        metrics["forgotten"] = forgotten(
            phase, config, trained.model, codec, training.checked, lost_names
        )
        retired = sorted({*retired, *change.gone} - {*phase.catalogue.by_name})
        if config.compact:
            compact(trained.model, tokenizer, retired)
            retired, codec = [], Codec(tokenizer)
        return phase.conclude(
            trained, codec, config.min_recall, metrics=metrics,
            checked=subset(phase.catalogue, newcomers), position={
                "retired": retired, "queried_tools": _still_queried(phase.parent, changes),
            }, beside=queries,
        )  # fmt: skip


def _new_catalogue(config: UpdateConfig) -> Catalogue:
    """Return the catalogue of the child."""
    new = load_catalogue(config.catalogue)
    if not config.replaces:
        return new
    replaced = load_catalogue(config.replaces).by_name
    _, folder = Registry(config.registry).open(config.parent, phase=PARENTS, verify=False)
    known = load_catalogue(folder)
    if unknown := next((name for name in replaced if name not in known.by_name), None):
        raise BadInput(
            f"replaces: tool {unknown!r} is not in {config.parent}; give the catalogue that it "
            "was trained on"
        )
    others = [doc for doc in known.tools if doc.name not in replaced]
    if twice := next((doc.name for doc in others if doc.name in new.by_name), None):
        raise BadInput(
            f"catalogue: {config.parent} has another tool {twice!r}; rename one of them, or leave "
            "replaces out"
        )
    return Catalogue((*others, *new.tools))


def _announce(changes: Difference, newcomers: Sequence[str], catalogue: Catalogue) -> None:
    """Print the changes, and which new tools queries may confuse with others."""
    say(", ".join(f"{count} {what}" for what, count in _counts(changes).items() if count))
    for pair in near_duplicates(catalogue.tools, CONFUSABLE):
        if {pair.first, pair.second} & {*newcomers}:
            say(
                f"warning: {pair.first} and {pair.second} have similar documents "
                f"({pair.similarity:.2f}); contrast examples separate them, but distinctive words "
                "in the documents would help more"
            )


def _counts(changes: Difference) -> dict[str, int]:
    return {
        what: len(getattr(changes, what)) for what in ("added", "removed", "renamed", "changed")
    }


def _check_tokens(changes: Difference, tokenizer: Any, retired: Sequence[str], parent: str) -> None:
    """Raise BadInput if the parent has no tool tokens, or an entry has a new tool's token."""
    codec = Codec(tokenizer)
    if codec.writes_names:
        raise BadInput(
            f"{parent}: writes tools as names and has no rows to update; run align with the "
            "new catalogue"
        )
    for name in (*changes.added, *(new for _, new in changes.renamed)):
        if token_of(name) in codec.vocabulary and name not in retired:
            raise BadInput(
                f"tool {name!r}: its token {token_of(name)} is already in this vocabulary; "
                "rename the tool"
            )


def _queries_beside(phase: Phase, old: Catalogue, changes: Difference) -> list[Query]:
    """Read the queries stored in the parent, without those of removed or changed tools."""
    path = phase.folder / QUERIES
    if not path.is_file():
        return []
    new_names = dict(changes.renamed)
    gone = {*changes.removed, *(name for name, _ in changes.changed)}
    return [
        replace(query, turns=tuple(
            tuple(replace(call, name=new_names.get(call.name, call.name)) for call in turn)
            for turn in query.turns
        ))
        for query in read_queries(path, old)
        if gone.isdisjoint(call.name for call in query.calls)
    ]  # fmt: skip


def _still_queried(parent: Card, changes: Difference) -> list[str]:
    """Return the tools that training queries called, by their current names."""
    new_names = dict(changes.renamed)
    queried: Sequence[str] = parent.data_position.get("queried_tools", ())
    return sorted(new_names.get(name, name) for name in queried if name not in changes.removed)


if __name__ == "__main__":
    main(UpdateConfig, run)
