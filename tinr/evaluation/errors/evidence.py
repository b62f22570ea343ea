"""Whether a value could be known, or was made up. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def is_known(value: Any, texts: Iterable[str], schema: Any) -> bool:
    """Whether a word or number of a JSON value stands in a text or among a schema's enums and
    defaults. Case, signs and the commas of thousands say nothing; a value without word and
    number (true, an empty list) is known.
    """
    words = words_of(value)
    sources = (*texts, *_stated(schema))
    return not words or any(not words.isdisjoint(words_of(source)) for source in sources)


def words_of(value: Any) -> set[str | float]:
    """The words, folded, and the numbers of a JSON value's texts and numbers, keys left out."""
    found: set[str | float] = set()
    for leaf in _leaves(value):
        if isinstance(leaf, str):
            text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", leaf.casefold())
            found |= {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}
            found |= set(re.findall(r"[^\W\d_]+", text))
        elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
            found.add(_size(leaf))
    return found


def _leaves(value: Any) -> Iterator[Any]:
    """What is neither list nor object, at any depth."""
    open_ = [value]
    while open_:
        inner = open_.pop()
        if isinstance(inner, Mapping):
            open_ += inner.values()
        elif isinstance(inner, list | tuple):
            open_ += inner
        else:
            yield inner


def _size(number: float) -> float:
    try:
        return float(abs(number))
    except OverflowError:
        return float("inf")


def _stated(schema: Any) -> Iterator[Any]:
    """Every enum and default within a schema."""
    if isinstance(schema, list):
        for inner in schema:
            yield from _stated(inner)
    elif isinstance(schema, Mapping):
        for key, inner in schema.items():
            if key in ("enum", "default"):
                yield inner
            else:
                yield from _stated(inner)
