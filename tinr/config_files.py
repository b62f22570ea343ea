"""Configurations from YAML files and dotted overrides; every setting with its meaning. No torch.

A YAML file holds only what differs from the defaults; a `key=value` on the command line wins
over it; an unknown key fails with the nearest known name.
"""

import dataclasses
import difflib
import json
import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from typing_extensions import Doc

from tinr.config import Formerly, as_dict
from tinr.records import BadInput

Settings = TypeVar("Settings")


def load_config(
    kind: type[Settings],
    files: str | Path | Sequence[str | Path] | None,
    overrides: Sequence[str] = (),
) -> Settings:
    """A checked configuration of `kind` from YAML files and `key=value` overrides.

    A later file wins over an earlier one, an override over all. Raises BadInput for a missing
    or broken file, an unknown key, or a wrong value.
    """
    files = [files] if isinstance(files, str | Path) else files or []
    values: dict[str, Any] = {}
    default = _default(kind)
    overridden: set[str] = set()
    for file in files:
        read = _renamed(kind, _read_yaml(Path(file)), str(file))
        _check_keys(kind, read, str(file), ())
        _lay_over(values, read)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise BadInput(f"{override!r}: not an override; write key=value or part.key=value")
        keys = _renamed_path(kind, key.split("."), override)
        overridden.add(".".join(keys))
        _assign(values, keys, _scalar(text, override), override, default)
    places = ", ".join([*map(str, files), *(["command line"] if overrides else [])])
    return build(kind, values, places or "defaults", overridden)


def build(
    kind: type[Settings], values: Mapping[str, Any], place: str, overridden: Collection[str] = ()
) -> Settings:
    """A frozen dataclass from plain data; BadInput names the key and what it should be.

    A group that is given in part keeps the rest of what it is by default in this place.
    overridden: the keys that the command line gives, which is then the place of a mistake.
    """
    _check_keys(kind, values, place, ())
    try:
        made = TypeAdapter(kind).validate_python(_on_default(_default(kind), values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if any(key == one or key.startswith(f"{one}.") for one in overridden):
            place = "command line"
        said = first["msg"].replace("a valid tuple", f"a list: {key}=[...]")
        raise BadInput(f"{place}: {key}: {said}, not {first['input']!r}; correct it") from error
    for key, number in _endless(made):  # no card, no fingerprint and no log can hold one
        raise BadInput(f"{place}: {key}: {number} is no finite number; give a large one instead")
    return made


def override(key: str, value: object) -> str:
    """`key=value` that is read back as this very text, whatever it looks like."""
    return f"{key}={json.dumps(str(value), ensure_ascii=False)}"


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput(f"{path}: no such configuration file; check the path")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # 2024-31-12 is a ValueError
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: not YAML ({reason}); correct the file") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadInput(f"{path}: not a mapping; write key: value lines")
    return values


def _default(kind: Any) -> Any:
    """All defaults of a class; None where something must be given."""
    try:
        return kind()
    except (BadInput, TypeError):
        return None


def _on_default(default: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, groups among them completed by what they are in `default`."""
    whole = dict(values)
    for key, value in values.items():
        group = getattr(default, key, None)
        if dataclasses.is_dataclass(group) and isinstance(value, Mapping):
            usual = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}
            whole[key] = usual | _on_default(group, value)
    return whole


def _endless(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a configuration that are infinite or none, with their keys."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, value
    inner: Any = ()
    if dataclasses.is_dataclass(value):
        inner = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, tuple | list):
        inner = enumerate(value)
    for name, one in inner:
        yield from _endless(one, f"{key}.{name}" if key else str(name))


def _lay_over(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put `more` over `values`, group by group."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def _scalar(text: str, override: str) -> Any:
    try:
        value = yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{override!r}: the value is not YAML; put it in quotes") from error
    if isinstance(value, str) and not text.startswith(("'", '"')):
        try:  # YAML 1.1 reads 5e-5 as text
            return float(value)
        except ValueError:
            return value
    return value


def _assign(
    values: dict[str, Any], keys: Sequence[str], value: Any, override: str, default: Any
) -> None:
    """Put a value into its place; of a mapping that nobody gave the others stay as by default."""
    for key in keys[:-1]:
        default = default.get(key) if isinstance(default, Mapping) else getattr(default, key, None)
        inner = values.setdefault(key, dict(default) if isinstance(default, Mapping) else {})
        if not isinstance(inner, dict):
            raise BadInput(f"{override!r}: {key} is a value, not a group; drop the part after it")
        values = inner
    values[keys[-1]] = value


def _renamed(kind: Any, values: Any, place: str) -> Any:
    """The values with settings by their names of today, at any depth; an old name warns."""
    if not dataclasses.is_dataclass(kind) or not isinstance(values, Mapping):
        return values
    hints = get_type_hints(kind, include_extras=True)
    named: dict[str, Any] = {}
    for key, value in values.items():
        name = _name_of_today(hints, key, place)
        if name in named:
            raise BadInput(f"{place}: {name} is given twice, as {key} too; leave one out")
        named[name] = _renamed(_bare(hints.get(name)), value, place)
    return named


def _renamed_path(kind: Any, keys: Sequence[str], place: str) -> list[str]:
    """A dotted key by its names of today."""
    named: list[str] = []
    for key in keys:
        hints = get_type_hints(kind, include_extras=True) if dataclasses.is_dataclass(kind) else {}
        named.append(_name_of_today(hints, key, place))
        kind = _bare(hints.get(named[-1]))
    return named


def _name_of_today(hints: Mapping[str, Any], key: Any, place: str) -> Any:
    for name, hint in hints.items():
        if key not in hints and Formerly(key) in _notes(hint):
            warnings.warn(f"{place}: {key} is called {name} now; write {name}", stacklevel=2)
            return name
    return key


def _bare(hint: Any) -> Any:
    """The type that stands in `Annotated[type, ...]`."""
    return getattr(hint, "__origin__", hint) if _notes(hint) else hint


def _check_keys(kind: Any, values: Any, place: str, above: tuple[str, ...]) -> None:
    """Unknown keys, at any depth, fail with the nearest known name."""
    if not dataclasses.is_dataclass(kind) or not isinstance(values, Mapping):
        return
    types = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    for key, value in values.items():
        full = ".".join((*above, str(key)))
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise BadInput(f"{place}: unknown key {full!r}; {hint}")
        _check_keys(types[key], value, place, (*above, str(key)))


def described(kind: type) -> str:
    """The defaults of a dataclass as YAML, each with its meaning as a comment."""
    return "\n".join(_lines(kind(), 0)) + "\n"


def _lines(config: Any, depth: int) -> Iterator[str]:
    said, plain = _meanings(type(config)), as_dict(config)
    for field in dataclasses.fields(config):
        value, indent = getattr(config, field.name), "  " * depth
        comment = f"  # {said[field.name]}" if said.get(field.name) else ""
        if dataclasses.is_dataclass(value):
            yield f"{indent}{field.name}:{comment}"
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{field.name}: {_yaml_scalar(plain[field.name])}{comment}"


def _yaml_scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()  # the end of a document that is one value


def _meanings(kind: type) -> dict[str, str]:
    """Field -> what its `Doc` says, in the class that says it last."""
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        for name, hint in get_type_hints(one, include_extras=True).items():
            documented = [note.documentation for note in _notes(hint) if isinstance(note, Doc)]
            said[name] = " ".join(documented) or said.get(name, "")
    return said


def _notes(hint: Any) -> tuple[Any, ...]:
    """What stands beside the type in `Annotated[type, ...]`."""
    return getattr(hint, "__metadata__", ())
