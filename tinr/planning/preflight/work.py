"""The work of a phase, computed by making and tokenising its examples, without a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import IGNORE, Codec
from tinr.config import TrainingConfig
from tinr.data.batch_file import POSITION_BYTES
from tinr.data.own_completions import placeholder_completions
from tinr.data.packing import Example, make_batches
from tinr.planning.preflight.memory import Load, Pass, heaviest_only
from tinr.planning.preflight.shape import Shape, grow_vocabulary, open_source, shape_of
from tinr.records import BadInput, Query
from tinr.rollout.conversation import ROWS, make_prompts
from tinr.rollout.generate import ROOM
from tinr.training.phase_run import Phase, begin

EPOCH_BYTES = 36  # bytes per position while an epoch is made, as measured (docs/benchmarks.md)


@dataclass(frozen=True)
class Opened:
    """A phase's configuration with its base and catalogue."""

    phase: str
    recipe: Any  # the phase's module, which makes the examples
    config: Any
    shape: Shape
    codec: Codec
    catalogue: Catalogue
    begun: Phase | None  # None: a base that is not in a registry yet


@dataclass(frozen=True)
class Cut:
    """The work in batches of one size: the load, and the settings for it."""

    load: Load
    accumulate: int
    overrides: tuple[str, ...]
    widest: int  # positions of the widest row


@dataclass(frozen=True)
class Work:
    """The work of a run; tokens and batches of the first epoch, or of one GRPO step."""

    lengths: Sequence[int]  # tokens of each example, or of each prompt with a whole reply
    allowed: int  # length of the longest kept example
    epochs: int
    steps: int
    tokens: int  # labelled or not, without padding
    positions: int  # with padding
    labelled: int
    generated: int  # tokens that rollouts write, at most
    rounds: int  # sequential passes of the rollouts
    held: int  # bytes of an epoch on the host while it is made
    prepared: int  # bytes of all epochs' batches on disk
    cuts: tuple[Cut, ...]  # the first as configured, each following one half as large


def open_run(phase: str, recipe: Any, config: Any) -> Opened:
    """Open what a phase starts from, without weights. BadInput as in the phase itself."""
    catalogue = None
    if phase == "align":
        catalogue = recipe.catalogue_of(config)
    elif getattr(config, "catalogue", ()):
        catalogue = load_catalogue(config.catalogue)
    begun, source = None, getattr(config, "base", "")
    if not source:
        begun = begin(phase, config, recipe.PARENTS, catalogue, verify=False)
        source, catalogue = str(begun.folder), begun.catalogue
    assert catalogue is not None
    model, tokenizer = open_source(source)
    tokens = phase == "align" and config.tools_as == "tokens"
    growth = grow_vocabulary(tokenizer, catalogue.names if tokens else [], model.vocab_size)
    shape = shape_of(model, growth, source)
    return Opened(phase, recipe, config, shape, Codec(tokenizer), catalogue, begun)


def work_of(run: Opened, ranks: int) -> Work:
    """Compute the work of a run on `ranks` ranks. BadInput if none, or if batches are too small."""
    if run.phase == "grpo":
        return _conversations(run, ranks)
    config, codec = run.config, run.codec
    if run.phase == "align":
        examples = run.recipe.epoch_examples(
            config, codec, run.catalogue, placeholder_completions(), 0
        )
    else:
        assert run.begun is not None
        library = Library(run.catalogue, config.prompt, config.seed)
        _, queries = run.recipe.draw_queries(config, run.begun)
        examples = run.recipe.epoch_examples(
            config, codec, library, queries, placeholder_completions(), 0
        )
    if config.epochs < 1:
        raise BadInput(f"epochs={config.epochs}: nothing to train on; give at least one epoch")
    passes, tokens = _passes(examples, config.training, codec.pad, "training")
    cuts = tuple(_half_batches(examples, config.training, codec.pad))
    positions = sum(batch_pass.rows * batch_pass.width for batch_pass in passes)
    return Work(
        lengths=[example.width for example in examples],
        allowed=config.training.max_tokens,
        epochs=config.epochs,
        steps=-(-len(passes) * config.epochs // (ranks * config.training.accumulate)),
        tokens=tokens,
        positions=positions,
        labelled=sum(batch_pass.labelled for batch_pass in passes),
        generated=0,
        rounds=0,
        held=EPOCH_BYTES * positions,
        prepared=POSITION_BYTES * positions * config.epochs,
        cuts=cuts,
    )


def _passes(
    examples: Sequence[Example], config: TrainingConfig, pad: int, group: str
) -> tuple[list[Pass], int]:
    """Compute the passes of one epoch, and its tokens without padding."""
    widths = [e.width for e in examples if e.width <= config.max_tokens]
    if not widths:
        raise BadInput(f"{group}.max_tokens={config.max_tokens}: every example is longer; raise it")
    if config.batch_tokens < max(widths):
        raise BadInput(
            f"{group}.batch_tokens={config.batch_tokens}: the longest example has {max(widths):,} "
            f"tokens; give at least that, or lower {group}.max_tokens"
        )
    passes = [
        Pass(
            batch["input_ids"].shape[0],
            batch["input_ids"].shape[1],
            int((batch["labels"][:, 1:] != IGNORE).sum()),
        )
        for batch in make_batches(examples, config, 0, pad)
    ]
    return passes, sum(widths)


def _half_batches(examples: Sequence[Example], config: TrainingConfig, pad: int) -> Iterator[Cut]:
    """Yield the cut as configured, then ones with half the tokens, while the widest row fits."""
    overrides: tuple[str, ...] = ()
    while True:
        passes, _ = _passes(examples, config, pad, "training")
        width = max(batch_pass.width for batch_pass in passes)
        load = Load(heaviest_only([(batch_pass,) for batch_pass in passes]))
        yield Cut(load, config.accumulate, overrides, width)
        if config.batch_tokens // 2 < width:
            return
        config = replace(
            config, batch_tokens=config.batch_tokens // 2, accumulate=2 * config.accumulate
        )
        overrides = (
            f"training.batch_tokens={config.batch_tokens}",
            f"training.accumulate={config.accumulate}",
        )


def _conversations(run: Opened, ranks: int) -> Work:
    """Compute the work of GRPO: rollouts, then passes over conversations with replayed batches."""
    config, policy = run.config, run.config.policy
    assert run.begun is not None
    library = Library(run.catalogue, config.prompt, config.seed)
    queries, rollout_queries = run.recipe.draw_queries(config, run.begun)
    all_prompts = _prompt_lengths(run.codec, library, rollout_queries, policy.documents)
    context = run.shape.positions or max(all_prompts) + policy.max_tokens + 1
    prompts = [width for width in all_prompts if width + policy.max_tokens < context] or all_prompts
    examples = run.recipe.epoch_examples(config, run.codec, library, queries, 0)
    size, query_count = (
        policy.prompts * policy.group,
        round(policy.prompts * max(1, policy.oversample)),
    )
    query_count = min(query_count, len(rollout_queries))
    rows = min(query_count, max(1, ROWS // policy.group)) * policy.group
    passes, _ = _passes(examples, config.replay, run.codec.pad, "replay")
    batch_count = size // min(policy.rows, size) if policy.replay_weight > 0 else 0
    replay_positions = batch_count * mean(
        batch_pass.rows * batch_pass.width for batch_pass in passes
    )
    replay_labels = batch_count * mean(batch_pass.labelled for batch_pass in passes)
    length = max(prompts) + policy.max_tokens
    batches = -(-query_count * policy.group // rows)
    return Work(
        lengths=[prompt + policy.max_tokens for prompt in all_prompts],
        allowed=context - 1,
        epochs=1,
        steps=policy.steps,
        tokens=round(size * (mean(prompts) + policy.max_tokens)),
        positions=round(size * length + replay_positions),
        labelled=round(size * policy.max_tokens + replay_labels),
        generated=query_count * policy.group * policy.max_tokens,
        rounds=batches * policy.max_tokens,
        held=EPOCH_BYTES * sum(batch_pass.rows * batch_pass.width for batch_pass in passes),
        prepared=0,
        cuts=tuple(_policy_cuts(config, examples, run.codec.pad, size, length, rows)),
    )


def _prompt_lengths(
    codec: Codec, library: Library, queries: list[Query], modes: Sequence[Any]
) -> list[int]:
    """Tokens of every query's prompt in every documents mode of the run."""
    return [
        len(prompt)
        for mode in dict.fromkeys(modes)
        for prompt in make_prompts(codec, queries, library.shown(queries, mode))
    ]


def _policy_cuts(
    config: Any, examples: Sequence[Example], pad: int, size: int, length: int, rollout_rows: int
) -> Iterator[Cut]:
    """Yield cuts with half the conversations in a pass and half the replayed tokens, repeatedly.

    Packed rows (`scored_rows`) save no more than as many separate conversations of the longest
    prompt. The policy's head works in chunks of positions; the replayed batch has its logits.
    """
    rows, replay, overrides = min(config.policy.rows, size), config.replay, ()
    while True:
        passes, _ = _passes(examples, replay, pad, "replay")
        width = max(batch_pass.width for batch_pass in passes)
        replay_groups = heaviest_only([(batch_pass,) for batch_pass in passes])
        if config.policy.replay_weight <= 0:
            replay_groups = ((),)
        scored_count = rows * config.policy.max_tokens
        policy = Pass(rows, length, 0, scored=scored_count)
        groups = tuple((policy, *group) for group in replay_groups)
        load = Load(groups, rollout_rows, length + ROOM, reference=config.policy.beta > 0)
        yield Cut(load, size // rows, overrides, max(length, width))
        half_rows = rows // 2 if rows > 1 and size % (rows // 2) == 0 else rows
        if replay.batch_tokens // 2 >= width:
            replay = replace(replay, batch_tokens=replay.batch_tokens // 2)
        elif half_rows == rows:
            return
        rows = half_rows
        overrides = (f"policy.rows={rows}", f"replay.batch_tokens={replay.batch_tokens}")
