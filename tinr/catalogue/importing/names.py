"""Names, ids and hashes of imported tools: they depend on the document, never on its position."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tinr.catalogue.checks import NAME, schema_fault
from tinr.catalogue.importing.problems import Found, Item, Problem

Namespaces = Literal["collide", "always"]
LONGEST_TEXT = 100_000  # characters of a description or of a schema's JSON
LONGEST_NAME = 128


def canonical(found: Sequence[Found], namespaces: Namespaces = "collide") -> Iterator[Item | dict]:
    """Yield the catalogue lines of tools, in order, and a problem for each change or loss.

    Documents with the same name and content are merged. If different documents share a name,
    each gets a namespace prefix: the first of the source's own name, its file, the domain and
    the first digits of the document's hash that makes the name unique.
    """
    groups: dict[str, dict[str, Found]] = defaultdict(dict)  # name -> hash -> first document
    for tool in sorted(found, key=lambda f: (f.namespace, f.file, f.pointer)):
        name = clean_name(tool.name)
        fault = _fault(tool, name)
        if fault:
            yield Problem(tool.file, tool.pointer, fault)
            continue
        digest = content_hash(tool)
        twin = groups[name].get(digest)
        if twin is not None:
            reason = f"tool {name!r}: the same document as {twin.file}#{twin.pointer}; kept once"
            yield Problem(tool.file, tool.pointer, reason, "note")
            continue
        groups[name][digest] = tool
    names = _unique(groups, namespaces)
    keys = {
        id(tool): (name, digest) for name, group in groups.items() for digest, tool in group.items()
    }
    ids = Counter(_identity(tool) for group in groups.values() for tool in group.values())
    for tool in found:  # in the order of the sources
        if id(tool) not in keys:
            continue
        name, digest = keys[id(tool)]
        unique_name, identity = names[name, digest], _identity(tool)
        for reason in _changes(tool, name, unique_name):
            yield Problem(tool.file, tool.pointer, f"tool {unique_name!r}: {reason}", "note")
        identity = identity if ids[identity] == 1 else f"{identity}{digest}"
        yield _line(tool, unique_name, digest, hashlib.sha256(identity.encode()).hexdigest()[:16])


def clean_name(name: str) -> str:
    """Replace characters not allowed in a tool token by underscores; "" without letter or digit."""
    cleaned = re.sub(r"[\s<>\"\\\x00-\x1f\x7f]", "_", name.strip().strip("<>"))
    return cleaned if re.search(r"[^\W_]", cleaned) else ""


def words_of(name: str) -> str:
    """Split a name into words: `getUserId` and `get_user-id` -> get user id."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)
    return " ".join(words).lower() or name


def content_hash(tool: Found) -> str:
    """Return sha256 of a document's content, without its source."""
    fields = [tool.name, tool.description, tool.parameters, tool.returns]
    fields += [tool.extra.get(key, "") for key in ("method", "path")]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()


def _fault(tool: Found, name: str) -> str:
    """Return why a document cannot be a tool; empty if it can."""
    if not name:
        return f"tool name {tool.name[:60]!r} has no letter or digit"
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        return f"tool name {name[:60]!r}...: {len(name)} characters; the limit is {LONGEST_NAME}"
    if len(tool.description) > LONGEST_TEXT:
        length = f"{len(tool.description):,} characters"
        return f"tool {name!r}: its description has {length}; the limit is {LONGEST_TEXT:,}"
    try:
        fields = [
            tool.name,
            tool.description,
            tool.parameters,
            tool.returns,
            tool.schema,
            dict(tool.extra),
        ]
        fields += [tool.domain, tool.namespace, tool.pointer]
        encoded = json.dumps(fields, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
        if len(encoded) > 4 * LONGEST_TEXT:
            return f"tool {name!r}: {len(encoded):,} bytes in all; at most {4 * LONGEST_TEXT:,}"
        length = len(json.dumps(tool.parameters))
        if length > LONGEST_TEXT:
            return f"tool {name!r}: schema of {length:,} characters; the limit is {LONGEST_TEXT:,}"
        fault = schema_fault(tool.parameters)
        if fault:
            return f"tool {name!r}: parameters/{fault[:160]}"
    except (RecursionError, ValueError, TypeError) as error:
        return f"tool {name!r}: cannot be written as JSON ({str(error)[:80]})"
    return ""


def _unique(
    groups: Mapping[str, Mapping[str, Found]], namespaces: Namespaces
) -> dict[tuple[str, str], str]:
    """Return (name, hash) -> unique name, whatever the order of the documents."""
    names: dict[tuple[str, str], str] = {}
    used_names: set[str] = set()
    for name, group in sorted(groups.items()):
        if len(group) == 1 and namespaces == "collide" and name not in used_names:
            names[name, next(iter(group))] = name
            used_names.add(name)
            continue
        options_by_hash = {
            digest: _options(name, digest, group[digest]) for digest in sorted(group)
        }
        uses = Counter(option for candidates in options_by_hash.values() for option in candidates)
        for digest, candidates in options_by_hash.items():
            unused = (
                option
                for option in candidates
                if uses[option] == 1 and option not in used_names and option not in groups
            )
            names[name, digest] = next(unused, candidates[-1])
            used_names.add(names[name, digest])
    return names


def _options(name: str, digest: str, tool: Found) -> list[str]:
    file = Path(tool.file)
    namespaces = [tool.namespace, file.name.split(".")[0], tool.domain, digest[:8]]
    room = LONGEST_NAME - len(name) - 1
    prefixes = [clean_name(prefix)[: max(8, room)].rstrip("_.") for prefix in namespaces]
    return [
        f"{prefix}.{name[: LONGEST_NAME - len(prefix) - 1]}" for prefix in filter(None, prefixes)
    ]


def _changes(tool: Found, name: str, unique_name: str) -> Iterator[str]:
    if name != tool.name:
        yield f"renamed because {tool.name[:80]!r} cannot be a tool token"
    if unique_name != name:
        yield f"given a namespace prefix because several documents are named {name!r}"
    if not tool.description:
        yield "no description; the words of its name are used instead"
    yield from tool.extra.get("notes", ())


def _identity(tool: Found) -> str:
    """Return the fields that define a document's id: it stays the same when the text changes."""
    fields = [tool.namespace, tool.name, tool.extra.get("method", ""), tool.extra.get("path", "")]
    return json.dumps(fields)


def _line(tool: Found, unique_name: str, digest: str, identifier: str) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": unique_name,
        "description": tool.description or words_of(tool.name),
        "parameters": tool.parameters,
        "returns": tool.returns,
        "domain": tool.domain,
        "source": Path(tool.file).name,
        "id": identifier,
        "hash": digest,
        "original": {
            "name": tool.name,
            "namespace": tool.namespace,
            "pointer": tool.pointer,
            "parameters": tool.schema,
        },
    }
    extra = {k: v for k, v in tool.extra.items() if k != "notes"}
    return line | ({"extra": extra} if extra else {})
