"""Python functions as tools: type hints and docstrings, read from the source, never run."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docstring_parser import ParseError, parse

from tinr.catalogue.importing import types
from tinr.catalogue.importing.problems import Found, Item, Problem

LARGEST = 10 * 2**20  # bytes


def read_python(path: Path) -> Iterator[Item]:
    """The public functions at the top of a module; methods and private ones are left alone."""
    file = str(path)
    try:
        raw = path.read_bytes()
        if len(raw) > LARGEST:
            raise ValueError(f"larger than {LARGEST >> 20} MiB")
        module = ast.parse(raw, filename=file)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield Problem(file, "", f"not Python: {' '.join(str(error).split())[:160]}")
        return
    functions = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any(ast.unparse(one).endswith("overload") for one in node.decorator_list)
    ]
    if not functions:
        yield Problem(file, "", "no public function at the top of the module")
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.If | ast.Try):
            what = getattr(node, "name", type(node).__name__.lower())
            yield Problem(file, f"/{what}", "functions inside of it are left alone", "note")
    for node in functions:
        try:
            yield _function(node, file, path.stem)
        except (RecursionError, ValueError, TypeError) as error:
            yield Problem(file, f"/{node.name}", f"cannot be read ({type(error).__name__})")


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, file: str, module: str) -> Found:
    notes: list[str] = []
    try:
        said = parse(ast.get_docstring(node) or "")
    except ParseError as error:
        said = parse("")
        notes.append(f"its docstring cannot be read: {error}")
    about = {p.arg_name: p.description or "" for p in said.params}
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    pairs = list(zip(plain, [*defaults, *arguments.defaults], strict=True))
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument, default in pairs:
        properties[argument.arg] = _parameter(argument, default, about, notes)
        if default is None:
            required.append(argument.arg)
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            notes.append(f"*{star.arg} was left out: a call names its arguments")
    schema = {"type": "object", "properties": properties}
    schema |= {"required": required} if required else {}
    parts = [said.short_description, said.long_description]
    returned = (said.returns.description or "") if said.returns else ""
    return Found(
        file=file,
        pointer=f"/{node.name}",
        name=node.name,
        description=" ".join(" ".join(p.split()) for p in parts if p),
        schema=ast.unparse(arguments),
        parameters=types.object_schema(schema, notes.append),
        namespace=module,
        returns=" ".join(returned.split()),
        extra={"notes": notes},
    )


def _parameter(
    argument: ast.arg, default: ast.expr | None, about: dict[str, str], notes: list[str]
) -> dict[str, Any]:
    words = ast.unparse(argument.annotation) if argument.annotation else ""
    made = types.from_words(words) if words else {}
    if made is None:
        notes.append(f"the type {words[:60]!r} of {argument.arg!r} was read as any value")
        made = {}
    made = dict(made)
    if about.get(argument.arg):
        made["description"] = " ".join(about[argument.arg].split())
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            notes.append(f"the default of {argument.arg!r} is no plain value")
        else:
            if value is None or isinstance(value, str | int | float | bool | list | dict):
                made["default"] = value
    return made
