"""Draw random everyday values: words, numbers, dates, results. No torch."""

import re
import string
from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from tinr.catalogue.english import common_words

ENDINGS = ("ing", "ion", "es", "ed", "er", "ly", "s", "d")  # the longest first
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"


def stem(word: str) -> str:
    """Return a word in lower case without its ending, for comparison."""
    word = re.sub(r"[\W_]", "", word.lower())
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def random_word(rng: Random) -> str:
    """Draw a common word, a pronounceable made-up word, or random letters."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(common_words())
    if kind < 0.85:
        syllables = rng.choice((1, 2, 2, 3))
        return "".join(
            rng.choice(CONSONANTS)
            + rng.choice(VOWELS)
            + (rng.choice(CONSONANTS) if rng.random() < 0.35 else "")
            for _ in range(syllables)
        )
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(1, 8)))


def random_whole(rng: Random) -> int:
    """Draw an integer of one to five digits, rarely negative."""
    return rng.randint(0, 10 ** rng.randint(1, 5)) * rng.choice((1,) * 9 + (-1,))


def random_decimal(rng: Random) -> float:
    """Draw a number of up to four digits with one to three decimals, rarely negative."""
    size = rng.uniform(0, 10 ** rng.randint(0, 4)) * rng.choice((1,) * 9 + (-1,))
    return round(size, rng.randint(1, 3))


def random_date(rng: Random) -> str:
    """Draw an ISO date."""
    return f"{rng.randint(1900, 2090)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def random_time(rng: Random) -> str:
    """Draw a time as HH:MM."""
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"


def random_moment(rng: Random) -> datetime:
    """Draw a day and a time of it; every third time is a full hour."""
    minute = rng.choice((0, rng.randint(0, 59), rng.randint(0, 59)))
    clock = datetime.fromisoformat(f"{random_date(rng)} {random_time(rng)}")
    return clock.replace(minute=minute, second=rng.randint(0, 59))


def invented_result(rng: Random) -> Any:
    """Draw a plausible tool result: a number, a word, a boolean, or a short list of numbers."""
    kind = rng.random()
    if kind < 0.4:
        return random_whole(rng)
    if kind < 0.6:
        return random_decimal(rng)
    if kind < 0.8:
        return random_word(rng)
    if kind < 0.9:
        return [rng.randint(0, 99) for _ in range(rng.randint(2, 4))]
    return rng.random() < 0.5


def invented_object(rng: Random, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Draw an object as APIs return it: some of the call's arguments, and up to four others."""
    echoed = rng.sample(sorted(arguments), rng.randint(0, min(3, len(arguments))))
    entries = [(name, arguments[name]) for name in echoed]
    entries += [(random_word(rng), invented_result(rng)) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:  # nested
        entries.append((random_word(rng), {random_word(rng): invented_result(rng)}))
    rng.shuffle(entries)
    return dict(entries)


def like(rng: Random, example: str) -> str:
    """Draw a string shaped like the example: replace each digit or letter by one of its class."""

    def swap(character: str) -> str:
        if character.isdigit():
            pool = "01" if set(example) <= set("01 ") else string.digits
        elif character in string.ascii_lowercase:
            pool = string.ascii_lowercase
        elif character in string.ascii_uppercase:
            pool = string.ascii_uppercase
        else:
            return character
        return rng.choice(pool)

    return "".join(map(swap, example))


def like_words(rng: Random, example: str) -> str:
    """Draw a text like the example: replace words by words, and other runs as `like` does.

    A word is a run of three or more small letters, perhaps with a capital first one.
    """

    def replaced(run: re.Match[str]) -> str:
        if not re.fullmatch(r"[A-Za-z][a-z]{2,}", run[0]):
            return like(rng, run[0])
        word = random_word(rng)
        return word.capitalize() if run[0][0].isupper() else word

    return re.sub(r"[^\W_]+", replaced, example)
