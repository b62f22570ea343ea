"""The variants of the calibration study: one warmed-up policy, and what is then done with it.

All start from the same sft checkpoint of a run's registry. The four losses train on the pairs of
one search; rejection sampling writes as many tokens as that search did, at its temperature and
length, on the same queries. What is published is reused. Gates that are missed are noted in the
card, not refused: a variant that forgets is a result.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from phases import calibrate, grpo, reject
from tinr.chain.quickstart import PRESETS, Paths, known_preset, train_chain
from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config, override
from tinr.evaluation.comparison import differences
from tinr.evaluation.contenders import Contender, values_of
from tinr.evaluation.report.tables import Cell, Code, Row, Seconds, Table, as_markdown, filled
from tinr.evaluation.standing import TESTED, sentences, show, standing, standing_tables
from tinr.files import write_together
from tinr.records import BadInput, GateFailed
from tinr.run_log import GATES
from tool_corpora.suites import SUITES

PREFIX = "calibration-"  # of the tags
QUERIES = {"quickstart": 250, "smoke": 24}  # a split, that a variant is evaluated on
ACCEPT = f"accept=[{', '.join(GATES)}]"


@dataclass(frozen=True)
class Variant:
    """What is done after sft: a loss of the pairs, grpo, right replies; `about` in words."""

    about: str
    loss: tuple[str, ...] = ()  # settings of calibrate
    steps: tuple[str, ...] = ()  # phases after sft, in order


_PAIRS = ("calibrate",)
VARIANTS: Mapping[str, Variant] = {
    "sft": Variant("the policy that all others start from"),
    "grpo": Variant("reinforced, not calibrated", steps=("grpo",)),
    "simpo": Variant("calibrated by SimPO", ("preference.loss=simpo",), _PAIRS),
    "dpo": Variant("by DPO", ("preference.loss=dpo", "preference.beta=0.1"), _PAIRS),
    "ipo": Variant("by IPO", ("preference.loss=ipo", "preference.beta=0.1"), _PAIRS),
    "orpo": Variant("by ORPO", ("preference.loss=orpo", "preference.beta=0.1"), _PAIRS),
    "simpo_grpo": Variant(
        "calibrated by SimPO, then reinforced", ("preference.loss=simpo",), ("calibrate", "grpo")
    ),
    "rejection": Variant(
        "sft on its own right replies, for as many written tokens as the search", steps=("reject",)
    ),
}


@dataclass
class TrainedVariant:
    """Each variant's last checkpoint, and why others have none."""

    cards: dict[str, Card] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def train_variants(
    names: Sequence[str],
    preset: str,
    seed: int,
    out: Path,
    changes: Sequence[str] = (),
    base: str = "",
) -> TrainedVariant:
    """Train the variants in one registry, or what is left of them, each tagged `calibration-NAME`.

    changes: overrides of the preset's calibrate, for all losses alike. base: as in `train_chain`.
    BadInput for an unknown variant or preset. A variant without a pair or a right reply is told,
    and the others go on.
    """
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise BadInput(f"no variant {unknown[0]!r}; the variants are {', '.join(VARIANTS)}")
    known_preset(preset)
    console, paths = Console(stderr=True), Paths(out)
    cards = train_chain(preset, seed, paths, console, {"align": (), "sft": ()}, base)
    study = _Study(preset, seed, paths, cards["sft"], tuple(changes))
    done = TrainedVariant()
    for name in [one for one in VARIANTS if one in names or not names]:
        console.rule(f"{name}: {VARIANTS[name].about}", align="left")
        try:
            card = study.train(VARIANTS[name], paths.logs / name)
        except GateFailed as error:
            done.failed[name] = str(error)
            console.print(f"failed: {error}", markup=False)
            continue
        done.cards[name] = card
        Registry(paths.registry).tag(PREFIX + name, card.id)
        console.print(card.id)
    return done


@dataclass(frozen=True)
class _Study:
    """What all variants have in common."""

    preset: str
    seed: int
    paths: Paths
    start: Card
    changes: tuple[str, ...]

    def train(self, variant: Variant, logs: Path) -> Card:
        """The last checkpoint of a variant."""
        card = self.start
        for phase in variant.steps:
            parent = (f"parent={card.id}", override("run", logs))
            if phase == "calibrate":
                card = self._calibrate(*parent, *variant.loss)
            elif phase == "grpo":
                card = grpo.run(self._settings("grpo", grpo.GrpoConfig, *parent))
            else:
                card = reject.run(self._like_search(*parent))
        return card

    def _calibrate(self, *more: str) -> Card:
        kind = calibrate.CalibrateConfig
        return calibrate.run(self._settings("calibrate", kind, *self.changes, *more))

    def _like_search(self, *more: str) -> reject.RejectConfig:
        """Rejection sampling with what a search of the same settings wrote, and how."""
        simpo = self._calibrate(
            f"parent={self.start.id}",
            override("run", self.paths.logs / "simpo"),
            *VARIANTS["simpo"].loss,
        )
        given, search = simpo.config, simpo.config["search"]
        same = [f"{key}={given[key]}" for key in ("queries", "size", "holdout", "hard_fraction")]
        budget = sum(one["tokens"] for one in simpo.metrics["rounds"])
        return self._settings(
            "reject", reject.RejectConfig, *same, f"sampling.budget={budget}",
            f"sampling.temperature={search['temperature']}",
            f"sampling.max_tokens={search['completion']}", *more,
        )  # fmt: skip

    def _settings(self, phase: str, kind: type, *more: str) -> Any:
        common = (override("registry", self.paths.registry), f"seed={self.seed}", ACCEPT)
        return load_config(kind, PRESETS / self.preset / f"{phase}.yaml", [*common, *more])


# -- what came of it ------------------------------------------------------------------


def run_study(
    names: Sequence[str], preset: str, seed: int, out: Path, base: str = ""
) -> dict[str, Any]:
    """Train, evaluate and compare the variants; writes OUT/study.json and OUT/study.md.

    All of them greedily, at the same lengths, on both shipped suites: on all queries, and on
    those alone that expect several calls. The first variant is the baseline.
    """
    trained = train_variants(names, preset, seed, out, base=base)
    registry = Registry(Paths(out).registry)
    found: dict[str, Any] = {
        "variants": {name: _facts(registry, card) for name, card in trained.cards.items()},
        "failed": trained.failed,
    }
    for part, several in (("all", False), ("several", True)) if len(trained.cards) > 1 else ():
        runs = {
            name: [
                values_of(
                    registry, Contender(card.id, "none"), SUITES, QUERIES[preset], out / "eval",
                    several,
                )
            ]
            for name, card in trained.cards.items()
        }  # fmt: skip
        found[part] = standing(runs)
        if {"simpo", "rejection"} <= set(runs):  # what the same tokens buy
            pair = {name: runs[name] for name in ("rejection", "simpo")}
            found[part]["same_tokens"] = [asdict(one) for one in differences(pair, TESTED)]
    texts = {out / "study.json": json.dumps(found, indent=1) + "\n", out / "study.md": _page(found)}
    write_together(texts)
    return found


def _facts(registry: Registry, card: Card) -> dict[str, Any]:
    """What a variant's own phases cost, and what its card measured on queries kept apart."""
    lineage = registry.lineage(card.id)
    own = [one for one in lineage if one.phase in ("calibrate", "reject", "grpo")]
    rounds = [part for one in own for part in one.metrics.get("rounds", ())]
    drawn = [one.metrics["sampled"] for one in own if "sampled" in one.metrics]
    return {
        "checkpoint": card.id,
        "written": sum(part["tokens"] for part in (*rounds, *drawn)) or None,
        "search_seconds": sum(part["seconds"] for part in (*rounds, *drawn)) or None,
        "examples": sum(r["pairs"] for r in rounds) + sum(d["kept"] for d in drawn) or None,
        "seconds": sum(one.seconds for one in own),
        "notes": [note for one in own for note in one.notes],
        "held": {
            key: one.metrics[key]
            for one in own
            for key in ("before", "after", "changes")
            if key in one.metrics
        },
    }


def _page(found: Mapping[str, Any]) -> str:
    """The study in Markdown."""
    parts = ["# Variants", as_markdown(_costs(found["variants"]))]
    parts += [f"{name}: {reason}" for name, reason in found["failed"].items()]
    for part, title in (("all", "All queries"), ("several", "Queries that expect several calls")):
        if part not in found:
            continue
        parts.append(f"## {title}")
        for table in standing_tables(found[part]):
            parts += [f"### {table.title}", table.note, as_markdown(table)]
        same = {"differences": found[part].get("same_tokens", []), "changes": []}
        parts += [f"- {said}" for said in (*sentences(found[part]), *sentences(same))]
    return "\n\n".join(parts) + "\n"


def _costs(variants: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, facts in variants.items():
        cells: tuple[Cell, ...] = (
            Code(facts["checkpoint"]),
            facts["written"],
            facts["examples"],
            Seconds(facts["search_seconds"]) if facts["search_seconds"] else None,
            Seconds(facts["seconds"]) if facts["seconds"] else None,
            "; ".join(facts["notes"]) or None,
        )
        rows.append(Row(name, cells))
    columns = ("checkpoint", "tokens written", "pairs or replies", "search", "time", "notes")
    note = "A search that an earlier variant made is counted with each that used it."
    table = Table("variants", "What they cost", columns, tuple(rows), "variant", note)
    return filled(table) or table


def show_study(found: Mapping[str, Any], console: Console) -> None:
    """Print what was found."""
    console.print(as_markdown(_costs(found["variants"])), markup=False, highlight=False)
    for part, title in (("all", "all queries"), ("several", "several calls")):
        if part in found:
            console.rule(title, align="left")
            show(found[part], console)
            same = {"differences": found[part].get("same_tokens", []), "changes": []}
            for said in sentences(same):
                console.print(f"- {said}", markup=False, highlight=False)
