"""Synthetic people: four attributes each, questions about them, and a database. No torch.

The same `Town` and seed give the same people. A fact is one attribute of one person. The bits of
each attribute follow arXiv 2508.20755; names, lists and phrasings are our own.
"""

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from tinr.catalogue.load import Catalogue
from tinr.records import BadInput, Call, ToolDoc
from tinr.rollout.tools.executor import Executor

Form = Literal["in_weight", "in_tool"]
FORMS: tuple[Form, ...] = ("in_weight", "in_tool")
ATTRIBUTES = ("born", "country", "city", "job")
YEARS, MONTHS, DAYS = 51, 12, 28
CHOICES = {"born": YEARS * MONTHS * DAYS, "country": 7, "city": 212, "job": 100}
BITS = {name: math.log2(count) for name, count in CHOICES.items()}  # 14.06, 2.81, 7.73, 6.64
QUESTIONS = {
    "born": ("When was {} born?", "Birthday of {}?", "{} was born when?", "Say {}'s birth date."),
    "country": ("{} is from which land?", "Land of {}?", "Say {}'s land.", "Where is {} from?"),
    "city": ("Where does {} live?", "Town of {}?", "Say {}'s town.", "{} lives in which town?"),
    "job": ("What is {}'s work?", "Trade of {}?", "Say {}'s trade.", "{} works as what?"),
}
PHRASINGS = 4  # per attribute
ANSWERS = {"born": "Born {}", "country": "From {}", "city": "Lives in {}", "job": "Is a {}"}
FIRST_NAMES, UNSEEN_NAMES = 400, 100  # unseen: in no training text
TOOL = "lookup"
NOTHING = "unknown"  # the reply of the database to a query that it cannot answer
GOODS = "salt tin wool glass clay rope oil ink silk lamp".split()
TRADES = "maker seller miner painter tester keeper carrier mender buyer judge".split()


@dataclass(frozen=True)
class Town:
    """Which people to generate; dependence: how often the last name decides an attribute."""

    facts: int  # four per person
    seed: int = 0
    dependence: float = 0.0  # 0: facts are independent, 1: the last name decides
    family: int = 4  # people per last name, on average

    def __post_init__(self) -> None:
        if self.facts < 4 or self.facts % 4:
            raise BadInput(f"facts: {self.facts} is not a positive multiple of 4; give e.g. 64")
        if self.facts > 4 * 32_768:
            raise BadInput(f"facts: {self.facts} is above {4 * 32_768}; give fewer")
        if not 0 <= self.dependence <= 1:
            raise BadInput(f"dependence: {self.dependence} is not between 0 and 1")
        if self.family < 1:
            raise BadInput(f"family: {self.family} is below 1 person per last name")


@dataclass(frozen=True)
class Person:
    """A full name and its attributes by name, as text."""

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Fact:
    """One attribute of one person, with its question, query, value and answer."""

    person: Person
    attribute: str

    @property
    def value(self) -> str:
        return self.person.values[self.attribute]

    @property
    def query(self) -> str:
        """What the in-tool model writes: a JSON object naming attribute and person."""
        return json.dumps({self.attribute: self.person.name}, separators=(",", ":"))

    @property
    def answer(self) -> str:
        return ANSWERS[self.attribute].format(self.value)

    def question(self, phrasing: int) -> str:
        return QUESTIONS[self.attribute][phrasing].format(self.person.name)


def make_people(town: Town, unseen: bool = False) -> list[Person]:
    """Make facts / 4 people with distinct names; unseen: with first names in no training text."""
    rng = Random(f"people {town.seed} {unseen}")
    pool = _names(Random(f"first {town.seed}"), FIRST_NAMES + UNSEEN_NAMES)
    first_names = pool[FIRST_NAMES:] if unseen else pool[:FIRST_NAMES]
    count = town.facts // 4
    last_names = _names(
        Random(f"last {town.seed}"), max(1, math.ceil(count / town.family)), "rknslt"
    )
    lists = _lists(Random(f"lists {town.seed}"))
    family_values = {last_name: _values(rng, lists) for last_name in last_names}
    people: dict[str, Person] = {}
    while len(people) < count:
        last_name = rng.choice(last_names)
        name = f"{rng.choice(first_names)} {last_name}"
        if name not in people:
            own_values = _values(rng, lists)
            follows_family = {key: rng.random() < town.dependence for key in ATTRIBUTES}
            values = {
                key: family_values[last_name][key] if follows_family[key] else own_values[key]
                for key in ATTRIBUTES
            }
            people[name] = Person(name, values)
    return list(people.values())


def facts_of(people: Sequence[Person]) -> list[Fact]:
    """Four facts of each person, in order."""
    return [Fact(person, attribute) for person in people for attribute in ATTRIBUTES]


def bits(town: Town) -> float:
    """Information in the town's facts, given the names: the entropy of the drawn values.

    Assumes families of `family` people each, and one more family of the remaining people.
    """
    families, remainder = divmod(town.facts // 4, town.family)

    def entropy(size: int) -> float:
        return sum(_shared_bits(count, size, town.dependence) for count in CHOICES.values())

    return families * entropy(town.family) + (entropy(remainder) if remainder else 0.0)


def _shared_bits(choices: int, size: int, dependence: float) -> float:
    """Entropy of one attribute of `size` people who share a last name.

    Each has the value of the last name with probability `dependence`, else one of `choices` at
    random. Sums over the partitions of the people into groups of equal value: all outcomes of one
    partition are equally likely.
    """
    other_chance = (1 - dependence) / choices
    same_chance = dependence + other_chance
    total = 0.0
    for group_sizes in _partitions(size, size):
        agreement = sum(same_chance**n * other_chance ** (size - n) for n in group_sizes)
        chance = (agreement + (choices - len(group_sizes)) * other_chance**size) / choices
        if len(group_sizes) > choices or chance <= 0:
            continue
        ways = math.factorial(size) * math.perm(choices, len(group_sizes))
        for multiplicity in (*group_sizes, *Counter(group_sizes).values()):
            ways //= math.factorial(multiplicity)
        total -= ways * chance * math.log2(chance)
    return total


def _partitions(size: int, limit: int) -> Iterator[tuple[int, ...]]:
    """The integer partitions of `size` into terms of at most `limit`, the largest first."""
    if not size:
        yield ()
    for term in range(min(size, limit), 0, -1):
        yield from ((term, *terms) for terms in _partitions(size - term, term))


def database(people: Sequence[Person]) -> sqlite3.Connection:
    """The people as a table in memory."""
    connection = sqlite3.connect(":memory:")
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in ATTRIBUTES)
    connection.execute(f"CREATE TABLE people (name TEXT PRIMARY KEY, {columns})")
    marks = ", ".join("?" * (1 + len(ATTRIBUTES)))
    rows = [(person.name, *(person.values[key] for key in ATTRIBUTES)) for person in people]
    connection.executemany(f"INSERT INTO people VALUES ({marks})", rows)
    return connection


def lookup(connection: sqlite3.Connection) -> Callable[..., str]:
    """The tool's code: returns one attribute of one person, by keyword; LookupError if no match."""

    def run(**arguments: str) -> str:
        [(attribute, name)] = arguments.items()
        # the executor has checked the attribute against the tool's document
        row = connection.execute(
            f"SELECT {attribute} FROM people WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise LookupError("nobody has this name")
        return row[0]

    return run


def open_database(people: Sequence[Person]) -> Executor:
    """The project's executor over a real database of these people."""
    properties = {name: {"type": "string"} for name in ATTRIBUTES}
    schema = {"type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1}
    doc = ToolDoc(TOOL, "One attribute of one person.", schema)
    return Executor(Catalogue((doc,)), {TOOL: lookup(database(people))})


def ask(executor: Executor, query: str) -> str:
    """The bare value for a model's query; NOTHING if the query is invalid or has no match."""
    try:
        arguments = json.loads(query)
    except (ValueError, RecursionError):
        return NOTHING
    if not isinstance(arguments, dict):
        return NOTHING
    value = json.loads(executor.run(Call(TOOL, arguments)))
    return value if isinstance(value, str) else NOTHING


def _names(rng: Random, count: int, ends: str = "") -> list[str]:
    """Distinct names of two or three syllables; `ends`: consonants, one of which ends each name."""
    names: dict[str, None] = {}
    while len(names) < count:
        # long lists need a third syllable: two syllables give some 4,000 names
        syllables = 2 if len(names) < 1500 else 3
        word = "".join(_syllable(rng) for _ in range(syllables))
        names[(word + (rng.choice(ends) if ends else "")).capitalize()] = None
    return list(names)


def _syllable(rng: Random) -> str:
    return rng.choice("bdfghklmnprstvz") + rng.choice("aeiou")


def _lists(rng: Random) -> dict[str, list[str]]:
    """The possible values of country, city and job."""
    places = _names(rng, CHOICES["country"] + CHOICES["city"], "mx")
    jobs = [f"{goods} {trade}" for goods in GOODS for trade in TRADES]
    return {"country": places[:7], "city": places[7:], "job": jobs}


def _values(rng: Random, lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    year, month = 1950 + rng.randrange(YEARS), 1 + rng.randrange(MONTHS)
    birth_date = f"{year}-{month:02}-{1 + rng.randrange(DAYS):02}"
    return {"born": birth_date} | {key: rng.choice(lists[key]) for key in lists}
