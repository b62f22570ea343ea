"""Python functions as tools: type hints and docstrings from source that is never executed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docstring_parser import ParseError, parse

from tinr.catalogue.importing import types
from tinr.catalogue.importing.problems import Found, Item, Problem

LARGEST = 10 * 2**20  # bytes


def read_python(path: Path) -> Iterator[Item]:
    """Yield a module's top-level public functions as tools; skip methods and private ones."""
    file = str(path)
    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise ValueError(f"larger than {LARGEST >> 20} MiB")
        module = ast.parse(content, filename=file)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield Problem(file, "", f"not Python: {' '.join(str(error).split())[:160]}")
        return
    functions = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any(
            ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list
        )
    ]
    if not functions:
        yield Problem(file, "", "no public top-level function")
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.If | ast.Try):
            name = getattr(node, "name", type(node).__name__.lower())
            yield Problem(file, f"/{name}", "functions inside it are skipped", "note")
    for node in functions:
        try:
            yield _function(node, file, path.stem)
        except (RecursionError, ValueError, TypeError) as error:
            yield Problem(file, f"/{node.name}", f"cannot be read ({type(error).__name__})")


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, file: str, module: str) -> Found:
    notes: list[str] = []
    try:
        docstring = parse(ast.get_docstring(node) or "")
    except ParseError as error:
        docstring = parse("")
        notes.append(f"its docstring cannot be read: {error}")
    descriptions = {
        parameter.arg_name: parameter.description or "" for parameter in docstring.params
    }
    arguments = node.args
    positional_arguments = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional_arguments) - len(arguments.defaults))
    pairs = list(zip(positional_arguments, [*defaults, *arguments.defaults], strict=True))
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument, default in pairs:
        properties[argument.arg] = _parameter(argument, default, descriptions, notes)
        if default is None:
            required.append(argument.arg)
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            notes.append(f"*{star.arg} was left out: calls pass arguments by name")
    schema = {"type": "object", "properties": properties}
    schema |= {"required": required} if required else {}
    texts = [docstring.short_description, docstring.long_description]
    return_text = (docstring.returns.description or "") if docstring.returns else ""
    return Found(
        file=file,
        pointer=f"/{node.name}",
        name=node.name,
        description=" ".join(" ".join(text.split()) for text in texts if text),
        schema=ast.unparse(arguments),
        parameters=types.object_schema(schema, notes.append),
        namespace=module,
        returns=" ".join(return_text.split()),
        extra={"notes": notes},
    )


def _parameter(
    argument: ast.arg, default: ast.expr | None, descriptions: dict[str, str], notes: list[str]
) -> dict[str, Any]:
    words = ast.unparse(argument.annotation) if argument.annotation else ""
    schema = types.from_words(words) if words else {}
    if schema is None:
        notes.append(f"the type {words[:60]!r} of {argument.arg!r} was read as any type")
        schema = {}
    schema = dict(schema)
    if descriptions.get(argument.arg):
        schema["description"] = " ".join(descriptions[argument.arg].split())
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            notes.append(f"the default of {argument.arg!r} is not a literal")
        else:
            if value is None or isinstance(value, str | int | float | bool | list | dict):
                schema["default"] = value
    return schema
