"""A server behind a test client."""

from typing import Any

import pytest
from serve_parts import MODEL, Script, Writes, circle
from starlette.testclient import TestClient

from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.records import DocumentsMode
from tinr.serve.app import make_app
from tinr.serve.batcher import Batcher
from tinr.serve.conversation import (
    Reader,
    with_candidates_of_requests,
)
from tinr.serve.service import CompletionService


@pytest.fixture
def served(codec, catalogue):
    """`served(writes, documents)`: a client, and the script behind it."""
    batchers: list[Batcher] = []

    def make(
        writes: Writes = circle,
        documents: DocumentsMode = "none",
        prompt: DocumentsConfig | None = None,
        **more: Any,
    ) -> tuple[TestClient, Script]:
        script = Script(codec, writes)
        batcher = Batcher(MODEL, codec, catalogue, documents, decoder=script, **more)
        batchers.append(batcher)
        asks = batcher.ask
        batcher.ask = lambda job: (script.jobs.append(job), asks(job))[1]  # type: ignore[method-assign]
        library = with_candidates_of_requests(Library(catalogue, prompt or DocumentsConfig()))
        reader = Reader(codec, library, documents)
        app = make_app([CompletionService(["grpo-1", "grpo@latest"], reader, batcher)])
        return TestClient(app, raise_server_exceptions=False), script

    yield make
    for batcher in batchers:
        batcher.close()
