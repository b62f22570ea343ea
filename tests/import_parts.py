"""A tool in the plainest form, and shortcuts to import files."""

import json
from pathlib import Path

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.import_tools import import_tools
from tinr.catalogue.importing.names import canonical
from tinr.catalogue.importing.problems import Found, Problem
from tinr.catalogue.importing.read import Data

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


TOOL = {"name": "weather", "description": "Weather of a city.", "parameters": SCHEMA}


def read_value(value) -> tuple[dict[str, dict], list[Problem]]:
    """Canonical lines by name, and everything reported."""
    items = list(auto(Data("f.json", "", value)))
    problems = [item for item in items if isinstance(item, Problem)]
    out = list(canonical([item for item in items if isinstance(item, Found)]))
    problems += [one for one in out if isinstance(one, Problem)]
    return {one["name"]: one for one in out if isinstance(one, dict)}, problems


def write(folder: Path, name: str, value) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def imported_by_name(tmp_path, name: str, content) -> dict[str, dict]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {line["name"]: line for line in import_tools([str(path)]).lines}
