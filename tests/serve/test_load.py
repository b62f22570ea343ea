"""Many clients at once, over HTTP: nobody is lost, and what is lost is said."""

import re
from collections.abc import Iterator

import pytest
from serve_parts import ANSWER, MODEL, Script, running
from typer.testing import CliRunner

from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.cli.main import app
from tinr.records import RunFailed
from tinr.serve.app import make_app
from tinr.serve.batcher import Batcher
from tinr.serve.conversation import Reader
from tinr.serve.service import CompletionService
from tinr.studies.benchmarks.serving import measure_load

pytest.importorskip("openai", reason="the openai package is not installed")


@pytest.fixture
def address(grown, catalogue: Catalogue, request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that takes so many requests at a time."""
    codec: Codec = grown("tiny")
    script = Script(codec, lambda prompt: ANSWER)
    batcher = Batcher(MODEL, codec, catalogue, decoder=script, rows=3, most=request.param)
    reader = Reader(codec, Library(catalogue, DocumentsConfig()), "none")
    with running(make_app([CompletionService(["m"], reader, batcher)])) as url:
        yield f"{url}v1"
    batcher.close()


@pytest.mark.parametrize("address", [64], indirect=True)
def test_sixty_four_clients_are_all_answered(address):
    load = measure_load(address, "m", [f"question {n}" for n in range(150)], 64, 100)
    assert (load.clients, load.requests, load.failures) == (64, 150, ())
    assert 0 < load.first_median <= load.first_longest <= load.whole_longest <= load.seconds
    assert load.tokens_a_second > 0


@pytest.mark.parametrize("address", [2], indirect=True)
def test_what_is_turned_away_is_counted_and_fails_the_command(address):
    words = ["bench", "serving", "--url", address, "--clients", "16", "--requests", "16"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and "16 requests of 16 clients" in done.stdout
    assert re.search(r"; [1-9]\d* failed", done.stdout)  # two at once, and all sixteen come at once
    assert "2 requests are open already" in str(done.exception)


def test_a_server_that_is_not_there_is_said():
    with pytest.raises(RunFailed, match="no request was answered: APIConnectionError"):
        measure_load("http://127.0.0.1:9/v1", "m", ["hello"], 1, 10)
