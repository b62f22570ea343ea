"""Plain English that ships with every Python: the language reference in `pydoc_data`."""

import pydoc_data.topics
import re
from collections import Counter
from functools import cache

HELD_OUT = 20  # every 20th sentence is held out to measure perplexity


@cache
def sentences() -> tuple[str, ...]:
    """Return sentences of 20 to 200 characters, without markup or duplicates, in fixed order."""
    text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
    text = re.sub(r"[*`=~^#|]{2,}|\n\s+", "\n", text)
    fragments = re.split(r"(?<=[.!?])\s+|\n\n", text)
    lines = (re.sub(r"\s+", " ", fragment).strip() for fragment in fragments)
    return tuple(dict.fromkeys(fragment for fragment in lines if 20 < len(fragment) < 200))


@cache
def train_sentences() -> list[str]:
    """Return the sentences that a base may be trained on."""
    return [s for index, s in enumerate(sentences()) if index % HELD_OUT]


def held_out_sentences() -> list[str]:
    """Return sentences that no base is trained on, for perplexity and retention."""
    return [s for index, s in enumerate(sentences()) if index % HELD_OUT == 0]


@cache
def common_words(count: int = 1500) -> tuple[str, ...]:
    """Return the most frequent words of three to ten letters."""
    words = re.findall(r"[a-z]{3,10}", " ".join(train_sentences()).lower())
    return tuple(word for word, _ in Counter(words).most_common(count))
