"""Pseudo-queries: how a user might word a request, written from the document alone.

Real wordings share a few telling words with the document and hide them among others. A pseudo-query
is drawn in the same way. It has one to six telling words, which distinguish a document from the
rest of its catalogue, and some of the document's other words. Everyday and strange words are mixed
in, word endings vary, and the values can be anywhere.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any

from tinr.catalogue.english import common_words
from tinr.catalogue.forms import stated_form
from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import sentences
from tinr.catalogue.restated import restated
from tinr.catalogue.similar import nearest_neighbours
from tinr.catalogue.values import ArgumentDrawer, NoValue
from tinr.catalogue.words import random_word, stem
from tinr.records import Call, ToolDoc

# Everyday words of requests that do not point to any tool.
EVERYDAY_WORDS = (
    "a an the of to in on at by for from with and or as is are was be do does did has have "
    "had can could would will should may please what which who when where why how many much "
    "long far big I me my we our you your he she it its they this that these those there here "
    "give get tell show find make take want need let know see say put use look like now then "
    "just only also out up down off into over after before between each every all any some one "
    "two first last next same other new old good right left back given using if not no yes "
    "value result answer number thing time way people work day"
).split()
# Numbers of telling words (they distinguish a document) and of strange words in a query:
# seen tools' training queries have 1.6 and 2.3 of about ten words (docs/notebook.md).
TELLING_COUNTS = (1, 1, 2, 2, 2, 3, 3, 4, 6)
STRANGE_COUNTS = (0, 0, 1, 1, 2, 3)
# Words of the document at each degree of vagueness, telling words first.
DEGREES = {"explicit": 8, "usual": 3, "vague": 1}
# Wordings of a value, with its parameter's name and without it.
NAME_VALUE_FORMS = (
    "{name} {value}",
    "{name} {value}",
    "{value} {name}",
    "{value} {name}",
    "{name} is {value}",
    "{name} of {value}",
    "{name} at {value}",
    "{value} of {name}",
    "{value} as {name}",
    "{value} for the {name}",
)
VALUE_FORMS = (
    "{value}",
    "{value}",
    "of {value}",
    "to {value}",
    "from {value}",
    "for {value}",
    "and {value}",
    "with {value}",
    "in {value}",
    "on {value}",
    "at {value}",
    "by {value}",
)
FIXED_VALUE_FORMS = (  # wordings of one of a few fixed values: "in radians", "from the finish"
    *("{value}", "{value}", "in {value}", "in {value}", "to {value}", "as {value}", "into {value}"),
    *("of {value}", "the {value}", "{value} one", "from the {value}", "at the {value}"),
    *("how many {value}", "with {value}", "by {value}", "on {value}", "using {value}"),
)
VAGUE_VALUES = (  # they replace a missing required value; the suites use none of them
    *(
        f"{which} {what}"
        for which in ("some", "a certain", "one", "my", "that", "the usual", "another")
        for what in ("value", "figure", "entry", "thing", "word", "list", "one", "amount")
        if (which, what) != ("some", "thing")
    ),
    *("something", "it", "this", "that", "whatever", "anything", "so much", "so many", "a bit"),
    *("a few", "several", "a couple", "plenty", "somewhere", "some day or other", "whichever"),
)
NOTICE_NAMES = 5  # tools that a notice names
NEIGHBOURS = 3  # nearest documents of a tool
CONTRAST_SHARE = 0.8  # of the requests: they get a word that the nearest document lacks
OTHER_TRIES = 100  # draws of another tool, until its calls can be invented
IN_ORDER_SHARE = 0.4  # of the queries: their values are in the document's order
NAMED_SHARE = 0.5  # of the values in the document's order or self-explanatory: with their name
FREE_SHARE = 0.5  # of the queries in order: a self-explanatory value leaves the order
IMPLIED_SHARE = 0.7  # of the switches that are on: only words of their description say so
FIXED_SHARE = 0.7  # of the fixed values: without their parameter's name
BEHIND_SHARE = 0.3  # of the fixed values: right after a number, if there is one
RESTATED_SHARE = 0.5  # of the values of a stated form: in other words ("March 1st, 2023")
BARE_SHARE = 0.7  # of the others of a stated form: without quotes, also if they have several words
DESCRIBED_SHARE = 0.5  # of the names of values: words of the parameter's description instead
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
        self._drawers: dict[str, ArgumentDrawer] = {}
        self._practicable: dict[str, bool] = {}
        self._misleading: dict[str, set[str]] = {}
        # tool -> the seeds and the values of its last queries that lacked a value
        self.lacking: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}

    def drawer(self, doc: ToolDoc) -> ArgumentDrawer:
        """Return the drawer of a tool's arguments."""
        if doc.name not in self._drawers:
            self._drawers[doc.name] = ArgumentDrawer(doc.parameters)
        return self._drawers[doc.name]

    def practicable(self, doc: ToolDoc) -> bool:
        """Whether calls that the tool's own document accepts can be invented."""
        if doc.name not in self._practicable:
            try:
                self.drawer(doc).draw(Random(doc.name))
            except NoValue:
                self._practicable[doc.name] = False
            else:
                self._practicable[doc.name] = True
        return self._practicable[doc.name]

    @cached_property
    def neighbours(self) -> dict[str, list[str]]:
        """Map each tool to the tools with the most similar documents, nearest first."""
        return nearest_neighbours(self.catalogue.tools, NEIGHBOURS)

    def another(self, rng: Random, near: ToolDoc | None = None) -> ToolDoc:
        """Draw a tool whose calls can be invented; NoValue if none is found.

        near: prefer a neighbour of this tool.
        """
        if near is not None:
            names = rng.sample(self.neighbours[near.name], len(self.neighbours[near.name]))
            for doc in map(self.catalogue.by_name.__getitem__, names):
                if self.practicable(doc):
                    return doc
        for _ in range(OTHER_TRIES):
            doc = rng.choice(self.catalogue.tools)
            if self.practicable(doc):
                return doc
        raise NoValue("no valid calls can be invented for the tools of this catalogue")

    @cached_property
    def commonness(self) -> Counter[str]:
        """Map each word stem to the number of documents that have it."""
        return Counter(
            part for doc in self.catalogue.tools for part in {stem(word) for word in _words(doc)}
        )

    def write(
        self,
        doc: ToolDoc,
        rng: Random,
        said: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> tuple[str, Call]:
        """Write a pseudo-query of the tool and its call, with open values for its parameters.

        NoValue if the tool is not practicable. said: parameter name -> text that replaces its
        value. values: of the parameters, instead of drawn ones. Values in an order other than the
        document's get their parameter's name or words of its description, because no reader could
        assign them otherwise. A fixed value of only one parameter needs neither: "on mars".
        """
        said = said or {}
        values = self.drawer(doc).draw(rng) if values is None else values
        in_order = rng.random() < IN_ORDER_SHARE
        fixed = [name for name in values if self._tells_itself(doc, name)]
        free = {name for name in fixed if name not in said}
        phrase_of = {
            name: _implying_words(doc, name, rng)
            if value is True and rng.random() < IMPLIED_SHARE
            else rng.choice(FIXED_VALUE_FORMS).format(value=said.get(name, value))
            if name in fixed and rng.random() < FIXED_SHARE
            else _value_phrase(
                _label(doc, name, rng),
                value,
                rng,
                named=rng.random() < NAMED_SHARE or not (in_order or name in free),
                shown=said.get(name),
                has_form=isinstance(value, str)
                and bool(stated_form(self.drawer(doc).resolved(name))),
            )
            for name, value in values.items()
        }
        names = [*values]
        if not in_order:
            rng.shuffle(names)
        elif free and rng.random() < FREE_SHARE:
            names.remove(moved := rng.choice(sorted(free)))
            names.insert(rng.randint(0, len(names)), moved)
        for name in fixed:
            numbers = [other for other in names if re.search(r"\d$", phrase_of[other])]
            if numbers and rng.random() < BEHIND_SHARE:
                phrase_of[rng.choice(numbers)] += f" {said.get(name, values[name])}"
                names.remove(name)
        phrases = [phrase_of[name] for name in names]
        words = self._request_words(doc, rng)
        if rng.random() < 0.6:
            words[0] = words[0][:1].upper() + words[0][1:]
        text = " ".join(_interleave(words, phrases, rng))
        return text + rng.choice(("", ".", "?")), Call(doc.name, values)

    def at_degrees(self, doc: ToolDoc, rng: Random) -> tuple[dict[str, str], Call]:
        """Word one request at the three DEGREES of vagueness; return the texts and the call.

        The degrees differ only in how many words of the document they have: telling words first,
        then the rarest. The values, their wording and place, and the words around them are the
        same. A vaguer query has a subset of the less vague query's words.
        """
        values = self.drawer(doc).draw(rng) if self.practicable(doc) else {}
        phrases = [
            _value_phrase(_label(doc, name, rng), value, rng, named=rng.random() < NAMED_SHARE)
            for name, value in values.items()
        ]
        words = list(dict.fromkeys(_description_words(doc)))
        by_rarity = sorted(words, key=lambda word: self.commonness[stem(word)])
        telling_words = [word for word in by_rarity if self._telling(word)]
        rng.shuffle(telling_words)
        ranking = list(dict.fromkeys([*telling_words, *by_rarity]))
        opening = rng.choice(OPENINGS)
        filler = [rng.choice(EVERYDAY_WORDS) for _ in range(rng.randint(1, 4))]
        request_first = rng.random() < 0.75
        texts: dict[str, str] = {}
        for degree, count in DEGREES.items():
            selection = set(ranking[:count])
            request = [word for word in words if word in selection]
            body = [*request, *filler, *phrases] if request_first else [*filler, *phrases, *request]
            texts[degree] = " ".join([opening, *body]) + "?"
        return texts, Call(doc.name, values)

    def _tells_itself(self, doc: ToolDoc, name: str) -> bool:
        """Whether a parameter takes one of a few fixed values that no other parameter takes."""
        fixed = self._fixed_values(doc)
        return bool(fixed.get(name)) and all(
            fixed[name].isdisjoint(values) for other, values in fixed.items() if other != name
        )

    def _fixed_values(self, doc: ToolDoc) -> dict[str, set[str]]:
        """Map each parameter to its fixed values; none if it takes open ones."""
        drawer = self.drawer(doc)
        return {
            name: {str(value) for value in drawer.resolved(name).get("enum", ())}
            for name in doc.parameters.get("properties", {})
        }

    def _fixed_stems(self, doc: ToolDoc) -> set[str]:
        """Return the stems of the words of a tool's fixed values, and of the names of switches."""
        fixed, drawer = self._fixed_values(doc), self.drawer(doc)
        switches = [name for name in fixed if drawer.resolved(name).get("type") == "boolean"]
        texts = " ".join([*(text for values in fixed.values() for text in values), *switches])
        return {stem(word) for word in re.findall(r"[^\W\d_]+", texts)}

    def _request_words(self, doc: ToolDoc, rng: Random) -> list[str]:
        """Draw the words that state the request, among words without information.

        No word is one of a fixed value or a switch: only the words that ask for it contain it.
        """
        fixed_stems = self._fixed_stems(doc)
        if rng.random() < 0.15:  # the description, or a sentence of it
            text = rng.choice((*sentences(doc), doc.description)).rstrip(".")
            return [word for word in text.split() if stem(_bare(word)) not in fixed_stems]
        words = [word for word in _description_words(doc) if stem(_bare(word)) not in fixed_stems]
        telling_indices = [index for index, word in enumerate(words) if self._telling(word)]
        other_indices = [index for index in range(len(words)) if index not in telling_indices]
        indices = rng.sample(telling_indices, min(len(telling_indices), rng.choice(TELLING_COUNTS)))
        indices += rng.sample(
            other_indices, min(len(other_indices), rng.randint(0, 4) if indices else 6)
        )
        own_indices = self._own_indices(doc, words)
        if own_indices and not own_indices & set(indices) and rng.random() < CONTRAST_SHARE:
            indices.append(rng.choice(sorted(own_indices)))
        request = list(dict.fromkeys(words[index] for index in sorted(indices)))
        if rng.random() < 0.35:
            rng.shuffle(request)
        request = [_inflected_word(word, rng) for word in request]
        filler = [rng.choice(EVERYDAY_WORDS) for _ in range(rng.randint(1, 5))]
        filler += [self._stranger(rng) for _ in range(rng.choice(STRANGE_COUNTS))]
        misleading = self._misleading_stems(doc) | fixed_stems
        for word in filler:
            if stem(word) not in misleading:
                request.insert(rng.randint(0, len(request)), word)
        opening = [rng.choice(OPENINGS)] if rng.random() < 0.5 else []
        return opening + request

    def _stranger(self, rng: Random) -> str:
        """Draw a word that is unrelated to the tool."""
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(common_words())
        if kind < 0.75:
            return random_word(rng)
        return rng.choice(rng.choice(self.catalogue.tools).description.split()).strip(".,").lower()

    def _own_indices(self, doc: ToolDoc, words: Sequence[str]) -> set[int]:
        """Return the indices of the words that the nearest document does not have."""
        nearest = [self.catalogue.by_name[name] for name in self.neighbours[doc.name][:1]]
        shared = {stem(word) for other in nearest for word in _words(other)}
        return {i for i, word in enumerate(words) if stem(word) not in shared and len(word) > 2}

    def _misleading_stems(self, doc: ToolDoc) -> set[str]:
        """Return the neighbours' stems that a tool's own document lacks; no filler has them."""
        if doc.name not in self._misleading:
            others = map(self.catalogue.by_name.__getitem__, self.neighbours[doc.name])
            near_stems = {stem(word) for other in others for word in _words(other)}
            self._misleading[doc.name] = near_stems - {stem(word) for word in _words(doc)}
        return self._misleading[doc.name]

    def _telling(self, word: str) -> bool:
        return self.commonness[stem(word)] <= max(2, len(self.catalogue.tools) // 30)


def practice(catalogue: Catalogue, each: int, seed: int) -> Iterator[tuple[str, Call]]:
    """Write `each` pseudo-queries, with their calls, of every practicable tool."""
    wording = Wording(catalogue)
    for doc in catalogue.tools:
        rng = Random(f"{seed}/practice/{doc.name}")
        if wording.practicable(doc):
            yield from (wording.write(doc, rng) for _ in range(each))


def unpractised(catalogue: Catalogue) -> list[str]:
    """Return the tools for which no call that their own document accepts can be invented."""
    wording = Wording(catalogue)
    return [doc.name for doc in catalogue.tools if not wording.practicable(doc)]


def unpractised_notice(names: Sequence[str]) -> str:
    """Say in one line which tools get no practice calls, and what to do."""
    shown = ", ".join(names[:NOTICE_NAMES]) + (", ..." if len(names) > NOTICE_NAMES else "")
    return (
        f"{len(names)} tools get no practice calls, because no arguments were found that their "
        f"schemas accept: {shown}; correct their parameters, or provide queries for them"
    )


def _description_words(doc: ToolDoc) -> list[str]:
    """Return the words of name and description, in order."""
    return f"{_name_words(doc.name)} {doc.description}".replace(",", "").rstrip(".").split()


def _words(doc: ToolDoc) -> list[str]:
    return f"{doc.description} {_name_words(doc.name)}".lower().split()


def _bare(word: str) -> str:
    """Return a word without the marks around it."""
    return word.strip(".,:;()\"'").lower()


def _name_words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _inflected_word(word: str, rng: Random) -> str:
    """Return the word, sometimes with another ending."""
    if rng.random() < 0.8 or len(word) < 4:
        return word
    stem = word.rstrip(",.")
    for ending in ("ing", "ed", "es", "s", "e"):
        if stem.endswith(ending) and len(stem) - len(ending) >= 3:
            stem = stem[: -len(ending)]
            break
    return stem + rng.choice(("", "s", "ed", "ing", "e"))


def _interleave(words: list[str], phrases: Sequence[str], rng: Random) -> list[str]:
    """Put phrases after, before, or anywhere among the words; the order of phrases stays."""
    draw = rng.random()
    if draw < 0.45:
        return [*words, *phrases]
    if draw < 0.6:
        return [*phrases, *words]
    positions = sorted(rng.randint(0, len(words)) for _ in phrases)
    sequence = list(words)
    for position, phrase in reversed(list(zip(positions, phrases, strict=True))):
        sequence.insert(position, phrase)
    return sequence


def _label(doc: ToolDoc, name: str, rng: Random) -> str:
    """Draw what a query calls a parameter: its name, or words of its own description.

    Users seldom know a parameter's name; they use the words of the document.
    """
    words = _parameter_words(doc, name)
    if words and rng.random() < DESCRIBED_SHARE:
        others = {word for other in doc.parameters["properties"] if other != name
                  for word in _parameter_words(doc, other)}  # fmt: skip
        count = min(len(words), rng.choice((1, 2, 2, 3)))
        start = rng.randint(0, len(words) - count)
        label = words[start : start + count]
        if any(word not in others and word not in EVERYDAY_WORDS for word in label):
            return " ".join(label)
    return name.replace("_", " ")


def _implying_words(doc: ToolDoc, name: str, rng: Random) -> str:
    """Draw words that ask for an option: from its description, never "true"."""
    words = _parameter_words(doc, name)
    if words[:1] == ["whether"]:
        words = words[2:] if words[1:2] == ["to"] else words[1:]
    if not words or rng.random() < 0.2:
        return name.replace("_", " ")
    count = min(len(words), rng.choice((2, 3, 3, 4, 6)))
    start = rng.randint(0, len(words) - count)
    return " ".join(_inflected_word(word, rng) for word in words[start : start + count])


def _parameter_words(doc: ToolDoc, name: str) -> list[str]:
    spec = doc.parameters.get("properties", {}).get(name)
    text = spec.get("description") if isinstance(spec, Mapping) else None
    return re.findall(r"[^\W\d_][\w'-]*", text.lower()) if isinstance(text, str) else []


def _value_phrase(
    label: str,
    value: Any,
    rng: Random,
    named: bool,
    shown: str | None = None,
    has_form: bool = False,
) -> str:
    """Word a value; has_form: a text whose document states its form, such as 'YYYY-MM-DD'."""
    template = rng.choice(NAME_VALUE_FORMS if named or isinstance(value, bool) else VALUE_FORMS)
    # always drawn, so that a twin has the same words around it
    text = _formed_text(value, rng) if has_form else _value_text(value, rng)
    return template.format(name=label, value=shown or text)


def _formed_text(value: Any, rng: Random) -> str:
    """Return a value of a stated form as users write it: often not in that form."""
    others = restated(value) if rng.random() < RESTATED_SHARE else []
    if others:
        return rng.choice(others)
    return str(value) if rng.random() < BARE_SHARE else _value_text(value, rng)


def _value_text(value: Any, rng: Random) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value_text(v, rng) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value_text(v, rng)}" for k, v in value.items())
    text = str(value)
    return f'"{text}"' if " " in text or rng.random() < 0.2 else text
