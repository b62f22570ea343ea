"""The phases, `tinr base` and `tinr update` as commands of the program."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tinr.cli.options import REGISTRY, RegistryFolder
from tinr.command import (
    AsJson,
    ConfigFiles,
    Overrides,
    Recipe,
    phase_command,
    run_phase,
    show_card,
)
from tinr.records import BadInput

SUMMARIES = {
    "align": "Phase 1: train the documents of a catalogue into the weights, in both directions.",
    "sft": "Phase 2: supervised warm-up on reasoning traces.",
    "grpo": "Phase 3: reinforcement learning with format, tool and answer rewards.",
    "calibrate": "Optional, after sft or grpo: training on preference pairs of fragments (iTool).",
    "reject": "Optional, after sft or grpo: sft on the policy's own right replies.",
}


def register(app: typer.Typer) -> None:
    """Add the phases, `base` and `update` to the program."""
    for name, summary in SUMMARIES.items():
        example = (
            f"Example: tinr {name} --config FILE seed=1 (tinr {name} --settings lists all settings)"
        )
        command = phase_command(partial(recipe_of, name))
        app.command(name, help=f"{summary}\n\n{example}")(command)
    app.command("base")(base)
    app.command("update")(update)


def recipe_of(name: str) -> Recipe:
    """Import a phase and return its configuration class and its `run`."""
    module = import_module(f"phases.{name}")
    return getattr(module, f"{name.capitalize()}Config"), module.run


def base(
    preset: Annotated[str, typer.Option(help="Small model from scratch, for tests: tiny.")] = "",
    model: Annotated[
        str, typer.Option(help="smollm2, a GGUF file, a model folder or a hub name.")
    ] = "",
    registry: Annotated[Path, typer.Option(help="Checkpoint registry.")] = Path("runs/registry"),
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Publish a base: a pretrained causal language model, or a small one from scratch.

    Example: tinr base --model smollm2
    Example: tinr base --model Qwen/Qwen2.5-1.5B-Instruct
    Example: tinr base --preset tiny seed=1
    """
    from phases.base import BaseConfig, build_base
    from tinr.checkpoints.import_model import import_base
    from tinr.checkpoints.registry import Registry
    from tinr.config_files import load_config, override

    if bool(preset) == bool(model):
        raise BadInput(
            "base: give either --model smollm2|FILE.gguf|FOLDER|HUB-NAME or --preset tiny"
        )
    if model:
        if overrides:
            raise BadInput(f"base: {overrides[0]} has no meaning with --model; leave it out")
        show_card(import_base(model, Registry(registry)), as_json)
        return
    if preset != "tiny":
        raise BadInput(f"--preset {preset}: unknown; the only one is tiny")
    config = load_config(BaseConfig, None, [override("registry", registry), *(overrides or [])])
    show_card(build_base(config), as_json)


def update(
    checkpoint: Annotated[str, typer.Option(help="What to update: id, tag or phase@latest.")],
    catalogue: Annotated[list[str], typer.Option(help="Folder of the new catalogue; repeatable.")],
    replaces: Annotated[
        list[str] | None,
        typer.Option(help="The catalogue that it replaces, if the checkpoint has other tools too."),
    ] = None,
    adapters: Annotated[
        bool,
        typer.Option("--adapters", help="Train adapters at once, for one added tool too."),
    ] = False,
    full_gate: Annotated[
        bool,
        typer.Option("--full-gate", help="Measure every tool, not only neighbours and a sample."),
    ] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Delete removed tools from the vocabulary.")
    ] = False,
    registry: RegistryFolder = REGISTRY,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Update a checkpoint for a catalogue with added, removed, renamed or changed tools.

    For one or two added tools it trains only their rows, and adapters (LoRA in the layers) if these
    do not pass the checks. For more added tools or a changed document it trains adapters at once.
    It publishes a child.

    Example: tinr update --checkpoint sft@latest --catalogue tools/
    """
    from tinr.config_files import override

    settings = [
        override("parent", checkpoint),
        f"catalogue={json.dumps(catalogue)}",
        f"replaces={json.dumps(replaces or [])}",
        override("registry", registry),
        *(["train=adapters"] if adapters else []),
        f"full_gate={str(full_gate).lower()}",
        f"compact={str(compact).lower()}",
    ]
    run_phase(*recipe_of("update"), config or [], [*settings, *(overrides or [])], as_json)
