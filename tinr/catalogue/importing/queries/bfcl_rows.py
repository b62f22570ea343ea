"""Rows of BFCL and ACEBench: candidates in the row, reference answers in a separate file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinr.catalogue.importing.problems import Problem, step
from tinr.catalogue.importing.queries.literals import python_call
from tinr.catalogue.importing.queries.questions import Asked, Place, call

FILES = {  # class of a multi-turn row -> the file of its documents
    "GorillaFileSystem": "gorilla_file_system", "MathAPI": "math_api", "MessageAPI": "message_api",
    "TwitterAPI": "posting_api", "TicketAPI": "ticket_api", "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking", "VehicleControlAPI": "vehicle_control",
}  # fmt: skip
NO_CALL = ("irrelevance",)  # categories in which no call is expected


def user_message(text: str) -> list[dict[str, str]]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text.strip()}]


def bfcl_turns(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of BFCL's multi-turn categories: each user turn is a query.

    Its calls are made one after the other. If the user says nothing, a missing function has been
    added, and the calls answer the previous turn.
    """
    identifier, truth = str(row["id"]), place.answers.get(str(row["id"]))
    if truth is None:
        reason = f"query {identifier!r} has no reference answer"
        yield Problem(place.file, place.pointer, reason)
        return
    if not all(isinstance(written, list) for written in truth):  # memory, web search
        reason = f"query {identifier!r}: its reference is an answer, not calls"
        yield Problem(place.file, place.pointer, reason)
        return
    turns: list[tuple[Sequence[Any], list[str]]] = []
    for messages, written in zip(row["question"], truth, strict=True):
        if messages or not turns:
            turns.append((messages, list(written)))
        else:
            turns[-1][1].extend(written)
    category = re.sub(r"_\d[\d-]*$", "", identifier)
    files = [FILES.get(name, name) for name in row["involved_classes"]]
    history: list[dict[str, str]] = []
    for number, (messages, written) in enumerate(turns):
        history = [*history, *messages]
        references = [
            call(name, named, turn) | {"positional": positional, "files": files}
            for turn, (name, positional, named) in enumerate(map(python_call, written))
        ]
        yield Asked(
            place.file,
            step(place.pointer, "question", number),
            f"{identifier}-{number}",
            history,
            references,
            extra={"category": category},
            stated=True,
        )
        if written:
            history = [*history, {"role": "assistant", "content": "\n".join(written)}]


def bfcl(row: Mapping[str, Any], place: Place) -> Iterator[Asked | Problem]:
    """Read a row of BFCL or ACEBench: question, candidate functions; answers in another file."""
    identifier, question = str(row["id"]), row["question"]
    if isinstance(question, str):
        messages = _dialogue(question)
    else:
        messages = [m for turn in question for m in turn]
    truth = place.answers.get(identifier)
    category = re.sub(r"_\d[\d-]*$", "", identifier)
    if truth is None and not any(word in category for word in NO_CALL):
        yield Problem(place.file, place.pointer, f"query {identifier!r} has no reference answer")
        return
    is_plain = isinstance(truth, Mapping) or _is_plain(truth)
    if isinstance(truth, Mapping):  # ACEBench: calls by name, with a suffix if one is repeated
        names = {str(function.get("name")) for function in row["function"]}
        truth = [{_unsuffixed(name, names): arguments} for name, arguments in truth.items()]
    accept: list[dict[str, Any]] = []
    if is_plain:
        calls = [
            call(name, arguments)
            for reference in truth or []
            for name, arguments in reference.items()
        ]
    else:
        accept = [
            {"name": name, "arguments": values}
            for reference in truth or []
            for name, values in reference.items()
        ]
        calls = [
            call(reference["name"], _first_accepted(reference["arguments"])) for reference in accept
        ]
    yield Asked(
        place.file,
        place.pointer,
        identifier,
        messages,
        calls,
        accept=accept,
        candidates=row.get("function") or (),
        extra={"category": category},
        stated=True,
    )


def _is_plain(truth: Any) -> bool:
    """Whether reference calls have plain arguments (ACEBench), not lists of accepted values."""
    arguments = [a for reference in truth or [] for a in reference.values()]
    return not all(isinstance(values, list) for a in arguments for values in a.values())


def _unsuffixed(name: str, names: set[str]) -> str:
    return name if name in names else re.sub(r"_\d+$", "", name)


def _first_accepted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take the first accepted value of each parameter; skip a parameter if that value is ""."""
    arguments = {}
    for name, accepted_values in values.items():
        options = accepted_values if isinstance(accepted_values, list) else [accepted_values]
        if "" in options and (not options or options[0] == ""):
            continue
        value = options[0] if options else None
        if isinstance(value, Mapping):
            value = _first_accepted(value)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            value = [_first_accepted(v) for v in value]
        arguments[name] = value
    return arguments


def _dialogue(text: str) -> list[dict[str, str]]:
    """Split a text `user: ... system: ...` into messages; here "system" is the assistant."""
    parts = re.split(r"(?m)^(user|system|assistant):\s*", text)
    roles = {"user": "user", "system": "assistant", "assistant": "assistant"}
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    messages = [{"role": roles[role], "content": text.strip()} for role, text in pairs]
    return messages or user_message(text)
