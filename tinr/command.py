"""Phases from the command line: `tinr align`, and `python -m phases.align` alike."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tinr.records import BadInput

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings that win over the file."),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", help="YAML file of what differs; repeatable, the last one wins."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the card as JSON.")]
ShowSettings = Annotated[
    bool, typer.Option("--settings", help="Print every setting: default, unit, meaning.")
]
PHASES = {
    "align": "Phase 1: put the documents of a catalogue into the weights, both ways.",
    "sft": "Phase 2: supervised warm-up on reasoning traces.",
    "grpo": "Phase 3: reinforcement with format, tool and answer rewards.",
    "calibrate": "Optional, after sft or grpo: preference pairs of fragments (iTool).",
    "reject": "Optional, after sft or grpo: sft on the policy's own right replies.",
}


def register(app: typer.Typer) -> None:
    """Add the phases and `base` to the program."""
    for name, about in PHASES.items():
        example = f"Example: tinr {name} --config FILE seed=1 (tinr {name} --settings lists all)"
        app.command(name, help=f"{about}\n\n{example}")(phase_command(name))
    app.command("base")(base)


def phase_command(name: str) -> Callable[..., None]:
    """The command of a phase."""

    def command(
        config: ConfigFiles = None,
        overrides: Overrides = None,
        show_settings: ShowSettings = False,
        as_json: AsJson = False,
    ) -> None:
        module = import_module(f"phases.{name}")
        settings = getattr(module, f"{name.capitalize()}Config")
        if show_settings:
            from tinr.settings import described

            print(described(settings), end="")
            return
        run_phase(settings, module.run, config or [], overrides or [], as_json)

    return command


def run_phase(
    settings: type,
    run: Callable[[Any], Any],
    files: list[Path],
    overrides: list[str],
    as_json: bool,
) -> None:
    """Load the configuration, run the phase, print its card."""
    from tinr import distributed
    from tinr.config import load_config

    config = load_config(settings, files, overrides)
    distributed.start()
    card = run(config)
    if distributed.rank() == 0:
        show_card(card, as_json)
    distributed.finish()


def main(name: str) -> None:
    """`python -m phases.NAME`, and `deepspeed --module phases.NAME`."""
    from tinr.cli.main import guarded

    sys.argv = [a for a in sys.argv if not a.startswith("--local_rank")]
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=PHASES[name])(phase_command(name))
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def base(
    preset: Annotated[str, typer.Option(help="A small model from scratch, for tests: tiny.")] = "",
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
    from tinr.config import load_config, override

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
        raise BadInput(f"--preset {preset}: unknown; the one from scratch is tiny")
    config = load_config(BaseConfig, None, [override("registry", registry), *(overrides or [])])
    show_card(build_base(config), as_json)


def show_card(card: Any, as_json: bool) -> None:
    """A card in one line, or whole."""
    if as_json:
        print(card.to_json())
        return
    gates = ", ".join(
        f"{name} {gate['value']:.3f}"
        for name, gate in card.gates.items()
        if gate["value"] is not None
    )
    print(f"{card.id}  {card.seconds:.0f} s  {card.tokens:,} tokens  {gates}")
