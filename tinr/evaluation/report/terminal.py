"""Print conversations on a terminal: the query, then the reply with a colour for each part."""

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
SHOWN = 3  # number of printed conversations of a run


def print_conversation(query: str, pieces: Sequence[Piece], console: Console) -> None:
    """Print one conversation; calls are not wrapped, so that they can be copied."""
    console.print(Text(query, style="bold"))
    console.print(coloured(pieces), soft_wrap=True)


def coloured(pieces: Sequence[Piece]) -> Text:
    """The pieces of a reply, with a line break after each closed part."""
    text, style = Text(), ""
    for piece in pieces:
        tag = piece.text.strip("<>/") if piece.token else ""
        is_end = piece.token and piece.text.startswith("</")
        if tag in COLOURS and not is_end:
            style = COLOURS[tag]
        is_tool = piece.token and name_of(piece.text) is not None
        text.append(piece.text, style=TOOL if is_tool else style)
        if is_end:
            text.append("\n")
    return text


def print_replies(path: Path, console: Console, count: int = SHOWN) -> None:
    """Print up to `count` conversations of a file of replies, from different splits first."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in _by_split_in_turn(rows)[:count]:
        console.print()
        console.rule(f"{row.get('split') or 'a query'}: {_verdict(row)}", align="left")
        print_conversation(_query_text(row), split_text(row["reply"]), console)


def _by_split_in_turn(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of every split, then the second rows, so that the first rows differ most."""
    counts: dict[str, int] = {}
    ranks = []
    for row in rows:
        split = row.get("split") or ""
        counts[split] = counts.get(split, -1) + 1
        ranks.append((counts[split], len(ranks), row))
    return [row for _, _, row in sorted(ranks, key=lambda item: item[:2])]


def _query_text(row: dict[str, Any]) -> str:
    messages = row.get("messages") or [{"content": row.get("query", "")}]
    return str(messages[-1]["content"])


def _verdict(row: dict[str, Any]) -> str:
    outcome = row.get("outcome") or {}
    if outcome.get("abstain_acc") is not None:
        return "right: no call" if outcome["abstain_acc"] else "wrong: a call or no answer"
    if outcome.get("call_em"):
        return "right call"
    return "right tool, wrong call" if outcome.get("name_em") else "wrong tool or none"
