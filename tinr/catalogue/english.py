"""Plain English that ships with every Python: the language reference in `pydoc_data`."""

import pydoc_data.topics
import re
from collections import Counter
from functools import cache

HELD_OUT = 20  # every 20th sentence is kept for measuring perplexity


@cache
def sentences() -> tuple[str, ...]:
    """Sentences of 20 to 200 characters, markup removed, in a fixed order, none twice."""
    text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
    text = re.sub(r"[*`=~^#|]{2,}|\n\s+", "\n", text)
    parts = re.split(r"(?<=[.!?])\s+|\n\n", text)
    clean = (re.sub(r"\s+", " ", part).strip() for part in parts)
    return tuple(dict.fromkeys(part for part in clean if 20 < len(part) < 200))


@cache
def train_sentences() -> list[str]:
    """The sentences a base may be trained on."""
    return [s for index, s in enumerate(sentences()) if index % HELD_OUT]


def held_out_sentences() -> list[str]:
    """Sentences no base saw, for perplexity and retention."""
    return [s for index, s in enumerate(sentences()) if index % HELD_OUT == 0]


@cache
def common_words(count: int = 1500) -> tuple[str, ...]:
    """The most frequent words of three to ten letters."""
    found = re.findall(r"[a-z]{3,10}", " ".join(train_sentences()).lower())
    return tuple(word for word, _ in Counter(found).most_common(count))
