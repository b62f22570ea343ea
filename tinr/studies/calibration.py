"""The arms of the calibration study: ways to continue the training of one sft policy.

All arms start from the same sft checkpoint of a run's registry. The four losses train on the pairs
of one search. Rejection sampling generates as many tokens as that search, at its temperature and
length, on the same queries. Published checkpoints are reused. A failed gate is noted in the card
and does not stop the run, because an arm that forgets is a result.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from phases import calibrate, grpo, reject
from tinr.chain.quickstart import PRESETS_FOLDER, Paths, known_preset, train_chain
from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config, override
from tinr.evaluation.comparison import differences
from tinr.evaluation.contenders import Contender, phrasings_of, values_of
from tinr.evaluation.report.tables import Cell, Code, Row, Seconds, Table, as_markdown, filled
from tinr.evaluation.standing import TESTED, sentences, show, standing, standing_tables
from tinr.files import write_together
from tinr.records import BadInput, RunFailed
from tinr.run_log import GATES
from tool_corpora.suites import SUITES

PREFIX = "calibration-"  # of the tags
QUERIES = {"quickstart": 250, "smoke": 24}  # evaluation queries per split
ACCEPT = f"accept=[{', '.join(GATES)}]"


@dataclass(frozen=True)
class CalibrationArm:
    """One arm: the phases after sft and the preference loss; `about` describes it in words."""

    about: str
    loss: tuple[str, ...] = ()  # settings of calibrate
    steps: tuple[str, ...] = ()  # phases after sft, in order


_PAIRS = ("calibrate",)
CALIBRATION_ARMS: Mapping[str, CalibrationArm] = {
    "sft": CalibrationArm("the policy that all others start from"),
    "grpo": CalibrationArm("GRPO, no calibration", steps=("grpo",)),
    "simpo": CalibrationArm("calibrated with SimPO", ("preference.loss=simpo",), _PAIRS),
    "dpo": CalibrationArm("with DPO", ("preference.loss=dpo", "preference.beta=0.1"), _PAIRS),
    "ipo": CalibrationArm("with IPO", ("preference.loss=ipo", "preference.beta=0.1"), _PAIRS),
    "orpo": CalibrationArm("with ORPO", ("preference.loss=orpo", "preference.beta=0.1"), _PAIRS),
    "simpo_grpo": CalibrationArm(
        "calibrated with SimPO, then GRPO", ("preference.loss=simpo",), ("calibrate", "grpo")
    ),
    "rejection": CalibrationArm(
        "sft on its own correct replies, with the search's number of tokens", steps=("reject",)
    ),
}


@dataclass
class TrainedArms:
    """The last checkpoint of each arm that succeeded, and why the others failed."""

    cards: dict[str, Card] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def train_arms(
    names: Sequence[str],
    preset: str,
    seed: int,
    out: Path,
    changes: Sequence[str] = (),
    base: str = "",
) -> TrainedArms:
    """Train the missing arms in one registry; each is tagged `calibration-NAME`.

    changes: overrides of the preset's calibrate settings, for all losses. base: as in
    `train_chain`. BadInput for an unknown arm or preset. An arm without a pair or a correct reply
    is reported as failed, and the others continue.
    """
    unknown_names = [name for name in names if name not in CALIBRATION_ARMS]
    if unknown_names:
        raise BadInput(f"no arm {unknown_names[0]!r}; the arms are {', '.join(CALIBRATION_ARMS)}")
    known_preset(preset)
    console, paths = Console(stderr=True), Paths(out)
    cards = train_chain(preset, seed, paths, console, {"align": (), "sft": ()}, base)
    study = _Study(preset, seed, paths, cards["sft"], tuple(changes))
    results = TrainedArms()
    for name in [arm for arm in CALIBRATION_ARMS if arm in names or not names]:
        console.rule(f"{name}: {CALIBRATION_ARMS[name].about}", align="left")
        try:
            card = study.train(CALIBRATION_ARMS[name], paths.logs / name)
        except RunFailed as error:
            results.failed[name] = str(error)
            console.print(f"failed: {error}", markup=False)
            continue
        results.cards[name] = card
        Registry(paths.registry).tag(PREFIX + name, card.id)
        console.print(card.id)
    return results


@dataclass(frozen=True)
class _Study:
    """The settings and the start that all arms share."""

    preset: str
    seed: int
    paths: Paths
    start: Card
    changes: tuple[str, ...]

    def train(self, arm: CalibrationArm, logs: Path) -> Card:
        """Run the phases of an arm; returns its last checkpoint."""
        card = self.start
        for phase in arm.steps:
            parent = (f"parent={card.id}", override("run", logs))
            if phase == "calibrate":
                card = self._calibrate(*parent, *arm.loss)
            elif phase == "grpo":
                card = grpo.run(self._settings("grpo", grpo.GrpoConfig, *parent))
            else:
                card = reject.run(self._reject_config(*parent))
        return card

    def _calibrate(self, *settings: str) -> Card:
        kind = calibrate.CalibrateConfig
        return calibrate.run(self._settings("calibrate", kind, *self.changes, *settings))

    def _reject_config(self, *settings: str) -> reject.RejectConfig:
        """Config of rejection sampling: token budget, temperature and length of SimPO's search."""
        simpo = self._calibrate(
            f"parent={self.start.id}",
            override("run", self.paths.logs / "simpo"),
            *CALIBRATION_ARMS["simpo"].loss,
        )
        config, search = simpo.config, simpo.config["search"]
        shared_settings = [
            f"{key}={config[key]}" for key in ("queries", "size", "holdout", "hard_fraction")
        ]
        budget = sum(round_metrics["tokens"] for round_metrics in simpo.metrics["rounds"])
        return self._settings(
            "reject", reject.RejectConfig, *shared_settings, f"sampling.budget={budget}",
            f"sampling.temperature={search['temperature']}",
            f"sampling.max_tokens={search['completion']}", *settings,
        )  # fmt: skip

    def _settings(self, phase: str, kind: type, *settings: str) -> Any:
        run_settings = (override("registry", self.paths.registry), f"seed={self.seed}", ACCEPT)
        return load_config(
            kind, PRESETS_FOLDER / self.preset / f"{phase}.yaml", [*run_settings, *settings]
        )


# -- results --------------------------------------------------------------------------


def run_study(
    names: Sequence[str], preset: str, seed: int, out: Path, base: str = ""
) -> dict[str, Any]:
    """Train, evaluate and compare the arms; writes OUT/study.json and OUT/study.md.

    All arms decode greedily, at the same lengths, on both shipped suites: on all queries, and on
    only those that expect several calls. The first arm is the baseline.
    """
    results = train_arms(names, preset, seed, out, base=base)
    registry = Registry(Paths(out).registry)
    study: dict[str, Any] = {
        "arms": {name: _facts(registry, card) for name, card in results.cards.items()},
        "failed": results.failed,
    }
    for subset, several_calls in (
        (("all", False), ("several", True)) if len(results.cards) > 1 else ()
    ):
        runs = {
            name: [
                values_of(
                    registry, Contender(card.id, "none"), SUITES, QUERIES[preset], out / "eval",
                    several_calls,
                )
            ]
            for name, card in results.cards.items()
        }  # fmt: skip
        phrasings = phrasings_of(
            registry, next(iter(results.cards.values())).id, SUITES, QUERIES[preset]
        )
        study[subset] = standing(runs, phrasings)
        if {"simpo", "rejection"} <= set(runs):  # compared at an equal number of tokens
            pair = {name: runs[name] for name in ("rejection", "simpo")}
            study[subset]["same_tokens"] = [
                asdict(difference) for difference in differences(pair, TESTED, phrasings)
            ]
    texts = {out / "study.json": json.dumps(study, indent=1) + "\n", out / "study.md": _page(study)}
    write_together(texts)
    return study


def _facts(registry: Registry, card: Card) -> dict[str, Any]:
    """The cost of an arm's own phases, and the held-out measurements on their cards."""
    lineage = registry.lineage(card.id)
    own_cards = [
        own_card for own_card in lineage if own_card.phase in ("calibrate", "reject", "grpo")
    ]
    rounds = [
        search_round
        for own_card in own_cards
        for search_round in own_card.metrics.get("rounds", ())
    ]
    samplings = [
        own_card.metrics["sampled"] for own_card in own_cards if "sampled" in own_card.metrics
    ]
    return {
        "checkpoint": card.id,
        "written": sum(search["tokens"] for search in (*rounds, *samplings)) or None,
        "search_seconds": sum(search["seconds"] for search in (*rounds, *samplings)) or None,
        "examples": sum(r["pairs"] for r in rounds)
        + sum(sampling["kept"] for sampling in samplings)
        or None,
        "seconds": sum(own_card.seconds for own_card in own_cards),
        "notes": [note for own_card in own_cards for note in own_card.notes],
        "held": {
            key: own_card.metrics[key]
            for own_card in own_cards
            for key in ("before", "after", "changes")
            if key in own_card.metrics
        },
    }


def _page(study: Mapping[str, Any]) -> str:
    """The study in Markdown."""
    paragraphs = ["# Arms", as_markdown(_costs(study["arms"]))]
    paragraphs += [f"{name}: {reason}" for name, reason in study["failed"].items()]
    for subset, title in (("all", "All queries"), ("several", "Queries that expect several calls")):
        if subset not in study:
            continue
        paragraphs.append(f"## {title}")
        for table in standing_tables(study[subset]):
            paragraphs += [f"### {table.title}", table.note, as_markdown(table)]
        same_tokens = {"differences": study[subset].get("same_tokens", []), "changes": []}
        paragraphs += [
            f"- {sentence}" for sentence in (*sentences(study[subset]), *sentences(same_tokens))
        ]
    return "\n\n".join(paragraphs) + "\n"


def _costs(arms: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, facts in arms.items():
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
    note = "A shared search counts in the cost of each arm that used it."
    table = Table("arms", "Cost", columns, tuple(rows), "arm", note)
    return filled(table) or table


def show_study(study: Mapping[str, Any], console: Console) -> None:
    """Print the study."""
    console.print(as_markdown(_costs(study["arms"])), markup=False, highlight=False)
    for subset, title in (("all", "all queries"), ("several", "several calls")):
        if subset in study:
            console.rule(title, align="left")
            show(study[subset], console)
            same_tokens = {"differences": study[subset].get("same_tokens", []), "changes": []}
            for sentence in sentences(same_tokens):
                console.print(f"- {sentence}", markup=False, highlight=False)
