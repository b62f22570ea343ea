"""Open values for queries, on three sides that share nothing: "train", "dev" and "test".

A value's side is decided by the hash of its text, so no word, date or larger
number that a training query asks about can appear in a dev or test query, nor one
of a dev query in a test query. Shared between the sides, and said so on the corpus
card: enumerated options, booleans, whole numbers below 100 and clock times.
"""

import datetime
import hashlib
from collections.abc import Callable
from random import Random
from typing import Any, Literal, TypeVar

Side = Literal["train", "dev", "test"]
Value = TypeVar("Value")
SHARED_BELOW = 100  # whole numbers under this are on both sides
TRIES: dict[Side, int] = {"train": 64, "dev": 512, "test": 64}  # dev has an eighth of all values

_ONSETS = "b c d f g h j k l m n p r s t v w z br cl dr fl gr pl st tr".split()
_VOWELS = "a e i o u ai ea ou".split()
_CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "nd", "k"]


def side_of(value: object) -> Side:
    """Which side a value's text belongs to: test has half of all values, dev an eighth."""
    digest = hashlib.sha256(str(value).encode()).digest()
    if digest[0] % 2:
        return "test"
    # by the third byte each side has one of the narrowest range, the six vertices of graphs
    return "train" if digest[2] % 4 else "dev"


def on_side(rng: Random, side: Side, draw: Callable[[Random], Value]) -> Value:
    """Draw until a value of that side comes; a range that has none gives its last draw."""
    value = draw(rng)
    for _ in range(TRIES[side]):
        if side_of(value) == side:
            break
        value = draw(rng)
    return value


def word(rng: Random, side: Side) -> str:
    """A pronounceable random word of two or three syllables."""

    def draw(r: Random) -> str:
        parts = (
            r.choice(_ONSETS) + r.choice(_VOWELS) + r.choice(_CODAS)
            for _ in range(r.choice((2, 2, 3)))
        )
        return "".join(parts)

    return on_side(rng, side, draw)


def words(rng: Random, side: Side, count: int) -> list[str]:
    """`count` random words."""
    return [word(rng, side) for _ in range(count)]


def whole(rng: Random, side: Side, low: int, high: int) -> int:
    """A whole number in [low, high]; wide ranges are drawn evenly over their lengths in digits."""

    def draw(r: Random) -> int:
        top = min(high, 10 ** r.randint(1, len(str(high)))) if high > 100 else high
        return r.randint(low, max(top, low))

    value = draw(rng)
    return value if abs(value) < SHARED_BELOW else on_side(rng, side, draw)


def decimal(rng: Random, side: Side, low: float, high: float, decimals: int) -> float | int:
    """A number in [low, high] with at most `decimals` decimals; whole ones come as int."""

    def draw(r: Random) -> float | int:
        top = min(high, low + 10 ** r.randint(1, len(str(int(high))))) if high > 100 else high
        value = round(r.uniform(low, top), r.randint(0, decimals))
        return int(value) if value == int(value) else value

    return on_side(rng, side, draw)


def date(rng: Random, side: Side, first: int, last: int) -> str:
    """An ISO date in the years [first, last]."""

    def draw(r: Random) -> str:
        start = datetime.date(first, 1, 1)
        days = (datetime.date(last, 12, 31) - start).days
        return (start + datetime.timedelta(days=r.randint(0, days))).isoformat()

    return on_side(rng, side, draw)


def clock(rng: Random, side: Side) -> str:
    """A time of day, HH:MM."""
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def listed(
    rng: Random, side: Side, least: int, most: int, draw: Callable[[Random, Side], Any]
) -> list[Any]:
    """A list of `least` to `most` drawn values."""
    return on_side(rng, side, lambda r: [draw(r, side) for _ in range(r.randint(least, most))])
