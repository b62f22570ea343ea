"""OpenAPI 3.0 and 3.1, and Swagger 2: one tool for each operation.

References are resolved with the `referencing` package: what leads back to itself is cut,
what leads out of the file is reported and left open.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from tinr.catalogue.importing import types
from tinr.catalogue.importing.problems import Found, Item, Problem, step

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
NO_PARAMETERS = ("accept", "content-type", "authorization")  # OpenAPI 3, of headers
PLACES = ("path", "query", "header", "cookie", "formData", "body")
LARGEST = 20_000  # values in one operation's schema; references that multiply are cut there
WORDS_ONLY = {"title", "description", "default", "nullable", "readOnly", "deprecated"}
COMPOSED = {"allOf", "anyOf", "oneOf", "not"}
ROOT = "urn:tinr:document"


def is_openapi(data: Any) -> bool:
    """Whether data is an OpenAPI or Swagger document."""
    return isinstance(data, Mapping) and ("openapi" in data or "swagger" in data)


def read_openapi(data: Mapping[str, Any], file: str, pointer: str = "") -> Iterator[Item]:
    """The operations of a document as tools."""
    document = _Document(data, file, pointer)
    paths = data.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        hint = "; webhooks are not called by a model" if "webhooks" in data else ""
        yield Problem(file, pointer, f"an OpenAPI document without paths{hint}")
        return
    for path, item in paths.items():
        place = step(pointer, "paths", path)
        if str(path).startswith("x-"):
            continue
        item = document.follow(item, place) if isinstance(item, Mapping) else item
        if not isinstance(item, Mapping):
            yield Problem(file, place, "a path item that is no object")
            continue
        operations = {m: item[m] for m in METHODS if m in item}
        if not operations:
            reason = "a path without operations"
            if isinstance(item.get("$ref"), str):
                reason = f"the reference {item['$ref']!r} leads out of the file or nowhere"
            yield Problem(file, place, reason)
        for method, operation in operations.items():
            yield from document.tool(str(path), method, operation, item, step(place, method))


@dataclass
class _Document:
    data: Mapping[str, Any]
    file: str
    pointer: str
    notes: dict[str, str] = field(default_factory=dict)  # of the operation being read
    left: int = LARGEST

    def __post_init__(self) -> None:
        resource = Resource.from_contents(self.data, default_specification=DRAFT202012)
        # a document's own "$id" somewhere inside is data, no base for references
        self.resolver = Registry().with_resource(ROOT, resource).resolver(ROOT)
        info = self.data.get("info")
        title = info.get("title") if isinstance(info, Mapping) else ""
        self.title = title if isinstance(title, str) else ""

    def tool(
        self, path: str, method: str, operation: Any, item: Mapping[str, Any], place: str
    ) -> Iterator[Item]:
        """One operation as a tool, with notes on what was left out."""
        self.notes, self.left = {}, LARGEST
        operation = self.follow(operation, place) if isinstance(operation, Mapping) else operation
        if not isinstance(operation, Mapping):
            yield Problem(self.file, place, "an operation that is no object")
            return
        if "$ref" in operation:
            reason = f"the reference {operation['$ref']!r} leads out of the file or nowhere"
            yield Problem(self.file, place, reason)
            return
        identifier = operation.get("operationId")
        named = isinstance(identifier, str) and bool(identifier.strip())
        name = identifier.strip() if named else operation_name(method, path)  # type: ignore[union-attr]
        stated = {
            "parameters": [*_list(item.get("parameters")), *_list(operation.get("parameters"))],
            "requestBody": operation.get("requestBody"),
        }
        merged = self._merged(stated, place)
        parameters = types.object_schema(merged, lambda reason: self._note(place, reason))
        texts = [operation.get("summary"), operation.get("description")]
        texts = [" ".join(t.split()) for t in texts if isinstance(t, str) and t.strip()]
        if len(texts) == 2 and texts[1].startswith(texts[0].rstrip(".")):
            texts = texts[1:]
        yield Found(
            file=self.file,
            pointer=place,
            name=name,
            description=" ".join(t if t[-1] in ".!?" else f"{t}." for t in texts),
            schema=stated,
            parameters=parameters,
            namespace=self.title,
            returns=self._returns(operation, place),
            domain=next((str(t) for t in _list(operation.get("tags"))), ""),
            extra={"method": method.upper(), "path": path},
        )
        for reason in self.notes:
            yield Problem(self.file, self.notes[reason], reason, "note")

    def _note(self, place: str, reason: str) -> None:
        self.notes.setdefault(reason, place)

    def follow(self, value: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        """The object behind a chain of references; itself where it has none or cannot."""
        for _ in range(types.DEEPEST):
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            target = self._lookup(reference, place)
            if not isinstance(target, Mapping):
                return value
            value = target
        self._note(place, "a reference that leads to itself was cut")
        return {}

    def _lookup(self, reference: str, place: str) -> Any:
        if not reference.startswith("#"):
            self._note(place, f"the external reference {reference!r} was left open")
            return None
        try:
            return self.resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, LookupError, RecursionError, AttributeError):
            self._note(place, f"the reference {reference!r} leads nowhere")
            return None

    def _merged(self, stated: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Parameters of path, query, header, cookie and body as properties of one object."""
        given: dict[tuple[str, str], dict[str, Any]] = {}
        for number, raw in enumerate(stated["parameters"]):
            one = self.follow(raw, place) if isinstance(raw, Mapping) else None
            name, where = (one.get("name"), one.get("in")) if one is not None else (None, None)
            if one is None or not isinstance(name, str) or where not in PLACES:
                self._note(place, f"parameter {number} has no name or place and was left out")
                continue
            if where == "header" and name.lower() in NO_PARAMETERS:
                self._note(place, f"the header {name} is no parameter and was left out")
                continue
            given[where, name] = dict(one)  # an operation's own replaces its path's
        properties: dict[str, Any] = {}
        required: list[str] = []
        homes: dict[str, str] = {}
        for (where, name), one in given.items():
            if where == "body":
                self._add_body(one.get("schema"), one, properties, required, homes, place)
                continue
            made = self._parameter(one, place)
            key = self._free(name, where, homes, place)
            properties[key] = made
            if one.get("required") is True or where == "path":
                required.append(key)
        body = stated["requestBody"]
        body = self.follow(body, place) if isinstance(body, Mapping) else None
        if body is not None:
            self._add_body(self._content(body, place), body, properties, required, homes, place)
        return {"type": "object", "properties": properties, "required": required}

    def _free(self, name: str, where: str, homes: dict[str, str], place: str) -> str:
        """The name, or `where.name` where another place has a parameter of that name."""
        key = name if name not in homes else f"{where}.{name}"
        if key != name:
            self._note(place, f"{name!r} stands in {homes[name]} and in {where}: named {key!r}")
        homes[key] = where
        return key

    def _parameter(self, one: Mapping[str, Any], place: str) -> Any:
        raw = one.get("schema")
        if not isinstance(raw, Mapping):
            raw = self._content(one, place)
        if raw is None:  # Swagger 2: the schema stands in the parameter itself
            raw = {k: v for k, v in one.items() if k not in ("name", "in", "required", "schema")}
        made = self._schema(raw, place, ())
        if isinstance(made, dict) and isinstance(one.get("description"), str):
            made["description"] = one["description"]
        return made

    def _add_body(
        self,
        raw: Any,
        around: Mapping[str, Any],
        properties: dict[str, Any],
        required: list[str],
        homes: dict[str, str],
        place: str,
    ) -> None:
        """A body of type object gives its properties, any other one a parameter `body`."""
        made = self._schema(raw, place, ()) if isinstance(raw, Mapping) else {}
        inner = made.get("properties") if isinstance(made, dict) else None
        if isinstance(inner, Mapping) and inner and not set(made) & COMPOSED:
            for name, one in inner.items():
                key = self._free(str(name), "body", homes, place)
                properties[key] = one
                if name in _list(made.get("required")):
                    required.append(key)
            return
        key = self._free("body", "body", homes, place)
        if isinstance(around.get("description"), str) and isinstance(made, dict):
            made.setdefault("description", around["description"])
        properties[key] = made
        if around.get("required") is True:
            required.append(key)

    def _schema(self, raw: Any, place: str, above: tuple[str, ...], depth: int = 0) -> Any:
        """A schema with its references put in; circular ones and too large ones are cut."""
        if isinstance(raw, list):
            return [self._schema(one, place, above, depth + 1) for one in raw]
        if not isinstance(raw, Mapping):
            return raw
        self.left -= 1
        if self.left < 0 or depth > types.DEEPEST:
            self._note(place, "a very large schema was cut")
            return {}
        reference = raw.get("$ref")
        if isinstance(reference, str):
            if reference in above:
                self._note(place, f"the circular reference {reference!r} was cut")
                return {"type": "object"}
            target = self._lookup(reference, place)
            beside = {k: v for k, v in raw.items() if k != "$ref"}
            if not isinstance(target, Mapping):
                return beside
            return self._schema({**target, **beside}, place, (*above, reference), depth + 1)
        out: dict[str, Any] = {}
        for key, value in raw.items():
            if key in ("xml", "example"):
                continue
            if key in types.MAPS and isinstance(value, Mapping):  # names, not keywords
                below = depth + 1
                out[key] = {n: self._schema(v, place, above, below) for n, v in value.items()}
            elif key in ("default", "const", "enum", "required"):
                out[key] = value
            else:
                out[key] = self._schema(value, place, above, depth + 1)
        self._drop_read_only(out, place)
        parts = out.get("allOf")
        if isinstance(parts, list) and all(isinstance(p, dict) for p in parts):
            out = _all_of(out, parts)
        if out.pop("nullable", False) is True and isinstance(out.get("type"), str):
            out["type"] = [out["type"], "null"]
        return out

    def _drop_read_only(self, out: dict[str, Any], place: str) -> None:
        """Take out what a server answers and no request carries."""
        inner = out.get("properties")
        if not isinstance(inner, dict):
            return
        for name in list(inner):
            if isinstance(inner[name], Mapping) and inner[name].get("readOnly") is True:
                del inner[name]
                out["required"] = [one for one in _list(out.get("required")) if one != name]
                self._note(place, f"the read-only property {name!r} was left out")

    def _content(self, holder: Mapping[str, Any], place: str) -> Any:
        """The schema of a "content" mapping: JSON's where it has one, or else the first one."""
        content = holder.get("content")
        if not isinstance(content, Mapping) or not content:
            return None
        schemas = {
            str(media): inner["schema"]
            for media, inner in content.items()
            if isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping)
        }
        if not schemas:
            return None
        media = next((m for m in schemas if "json" in m), next(iter(schemas)))
        if any(schema != schemas[media] for schema in schemas.values()):
            others = ", ".join(m for m in schemas if m != media)[:80]
            self._note(place, f"of several contents {media} was read, not {others}")
        return schemas[media]

    def _returns(self, operation: Mapping[str, Any], place: str) -> str:
        """The description of the first answer that means success."""
        answers = operation.get("responses")
        for code, answer in answers.items() if isinstance(answers, Mapping) else ():
            if str(code).startswith("2") and isinstance(answer, Mapping):
                said = self.follow(answer, place).get("description")
                return " ".join(said.split()) if isinstance(said, str) else ""
        return ""


def operation_name(method: str, path: str) -> str:
    """A name for an operation without one: `GET /pets/{id}/toys` -> get_pets_by_id_toys."""
    words = [method]
    for part in path.strip("/").split("/"):
        named = re.sub(r"\{([^}]*)\}", r"_by_\1_", part)
        words += [word for word in re.split(r"[^\w.-]+|_+", named) if word]
    return "_".join(words).lower()


def _all_of(out: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Objects joined into one, where that says the same; what cannot be joined stays in allOf."""
    open_ended = COMPOSED | {"enum"}
    apart = [part for part in parts if set(part) & open_ended]
    own = {k: v for k, v in out.items() if k != "allOf"}
    if len(parts) == 1 and not set(own) - WORDS_ONLY:
        return {**parts[0], **own}
    merged: dict[str, Any] = {}
    for part in [*(p for p in parts if p not in apart), own]:
        for key, value in part.items():
            if key == "properties" and isinstance(value, dict):
                before = merged.get("properties", {})
                joined = {name: _both(before[name], value[name]) for name in before.keys() & value}
                merged["properties"] = {**before, **value, **joined}
            elif key == "required" and isinstance(value, list):
                merged["required"] = [*_list(merged.get("required")), *value]
            else:
                merged[key] = value
    return merged | ({"allOf": apart} if apart else {})


def _both(first: Any, second: Any) -> Any:
    """What two parts of an allOf say of one property."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    same = first.keys() & second.keys() - WORDS_ONLY
    if any(first[key] != second[key] for key in same):
        return {"allOf": [first, second]}
    return {**first, **second}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
