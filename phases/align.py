"""Phase 1, align: train the documents into the weights, token <-> document, in both directions.

From the documents alone, for every tool of the catalogue:
    memorise  document -> token
    recall    token -> document, token -> signature
    usage     the conversation format, with pseudo-queries generated from the document and
              with uninformative queries, so that the recalled document decides
Loss = memorise + alpha recall + beta usage (TInR-U, arXiv 2604.10788); no query of any
tool is used. The base's own completions of plain prompts are replayed, to keep its skills.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Annotated

from typing_extensions import Doc

from tinr import distributed
from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.codec import Codec
from tinr.checkpoints.card import Card
from tinr.checkpoints.import_model import named_base
from tinr.checkpoints.model import Initialisation, ToolsAs, grow
from tinr.checkpoints.registry import Registry
from tinr.command import main
from tinr.config import Formerly, TrainingConfig, Weight, Whole
from tinr.data.alignment_examples import PairMix
from tinr.data.own_completions import OwnCompletions, own_completions, own_examples
from tinr.data.packing import Batch, Example, make_batches
from tinr.data.pseudo_queries import unpractised, unpractised_notice
from tinr.data.replay import aligned_examples, tokens_in
from tinr.planning.capacity.check import Switch, within_capacity
from tinr.records import BadInput
from tinr.training.phase_run import PhaseConfig, begin
from tool_corpora.suites import splits, subset

PARENTS = ("base", "align", "update")


@dataclass(frozen=True)
class AlignConfig(PhaseConfig):
    """Settings of phase 1; defaults are the published values if there are any."""

    parent: str = "base@latest"
    base: Annotated[
        str, Doc("instead of parent: smollm2, a GGUF file, a folder or a hub name to import")
    ] = ""
    catalogue: Annotated[tuple[str, ...], Doc("shipped corpora or folders")] = (
        "toolbox",
        "fieldkit",
    )
    tools: Annotated[
        Whole,
        Doc(
            "number of shipped tools, drawn in proportion to splits and domains; 0: all. Other"
            " catalogues are always used completely"
        ),
    ] = 0
    tools_as: Annotated[ToolsAs, Doc('"names" writes plain names instead: an ablation')] = "tokens"
    initialisation: Annotated[Initialisation, Doc("initialisation of the new rows")] = "name_mean"
    epochs: Annotated[Whole, Doc("epochs over all tools")] = 8
    mix: Annotated[PairMix, Doc("examples per tool and epoch")] = field(default_factory=PairMix)
    alpha: Annotated[Weight, Doc("weight of recall")] = 1.0
    beta: Annotated[Weight, Doc("weight of usage")] = 1.0
    replay: Annotated[
        Weight, Doc("the base's own completions, as a share of the phase's own tokens")
    ] = 0.1
    training: TrainingConfig = field(default_factory=TrainingConfig)
    min_recall: Annotated[dict[str, float], Formerly("least"), Doc("the gate: minimum recall")] = (
        field(default_factory=lambda: {"document_to_token": 0.99, "token_to_schema": 0.95})
    )
    capacity: Annotated[
        Switch,
        Doc("refuse, warn or ignore if the catalogue is far too large for the trained weights"),
    ] = "refuse"


def run(config: AlignConfig) -> Card:
    """Align a base with a catalogue. Returns the published card, or an existing one."""
    catalogue = catalogue_of(config)
    if config.base:
        base_card = distributed.shared(lambda: named_base(config.base, Registry(config.registry)))
        config = replace(config, parent=base_card.id)
    phase = begin("align", config, parents=PARENTS, catalogue=catalogue)
    if phase.published:
        return phase.published
    left_out = unpractised(catalogue)
    if left_out and distributed.rank() == 0:
        warnings.warn(unpractised_notice(left_out), stacklevel=2)
    model, tokenizer = phase.load()
    with within_capacity(model, tokenizer, catalogue, config):
        grow(model, tokenizer, catalogue, config.initialisation, config.seed, config.tools_as)
    codec = Codec(tokenizer)
    if not config.epochs:
        raise BadInput("epochs: nothing to train on; give at least one epoch")
    own = own_completions(phase.registry, phase.parent.id, config.seed, config.replay)
    batches = (
        batch
        for epoch in range(config.epochs)
        for batch in _epoch(config, codec, catalogue, own, epoch)
    )
    with phase.log() as log:
        result = phase.train(model, codec, batches, config.training, log, own.teacher)
        return phase.conclude(result, codec, config.min_recall)


def catalogue_of(config: AlignConfig) -> Catalogue:
    """Load the catalogue, with the configured subset of the shipped corpora."""
    catalogue = load_catalogue(config.catalogue)
    if not config.tools:
        return catalogue
    try:
        names = set(subset(config.tools))
    except ValueError as error:
        raise BadInput(f"tools={config.tools}: {error}") from error
    if missing_names := names - set(catalogue.by_name):
        raise BadInput(
            f"tools={config.tools}: draws from the shipped corpora, but this catalogue lacks "
            f"{min(missing_names)!r}; leave tools out, or give catalogue=[toolbox,fieldkit]"
        )
    left_out = set(splits()) - names
    return Catalogue(tuple(doc for doc in catalogue.tools if doc.name not in left_out))


def _epoch(
    config: AlignConfig, codec: Codec, catalogue: Catalogue, own: OwnCompletions, epoch: int
) -> Iterator[Batch]:
    examples = epoch_examples(config, codec, catalogue, own, epoch)
    return make_batches(examples, config.training, config.seed + epoch, codec.pad)


def epoch_examples(
    config: AlignConfig, codec: Codec, catalogue: Catalogue, own: OwnCompletions, epoch: int
) -> list[Example]:
    """Make one epoch of pairs with its share of the base's own completions."""
    rng = Random(f"{config.seed}/align/{epoch}")
    pairs = aligned_examples(codec, catalogue, config.mix, rng, config.alpha, config.beta)
    return pairs + own_examples(own, codec, rng, config.replay * tokens_in(pairs))


if __name__ == "__main__":
    main(AlignConfig, run)
