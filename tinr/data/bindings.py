"""Derive the values of a call from the words of its query, as a line of the thought.

The values stand in the query's order, each between the words beside it, followed by its parameter:
`height 49.58 and = height; radius 10.1 = radius`. The model reads a value where it stands and says
what it is before it writes the call. Such lines are composed without a teacher. They are the
"line that derives each value from the query" of small models that write arguments well
(docs/notebook.md has our figures).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinr.records import Call

MAX_CHARACTERS = 14  # of a value that is repeated
RESULT = "the result"  # the words of a value that an earlier call returns


def derivations(
    text: str, turns: Sequence[Sequence[Call]], observations: Sequence[str] = ()
) -> list[str]:
    """Derive the values of each call, in the order of the calls; "" for a call without arguments.

    observations: what the calls returned, in the same order. A value that stands neither in the
    text nor in an earlier result is stated by itself.
    """
    words = _Words(text)
    results = [_parsed(observation) for observation in observations]
    lines: list[str] = []
    for turn in turns:
        earlier = results[: len(lines)]
        lines += [_line(call, words, earlier, is_first=turn is turns[0]) for call in turn]
    return lines


def _line(call: Call, words: "_Words", earlier: Sequence[Any], is_first: bool) -> str:
    placed: list[tuple[int, str]] = []
    rest: list[str] = []
    for name, value in call.arguments.items():
        place = words.place(value)
        if place is not None:
            placed.append((place[0], f"{words.around(*place)} = {name}"))
        elif not is_first and _may_be_result(value, earlier):
            rest.append(f"{RESULT} = {name}")
        else:
            rest.append(f"{name}: {_shortened(_written(value))}")
    return "; ".join([*(line for _, line in sorted(placed)), *rest])


def _may_be_result(value: Any, earlier: Sequence[Any]) -> bool:
    """Whether a value that the query does not state comes from an earlier call.

    A result may be rounded or taken apart. Only options are implied by words: booleans and names.
    """
    return value in earlier or not isinstance(value, bool | str)


class _Words:
    """The words of a query. Each place in them gives one value."""

    def __init__(self, text: str):
        self.text = text
        self.taken: set[int] = set()

    def place(self, value: Any) -> tuple[int, int] | None:
        """Find the first free place of a value, or of a list's first member; None: there is none.

        Booleans have no place: yes and no are not said by these words.
        """
        for spelling in _spellings(value):
            pattern = rf"(?<![\w.]){re.escape(spelling)}(?!\w|\.\d)"
            for match in re.finditer(pattern, self.text, re.IGNORECASE):
                if match.start() not in self.taken:
                    self.taken.add(match.start())
                    return match.span()
        return None

    def around(self, start: int, end: int) -> str:
        """Return the words of a place with the word before and the word after them."""
        before = re.search(r"([\w'#-]+)\W{0,3}$", self.text[:start])
        after = re.match(r"[\"')\]]?\s+([\w'-]+)", self.text[end:])
        words = [before[1]] if before else []
        words.append(_shortened(self.text[start:end]))
        return " ".join([*words, *([after[1]] if after else [])])


def _spellings(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        yield from _spellings(value[0]) if value else ()
    elif isinstance(value, bool | Mapping) or value is None or value == "":
        return
    else:
        yield str(value)
        if isinstance(value, float) and value.is_integer():
            yield str(int(value))


def _parsed(observation: str) -> Any:
    try:
        return json.loads(observation)
    except (ValueError, RecursionError):
        return observation


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _shortened(text: str) -> str:
    """Return a value as one line; of a long one the first words."""
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS].rsplit(' ', 1)[0]}..."
