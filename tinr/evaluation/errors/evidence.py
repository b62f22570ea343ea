"""Whether a value could be known, or was hallucinated. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def is_known(value: Any, texts: Iterable[str], schema: Any) -> bool:
    """Whether a word or number of a JSON value occurs in a text or a schema's enums and defaults.

    Case, signs and thousands separators are ignored. A value without words and numbers (true, an
    empty list) is known.
    """
    words = words_of(value)
    sources = (*texts, *_enums_and_defaults(schema))
    return not words or any(not words.isdisjoint(words_of(source)) for source in sources)


def words_of(value: Any) -> set[str | float]:
    """The case-folded words and the numbers in a JSON value, without its keys."""
    words: set[str | float] = set()
    for leaf in _leaves(value):
        if isinstance(leaf, str):
            text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", leaf.casefold())
            words |= {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}
            words |= set(re.findall(r"[^\W\d_]+", text))
        elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
            words.add(_size(leaf))
    return words


def _leaves(value: Any) -> Iterator[Any]:
    """Yield every value at any depth that is neither a list nor an object."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack += item.values()
        elif isinstance(item, list | tuple):
            stack += item
        else:
            yield item


def _size(number: float) -> float:
    try:
        return float(abs(number))
    except OverflowError:
        return float("inf")


def _enums_and_defaults(schema: Any) -> Iterator[Any]:
    """Every enum and default within a schema."""
    if isinstance(schema, list):
        for item in schema:
            yield from _enums_and_defaults(item)
    elif isinstance(schema, Mapping):
        for key, item in schema.items():
            if key in ("enum", "default"):
                yield item
            else:
                yield from _enums_and_defaults(item)
