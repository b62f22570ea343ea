"""Conversations on a terminal: the query, then the reply with every part in its colour."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tinr.chat.codec import Piece, name_of
from tinr.chat.parse import split_text

COLOURS = {
    "think": "dim",
    "tool_token": "magenta",
    "tool_call": "cyan",
    "obs": "yellow",
    "response": "bold green",
}
TOOL = "magenta"
SHOWN = 3  # conversations of a run


def print_conversation(query: str, pieces: Sequence[Piece], console: Console) -> None:
    """One conversation; a copied call stays one line."""
    console.print(Text(query, style="bold"))
    console.print(coloured(pieces), soft_wrap=True)


def coloured(pieces: Sequence[Piece]) -> Text:
    """The pieces of a reply, a line after each closed part."""
    text, style = Text(), ""
    for piece in pieces:
        tag = piece.text.strip("<>/") if piece.token else ""
        closes = piece.token and piece.text.startswith("</")
        if tag in COLOURS and not closes:
            style = COLOURS[tag]
        is_tool = piece.token and name_of(piece.text) is not None
        text.append(piece.text, style=TOOL if is_tool else style)
        if closes:
            text.append("\n")
    return text


def print_replies(path: Path, console: Console, count: int = SHOWN) -> None:
    """Some conversations of a file of replies: one of each split, as far as `count` goes."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in _one_of_each(rows)[:count]:
        console.print()
        console.rule(f"{row.get('split') or 'a query'}: {_verdict(row)}", align="left")
        print_conversation(_asked(row), split_text(row["reply"]), console)


def _one_of_each(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of every split, then the second ones: what a reader sees first differs most."""
    places: dict[str, int] = {}
    ranked = []
    for row in rows:
        split = row.get("split") or ""
        places[split] = places.get(split, -1) + 1
        ranked.append((places[split], len(ranked), row))
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])]


def _asked(row: dict[str, Any]) -> str:
    messages = row.get("messages") or [{"content": row.get("query", "")}]
    return str(messages[-1]["content"])


def _verdict(row: dict[str, Any]) -> str:
    judged = row.get("outcome") or {}
    if judged.get("abstain_acc") is not None:
        return "rightly without a tool" if judged["abstain_acc"] else "a tool, though none fits"
    if judged.get("call_em"):
        return "called right"
    return "named right, called otherwise" if judged.get("name_em") else "another tool, or none"
