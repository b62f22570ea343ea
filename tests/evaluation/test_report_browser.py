"""The page as people meet it: in a real browser, wide and narrow, light and dark, by keyboard.

Needs Chromium (CHROMIUM, or `chromium` on the path); skipped, and said so, where it is missing.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser_parts import SIZES, VIEWS, browser, check_access, needs_browser, opened
from report_parts import whole_run

from tinr.evaluation.report.page import write_report

pytestmark = needs_browser
__all__ = ["browser"]  # the fixture
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with everything in it."""
    return write_report(whole_run(tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def page(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report opened; what the browser complains of or asks for is in `page.said`."""
    with opened(browser, getattr(request, "param", VIEWS[-1]), report.as_uri()) as page:
        yield page


@pytest.mark.parametrize("page", VIEWS, indirect=True, ids="-".join)
def test_the_page_fits_asks_for_nothing_and_is_accessible(page: Any, report: Path) -> None:
    """All of it opened; axe checks names, roles, contrast, headings, landmarks, tables."""
    page.evaluate(OPEN_ALL)
    assert page.said == [report.as_uri()]  # the file itself, and not a word in the console
    check_access(page)


@pytest.mark.parametrize("page", VIEWS, indirect=True, ids="-".join)
def test_charts_take_the_colours_of_the_theme(page: Any) -> None:
    """The first label of a chart, and the page behind it, are as the theme says."""
    ink, paper = page.evaluate(
        "[getComputedStyle(document.querySelector('.plot text')).fill,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    shades = [sum(map(int, colour[4:-1].split(","))) / 3 for colour in (ink, paper)]
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert shades[1] < 40 < 140 < shades[0] if dark else shades[0] < 110 < 240 < shades[1]


def test_the_keyboard_reaches_everything(page: Any) -> None:
    """Tab: the skip link, the contents, then tables that scroll and what can be opened."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    box = page.locator(".skip").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0  # it is seen while it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.tagName"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", f"no focus is seen on {seen[-1]}"
        if seen[-1] == "SUMMARY":
            break
    assert seen[-1] == "SUMMARY" and "DIV" in seen
    opened = "document.activeElement.parentElement.open"
    before = page.evaluate(opened)
    page.keyboard.press("Enter")
    assert page.evaluate(opened) is not before


def test_the_contents_lead_to_the_sections(page: Any) -> None:
    links = page.eval_on_selector_all("nav a", "links => links.map(a => a.getAttribute('href'))")
    assert len(links) == 13
    assert all(page.locator(f"main section{link}").count() == 1 for link in links)


def test_headings_never_skip_a_level(page: Any) -> None:
    page.evaluate(OPEN_ALL)
    levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(h => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_says_what_it_is(page: Any) -> None:
    """A caption each, a head for every column and row, and no id twice."""
    bare = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => !t.caption?.textContent.trim()"
        " || t.querySelector('th:not([scope])') || t.querySelector('tbody tr:not(:has(th))'))"
    )
    assert bare == []
    ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids)) > 50


def test_a_wide_table_scrolls_in_its_own_region(browser: Any, report: Path) -> None:
    page = browser.new_page(viewport=SIZES["phone"])
    page.goto(report.as_uri())
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].findIndex("
        "r => r.scrollWidth > r.clientWidth && !r.closest('details:not([open])'))"
    )
    assert wide >= 0  # a phone is too narrow for some of them
    page.locator(".scroll").nth(wide).focus()
    page.keyboard.press("ArrowRight")
    end = time.monotonic() + 20  # polled from here: the page's policy forbids it to evaluate
    while page.evaluate(f"document.querySelectorAll('.scroll')[{wide}].scrollLeft") == 0:
        assert time.monotonic() < end, "it does not scroll"
        page.wait_for_timeout(20)
    assert page.evaluate("document.documentElement.scrollLeft") == 0
    page.close()


def test_what_was_written_by_a_model_is_text(page: Any) -> None:
    """The argument "<b>metre</b>" that replies hold never becomes bold."""
    page.evaluate(OPEN_ALL)
    assert page.get_by_text("<b>metre</b>").count() > 0
    assert page.locator(".turns b, .wrong b, script").count() == 0
