"""The whole job on the shipped corpora: base, align, sft, grpo, evaluation, report."""

import ctypes
import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import tinr
from phases import align, defaults, grpo, sft
from tinr.ability import tax_summary
from tinr.bases import BaseConfig, build_base, named_base
from tinr.config import load_config, override
from tinr.contest import JUDGED
from tinr.evaluate import (
    Evaluated,
    by_split,
    check_splits,
    compare_calls,
    costs,
    evaluate,
    load_suite,
    plain,
    write_replies,
    write_summary,
)
from tinr.executor import corpus_executor
from tinr.knowledge import knowledge_summary
from tinr.records import BadInput, DocumentsMode, Query
from tinr.registry import Card, Registry, peak_rss_gib
from tinr.report import print_table, read_summary, write_report
from tinr.report.summary import at
from tinr.stage import open_checkpoint, open_model
from tool_corpora.suites import SUITES, splits

PRESETS = Path(__file__).parent / "presets"
SIZES = {"quickstart": 250, "smoke": 24}  # test queries per split
MODES: dict[str, tuple[DocumentsMode, ...]] = {
    "align": ("none",),
    "sft": ("none",),
    "grpo": ("none", "on_select"),
}


@dataclass(frozen=True)
class Paths:
    """Where a run keeps its things."""

    out: Path

    @property
    def registry(self) -> Path:
        return self.out / "registry"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def summary(self) -> Path:
        return self.out / "summary.json"

    def replies(self, checkpoint: str) -> Path:
        return self.out / "eval" / checkpoint


def run_quickstart(preset: str, seed: int, out: Path, base: str = "") -> dict[str, Any]:
    """Run the job, or what is left of it: what is published or measured already is reused.

    base: as in `train_chain`.
    Writes OUT/summary.json and OUT/report.html, prints the table; returns the summary.
    """
    if preset not in SIZES:
        raise BadInput(f"--preset {preset}: unknown; one of {', '.join(SIZES)}")
    console, paths = Console(), Paths(out)
    cards = train_chain(preset, seed, paths, console, base=base)
    summary = _measured(paths, cards, preset)
    if summary is None:
        summary = _measure(paths, cards, preset, seed)
        write_summary(paths.summary, summary)
    else:
        said = f"evaluation (reused; to measure again, remove {paths.summary})"
        console.print(said, soft_wrap=True)
    print_table(summary, console)
    console.print(f"report: {write_report(out, defaults())}", soft_wrap=True)
    return summary


CHAIN = (
    ("align", align.run, align.AlignConfig),
    ("sft", sft.run, sft.SftConfig),
    ("grpo", grpo.run, grpo.GrpoConfig),
)


def train_chain(
    preset: str,
    seed: int,
    paths: Paths,
    console: Console,
    changes: Mapping[str, Sequence[str]] | None = None,
    base: str = "",
) -> dict[str, Card]:
    """Every phase's card, each trained or found; all that are in `changes`, or all three.

    changes: phase -> overrides of the preset's settings, for a chain that differs (an arm); the
    base is always there. base: a published base of this registry, a local folder or a hub name, in
    the place of one from scratch.
    """
    changes = {name: () for name, _, _ in CHAIN} if changes is None else changes
    places = [override("registry", paths.registry), override("run", paths.logs)]
    common = [*places, f"seed={seed}"]
    known = set(Registry(paths.registry).ids())
    cards: dict[str, Card] = {}

    def settings(phase: str, kind: type, *more: str) -> Any:
        return load_config(kind, PRESETS / preset / f"{phase}.yaml", [*common, *more])

    def note(card: Card) -> Card:
        console.print(f"{card.phase}: {card.id}{' (reused)' if card.id in known else ''}")
        cards[card.phase] = card
        return card

    if base:
        last = note(named_base(base, Registry(paths.registry)))
    else:
        last = note(build_base(settings("base", BaseConfig, *changes.get("base", ()))))
    _give_back()
    for name, run, kind in CHAIN:
        if name in changes:
            last = note(run(settings(name, kind, f"parent={last.id}", *changes[name])))
            _give_back()
    return cards


def _give_back() -> None:
    """Memory that is free goes back to the system: the next part takes it in other sizes."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


def _measure(paths: Paths, cards: Mapping[str, Card], preset: str, seed: int) -> dict[str, Any]:
    """The summary of the checkpoints, all suites and probes asked."""
    started = time.monotonic()
    done = _evaluate_all(cards, SIZES[preset], paths)
    known = _knowledge(cards, paths)
    # a phase that was reused counts with what it took when it was trained
    seconds = time.monotonic() - started + sum(card.seconds for card in cards.values())
    summary = _summary(cards, done, seed, round(seconds, 1)) | known
    return summary | {"measured": _measurement(preset)}


def _measured(paths: Paths, cards: Mapping[str, Card], preset: str) -> dict[str, Any] | None:
    """The summary of an earlier run, where it is of these very checkpoints, measured in this way,
    and their replies are there."""
    try:
        summary = read_summary(paths.summary)
    except BadInput:
        return None
    phases = {phase: at(summary, "phases", phase, "checkpoint") for phase in cards}
    same = phases == {phase: card.id for phase, card in cards.items()}
    there = all(paths.replies(cards[phase].id).is_dir() for phase in MODES)
    return summary if same and there and summary.get("measured") == _measurement(preset) else None


def _measurement(preset: str) -> dict[str, Any]:
    """What decides the figures of given checkpoints."""
    return {"version": tinr.__version__, "judged": JUDGED, "size": SIZES[preset]}


Evaluations = dict[str, dict[str, Evaluated]]  # phase -> documents mode -> what it gave


def _evaluate_all(cards: Mapping[str, Card], size: int, paths: Paths) -> Evaluations:
    """Every phase in its documents modes over both suites."""
    registry = Registry(paths.registry)
    done: Evaluations = {}
    trained: set[str] = set()
    for phase, modes in MODES.items():
        card, model, codec, catalogue = open_checkpoint(registry, cards[phase].id)
        trained |= set(card.data_position.get("queried_tools", ()))
        queries: list[Query] = [q for s in SUITES for q in load_suite(s, size, catalogue).queries]
        check_splits(queries, trained)
        for mode in modes:
            title = f"evaluate {phase}, documents {mode}"
            with corpus_executor(catalogue) as executor:
                given = evaluate(model, codec, queries, catalogue, executor, mode, title=title)
            done.setdefault(phase, {})[mode] = given
            write_replies(paths.replies(card.id), given, catalogue.by_name)
        _give_back()
    return done


def _knowledge(cards: Mapping[str, Card], paths: Paths) -> dict[str, Any]:
    """What the last checkpoint knows beyond recall, and what all of it cost the base's skills."""
    registry = Registry(paths.registry)
    _, model, codec, catalogue = open_checkpoint(registry, cards["grpo"].id)
    base, base_codec = open_model(registry.open(cards["base"].id)[1])
    known = knowledge_summary(model, codec, catalogue, splits())
    tax = tax_summary(base, base_codec, model, codec)
    return {"knowledge": {"grpo": known}, "tax": {"grpo": tax}}


def _summary(
    cards: Mapping[str, Card], done: Evaluations, seed: int, seconds: float
) -> dict[str, Any]:
    history: dict[str, Any] = {}
    for phase, modes in done.items():
        for mode, given in modes.items():
            for split, metrics in plain(by_split(given)).items():
                history.setdefault(phase, {}).setdefault(split, {})[mode] = metrics
    # a phase that was reused counts with what it took when it was trained
    peaks = [card.hardware.get("peak_rss_gib", 0.0) for card in cards.values()]
    return {
        "phases": {
            phase: {
                "checkpoint": card.id,
                "seconds": card.seconds,
                "gate": {name: gate["value"] for name, gate in card.gates.items()},
            }
            for phase, card in cards.items()
        },
        "eval": history["grpo"],
        "history": history,
        "comparison": {"before": "sft", "after": "grpo"}
        | compare_calls(done["sft"]["none"], done["grpo"]["none"]),
        "cost": _costs(done["grpo"]),
        "seconds": seconds,
        "peak_rss_gib": max(peak_rss_gib(), *peaks),
        "seed": seed,
        "versions": dict(cards["grpo"].packages),
    }


def _costs(modes: Mapping[str, Evaluated]) -> dict[str, dict[str, float]]:
    """What of a query -> documents mode -> its mean."""
    by_mode = {mode: costs(given) for mode, given in modes.items()}
    kinds = next(iter(by_mode.values()))
    return {kind: {mode: found[kind] for mode, found in by_mode.items()} for kind in kinds}
