"""How a command runs: exit codes, and a phase from its configuration to its printed card.

`python -m phases.NAME`, `deepspeed --module phases.NAME` and `tinr NAME` are the same command.
Exit code 0 done, 1 a gate or check failed, 2 wrong usage or bad input.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from tinr.records import BadInput, RunFailed

# Defaults of environment variables. They silence libraries, whose output would hide our own
# progress bars and errors.
ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    # Shapes differ from step to step. oneDNN caches a compiled product for each of the last 1,024
    # shapes, so memory grew by 5.7 MB per step. A small cache is as fast.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the files."),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", help="YAML file of settings; repeatable, the last one wins."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the card as JSON.")]
ShowSettings = Annotated[
    bool, typer.Option("--settings", help="Print all settings with defaults and help.")
]
Recipe = tuple[type, Callable[[Any], Any]]  # a phase's configuration class and its `run`


def main(settings: type, run: Callable[[Any], Any]) -> None:
    """Run a phase module as a program: `python -m phases.NAME`."""
    summary = (sys.modules[run.__module__].__doc__ or "").partition("\n")[0]
    sys.argv = [argument for argument in sys.argv if not argument.startswith("--local_rank")]
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=summary)(phase_command(lambda: (settings, run)))
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def phase_command(load: Callable[[], Recipe]) -> Callable[..., None]:
    """Return the command of a phase. load: imports the phase, after the options are parsed."""

    def command(
        config: ConfigFiles = None,
        overrides: Overrides = None,
        show_settings: ShowSettings = False,
        as_json: AsJson = False,
    ) -> None:
        settings, run = load()
        if show_settings:
            from tinr.config_files import described

            print(described(settings), end="")
            return
        run_phase(settings, run, config or [], overrides or [], as_json)

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
    from tinr.config_files import load_config

    config = load_config(settings, files, overrides)
    distributed.start()
    card = run(config)
    if distributed.rank() == 0:
        show_card(card, as_json)
    distributed.finish()


def show_card(card: Any, as_json: bool) -> None:
    """Print a card in one line, or as JSON."""
    if as_json:
        print(card.to_json())
        return
    gates = ", ".join(
        f"{name} {gate['value']:.3f}"
        for name, gate in card.gates.items()
        if gate["value"] is not None
    )
    print(f"{card.id}  {card.seconds:.0f} s  {card.tokens:,} tokens  {gates}")


def guarded(program: Callable[[], Any]) -> int:
    """Run a program and return its exit code; print an error in one line.

    A Typer program must be called with standalone_mode=False, so that it returns and raises.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("huggingface_hub", "mcp", "httpx"):  # users need not see their retries
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", module="trl")
    try:
        code = program()
    except TyperException as error:
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
            errors.print(context.get_help(), markup=False)
            return 2
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        command = context.command_path if context is not None else "tinr"
        errors.print(f"error: {message.rstrip('.')}; see {command} --help", markup=False)
        return 2
    except BadInput as error:
        errors.print(f"error: {error}", markup=False)
        return 2
    except (OSError, UnicodeError) as error:
        prefix = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        message = getattr(error, "strerror", None) or str(error)
        errors.print(
            f"error: {prefix}{message}; check the path, the permissions and the disk", markup=False
        )
        return 2
    except RunFailed as error:
        errors.print(f"failed: {error}", markup=False)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        errors.print(
            "interrupted; published checkpoints are kept, run the same command again to resume"
        )
        return 130
    return code if isinstance(code, int) else 0
