"""`tinr capacity`: whether a catalogue fits into the weights that may move."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinr.cli.options import REGISTRY, AsJson, RegistryFolder, table_console

if TYPE_CHECKING:
    from tinr.planning.capacity.plan import CapacityPlan


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("capacity")(capacity)


def capacity(
    catalogue: Annotated[list[str], typer.Option(help="Folder or shipped corpus; repeatable.")],
    base: Annotated[str, typer.Option(help="Model folder, hub name, or registry reference.")],
    lora: Annotated[
        int | None, typer.Option(help="Adapters of this rank and the new rows move, nothing else.")
    ] = None,
    rows_only: Annotated[
        bool, typer.Option("--rows-only", help="The new rows alone move.")
    ] = False,
    recall: Annotated[float, typer.Option(help="The recall that is wanted, above 0 to 1.")] = 0.95,
    read: Annotated[
        int, typer.Option(help="Documents that the base reads, drawn; 0: all of them.")
    ] = 0,
    calibration: Annotated[
        Path | None, typer.Option(help="File that tinr study capacity wrote; else the shipped one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Bits to learn, load, recall to expect, and what to do: the base reads the documents once.

    Example: tinr capacity --catalogue toolbox --base base@latest --lora 16
    """
    from tinr.planning.capacity.inquiry import inquire

    plan = inquire(catalogue, base, lora, rows_only, recall, read, calibration, seed, registry)
    if as_json:
        print(json.dumps(asdict(plan) | {"total_bits": plan.bits.total}))
    else:
        show(plan)


def show(plan: "CapacityPlan") -> None:
    """Print the figures as a table, then advice and notes."""
    from rich.table import Table

    bits, console = plan.bits, table_console()
    table = Table("", "", "how", title="capacity")
    table.columns[1].justify = "right"
    for row in rows_of(plan):
        table.add_row(*row)
    console.print(table)
    for advice in plan.advice:
        console.print(f"advice: {advice}", markup=False, soft_wrap=True)
    if bits.read and bits.read < bits.tools - bits.same:
        console.print(f"note: the base read {bits.read} of {bits.tools - bits.same} documents")
    for note in plan.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"calibrated on {plan.calibration}", markup=False, soft_wrap=True)


WITHOUT = "all weights, without the rows of tokens that the base knew"


def rows_of(plan: "CapacityPlan") -> list[tuple[str, str, str]]:
    """Return rows of name, value and derivation."""
    bits, practice = plan.bits, []
    rows = [("tools", f"{bits.tools:,}", f"{bits.same} say what another one says")]
    if bits.likelihood is not None:
        rows.append(("documents, by the base", f"{bits.likelihood:,.0f} bits",
                     "its negative log-likelihood of them after the tools' names"))  # fmt: skip
    rows += [
        ("documents, packed", f"{bits.packed:,.0f} bits", "LZMA over all of them together"),
        ("tokens", f"{bits.tokens:,.0f} bits", "log2 of the number of tools for each"),
        ("bits to learn", f"{bits.total:,.0f} bits", "tokens and the smaller of the other two"),
        ("parameters that hold", f"{plan.moving.parameters:,}",
         WITHOUT if plan.moving.words == "all weights" else plan.moving.words),
        ("load", f"{plan.load:.3g}",
         f"bits a parameter, {plan.load_low:.3g} to {plan.load_high:.3g}: {plan.verdict}"),
    ]  # fmt: skip
    rows += [
        (f"recall, {name}", f"{rate.value:.2f}", f"expected; {rate.low:.2f} to {rate.high:.2f}")
        for name, rate in plan.recall.items()
    ]
    parameters = "not known" if plan.needed is None else f"{plan.needed:,}"
    rows.append((f"parameters for {plan.target:g}", parameters, "at this many bits"))
    if plan.exposures_needed is not None:
        practice.append(("exposures", f"{plan.exposures_needed:,.0f}",
                         "of each tool, alike of memorise, recall and schema: enough when "
                         "calibrated, without usage"))  # fmt: skip
    if plan.steps is not None:
        practice.append(("steps", f"{plan.steps:,}",
                         "of these examples alone, in align's default batches"))  # fmt: skip
    return rows + practice
