"""Documentation: links lead somewhere, and the commands and settings that it shows exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tinr.cli.main import app
from tinr.cli.phases import SUMMARIES, recipe_of
from tinr.config_files import load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CURRENT = [page for page in PAGES if page.name != "notebook.md"]  # which keeps old commands
LINK = re.compile(r"\]\(([^)\s]+)\)")
README_WORDS = 900  # at most


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosting sites make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) < README_WORDS


def test_each_page_says_first_what_the_reader_can_do_after_it() -> None:
    for page in CURRENT[1:]:
        title, text = page.read_text("utf-8").split("\n\n", 2)[:2]
        assert title.startswith("# ") and text.startswith("After this page you "), page.name


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each `tinr` command of the current pages: where it stands, and its words."""
    for page in CURRENT:
        text = page.read_text("utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.startswith("    ")]
        inline = re.findall(r"`(tinr [^`]+)`", text)
        for line in [*map(str.strip, lines), *inline]:
            if line.removeprefix("$ ").startswith("tinr ") and "TInR" not in line:
                yield (
                    f"{page.name}: {line}",
                    shlex.split(line.removeprefix("$ "), comments=True)[1:],
                )


@pytest.mark.parametrize(("place", "words"), [*commands()], ids=lambda value: str(value)[:60])
def test_commands_and_their_options_exist(place: str, words: list[str]) -> None:
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        words = words[1:]
    if words and words[0].isupper():
        return  # `tinr PHASE --settings`
    assert not hasattr(command, "commands") or not words, f"{place}: no command {words[:1]}"
    known = {name for parameter in command.params for name in parameter.opts}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options <= known | {"--help"}, f"{place}: no option {options - known}"
    if command.name in SUMMARIES:
        settings = [word for word in words if re.match(r"[a-z_.]+=", word)]
        load_config(recipe_of(command.name)[0], None, settings)  # BadInput for an unknown one
