"""`tinr capacity`: whether a catalogue fits into the trainable weights."""

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
        int | None, typer.Option(help="Train only adapters of this rank and the new rows.")
    ] = None,
    rows_only: Annotated[
        bool, typer.Option("--rows-only", help="Train only the new rows.")
    ] = False,
    recall: Annotated[float, typer.Option(help="Target recall, above 0 and at most 1.")] = 0.95,
    read: Annotated[
        int, typer.Option(help="Number of sampled documents that the base reads; 0: all.")
    ] = 0,
    calibration: Annotated[
        Path | None, typer.Option(help="File from tinr study capacity; default: the shipped one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Estimate bits to learn, load and recall, with advice; the base reads the documents once.

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


WITHOUT = "all weights except the rows of tokens that the base knew"


def rows_of(plan: "CapacityPlan") -> list[tuple[str, str, str]]:
    """Return rows of name, value and derivation."""
    bits, practice = plan.bits, []
    rows = [("tools", f"{bits.tools:,}", f"{bits.same} have the same document as another")]
    if bits.likelihood is not None:
        rows.append(("documents, by the base", f"{bits.likelihood:,.0f} bits",
                     "negative log-likelihood, given the tools' names"))  # fmt: skip
    rows += [
        ("documents, compressed", f"{bits.packed:,.0f} bits", "with LZMA, all together"),
        ("tokens", f"{bits.tokens:,.0f} bits", "log2 of the number of tools, per tool"),
        ("bits to learn", f"{bits.total:,.0f} bits", "tokens plus the smaller of the other two"),
        ("trainable parameters", f"{plan.moving.parameters:,}",
         WITHOUT if plan.moving.words == "all weights" else plan.moving.words),
        ("load", f"{plan.load:.3g}",
         f"bits per parameter, {plan.load_low:.3g} to {plan.load_high:.3g}: {plan.verdict}"),
    ]  # fmt: skip
    rows += [
        (f"recall, {name}", f"{rate.value:.2f}", f"expected; {rate.low:.2f} to {rate.high:.2f}")
        for name, rate in plan.recall.items()
    ]
    parameters = "unknown" if plan.needed is None else f"{plan.needed:,}"
    rows.append(
        (f"parameters for {plan.target:g}", parameters, "for this recall and this many bits")
    )
    if plan.exposures_needed is not None:
        practice.append(("exposures", f"{plan.exposures_needed:,.0f}",
                         "per tool, equally of memorise, recall and schema: enough in the "
                         "calibration, without usage"))  # fmt: skip
    if plan.steps is not None:
        practice.append(("steps", f"{plan.steps:,}",
                         "with only these examples, in align's default batches"))  # fmt: skip
    return rows + practice
