"""What a phase would read and compute: its own examples, tokenised, without a model."""

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
from tinr.training.phase_run import Stage, begin

EPOCH_BYTES = 36  # a position of the epoch that is being made; measured, docs/benchmarks.md


@dataclass(frozen=True)
class Opened:
    """A phase's configuration with what it starts from."""

    phase: str
    recipe: Any  # the phase's module: what it teaches is asked of it
    config: Any
    shape: Shape
    codec: Codec
    catalogue: Catalogue
    stage: Stage | None  # None: a base that no registry holds yet


@dataclass(frozen=True)
class Cut:
    """The work in batches of some size: what is held at once, and the settings that ask for it."""

    load: Load
    accumulate: int
    overrides: tuple[str, ...]
    widest: int  # positions of the widest row


@dataclass(frozen=True)
class Work:
    """One run's work; tokens and batches are those of the first epoch, or of one GRPO step."""

    lengths: Sequence[int]  # tokens of each example, or of each prompt and a whole reply
    allowed: int  # longest example that is kept
    epochs: int
    steps: int
    tokens: int  # labelled or not, padding left out
    positions: int  # with padding
    labelled: int
    generated: int  # tokens that rollouts write, at most
    rounds: int  # passes of the rollouts, one after another
    held: int  # bytes of an epoch on the host while it is made
    prepared: int  # bytes of all epochs' batches on the disk
    cuts: tuple[Cut, ...]  # the first as configured, each next one half as large


def open_run(phase: str, recipe: Any, config: Any) -> Opened:
    """What a phase would start from; BadInput as the phase itself, but no weights are read."""
    catalogue = None
    if phase == "align":
        catalogue = recipe.catalogue_of(config)
    elif getattr(config, "catalogue", ()):
        catalogue = load_catalogue(config.catalogue)
    stage, source = None, getattr(config, "base", "")
    if not source:
        stage = begin(phase, config, recipe.PARENTS, catalogue, verify=False)
        source, catalogue = str(stage.folder), stage.catalogue
    assert catalogue is not None
    model, tokenizer = open_source(source)
    tokens = phase == "align" and config.tools_as == "tokens"
    growth = grow_vocabulary(tokenizer, catalogue.names if tokens else [], model.vocab_size)
    shape = shape_of(model, growth, source)
    return Opened(phase, recipe, config, shape, Codec(tokenizer), catalogue, stage)


def work_of(run: Opened, ranks: int) -> Work:
    """The work of a run on so many ranks; BadInput where there is none or batches are too small."""
    if run.phase == "grpo":
        return _conversations(run, ranks)
    config, codec = run.config, run.codec
    if run.phase == "align":
        examples = run.recipe.epoch_examples(
            config, codec, run.catalogue, placeholder_completions(), 0
        )
    else:
        assert run.stage is not None
        library = Library(run.catalogue, config.prompt, config.seed)
        _, asked = run.recipe.draw_queries(config, run.stage)
        examples = run.recipe.epoch_examples(
            config, codec, library, asked, placeholder_completions(), 0
        )
    if config.epochs < 1:
        raise BadInput(f"epochs={config.epochs}: nothing to train on; give at least one epoch")
    passes, tokens = _passes(examples, config.training, codec.pad, "training")
    cuts = tuple(_halved(examples, config.training, codec.pad))
    positions = sum(one.rows * one.width for one in passes)
    return Work(
        lengths=[example.width for example in examples],
        allowed=config.training.max_tokens,
        epochs=config.epochs,
        steps=-(-len(passes) * config.epochs // (ranks * config.training.accumulate)),
        tokens=tokens,
        positions=positions,
        labelled=sum(one.labelled for one in passes),
        generated=0,
        rounds=0,
        held=EPOCH_BYTES * positions,
        prepared=POSITION_BYTES * positions * config.epochs,
        cuts=cuts,
    )


def _passes(
    examples: Sequence[Example], config: TrainingConfig, pad: int, where: str
) -> tuple[list[Pass], int]:
    """The passes of one epoch and its tokens, padding left out."""
    kept = [e.width for e in examples if e.width <= config.max_tokens]
    if not kept:
        raise BadInput(f"{where}.max_tokens={config.max_tokens}: every example is longer; raise it")
    if config.batch_tokens < max(kept):
        raise BadInput(
            f"{where}.batch_tokens={config.batch_tokens}: the longest example has {max(kept):,} "
            f"tokens; give at least that, or lower {where}.max_tokens"
        )
    passes = [
        Pass(
            batch["input_ids"].shape[0],
            batch["input_ids"].shape[1],
            int((batch["labels"][:, 1:] != IGNORE).sum()),
        )
        for batch in make_batches(examples, config, 0, pad)
    ]
    return passes, sum(kept)


def _halved(examples: Sequence[Example], config: TrainingConfig, pad: int) -> Iterator[Cut]:
    """The same examples in batches of half the tokens, as often as the widest row allows."""
    overrides: tuple[str, ...] = ()
    while True:
        passes, _ = _passes(examples, config, pad, "training")
        widest = max(one.width for one in passes)
        load = Load(heaviest_only([(one,) for one in passes]))
        yield Cut(load, config.accumulate, overrides, widest)
        if config.batch_tokens // 2 < widest:
            return
        config = replace(
            config, batch_tokens=config.batch_tokens // 2, accumulate=2 * config.accumulate
        )
        overrides = (
            f"training.batch_tokens={config.batch_tokens}",
            f"training.accumulate={config.accumulate}",
        )


def _conversations(run: Opened, ranks: int) -> Work:
    """GRPO: rollouts, then passes over conversations, each with a replayed batch beside it."""
    config, policy = run.config, run.config.policy
    assert run.stage is not None
    library = Library(run.catalogue, config.prompt, config.seed)
    queries, asked = run.recipe.draw_queries(config, run.stage)
    all_prompts = _prompt_lengths(run.codec, library, asked, policy.documents)
    context = run.shape.positions or max(all_prompts) + policy.max_tokens + 1
    prompts = [one for one in all_prompts if one + policy.max_tokens < context] or all_prompts
    examples = run.recipe.epoch_examples(config, run.codec, library, queries, 0)
    size, drawn = policy.prompts * policy.group, round(policy.prompts * max(1, policy.oversample))
    drawn = min(drawn, len(asked))
    rows = min(drawn, max(1, ROWS // policy.group)) * policy.group
    passes, _ = _passes(examples, config.replay, run.codec.pad, "replay")
    each = size // min(policy.rows, size) if policy.replay_weight > 0 else 0
    replayed = each * mean(one.rows * one.width for one in passes)
    labelled = each * mean(one.labelled for one in passes)
    length = max(prompts) + policy.max_tokens
    batches = -(-drawn * policy.group // rows)
    return Work(
        lengths=[prompt + policy.max_tokens for prompt in all_prompts],
        allowed=context - 1,
        epochs=1,
        steps=policy.steps,
        tokens=round(size * (mean(prompts) + policy.max_tokens)),
        positions=round(size * length + replayed),
        labelled=round(size * policy.max_tokens + labelled),
        generated=drawn * policy.group * policy.max_tokens,
        rounds=batches * policy.max_tokens,
        held=EPOCH_BYTES * sum(one.rows * one.width for one in passes),
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
    """Half the conversations in a pass and half the replayed tokens, as often as both allow.

    Packed rows (`scored_rows`) keep no more than so many conversations of the longest prompt by
    themselves; the policy's head works some positions at a time, the replayed batch has logits.
    """
    rows, replay, overrides = min(config.policy.rows, size), config.replay, ()
    while True:
        passes, _ = _passes(examples, replay, pad, "replay")
        widest = max(one.width for one in passes)
        beside = heaviest_only([(one,) for one in passes])
        if config.policy.replay_weight <= 0:
            beside = ((),)
        written = rows * config.policy.max_tokens
        policy = Pass(rows, length, 0, scored=written)
        groups = tuple((policy, *one) for one in beside)
        load = Load(groups, rollout_rows, length + ROOM, reference=config.policy.beta > 0)
        yield Cut(load, size // rows, overrides, max(length, widest))
        smaller = rows // 2 if rows > 1 and size % (rows // 2) == 0 else rows
        if replay.batch_tokens // 2 >= widest:
            replay = replace(replay, batch_tokens=replay.batch_tokens // 2)
        elif smaller == rows:
            return
        rows = smaller
        overrides = (f"policy.rows={rows}", f"replay.batch_tokens={replay.batch_tokens}")
