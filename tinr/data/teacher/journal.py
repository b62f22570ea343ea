"""Ask an endpoint about many items, and write each outcome to a journal as soon as it arrives.

An interrupted run resumes where it stopped: rows in the journal with the same mark count as
answered. A mark is a hash of everything that determines an outcome.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinr.data.teacher.endpoint import Endpoint, EndpointConfig, TokenUse
from tinr.progress import progress_bar
from tinr.records import BadInput

Row = dict[str, Any]
# asks about one item by its id; returns its row, and whether all its answers arrived
Ask = Callable[[str, Endpoint], Awaitable[tuple[Row, bool]]]


def mark_of(fields: Mapping[str, Any]) -> str:
    """Hash everything that determines an outcome."""
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]


def read_journal(path: Path, marks: Mapping[str, str]) -> dict[str, Row]:
    """Return the outcomes in a journal by id; rows with another mark are ignored."""
    outcomes: dict[str, Row] = {}
    if not path.is_file():
        return outcomes
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # an interruption truncated the line: the item is asked about again
        if isinstance(row, dict) and row.get("mark") == marks.get(str(row.get("id")), ""):
            outcomes[row["id"]] = row
    return outcomes


def ask_for_all(
    marks: Mapping[str, str],
    ask: Ask,
    config: EndpointConfig,
    journal: Path,
    title: str,
    unit: str,
) -> tuple[dict[str, Row], TokenUse]:
    """Return the outcome of every id, from the journal or the endpoint, and the token use.

    marks: id -> mark. Raises BadInput if the endpoint refuses the key or does not know the model.
    """
    outcomes = read_journal(journal, marks)
    token_use = TokenUse(answered=len(outcomes))
    pending = [identifier for identifier in marks if identifier not in outcomes]
    if pending:
        journal.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(
            _ask_pending(pending, marks, ask, config, journal, outcomes, token_use, title, unit)
        )
    return outcomes, token_use


async def _ask_pending(
    pending: Sequence[str],
    marks: Mapping[str, str],
    ask: Ask,
    config: EndpointConfig,
    journal: Path,
    outcomes: dict[str, Row],
    token_use: TokenUse,
    title: str,
    unit: str,
) -> None:
    with (
        journal.open("a", encoding="utf-8") as journal_file,
        progress_bar(len(pending), title, unit) as bar,
    ):
        journal_file.write("\n")  # ends a line that an interruption truncated

        async def ask_one(identifier: str, endpoint: Endpoint) -> None:
            row, is_whole = await ask(identifier, endpoint)
            row = {"id": identifier, "mark": marks[identifier], **row}
            outcomes[identifier] = row
            if is_whole:  # the next run asks again for missing answers
                journal_file.write(json.dumps(row, ensure_ascii=False) + "\n")
                journal_file.flush()
            bar.update(1)
            bar.set_postfix_str(f"cost {token_use.price(config):.2f}", refresh=False)

        try:
            async with Endpoint(config, token_use) as endpoint, asyncio.TaskGroup() as group:
                for identifier in pending:
                    group.create_task(ask_one(identifier, endpoint))
        except BaseExceptionGroup as error:
            bad_input = error.subgroup(BadInput)
            raise bad_input.exceptions[0] if bad_input else error.exceptions[0] from None
