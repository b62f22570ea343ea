"""One alignment of the study: a base from scratch, documents sampled from a catalogue, and recall.

Uses the pairs, the growth, the loop and the probe of align. Leaves out replay, and also usage,
because it adds no bits to those of the documents. Trains all weights.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import torch

from phases.base import BaseConfig, build_base
from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe
from tinr.chat.codec import Codec
from tinr.checkpoints.card import environment
from tinr.checkpoints.model import grow, load
from tinr.checkpoints.registry import Registry
from tinr.config import OptimiserConfig, TrainableConfig, TrainingConfig
from tinr.data.packing import Batch, make_batches
from tinr.data.replay import aligned_examples
from tinr.evaluation.recall import probe_hits
from tinr.planning.capacity.bits import READ, count_bits
from tinr.planning.capacity.check import moving_of
from tinr.planning.capacity.curve import TAUGHT
from tinr.records import BadInput, ToolDoc
from tinr.run_log import RunLog
from tinr.studies.capacity.cells import ASKED, AlignmentCell
from tinr.studies.capacity.presets import Point, Preset
from tinr.training.supervised import train

ROW = 192  # tokens per packed row; long rows of short documents waste attention


def draw_documents(docs: Sequence[ToolDoc], point: Point, longest: int) -> Catalogue:
    """Sample documents with distinct texts of at most `longest` characters; BadInput if too few."""
    texts = {describe(doc): doc for doc in docs if len(describe(doc)) <= longest}
    if len(texts) < point.documents:
        raise BadInput(
            f"--catalogue: {len(texts):,} distinct documents of at most {longest} characters, but "
            f"the preset needs {point.documents:,}; give more --catalogue, or a smaller preset"
        )
    sample = Random(f"{point.seed}/capacity/study").sample(list(texts.values()), point.documents)
    return Catalogue(tuple(sample))


def align_one(
    point: Point, preset: Preset, catalogue: Catalogue, settings: str, out: Path
) -> AlignmentCell:
    """Align and probe one model; its base is trained once per width, in OUT/registry."""
    training = training_of(preset)
    registry, logs = Registry(out / "registry"), out / "logs"
    base = build_base(base_config(point, preset, registry.root, logs))
    start_time = time.monotonic()
    model, tokenizer = load(registry.path(base))
    bits = count_bits(catalogue, model, Codec(tokenizer), READ, point.seed)
    grow(model, tokenizer, catalogue, seed=point.seed)
    codec = Codec(tokenizer)
    batches = _batches(point, catalogue, codec, training)
    name = f"{point.documents}-{point.hidden}-{point.layers}-{point.epochs}-{point.seed}"
    with RunLog(logs / name, "align", asdict(point)) as log:
        result = train(model, tokenizer, batches, training, point.seed, log, name)
    result.model.eval()
    asked_tools = Random(f"{point.seed}/capacity/asked").sample(
        catalogue.tools, min(preset.asked, len(catalogue.tools))
    )
    hits = probe_hits(result.model, codec, Catalogue(tuple(asked_tools)), "probe")
    hit_counts: dict[str, Any] = {kind: sum(hits[kind]) for kind in ASKED}
    return AlignmentCell(
        documents=point.documents,
        hidden=point.hidden,
        layers=point.layers,
        epochs=point.epochs,
        seed=point.seed,
        settings=settings,
        made=_origin(),
        parameters=result.model.num_parameters(),
        holding=moving_of(result.model, TrainableConfig(), list(codec.markup.values())).parameters,
        likelihood=round(bits.likelihood or 0.0, 1),
        packed=round(bits.packed, 1),
        bits=round(bits.total, 1),
        exposures=point.epochs * sum(vars(TAUGHT).values()),
        steps=result.steps,
        tokens=result.tokens,
        loss=round(result.loss, 5),
        asked=len(asked_tools),
        **hit_counts,
        seconds=round(time.monotonic() - start_time, 1),
    )


def _origin() -> str:
    """The device, the date and the commit of a training."""
    facts = environment()
    chip = facts["hardware"].get("cpu")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else chip
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{device or 'cpu'}, {torch.get_num_threads()} threads, {date}, {facts['git_commit']}"


def training_of(preset: Preset) -> TrainingConfig:
    """The training settings of bases and of alignments."""
    return TrainingConfig(
        OptimiserConfig(name="muon", learning_rate=preset.rate),
        batch_tokens=preset.batch_tokens,
        row_tokens=ROW,
        bf16=False,
        checkpoint_steps=0,
    )


def base_config(point: Point, preset: Preset, registry: Path, logs: Path) -> BaseConfig:
    """The config of the base that a point starts from."""
    return BaseConfig(
        registry=str(registry),
        run=str(logs / f"base-{point.hidden}-{point.layers}"),
        hidden=point.hidden,
        layers=point.layers,
        heads=point.heads,
        vocabulary=preset.vocabulary,
        tokens=preset.base_tokens,
        training=training_of(preset),
    )


def _batches(
    point: Point, catalogue: Catalogue, codec: Codec, training: TrainingConfig
) -> list[Batch]:
    batches: list[Batch] = []
    for epoch in range(point.epochs):
        rng = Random(f"{point.seed}/align/{epoch}")
        examples = aligned_examples(codec, catalogue, TAUGHT, rng)
        batches += make_batches(examples, training, point.seed + epoch, codec.pad)
    return batches
