"""`tinr registry`: list, show, tag, verify, export and remove published checkpoints.

The main program handles BadInput: it prints one line and exits with code 2.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.records import BadInput

app = typer.Typer(help="Published checkpoints and their cards.", no_args_is_help=True)

Root = Annotated[Path, typer.Option("--registry", help="Folder of the registry.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Ref = Annotated[str, typer.Argument(help="Id, tag, or PHASE@latest.")]
ROOT = Path("runs/registry")


@app.command("list")
def list_(root: Root = ROOT, as_json: Json = False) -> None:
    """List all checkpoints, oldest first.

    Example: tinr registry list --registry runs/registry
    """
    registry = _open(root)
    rows = _rows(registry, registry.cards())
    _print_rows(rows, as_json)
    broken_count = len(registry.ids()) - len(rows)
    if broken_count > 0:
        typer.echo(
            f"{broken_count} with an invalid card left out; run tinr registry verify", err=True
        )


@app.command()
def show(ref: Ref, root: Root = ROOT, as_json: Json = False) -> None:
    """Show one card in full.

    Example: tinr registry show align@latest
    """
    card = _open(root).resolve(ref)
    if as_json:
        typer.echo(card.to_json(), nl=False)
        return
    table = Table(box=None, show_header=False)
    for name, value in asdict(card).items():
        if name == "files":
            value = [f"{entry['path']} ({entry['bytes']} bytes)" for entry in value]
        table.add_row(name, value if isinstance(value, str) else _as_json(value))
    _console().print(table)


@app.command()
def lineage(ref: Ref, root: Root = ROOT, as_json: Json = False) -> None:
    """List a checkpoint and its ancestors, oldest first.

    Example: tinr registry lineage grpo@latest
    """
    registry = _open(root)
    _print_rows(_rows(registry, registry.lineage(ref)), as_json)


@app.command()
def tag(
    name: Annotated[str, typer.Argument(help="The tag: a-z 0-9 . _ -")],
    ref: Annotated[str, typer.Argument(help="Id, tag, or PHASE@latest.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag.")] = False,
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Name a checkpoint NAME; gc keeps tagged checkpoints.

    Example: tinr registry tag best grpo@latest
    """
    if bool(ref) == remove:
        raise BadInput(f"tag {name}: give either a checkpoint or --remove")
    registry = _open(root)
    if remove:
        registry.untag(name)
        _print_result({"tag": name, "id": None}, f"{name} removed", as_json)
    else:
        card = registry.tag(name, ref)
        _print_result({"tag": name, "id": card.id}, f"{name} -> {card.id}", as_json)


@app.command()
def verify(
    ref: Annotated[str | None, typer.Argument(help="One checkpoint; default: all.")] = None,
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Check every file against its card; exit code 1 if anything is wrong.

    Example: tinr registry verify
    """
    registry = _open(root)
    problems, count = registry.verify(ref), len(registry.ids()) if ref is None else 1
    success = f"no problems in {count} checkpoint{'s' if count != 1 else ''}"
    result = {"checkpoints": count, "problems": problems}
    _print_result(result, "\n".join(problems) or success, as_json)
    if problems:
        raise typer.Exit(1)


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove; default: only list.")] = False,
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Remove all except tagged checkpoints, the newest of each phase, and their ancestors.

    Example: tinr registry gc --delete
    """
    garbage = _open(root).gc(dry_run=not delete)
    leftovers = [str(path) for path in garbage.leftovers]
    result = {"deleted": delete, "checkpoints": garbage.checkpoints, "leftovers": leftovers}
    verb = "removed" if delete else "would remove"
    lines = [f"{verb} {name}" for name in (*garbage.checkpoints, *leftovers)]
    _print_result(result, "\n".join(lines) or "nothing to remove", as_json)


@app.command("export")
def registry_export(
    ref: Ref,
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Copy a checkpoint out as a Hugging Face folder. Deprecated: use tinr export.

    Example: tinr registry export best exported/
    """
    typer.echo(
        "tinr registry export is now tinr export; the old name will be removed in 1.0", err=True
    )
    export(ref, out, "hf", None, root, as_json)


def register(program: typer.Typer) -> None:
    """Add the command `tinr export` to the program."""
    program.command("export")(export)


def export(
    ref: Ref,
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    to: Annotated[
        Literal["hf", "gguf", "vllm"],
        typer.Option(
            help="hf: a Hugging Face folder. vllm: one with a tool parser for vllm serve. gguf: a "
            "file for llama.cpp."
        ),
    ] = "hf",
    push: Annotated[
        str | None, typer.Option(help="Upload the folder to this hub repository, OWNER/NAME.")
    ] = None,
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Export a checkpoint for other programs, with chat template and stop tokens.

    --push creates a private repository if there is none. Log in with HF_TOKEN or `hf auth login`.

    Example: tinr export best exported/ --to gguf
    """
    from tinr.checkpoints.export.formats import PLUGIN
    from tinr.checkpoints.export.formats import export as write

    card = write(_open(root), ref, out, to)
    template = out / "chat_template.jinja"
    if to != "gguf" and not (template.is_file() and "<response>" in template.read_text("utf-8")):
        reason = "it is an untrained base, or an earlier version published it"
        typer.echo(f"{out}: has no chat template for the trained format: {reason}", err=True)
    lines = [f"{card.id} -> {out}"]
    if to == "vllm":
        lines.append(
            f"vllm serve {out} --enable-auto-tool-choice --tool-call-parser tinr "
            f"--tool-parser-plugin {out / PLUGIN}"
        )
    result = {"id": card.id, "out": str(out), "to": to}
    if push is not None:
        from tinr.checkpoints.export.hub import push_folder

        result["url"] = push_folder(out, push, f"{card.id} of tinr")
        lines.append(f"pushed to {result['url']}")
    _print_result(result, "\n".join(lines), as_json)


def _open(root: Path) -> Registry:
    registry = Registry(root)
    registry.check()
    return registry


def _rows(registry: Registry, cards: list[Card]) -> list[dict[str, Any]]:
    """Return the rows of `list` and `lineage`."""
    tags = registry.tags()
    return [
        {
            "id": card.id,
            "phase": card.phase,
            "parent": card.parent,
            "created": card.created,
            "tags": [name for name, checkpoint_id in tags.items() if checkpoint_id == card.id],
            "gates": dict(card.gates),
        }
        for card in cards
    ]


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None)
    for heading in ("id", "phase", "parent", "created", "tags", "gates"):
        table.add_column(heading, no_wrap=heading in ("id", "phase", "parent", "created"))
    for row in rows:
        gates = "\n".join(_gate(name, result) for name, result in row["gates"].items())
        created = row["created"][:16].replace("T", " ")
        table.add_row(
            row["id"], row["phase"], row["parent"] or "", created, ", ".join(row["tags"]), gates
        )
    _console().print(table)


def _gate(name: str, result: Any) -> str:
    """Format a gate as `document_to_token 0.983 passed`; missing values are left out."""
    if not isinstance(result, dict):
        return f"{name} {result}"
    value, is_passed = result.get("value"), result.get("passed")
    value_text = f"{value:.3f}" if isinstance(value, int | float) else "unscored"
    verdict = "" if is_passed is None else " passed" if is_passed else " FAILED"
    return f"{name} {value_text}{verdict}"


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2 if isinstance(value, dict | list) and value else None)


def _print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(result, indent=2) if as_json else text)


def _console() -> Console:
    """Return a console without markup; in a pipe, lines have room for two ids."""
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, markup=False, highlight=False, emoji=False)
