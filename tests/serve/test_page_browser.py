"""The page at `/` in a real browser: ask, watch the parts, look at a tool, compare two models."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser_parts import VIEWS, browser, check_access, needs_browser, opened
from serve_parts import CALLING, MODEL, Script, running

from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec, Piece
from tinr.chat.render import render_response
from tinr.data.alignment_examples import TO_DOCUMENT
from tinr.rollout.tools.executor import Executor
from tinr.serve.app import make_app
from tinr.serve.batcher import Batcher
from tinr.serve.conversation import Reader
from tinr.serve.service import CompletionService

pytestmark = needs_browser
__all__ = ["browser"]  # the fixture
MARKUP = "<b id=evil>bold</b>"


def writes(prompt: str) -> list[Piece]:
    """Recalls, calls, and answers with what would be markup."""
    if TO_DOCUMENT[0] in prompt:
        return [Piece("Area of a circle from what it knows.")]
    if "<obs>" in prompt:
        return render_response(f"It is 12.57 {MARKUP}.")
    return CALLING


@pytest.fixture
def address(grown: Any, catalogue: Any) -> Iterator[str]:
    """A server with two models, one of which runs the calls itself."""
    codec: Codec = grown("tiny")
    services: list[CompletionService] = []
    executor = Executor(catalogue, {"circle_area": lambda radius: 12.57})
    for names, runner in ((["new"], executor), (["old"], None)):
        batcher = Batcher(MODEL, codec, catalogue, executor=runner, decoder=Script(codec, writes))
        reader = Reader(codec, Library(catalogue, DocumentsConfig()), "none")
        services.append(CompletionService(names, reader, batcher))
    with running(make_app(services, hosts=["127.0.0.1"])) as url:
        yield url
    for service in services:
        service.batcher.close()


@pytest.fixture
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, getattr(request, "param", VIEWS[-1]), address) as page:
        page.wait_for_selector("#first option", state="attached")
        yield page


def ask(page: Any, text: str = "Area of a circle of radius 2?") -> None:
    page.fill("#query", text)
    page.keyboard.press("Enter")
    page.wait_for_selector("#send:enabled")
    assert page.inner_text("#status") == "Done."


@pytest.mark.parametrize("page", VIEWS, indirect=True, ids="-".join)
def test_a_reply_is_shown_part_by_part_and_is_accessible(page: Any, address: str) -> None:
    page.select_option("#second", "old")
    ask(page)
    assert all(one.startswith(address) for one in page.said), page.said  # and no complaint
    new, old = page.locator("article").all()
    assert [h.inner_text() for h in new.locator("h3").all()] == [
        "Thought", "Tools", "Call", "Result", "Answer", "Most likely tools"]  # fmt: skip
    assert new.locator(".obs").inner_text() == "12.57"
    assert new.locator(".answer").inner_text() == f"It is 12.57 {MARKUP}."
    assert page.locator("#evil").count() == 0  # what a model says is text
    assert "the client runs this call" in old.inner_text().lower()
    close = new.locator("table tr").all_inner_texts()
    assert close[0].startswith("circle_area") and len(close) == 3
    check_access(page)


def test_a_tool_is_shown_as_recalled_beside_its_document(page: Any) -> None:
    ask(page)
    button = page.locator("article button.tool").first
    button.focus()
    page.keyboard.press("Enter")
    page.locator("#document", has_text="Area").wait_for()
    assert page.inner_text("#recalled") == "Area of a circle from what it knows."
    assert page.inner_text("#document").startswith("Area of a circle")
    check_access(page)
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('tool').open")
    button.hover()
    page.wait_for_selector("article button.tool[title*='what it knows']")


def test_a_conversation_goes_on_and_an_error_is_said(page: Any) -> None:
    page.check("#keep")
    ask(page)
    ask(page, "And of radius 3?")
    assert page.locator("article").count() == 1 and page.locator(".asked").count() == 2
    page.fill("#query", "word " * 2000)
    page.click("#send")
    page.wait_for_selector("#status.wrong")
    assert "do not fit" in page.inner_text("#status")
    assert page.is_enabled("#send")
