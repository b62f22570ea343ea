"""A real browser for the pages that people meet.

Needs Chromium (CHROMIUM, or `chromium` on the path); tests skip, and say so, where it is missing.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install .[dev]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or CHROMIUM"),
]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SIZES = {"phone": {"width": 360, "height": 800}, "desktop": {"width": 1280, "height": 900}}
VIEWS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that starts without a display; its profile is a new folder of its own."""
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Any, view: tuple[str, str], url: str) -> Iterator[Any]:
    """A page opened; what the browser complains of or asks for is in `page.said`."""
    size, scheme = view
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.said.append(request.url))
    page.goto(url)
    yield page
    context.close()


def check_access(page: Any) -> None:
    """It fits its window; axe finds nothing: names, roles, contrast, headings, landmarks."""
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{wide[0]} pixels in a window of {wide[1]}"
    options = {"resultTypes": ["violations"]}
    violations = axe.Axe().run(page, options=options).response["violations"]
    assert not violations, "\n".join(
        f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in violations
    )
