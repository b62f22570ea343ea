"""Train and measure the arms on real tools, one cell (arm, N, seed) at a time.

Each cell writes one small file of verdicts. A file with the same settings is reused, and so are
finished checkpoints. `tinr compare` pools the files of cells from different days and machines.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tinr
from phases import align, sft
from tinr.catalogue.load import query_line, write_jsonl
from tinr.catalogue.retrieval import DocumentsConfig
from tinr.chain.quickstart import PRESETS_FOLDER
from tinr.checkpoints.card import Card
from tinr.checkpoints.import_model import named_base
from tinr.checkpoints.open import open_checkpoint, open_model
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config, override
from tinr.evaluation.bfcl_export import write_results
from tinr.evaluation.contenders import trained_prompt
from tinr.evaluation.evaluate import SuiteResult, costs, evaluate, write_replies
from tinr.evaluation.suites import Suite
from tinr.evaluation.verdicts import read_verdicts, write_verdicts
from tinr.files import make_folder, write_text
from tinr.records import BadInput
from tinr.rollout.tools.executor import Executor
from tinr.studies.real.arms import ARMS, CHAINS, DENSE, SHOWN
from tinr.studies.real.official import OFFICIAL
from tinr.studies.real.selection import RealSet, choose
from tinr.studies.real.untuned import ask_untuned

PHASES = {"align": (align.run, align.AlignConfig), "sft": (sft.run, sft.SftConfig)}
EPOCHS = 3  # over the training questions, for every arm


@dataclass(frozen=True)
class Cell:
    """One arm with one seed on N tools of a suite."""

    suite: str
    tools: int
    seed: int
    arm: str
    offered: bool = False  # a grammar limits replies to the tools that the question's source offers

    @property
    def contender(self) -> str:
        """The name under which its verdicts are compared."""
        return f"{self.arm}-offered" if self.offered else self.arm

    @property
    def name(self) -> str:
        """The name of its file of verdicts."""
        return f"{self.suite}-{self.tools}-{self.contender}-s{self.seed}"


@dataclass(frozen=True)
class Place:
    """Folders and settings; OUT has a registry, the chosen sets, and the replies of each cell."""

    out: Path
    results: Path  # folder of the files of verdicts
    base: str = "smollm2"
    retriever: str = ""  # a sentence-transformers model, for the arm `dense`
    preset: str = "quickstart"
    changes: Sequence[str] = ()  # PHASE.KEY=VALUE, for every arm with this phase

    def verdicts(self, cell: Cell) -> Path:
        """The file of a cell's verdicts."""
        return self.results / f"{cell.name}.jsonl"


def run_cell(cell: Cell, suite: Suite, place: Place) -> Path:
    """Train missing checkpoints, evaluate, and write the verdicts; returns their file.

    BadInput for an unknown arm, for `dense` without a retriever, for an invalid change, or for
    verdicts that were measured with other settings.
    """
    check(cell, place)
    path = place.verdicts(cell)
    chosen = choose(suite, cell.tools)
    settings = _settings(cell, chosen, place)
    if path.is_file():
        earlier = read_verdicts(path).facts.get("settings")
        if earlier != settings:
            raise BadInput(
                f"{path}: measured with other settings ({_difference(earlier, settings)}); remove "
                "it, or give another --results"
            )
        return path
    folder = write_set(place.out / f"{cell.suite}-{cell.tools}", chosen)
    registry = Registry(place.out / "registry")
    card = _trained(cell, folder, registry, place)
    result = _asked(cell, chosen, registry, card, place)
    replies = place.out / "replies" / cell.name
    make_folder(replies)
    write_replies(replies, result, chosen.catalogue.by_name)
    if suite.name == "bfcl":
        names = {kept: suite.source_names.get(doc, doc) for doc, kept in chosen.versions.items()}
        pairs = [(conversation.query, conversation.reply) for conversation in result.done]
        write_results(place.out / OFFICIAL / cell.name, pairs, chosen.catalogue.by_name, names)
    lineage = registry.lineage(card.id)
    facts = {
        "settings": settings,
        "checkpoint": card.id,
        "version": tinr.__version__,
        "suite": cell.suite,
        "tools": cell.tools,
        "documents": result.documents,
        "cost": costs(result),
        "training": {
            one.phase: {"tokens": one.tokens, "seconds": round(one.seconds)} for one in lineage
        },
        "hardware": {key: card.hardware.get(key) for key in ("cpu", "cores", "accelerators")},
        "trained_on": sorted(query.id for query in chosen.train),
    }
    make_folder(place.results)
    seed = cell.seed if ARMS[cell.arm].chain else None  # the untuned base has none
    write_verdicts(path, result, arm=cell.contender, seed=seed, facts=facts)
    return path


def _settings(cell: Cell, chosen: RealSet, place: Place) -> dict[str, Any]:
    """The settings that determine a cell's verdicts, besides its name."""
    questions = json.dumps([query_line(query) for query in (*chosen.train, *chosen.test)])
    return {
        "base": place.base,
        "preset": place.preset,
        "changes": list(place.changes),
        "epochs": EPOCHS,
        "chain": {k: list(v) for k, v in CHAINS.get(ARMS[cell.arm].chain, {}).items()},
        "retriever": Path(place.retriever).name if cell.arm == DENSE else "",
        "catalogue": chosen.catalogue.hash[:12],
        "questions": hashlib.sha256(questions.encode()).hexdigest()[:12],
    }


def _difference(earlier: Any, settings: dict[str, Any]) -> str:
    known = earlier if isinstance(earlier, dict) else {}
    return ", ".join(key for key, value in settings.items() if known.get(key) != value)


def check(cell: Cell, place: Place) -> None:
    """Raise BadInput for a cell that cannot be run."""
    if cell.arm not in ARMS:
        raise BadInput(f"no arm {cell.arm!r}; the arms are {', '.join(ARMS)}")
    if cell.arm == DENSE and not place.retriever:
        raise BadInput("arm dense: give --retriever, a sentence-transformers model")
    for change in place.changes:
        key, _, value = change.partition("=")
        phase, _, setting = key.partition(".")
        if phase not in PHASES or not setting or not value:
            raise BadInput(
                f"--change {change}: write PHASE.KEY=VALUE with a phase of {', '.join(PHASES)}"
            )
        own = CHAINS.get(ARMS[cell.arm].chain, {}).get(phase, ())
        if any(override.partition("=")[0] == setting for override in own):
            raise BadInput(f"--change {change}: arm {cell.arm} sets {setting} itself")


def write_set(folder: Path, chosen: RealSet) -> Path:
    """Write the tools, the training and test questions, and `offered`; returns the folder."""
    make_folder(folder / "tools")
    write_jsonl(folder / "tools" / "tools.jsonl", map(asdict, chosen.catalogue.tools))
    write_jsonl(folder / "train.jsonl", map(query_line, chosen.train))
    write_jsonl(folder / "test.jsonl", map(query_line, chosen.test))
    write_text(folder / "offered.json", json.dumps(dict(chosen.offered), indent=1) + "\n")
    return folder


def _trained(cell: Cell, folder: Path, registry: Registry, place: Place) -> Card:
    """The last checkpoint of the arm's chain; the base for an arm without a chain."""
    card = named_base(place.base, registry)
    chain = CHAINS.get(ARMS[cell.arm].chain, {})
    for phase, overrides in chain.items():
        run, kind = PHASES[phase]
        settings = [
            override("registry", registry.root),
            override("run", place.out / "logs" / cell.name),
            f"seed={cell.seed}",
            f"parent={card.id}",
            *_data(phase, folder, "align" in chain),
            *(c.removeprefix(f"{phase}.") for c in place.changes if c.startswith(f"{phase}.")),
            *overrides,
        ]
        config: Any = load_config(kind, PRESETS_FOLDER / place.preset / f"{phase}.yaml", settings)
        card = run(config)
    return card


def _data(phase: str, folder: Path, is_aligned: bool) -> list[str]:
    catalogue = f"catalogue={json.dumps([str(folder / 'tools')])}"
    if phase == "align":
        return [catalogue]
    questions = [override("queries", folder / "train.jsonl"), f"epochs={EPOCHS}"]
    return questions if is_aligned else [*questions, catalogue]


def _asked(
    cell: Cell, chosen: RealSet, registry: Registry, card: Card, place: Place
) -> SuiteResult:
    arm = ARMS[cell.arm]
    offered = chosen.offered if cell.offered else None
    if not arm.chain:
        model, codec = open_model(registry.open(card.id)[1])
        shown = DocumentsConfig(candidates=1 if offered else SHOWN)
        # a grammar needs tags, which the base does not write: show only the offered documents
        test = [replace(query, tools=(offered or {}).get(query.id, ())) for query in chosen.test]
        return ask_untuned(model, codec, test, chosen.catalogue, shown)
    _, model, codec, catalogue = open_checkpoint(registry, card.id)
    prompt = replace(trained_prompt(card), **arm.prompt)
    if cell.arm == DENSE:
        prompt = replace(prompt, retriever=place.retriever)
    with Executor(catalogue, {}) as executor:
        return evaluate(
            model, codec, chosen.test, catalogue, executor, arm.documents,
            prompt=prompt, title=cell.name, offered=offered,
        )  # fmt: skip
