"""`tinr catalogue`: look at and check catalogues."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tinr.records import BadInput

app = typer.Typer(help="Look at and check catalogues.", no_args_is_help=True)
Sources = Annotated[list[str], typer.Argument(help="Catalogue folders, or toolbox, fieldkit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def check(sources: Sources, as_json: AsJson = False) -> None:
    """Check every document; the count and the content hash of what is valid.

    Example: tinr catalogue check toolbox fieldkit
    """
    from tinr.catalogue import load_catalogue

    found = load_catalogue(sources)
    if as_json:
        print(json.dumps({"tools": len(found.tools), "hash": found.hash}))
    else:
        print(f"{len(found.tools)} tools, all valid, hash {found.hash}")


@app.command()
def show(
    sources: Sources,
    tool: Annotated[str, typer.Option(help="Only this tool, its whole document.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the tools of a catalogue, or show one document as the model learns it.

    Example: tinr catalogue show toolbox --tool convert_length
    """
    from tinr.catalogue import describe, load_catalogue, signature

    found = load_catalogue(sources)
    if tool and tool not in found.by_name:
        raise BadInput(
            f"--tool {tool}: not in {', '.join(sources)}; leave it out to list the tools"
        )
    docs = [found.by_name[tool]] if tool else list(found.tools)
    for doc in docs:
        if as_json:
            print(json.dumps(asdict(doc), ensure_ascii=False))
        elif tool:
            print(f"<<{doc.name}>>\n{describe(doc)}")
        else:
            print(f"{doc.name}({signature(doc)})")
