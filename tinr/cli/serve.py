"""`tinr serve`: a checkpoint behind an OpenAI-compatible address."""

from typing import Annotated

import typer

from tinr.cli.options import (
    REGISTRY,
    Checkpoint,
    Constrained,
    Documents,
    Executors,
    RegistryFolder,
)
from tinr.records import BadInput, Query


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serve")(serve)


def serve(
    checkpoint: Checkpoint = "grpo@latest",
    documents: Documents = "none",
    constrained: Constrained = False,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    rows: Annotated[int, typer.Option(min=1, help="Replies that are written at once.")] = 16,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run the calls here, and answer when they are done.")
    ] = False,
    executors: Executors = None,
    registry: RegistryFolder = REGISTRY,
) -> None:
    """Answer chat completions as OpenAI's clients ask for them.

    The client runs the tools. With --execute, or with --executors, the server runs them.

    Example: tinr serve --checkpoint grpo@latest --port 8000
    """
    try:
        from tinr.serve.app import CompletionService, bind, make_app, run_server
        from tinr.serve.batcher import Batcher
        from tinr.serve.conversation import Reader, with_candidates_of_requests
    except ModuleNotFoundError as error:
        raise BadInput(f"{error.name} is not installed; pip install 'tinr[serve]'") from error
    from tinr.catalogue.retrieval import Library
    from tinr.checkpoints.open import open_checkpoint
    from tinr.checkpoints.registry import Registry
    from tinr.evaluation.contenders import trained_prompt, untrained
    from tinr.evaluation.evaluate import documents_mode
    from tinr.rollout.tools.own_tools import executor_of

    mode = documents_mode(documents)
    socket = bind(host, port)
    card, model, codec, catalogue = open_checkpoint(Registry(registry), checkpoint)
    if warning := untrained(card, documents):
        typer.echo(warning, err=True)
    library = with_candidates_of_requests(Library(catalogue, trained_prompt(card)))
    reader = Reader(codec, library, mode)
    reader.shown(Query("first", "hello"))  # a retriever that cannot be made raises now
    runs_here = execute or executors is not None
    executor = executor_of(catalogue, executors) if runs_here else None
    batcher = Batcher(model, codec, catalogue, mode, constrained, rows, executor=executor)
    names = list(dict.fromkeys([card.id, checkpoint]))
    url = f"http://{host}:{socket.getsockname()[1]}/v1"
    print(f"{card.id}, {len(catalogue.tools)} tools, at {url} (interrupt to end)", flush=True)
    try:
        run_server(make_app(CompletionService(names, reader, batcher)), socket)
    finally:
        batcher.close()
        if executor is not None:
            executor.close()
