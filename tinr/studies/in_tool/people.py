"""Made people: four attributes each, what is asked of them, and a database that answers. No torch.

The same `Town` and seed give the same people. A fact is one attribute of one person. How many
bits each attribute holds follows arXiv 2508.20755; names, lists and phrasings are our own.
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
PHRASINGS = 4  # of each attribute
ANSWERS = {"born": "Born {}", "country": "From {}", "city": "Lives in {}", "job": "Is a {}"}
FIRST_NAMES, UNSEEN_NAMES = 400, 100  # unseen: never in a training text
TOOL = "lookup"
NOTHING = "unknown"  # what the database says to a query that it cannot answer
GOODS = "salt tin wool glass clay rope oil ink silk lamp".split()
TRADES = "maker seller miner painter tester keeper carrier mender buyer judge".split()


@dataclass(frozen=True)
class Town:
    """Which people are made; `dependence`: how often a last name decides an attribute."""

    facts: int  # four for each person
    seed: int = 0
    dependence: float = 0.0  # 0: every fact by itself, 1: decided by the last name
    family: int = 4  # people of one last name, on average

    def __post_init__(self) -> None:
        if self.facts < 4 or self.facts % 4:
            raise BadInput(f"facts: {self.facts} is not a positive multiple of 4; give e.g. 64")
        if self.facts > 4 * 32_768:
            raise BadInput(f"facts: {self.facts} is above {4 * 32_768}; give fewer")
        if not 0 <= self.dependence <= 1:
            raise BadInput(f"dependence: {self.dependence} is not within 0 and 1")
        if self.family < 1:
            raise BadInput(f"family: {self.family} is below 1 person a last name")


@dataclass(frozen=True)
class Person:
    """A full name and its attributes by name, as text."""

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Fact:
    """One attribute of one person: what is asked, queried, returned and answered."""

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
    """facts / 4 people with names that differ; `unseen`: with first names of no training text."""
    draw = Random(f"people {town.seed} {unseen}")
    pool = _names(Random(f"first {town.seed}"), FIRST_NAMES + UNSEEN_NAMES)
    firsts = pool[FIRST_NAMES:] if unseen else pool[:FIRST_NAMES]
    count = town.facts // 4
    lasts = _names(Random(f"last {town.seed}"), max(1, math.ceil(count / town.family)), "rknslt")
    lists = _lists(Random(f"lists {town.seed}"))
    decided = {last: _values(draw, lists) for last in lasts}
    people: dict[str, Person] = {}
    while len(people) < count:
        last = draw.choice(lasts)
        name = f"{draw.choice(firsts)} {last}"
        if name not in people:
            own = _values(draw, lists)
            follows = {key: draw.random() < town.dependence for key in ATTRIBUTES}
            values = {key: decided[last][key] if follows[key] else own[key] for key in ATTRIBUTES}
            people[name] = Person(name, values)
    return list(people.values())


def facts_of(people: Sequence[Person]) -> list[Fact]:
    """Four facts of each person, in order."""
    return [Fact(person, attribute) for person in people for attribute in ATTRIBUTES]


def bits(town: Town) -> float:
    """Information in the town's facts, given their names: the entropy of what is drawn.

    Families are taken to be of `family` people each, and one of those that are left over.
    """
    whole, left = divmod(town.facts // 4, town.family)

    def entropy(size: int) -> float:
        return sum(_shared_bits(count, size, town.dependence) for count in CHOICES.values())

    return whole * entropy(town.family) + (entropy(left) if left else 0.0)


def _shared_bits(choices: int, size: int, dependence: float) -> float:
    """Entropy of one attribute of `size` people of one last name, each of whom has its value with
    probability `dependence`, else one of `choices` at random.

    Summed over which of them agree: all outcomes of one such pattern are equally likely.
    """
    other = (1 - dependence) / choices
    same = dependence + other
    total = 0.0
    for parts in _partitions(size, size):
        agreed = sum(same**n * other ** (size - n) for n in parts)
        chance = (agreed + (choices - len(parts)) * other**size) / choices
        if len(parts) > choices or chance <= 0:
            continue
        ways = math.factorial(size) * math.perm(choices, len(parts))
        for repeated in (*parts, *Counter(parts).values()):
            ways //= math.factorial(repeated)
        total -= ways * chance * math.log2(chance)
    return total


def _partitions(size: int, most: int) -> Iterator[tuple[int, ...]]:
    """The ways to write a number as a sum of numbers of at most `most`, the largest first."""
    if not size:
        yield ()
    for first in range(min(size, most), 0, -1):
        yield from ((first, *rest) for rest in _partitions(size - first, first))


def database(people: Sequence[Person]) -> sqlite3.Connection:
    """The people as a table in memory."""
    base = sqlite3.connect(":memory:")
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in ATTRIBUTES)
    base.execute(f"CREATE TABLE people (name TEXT PRIMARY KEY, {columns})")
    marks = ", ".join("?" * (1 + len(ATTRIBUTES)))
    rows = [(one.name, *(one.values[key] for key in ATTRIBUTES)) for one in people]
    base.executemany(f"INSERT INTO people VALUES ({marks})", rows)
    return base


def lookup(base: sqlite3.Connection) -> Callable[..., str]:
    """The tool's code: one attribute of one person, by keyword; LookupError where nobody fits."""

    def run(**asked: str) -> str:
        [(attribute, name)] = asked.items()
        # the executor has checked the attribute against the tool's document
        found = base.execute(f"SELECT {attribute} FROM people WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise LookupError("nobody has this name")
        return found[0]

    return run


def open_database(people: Sequence[Person]) -> Executor:
    """The project's executor over a real database of these people."""
    properties = {name: {"type": "string"} for name in ATTRIBUTES}
    schema = {"type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1}
    doc = ToolDoc(TOOL, "One attribute of one person.", schema)
    return Executor(Catalogue((doc,)), {TOOL: lookup(database(people))})


def ask(executor: Executor, query: str) -> str:
    """The bare value for what a model wrote, NOTHING where that is no query or nobody fits."""
    try:
        arguments = json.loads(query)
    except (ValueError, RecursionError):
        return NOTHING
    if not isinstance(arguments, dict):
        return NOTHING
    value = json.loads(executor.run(Call(TOOL, arguments)))
    return value if isinstance(value, str) else NOTHING


def _names(draw: Random, count: int, ends: str = "") -> list[str]:
    """Different names of two syllables, for last names with a closing consonant."""
    found: dict[str, None] = {}
    while len(found) < count:
        # long lists need a third syllable: two give some 4,000 names
        syllables = 2 if len(found) < 1500 else 3
        word = "".join(_syllable(draw) for _ in range(syllables))
        found[(word + (draw.choice(ends) if ends else "")).capitalize()] = None
    return list(found)


def _syllable(draw: Random) -> str:
    return draw.choice("bdfghklmnprstvz") + draw.choice("aeiou")


def _lists(draw: Random) -> dict[str, list[str]]:
    """What a country, a city and a job may be."""
    places = _names(draw, CHOICES["country"] + CHOICES["city"], "mx")
    jobs = [f"{goods} {trade}" for goods in GOODS for trade in TRADES]
    return {"country": places[:7], "city": places[7:], "job": jobs}


def _values(draw: Random, lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    year, month = 1950 + draw.randrange(YEARS), 1 + draw.randrange(MONTHS)
    born = f"{year}-{month:02}-{1 + draw.randrange(DAYS):02}"
    return {"born": born} | {key: draw.choice(lists[key]) for key in lists}
