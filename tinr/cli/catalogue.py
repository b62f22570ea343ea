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
            help="auto, or the one format that all sources must have: openapi, openai, mcp, "
            "rapidapi, bfcl, tinr, acebench, apibank, nestful, sealtools, canonical."
        ),
    ] = "auto",
    mcp: Annotated[
        list[str] | None,
        typer.Option(help="A running MCP server: its URL, or the command that starts it."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds an MCP server may take.")] = 30.0,
    start: Annotated[
        bool, typer.Option(help="Start the MCP servers that a file of settings (mcpServers) names.")
    ] = False,
    namespace: Annotated[
        str, typer.Option(help="Namespace in front of a name: where names collide, or always.")
    ] = "collide",
    replace: Annotated[
        bool, typer.Option(help="Replace a catalogue that stands in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a catalogue of tools as you have them; what did not arrive is listed with its reason.

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
        f"{counts['tools']} tools in {out / 'tools.jsonl'}; {counts['lost']} not imported and "
        f"{counts['notes']} notes, all in {out / 'problems.jsonl'}"
    )


@app.command()
def check(
    sources: Sources,
    near: Annotated[float, typer.Option(help="Similarity from which documents are alike.")] = 0.8,
    groups: Annotated[
        Path | None, typer.Option(help="Write the groups of tools that are alike, as JSON.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Folder or hub name: count a document's tokens with it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check every document: faults, near-duplicates, missing descriptions, tokens, the hash.

    Example: tinr catalogue check toolbox fieldkit
    """
    from tinr.catalogue.survey import read_all, survey

    catalogue, faults = read_all(sources)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise BadInput(f"{len(faults)} documents are not valid; the first is {faults[0]}")
    report = survey(catalogue, near, tokenizer)
    if groups is not None:
        write_text(groups, json.dumps(report["alike"], ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    for pair in report["near"][:20]:
        print(f"alike ({pair['similarity']:.2f}): {pair['first']}, {pair['second']}")
    if len(report["near"]) > 20:
        print(f"alike: {len(report['near']) - 20} more pairs; --json lists them all")
    if report["alike"]:
        print(f"{len(report['alike'])} groups of tools that queries may not tell apart")
    for name in report["undescribed"]:
        print(f"no description but its name: {name}")
    tokens = report["tokens"]
    print(
        f"{tokens['unit']} a document: median {tokens['median']}, 95 % {tokens['p95']}, "
        f"most {tokens['most']} ({tokens['longest']}), all {tokens['all']}"
    )
    print(f"{report['tools']} tools, all valid, hash {report['hash']}")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A catalogue folder, or a shipped corpus.")],
    new: Annotated[str, typer.Argument(help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """What was added, removed, renamed and changed from one catalogue to another.

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
    tool: Annotated[str, typer.Option(help="Only this tool, its whole document.")] = "",
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
    each: Annotated[int, typer.Option(min=1, help="Practice calls of each tool.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show the practice calls that align makes up from the documents; each fits its document.

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
