"""Read files into plain data, with limits: the content of a file is not trusted.

JSON, JSON Lines and YAML, plain or gzipped. A malformed line of JSON Lines is reported and the
others are kept. YAML yields JSON values only; too many values from aliases are rejected.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tinr.catalogue.importing.problems import Problem
from tinr.files import without_halves
from tinr.records import BadInput

LARGEST_FILE = 512 * 2**20  # bytes, after decompression
MOST_VALUES = 5_000_000  # values in one YAML document; each use of an alias counts
MOST_MERGED = 100_000  # keys of one YAML mapping, merged ones included
DEEPEST = 200  # levels of nesting
LOOKED_AT = 20  # lines checked to distinguish JSON Lines from a malformed JSON file
REPORT = "problems.jsonl"  # how the file name of an import's report ends
SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")


@dataclass(frozen=True)
class Data:
    """One document of a file, at a pointer (the line number in JSON Lines)."""

    file: str
    pointer: str
    value: Any


def files_of(source: str | Path) -> list[Path]:
    """Return a file, or all readable files below a folder; BadInput if there are none."""
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput(f"{path}: no such file or folder; check the path")
    files = sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and _suffix(p) in SUFFIXES and not p.name.endswith(REPORT)
    )
    if not files:
        raise BadInput(f"{path}: contains no {', '.join(SUFFIXES)} file; give a file")
    return files


def read(path: Path) -> Iterator[Data | Problem]:
    """Yield the documents of a file, or a problem if it has none."""
    file = str(path)
    try:
        text = _text(path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as error:
        yield Problem(file, "", f"cannot be read: {_short(error)}")
        return
    if not text.strip():
        yield Problem(file, "", "is empty")
    elif _suffix(path) in (".yaml", ".yml"):
        yield from _yaml(file, text)
    else:
        yield from _json(file, text)


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _text(path: Path) -> str:
    if path.name.endswith(".gz"):
        with gzip.open(path) as file:
            content = file.read(LARGEST_FILE + 1)
    else:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE >> 20} MiB; split it")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def _json(file: str, text: str) -> Iterator[Data | Problem]:
    duplicates: list[str] = []
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, duplicates))
        value = without_halves(value, text)
        for key in dict.fromkeys(duplicates):
            yield Problem(file, "", f"the key {key!r} occurs twice; the last one is read", "note")
        yield Data(file, "", value)
        return
    except RecursionError:
        yield Problem(file, "", "nested too deeply")
        return
    except ValueError as error:
        problem = Problem(file, "", f"not JSON: {_short(error)}")
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) < 2 or not any(_is_object(line) for _, line in lines[:LOOKED_AT]):
        yield problem
        return
    for number, line in lines:
        try:
            yield Data(file, f"/{number}", without_halves(json.loads(line), line))
        except (ValueError, RecursionError) as error:
            yield Problem(file, f"/{number}", f"line {number} is not JSON: {_short(error)}")


def _object(pairs: list[tuple[str, Any]], duplicates: list[str]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        duplicates += [key[:80] for key, count in Counter(k for k, _ in pairs).items() if count > 1]
    return mapping


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML loader with the scalar types of YAML 1.2's JSON schema: dates and `no` are strings.

    The number of merged keys (`<<`) is limited.
    """

    def __init__(self, stream: Any):
        super().__init__(stream)
        self.duplicates: list[str] = []

    def flatten_mapping(self, node: Any) -> None:
        """Merge keys as YAML defines it, up to a limit: merges of merges multiply."""
        names = [str(key.value)[:80] for key, _ in node.value if isinstance(key.value, str)]
        if len(set(names)) < len(names):
            self.duplicates += [n for n, count in Counter(names).items() if count > 1 and n != "<<"]
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            raise ValueError(f"more than {MOST_MERGED:,} keys in one mapping (nested merges?)")


class SpelledInt(int):
    """An integer of a YAML file, with its spelling, which is used if a string is expected."""

    text: str


class SpelledFloat(float):
    """A decimal number of a YAML file, with its spelling (`1.10`)."""

    text: str


def _construct_number(loader: Any, node: Any) -> SpelledInt | SpelledFloat:
    kind = SpelledInt if node.tag.endswith(":int") else SpelledFloat
    number = kind(node.value)
    number.text = node.value
    return number


for _tag in ("int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct_number)

WHOLE = r"-?(?:0|[1-9][0-9]*)"
PLAIN = {  # scalars that are not strings in YAML 1.2; `no`, `on`, 12:30 and 0123 are strings
    "merge": ("<<", "<"),
    "null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (WHOLE, "-0123456789"),
    "float": (rf"{WHOLE}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
}
_PlainLoader.yaml_implicit_resolvers = {}
for _kind, (_words, _first) in PLAIN.items():
    _PlainLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_words})\Z"), list(_first)
    )


def _yaml(file: str, text: str) -> Iterator[Data | Problem]:
    try:
        _bound_depth(text)
        loader = _PlainLoader(text)
        value = loader.get_single_data()
        value = plain(value)
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        yield Problem(file, "", f"not YAML: {_short(error)}")
        return
    for key in loader.duplicates:
        yield Problem(file, "", f"the key {key!r} occurs twice; the last one is read", "note")
    yield Data(file, "", value)


def _bound_depth(text: str) -> None:
    """Raise ValueError for YAML nested so deeply that composing it would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")


def plain(value: Any) -> Any:
    """Copy a value into JSON values; ValueError if it is too large, too deep or of another type."""
    values_left = MOST_VALUES

    def copy(node: Any, depth: int) -> Any:
        nonlocal values_left
        values_left -= 1
        if values_left < 0:
            raise ValueError(f"more than {MOST_VALUES:,} values (nested aliases?)")
        if depth > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")
        if isinstance(node, dict):
            return {_key(key): copy(item, depth + 1) for key, item in node.items()}
        if isinstance(node, list):
            return [copy(item, depth + 1) for item in node]
        if node is None or isinstance(node, str | int | float):
            return node
        raise ValueError(f"a value of type {type(node).__name__}; only JSON types are read")

    return copy(value, 0)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return key if isinstance(key, str) else str(key)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
