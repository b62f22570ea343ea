"""Draw values that fit a JSON Schema, for practice calls; the only such generator. No torch.

Values are drawn from the structure of the schema and checked at once: a value that its schema
rejects is drawn again, and NoValue is raised if none fits. They are everyday values (words,
numbers with few digits), not the adversarial ones that `hypothesis-jsonschema` looks for; that
library also rejects recursive references and cannot draw from a given generator. `jsf` draws from
the random state of the process.
"""

import base64
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from random import Random
from typing import Any

import jsonschema_rs

from tinr.catalogue.checks import DIALECT
from tinr.catalogue.forms import draw_of, stated_form
from tinr.catalogue.patterns import matching
from tinr.catalogue.render import referred
from tinr.catalogue.words import (
    like,
    random_date,
    random_decimal,
    random_time,
    random_whole,
    random_word,
)

TRIES = 20  # draws of a value before it counts as impossible
SHALLOW, DEEPEST = 3, 8  # levels: optional parts are rare from the first on; the second is the last
FEW = 8  # optional parameters; if there are more, each is drawn less often
DECK, RARE_DECK = (True, False), (True, True, False, False, False)  # outcomes for an optional one
NULL_SHARE = 0.05  # share of nullable values that are null
EXAMPLE_SHARE = 0.3  # share of strings with examples that are an unchanged example
LARGEST = 1_000  # maximum of minLength, minItems and minProperties
TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
INFERRED = {  # keyword -> the type that it implies, for schemas without a type
    "properties": "object", "additionalProperties": "object", "patternProperties": "object",
    "required": "object", "items": "array", "prefixItems": "array", "minItems": "array",
    "minimum": "number", "maximum": "number", "multipleOf": "number", "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
}  # fmt: skip
Schema = Mapping[str, Any]


class NoValue(Exception):
    """No fitting value could be drawn."""


class ArgumentDrawer:
    """Draws arguments for the calls of one tool, from the JSON Schema of its parameters."""

    def __init__(self, parameters: Schema):
        self.root = parameters
        self._is_valid = _checker(parameters, parameters)
        self._checkers: dict[str, Callable[[Any], bool]] = {}
        self._decks: dict[str, list[bool]] = {}

    def draw(self, rng: Random) -> dict[str, Any]:
        """Draw arguments that the whole schema accepts; NoValue if none is found.

        Required parameters always have a value. Optional ones have one in half of the draws, or
        in two of five if there are many. They are dealt from decks, so none is left out by chance.
        """
        for attempt in range(TRIES):
            with suppress(NoValue):
                arguments = self._arguments(rng, sparse=attempt >= TRIES // 2)
                if self._is_valid(arguments):
                    return arguments
        raise NoValue("no arguments were found that the schema accepts")

    def value(self, name: str, rng: Random) -> Any:
        """Draw a value for one parameter; NoValue if none is found."""
        spec = self.root.get("properties", {}).get(name, True)
        if name not in self._checkers:
            self._checkers[name] = _checker(spec, self.root)
        return self._fitting(spec, rng, 1, self._checkers[name])

    def resolved(self, name: str) -> Schema:
        """Return a parameter's schema with references followed and `allOf` merged."""
        return self._flat(self.root.get("properties", {}).get(name, {}))

    def _arguments(self, rng: Random, sparse: bool) -> dict[str, Any]:
        flat = self._chosen(self._flat(self.root), rng)
        if flat.get("properties") == self.root.get("properties"):
            names = self._names(flat, rng, 0, sparse)
            return {name: self.value(name, rng) for name in names}
        return self._object(flat, rng, 0, sparse)

    def _fitting(self, spec: Any, rng: Random, depth: int, is_valid: Callable[[Any], bool]) -> Any:
        for _ in range(TRIES):
            value = self._draw(spec, rng, depth)
            if is_valid(value):
                return value
        raise NoValue(f"no value was found for {str(spec)[:80]}")

    def _draw(self, spec: Any, rng: Random, depth: int) -> Any:
        """Draw a value from a schema's structure; it may violate the schema's other keywords."""
        if spec is True or spec == {}:
            return random_word(rng)
        if not isinstance(spec, Mapping) or depth > DEEPEST:
            raise NoValue("nothing fits")
        flat = self._chosen(self._flat(spec), rng)
        if "const" in flat:
            return flat["const"]
        if isinstance(flat.get("enum"), list) and flat["enum"]:
            members = [member for member in flat["enum"] if member is not None]
            return rng.choice(members or flat["enum"])
        kind = _type(flat, rng)
        if kind == "object":
            return self._object(flat, rng, depth)
        if kind == "array":
            return self._array(flat, rng, depth)
        return _SCALARS[kind](flat, rng)

    def _flat(self, spec: Any, depth: int = 0) -> Schema:
        """Follow a schema's references and merge its `allOf`."""
        if not isinstance(spec, Mapping) or depth > DEEPEST:
            return {}
        parts: list[Schema] = []
        own = {key: value for key, value in spec.items() if key not in ("$ref", "allOf")}
        if isinstance(spec.get("$ref"), str):
            parts.append(self._flat(referred(spec["$ref"], self.root), depth + 1))
        members = spec.get("allOf")
        for part in members if isinstance(members, list) else ():
            parts.append(self._flat(part, depth + 1))
        for part in parts:
            own = merged(own, part)
        return own

    def _chosen(self, flat: Schema, rng: Random) -> Schema:
        """Draw one alternative of `oneOf` and of `anyOf`, merged with the keywords beside them."""
        for key in ("oneOf", "anyOf"):
            options = flat.get(key)
            if isinstance(options, list) and options:
                rest = {name: value for name, value in flat.items() if name != key}
                option = self._flat(_not_null(options, rng))
                others = {
                    name for o in options for name in _mapping(self._flat(o).get("properties"))
                }
                foreign = others - set(_mapping(option.get("properties")))
                if foreign and "properties" in rest:  # declared only by other alternatives
                    own = _mapping(rest["properties"])
                    rest["properties"] = {n: own[n] for n in own if n not in foreign}
                flat = self._chosen(merged(rest, option), rng)
        return flat

    def _object(
        self, flat: Schema, rng: Random, depth: int, sparse: bool = False
    ) -> dict[str, Any]:
        properties = _mapping(flat.get("properties"))
        value: dict[str, Any] = {}
        for name in self._names(flat, rng, depth, sparse):
            required = name in _texts(flat.get("required"))
            try:
                value[name] = self._draw(properties.get(name, True), rng, depth + 1)
            except NoValue:
                if required:
                    raise
        least, extra = _least(flat.get("minProperties")), flat.get("additionalProperties")
        if not properties and extra is not False and (depth or isinstance(extra, Mapping)):
            least = max(least, rng.randint(1, 2))
        patterns = _mapping(flat.get("patternProperties"))
        for _ in range(TRIES * least):
            if len(value) >= least:
                break
            key, key_schema = self._extra(flat, patterns, rng)
            if key not in properties:
                value.setdefault(key, self._draw(key_schema, rng, depth + 1))
        return value

    def _extra(self, flat: Schema, patterns: Mapping[str, Any], rng: Random) -> tuple[str, Any]:
        """Draw the name of an undeclared property, with its schema."""
        if patterns:
            pattern = rng.choice(sorted(patterns))
            key = matching(pattern, rng)
            if key is None:
                raise NoValue(f"pattern {pattern!r} cannot be drawn")
            return key, patterns[pattern]
        return self._key(flat, rng), flat.get("additionalProperties", True)

    def _key(self, flat: Schema, rng: Random) -> str:
        names = flat.get("propertyNames")
        key = self._draw(names, rng, DEEPEST) if isinstance(names, Mapping) else random_word(rng)
        return str(key)

    def _names(self, flat: Schema, rng: Random, depth: int, sparse: bool) -> list[str]:
        """Draw which properties have a value, in schema order, with those that they require."""
        properties, required = _mapping(flat.get("properties")), _texts(flat.get("required"))
        optional = [name for name in properties if name not in required]
        if sparse:
            drawn: set[str] = set()
        elif not depth:
            drawn = {name for name in optional if self._dealt(name, len(optional) <= FEW, rng)}
        else:
            share = 0.5 if depth < SHALLOW and len(optional) <= FEW else 0.1
            drawn = {name for name in optional if rng.random() < share}
            if optional and not drawn and not required:
                drawn = {rng.choice(optional)}  # users who mention an object describe it
        names = {*required, *drawn}
        needs = _mapping(flat.get("dependentRequired"))
        while missing := {n for name in names for n in _texts(needs.get(name))} - names:
            names |= missing
        return [*(n for n in properties if n in names), *sorted(names - set(properties))]

    def _dealt(self, name: str, often: bool, rng: Random) -> bool:
        """Deal whether an optional parameter has a value, from a shuffled deck of its own."""
        deck = self._decks.setdefault(name, [])
        if not deck:
            deck += DECK * 2 if often else RARE_DECK
            rng.shuffle(deck)
        return deck.pop()

    def _array(self, flat: Schema, rng: Random, depth: int) -> list[Any]:
        prefix = flat.get("prefixItems")
        prefix = prefix if isinstance(prefix, list) else []
        items, contains = flat.get("items", True), flat.get("contains")
        least = _least(flat.get("minItems"))
        most = _most(flat.get("maxItems"), max(least, 4))
        if items is False:
            most = min(most, len(prefix))
        count = rng.randint(min(max(least, len(prefix) or 2), most), max(least, min(most, 4)))
        if depth >= SHALLOW:
            count = min(count, max(least, 1))
        value = [self._draw(spec, rng, depth + 1) for spec in prefix[:count]]
        tries = 0
        while len(value) < count and tries < TRIES * (count + 1):
            tries += 1
            item = self._draw(items, rng, depth + 1)
            if flat.get("uniqueItems") is not True or item not in value:
                value.append(item)
        if contains is not None and value:
            value[-1] = self._draw(contains, rng, depth + 1)
        return value


def merged(first: Schema, second: Schema) -> dict[str, Any]:
    """Merge two schemas that must both hold, for the keywords that drawing uses."""
    result = dict(first)
    for key, other in second.items():
        if key not in result:
            result[key] = other
            continue
        mine = result[key]
        if key in ("properties", "patternProperties"):
            mine, other = _mapping(mine), _mapping(other)
            both = {name: {"allOf": [mine[name], other[name]]} for name in mine if name in other}
            result[key] = {**mine, **other, **both}
        elif key == "required":
            result[key] = list(dict.fromkeys([*_texts(mine), *_texts(other)]))
        elif key == "enum" and isinstance(mine, list) and isinstance(other, list):
            result[key] = [member for member in mine if member in other]
        elif key == "type":
            kinds = [kind for kind in _types(mine) if kind in _types(other)]
            both = {*_types(mine), *_types(other)}
            if {"number", "integer"} <= both and "number" not in kinds and "integer" not in kinds:
                kinds.append("integer")
            result[key] = kinds[0] if len(kinds) == 1 else kinds
        elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
            result[key] = max(mine, other) if _are_numbers(mine, other) else mine
        elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
            result[key] = min(mine, other) if _are_numbers(mine, other) else mine
        elif key in ("oneOf", "anyOf"):
            pairs = [(a, b) for a in mine for b in other]
            result[key] = [merged(a, b) for a, b in pairs if _mapping(a) and _mapping(b)]
    return result


def _checker(spec: Any, root: Schema) -> Callable[[Any], bool]:
    """Return a function that checks a value against a schema with references into `root`."""
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    schema = {**spec, **definitions} if isinstance(spec, Mapping) else spec
    try:
        validator = jsonschema_rs.Draft202012Validator(
            {**schema, "$schema": DIALECT} if isinstance(schema, dict) else schema
        )
    except (ValueError, TypeError):  # a schema that the validator cannot read accepts nothing
        return lambda value: False
    return validator.is_valid


def _not_null(options: Sequence[Any], rng: Random) -> Any:
    """Draw an alternative; null rarely, since users do not say it."""
    others = [o for o in options if not (isinstance(o, Mapping) and o.get("type") == "null")]
    if not others or (len(others) < len(options) and rng.random() < NULL_SHARE):
        return rng.choice(options)
    return rng.choice(others)


def _type(flat: Schema, rng: Random) -> str:
    kinds = [kind for kind in _types(flat.get("type")) if kind in TYPES]
    if not kinds:
        if "type" in flat and flat["type"] == []:
            raise NoValue("types that exclude each other")
        return next((INFERRED[key] for key in INFERRED if key in flat), "string")
    others = [kind for kind in kinds if kind != "null"]
    if not others or (len(others) < len(kinds) and rng.random() < NULL_SHARE):
        return "null"
    return rng.choice(others)


def _types(kind: Any) -> list[str]:
    return [kind] if isinstance(kind, str) else list(kind) if isinstance(kind, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _least(value: Any) -> int:
    """Return a minimum length or size, 0 if there is none; NoValue if it is above LARGEST."""
    least = int(value) if _are_numbers(value) else 0
    if least > LARGEST:
        raise NoValue(f"at least {least:,} of something")
    return max(0, least)


def _most(value: Any, default: int) -> int:
    return int(value) if _are_numbers(value) else default


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _numeric(value: Any) -> float | None:
    return value if _are_numbers(value) else None


def _bounds(flat: Schema, step: float) -> tuple[float | None, float | None]:
    """Return the smallest and the largest allowed number; None if there is no bound."""
    low, high = _numeric(flat.get("minimum")), _numeric(flat.get("maximum"))
    above, below = flat.get("exclusiveMinimum"), flat.get("exclusiveMaximum")
    if above is True and low is not None:  # draft 4
        low += step
    if below is True and high is not None:
        high -= step
    above, below = _numeric(above), _numeric(below)
    if above is not None:
        low = above + step if low is None else max(low, above + step)
    if below is not None:
        high = below - step if high is None else min(high, below - step)
    return low, high


def _integer(flat: Schema, rng: Random) -> int:
    multiple = _numeric(flat.get("multipleOf")) or 1
    step = Fraction(str(multiple)) if multiple > 0 else Fraction(1)
    step = Fraction(step.numerator)  # the smallest integer multiple of a fraction
    low, high = _bounds(flat, 1)
    if flat.get("format") == "int32":
        high = 2**31 - 1 if high is None else high
    size = abs(random_whole(rng))
    if low is None and high is None:
        value = size
    elif high is None:
        value = int(low or 0) + size
    elif low is None:
        value = rng.randint(0, int(high)) if high >= 0 else int(high) - size
        value = min(value, size) if size <= high else value
    else:
        low, high = -(-low // 1), high // 1
        if low > high:
            raise NoValue("bounds that exclude each other")
        value = rng.randint(int(low), int(min(high, low + 10 ** rng.randint(1, 6))))
    return int(-(-value // step) * step) if step != 1 else value


def _number(flat: Schema, rng: Random) -> float | int:
    multiple = _numeric(flat.get("multipleOf")) or 0
    if multiple > 0:
        low, high = _bounds(flat, float(multiple))
        step = Fraction(str(multiple))
        first = -(-Fraction(str(low)) // step) if low is not None else Fraction(0)
        last = Fraction(str(high)) // step if high is not None else first + 1000
        if first > last:
            raise NoValue("no multiple within the bounds")
        value = rng.randint(int(first), int(min(last, first + 1000))) * step
        return int(value) if value.denominator == 1 else float(value)
    if rng.random() < 0.4:
        with suppress(NoValue):
            return _integer(flat, rng)
    low, high = _bounds(flat, 1e-3)
    if low is None and high is None:
        return abs(random_decimal(rng))
    if low is None or high is None:
        size = abs(random_decimal(rng))
        if high is None:
            return round((low or 0) + size, 3)
        return round(min(size, high) if high >= 0 else high - size, 3)
    if low > high:
        raise NoValue("bounds that exclude each other")
    top = min(high, low + 10 ** rng.randint(1, 4)) if high - low > 100 else high
    value = rng.uniform(low, top)
    for digits in (rng.randint(1, 3), 3, 6, 12):
        if low <= round(value, digits) <= high:
            return round(value, digits)
    return value


def _string(flat: Schema, rng: Random) -> str:
    least = _least(flat.get("minLength"))
    most = _most(flat.get("maxLength"), max(least, 10**6))
    pattern = flat.get("pattern")
    examples = [e for e in _texts(flat.get("examples")) if e]
    examples += (
        [flat["example"]] if isinstance(flat.get("example"), str) and flat["example"] else []
    )
    if isinstance(pattern, str):
        if examples and rng.random() < EXAMPLE_SHARE:
            return rng.choice(examples)
        text = matching(pattern, rng)
        if text is None:
            if examples:
                return rng.choice(examples)
            raise NoValue(f"pattern {pattern!r} cannot be drawn")
        return text
    form = flat.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form](rng)
    if examples:
        example = rng.choice(examples)
        return example if rng.random() < EXAMPLE_SHARE else like(rng, example)
    if stated := stated_form(flat):
        text = draw_of(stated, rng)
        if least <= len(text) <= most:
            return text
    words = [random_word(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    text = " ".join(words).capitalize() if rng.random() < 0.2 else " ".join(words)
    while len(text) < least:
        text = f"{text} {random_word(rng)}"
    if len(text) > most:
        text = text[:most].strip()
        text += "a" * (least - len(text))
    return text


def _boolean(flat: Schema, rng: Random) -> bool:
    return rng.random() < 0.5


def _null(flat: Schema, rng: Random) -> None:
    return None


_SCALARS: Mapping[str, Callable[[Schema, Random], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
}


def _host(rng: Random) -> str:
    ending = rng.choice(("com", "org", "net", "io"))
    return f"{''.join(c for c in random_word(rng) if c.isalnum()) or 'site'}.{ending}"


def _clock(rng: Random) -> str:
    return f"{random_time(rng)}:{rng.randint(0, 59):02}Z"


_FORMATS: Mapping[str, Callable[[Random], str]] = {
    "date": random_date,
    "time": random_time,
    "date-time": lambda rng: f"{random_date(rng)}T{_clock(rng)}",
    "datetime": lambda rng: f"{random_date(rng)}T{_clock(rng)}",
    "duration": lambda rng: f"P{rng.randint(1, 30)}D",
    "email": lambda rng: f"{random_word(rng)}@{_host(rng)}",
    "idn-email": lambda rng: f"{random_word(rng)}@{_host(rng)}",
    "hostname": _host,
    "ipv4": lambda rng: ".".join(str(rng.randint(1, 254)) for _ in range(4)),
    "ipv6": lambda rng: ":".join(f"{rng.randint(0, 65535):x}" for _ in range(8)),
    "uri": lambda rng: f"https://{_host(rng)}/{random_word(rng)}",
    "url": lambda rng: f"https://{_host(rng)}/{random_word(rng)}",
    "uri-reference": lambda rng: f"/{random_word(rng)}",
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "byte": lambda rng: base64.b64encode(random_word(rng).encode()).decode(),
}


def leaves(value: Any) -> Iterator[Any]:
    """Yield the values inside a value that are neither objects nor lists."""
    if isinstance(value, Mapping):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from leaves(member)
    else:
        yield value
