"""Load configurations from YAML files and dotted overrides, and list all settings. No torch.

A YAML file has only the settings that differ from the defaults. A `key=value` on the command line
overrides it. An unknown key fails with the nearest known name.
"""

import dataclasses
import difflib
import json
import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

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
    """Return a checked configuration of `kind` from YAML files and `key=value` overrides.

    A later file overrides an earlier one, and an override all files. Raises BadInput
    for a missing or invalid file, an unknown key, or an invalid value.
    """
    files = [files] if isinstance(files, str | Path) else files or []
    values: dict[str, Any] = {}
    default = _default(kind)
    overridden: set[str] = set()
    for file in files:
        file_values = _renamed(kind, _read_yaml(Path(file)), str(file))
        _check_keys(kind, file_values, str(file), ())
        _lay_over(values, file_values)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise BadInput(f"{override!r}: not an override; write key=value or part.key=value")
        value = _scalar(text, override)
        keys, value = _renamed_override(kind, key.split("."), value, override)
        overridden.add(".".join(keys))
        _assign(values, keys, value, override, default)
    places = ", ".join([*map(str, files), *(["command line"] if overrides else [])])
    return build(kind, values, places or "defaults", overridden)


def build(
    kind: type[Settings], values: Mapping[str, Any], place: str, overridden: Collection[str] = ()
) -> Settings:
    """Build a frozen dataclass from plain data; BadInput names the key and the expected value.

    Missing keys of a group are filled in from the group's default in `kind`.
    overridden: keys from the command line; an error in one of them names the command line.
    """
    _check_keys(kind, values, place, ())
    try:
        config = TypeAdapter(kind).validate_python(_on_default(_default(kind), values))
    except ValidationError as error:
        first_error = error.errors()[0]
        key = ".".join(str(segment) for segment in first_error["loc"])
        if any(key == name or key.startswith(f"{name}.") for name in overridden):
            place = "command line"
        message = first_error["msg"].replace("a valid tuple", f"a list: {key}=[...]")
        if first_error["type"] == "dataclass_type":
            message = f"a group of settings; write {key}.NAME=VALUE"
        raise BadInput(
            f"{place}: {key}: {message}, not {first_error['input']!r}; correct it"
        ) from error
    for key, value in _infinite_numbers(config):  # cards, fingerprints and logs cannot store it
        raise BadInput(f"{place}: {key}: {value} is not a finite number; give a finite one")
    return config


def override(key: str, value: object) -> str:
    """Return `key=value` that is read back as exactly this text, even if it looks like YAML."""
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
    """Return all defaults of a class, or None if it has a required field."""
    try:
        return kind()
    except (BadInput, TypeError):
        return None


def _on_default(default: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with each group completed from `default`."""
    values_with_defaults = dict(values)
    for key, value in values.items():
        group = getattr(default, key, None)
        if dataclasses.is_dataclass(group) and isinstance(value, Mapping):
            defaults = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}
            values_with_defaults[key] = defaults | _on_default(group, value)
    return values_with_defaults


def _infinite_numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Yield the infinite and NaN numbers in a configuration, with their keys."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, value
    items: Any = ()
    if dataclasses.is_dataclass(value):
        items = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, tuple | list):
        items = enumerate(value)
    for name, item in items:
        yield from _infinite_numbers(item, f"{key}.{name}" if key else str(name))


def _lay_over(values: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    """Write `overlay` into `values`, group by group."""
    for key, value in overlay.items():
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
    """Set the value of a dotted key; a mapping that is not set yet starts from its default."""
    for key in keys[:-1]:
        default = default.get(key) if isinstance(default, Mapping) else getattr(default, key, None)
        group = values.setdefault(key, dict(default) if isinstance(default, Mapping) else {})
        if not isinstance(group, dict):
            raise BadInput(
                f"{override!r}: {key} is a value, not a group; leave out the part after it"
            )
        values = group
    values[keys[-1]] = value


def _renamed(kind: Any, values: Any, place: str) -> Any:
    """Return the values with old names replaced by current ones, at any depth; each warns."""
    if not dataclasses.is_dataclass(kind) or not isinstance(values, Mapping):
        return values
    hints = get_type_hints(kind, include_extras=True)
    values_by_name: dict[str, Any] = {}
    for key, value in values.items():
        name = _name_of_today(hints, key, place)
        if name in values_by_name:
            raise BadInput(f"{place}: {name} is given twice, also as {key}; leave one out")
        values_by_name[name] = _renamed(_annotated_type(hints.get(name)), value, place)
    return values_by_name


def _renamed_override(
    kind: Any, keys: Sequence[str], value: Any, place: str
) -> tuple[list[str], Any]:
    """Return a dotted key and its value with old names replaced by current ones."""
    for key in reversed(keys):
        value = {key: value}
    value, path = _renamed(kind, value, place), []
    for _ in keys:
        ((key, value),) = value.items()
        path.append(key)
    return path, value


def _name_of_today(hints: Mapping[str, Any], key: Any, place: str) -> Any:
    for name, hint in hints.items():
        if key not in hints and Formerly(key) in _notes(hint):
            warnings.warn(f"{place}: {key} is called {name} now; write {name}", stacklevel=2)
            return name
    return key


def _annotated_type(hint: Any) -> Any:
    """Return the type of `Annotated[type, ...]`."""
    return getattr(hint, "__origin__", hint) if _notes(hint) else hint


def _check_keys(kind: Any, values: Any, place: str, parents: tuple[str, ...]) -> None:
    """Raise BadInput for an unknown key at any depth, with the nearest known name."""
    if get_origin(kind) is tuple and isinstance(values, list):
        for number, value in enumerate(values):
            _check_keys(get_args(kind)[0], value, place, (*parents, str(number)))
        return
    if not dataclasses.is_dataclass(kind) or not isinstance(values, Mapping):
        return
    types = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for key, value in values.items():
        full_key = ".".join((*parents, str(key)))
        if key not in names:
            matches = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            inner = [] if parents or matches[:1] else _keys_of_groups(kind, str(key))
            full_keys = [".".join((*parents, match)) for match in matches] + inner
            hint = (
                f"did you mean {full_keys[0]!r}?"
                if full_keys
                else f"known here: {', '.join(names)}"
            )
            raise BadInput(f"{place}: unknown key {full_key!r}; {hint}")
        _check_keys(types[key], value, place, (*parents, str(key)))


def _keys_of_groups(kind: Any, name: str) -> list[str]:
    """Return the keys of a configuration's groups whose last part is `name`."""
    return [
        f"{group}.{name}"
        for group, hint in get_type_hints(kind).items()
        if dataclasses.is_dataclass(hint) and name in {f.name for f in dataclasses.fields(hint)}
    ]


def described(kind: type) -> str:
    """Return the defaults of a dataclass as YAML, each with its help text as a comment."""
    return "\n".join(_lines(kind(), 0)) + "\n"


def _lines(config: Any, depth: int) -> Iterator[str]:
    meanings, scalars = _meanings(type(config)), as_dict(config)
    for setting in dataclasses.fields(config):
        value, indent = getattr(config, setting.name), "  " * depth
        comment = f"  # {meanings[setting.name]}" if meanings.get(setting.name) else ""
        if dataclasses.is_dataclass(value):
            yield f"{indent}{setting.name}:{comment}"
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{setting.name}: {_yaml_scalar(scalars[setting.name])}{comment}"


def _yaml_scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()  # end-of-document mark of a scalar


def _meanings(kind: type) -> dict[str, str]:
    """Return field -> its `Doc` text; a subclass overrides its base class."""
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for name, hint in get_type_hints(base, include_extras=True).items():
            texts = [note.documentation for note in _notes(hint) if isinstance(note, Doc)]
            meanings[name] = " ".join(texts) or meanings.get(name, "")
    return meanings


def _notes(hint: Any) -> tuple[Any, ...]:
    """Return the metadata of `Annotated[type, ...]`."""
    return getattr(hint, "__metadata__", ())
