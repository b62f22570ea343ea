"""`tinr catalogue`: import, check, compare and show catalogues."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tinr.cli.options import AsJson, show_problems
from tinr.files import write_text
from tinr.records import BadInput

app = typer.Typer(help="Import, check, compare and show catalogues.", no_args_is_help=True)
Sources = Annotated[list[str], typer.Argument(help="Catalogue folders, or toolbox, fieldkit.")]


@app.command("import")
def import_(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Files or folders: OpenAPI, tools/list, function schemas, .py, ..."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the catalogue to write.")] = Path(
        "catalogue"
    ),
    format: Annotated[
        str,
        typer.Option(
            help="auto, or one format for all sources: openapi, openai, mcp, "
            "rapidapi, bfcl, tinr, acebench, apibank, nestful, sealtools, canonical."
        ),
    ] = "auto",
    mcp: Annotated[
        list[str] | None,
        typer.Option(help="A running MCP server: its URL, or the command that starts it."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Timeout of an MCP server, seconds.")
    ] = 30.0,
    start: Annotated[
        bool, typer.Option(help="Start the MCP servers listed in a settings file (mcpServers).")
    ] = False,
    namespace: Annotated[
        str,
        typer.Option(help="When names get a namespace: collide (only if they collide) or always."),
    ] = "collide",
    replace: Annotated[bool, typer.Option(help="Replace an existing catalogue in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert your tools into a catalogue; tools not imported are listed with the reason.

    Example: tinr catalogue import petstore.yaml --mcp "python server.py" --out tools/
    """
    from tinr.catalogue.importing.import_tools import import_tools, write_catalogue

    if namespace not in ("collide", "always"):
        raise BadInput(f"--namespace {namespace}: unknown; collide or always")
    if not sources and not mcp:
        raise BadInput("nothing to import; give files, folders, or --mcp SERVER")
    result = import_tools(sources or [], format, namespace, mcp or [], timeout, out, start)  # type: ignore[arg-type]
    write_catalogue(result, out, replace)
    counts = {
        "tools": len(result.lines),
        "lost": len(result.lost),
        "notes": len(result.notes),
    }
    if as_json:
        print(json.dumps({"catalogue": str(out), **counts}))
        return
    show_problems("not imported", result.lost)
    show_problems("changed", result.notes)
    print(
        f"{counts['tools']} tools in {out / 'tools.jsonl'}; {counts['lost']} not imported, "
        f"{counts['notes']} notes: see {out / 'problems.jsonl'}"
    )


@app.command()
def check(
    sources: Sources,
    near: Annotated[
        float, typer.Option(help="Similarity from which documents are near-duplicates.")
    ] = 0.8,
    groups: Annotated[
        Path | None, typer.Option(help="Write the groups of near-duplicates, as JSON.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Tokenizer to count tokens with: folder or hub name.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check every document: errors, near-duplicates, missing descriptions, tokens, hash.

    Example: tinr catalogue check toolbox fieldkit
    """
    from tinr.catalogue.survey import read_all, survey

    catalogue, faults = read_all(sources)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise BadInput(f"{len(faults)} documents are invalid; the first: {faults[0]}")
    report = survey(catalogue, near, tokenizer)
    if groups is not None:
        write_text(groups, json.dumps(report["alike"], ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    for pair in report["near"][:20]:
        print(f"near-duplicates ({pair['similarity']:.2f}): {pair['first']}, {pair['second']}")
    if len(report["near"]) > 20:
        print(f"near-duplicates: {len(report['near']) - 20} more pairs; --json lists all")
    if report["alike"]:
        print(f"{len(report['alike'])} groups of tools that queries may not distinguish")
    for name in report["undescribed"]:
        print(f"no description except the name: {name}")
    tokens = report["tokens"]
    print(
        f"{tokens['unit']} per document: median {tokens['median']}, 95 % {tokens['p95']}, "
        f"maximum {tokens['most']} ({tokens['longest']}), total {tokens['all']}"
    )
    print(f"{report['tools']} tools, all valid, hash {report['hash']}")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A catalogue folder, or a shipped corpus.")],
    new: Annotated[str, typer.Argument(help="The catalogue to compare it with.")],
    as_json: AsJson = False,
) -> None:
    """Show which tools were added, removed, renamed and changed between two catalogues.

    Example: tinr catalogue diff tools-2025/ tools/
    """
    from tinr.catalogue.load import load_catalogue
    from tinr.catalogue.similar import difference

    changes = difference(load_catalogue(old).by_name, load_catalogue(new).by_name)
    if as_json:
        print(json.dumps(asdict(changes), ensure_ascii=False))
        return
    for name in changes.added:
        print(f"added    {name}")
    for name in changes.removed:
        print(f"removed  {name}")
    for old_name, name in changes.renamed:
        print(f"renamed  {old_name} -> {name}")
    for name, parts in changes.changed:
        print(f"changed  {name}: {parts}")
    if changes.empty:
        print("no difference")


@app.command()
def show(
    sources: Sources,
    tool: Annotated[str, typer.Option(help="Show only this tool, with its whole document.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the tools of a catalogue, or show one document as the model learns it.

    Example: tinr catalogue show toolbox --tool convert_length
    """
    from tinr.catalogue.load import load_catalogue
    from tinr.catalogue.render import describe, signature

    catalogue = load_catalogue(sources)
    if tool and tool not in catalogue.by_name:
        raise BadInput(
            f"--tool {tool}: not in {', '.join(sources)}; leave it out to list the tools"
        )
    docs = [catalogue.by_name[tool]] if tool else list(catalogue.tools)
    for doc in docs:
        if as_json:
            print(json.dumps(asdict(doc), ensure_ascii=False))
        elif tool:
            print(f"<<{doc.name}>>\n{describe(doc)}")
        else:
            print(f"{doc.name}({signature(doc)})")


@app.command()
def practice(
    sources: Sources,
    each: Annotated[int, typer.Option(min=1, help="Practice calls per tool.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show the practice calls that align generates from the documents; each fits its document.

    Example: tinr catalogue practice tools/ --each 5 --json
    """
    from tinr.catalogue.load import load_catalogue
    from tinr.data import pseudo_queries

    catalogue = load_catalogue(sources)
    for text, call in pseudo_queries.practice(catalogue, each, seed):
        if as_json:
            line = {"tool": call.name, "query": text, "arguments": call.arguments}
            print(json.dumps(line, ensure_ascii=False))
        else:
            print(f"{text}\n    {call.name} {json.dumps(call.arguments, ensure_ascii=False)}")
    left_out = pseudo_queries.unpractised(catalogue)
    if left_out:
        print(pseudo_queries.unpractised_notice(left_out), file=sys.stderr)
