"""Names, ids and hashes of imported tools: they follow the document, never its position."""

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
    """Catalogue lines of what was found, in its order, and what had to be changed or left out.

    Documents that say the same under the same name are one. Names that different documents
    share get a namespace, all of them: the source's own name, then its folder, then the
    domain, or else the first digits of the document's hash.
    """
    groups: dict[str, dict[str, Found]] = defaultdict(dict)  # name -> hash -> first document
    for one in sorted(found, key=lambda f: (f.namespace, f.file, f.pointer)):
        name = clean_name(one.name)
        fault = _fault(one, name)
        if fault:
            yield Problem(one.file, one.pointer, fault)
            continue
        digest = content_hash(one)
        twin = groups[name].get(digest)
        if twin is not None:
            reason = f"tool {name!r}: the same document as {twin.file}#{twin.pointer}; kept once"
            yield Problem(one.file, one.pointer, reason, "note")
            continue
        groups[name][digest] = one
    names = _unique(groups, namespaces)
    chosen = {id(one): (name, d) for name, group in groups.items() for d, one in group.items()}
    ids = Counter(_identity(one) for group in groups.values() for one in group.values())
    for one in found:  # in the order of the sources again
        if id(one) not in chosen:
            continue
        name, digest = chosen[id(one)]
        final, identity = names[name, digest], _identity(one)
        for reason in _changes(one, name, final):
            yield Problem(one.file, one.pointer, f"tool {final!r}: {reason}", "note")
        identity = identity if ids[identity] == 1 else f"{identity}{digest}"
        yield _line(one, final, digest, hashlib.sha256(identity.encode()).hexdigest()[:16])


def clean_name(name: str) -> str:
    """A name that can be a tool token: blanks and signs that cannot become underscores."""
    kept = re.sub(r"[\s<>\"\\\x00-\x1f\x7f]", "_", name.strip().strip("<>"))
    return kept if re.search(r"[^\W_]", kept) else ""


def words_of(name: str) -> str:
    """A name as words: `getUserId` and `get_user-id` -> get user id."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)
    return " ".join(parts).lower() or name


def content_hash(one: Found) -> str:
    """sha256 of what a document says, wherever it stands."""
    said = [one.name, one.description, one.parameters, one.returns]
    said += [one.extra.get(key, "") for key in ("method", "path")]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _fault(one: Found, name: str) -> str:
    """Why a document cannot be a tool; empty where it can."""
    if not name:
        return f"tool name {one.name[:60]!r} has no letter or digit"
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        return f"tool name {name[:60]!r}...: {len(name)} characters, at most {LONGEST_NAME}"
    if len(one.description) > LONGEST_TEXT:
        length = f"{len(one.description):,} characters"
        return f"tool {name!r}: its description has {length}, at most {LONGEST_TEXT:,}"
    try:
        kept = [one.name, one.description, one.parameters, one.returns, one.schema, dict(one.extra)]
        kept += [one.domain, one.namespace, one.pointer]
        whole = json.dumps(kept, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
        if len(whole) > 4 * LONGEST_TEXT:
            return f"tool {name!r}: {len(whole):,} bytes in all, at most {4 * LONGEST_TEXT:,}"
        length = len(json.dumps(one.parameters))
        if length > LONGEST_TEXT:
            return f"tool {name!r}: its schema has {length:,} characters, at most {LONGEST_TEXT:,}"
        fault = schema_fault(one.parameters)
        if fault:
            return f"tool {name!r}: parameters/{fault[:160]}"
    except (RecursionError, ValueError, TypeError) as error:
        return f"tool {name!r}: it cannot be written as JSON ({str(error)[:80]})"
    return ""


def _unique(
    groups: Mapping[str, Mapping[str, Found]], namespaces: Namespaces
) -> dict[tuple[str, str], str]:
    """(name, hash) -> the final name, the same whatever the order of the documents."""
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for name, group in sorted(groups.items()):
        if len(group) == 1 and namespaces == "collide" and name not in taken:
            names[name, next(iter(group))] = name
            taken.add(name)
            continue
        options = {digest: _options(name, digest, group[digest]) for digest in sorted(group)}
        uses = Counter(option for some in options.values() for option in some)
        for digest, some in options.items():
            free = (o for o in some if uses[o] == 1 and o not in taken and o not in groups)
            names[name, digest] = next(free, some[-1])
            taken.add(names[name, digest])
    return names


def _options(name: str, digest: str, one: Found) -> list[str]:
    file = Path(one.file)
    spaces = [one.namespace, file.name.split(".")[0], one.domain, digest[:8]]
    room = LONGEST_NAME - len(name) - 1
    cleaned = [clean_name(space)[: max(8, room)].rstrip("_.") for space in spaces]
    return [f"{space}.{name[: LONGEST_NAME - len(space) - 1]}" for space in filter(None, cleaned)]


def _changes(one: Found, name: str, final: str) -> Iterator[str]:
    if name != one.name:
        yield f"named so because {one.name[:80]!r} cannot be a tool token"
    if final != name:
        yield f"its namespace is in front because several documents are named {name!r}"
    if not one.description:
        yield "no description; the words of its name stand for one"
    yield from one.extra.get("notes", ())


def _identity(one: Found) -> str:
    """What a document goes by, whatever it says: an id outlives a change of its text."""
    named = [one.namespace, one.name, one.extra.get("method", ""), one.extra.get("path", "")]
    return json.dumps(named)


def _line(one: Found, final: str, digest: str, identifier: str) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": final,
        "description": one.description or words_of(one.name),
        "parameters": one.parameters,
        "returns": one.returns,
        "domain": one.domain,
        "source": Path(one.file).name,
        "id": identifier,
        "hash": digest,
        "original": {
            "name": one.name,
            "namespace": one.namespace,
            "pointer": one.pointer,
            "parameters": one.schema,
        },
    }
    extra = {k: v for k, v in one.extra.items() if k != "notes"}
    return line | ({"extra": extra} if extra else {})
