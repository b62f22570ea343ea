"""`tinr study`: the experiments whose results the docs quote."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tinr.cli.options import AsJson

app = typer.Typer(help="Experiments whose results the docs quote.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the name of the study as a command of its own."""


@app.command()
def arms(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="internalized, retrieved, in_prompt, names, one_direction; all."),
    ] = None,
    preset: Annotated[str, typer.Option(help="quickstart or smoke.")] = "quickstart",
    seed: Annotated[int, typer.Option(help="Of data, weights and sampling.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/arms"),
    as_json: AsJson = False,
) -> None:
    """Train the arms that internalizing is compared with: same base, same data, one registry.

    Example: tinr study arms --seed 0 --out runs/arms0
    """
    from tinr.arms import run_arms

    done = run_arms(names or [], preset, seed, out)
    if as_json:
        print(json.dumps(done))
        return
    for name, checkpoint in done.items():
        print(f"arm-{name}  {checkpoint}")
    tags = " ".join(f"arm-{name}" for name in done)
    print(f"compare them: tinr compare {tags} --registry {out / 'registry'}")
