"""Readers for the formats of tool catalogues; each reads plain data.

A reader walks the data and yields every tool, or a problem with the reason why it cannot be
read. `auto` recognises a tool by its keys, wherever it is nested.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tinr.catalogue.importing import types
from tinr.catalogue.importing.openapi import is_openapi, read_openapi
from tinr.catalogue.importing.problems import Found, Item, Problem, step
from tinr.catalogue.importing.read import Data

NAMES = ("name", "api_name", "function_name", "name_for_model", "tool_name")
DESCRIPTIONS = (
    "description",
    "api_description",
    "functionality",
    "desc",
    "description_for_model",
)
# keys of parameters, in lookup order
PARAMETERS = ("parameters", "inputSchema", "input_schema", "arguments", "_arguments")
SCHEMAS = ("inputSchema", "input_schema", "parametersJsonSchema")  # always a JSON Schema
# used only if no other key holds parameters: too common elsewhere to recognise a tool by
MORE_PARAMETERS = (
    "parametersJsonSchema",  # Gemini
    "parameters_json_schema",
    "parameter_definitions",  # Cohere
    "inputs",  # smolagents
    "args_schema",  # LangChain
    "args",
    "params",
    "parameter",
    "json_schema",
    "schema",
    "input",
)
FLAT = ("path_parameters", "query_parameters", "body_parameters", "api_arguments")
RAPID = ("required_parameters", "optional_parameters")
RETURNS = ("returns", "output_parameters", "outputSchema", "response_schema", "responses")
# keys whose values hold tools, at any depth
HOLDERS = (
    "tools",
    "functions",
    "functionDeclarations",
    "function_declarations",
    "function",
    "function_list",
    "toolConfig",
    "toolSpec",
    "api_list",
    "apis",
    "result",
    "Documentation",
)
DEEPEST = 16  # levels of nested holders
LONGEST_PROMPT = 1_000_000  # characters
MOST_TRIES = 1000  # braces in a prompt that do not start JSON
EXTRA_KEYS = ("token", "method", "annotations", "outputSchema")  # kept in the document's line
UNREAD_KEYS = ("metadata", "_meta", "meta", "execution", "cache_control", "examples", "icons")

Reader = Callable[[Data], Iterator[Item]]


def auto(data: Data) -> Iterator[Item]:
    """Yield every tool of a document; the format follows from its shape."""
    empty = True
    for item in _walk(data.value, data.file, data.pointer, "", 0):
        empty = False
        yield item
    if empty:
        yield Problem(data.file, data.pointer, "contains no tools", "note")


def _walk(value: Any, file: str, pointer: str, namespace: str, depth: int) -> Iterator[Item]:
    if depth > DEEPEST:
        yield Problem(file, pointer, "nested too deeply to look for tools")
    elif isinstance(value, str):
        yield from _from_string(value, file, pointer, namespace, depth)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, file, step(pointer, number), namespace, depth + 1)
    elif not isinstance(value, Mapping):
        yield Problem(file, pointer, f"not a tool: a value of type {type(value).__name__}")
    elif is_openapi(value):
        yield from read_openapi(value, file, pointer)
    elif value.get("type") == "function" and isinstance(value.get("function"), Mapping):
        yield _tool(value["function"], file, step(pointer, "function"), namespace)
    elif is_tool(value):
        yield _tool(value, file, pointer, namespace)
    else:
        yield from _tools_behind_keys(value, file, pointer, namespace, depth)


def is_tool(value: Mapping[str, Any]) -> bool:
    """Whether an object is a tool by its keys: a name, and parameters or a description."""
    if _first(value, NAMES) is None:
        return False
    if any(key in value for key in (*PARAMETERS, *FLAT, *RAPID)):
        return True
    return _first(value, DESCRIPTIONS) is not None and not any(key in value for key in HOLDERS)


def _tools_behind_keys(
    value: Mapping[str, Any], file: str, pointer: str, namespace: str, depth: int
) -> Iterator[Item]:
    """Yield the tools under holder keys, in mappings by name and in system prompts."""
    holders = [key for key in HOLDERS if key in value]
    if holders:
        name = _first(value, ("server", "tool_name", "Name", "title", *NAMES))
        for key in holders:
            content = value[key]
            if content in ("", None, [], "[]"):
                continue  # a dialogue without tools
            place = step(pointer, key)
            yield from _walk(content, file, place, name or namespace, depth + 1)
        if "tools" in value and value.get("nextCursor"):
            place = step(pointer, "nextCursor")
            yield Problem(file, place, "more tools are on pages that are missing here; import them")
    elif _prompt(value):
        for place, text in _prompt(value):
            yield from from_prompt(text, file, step(pointer, *place), namespace)
    elif value and all(isinstance(v, Mapping) and is_tool(v) for v in value.values()):
        for key, tool in value.items():  # tools by key, as TInR stores them
            yield _tool(tool, file, step(pointer, key), namespace)
    elif _is_named_parameters(value):
        for key, tool in value.items():  # name -> {description, parameters}
            yield _tool({"name": key, **tool}, file, step(pointer, key), namespace)
    elif len(value) > 1 and all(isinstance(v, str) for v in value.values()) and not pointer:
        reason = "a mapping of names to strings was read as tool descriptions"
        yield Problem(file, pointer, reason, "note")
        for key, text in value.items():  # name -> description, as MetaTool stores them
            tool = {"name": key, "description": text, "parameters": {}}
            yield _tool(tool, file, step(pointer, key), namespace)
    else:
        keys = ", ".join(str(key)[:40] for key in list(value)[:5]) or "none"
        yield Problem(file, pointer, f"no tool recognised (keys: {keys})")


def _is_named_parameters(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(
        isinstance(v, Mapping) and "description" in v and any(k in v for k in PARAMETERS)
        for v in value.values()
    )


def _from_string(value: str, file: str, pointer: str, namespace: str, depth: int) -> Iterator[Item]:
    """Read JSON inside a string, as in ShareGPT's "tools" and ToolAlpaca's documents."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        yield Problem(file, pointer, "a string that is not JSON where tools are expected")
        return
    if isinstance(content, str):
        yield Problem(file, pointer, "a string where tools are expected")
        return
    yield from _walk(content, file, pointer, namespace, depth + 1)


def _prompt(value: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return a dialogue's system prompts: `system`, or the system messages of a conversation."""
    if isinstance(value.get("system"), str):
        return [(("system",), value["system"])]
    prompts: list[tuple[tuple[str | int, ...], str]] = []
    for key in ("messages", "conversations"):
        messages = value.get(key)
        for number, message in enumerate(messages if isinstance(messages, list) else []):
            if not isinstance(message, Mapping):
                continue
            content = message.get("content", message.get("value"))
            if message.get("role", message.get("from")) == "system" and isinstance(content, str):
                prompts.append(((key, number), content))
    return prompts


def from_prompt(text: str, file: str, pointer: str, namespace: str) -> Iterator[Item]:
    """Yield the tools of a system prompt: JSON anywhere in it, or API-Bank's numbered list."""
    if len(text) > LONGEST_PROMPT:
        yield Problem(file, pointer, f"a system prompt of {len(text):,} characters; split it")
        return
    tools = list(_json_tools(text))
    if tools:
        for index, tool in tools:
            yield _tool(tool, file, f"{pointer}@{index}", namespace)
        return
    sections = re.split(r"(?m)^[ \t]*\d+\.[ \t]+(?=[^\n]*\n(?:Description:|Parameters:))", text)[1:]
    if not sections:
        yield Problem(file, pointer, "a system prompt without tools")
    for number, section in enumerate(sections):
        place = f"{pointer}@{number}"
        name_match = re.match(r"(?:Name:\s*)?([^\n:]+)(?::\s*([^\n]*))?\n", section)
        description_match = re.search(r"(?m)^Description:\s*(.*)$", section)
        parameters_match = re.search(r"(?m)^Parameters:\s*(\{.*\})\s*$", section)
        if name_match is None:
            yield Problem(file, place, "a list item without a name")
            continue
        try:
            parameters = ast.literal_eval(parameters_match[1]) if parameters_match else {}
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            yield Problem(file, place, f"tool {name_match[1].strip()!r}: parameters cannot be read")
            continue
        description = description_match[1] if description_match else name_match[2] or ""
        tool = {"name": name_match[1].strip(), "description": description, "parameters": parameters}
        yield _tool(tool, file, place, namespace)


def _json_tools(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the tool objects in a text, each with the index of its first character."""
    decoder, index, tries = json.JSONDecoder(), 0, 0
    while tries < MOST_TRIES and (index := text.find("{", index)) >= 0:
        try:
            value, end = decoder.raw_decode(text, index)
        except (ValueError, RecursionError):
            index, tries = index + 1, tries + 1
            continue
        function = value.get("function") if isinstance(value, dict) else None
        tool = function if isinstance(function, dict) else value
        if isinstance(tool, dict) and is_tool(tool) and _has_description_or_schema(tool):
            yield index, tool
        index = end


def _has_description_or_schema(tool: Mapping[str, Any]) -> bool:
    """Whether it is a tool, not a call: it has a description or its parameters are a schema."""
    schema = _first_value(tool, PARAMETERS)
    return _first(tool, DESCRIPTIONS) is not None or (
        isinstance(schema, Mapping) and types.describes_object(schema)
    )


def _tool(value: Mapping[str, Any], file: str, pointer: str, namespace: str) -> Item:
    """Read one tool by its keys, in any of the usual spellings."""
    name = _first(value, NAMES)
    if name is None:
        return Problem(file, pointer, "a tool without a name")
    notes: list[str] = []
    key, source = _parameters(value)
    parameters = types.object_schema(source, notes.append, is_schema=key in SCHEMAS)
    required = value.get("required")
    is_flat = not (isinstance(source, Mapping) and types.describes_object(source))
    if isinstance(required, list) and (is_flat or "required" not in parameters):
        names = [name for name in map(str, required) if name in parameters["properties"]]
        parameters.pop("required", None)
        parameters |= {"required": names} if names else {}
    notes += [f"the key {unread!r} was ignored" for unread in _unread(value, key)]
    return_value = _first_value(value, RETURNS)
    parent = _first(value, ("tool_name",)) if "api_name" in value else None
    return Found(
        file=file,
        pointer=pointer,
        name=name.strip(),
        description=(_first(value, DESCRIPTIONS) or "").strip(),
        schema=source,
        parameters=parameters,
        namespace=parent or namespace,
        returns=return_value if isinstance(return_value, str) else "",
        domain=_first(value, ("domain", "category", "category_name", "field")) or "",
        extra={key: value[key] for key in EXTRA_KEYS if key in value} | {"notes": notes},
    )


def _parameters(value: Mapping[str, Any]) -> tuple[str, Any]:
    """Return a tool's parameters and the key that holds them; "" if several keys do."""
    more = () if any(key in value for key in (*FLAT, *RAPID)) else MORE_PARAMETERS
    for key in (*PARAMETERS, *more):
        if key in value and (key in PARAMETERS or isinstance(value[key], Mapping)):
            parameters = value[key]
            # Bedrock wraps the schema in {"json": ...}
            is_wrapped = isinstance(parameters, Mapping) and set(parameters) == {"json"}
            return key, (
                parameters["json"]
                if is_wrapped and isinstance(parameters["json"], Mapping)
                else parameters
            )
    if any(key in value for key in RAPID):
        return "", {
            str(parameter.get("name", "")): {k: v for k, v in parameter.items() if k != "name"}
            | {"required": key == "required_parameters"}
            for key in RAPID
            for parameter in (value[key] if isinstance(value.get(key), list) else [])
            if isinstance(parameter, Mapping)
        }
    if isinstance(value.get("properties"), Mapping):  # the schema is the tool itself
        keys = ("properties", "required", "additionalProperties", "$defs", "definitions")
        return "properties", {key: value[key] for key in keys if key in value}
    properties: dict[str, Any] = {}
    for key in FLAT:
        if isinstance(value.get(key), Mapping):
            properties |= value[key]
    return "", properties


def _unread(value: Mapping[str, Any], parameters_key: str) -> list[str]:
    """Return the keys of a tool that hold an object and were not read."""
    known = {parameters_key, *FLAT, *RAPID, *RETURNS, *EXTRA_KEYS, *UNREAD_KEYS}
    known |= {"required", "$defs", "definitions"} if parameters_key == "properties" else set()
    return [
        str(key)[:60]
        for key, content in value.items()
        if isinstance(content, Mapping) and content and key not in known
    ]


def _first(value: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    texts = (value.get(key) for key in keys)
    return next((text for text in texts if isinstance(text, str) and text.strip()), None)


def _first_value(value: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if value.get(key)), None)


def _only(accepts: Callable[[Any], bool], shape: str) -> Reader:
    """Return a reader like `auto` that accepts documents of one shape only."""

    def read(data: Data) -> Iterator[Item]:
        if accepts(data.value):
            yield from auto(data)
        else:
            yield Problem(data.file, data.pointer, f"not {shape}, which --format requires")

    return read


def _holds(*keys: str) -> Callable[[Any], bool]:
    """Return a function that checks if a tool or holder in a document has one of these keys."""

    def accepts(value: Any, depth: int = 0) -> bool:
        if isinstance(value, Mapping):
            if any(key in value for key in keys):
                return True
            items = list(value.values())[:50]
        elif isinstance(value, list):
            items = value[:50]
        else:
            return False
        return depth < 4 and any(accepts(item, depth + 1) for item in items)

    return accepts


FORMATS: Mapping[str, Reader] = {
    "auto": auto,
    "openapi": _only(is_openapi, "an OpenAPI document"),
    "openai": _only(_holds("function", "functions", "parameters", "tools"), "function schemas"),
    "mcp": _only(_holds("inputSchema"), "a tools/list result"),
    "rapidapi": _only(_holds(*RAPID), "RapidAPI documents"),
    "bfcl": _only(_holds("function", "parameters"), "BFCL functions"),
    "tinr": _only(_holds("token"), "TInR's tools.json"),
    "acebench": _only(_holds("function", "arguments", "_arguments", "parameters"), "ACEBench"),
    "apibank": _only(_holds("system"), "API-Bank dialogues"),
    "nestful": _only(_holds(*FLAT[:3], "arguments", "parameters"), "NESTFUL's spec"),
    "sealtools": _only(_holds("api_name"), "Seal-Tools"),
    "canonical": _only(_holds("parameters"), "a catalogue"),
}
