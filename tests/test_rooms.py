"""Rooms: imports point to rooms listed before; docs/architecture.md shows what the imports do."""

import ast
import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (  # from the ground up; a module of tinr/ itself is a room of its own
    "tinr",  # its __init__ holds the version and nothing else
    "tinr.records",
    "tinr.config",
    "tinr.files",
    "tinr.distributed",
    "tinr.machine_speed",
    "tinr.progress",
    "tinr.run_log",
    "tinr.config_files",
    "tinr.command",
    "tinr.catalogue",
    "tinr.chat",
    "tinr.checkpoints",
    "tinr.rollout",
    "tinr.data",
    "tinr.evaluation",
    "tinr.training",
    "tinr.planning",
    "phases",
    "tinr.chain",
    "tinr.studies",
    "tinr.serve",
    "tinr.cli",
)
LEVEL = {room: level for level, room in enumerate(ROOMS)}
MODULES_OF_A_FOLDER = 17  # at most
OWNERS = {  # who alone may import a library
    "trl": {
        "tinr.training.supervised",
        "tinr.training.grpo",
        "tinr.training.grpo_rollout",
        "tinr.rollout.vllm",
        "tinr.training.preference.trainer",
    },
    "deepspeed": {"tinr.distributed"},
    "peft": {"tinr.training.adapters"},
    "llguidance": {"tinr.rollout.grammar"},
    "wandb": {"tinr.run_log", "tinr.cli.panels"},
    "wandb_workspaces": {"tinr.cli.panels"},
    "starlette": {"tinr.serve"},
    "uvicorn": {"tinr.serve"},
    "matplotlib": {"tinr.evaluation.report", "tinr.studies"},
}
WITHOUT_TORCH = (  # not even through what they import
    "tinr.records",
    "tinr.config",
    "tinr.config_files",
    "tinr.files",
    "tinr.catalogue",
    "tinr.chat",
    "tinr.rollout.tools",
    "tinr.rollout.scoring",
    "tinr.evaluation.errors",
    "tinr.evaluation.metrics",
    "tinr.evaluation.intervals",
    "tinr.evaluation.suites",
    "tinr.evaluation.bfcl_export",
    "tool_corpora",
)
Modules = Mapping[str, set[str]]  # name -> names of the modules it imports


def within(module: str, places: Iterable[str]) -> bool:
    """Whether a module is one of the places, or lies in one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def room_of(module: str) -> str:
    """`tinr.checkpoints.card` is of room `tinr.checkpoints`."""
    return ".".join(module.split(".")[: 2 if module.startswith("tinr.") else 1])


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


def module_files() -> dict[str, Path]:
    """Every module of tinr, phases and tool_corpora with its file."""
    files: dict[str, Path] = {}
    for package in ("tinr", "phases", "tool_corpora"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def read_modules() -> dict[str, set[str]]:
    """The imports of every module."""
    files = module_files()
    return {
        name: imported(path.read_text("utf-8"), name, path.name == "__init__.py", files)
        for name, path in files.items()
    }


def faults(modules: Modules) -> list[str]:
    """Every import against the rules, in words."""
    own = [fault for name in modules for fault in faults_of(name, modules[name])]
    return own + torch_below(modules) + circles(modules)


def faults_of(module: str, imports: set[str]) -> list[str]:
    """The faults of one module's own imports."""
    room = room_of(module)
    if room not in LEVEL and room != "tool_corpora":
        return [f"{module} is in no room; give {room} a place in ROOMS and in the picture"]
    found = []
    for name in sorted(imports):
        other, package = room_of(name), name.split(".")[0]
        if package == "tests":
            found.append(f"{module} imports {name}; nothing imports tests")
        if package in OWNERS and not within(module, OWNERS[package]):
            found.append(f"{module} imports {name}; only {sorted(OWNERS[package])} may")
        if room == "tool_corpora":
            if package in ("tinr", "phases") and name != "tinr.records":
                found.append(f"{module} imports {name}; a corpus may import tinr.records alone")
        elif package in ("tinr", "phases") and LEVEL.get(other, 99) > LEVEL[room]:
            found.append(f"{module} imports {name}, which lies above it")
    return found


def torch_below(modules: Modules) -> list[str]:
    """Paths by which a module WITHOUT_TORCH comes to import it."""
    found = []
    for start in modules:
        if not within(start, WITHOUT_TORCH):
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


def circles(modules: Modules) -> list[str]:
    """Modules that import each other, by whatever way, one line for each way back."""
    found: list[str] = []
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append("circle: " + " imports ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(modules.get(name, set()) & set(modules)):
                walk(other, (*path, name))
            done.add(name)

    for name in modules:
        walk(name, ())
    return found


def test_imports_obey_the_rooms() -> None:
    modules = read_modules()
    assert {"tinr.records", "tinr.catalogue.load", "tool_corpora.kit"} <= set(modules)
    assert "tinr.catalogue.checks" in modules["tinr.catalogue.load"]
    assert not faults(modules), "\n".join(faults(modules))


BROKEN = {
    "upwards": ({"tinr.chat.codec": {"tinr.checkpoints.model"}}, "which lies above it"),
    "from below phases": ({"tinr.training.loop": {"phases.align"}}, "imports phases.align"),
    "a room without a place": ({"tinr.helpers": set()}, "tinr.helpers is in no room"),
    "to a room without a place": ({"tinr.training.loop": {"tinr.helpers"}}, "tinr.helpers"),
    "tests": ({"tinr.training.loop": {"tests.conftest"}}, "nothing imports tests"),
    "trl elsewhere": ({"phases.sft": {"trl"}}, "imports trl"),
    "deepspeed elsewhere": ({"tinr.checkpoints.model": {"deepspeed.ops"}}, "imports deepspeed.ops"),
    "matplotlib elsewhere": ({"tinr.evaluation.recall": {"matplotlib.figure"}}, "matplotlib"),
    "wandb elsewhere": ({"tinr.training.phase_run": {"wandb"}}, "imports wandb"),
    "dashboards elsewhere": ({"tinr.run_log": {"wandb_workspaces.workspaces"}}, "imports wandb_w"),
    "corpus to catalogue": ({"tool_corpora.kit": {"tinr.catalogue.load"}}, "tinr.records alone"),
    "torch below": ({"tinr.rollout.scoring.rewards": {"torch.nn"}}, "rewards imports torch"),
    "torch through a corpus": (
        {"tinr.rollout.tools.executor": {"tool_corpora.kit"}, "tool_corpora.kit": {"torch"}},
        "tinr.rollout.tools.executor imports tool_corpora.kit imports torch",
    ),
    "a circle": (
        {"tinr.data.a": {"tinr.data.b"}, "tinr.data.b": {"tinr.data.a"}},
        "circle: tinr.data.a imports tinr.data.b imports tinr.data.a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_found(case: str) -> None:
    modules, words = BROKEN[case]
    assert any(words in fault for fault in faults(modules)), faults(modules)


def test_what_is_allowed_is_no_fault() -> None:
    allowed = {
        "tinr.data.alignment_examples": {"tinr.data.traces", "tinr.records", "json"},
        "tinr.catalogue.load": {"tool_corpora"},
        "tinr.checkpoints.model": {"torch", "tinr"},
        "tinr.training.grpo": {"trl", "tinr.training.supervised"},
        "tinr.distributed": {"deepspeed"},
        "tinr.run_log": {"wandb"},
        "tinr.evaluation.report.plots": {"matplotlib.figure", "tinr.run_log"},
        "tinr.cli.main": {"phases.align"},
        "phases.grpo": {"tool_corpora.suites"},
        "tool_corpora.kit": {"tinr.records", "tool_corpora.values"},
    }
    assert faults(allowed) == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import tinr.files as m, torch", {"tinr.files", "torch"}),
        ("from tinr import files", {"tinr.files"}),
        ("from tinr import __version__", {"tinr"}),
        ("from tinr.files import write_text", {"tinr.files"}),
        ("from . import card", {"tinr.checkpoints.card"}),
        ("from .card import Card", {"tinr.checkpoints.card"}),
        ("from .. import files", {"tinr.files"}),
        ("def f():\n    import torch.nn", {"torch.nn"}),
    ],
)
def test_imports_are_read_in_every_form(line: str, names: set[str]) -> None:
    known = {"tinr", "tinr.files", "tinr.checkpoints", "tinr.checkpoints.card"}
    assert imported(line, "tinr.checkpoints.registry", False, known) == names


def test_no_folder_is_crowded() -> None:
    counts: dict[str, int] = {}
    for name, path in module_files().items():
        if path.name != "__init__.py" and not name.startswith("tool_corpora"):
            folder = name.rpartition(".")[0]
            counts[folder] = counts.get(folder, 0) + 1
    crowded = {folder: count for folder, count in counts.items() if count > MODULES_OF_A_FOLDER}
    assert not crowded


def section(title: str, page: str = "architecture") -> str:
    """A section of a page of the docs."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_picture_lists_the_rooms_in_their_order() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", section("Packages"), re.M)
    listed = [
        name.rstrip("/").replace("/", ".") for row in rows for name in re.findall(r"`([^`]+)`", row)
    ]
    assert [name if name == "phases" else f"tinr.{name}" for name in listed] == list(ROOMS[1:])


def test_every_name_in_the_table_of_equations_exists() -> None:
    lines = section("Equations", "method").splitlines()
    rows = [line.split("|")[3] for line in lines if line.startswith("|")]
    names = [name for row in rows[2:] for name in re.findall(r"`([a-z][a-z_./A-Z0-9]+)`", row)]
    assert len(names) > 30
    for name in names:
        if "/" in name:
            assert (ROOT / name).is_file() or (ROOT / "tinr" / name).is_file(), name
            continue
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            prefix = "" if parts[0] == "phases" else "tinr."
            path = ROOT.joinpath(*f"{prefix}{'.'.join(parts[:cut])}".split("."))
            if path.with_suffix(".py").is_file():
                here = importlib.import_module(f"{prefix}{'.'.join(parts[:cut])}")
                for attribute in parts[cut:]:
                    here = getattr(here, attribute)
                break
        else:
            raise AssertionError(f"{name}: no such module")


def test_every_module_can_be_imported() -> None:
    """Each in any order: no two import each other (see `circles`), so one order shows all."""
    apart = (
        "tinr.rollout.tools.worker",
        "tinr.checkpoints.export.vllm_parser",
    )  # of other programs
    for name in module_files():
        if name not in apart:
            importlib.import_module(name)
