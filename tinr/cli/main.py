"""The `tinr` program: exit code 0 done, 1 a gate or check failed, 2 wrong usage or bad input.

Heavy imports happen inside the commands, so help and usage errors appear at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

import tinr
from tinr.cli import (
    bench,
    capacity,
    catalogue,
    dashboards,
    evaluation,
    knowledge,
    model,
    phases,
    preflight,
    registry,
    serve,
    study,
    traces,
)
from tinr.cli.options import OtherBase
from tinr.command import guarded
from tinr.records import BadInput

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(registry.app, name="registry")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(traces.app, name="traces")
app.add_typer(traces.queries_app, name="queries")
app.add_typer(bench.app, name="bench")
app.add_typer(study.app, name="study")
phases.register(app)
model.register(app)
evaluation.register(app)
knowledge.register(app)
dashboards.register(app)
preflight.register(app)
capacity.register(app)
serve.register(app)
registry.register(app)


def _show_version(is_requested: bool) -> None:
    if is_requested:
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
    seed: Annotated[int, typer.Option(help="Seed of data, weights and sampling.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/quickstart"),
    base: OtherBase = "",
    tools: Annotated[
        str, typer.Option(help="Number of shipped tools, or all; default: the preset's.")
    ] = "",
    own: Annotated[
        list[Path] | None,
        typer.Option("--catalogue", help="Folder of your own tools to train too; repeatable."),
    ] = None,
    queries: Annotated[
        str, typer.Option(help="File of training queries for your own tools, with their calls.")
    ] = "",
) -> None:
    """Run everything on the shipped corpora: base, align, sft, grpo, evaluation, report.

    Example: tinr quickstart --tools 32 --out runs/small
    """
    from tinr.chain.quickstart import run_quickstart

    catalogues = [str(path) for path in own or ()]
    run_quickstart(preset, seed, out, base, tool_count(tools), catalogues, queries)


def tool_count(text: str) -> int | None:
    """Return the number of tools in an option: 0 for all, None if it is empty."""
    if not text:
        return None
    if text == "all":
        return 0
    if not text.isdecimal() or int(text) < 3:
        raise BadInput(f"--tools {text}: give a number of at least 3, or all")
    return int(text)


@app.command()
def report(
    run: Annotated[list[Path], typer.Option(help="Folder of a quickstart run; repeatable.")],
    markdown: Annotated[bool, typer.Option(help="Print a table of medians over the runs.")] = False,
) -> None:
    """Rewrite the report of a run (page, JSON, Markdown), or print its results.

    Example: tinr report --run runs/quickstart
    """
    from tinr.evaluation.report.page import write_report
    from tinr.evaluation.report.results import markdown_table
    from tinr.evaluation.report.summary import read_summary

    if markdown:
        print(markdown_table([read_summary(folder / "summary.json") for folder in run]))
        return
    from phases import defaults

    for folder in run:
        print(write_report(folder, defaults()))


def main() -> None:
    """Run the console script."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
