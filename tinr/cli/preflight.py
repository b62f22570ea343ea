"""`tinr preflight`: estimate what a run costs and whether it fits, before it starts."""

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tinr.cli.options import AsJson, table_console
from tinr.cli.phases import recipe_of
from tinr.command import Overrides
from tinr.records import BadInput, RunFailed

FORESEEN = ("align", "sft", "grpo")  # the cost of calibrate depends on what its search finds


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("preflight")(preflight)


def preflight(
    file: Annotated[Path, typer.Argument(help="YAML file of a phase, as --config takes it.")],
    overrides: Overrides = None,
    phase: Annotated[str, typer.Option(help="align, sft or grpo; default: FILE's name.")] = "",
    ranks: Annotated[int, typer.Option(help="Processes, one accelerator each.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines that share the ranks evenly.")] = 1,
    memory: Annotated[
        float | None,
        typer.Option(help="Free GiB per accelerator; default: that of this machine."),
    ] = None,
    host_memory: Annotated[
        float | None, typer.Option(help="Free GiB per node; default: that of this machine.")
    ] = None,
    flops: Annotated[
        float | None, typer.Option(help="TFLOP/s per rank; default: measured on this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate memory, tokens, time and disk of a run; refuse what cannot fit, say what would.

    Example: tinr preflight align.yaml base=Qwen/Qwen2.5-7B-Instruct --ranks 8 --memory 80
    """
    name = phase or file.stem
    if name not in FORESEEN:
        message = f"--phase {phase}: unknown" if phase else f"{file}: the file name is not a phase"
        raise BadInput(f"{message}; give --phase {' or '.join(FORESEEN)}")
    from tinr.config_files import load_config
    from tinr.planning.preflight.plan import preflight as estimate

    module = import_module(f"phases.{name}")
    config = load_config(recipe_of(name)[0], file, overrides or [])
    report = estimate(name, module, config, ranks, nodes, memory, host_memory, flops)
    if as_json:
        verdict = {"phase": name, "fits": not report.refusals}
        print(json.dumps(verdict | asdict(report)))
    else:
        show(report)
    if report.refusals:
        raise RunFailed(f"{name} cannot fit: {'; '.join(map(str, report.refusals))}")


def show(report: Any) -> None:
    """Print the figures as a table, with a line between the parts."""
    from rich.table import Table

    table = Table("", "", "", "how", title=f"{report.phase}, estimated")
    table.columns[2].justify = "right"
    part = ""
    for line in report.lines:
        if line.part != part and part:
            table.add_section()
        heading = line.part if line.part != part else ""
        table.add_row(heading, line.name, _amount(line.value, line.unit), line.how)
        part = line.part
    console = table_console()
    console.print(table)
    for warning in report.warnings:
        console.print(f"note: {warning}", markup=False, highlight=False, soft_wrap=True)


def _amount(value: float, unit: str) -> str:
    from tinr.planning.preflight.plan import gib

    if unit == "bytes":
        return gib(value)
    if unit == "seconds":
        return f"{value:,.0f} s" if value < 7200 else f"{value / 3600:,.1f} h"
    if unit == "bits a parameter":
        return f"{value:.3g} {unit}"
    return f"{value:,.0f} {unit}".strip()
