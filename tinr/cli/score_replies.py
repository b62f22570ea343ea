"""Read and parse the replies of `tinr score` from a file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from tinr.catalogue.load import read_jsonl
from tinr.chat.parse import parse_messages, parse_text
from tinr.records import BadInput, Message, Query, Reply, Role


def read_replies(path: Path, queries: Mapping[str, Query]) -> Iterator[tuple[str, Reply]]:
    """Yield `(id, reply)` of every line `{"id", "text"}` or `{"id", "messages"}`.

    BadInput for a line in another format or an id without a reference; the content of a text is
    never an error. All lines are checked before the first one is yielded.
    """
    lines = list(read_jsonl(path))
    replies = [(_identifier(line, place, queries), _reply(line, place)) for place, line in lines]
    yield from replies


def _identifier(line: Mapping[str, Any], place: str, queries: Mapping[str, Query]) -> str:
    identifier = line.get("id")
    if not isinstance(identifier, str | int):
        raise BadInput(f'{place}: no "id"; give the id of the reference')
    if str(identifier) not in queries:
        raise BadInput(f"{place}: id {identifier!r} is not among the references; correct the id")
    return str(identifier)


def _reply(line: Mapping[str, Any], place: str) -> Reply:
    if isinstance(line.get("text"), str):
        return parse_text(line["text"])
    messages = line.get("messages")
    if not isinstance(messages, list):
        raise BadInput(f'{place}: neither "text" nor "messages"; give one of them')
    return parse_messages(
        [_message(message, f"{place}: messages[{index}]") for index, message in enumerate(messages)]
    )


def _message(message: Any, place: str) -> Message:
    if not isinstance(message, dict) or message.get("role") not in get_args(Role):
        raise BadInput(f'{place}: not a message; write {{"role": ..., "content": ...}}')
    content = message.get("content")
    return Message(message["role"], content if isinstance(content, str) else "")
