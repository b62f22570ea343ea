"""Every setting of a configuration with its default and what its source says of it."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tinr.config import as_dict

FIELD = re.compile(r"    (\w+):.*?(?:  # (.*))?$")  # one that begins on a line of a dataclass
MORE = re.compile(r"    \)?\s*# (.*)$")  # what is said of it goes on, or stands behind its end


def described(kind: type) -> str:
    """The defaults of a dataclass as YAML, each with the comment beside it in the source."""
    return "\n".join(_lines(kind(), 0)) + "\n"


def _lines(config: Any, depth: int) -> Iterator[str]:
    said, plain = _comments(type(config)), as_dict(config)
    for field in dataclasses.fields(config):
        value, indent = getattr(config, field.name), "  " * depth
        comment = f"  # {said[field.name]}" if said.get(field.name) else ""
        if dataclasses.is_dataclass(value):
            yield f"{indent}{field.name}:{comment}"
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{field.name}: {_scalar(plain[field.name])}{comment}"


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()  # the end of a document that is one value


def _comments(kind: type) -> dict[str, str]:
    """Field -> what stands behind it, in the class that states it last."""
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(one):
            continue
        name = ""
        for line in inspect.getsource(one).splitlines():
            if line.startswith("    def ") or line.startswith("    @"):
                break
            if found := FIELD.match(line):
                name = found[1]
                said[name] = found[2] or said.get(name, "")
            elif name and (more := MORE.match(line)):
                said[name] = f"{said[name]} {more[1]}".strip()
    return said
