"""Update: adapt a checkpoint to a changed catalogue, with as little training as possible.

    added, changed  the rows of their tokens train on the frozen model; nothing else changes
    renamed         the new token gets the old one's rows
    removed         the rows are overwritten: the token is not produced and recalls nothing

Recall is measured for the new documents, their nearest neighbours and a fixed sample of the rest;
the full gate measures every tool. If rows alone do not pass, LoRA in the layers trains as well,
with replay of other tools.
Source: training only rows of a model that was adapted to tools before: TokMem, ICLR 2026.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from transformers import PreTrainedModel
from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.load import Catalogue, load_catalogue, read_queries
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.catalogue.similar import Difference, difference, near_duplicates, nearest_neighbours
from tinr.chat.codec import Codec, token_of
from tinr.checkpoints.card import Card
from tinr.checkpoints.model import tables_of
from tinr.checkpoints.registry import Registry
from tinr.checkpoints.retired_rows import compact
from tinr.checkpoints.step_checkpoints import Steps
from tinr.command import main
from tinr.config import (
    Count,
    Formerly,
    OptimiserConfig,
    TrainableConfig,
    TrainingConfig,
    Weight,
    Whole,
)
from tinr.data.alignment_examples import PairMix
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.replay import aligned_examples, requests_of_one_tool, trace_examples
from tinr.evaluation.recall import not_recalled, probe
from tinr.records import BadInput, GateFailed, Query
from tinr.training.catalogue_change import CatalogueChange
from tinr.training.loop import TrainedModel
from tinr.training.new_rows import NewRows, RowsConfig, train_rows
from tinr.training.phase_run import QUERIES, Phase, PhaseConfig, begin, passes

PARENTS = ("align", "sft", "grpo", "calibrate", "reject", "update")
CONFUSABLE = 0.6  # similarity of documents from which a new tool is reported as confusable


@dataclass(frozen=True)
class UpdateConfig(PhaseConfig):
    """Settings of an update."""

    remedy: ClassVar[str] = "Raise rows.evaluations or epochs, set train=adapters, or"

    catalogue: Annotated[tuple[str, ...], Doc("the new catalogue: shipped corpora or folders")] = ()
    replaces: Annotated[
        tuple[str, ...],
        Doc("the catalogue that it replaces, if the checkpoint has other tools too; []: all"),
    ] = ()
    train: Annotated[
        Literal["auto", "rows", "adapters"],
        Doc("rows: on a frozen model; adapters: LoRA too; auto: adapters only if rows fail"),
    ] = "auto"
    rows: RowsConfig = field(default_factory=RowsConfig)
    before: Annotated[
        PairMix, Doc("examples per new tool, trained up to its token; computed once")
    ] = field(default_factory=lambda: PairMix.only(memorise=4, naming=16, lacking=2))
    behind: Annotated[
        PairMix, Doc("examples per new tool, trained after its token; requests for it alone")
    ] = field(
        default_factory=lambda: PairMix.only(memorise=1, schema=3, blind=1, naming=2, pseudo=3)
    )
    contrast: Annotated[PairMix, Doc("examples per neighbour and sampled tool")] = field(
        default_factory=lambda: PairMix.only(memorise=1, naming=1, lacking=1)
    )
    contrast_queries: Annotated[
        Whole, Doc("more contrast: queries stored in the parent (sft: keep_queries)")
    ] = 64
    neighbours: Annotated[Count, Doc("nearest tools of each new one, for contrast and gate")] = 3
    sample: Annotated[Count, Doc("sample of the other tools, for contrast and gate")] = 24
    trainable: Annotated[TrainableConfig, Doc("of the adapters")] = field(
        default_factory=lambda: TrainableConfig(what="lora")
    )
    training: Annotated[TrainingConfig, Doc("of the adapters")] = field(
        default_factory=lambda: TrainingConfig(
            optimiser=OptimiserConfig(learning_rate=1e-3), batch_tokens=1024
        )
    )
    mix: Annotated[PairMix, Doc("adapters: examples per new tool and epoch")] = field(
        default_factory=lambda: PairMix(schema=2)
    )
    replay: Annotated[PairMix, Doc("adapters: examples per replayed tool")] = field(
        default_factory=lambda: PairMix.only(memorise=1, schema=1, naming=1)
    )
    replayed: Annotated[Count, Doc("adapters: tools replayed per epoch beside the neighbours")] = 24
    epochs: Annotated[Count, Doc("adapters: epochs over new tools and replay")] = 5
    full_gate: Annotated[bool, Doc("measure every tool, not only neighbours and a sample")] = False
    compact: Annotated[bool, Doc("delete removed tools from the vocabulary")] = False
    min_recall: Annotated[
        dict[str, float], Formerly("least"), Doc("minimum recall of new documents")
    ] = field(default_factory=lambda: {"document_to_token": 0.99, "token_to_schema": 0.95})
    max_forgotten: Annotated[
        Weight, Doc("maximum share of other measured documents that only the parent recalls")
    ] = 0.02


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
        _say(f"{phase.parent.id} already knows this catalogue; nothing was published")
        return phase.parent
    newcomers = [*changes.added, *(name for name, _ in changes.changed)]
    _announce(changes, newcomers, phase.catalogue)
    model, tokenizer = phase.load()
    _check_tokens(changes, tokenizer, retired, phase.parent.id)
    change = CatalogueChange(old, phase.catalogue, changes, config.seed)
    queries = _queries_beside(phase, old, changes)
    adapter_steps = _adapter_steps(phase)
    phase.steps.add(adapter_steps.seconds)  # of earlier starts
    with phase.log(phase.steps.done + adapter_steps.done) as log:
        change.apply(model, tokenizer)
        codec = Codec(tokenizer)
        others = _others(config, phase.catalogue, newcomers)
        known_names = [name for name in phase.catalogue.names if name not in newcomers]
        checked = _subset(phase.catalogue, known_names if config.full_gate else others)
        trained, lost_names = TrainedModel(model, 0, 0, 0.0), None
        if newcomers:
            trained, lost_names = _train(
                phase, trained, codec, newcomers, others, checked, queries, log
            )
        metrics = change.left(trained.model, codec) | {"changes": _counts(changes)}
        metrics["forgotten"] = _forgotten(phase, trained.model, codec, checked, lost_names)
        retired = sorted({*retired, *change.gone} - {*phase.catalogue.by_name})
        if config.compact:
            compact(trained.model, tokenizer, retired)
            retired, codec = [], Codec(tokenizer)
        return phase.conclude(
            trained, codec, config.min_recall, metrics=metrics,
            checked=_subset(phase.catalogue, newcomers), position={
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


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _announce(changes: Difference, newcomers: Sequence[str], catalogue: Catalogue) -> None:
    """Print the changes, and which new tools queries may confuse with others."""
    _say(", ".join(f"{count} {what}" for what, count in _counts(changes).items() if count))
    for pair in near_duplicates(catalogue.tools, CONFUSABLE):
        if {pair.first, pair.second} & {*newcomers}:
            _say(
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


def _neighbours(config: UpdateConfig, catalogue: Catalogue, newcomers: Sequence[str]) -> set[str]:
    """Return the nearest neighbours of the newcomers."""
    near = nearest_neighbours(catalogue.tools, config.neighbours)
    return {other for name in newcomers for other in near[name]} - {*newcomers}


def _others(config: UpdateConfig, catalogue: Catalogue, newcomers: Sequence[str]) -> list[str]:
    """Return the nearest neighbours of the newcomers and a fixed sample of the rest."""
    names = _neighbours(config, catalogue, newcomers)
    rest = [name for name in catalogue.names if name not in names and name not in newcomers]
    return sorted(names | {*Random("update").sample(rest, min(config.sample, len(rest)))})


def _train(
    phase: Phase, start: TrainedModel, codec: Codec, newcomers: Sequence[str],
    others: Sequence[str], checked: Catalogue, queries: Sequence[Query], log: Any,
) -> tuple[TrainedModel, list[str] | None]:  # fmt: skip
    """Train the newcomers' rows, adapters, or adapters after rows that do not pass the checks.

    Returns the trained model and which checked tools it lost; None if that was not measured.
    """
    config: Any = phase.config
    lost_names: list[str] = []
    if config.train != "adapters":
        start = _train_rows(phase, start.model, codec, newcomers, others, queries, log)
    if config.train == "rows":
        return start, None
    if config.train == "auto":
        lost_names = _lost(phase, start.model, codec, checked)
        failures = _failures(phase, start.model, codec, newcomers, lost_names, checked)
        if not failures:
            return start, lost_names
        _say(f"the rows alone do not pass ({', '.join(failures)}): adapters are trained as well")
    log.offset = phase.steps.done  # the rows' entries in the log
    return _train_adapters(phase, start, codec, newcomers, lost_names, queries, log), None


def _train_rows(
    phase: Phase, model: PreTrainedModel, codec: Codec, newcomers: Sequence[str],
    others: Sequence[str], queries: Sequence[Query], log: Any,
) -> TrainedModel:  # fmt: skip
    """Train only the newcomers' rows, scaled to the mean length of the other tools' rows."""
    config: Any = phase.config
    ids = [codec.tool_ids[name] for name in newcomers]
    rng = Random(f"{config.seed}/update")
    fixed = [
        *aligned_examples(codec, phase.catalogue, config.before, rng, only=newcomers),
        *aligned_examples(codec, phase.catalogue, config.contrast, rng, only=others),
        *_traces(phase, codec, queries, rng),
    ]
    rows = NewRows(model, ids)
    requests = requests_of_one_tool(codec, phase.catalogue, config.behind, rng, newcomers)
    behind = [requests[index] for index in rows.ids.tolist()]
    known_ids = [index for name, index in codec.tool_ids.items() if name not in newcomers]
    lengths = [table[known_ids].norm(dim=-1).mean() for table in tables_of(model)]
    steps, tokens = train_rows(
        rows, lengths, fixed, behind, config.rows, codec.pad, log, phase.steps
    )
    return TrainedModel(model, steps, tokens, 0.0)


def _adapter_steps(phase: Phase) -> Steps:
    return Steps(phase.steps.folder / "adapters")


def _failures(
    phase: Phase, model: PreTrainedModel, codec: Codec, newcomers: Sequence[str],
    lost_names: Sequence[str], checked: Catalogue,
) -> list[str]:  # fmt: skip
    """Return which checks a model does not pass, in words; none that is accepted by name."""
    config: Any = phase.config
    new_docs = _subset(phase.catalogue, newcomers)
    rates = probe(model, codec, new_docs, "check of the rows", tuple(config.min_recall))
    failures = [
        f"{name.replace('_', ' ')} {round((rate.value or 0) * rate.n)} of {rate.n}"
        for name, rate in rates.items()
        if name not in config.accept and not passes(rate, config.min_recall[name])
    ]
    if _too_many(config, lost_names, checked):
        failures.append(f"{len(lost_names)} other tools forgotten")
    return failures


def _train_adapters(
    phase: Phase, trained: TrainedModel, codec: Codec, newcomers: Sequence[str],
    lost_names: Collection[str], queries: Sequence[Query], log: Any,
) -> TrainedModel:  # fmt: skip
    """Train adapters and the newcomers' rows, with replayed examples of other tools.

    Each epoch replays the newcomers' neighbours and the lost tools, and draws from all others,
    whether they are checked afterwards or not: the check stays a fair sample.
    """
    config: Any = phase.config
    near = _neighbours(config, phase.catalogue, newcomers) | {*lost_names}
    rest = [name for name in phase.catalogue.names if name not in (*newcomers, *near)]

    def epoch_batches() -> Iterator[Batch]:
        for epoch in range(config.epochs):
            rng = Random(f"{config.seed}/update/{epoch}")
            sample = [*sorted(near), *rng.sample(rest, min(config.replayed, len(rest)))]
            examples: list[Example] = [
                *aligned_examples(codec, phase.catalogue, config.mix, rng, only=newcomers),
                *aligned_examples(codec, phase.catalogue, config.replay, rng, only=sample),
                *_traces(phase, codec, queries, rng),
            ]
            yield from make_batches(examples, config.training, epoch, codec.pad)

    ids = [codec.tool_ids[name] for name in newcomers]
    adapter_phase = replace(phase, steps=_adapter_steps(phase))
    result = adapter_phase.train(
        trained.model, codec, epoch_batches(), config.training, log, rows=ids
    )
    steps, tokens = trained.steps + result.steps, trained.tokens + result.tokens
    return replace(result, steps=steps, tokens=tokens)


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


def _traces(phase: Phase, codec: Codec, queries: Sequence[Query], rng: Random) -> list[Example]:
    config: Any = phase.config
    if not queries:
        return []
    sample = rng.sample(queries, min(config.contrast_queries, len(queries)))
    library = Library(phase.catalogue, DocumentsConfig())
    return trace_examples(codec, library, sample, {"none": 1.0}, rng)


def _lost(phase: Phase, model: PreTrainedModel, codec: Codec, checked: Catalogue) -> list[str]:
    """Return the checked tools that the parent recalls and this model does not."""
    missed = [doc.name for doc in not_recalled(model, codec, checked)]
    if missed:  # again, in the batch that the parent is asked in: bfloat16 decides near-ties by it
        again = _subset(checked, missed)
        missed = [doc.name for doc in not_recalled(model, codec, again)]
    if missed:
        parent_model, parent_tokenizer = phase.load()
        known = _subset(load_catalogue(phase.folder), missed)
        never = {doc.name for doc in not_recalled(parent_model, Codec(parent_tokenizer), known)}
        missed = [name for name in missed if name not in never]
    return missed


def _too_many(config: UpdateConfig, lost_names: Sequence[str], checked: Catalogue) -> bool:
    return len(lost_names) > config.max_forgotten * len(checked.tools)


def _forgotten(
    phase: Phase, model: PreTrainedModel, codec: Codec, checked: Catalogue,
    lost_names: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Count the tools that the parent knew and this model lost; GateFailed if they are too many.

    lost_names: the tools, if they were measured already.
    """
    config: Any = phase.config
    if lost_names is None:
        lost_names = _lost(phase, model, codec, checked)
    if _too_many(config, lost_names, checked):
        count, total = len(lost_names), len(checked.tools)
        raise GateFailed(
            f"update: {count} of {total} other tools that the parent knew are no longer recalled, "
            f"such as {lost_names[0]}; nothing was published. Raise contrast or replayed, set "
            "train=adapters, or raise max_forgotten"
        )
    return {"n": len(checked.tools), "names": lost_names}


def _subset(catalogue: Catalogue, names: Sequence[str]) -> Catalogue:
    wanted = {*names}
    return Catalogue(tuple(doc for doc in catalogue.tools if doc.name in wanted))


def _still_queried(parent: Card, changes: Difference) -> list[str]:
    """Return the tools that training queries called, by their current names."""
    new_names = dict(changes.renamed)
    queried: Sequence[str] = parent.data_position.get("queried_tools", ())
    return sorted(new_names.get(name, name) for name in queried if name not in changes.removed)


if __name__ == "__main__":
    main(UpdateConfig, run)
