"""Draw a string that matches a regular expression, for values of a schema with a `pattern`.

`rstr` does the same, but its draws depend on the order of sets and therefore on the process;
practice calls must be the same in every process. Look-around is ignored and backreferences are
not supported, so the caller must check the result.
"""

import re
import string
from collections.abc import Sequence
from random import Random
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LETTERS = string.ascii_lowercase
ANY = string.ascii_letters + string.digits
MAX_REPEATS = 6  # maximum repetitions beyond the minimum
CATEGORIES = {
    "category_digit": string.digits,
    "category_not_digit": LETTERS,
    "category_space": " ",
    "category_not_space": ANY,
    "category_word": ANY + "_",
    "category_not_word": "-.:/ ",
}


def matching(pattern: str, rng: Random) -> str | None:
    """Draw a string for a regular expression; None if it is invalid in Python or unsupported."""
    try:
        parsed = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    try:
        return _text(parsed, rng)
    except (KeyError, IndexError, RecursionError):  # a construct that cannot be drawn
        return None


def _text(parts: Sequence[Any], rng: Random) -> str:
    return "".join(_part(opcode.name.lower(), value, rng) for opcode, value in parts)


def _part(kind: str, value: Any, rng: Random) -> str:
    match kind:
        case "literal":
            return chr(value)
        case "not_literal":
            return rng.choice(ANY.replace(chr(value), ""))
        case "any":
            return rng.choice(ANY)
        case "in":
            return rng.choice(_characters(value))
        case "branch":
            return _text(rng.choice(value[1]), rng)
        case "subpattern":
            return _text(value[-1], rng)
        case "atomic_group":
            return _text(value, rng)
        case "max_repeat" | "min_repeat" | "possessive_repeat":
            least, most, repeated = value
            times = rng.randint(least, min(most, least + MAX_REPEATS))
            return "".join(_text(repeated, rng) for _ in range(times))
        case "at" | "assert" | "assert_not":
            return ""
    raise KeyError(kind)


def _characters(members: Sequence[Any]) -> str:
    """Return a set's characters; for a negated set, the other characters of ANY and `-_ `."""
    is_negated = members[0][0].name.lower() == "negate"
    named = "".join(_named(op.name.lower(), value) for op, value in members[is_negated:])
    return "".join(c for c in ANY + "-_ " if c not in named) if is_negated else named


def _named(kind: str, value: Any) -> str:
    match kind:
        case "literal":
            return chr(value)
        case "range":
            low, high = value
            return "".join(map(chr, range(low, min(high, low + 255) + 1)))
    return CATEGORIES[value.name.lower()]
