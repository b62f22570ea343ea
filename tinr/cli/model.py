"""Commands that use a checkpoint or score replies: eval, call, score."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Checkpoint = Annotated[str, typer.Option(help="Registry reference: id, tag or phase@latest.")]
RegistryFolder = Annotated[Path, typer.Option("--registry", help="Checkpoint registry.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
REGISTRY = Path("runs/registry")
COLOURS = {
    "think": "dim",
    "tool_token": "magenta",
    "tool_call": "cyan",
    "obs": "yellow",
    "response": "bold green",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("eval")(evaluate_checkpoint)
    app.command("call")(call)
    app.command("score")(score_replies)


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    suite: Annotated[str, typer.Option(help="in_domain, out_of_domain, or a suite folder.")],
    documents: Annotated[str, typer.Option(help="none or on_select.")] = "none",
    size: Annotated[int, typer.Option(help="Queries per split of a shipped suite.")] = 300,
    out: Annotated[Path | None, typer.Option(help="Folder for replies and summary.")] = None,
    equivalent: Annotated[
        Path | None,
        typer.Option(
            help="Groups of tools that count as one, as `catalogue check --groups` writes."
        ),
    ] = None,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Measure naming, calling, answers, form and abstention, with 95 % intervals.

    Example: tinr eval --checkpoint grpo@latest --suite in_domain --documents none
    """
    from tinr import evaluate as ev
    from tinr.executor import corpus_executor
    from tinr.registry import Registry
    from tinr.stage import open_checkpoint

    ev.documents_mode(documents)
    shelf = Registry(registry)
    card, model, codec, catalogue = open_checkpoint(shelf, checkpoint)
    queries = ev.load_suite(suite, size, catalogue)
    same = ev.read_equivalent(equivalent, catalogue) if equivalent else {}
    trained = {
        tool
        for each in shelf.lineage(card.id)
        for tool in each.data_position.get("queried_tools", ())
    }
    ev.check_splits(queries, trained)
    done = ev.evaluate(model, codec, queries, catalogue, corpus_executor(catalogue), documents)
    rates = ev.by_split(done, same)
    summary = {
        "checkpoint": card.id,
        "suite": suite,
        "documents": documents,
        "eval": ev.plain(rates),
    }
    if out is not None:
        ev.write_replies(out, done, documents)
        ev.write_summary(out / f"summary.{documents}.json", summary)
    if as_json:
        print(json.dumps(summary))
        return
    table = Table(
        "split", "metric", "value", "95 % interval", "n", title=f"{card.id}, documents {documents}"
    )
    for split, metrics in rates.items():
        for name, rate in metrics.items():
            table.add_row(split, name, *_cells(asdict(rate)))
    Console().print(table)


def call(
    query: Annotated[str, typer.Argument(help="What to ask.")],
    checkpoint: Checkpoint = "grpo@latest",
    documents: Annotated[str, typer.Option(help="none or on_select.")] = "none",
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Have one conversation, in which the tools really run.

    Example: tinr call --checkpoint grpo@latest "Convert 12 foot to metre."
    """
    from tinr.evaluate import evaluate
    from tinr.executor import corpus_executor
    from tinr.records import Query
    from tinr.registry import Registry
    from tinr.stage import open_checkpoint
    from tinr.transcript import as_text

    _, model, codec, catalogue = open_checkpoint(Registry(registry), checkpoint)
    asked = [Query("call", query)]
    done = evaluate(model, codec, asked, catalogue, corpus_executor(catalogue), documents)[0]
    reply = done.reply
    if as_json:
        calls = [asdict(c) for c in reply.calls]
        print(json.dumps({"text": as_text(done.pieces), "calls": calls, "response": reply.response,
                          "problems": list(reply.problems)}))  # fmt: skip
        return
    console = Console(highlight=False)
    console.print(Text(query, style="bold"))
    console.print(_coloured(done.pieces))
    for problem in reply.problems:
        console.print(Text(f"not well formed: {problem}", style="red"))


def score_replies(
    references: Annotated[Path, typer.Option(help="queries.jsonl with the reference calls.")],
    replies: Annotated[Path, typer.Option(help='Lines {"id", "text"} or {"id", "messages"}.')],
) -> None:
    """Rewards of given replies, one JSON line each; no model is needed.

    Example: tinr score --references queries.jsonl --replies replies.jsonl
    """
    from tinr.catalogue import read_queries
    from tinr.rewards import score
    from tinr.scoring import read_replies

    queries = {query.id: query for query in read_queries(references)}
    for identifier, reply in read_replies(replies, queries):
        result = score(reply, queries[identifier])
        print(json.dumps({"id": identifier, **asdict(result)}))


def _coloured(pieces: Any) -> Text:
    text, style = Text(), ""
    for piece in pieces:
        opened = (
            piece.token and not piece.text.startswith("</") and piece.text.strip("<>") in COLOURS
        )
        if opened:
            style = COLOURS[piece.text.strip("<>")]
        text.append(
            piece.text, style="magenta" if piece.text.startswith("<<") and piece.token else style
        )
        if piece.token and piece.text.startswith("</"):
            text.append("\n")
    return text


def _cells(rate: dict[str, Any]) -> tuple[str, str, str]:
    if rate["value"] is None:
        return "-", "-", "0"
    return f"{rate['value']:.1%}", f"{rate['low']:.1%} to {rate['high']:.1%}", str(rate["n"])
