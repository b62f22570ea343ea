"""How learning facts in weights, or learning to look them up, changes a base's other skills.

One base from scratch is tuned twice on the same synthetic people, with the same questions and the
same exposures. In weights, the answer follows the question. In tool, a call follows the question,
and the answer follows the database's result. Both models are then compared with the base:
total variation and KL on completions of the base, and a multiple-choice task
(`tinr.evaluation.ability.tax`). Source: arXiv 2508.20755, with sampled completions instead of
greedy ones, and questions about values in the prompt instead of HellaSwag.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from transformers import PreTrainedModel

from phases.base import BaseConfig, build_base
from tinr.chat.codec import Codec, Piece
from tinr.chat.parse import parse
from tinr.chat.render import render_prompt
from tinr.checkpoints.model import load
from tinr.checkpoints.open import open_model
from tinr.checkpoints.registry import Registry
from tinr.config import OptimiserConfig, TrainingConfig
from tinr.data.packing import Example, make_batches
from tinr.data.traces import render_turns
from tinr.evaluation.ability.tax import tax_summary
from tinr.evaluation.metrics import rate
from tinr.files import write_together
from tinr.progress import counting_ends, part_of, progress_bar
from tinr.records import BadInput, Call
from tinr.rollout.generate import generate
from tinr.run_log import RunLog
from tinr.studies.cells import held, need_numbers, read_lines, write_lines
from tinr.studies.in_tool.people import (
    FORMS,
    PHRASINGS,
    TOOL,
    Fact,
    Form,
    Town,
    ask,
    bits,
    facts_of,
    make_people,
    open_database,
)
from tinr.training.supervised import train

MEASURES = ("total_variation", "divergence", "choice", "choice_base", "perplexity_ratio")
LONGEST, ROWS = 64, 128  # tokens per reply, at most; conversations per batch


@dataclass(frozen=True)
class Size:
    """The size of the base, and the facts that it learns."""

    facts: tuple[int, ...]
    epochs: int  # each has every fact once, in a random phrasing
    tokens: int  # training tokens of the base
    hidden: int
    layers: int
    rate: float  # peak learning rate of Muon


SIZES = {
    "smoke": Size((8,), 2, 20_000, 32, 2, 0.005),
    "cpu": Size((64, 256), 40, 2_000_000, 128, 3, 0.005),
    "full": Size((256, 2048, 16_384), 100, 20_000_000, 256, 6, 0.005),
}


@dataclass(frozen=True)
class Kept:
    """One tuned model: its recall, and each of MEASURES with its interval."""

    form: Form
    facts: int
    seed: int
    settings: str  # id of the base, epochs and rate
    parameters: int
    bits: float
    exposures: int
    right: int
    asked: int
    seconds: float
    measures: dict[str, Any]


def run_retention(preset: str, out: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Tune and measure the models missing from OUT/retention.jsonl; write OUT/retention.md.

    Returns the rows. BadInput for an unknown preset.
    """
    if preset not in SIZES:
        raise BadInput(f"--preset: no {preset!r}; give one of {', '.join(SIZES)}")
    with held(out / "retention.jsonl"):
        return _run(preset, out, seed)


def _run(preset: str, out: Path, seed: int) -> list[dict[str, Any]]:
    """Tune and measure the missing models, and write the results."""
    size, path = SIZES[preset], out / "retention.jsonl"
    cells = read_lines(path, Kept, _check)
    base, folder = _base(size, out, seed)
    settings = f"{base} {size.epochs} {size.rate:g}"
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    rows = []
    for facts in size.facts:
        for form in FORMS:
            cell = _find(cells, (form, facts, seed, settings))
            if cell is None:
                cell = _tune(form, Town(facts, seed), size, folder, settings, out)
                cells.append(cell)
                write_lines(path, cells)
                console.print(f"{form} {facts} facts: {cell.right} of {cell.asked} recalled")
            rows.append(asdict(cell))
    write_together({out / "retention.md": markdown(rows, preset)})
    return rows


def _find(cells: Sequence[Kept], key: tuple[Form, int, int, str]) -> Kept | None:
    return next(
        (cell for cell in cells if (cell.form, cell.facts, cell.seed, cell.settings) == key), None
    )


def _base(size: Size, out: Path, seed: int) -> tuple[str, Path]:
    """The id and the folder of the base, trained or reused."""
    config = BaseConfig(
        registry=str(out / "registry"), run=str(out / "logs"), seed=seed, hidden=size.hidden,
        layers=size.layers, heads=max(1, size.hidden // 64), tokens=size.tokens,
    )  # fmt: skip
    card = build_base(config)
    return card.id, Registry(out / "registry").path(card)


def _tune(form: Form, town: Town, size: Size, folder: Path, settings: str, out: Path) -> Kept:
    start_time = time.monotonic()
    (base, base_codec), (model, tokenizer) = open_model(folder), load(folder)
    codec, people = Codec(tokenizer), make_people(town)
    facts = facts_of(people)
    config = TrainingConfig(OptimiserConfig(name="muon", learning_rate=size.rate),
                            batch_tokens=2048, checkpoint_steps=0, bf16=False)  # fmt: skip
    batches = []
    for epoch in range(size.epochs):
        rng = Random(f"{town.seed}/retention/{epoch}")
        examples = [
            Example(*codec.encode(conversation(fact, form, codec, rng.randrange(PHRASINGS))))
            for fact in facts
        ]
        batches += make_batches(examples, config, town.seed + epoch, codec.pad)
    title = f"{form}-{town.facts}"
    with RunLog(out / "logs" / title, "sft", asdict(size)) as log:
        model = train(model, tokenizer, batches, config, town.seed, log, title).model
    model.eval()
    hits = recalled(model, codec, form, facts)
    tax = tax_summary(base, base_codec, model, codec, seed=town.seed)
    return Kept(
        form=form,
        facts=town.facts,
        seed=town.seed,
        settings=settings,
        parameters=model.num_parameters(),
        bits=round(bits(town), 1),
        exposures=size.epochs,
        right=sum(hits),
        asked=len(hits),
        seconds=round(time.monotonic() - start_time, 1),
        measures={name: tax[name] for name in MEASURES},
    )


def conversation(fact: Fact, form: Form, codec: Codec, phrasing: int) -> list[Piece]:
    """A question and its answer; in tool, with the call and the database's result between them."""
    prompt = render_prompt(fact.question(phrasing), codec.frame)
    if form == "in_weight":
        return [*prompt, *render_turns([], [], fact.answer, codec.frame)]
    return [*prompt, *render_turns([[_query(fact)]], [fact.value], fact.answer, codec.frame)]


def _query(fact: Fact) -> Call:
    return Call(TOOL, {fact.attribute: fact.person.name})


def recalled(model: PreTrainedModel, codec: Codec, form: Form, facts: Sequence[Fact]) -> list[bool]:
    """Whether each fact is recalled.

    In weights: the greedy answer ends with its value. In tool: the database returns the value for
    the greedy call.
    """
    people = list({fact.person.name: fact.person for fact in facts}.values())
    executor = open_database(people)
    stop = codec.id("</tool_call>" if form == "in_tool" else codec.frame.close)
    hits: list[bool] = []
    with progress_bar(len(facts), "facts recalled", "reply") as bar:
        for start in range(0, len(facts), ROWS):
            chunk = facts[start : start + ROWS]
            prompts = [
                codec.encode(render_prompt(f.question(n % PHRASINGS), codec.frame))[0]
                for n, f in enumerate(chunk)
            ]
            with part_of(bar, len(chunk)) as move:
                rows = generate(
                    model, prompts, counting_ends(lambda index, ids: None, move),
                    frozenset([stop]), max_tokens=LONGEST, pad=codec.pad,
                )  # fmt: skip
            for fact, row in zip(chunk, rows, strict=True):
                reply = parse(codec.decode(row.ids))
                if form == "in_weight":
                    hits.append((reply.response or "").strip().endswith(fact.value))
                else:
                    call_texts = [json.dumps(dict(call.arguments)) for call in reply.calls]
                    hits.append(bool(call_texts) and ask(executor, call_texts[0]) == fact.value)
    return hits


def markdown(rows: Sequence[dict[str, Any]], preset: str) -> str:
    """A table of each model's recall and of its differences from the base."""
    lines = [
        "# Retention",
        "",
        "| learned | facts | load | exposures | recall | total variation | KL, nats | choice | "
        "choice, base | perplexity ratio |",
        f"|{'---|' * 10}",
    ]
    for row in rows:
        recall = rate([True] * row["right"] + [False] * (row["asked"] - row["right"]))
        figures = {name: _figure(figure) for name, figure in row["measures"].items()}
        lines.append(
            f"| {row['form'].replace('_', ' ')} | {row['facts']:,} "
            f"| {row['bits'] / row['parameters']:.4f} | {row['exposures']} "
            f"| {_figure(asdict(recall))} | {figures['total_variation']} | {figures['divergence']} "
            f"| {figures['choice']} | {figures['choice_base']} | {figures['perplexity_ratio']} |"
        )
    lines += [
        "",
        "- Compared with the base of both models, on 192 completions sampled from it and 300 "
        "questions about values in the prompt. 95 % intervals. In tool, recall scores the call "
        "alone, by the value that the database returns.",
    ]
    chance = next((row["measures"]["choice"].get("chance") for row in rows), None)
    if chance is not None:
        lines.append(
            f"- Chance level of choice: {chance:.3f}. A base near it has no skill there to lose."
        )
    if preset == "smoke":
        lines.append("- Preset smoke only tests that everything runs; ignore its figures.")
    return "\n".join(lines) + "\n"


def _figure(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _check(row: Any) -> None:
    if row["form"] not in FORMS or not isinstance(row["measures"], dict):
        raise ValueError("invalid form or measures")
    if set(row["measures"]) != set(MEASURES):
        raise ValueError("unexpected names of measures")
    need_numbers(row, set(row) - {"form", "settings", "measures"})
