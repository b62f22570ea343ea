"""Derive the values of a call from the words of its query, as a line of the thought.

Open values come first, in the query's order: each with the words that tell which one it is,
followed by its parameter: `height 49.58 = height; radius 10.1 = radius`. Then come the parameters
that take one of a few fixed values, in the document's order: the words that ask for the value and
the value, or a dash if the query does not ask for it: `place: On mars a -> mars; imperial: -`. No
separate symbol states whether an option is asked for: copying the words that ask is learned sooner
than judging that there are some. The model reads a value in its context and says what it is before
it writes the call. Such lines are composed without a teacher. They are the "line that derives each
value from the query" of small models that write arguments well (docs/notebook.md has our figures).
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tinr.catalogue.render import referred
from tinr.catalogue.restated import abridged, restated
from tinr.catalogue.words import stem
from tinr.records import Call, ToolDoc

MAX_CHARACTERS = 14  # of a value repeated in a line
WORD = r"[\w#](?:[\w'#-]|\.(?=\d))*"
MAX_BEFORE = 4  # words before a value
MAX_AFTER = 3  # words after it
BESIDE = 100  # characters on either side in which they are searched
MOST_PLACES = 50  # considered for a value in a query
FUNCTION_WORDS = frozenset(
    "a an the of is are was were be at to by in on for from with my its as and or if when than "
    "then which".split()
)
LEADING = frozenset("of as for a an the".split())  # after a value they lead to what it is
MAX_IMPLYING = 4  # words that imply an option
NEGATION = re.compile(r"\b(?:without|no|not|never|don't)\s(?:any\s|the\s)?$", re.IGNORECASE)
UNTELLING = {
    stem(word)
    for word in "and for from the not only with whether that true false say give use instead "
    "put take list every each one number whose after before into then than".split()
}
UNASKED = "-"  # replaces the value of an option that the call omits
MOST_UNASKED = 4  # omitted options in a line
RESULT = "(result)"  # follows the words that refer to an earlier call's result
LINK = re.compile(  # words that refer to an earlier call's result
    r"\b(?:the|that|this|its|your)\s(?:(?:resulting|previous|first|last|earlier|final)\s)?"
    r"(?:result|value|number|outcome|output|answer|figure|sum|total|amount|product)\b"
    r"(?:\s(?:of that|of the first one|(?:from|to) (?:before|the first (?:part|step))|"
    r"computed above|you (?:get|got|find|found|worked out)))?",
    re.IGNORECASE,
)


def derivations(
    text: str,
    turns: Sequence[Sequence[Call]],
    observations: Sequence[str] = (),
    docs: Mapping[str, ToolDoc] | None = None,
    implied: Sequence[Mapping[str, str]] = (),
) -> list[str]:
    """Derive the values of each call, in the order of the calls; "" for a call without arguments.

    observations: what the calls returned, in the same order. A value that an earlier call returns
    follows the words that refer to it. A value that the text states in other words ("March 1st")
    follows these. A value that is neither in the text nor in an earlier result is an option: it
    follows the words that are known to ask for it (implied: for each call,
    parameter -> words of the text), or else the words that its document has in common with the
    text, or stands alone. docs: the tools' documents. Without them every parameter is treated as a
    required one with open values.
    """
    words = _Words(text)
    results = [_parsed(observation) for observation in observations]
    lines: list[str] = []
    for turn in turns:
        earlier = None if turn is turns[0] else results[: len(lines)]
        for call in turn:
            asking = implied[len(lines)] if len(lines) < len(implied) else {}
            lines.append(_line(call, words, earlier, (docs or {}).get(call.name), asking))
    return lines


def _line(
    call: Call,
    words: "_Words",
    earlier: Sequence[Any] | None,
    doc: ToolDoc | None,
    asking: Mapping[str, str],
) -> str:
    """Derive the values of one call; earlier: the results of earlier turns, None in the first.

    asking: parameter -> the words that ask for its value, if they are known.
    """
    words.next_call()
    specs = doc.parameters.get("properties", {}) if doc else {}
    required = doc.parameters.get("required", ()) if doc else ()
    slots = [name for name, spec in specs.items() if _is_closed(spec, doc)]
    about = {name: _stems(_about(name, specs.get(name))) for name in call.arguments}
    # of parameters with equal values, the one that the words beside a place describe gets it
    names = sorted(about, key=lambda name: -words.fit(call.arguments[name], about[name]))
    phrases: dict[str, str] = {}  # the words that give a parameter its value
    places: dict[str, int] = {}
    results: list[str] = []
    implied: list[str] = []
    for name in names:
        value = call.arguments[name]
        is_result = earlier is not None and _may_be_result(value, earlier)
        place = words.place(value, about[name])
        if place is None and not is_result and name not in asking:
            place = words.other_place(value, about[name])
        if place is not None:
            places[name], phrases[name] = place[0], words.around(*place)
        elif is_result:
            results.append(name)
        else:
            implied.append(name)
    implied.sort(key=[*call.arguments].index)
    for name in results:
        place = words.link(about[name])
        if place is not None:
            places[name] = place[0]
        phrases[name] = " ".join([*([words.around(*place)] if place else []), RESULT])
    for name in implied:
        value = call.arguments[name]
        own = _own_words(doc, name) if isinstance(value, bool) else frozenset()
        place = words.quoted(asking.get(name, "")) or words.implying(own | _stems(str(value)))
        if place is not None:
            phrases[name] = words.text[slice(*place)]
    needed = sorted(places.keys() - {*slots}, key=places.__getitem__)
    needed += [name for name in results if name not in {*places, *slots}]
    line = [f"{phrases[name]} = {name}" for name in needed]
    unasked = [name for name in slots if name not in call.arguments and name not in required]
    for name in [*(name for name in implied if name not in slots), *slots]:
        if name in call.arguments:
            value = RESULT if name in results else _written(call.arguments[name])
            line.append(_slot(name, value, phrases.get(name, "")))
        elif name in unasked[:MOST_UNASKED]:
            line.append(f"{name}: {UNASKED}")
    return "; ".join(line)


def options_of(doc: ToolDoc) -> list[str]:
    """Return the optional parameters that have a slot in the line."""
    required = doc.parameters.get("required", ())
    specs = doc.parameters.get("properties", {})
    return [name for name, spec in specs.items() if _is_closed(spec, doc) and name not in required]


def _slot(name: str, value: str, phrase: str) -> str:
    parts = [f"{name}:", phrase]
    if value != RESULT:
        parts.append(f"-> {_shortened(value)}")
    return " ".join(filter(None, parts))


def _is_closed(spec: Any, doc: ToolDoc | None) -> bool:
    """Whether a parameter takes one of a few fixed values (also true or false), or null."""
    if not isinstance(spec, Mapping):
        return False
    if doc is not None and isinstance(spec.get("$ref"), str):
        spec = referred(spec["$ref"], doc.parameters)
        return _is_closed(spec, None)
    options = spec.get("anyOf", spec.get("oneOf"))
    if isinstance(options, list):
        types = [option for option in options if option != {"type": "null"}]
        return bool(types) and all(_is_closed(option, doc) for option in types)
    return bool({"enum", "const"} & set(spec)) or spec.get("type") == "boolean"


def _own_words(doc: ToolDoc | None, name: str) -> frozenset[str]:
    """Return the stems that a tool's document uses for this parameter alone."""
    if doc is None:
        return frozenset()
    specs = doc.parameters.get("properties", {})
    others = _stems(f"{doc.name} {doc.description}".replace("_", " "))
    for other, spec in specs.items():
        others |= _stems(_about(other, spec)) if other != name else set()
    return frozenset(_stems(_about(name, specs.get(name))) - others - UNTELLING)


def _about(name: str, spec: Any) -> str:
    text = spec.get("description", "") if isinstance(spec, Mapping) else ""
    return f"{name} {text}".replace("_", " ")


def _stems(text: str) -> set[str]:
    return {stem(word) for word in re.findall(r"[^\W\d_]{3,}", text)}


def _may_be_result(value: Any, earlier: Sequence[Any]) -> bool:
    """Whether a value that the query does not state comes from an earlier call.

    It may be part of a result, or rounded. Only booleans and names are options that words imply, so
    only these must occur in a result.
    """
    if isinstance(value, bool):
        return any(leaf is value for leaf in _leaves(earlier))
    if isinstance(value, str):
        return value in map(str, _leaves(earlier))
    return True


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the single values in a result."""
    members = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for member in members:
            yield from _leaves(member)
    else:
        yield value


class _Words:
    """The words of a query. Each place in them gives one value."""

    def __init__(self, text: str):
        self.text = text
        self.taken: list[tuple[int, int]] = []
        self.taken_before = 0  # of them, those of earlier calls
        self.asking: set[tuple[int, int]] = set()  # those of them that are known to ask
        words = re.finditer(r"[^\W\d_]+", text)
        self.stems = [(match.start(), match.end(), stem(match[0])) for match in words]

    def next_call(self) -> None:
        """Begin with the next call, which may share places with earlier ones."""
        self.taken_before = len(self.taken)

    def place(self, value: Any, about: Collection[str] = ()) -> tuple[int, int] | None:
        """Take a free place of a value; None if there is none.

        Of several places it takes the one beside words of `about` (stems), else the first. Booleans
        have no place, because queries do not spell yes and no as true and false.
        """
        return self._nearest(self._places(_spellings(value)), about)

    def other_place(self, value: Any, about: Collection[str]) -> tuple[int, int] | None:
        """Take a place of other words for a value ("March 1st"), or one that an earlier call took.

        None if there is none.
        """
        words = [_whole(text, alone=True) for text in restated(value)]
        words += [_whole(text, alone=True, is_exact=text.isupper()) for text in abridged(value)]
        spans = self._places(words) or self._places([*_spellings(value), *words], self.taken_before)
        return self._nearest(spans, about)

    def _nearest(
        self, spans: Sequence[tuple[int, int]], about: Collection[str]
    ) -> tuple[int, int] | None:
        """Take the place beside words of `about`, else the first; None if there is none."""
        if not spans:
            return None
        place = max(spans, key=lambda span: self._shared(*span, about))
        self.taken.append(place)
        return place

    def fit(self, value: Any, about: Collection[str]) -> int:
        """Return the maximum number of stems of `about` beside a value; 0 without a place."""
        return max(
            (self._shared(*span, about) for span in self._places(_spellings(value))), default=0
        )

    def _places(self, spellings: Iterable[str], shared: int = 0) -> list[tuple[int, int]]:
        """Find free places, at most MOST_PLACES, of the first pattern that has one.

        shared: the first so many places that are taken count as free.
        """
        for spelling in spellings:
            matches = re.finditer(spelling, self.text, re.IGNORECASE)
            spans = (match.span() for match in islice(matches, MOST_PLACES))
            free = [span for span in spans if self._is_free(*span, shared)]
            if free:
                return free
        return []

    def link(self, about: Collection[str]) -> tuple[int, int] | None:
        """Find the words that refer to an earlier result: beside words of `about`, or the last."""
        free = [m.span() for m in LINK.finditer(self.text) if self._is_free(*m.span())]
        if not free:
            return None
        place = max(free, key=lambda span: (self._shared(*span, about), span[0]))
        self.taken.append(place)
        return place

    def implying(self, about: Collection[str]) -> tuple[int, int] | None:
        """Find the words that imply an option; None if there are none.

        They are the run of at most MAX_IMPLYING words with the most stems of `about`; it begins
        and ends with one of them and contains no place of a value. A negation before it is part
        of them.
        """
        runs = [
            (len({word for *_, word in run} & set(about)), -run[0][0], run[-1][1])
            for first in range(len(self.stems))
            for run in (self.stems[first : first + n] for n in range(1, MAX_IMPLYING + 1))
            if run[0][2] in about and run[-1][2] in about and self._is_free(run[0][0], run[-1][1])
        ]
        if not runs:
            return None
        _, start, end = max(runs)
        negated = NEGATION.search(self.text, 0, -start)
        place = (negated.start() if negated else -start), end
        self.taken.append(place)
        return place

    def quoted(self, phrase: str) -> tuple[int, int] | None:
        """Take the first free place of a phrase, or one that asked for a value before; else None.

        Words may ask for the same option of several calls ("half spheres of radius 2 and 3").
        """
        spans = [match.span() for match in re.finditer(re.escape(phrase), self.text)]
        free = [span for span in spans if phrase and self._is_free(*span)]
        shared = [span for span in spans if span in self.asking]
        place = next(iter(free + shared), None)
        if place is not None:
            self.taken.append(place)
            self.asking.add(place)
        return place

    def _is_free(self, start: int, end: int, shared: int = 0) -> bool:
        return all(end <= a or b <= start for a, b in self.taken[shared:])

    def _shared(self, start: int, end: int, about: Collection[str]) -> int:
        """Count the stems of `about` among the two words before a place and the one after it."""
        first = bisect_right(self.stems, start, key=lambda word: word[1])
        after = bisect_left(self.stems, end, key=lambda word: word[0])
        beside = self.stems[max(0, first - 2) : first] + self.stems[after : after + 1]
        return len({word for *_, word in beside} & set(about))

    def around(self, start: int, end: int) -> str:
        """Return the words of a place with adjacent words that may tell which value it is."""
        value = _shortened(self.text[start:end])
        before = self.text[max(0, start - BESIDE) : start]
        return " ".join([*_before(before), value, *_after(self.text[end : end + BESIDE])])


def _before(text: str) -> list[str]:
    """Return the words at the end of a text, from the last one that is not in FUNCTION_WORDS.

    They belong to one clause and to no earlier value: of "46 megabits at" only "at" remains.
    """
    clause = re.split(r"[;?!]|[.,](?!\d)", text)[-1]
    words = re.findall(WORD, clause)[-MAX_BEFORE:]
    numbers = [n for n, word in enumerate(words) if _has_digit(word)]
    words = words[numbers[-1] + 1 :] if numbers else words
    joints = [n for n, word in enumerate(words) if word.lower() in ("and", "or")]
    telling = [n for n, word in enumerate(words) if word.lower() not in FUNCTION_WORDS]
    if joints and (not telling or telling[-1] < joints[-1]):
        return words[joints[-1] :]
    if not telling:
        return words[-1:]
    is_unit = bool(numbers) and telling[-1] == 0 and len(words) > 1
    return words[1:] if is_unit else words[telling[-1] :]


def _after(text: str) -> list[str]:
    """Return the words at the beginning of a text: a unit of two words, or "of spacing"."""
    clause = re.match(rf"[\"')\]]?((?:[ -]{WORD}){{1,{MAX_AFTER}}})", text)
    words = re.findall(WORD, clause[1]) if clause else []
    numbers = [n for n, word in enumerate(words) if _has_digit(word)]
    words = words[: numbers[0]] if numbers else words
    telling = [n for n, word in enumerate(words) if word.lower() not in FUNCTION_WORDS]
    if telling[:1] == [0]:
        return words[: 2 if telling[1:2] == [1] else 1]
    if words and words[0].lower() in LEADING and telling:
        return words[: telling[0] + 1]
    return [word for word in words[:1] if word.lower() not in ("and", "or")]


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _spellings(value: Any, alone: bool = True) -> Iterator[str]:
    """Yield patterns of a value's spellings; a list is its members with little between them.

    An object is its names and values in turn.
    """
    if isinstance(value, Mapping):
        value = [part for item in value.items() for part in item]
    if isinstance(value, list | tuple):
        members = [next(_spellings(member, alone=False), None) for member in value]
        if members and None not in members:
            yield r"\W{1,4}(?:and\W{1,2})?".join(filter(None, members))
    elif isinstance(value, bool) or value is None or value == "":
        return
    else:
        yield _whole(str(value), alone)
        if isinstance(value, float) and value.is_integer():
            yield _whole(str(int(value)), alone)
        if isinstance(value, int | float) and abs(value) >= 1000:
            yield _whole(f"{value:,}".removesuffix(".0"), alone)


def _whole(text: str, alone: bool, is_exact: bool = False) -> str:
    """Return the pattern of a text outside longer words and numbers and outside its negative.

    alone: commas between digits do not end a number: 1,500 is one number. is_exact: capitals
    count.
    """
    start, end = r"(?<![\w.])(?<!\w-)", r"(?!\w|\.\d)"
    if alone and text[:1].isdigit():
        start += r"(?<!\d,)(?<![\s(]-)(?<!^-)"
        end = r"(?!\w|\.\d|,\d{3}\b)"
    exact = f"(?-i:{re.escape(text)})" if is_exact else re.escape(text)
    return f"{start}{exact}{end}"


def _parsed(observation: str) -> Any:
    try:
        return json.loads(observation)
    except (ValueError, RecursionError):
        return observation


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _shortened(text: str) -> str:
    """Return a value in one line; a long one is cut to its first words."""
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS].rsplit(' ', 1)[0]}..."
