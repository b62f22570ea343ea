"""The `tinr` program: exit code 0 done, 1 a gate or check failed, 2 wrong use or bad input.

Heavy imports happen inside the commands, so help and mistakes answer at once.
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

import tinr
from tinr import command
from tinr.cli import (
    bench,
    capacity,
    catalogue,
    dashboards,
    evaluation,
    knowledge,
    model,
    preflight,
    registry,
    serve,
    study,
    traces,
)
from tinr.cli.options import OtherBase
from tinr.records import BadInput, GateFailed

# Facts of the machine, unless the user set them: our own progress bars and errors say what
# a user needs, the libraries' chatter hides them.
ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    # Every step has shapes of its own; oneDNN keeps a compiled product for each of the last
    # 1,024 shapes, which grew by 5.7 MB a step. A few are as fast.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(registry.app, name="registry")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(traces.app, name="traces")
app.add_typer(bench.app, name="bench")
app.add_typer(study.app, name="study")
command.register(app)
model.register(app)
evaluation.register(app)
knowledge.register(app)
dashboards.register(app)
preflight.register(app)
capacity.register(app)
serve.register(app)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"tinr {tinr.__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Teach a language model a catalogue of tools, and prove what it learned."""


@app.command()
def quickstart(
    preset: Annotated[str, typer.Option(help="quickstart or smoke.")] = "quickstart",
    seed: Annotated[int, typer.Option(help="Of data, weights and sampling.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/quickstart"),
    base: OtherBase = "",
    tools: Annotated[
        str, typer.Option(help="How many of the shipped tools, or all; else the preset's number.")
    ] = "",
) -> None:
    """Run everything on the shipped corpora: base, align, sft, grpo, evaluation, report.

    Example: tinr quickstart --tools 32 --out runs/small
    """
    from tinr.chain.quickstart import run_quickstart

    run_quickstart(preset, seed, out, base, tool_count(tools))


def tool_count(text: str) -> int | None:
    """How many tools an option asks for: 0 for all, None where it is not given."""
    if not text:
        return None
    if text == "all":
        return 0
    if not text.isdecimal() or int(text) < 3:
        raise BadInput(f"--tools {text}: give a number from 3 on, or all")
    return int(text)


@app.command()
def report(
    run: Annotated[list[Path], typer.Option(help="Folder of a quickstart run; repeatable.")],
    markdown: Annotated[bool, typer.Option(help="Print a table, medians over runs.")] = False,
) -> None:
    """Write the report of a run again (page, JSON, Markdown), or print its results.

    Example: tinr report --run runs/quickstart
    """
    from tinr.evaluation.report.page import write_report
    from tinr.evaluation.report.results import markdown_table
    from tinr.evaluation.report.summary import read_summary

    if markdown:
        print(markdown_table([read_summary(one / "summary.json") for one in run]))
        return
    from phases import defaults

    for one in run:
        print(write_report(one, defaults()))


def guarded(program: Callable[[], Any]) -> int:
    """Run a program; one line and the right exit code for what can go wrong.

    A Typer program is called with standalone_mode=False: it returns its code, and raises.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("huggingface_hub", "mcp", "httpx"):  # what they try again is not for a user
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
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        command = context.command_path if context is not None else "tinr"
        errors.print(f"error: {said.rstrip('.')}; see {command} --help", markup=False)
        return 2
    except BadInput as error:
        errors.print(f"error: {error}", markup=False)
        return 2
    except (OSError, UnicodeError) as error:
        place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        said = getattr(error, "strerror", None) or str(error)
        errors.print(f"error: {place}{said}; check the path, the rights and the disk", markup=False)
        return 2
    except GateFailed as error:
        errors.print(f"failed: {error}", markup=False)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        errors.print("interrupted; what was published stays, the same command goes on from there")
        return 130
    return code if isinstance(code, int) else 0


def main() -> None:
    """The console script."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
