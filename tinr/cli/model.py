"""Commands that use a checkpoint or score replies: call, score."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from tinr.cli.options import (
    REGISTRY,
    AsJson,
    Checkpoint,
    Constrained,
    Documents,
    Executors,
    RegistryFolder,
)
from tinr.records import BadInput


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("call")(call)
    app.command("score")(score_replies)


def call(
    queries: Annotated[
        list[str],
        typer.Argument(metavar="QUERY...", help="The user's message, then further ones."),
    ],
    checkpoint: Checkpoint = "grpo@latest",
    documents: Documents = "none",
    constrained: Constrained = False,
    executors: Executors = None,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Run one conversation, including its tool calls.

    With several messages, each is answered in the context of the earlier ones; tools keep state.

    Example: tinr call --checkpoint grpo@latest "Convert 12 foot to metre."
    """
    from tinr.chat.render import as_text
    from tinr.checkpoints.open import open_checkpoint
    from tinr.checkpoints.registry import Registry
    from tinr.evaluation.contenders import trained_prompt, untrained
    from tinr.evaluation.evaluate import evaluate
    from tinr.evaluation.report.terminal import print_conversation
    from tinr.records import Message, Query
    from tinr.rollout.tools.executor import KeptSession
    from tinr.rollout.tools.own_tools import executor_of

    if not all(query.strip() for query in queries):
        raise BadInput("QUERY is empty; say what to ask")
    card, model, codec, catalogue = open_checkpoint(Registry(registry), checkpoint)
    if warning := untrained(card, documents):
        typer.echo(warning, err=True)
    prompt, console = trained_prompt(card), Console(highlight=False)
    history: list[Message] = []
    with executor_of(catalogue, executors) as executor, KeptSession.of(executor) as session:
        for text in queries:
            asked = Query("call", text, history=tuple(history))
            result = evaluate(
                model, codec, [asked], catalogue, session, documents, prompt=prompt,
                constrained=constrained,
            )  # fmt: skip
            chat = result.done[0]
            reply = chat.reply
            history += [Message("user", text), Message("assistant", reply.response or "")]
            if as_json:
                calls = [asdict(tool_call) for tool_call in reply.calls]
                print(json.dumps({"text": as_text(chat.pieces), "calls": calls,
                                  "response": reply.response,
                                  "problems": list(reply.problems)}))  # fmt: skip
                continue
            print_conversation(text, chat.pieces, console)
            for problem in reply.problems:
                console.print(Text(f"not well formed: {problem}", style="red"))


def score_replies(
    references: Annotated[Path, typer.Option(help="queries.jsonl with the reference calls.")],
    replies: Annotated[Path, typer.Option(help='Lines {"id", "text"} or {"id", "messages"}.')],
    catalogue: Annotated[
        list[str] | None,
        typer.Option(
            help="Catalogue folder or shipped corpus, repeatable; with it, a call that writes "
            "out a default equals the call without it."
        ),
    ] = None,
) -> None:
    """Score given replies: print the rewards of each as a JSON line. Needs no model.

    Example: tinr score --references queries.jsonl --replies replies.jsonl --catalogue tools
    """
    from tinr.catalogue.load import load_catalogue, read_queries
    from tinr.cli.score_replies import read_replies
    from tinr.rollout.scoring.rewards import score

    queries = {query.id: query for query in read_queries(references)}
    documents = load_catalogue(catalogue).by_name if catalogue else None
    replies_by_id = list(read_replies(replies, queries))
    if not replies_by_id:
        raise BadInput(f"{replies}: contains no replies; write one per line")
    for identifier, reply in replies_by_id:
        result = score(reply, queries[identifier], documents=documents)
        print(json.dumps({"id": identifier, **asdict(result)}))
