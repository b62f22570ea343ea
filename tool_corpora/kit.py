"""How a corpus tool is written: function, document and phrasings in one place.

A tool is a plain function under the `tool` decorator. Each parameter is declared
with one of the kinds below, which gives both its JSON Schema (what the document
says) and a sampler of open values (what the queries ask about).

A phrasing is a sentence with `{parameter}` placeholders; a parameter without a
placeholder is left out of the call and must have a default. A phrasing may be a
pair `(sentence, {"parameter": value})` that also fixes arguments the sentence
implies ("in reverse order" -> {"reverse": True}).
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tool_corpora import values
from tool_corpora.values import Side

Sampler = Callable[[Random, Side], Any]
Phrasing = tuple[str, Mapping[str, Any]]
REQUIRED = object()


@dataclass(frozen=True)
class Parameter:
    """One parameter: its JSON Schema and a sampler `(rng, side) -> value`."""

    schema: Mapping[str, Any]
    sample: Sampler
    required: bool


@dataclass(frozen=True)
class CorpusTool:
    """An executable tool with its document and the phrasings of its queries.

    `train`, `dev` and `test` phrasings are disjoint; `run(**arguments)` returns a JSON
    value or raises ValueError with a message for the caller.
    """

    name: str
    domain: str
    description: str
    returns: str
    parameters: Mapping[str, Parameter]
    train: tuple[Phrasing, ...]
    dev: tuple[Phrasing, ...]
    test: tuple[Phrasing, ...]
    run: Callable[..., Any] = field(compare=False)
    # training phrasing -> parameter -> the words of it that ask for the value
    implied: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def phrasings(self, side: Side) -> tuple[Phrasing, ...]:
        """The phrasings that queries of a side are made of."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[side]

    def document(self) -> dict[str, Any]:
        """The tool's document as a catalogue line (see docs: catalogue folder)."""
        required = [name for name, p in self.parameters.items() if p.required]
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {
                "type": "object",
                "properties": {name: dict(p.schema) for name, p in self.parameters.items()},
                "required": required,
            },
            "returns": self.returns,
            "domain": self.domain,
        }


def _parameter(kind: dict[str, Any], about: str, default: Any, sample: Sampler) -> Parameter:
    schema = {**kind, "description": about}
    if default is not REQUIRED:
        schema["default"] = default
    return Parameter(schema, sample, required=default is REQUIRED)


def integer(about: str, low: int, high: int, default: Any = REQUIRED) -> Parameter:
    """A whole number in [low, high]."""
    kind = {"type": "integer", "minimum": low, "maximum": high}
    return _parameter(kind, about, default, lambda rng, side: values.whole(rng, side, low, high))


def number(
    about: str, low: float, high: float, decimals: int = 2, default: Any = REQUIRED
) -> Parameter:
    """A number in [low, high] with at most `decimals` decimals (the document states no bounds)."""
    return _parameter(
        {"type": "number"},
        about,
        default,
        lambda rng, side: values.decimal(rng, side, low, high, decimals),
    )


def choice(about: str, options: Sequence[str], default: Any = REQUIRED) -> Parameter:
    """One of a few fixed strings (at most six, each one word)."""
    return _parameter(
        {"type": "string", "enum": list(options)},
        about,
        default,
        lambda rng, side: rng.choice(list(options)),
    )


def flag(about: str, default: bool = False) -> Parameter:
    """A switch; phrasings set it with fixed arguments, never with a placeholder."""
    return _parameter({"type": "boolean"}, about, default, lambda rng, side: rng.random() < 0.5)


def word(about: str, default: Any = REQUIRED) -> Parameter:
    """One lower-case word from an open range."""
    return _parameter({"type": "string"}, about, default, values.word)


def name(about: str, default: Any = REQUIRED) -> Parameter:
    """A capitalised proper name from an open range."""
    return _parameter(
        {"type": "string"}, about, default, lambda rng, side: values.word(rng, side).capitalize()
    )


def text(about: str, low: int = 2, high: int = 4, default: Any = REQUIRED) -> Parameter:
    """`low` to `high` words; put the placeholder in quotes in the phrasing."""
    return _parameter(
        {"type": "string"},
        about,
        default,
        lambda rng, side: " ".join(values.words(rng, side, rng.randint(low, high))),
    )


def date(about: str, first: int = 1950, last: int = 2049, default: Any = REQUIRED) -> Parameter:
    """An ISO date, YYYY-MM-DD, in the years [first, last]."""
    return _parameter(
        {"type": "string", "format": "date"},
        about,
        default,
        lambda rng, side: values.date(rng, side, first, last),
    )


def clock(about: str, default: Any = REQUIRED) -> Parameter:
    """A time of day, HH:MM, 24 hours."""
    return _parameter({"type": "string", "format": "time"}, about, default, values.clock)


def integers(about: str, low: int = 1, high: int = 99, least: int = 3, most: int = 5) -> Parameter:
    """A list of `least` to `most` whole numbers in [low, high]."""
    return _parameter(
        {"type": "array", "items": {"type": "integer"}},
        about,
        REQUIRED,
        lambda rng, side: values.listed(rng, side, least, most, lambda r, s: r.randint(low, high)),
    )


def numbers(
    about: str,
    low: float = 0,
    high: float = 100,
    decimals: int = 1,
    least: int = 3,
    most: int = 5,
) -> Parameter:
    """A list of `least` to `most` numbers in [low, high]."""
    return _parameter(
        {"type": "array", "items": {"type": "number"}},
        about,
        REQUIRED,
        lambda rng, side: values.listed(
            rng,
            side,
            least,
            most,
            lambda r, s: values.on_side(r, s, lambda u: round(u.uniform(low, high), decimals)),
        ),
    )


def wordlist(about: str, least: int = 2, most: int = 4) -> Parameter:
    """A list of `least` to `most` words."""
    return _parameter(
        {"type": "array", "items": {"type": "string"}},
        about,
        REQUIRED,
        lambda rng, side: values.words(rng, side, rng.randint(least, most)),
    )


def pattern(
    about: str, draw: Callable[[Random], str], example: str, default: Any = REQUIRED
) -> Parameter:
    """A string of a special shape (a colour code, a binary number): `draw(rng)` makes one.

    `example` goes into the document as its one example.
    """
    return _parameter(
        {"type": "string", "examples": [example]},
        about,
        default,
        lambda rng, side: values.on_side(rng, side, draw),
    )


def tool(
    description: str,
    *,
    ask: Sequence[str | Phrasing],
    held: Sequence[str | Phrasing],
    returns: str,
    **parameters: Parameter,
) -> Callable[[Callable[..., Any]], CorpusTool]:
    """Make a function a corpus tool; the module's name is its domain.

    `ask` are the training phrasings (at least four), of which one, chosen by its hash, is
    set apart for dev; `held` the test phrasings (at least two); the parameters are declared
    in the order of the function's signature.
    Raises ValueError where a phrasing and the parameters disagree.
    """

    def register(function: Callable[..., Any]) -> CorpusTool:
        train, dev = _set_apart([_phrasing(p) for p in ask])
        made = CorpusTool(
            name=function.__name__,
            domain=function.__module__.rsplit(".", 1)[-1],
            description=description,
            returns=returns,
            parameters=parameters,
            train=train,
            dev=dev,
            test=tuple(_phrasing(p) for p in held),
            run=function,
        )
        _check(made)
        return made

    return register


def with_phrasings(made: CorpusTool, rows: Sequence[Mapping[str, Any]]) -> CorpusTool:
    """Return the tool with further training phrasings; ValueError where they do not fit it.

    rows: `{"sentence", "fixed", "words"}`; words: parameter -> the words of the sentence that ask
    for its fixed value. A row of a phrasing that is there adds its words alone.
    """
    old = {sentence for sentence, _ in made.train}
    more = [(row["sentence"], row.get("fixed", {})) for row in rows if row["sentence"] not in old]
    implied = {row["sentence"]: row["words"] for row in rows if "words" in row}
    grown = replace(made, train=(*made.train, *more), implied=implied)
    _check(grown)
    values = dict(grown.train)
    for sentence, words in implied.items():
        wrong = [
            n for n, text in words.items() if n not in values[sentence] or text not in sentence
        ]
        if wrong:
            raise ValueError(f"{made.name}: {sentence!r}: these words do not imply {wrong[0]}")
    return grown


def placeholders(sentence: str) -> list[str]:
    """The parameter names a phrasing asks about, in order of appearance."""
    return re.findall(r"\{(\w+)\}", sentence)


def _phrasing(given: str | Phrasing) -> Phrasing:
    return (given, {}) if isinstance(given, str) else given


def _set_apart(ask: Sequence[Phrasing]) -> tuple[tuple[Phrasing, ...], tuple[Phrasing, ...]]:
    """The phrasings that stay for training, and the one that no training query is made of."""
    chosen = min(ask, key=lambda phrasing: hashlib.sha256(phrasing[0].encode()).digest())
    return tuple(p for p in ask if p != chosen), (chosen,)


def _check(made: CorpusTool) -> None:
    declared = list(made.parameters)
    signature = list(inspect.signature(made.run).parameters)
    if declared != signature:
        raise ValueError(f"{made.name}: parameters {declared}, but the function takes {signature}")
    if len(made.train + made.dev) < 4 or len(made.test) < 2:
        raise ValueError(f"{made.name}: give at least 4 phrasings in `ask` and 2 in `held`")
    sentences = [sentence for sentence, _ in made.train + made.dev + made.test]
    if len(set(sentences)) != len(sentences):
        raise ValueError(f"{made.name}: a phrasing stands twice")
    for sentence, fixed in made.train + made.dev + made.test:
        given = set(placeholders(sentence)) | set(fixed)
        unknown = given - set(declared)
        missing = {n for n, p in made.parameters.items() if p.required} - given
        if unknown or missing:
            raise ValueError(
                f"{made.name}: {sentence!r} has unknown {sorted(unknown)}, lacks {sorted(missing)}"
            )
