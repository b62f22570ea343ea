"""`tinr bench`: the benchmarks that the docs quote."""

import json
from typing import Annotated

import typer

app = typer.Typer(help="Benchmarks that the docs quote.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the name of the benchmark as a command of its own."""


@app.command()
def catalogue(
    tools: Annotated[int, typer.Option(help="Documents to make and import.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Of the made documents.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Import, hash and compare made documents; a 5 MB OpenAPI file; 46,985 tool tokens.

    Example: OMP_NUM_THREADS=1 tinr bench catalogue --tools 50000
    """
    from tinr.bench import bench_catalogue

    found = bench_catalogue(tools, seed)
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):28} {value:,}")
