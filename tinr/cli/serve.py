"""`tinr serve`: serve a checkpoint through an OpenAI-compatible API."""

from contextlib import ExitStack, closing
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
    beside: Annotated[
        str | None, typer.Option(help="Another checkpoint, to compare on the page.")
    ] = None,
    documents: Documents = "none",
    constrained: Constrained = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    rows: Annotated[int, typer.Option(min=1, help="Replies generated at the same time.")] = 64,
    most: Annotated[int, typer.Option(min=1, help="Open requests; more are rejected.")] = 256,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run the calls on the server, then answer.")
    ] = False,
    executors: Executors = None,
    registry: RegistryFolder = REGISTRY,
) -> None:
    """Serve chat completions for OpenAI clients; the address / shows a page.

    The client runs the tools. With --execute, or with --executors, the server runs them.

    Example: tinr serve --checkpoint grpo@latest --port 8000
    """
    try:
        from tinr.serve.app import bind, make_app, run_server
        from tinr.serve.batcher import Batcher
        from tinr.serve.conversation import Reader, with_candidates_of_requests
        from tinr.serve.metrics import Metrics
        from tinr.serve.origins import LOOPBACK
        from tinr.serve.service import CompletionService
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
    metrics = Metrics()
    services: list[CompletionService] = []
    with ExitStack() as opened:
        for name in dict.fromkeys(filter(None, (checkpoint, beside))):
            card, model, codec, catalogue = open_checkpoint(Registry(registry), name)
            if warning := untrained(card, documents):
                typer.echo(warning, err=True)
            library = with_candidates_of_requests(Library(catalogue, trained_prompt(card)))
            reader = Reader(codec, library, mode)
            reader.shown(Query("first", "hello"))  # raises now if the retriever cannot be built
            executor = None
            if execute or executors is not None:
                executor = opened.enter_context(closing(executor_of(catalogue, executors)))
            batcher = Batcher(
                model, codec, catalogue, mode, constrained, rows, most, executor,
                metrics=metrics, name=card.id,
            )  # fmt: skip
            opened.callback(batcher.close, now=True)
            services.append(
                CompletionService(list(dict.fromkeys([card.id, name])), reader, batcher)
            )
            print(f"{card.id}: {len(catalogue.tools)} tools", flush=True)
        hosts = LOOPBACK if host in LOOPBACK else ()
        url = f"http://{f'[{host}]' if ':' in host else host}:{socket.getsockname()[1]}"
        print(f"page at {url}, API at {url}/v1 (Ctrl-C to stop)", flush=True)
        run_server(make_app(services, metrics, hosts), socket)
