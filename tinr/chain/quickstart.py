"""The whole run on the shipped corpora: base, align, sft, grpo, evaluation, report.

Tools of a user's own catalogue can be trained together with them. Align trains on their documents.
What sft teaches with queries of the shipped tools applies to them too, as to all tools without
queries.
"""

import ctypes
import gc
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

import tinr
import tool_corpora
from phases import align, defaults, grpo, sft
from phases.base import BaseConfig, build_base
from tinr.catalogue.load import load_catalogue, read_queries
from tinr.chain.estimate import Configs, Size, foresee
from tinr.checkpoints.card import Card, peak_rss_gib
from tinr.checkpoints.import_model import named_base
from tinr.checkpoints.open import open_checkpoint, open_model
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config, override
from tinr.data.replay import teachable
from tinr.evaluation.ability.tax import tax_summary
from tinr.evaluation.contenders import SCORING_VERSION
from tinr.evaluation.evaluate import (
    SuiteResult,
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
from tinr.evaluation.knowledge import knowledge_summary
from tinr.evaluation.report.measures import print_table
from tinr.evaluation.report.page import write_report
from tinr.evaluation.report.summary import at, read_summary
from tinr.evaluation.report.terminal import print_replies
from tinr.records import BadInput, DocumentsMode, Query
from tinr.rollout.tools.executor import corpus_executor
from tool_corpora.suites import SUITES, splits

PRESETS_FOLDER = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Preset:
    """The settings of a whole run, in addition to those of its phases in `presets/`."""

    base: str  # a pretrained model's name; empty: from scratch, by base.yaml
    tools: int  # number of shipped tools; 0: all
    queries_per_split: int  # test queries per split
    modes: Mapping[str, tuple[DocumentsMode, ...]]  # phase -> documents modes of its evaluation
    probes: bool  # also measure knowledge beyond recall, and the ability tax
    queries_per_tool: int = 0  # sft's training queries per tool; 0: as configured
    catalogues: tuple[str, ...] = ()  # the user's own, in addition to the shipped tools
    own_queries: str = ""  # a file of queries for their tools

    def overrides(self, phase: str) -> tuple[str, ...]:
        """Return a phase's overrides of the tools and of the number of queries."""
        if phase == "align":
            part = (f"tools={self.tools}",) if self.tools else ()
            sources = json.dumps([*tool_corpora.NAMES, *self.catalogues])
            return (*part, f"catalogue={sources}") if self.catalogues else part
        if phase != "sft":
            return ()
        size = (f"size={self.queries}",) if self.queries_per_tool else ()
        return (*size, override("own_queries", self.own_queries)) if self.own_queries else size

    @cached_property
    def own_tools(self) -> int:
        """The number of tools in the user's own catalogues. BadInput if they cannot be loaded."""
        everything = load_catalogue([*tool_corpora.NAMES, *self.catalogues])
        return len(everything.tools) - len(splits())

    @cached_property
    def own_traces(self) -> int:
        """The number of traces of the user's own queries. BadInput if these cannot be loaded."""
        if not self.own_queries:
            return 0
        if not self.catalogues:
            raise BadInput(f"--queries {self.own_queries}: give the tools too, with --catalogue")
        own = read_queries(Path(self.own_queries), load_catalogue(self.catalogues))
        return sft.OWN_TIMES * len(teachable(own, self.own_queries))

    @property
    def queries(self) -> int:
        """The number of training queries of sft."""
        low, high = QUERIES
        return min(high, max(low, self.queries_per_tool * (self.tools or high)))

    def size(self, tools: int) -> Size:
        """Return the size of the whole run with `tools` shipped tools, for an estimate."""
        preset = replace(self, tools=tools)
        modes = sum(map(len, self.modes.values()))
        evaluated = modes * round(3.5 * self.queries_per_split)
        return Size(tools + self.own_tools, preset.queries + self.own_traces, evaluated)


QUERIES = (400, 3200)  # minimum and maximum of sft's training queries, if they depend on the tools
MAX_SECONDS = 600  # the largest number of tools that takes at most this long is printed too
PRESETS: dict[str, Preset] = {
    "quickstart": Preset("smollm2", 64, 30, {"grpo": ("none",)}, False, 38),
    "smoke": Preset(
        "", 0, 24, {"align": ("none",), "sft": ("none",), "grpo": ("none", "on_select")}, True
    ),
}


@dataclass(frozen=True)
class Paths:
    """Files and folders of a run."""

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


def known_preset(name: str) -> Preset:
    """Return a preset by its name; BadInput for an unknown name."""
    if name not in PRESETS:
        raise BadInput(f"--preset {name}: unknown; one of {', '.join(PRESETS)}")
    return PRESETS[name]


def run_quickstart(
    preset: str,
    seed: int,
    out: Path,
    base: str = "",
    tools: int | None = None,
    catalogues: Sequence[str] = (),
    own_queries: str = "",
) -> dict[str, Any]:
    """Run everything; reuse checkpoints and evaluations of an earlier run.

    base: as in `train_chain`. tools: number of shipped tools (0: all; None: the preset's).
    catalogues: folders whose tools are trained too. own_queries: a file of queries for them.
    Writes OUT/summary.json and OUT/report.html. Prints the table and some conversations. Returns
    the summary.
    """
    settings = known_preset(preset)
    settings = settings if tools is None else replace(settings, tools=tools)
    settings = replace(settings, catalogues=tuple(catalogues), own_queries=own_queries)
    own_count, _ = settings.own_tools, settings.own_traces  # both files are read before training
    console, paths = Console(), Paths(out)
    changes = {name: settings.overrides(name) for name, _, _ in CHAIN}
    _announce(preset, settings, paths, console, base)
    cards = train_chain(preset, seed, paths, console, changes, base)
    summary = _measured(paths, cards, settings)
    if summary is None:
        summary = _measure(paths, cards, settings, seed)
        write_summary(paths.summary, summary)
    else:
        notice = f"evaluation (reused; to measure again, remove {paths.summary})"
        console.print(notice, soft_wrap=True)
    print_table(summary, console)
    print_replies(paths.replies(cards["grpo"].id) / "replies.none.jsonl", console)
    if own_count:
        console.print(
            f"{own_count} tools of {', '.join(catalogues)} are trained too, but not tested here: "
            "try them with tinr call, measure them with tinr eval --suite FOLDER",
            soft_wrap=True,
        )
    console.print(f"report: {write_report(out, defaults())}", soft_wrap=True)
    return summary


def _announce(preset: str, settings: Preset, paths: Paths, console: Console, base: str) -> None:
    """Print an estimate of the run's time before a pretrained base is trained; takes seconds."""
    registry, name = Registry(paths.registry), base or settings.base
    if not name or any(card.phase == "align" for card in registry.cards()):
        return
    console.print("measuring the speed of this machine")
    folder = registry.path(named_base(name, registry))
    phase_configs: dict[str, Any] = {
        phase: load_config(
            kind, PRESETS_FOLDER / preset / f"{phase}.yaml", settings.overrides(phase)
        )
        for phase, _, kind in CHAIN
    }
    configs = Configs(**phase_configs)
    tools = settings.tools or len(splits())
    counts = [tools, *(n for n in range(8, len(splits()) + 1, 4) if n != tools)]
    estimates = foresee(folder, configs, [settings.size(count) for count in counts])
    seconds = dict(zip(counts, estimates, strict=True))
    beside = f" and {settings.own_tools} of your own" if settings.catalogues else ""
    minutes = seconds[tools] / 60
    console.print(f"{tools} tools{beside}: about {minutes:.0f} minutes on this machine")
    tool_count = max((n for n in counts if seconds[n] <= MAX_SECONDS), default=None)
    if tool_count is None:
        console.print(f"even {min(counts)} tools take more than ten minutes")
    elif tool_count != tools:
        console.print(f"--tools {tool_count} would take about ten minutes")


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
    """Train or reuse the phases in `changes`, or all three; return their cards.

    changes: phase -> overrides of the preset's settings, for a different chain (an arm). The
    base always has a card. base: a published base of this registry, or a value of `tinr base
    --model`, instead of the preset's.
    """
    changes = {name: () for name, _, _ in CHAIN} if changes is None else changes
    base = base or known_preset(preset).base
    places = [override("registry", paths.registry), override("run", paths.logs)]
    common_overrides = [*places, f"seed={seed}"]
    earlier_ids = set(Registry(paths.registry).ids())
    cards: dict[str, Card] = {}

    def settings(phase: str, kind: type, *overrides: str) -> Any:
        return load_config(
            kind, PRESETS_FOLDER / preset / f"{phase}.yaml", [*common_overrides, *overrides]
        )

    def note(card: Card) -> Card:
        console.print(f"{card.phase}: {card.id}{' (reused)' if card.id in earlier_ids else ''}")
        cards[card.phase] = card
        return card

    if base:
        parent = note(named_base(base, Registry(paths.registry)))
    else:
        parent = note(build_base(settings("base", BaseConfig, *changes.get("base", ()))))
    _give_back()
    for name, run, kind in CHAIN:
        if name in changes:
            parent = note(run(settings(name, kind, f"parent={parent.id}", *changes[name])))
            _give_back()
    return cards


def _give_back() -> None:
    """Return free memory to the system: the next phase allocates blocks of other sizes."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def _measure(
    paths: Paths, cards: Mapping[str, Card], settings: Preset, seed: int
) -> dict[str, Any]:
    """Evaluate the checkpoints with all suites and probes; return the summary."""
    start = time.monotonic()
    evaluations = _evaluate_all(cards, settings, paths)
    knowledge = _knowledge(cards, paths) if settings.probes else {}
    # a reused phase counts with its training seconds
    seconds = time.monotonic() - start + sum(card.seconds for card in cards.values())
    summary = _summary(cards, evaluations, seed, round(seconds, 1)) | knowledge
    return summary | {"measured": _measurement(settings)}


def _measured(paths: Paths, cards: Mapping[str, Card], settings: Preset) -> dict[str, Any] | None:
    """Return the summary of an earlier run, or None.

    Its checkpoints and its measurement must be the same, and the replies must be there.
    """
    try:
        summary = read_summary(paths.summary)
    except BadInput:
        return None
    phases = {phase: at(summary, "phases", phase, "checkpoint") for phase in cards}
    is_same_chain = phases == {phase: card.id for phase, card in cards.items()}
    has_replies = all(paths.replies(cards[phase].id).is_dir() for phase in settings.modes)
    return (
        summary
        if is_same_chain and has_replies and summary.get("measured") == _measurement(settings)
        else None
    )


def _measurement(settings: Preset) -> dict[str, Any]:
    """Return the settings that determine a checkpoint's results."""
    modes = {phase: list(modes) for phase, modes in settings.modes.items()}
    facts = {"size": settings.queries_per_split, "modes": modes, "probes": settings.probes}
    return {"version": tinr.__version__, "judged": SCORING_VERSION} | facts


Evaluations = dict[str, dict[str, SuiteResult]]  # phase -> documents mode -> result


def _evaluate_all(cards: Mapping[str, Card], settings: Preset, paths: Paths) -> Evaluations:
    """Evaluate the phases in their documents modes over both suites."""
    registry = Registry(paths.registry)
    evaluations: Evaluations = {}
    queried_tools: set[str] = set()
    for phase, modes in settings.modes.items():
        card, model, codec, catalogue = open_checkpoint(registry, cards[phase].id)
        queried_tools |= set(card.data_position.get("queried_tools", ()))
        queries: list[Query] = [
            q for s in SUITES for q in load_suite(s, settings.queries_per_split, catalogue).queries
        ]
        check_splits(queries, queried_tools)
        for mode in modes:
            title = f"evaluate {phase}, documents {mode}"
            with corpus_executor(catalogue) as executor:
                result = evaluate(model, codec, queries, catalogue, executor, mode, title=title)
            evaluations.setdefault(phase, {})[mode] = result
            write_replies(paths.replies(card.id), result, catalogue.by_name)
        _give_back()
    return evaluations


def _knowledge(cards: Mapping[str, Card], paths: Paths) -> dict[str, Any]:
    """Measure the last checkpoint's knowledge beyond recall, and its tax on the base's skills."""
    registry = Registry(paths.registry)
    _, model, codec, catalogue = open_checkpoint(registry, cards["grpo"].id)
    base, base_codec = open_model(registry.open(cards["base"].id)[1])
    knowledge = knowledge_summary(model, codec, catalogue, splits())
    tax = tax_summary(base, base_codec, model, codec)
    return {"knowledge": {"grpo": knowledge}, "tax": {"grpo": tax}}


def _summary(
    cards: Mapping[str, Card], evaluations: Evaluations, seed: int, seconds: float
) -> dict[str, Any]:
    history: dict[str, Any] = {}
    for phase, modes in evaluations.items():
        for mode, result in modes.items():
            for split, metrics in plain(by_split(result)).items():
                history.setdefault(phase, {}).setdefault(split, {})[mode] = metrics
    # a reused phase counts with its training peak
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
        **_comparison(evaluations),
        "cost": _costs(evaluations["grpo"]),
        "seconds": seconds,
        "peak_rss_gib": max(peak_rss_gib(), *peaks),
        "seed": seed,
        "versions": dict(cards["grpo"].packages),
    }


def _comparison(evaluations: Evaluations) -> dict[str, Any]:
    """Compare calls before and after the last phase, if both were measured."""
    if "sft" not in evaluations:
        return {}
    comparison = compare_calls(evaluations["sft"]["none"], evaluations["grpo"]["none"])
    return {"comparison": {"before": "sft", "after": "grpo"} | comparison}


def _costs(modes: Mapping[str, SuiteResult]) -> dict[str, dict[str, float]]:
    """Map each cost of a query to its mean per documents mode."""
    by_mode = {mode: costs(result) for mode, result in modes.items()}
    kinds = next(iter(by_mode.values()))
    return {kind: {mode: means[kind] for mode, means in by_mode.items()} for kind in kinds}
