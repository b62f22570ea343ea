"""Pseudo-queries: how a user might word a request, written from the document alone.

Real wordings share a few telling words with the document and bury them among others, so
that is what is drawn: one to six of the words that set a document apart from the rest of
its catalogue, some of the others, everyday and strange words among them, endings that
vary, and the values anywhere.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any

from tinr.catalogue.english import common_words
from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import sentences
from tinr.data.sample_words import random_word, schema_value
from tinr.records import Call, ToolDoc

# Everyday words of requests, in no way about any tool.
EVERYDAY = (
    "a an the of to in on at by for from with and or as is are was be do does did has have "
    "had can could would will should may please what which who when where why how many much "
    "long far big I me my we our you your he she it its they this that these those there here "
    "give get tell show find make take want need let know see say put use look like now then "
    "just only also out up down off into over after before between each every all any some one "
    "two first last next same other new old good right left back given using if not no yes "
    "value result answer number thing time way people work day"
).split()
# How many of the words that set a document apart a query has, and how many strange words:
# seen tools' training queries have 1.6 and 2.3 of about ten words (docs/notebook.md).
TELLING = (1, 1, 2, 2, 2, 3, 3, 4, 6)
STRANGE = (0, 0, 1, 1, 2, 3)
# How many words of the document a query of each degree of vagueness has, telling ones first.
DEGREES = {"explicit": 8, "usual": 3, "vague": 1}
# How a value is said, with its parameter's name and without it.
NAMED = (
    "{name} {value}",
    "{name} {value}",
    "{value} {name}",
    "{value} {name}",
    "{name} is {value}",
    "{name} of {value}",
    "{name} at {value}",
)
UNNAMED = (
    "{value}",
    "{value}",
    "of {value}",
    "to {value}",
    "from {value}",
    "for {value}",
    "and {value}",
    "with {value}",
)
VAGUE = ("some", "a", "something", "some thing", "a number", "several values", "it")  # no value
NAMED_SHARE = 0.5  # of the values that stand in the document's order
ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ion", "ly")
OPENINGS = (
    "Please",
    "What is",
    "Give me",
    "Tell me",
    "I need",
    "How",
    "Which",
    "Find",
    "For",
    "Take",
)


class Wording:
    """Writes pseudo-queries for the documents of one catalogue."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue

    @cached_property
    def commonness(self) -> Counter[str]:
        """Word stem -> how many documents have it."""
        return Counter(
            stem for doc in self.catalogue.tools for stem in {_stem(w) for w in _words(doc)}
        )

    def write(
        self, doc: ToolDoc, rng: Random, said: Mapping[str, str] | None = None
    ) -> tuple[str, Call]:
        """A pseudo-query of the tool and its call, with open values for its parameters.

        Required parameters always have a value, optional ones half of the time. said: what stands
        in the text in the place of a parameter's value. Values in another order than the
        document's stand beside their names: without them no reader could tell which is which.
        """
        said = said or {}
        chosen = _values(doc, rng)
        ordered = rng.random() < 0.6
        parts = [
            _spoken(
                name,
                value,
                rng,
                named=not ordered or rng.random() < NAMED_SHARE,
                shown=said.get(name),
            )
            for name, value in chosen.items()
        ]
        if not ordered:
            rng.shuffle(parts)
        about = self._about(doc, rng)
        if rng.random() < 0.6:
            about[0] = about[0][:1].upper() + about[0][1:]
        text = " ".join(_interleave(about, parts, rng))
        return text + rng.choice(("", ".", "?")), Call(doc.name, chosen)

    def at_degrees(self, doc: ToolDoc, rng: Random) -> tuple[dict[str, str], Call]:
        """One request worded at the three DEGREES of vagueness, and its call.

        The degrees differ only in how many words of the document stand there, telling ones
        first, then the rarest: the values, how and where they are said, and the words around
        them are the same, and a vaguer query's words are among those of the less vague.
        """
        values = _values(doc, rng)
        parts = [
            _spoken(name, value, rng, named=rng.random() < NAMED_SHARE)
            for name, value in values.items()
        ]
        words = list(dict.fromkeys(_described(doc)))
        others = sorted(words, key=lambda word: self.commonness[_stem(word)])
        telling = [word for word in others if self._telling(word)]
        rng.shuffle(telling)
        ranked = list(dict.fromkeys([*telling, *others]))
        opening = rng.choice(OPENINGS)
        around = [rng.choice(EVERYDAY) for _ in range(rng.randint(1, 4))]
        behind = rng.random() < 0.75
        texts: dict[str, str] = {}
        for degree, count in DEGREES.items():
            kept = set(ranked[:count])
            about = [word for word in words if word in kept]
            said = [*about, *around, *parts] if behind else [*around, *parts, *about]
            texts[degree] = " ".join([opening, *said]) + "?"
        return texts, Call(doc.name, values)

    def _about(self, doc: ToolDoc, rng: Random) -> list[str]:
        """The words that say what is wanted, among others that say nothing."""
        if rng.random() < 0.15:  # the description, or a sentence of it, as it stands
            return rng.choice((*sentences(doc), doc.description)).rstrip(".").split()
        words = _described(doc)
        telling = [place for place, word in enumerate(words) if self._telling(word)]
        others = [place for place in range(len(words)) if place not in telling]
        kept = rng.sample(telling, min(len(telling), rng.choice(TELLING)))
        kept += rng.sample(others, min(len(others), rng.randint(0, 4) if kept else 6))
        chosen = list(dict.fromkeys(words[place] for place in sorted(kept)))
        if rng.random() < 0.35:
            rng.shuffle(chosen)
        chosen = [_inflected(word, rng) for word in chosen]
        for _ in range(rng.randint(1, 5)):
            chosen.insert(rng.randint(0, len(chosen)), rng.choice(EVERYDAY))
        for _ in range(rng.choice(STRANGE)):
            chosen.insert(rng.randint(0, len(chosen)), self._stranger(rng))
        opening = [rng.choice(OPENINGS)] if rng.random() < 0.5 else []
        return opening + chosen

    def _stranger(self, rng: Random) -> str:
        """A word that has nothing to do with the tool."""
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(common_words())
        if kind < 0.75:
            return random_word(rng)
        return rng.choice(rng.choice(self.catalogue.tools).description.split()).strip(".,").lower()

    def _telling(self, word: str) -> bool:
        return self.commonness[_stem(word)] <= max(2, len(self.catalogue.tools) // 30)


def _values(doc: ToolDoc, rng: Random) -> dict[str, Any]:
    """Open values for the required parameters, and for an optional one half of the time."""
    required = set(doc.parameters.get("required", ()))
    return {
        name: schema_value(rng, spec)
        for name, spec in doc.parameters.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }


def _described(doc: ToolDoc) -> list[str]:
    """The words of name and description, in order."""
    return f"{_spaced(doc.name)} {doc.description}".replace(",", "").rstrip(".").split()


def _words(doc: ToolDoc) -> list[str]:
    return f"{doc.description} {_spaced(doc.name)}".lower().split()


def _spaced(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _stem(word: str) -> str:
    word = re.sub(r"[^a-z0-9]", "", word.lower())
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _inflected(word: str, rng: Random) -> str:
    """The word, at times with another ending."""
    if rng.random() < 0.8 or len(word) < 4:
        return word
    stem = word.rstrip(",.")
    for ending in ("ing", "ed", "es", "s", "e"):
        if stem.endswith(ending) and len(stem) - len(ending) >= 3:
            stem = stem[: -len(ending)]
            break
    return stem + rng.choice(("", "s", "ed", "ing", "e"))


def _interleave(words: list[str], parts: Sequence[str], rng: Random) -> list[str]:
    """The values behind, in front of, or anywhere among the words, in their own order."""
    place = rng.random()
    if place < 0.45:
        return [*words, *parts]
    if place < 0.6:
        return [*parts, *words]
    spots = sorted(rng.randint(0, len(words)) for _ in parts)
    out = list(words)
    for spot, part in reversed(list(zip(spots, parts, strict=True))):
        out.insert(spot, part)
    return out


def _spoken(name: str, value: Any, rng: Random, named: bool, shown: str | None = None) -> str:
    said = rng.choice(NAMED if named or isinstance(value, bool) else UNNAMED)
    return said.format(name=name.replace("_", " "), value=shown or _shown(value, rng))


def _shown(value: Any, rng: Random) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_shown(v, rng) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_shown(v, rng)}" for k, v in value.items())
    text = str(value)
    return f'"{text}"' if " " in text or rng.random() < 0.2 else text
