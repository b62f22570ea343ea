"""Commands that measure what a checkpoint knows and what that costs: probe, tax."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from tinr.cli.options import REGISTRY, AsJson, Checkpoint, RegistryFolder, table_console
from tinr.records import BadInput

if TYPE_CHECKING:
    from tinr.checkpoints.card import Card
    from tinr.checkpoints.registry import Registry

Seed = Annotated[int, typer.Option(help="Seed of options, queries and samples.")]
SHARES = ("tasks", "tasks_framed", "tasks_base", "choice", "choice_base")  # in percent


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("probe")(probe_checkpoint)
    app.command("tax")(tax_checkpoint)


def probe_checkpoint(
    checkpoint: Checkpoint,
    full: Annotated[
        bool, typer.Option("--full", help="Also multiple choice and vague queries.")
    ] = False,
    seed: Seed = 0,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Probe what a checkpoint knows: document -> token, token -> document, token -> schema.

    Example: tinr probe --checkpoint align@latest --full
    """
    from tinr.checkpoints.open import open_checkpoint
    from tinr.checkpoints.registry import Registry
    from tinr.evaluation.knowledge import knowledge_summary
    from tinr.evaluation.recall import probe

    shelf = Registry(registry)
    card, model, codec, catalogue = open_checkpoint(shelf, checkpoint)
    summary: dict[str, Any] = {
        "checkpoint": card.id,
        "probe": {
            name: asdict(rate) for name, rate in probe(model, codec, catalogue, "probe").items()
        },
    }
    if full:
        splits = _splits(shelf, card, [doc.name for doc in catalogue.tools])
        summary["knowledge"] = knowledge_summary(model, codec, catalogue, splits, seed)
    if as_json:
        print(json.dumps(summary))
        return
    rows = summary["probe"] | summary.get("knowledge", {})
    _print(card.id, "probe", {name: (row, True) for name, row in rows.items()})


def tax_checkpoint(
    checkpoint: Checkpoint,
    base: Annotated[
        str, typer.Option(help="Registry reference; default: the first ancestor.")
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="Plain text not trained on; empty lines separate texts.")
    ] = None,
    seed: Seed = 0,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Measure what the tools cost a checkpoint in general ability, against its base.

    Example: tinr tax --checkpoint grpo@latest
    """
    from tinr.checkpoints.open import open_model
    from tinr.checkpoints.registry import Registry
    from tinr.evaluation.ability.tax import tax_summary

    texts = read_texts(text) if text is not None else []
    shelf = Registry(registry)
    card, folder = shelf.open(checkpoint)
    base_card, base_folder = shelf.open(base or shelf.lineage(card.id)[0].id)
    (model, codec), (base_model, base_codec) = open_model(folder), open_model(base_folder)
    tax = tax_summary(base_model, base_codec, model, codec, texts, seed)
    if as_json:
        print(json.dumps({"checkpoint": card.id, "base": base_card.id, "tax": tax}))
        return
    rows = {name: (row, name in SHARES) for name, row in tax.items()}
    _print(f"{card.id} against {base_card.id}", "measure", rows)


def read_texts(path: Path) -> list[str]:
    """Return the paragraphs of a UTF-8 text file; BadInput if it has none."""
    try:
        content = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 ({error}); convert the file to UTF-8") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
    texts = [
        paragraph.strip()
        for paragraph in content.replace("\r\n", "\n").split("\n\n")
        if paragraph.strip()
    ]
    if not texts:
        raise BadInput(f"{path}: contains no text; give plain text, empty lines between paragraphs")
    return texts


def _splits(shelf: "Registry", card: "Card", names: list[str]) -> dict[str, str]:
    """Return the shipped corpora's splits, or derive them from the lineage's training queries."""
    from tool_corpora.suites import splits

    corpus_splits = splits()
    if set(names) <= set(corpus_splits):
        return {name: corpus_splits[name] for name in names}
    lineage = shelf.lineage(card.id)
    queried_tools = {
        tool for ancestor in lineage for tool in ancestor.data_position.get("queried_tools", ())
    }
    return (
        {name: "seen" if name in queried_tools else "unseen" for name in names}
        if queried_tools
        else {}
    )


def _print(title: str, noun: str, rows: Mapping[str, tuple[dict[str, Any], bool]]) -> None:
    """Print a table of figures; each row says whether it is a share."""
    table = Table(
        Column(noun, no_wrap=True), "value", "95 % interval", "n", "chance", "blind", title=title
    )
    for name, (row, is_share) in rows.items():
        value, low, high, chance, blind = (
            _cell(row.get(key), is_share) for key in ("value", "low", "high", "chance", "blind")
        )
        interval = f"{low} to {high}" if row["low"] is not None else "-"
        table.add_row(name, value, interval, str(row["n"]), chance, blind)
    table_console().print(table)


def _cell(value: float | None, is_share: bool) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if is_share else f"{value:.4g}"
