"""Rooms: imports point to lower levels only, as the picture in docs/architecture.md says."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = (
    ("records", "config", "settings", "files"),
    (
        "catalogue",
        "tokens",
        "transcript",
        "rewards",
        "metrics",
        "executor",
        "bounds",
        "worker",
        "guard",
        "english",
        "values",
        "scoring",
        "source_text",
        "accepted",
        "matching",
        "suites",
        "bfcl",
        "intervals",
        "drawing",
        "cells",
        "calibration.fragments",
        "calibration.alignment",
        "calibration.evidence",
        "calibration.judge",
        "calibration.faults",
    ),
    (
        "wording",
        "pairs",
        "traces",
        "thoughts",
        "retrieval",
        "endpoint",
        "teacher",
        "base",
        "choices",
        "curriculum",
        "intool.people",
        "intool.recipe",
        "intool.cells",
        "intool.search",
        "capacity.calibration",
        "capacity.cells",
        "capacity.presets",
        "capacity.fit",
        "ranks",
        "progress",
    ),
    (
        "model",
        "model_source",
        "optimiser",
        "prepared",
        "layers",
        "head_scores",
        "scored_rows",
        "machine_speed",
        "registry",
        "runlog",
        "sampler",
        "support",
        "constraint",
        "packing",
        "steps",
        "trainable",
    ),
    (
        "served",
        "trainer",
        "training",
        "replay",
        "policy",
        "preference",
        "rollout",
        "chat",
        "likelihood",
        "divergence",
    ),
    (
        "stage",
        "import_model",
        "query_sets",
        "own_completions",
        "bases",
        "abstention",
        "selftest",
        "evaluate",
        "compare",
        "contest",
        "standing",
        "probe",
        "knowledge",
        "ability",
        "report",
        "results",
        "serve",
        "bench",
        "dashboards",
        "calibration",
        "intool",
        "capacity",
    ),
    ("cli", "quickstart", "quickstart_time", "arms", "variants", "kills", "preflight"),
)
LEVEL = {f"tinr.{room}": level for level, rooms in enumerate(LEVELS) for room in rooms}
LEVEL |= {"tinr": 0, "phases": 6}  # tinr itself holds the version and nothing else
OWNERS = {  # who alone may import a library
    "trl": {
        "tinr.training.supervised",
        "tinr.training.grpo",
        "tinr.rollout.vllm",
        "tinr.training.preference.trainer",
    },
    "deepspeed": {"tinr.training.loop"},
    "peft": {"tinr.training.adapters"},
    "llguidance": {"tinr.rollout.grammar"},
    "wandb": {"tinr.run_log", "tinr.cli.panels"},
    "wandb_workspaces": {"tinr.cli.panels"},
    "starlette": {"tinr.serve"},
    "uvicorn": {"tinr.serve"},
    "matplotlib": {"tinr.report", "tinr.studies.plots", "tinr.bench", "tinr.capacity"},
}
MAY_IMPORT_PHASES = {
    "phases",
    "tinr.cli",
    "tinr.chain.quickstart",
    "tinr.studies.calibration",
    "tinr.studies.benchmarks.kills",
}
MAY_IMPORT_PHASES |= {"tinr.preflight", "tinr.chain.estimate"}
MAY_IMPORT_CORPORA = {"tinr.catalogue", "tinr.rollout.tools.executor"}  # below level 2
Modules = Mapping[str, set[str]]  # name -> names of the modules it imports


def room_of(module: str) -> str:
    """`tinr.checkpoints.card` is of room `tinr.registry`; a part of a room may have its own level."""
    parts = module.split(".")
    if parts[0] != "tinr":
        return parts[0]
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((name for name in prefixes if name in LEVEL), ".".join(parts[:2]))


def imported(source: str, module: str, is_package: bool, known: Iterable[str]) -> set[str]:
    """Every module that `source` imports, wherever in the file, relative names resolved."""
    known = set(known)
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                above = here[: len(here) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            inside = {f"{base}.{alias.name}" for alias in node.names} & known
            # `from package import module` imports the module; of the package only its name
            found |= inside if len(inside) == len(node.names) else inside | {base}
    return found


def read_modules() -> dict[str, set[str]]:
    """The imports of every module of tinr, phases and tool_corpora."""
    files: dict[str, Path] = {}
    for package in ("tinr", "phases", "tool_corpora"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {
        name: imported(path.read_text("utf-8"), name, path.name == "__init__.py", files)
        for name, path in files.items()
    }


def faults(modules: Modules) -> list[str]:
    """Every import against the rules, in words."""
    found = [fault for name in modules for fault in faults_of(name, modules[name])]
    return found + torch_below(modules)


def faults_of(module: str, imports: set[str]) -> list[str]:
    """The faults of one module's own imports."""
    room = room_of(module)
    if room not in LEVEL and room != "tool_corpora":
        return [f"{module} is in no level; give {room} one here and in the picture"]
    found = []
    for name in sorted(imports):
        other, package = room_of(name), name.split(".")[0]
        if package == "tests":
            found.append(f"{module} imports {name}; nothing imports tests")
        if package in OWNERS and room not in OWNERS[package]:
            found.append(f"{module} imports {name}; only {sorted(OWNERS[package])} may")
        if package == "phases" and room not in MAY_IMPORT_PHASES:
            found.append(f"{module} imports {name}; only {sorted(MAY_IMPORT_PHASES)} may")
        elif room == "tool_corpora":
            if package == "tinr" and name != "tinr.records":
                found.append(f"{module} imports {name}; a corpus may import tinr.records alone")
        elif package == "tool_corpora":
            if LEVEL[room] < 2 and room not in MAY_IMPORT_CORPORA:
                found.append(f"{module} imports {name}; below level 2 only catalogue and executor")
        elif package in ("tinr", "phases") and LEVEL.get(other, 99) > LEVEL[room]:
            found.append(
                f"{module} (level {LEVEL[room]}) imports {name} (level {LEVEL.get(other)})"
            )
    return found


def torch_below(modules: Modules) -> list[str]:
    """Paths by which a module of levels 0 and 1 comes to import torch."""
    found = []
    for start in modules:
        if LEVEL.get(room_of(start), 99) > 1:
            continue
        paths, seen = [(start,)], {start}
        while paths:
            path = paths.pop()
            for name in sorted(modules.get(path[-1], ())):
                if name.split(".")[0] == "torch":
                    found.append(f"{' imports '.join(path)} imports torch")
                elif name in modules and name not in seen:
                    seen.add(name)
                    paths.append((*path, name))
    return found


def test_imports_obey_the_levels() -> None:
    modules = read_modules()
    assert {"tinr.records", "tinr.catalogue.load", "tool_corpora.kit"} <= set(modules)
    assert "tinr.catalogue.checks" in modules["tinr.catalogue.load"]
    assert not faults(modules), "\n".join(faults(modules))


BROKEN = {
    "upwards": (
        {"tinr.chat.codec": {"tinr.checkpoints.model"}},
        "tinr.chat.codec (level 1) imports tinr.checkpoints.model",
    ),
    "from below phases": ({"tinr.training.phase_run": {"phases.align"}}, "imports phases.align"),
    "a room without a level": ({"tinr.helpers": set()}, "tinr.helpers is in no level"),
    "to a room without a level": (
        {"tinr.training.phase_run": {"tinr.helpers"}},
        "imports tinr.helpers",
    ),
    "tests": ({"tinr.training.phase_run": {"tests.conftest"}}, "nothing imports tests"),
    "trl elsewhere": ({"phases.sft": {"trl"}}, "imports trl"),
    "deepspeed elsewhere": ({"tinr.checkpoints.model": {"deepspeed.ops"}}, "imports deepspeed.ops"),
    "matplotlib elsewhere": (
        {"tinr.evaluation.recall": {"matplotlib.figure"}},
        "imports matplotlib",
    ),
    "wandb elsewhere": ({"tinr.training.phase_run": {"wandb"}}, "imports wandb"),
    "dashboards elsewhere": ({"tinr.run_log": {"wandb_workspaces.workspaces"}}, "imports wandb_w"),
    "corpus to catalogue": ({"tool_corpora.kit": {"tinr.catalogue"}}, "tinr.records alone"),
    "low room to corpus": (
        {"tinr.rollout.scoring.rewards": {"tool_corpora"}},
        "only catalogue and executor",
    ),
    "torch below": (
        {"tinr.rollout.scoring.rewards": {"torch.nn"}},
        "tinr.rollout.scoring.rewards imports torch",
    ),
    "torch through a corpus": (
        {"tinr.rollout.tools.executor": {"tool_corpora.kit"}, "tool_corpora.kit": {"torch"}},
        "tinr.rollout.tools.executor imports tool_corpora.kit imports torch",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_found(case: str) -> None:
    modules, words = BROKEN[case]
    assert any(words in fault for fault in faults(modules)), faults(modules)


def test_what_is_allowed_is_no_fault() -> None:
    allowed = {
        "tinr.data.alignment_examples": {
            "tinr.data.traces",
            "tinr.records",
            "tool_corpora",
            "json",
        },
        "tinr.catalogue.load": {"tool_corpora"},
        "tinr.checkpoints.model": {"torch", "tinr"},
        "tinr.training.grpo": {"trl", "tinr.training.supervised"},
        "tinr.training.loop": {"deepspeed"},
        "tinr.run_log": {"wandb"},
        "tinr.evaluation.report.plots": {
            "matplotlib.figure",
            "tinr.evaluation.report.curves",
            "tinr.run_log",
        },
        "tinr.cli.main": {"phases.align"},
        "phases.grpo": {"phases.sft", "tool_corpora.suites"},
        "tool_corpora.kit": {"tinr.records", "tool_corpora.values"},
    }
    assert faults(allowed) == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import tinr.checkpoints.model as m, torch", {"tinr.checkpoints.model", "torch"}),
        ("from tinr import model", {"tinr.checkpoints.model"}),
        ("from tinr import __version__", {"tinr"}),
        ("from tinr.checkpoints.model import load", {"tinr.checkpoints.model"}),
        ("from . import card", {"tinr.checkpoints.card"}),
        ("from .card import Card", {"tinr.checkpoints.card"}),
        ("from ..model import load", {"tinr.checkpoints.model"}),
        ("def f():\n    import torch.nn", {"torch.nn"}),
    ],
)
def test_imports_are_read_in_every_form(line: str, names: set[str]) -> None:
    known = {
        "tinr",
        "tinr.checkpoints.model",
        "tinr.registry",
        "tinr.checkpoints.card",
        "tinr.checkpoints.registry",
    }
    assert imported(line, "tinr.checkpoints.registry", False, known) == names


def test_a_phase_is_short_enough_to_be_read():
    """The method stands in them, each under 200 lines."""
    lines = {
        path.name: len(path.read_text().splitlines()) for path in (ROOT / "phases").glob("*.py")
    }
    assert len(lines) > 5 and max(lines.values()) < 200, lines
