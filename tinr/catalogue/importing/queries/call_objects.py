"""Calls as JSON objects: in the fields of messages, and in the text of models."""

from collections.abc import Iterator, Mapping
from typing import Any

from tinr.catalogue.importing.queries.literals import Written, json_value
from tinr.catalogue.importing.queries.tool_names import ToolNames, is_compound

NAMES = (
    "name", "tool_name", "toolName", "function_name", "recipient_name", "tool", "function",
    "action", "api", "api_name", "method", "token",
)  # fmt: skip
ARGUMENTS = (
    "arguments", "parameters", "args", "input", "params", "tool_input", "action_input", "kwargs",
    "tool_args", "tool_parameters", "function_args", "action_parameters",
)  # fmt: skip
WRAPPERS = ("function", "function_call", "functionCall", "tool_call", "toolUse", "tool_use")
LISTS = ("tool_calls", "tool_uses", "function_calls", "calls")
IDS = ("id", "call_id", "tool_call_id", "toolCallId", "toolUseId")
# keys of a call besides its name and its arguments
BESIDE = {*IDS, "type", "index", "status", "state", "caller", "namespace", "extra_content",
          "thoughtSignature", "thought_signature", "providerMetadata", "providerOptions",
          "providerExecuted", "cache_control", "recipient"}  # fmt: skip
CALL_TYPES = ("tool_use", "tool_call", "tool-call", "function_call", "function")
SURE = ("arguments", "args", "tool_input", "action_input")  # keys that only calls have


def stated_call(item: Any) -> Written:
    """Read a call that a message states; ValueError if its name or arguments are not found."""
    if not isinstance(item, Mapping):
        raise ValueError("a call that is not an object")
    for wrapper in WRAPPERS:
        if isinstance(item.get(wrapper), Mapping):
            return stated_call(item[wrapper])
    name = next((item[key] for key in NAMES if isinstance(item.get(key), str)), None)
    if not name:
        raise ValueError("a call without a name")
    stated = [arguments_of(item[key]) for key in ARGUMENTS if key in item]
    given = [arguments for arguments in stated if arguments]
    if len(given) > 1:
        raise ValueError(f"call of {name!r}: its arguments are stated twice")
    if given:
        return name, given[0]
    known_keys = {*BESIDE, *NAMES, *ARGUMENTS}
    rest = [key for key in item if key not in known_keys and item[key] not in (None, "", {}, [])]
    if rest:
        raise ValueError(f"call of {name!r}: its arguments are under an unknown key, {rest[0]!r}")
    return name, {}


def arguments_of(value: Any) -> dict[str, Any]:
    """Return arguments as an object; null, an empty string or an empty list mean none."""
    if isinstance(value, str):
        try:
            value = json_value(value) if value.strip() else None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"arguments that cannot be read ({error})") from error
    if value is None or value == []:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"arguments that are not an object but {type(value).__name__}")
    return dict(value)


def written_calls(value: Any, known: ToolNames) -> list[Written]:
    """Return the calls that a JSON value in a text represents; [] if it represents none.

    A name with arguments is a call, whatever the name; an object in another form is a call only
    if it names a known tool. Raises ValueError for a call that cannot be read.
    """
    if isinstance(value, list):
        calls = [written_calls(item, known) for item in value]
        if any(calls) and not all(calls):
            raise ValueError("a list of calls and other values")
        return [call for group in calls for call in group]
    if not isinstance(value, Mapping):
        return []
    for key in (*WRAPPERS, *LISTS):
        inner = value.get(key)
        if not isinstance(inner, Mapping if key in WRAPPERS else list):
            continue
        if calls := written_calls(inner, known):
            return calls
    for name_key in NAMES:
        if isinstance(value.get(name_key), str) and _is_call(value, name_key, known):
            name, arguments = stated_call({"name": value[name_key]} | _without(value, name_key))
            return [(name, arguments)]
    return list(_by_name(value, known))


def _without(value: Mapping[str, Any], name_key: str) -> dict[str, Any]:
    others = (*WRAPPERS, *NAMES)
    return {key: item for key, item in value.items() if key != name_key and key not in others}


def _is_call(value: Mapping[str, Any], name_key: str, known: ToolNames) -> bool:
    keys = [key for key in ARGUMENTS if key in value]
    if not keys:
        beside = {*BESIDE, name_key}
        is_bare = set(value) <= beside or any(isinstance(item, Mapping) for item in value.values())
        return value[name_key] in known and is_bare
    arguments = value[keys[0]]
    if is_document(value):
        return False
    if value[name_key] in known:
        return True
    is_sure = keys[0] in SURE or (keys[0] == "parameters" and name_key in NAMES[:5])
    is_sure = is_sure or name_key == "tool" or value.get("type") in CALL_TYPES
    is_text = isinstance(arguments, str)
    says_input = name_key == "tool" or keys[0] in ("tool_input", "action_input")
    is_text = is_text and (says_input or arguments.strip()[:1] in ("", "{"))
    return is_sure and (arguments is None or is_text or isinstance(arguments, Mapping))


def is_document(value: Mapping[str, Any]) -> bool:
    """Whether an object is the document of a tool, not a call."""
    if "description" not in value or not isinstance(value.get("name"), str):
        return False
    given = [value[key] for key in ARGUMENTS if key in value]
    return not given or any(isinstance(item, Mapping) and "properties" in item for item in given)


def _by_name(value: Mapping[str, Any], known: ToolNames) -> Iterator[Written]:
    """Yield the calls of `{NAME: {arguments}}`."""
    if not value or not all(isinstance(item, Mapping) for item in value.values()):
        return
    calls: list[Written] = []
    for name, arguments in value.items():
        parameters = known.parameters(name)
        if parameters is None or not is_compound(name) or not set(arguments) <= parameters:
            return
        calls.append((name, dict(arguments)))
    yield from calls
