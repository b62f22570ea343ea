"""OpenAPI 3.0 and 3.1, and Swagger 2: one tool for each operation.

The `referencing` package resolves references. A circular reference is cut. A reference that
points outside the file is reported and stays unresolved.
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
NO_PARAMETERS = ("accept", "content-type", "authorization")  # headers that OpenAPI 3 excludes
PLACES = ("path", "query", "header", "cookie", "formData", "body")
LARGEST = 20_000  # values in one operation's schema; the rest is cut: references can multiply
WORDS_ONLY = {"title", "description", "default", "nullable", "readOnly", "deprecated"}
COMPOSED = {"allOf", "anyOf", "oneOf", "not"}
ROOT = "urn:tinr:document"


def is_openapi(data: Any) -> bool:
    """Whether data is an OpenAPI or Swagger document."""
    return isinstance(data, Mapping) and ("openapi" in data or "swagger" in data)


def read_openapi(data: Mapping[str, Any], file: str, pointer: str = "") -> Iterator[Item]:
    """Yield the operations of a document as tools."""
    document = _Document(data, file, pointer)
    paths = data.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        hint = "; a model cannot call webhooks" if "webhooks" in data else ""
        yield Problem(file, pointer, f"an OpenAPI document without paths{hint}")
        return
    for route, item in paths.items():
        place = step(pointer, "paths", route)
        if str(route).startswith("x-"):
            continue
        item = document.follow(item, place) if isinstance(item, Mapping) else item
        if not isinstance(item, Mapping):
            yield Problem(file, place, "a path item that is not an object")
            continue
        operations = {m: item[m] for m in METHODS if m in item}
        if not operations:
            reason = "a path without operations"
            if isinstance(item.get("$ref"), str):
                reason = f"the reference {item['$ref']!r} is external or has no target"
            yield Problem(file, place, reason)
        for method, operation in operations.items():
            yield from document.tool(str(route), method, operation, item, step(place, method))


@dataclass
class _Merged:
    """The parameters of an operation as one object, and the place of each in a request."""

    properties: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    places: dict[str, dict[str, Any]] = field(default_factory=dict)  # "in", "name", "whole" body
    extra: Mapping[str, Any] | None = None  # schema of a body's additional properties
    content_type: str = ""

    @property
    def schema(self) -> dict[str, Any]:
        """The schema of type object."""
        schema = {"type": "object", "properties": self.properties, "required": self.required}
        return schema | ({"additionalProperties": self.extra} if self.extra else {})


@dataclass
class _Document:
    data: Mapping[str, Any]
    file: str
    pointer: str
    notes: dict[str, str] = field(default_factory=dict)  # reason -> place, of one operation
    values_left: int = LARGEST

    def __post_init__(self) -> None:
        resource = Resource.from_contents(self.data, default_specification=DRAFT202012)
        # a "$id" inside the document is data and not a base URI for references
        self.resolver = Registry().with_resource(ROOT, resource).resolver(ROOT)
        info = self.data.get("info")
        title = info.get("title") if isinstance(info, Mapping) else ""
        self.title = title if isinstance(title, str) else ""

    def tool(
        self, path: str, method: str, operation: Any, item: Mapping[str, Any], place: str
    ) -> Iterator[Item]:
        """Yield one operation as a tool, and a note on everything that was left out."""
        self.notes, self.values_left = {}, LARGEST
        operation = self.follow(operation, place) if isinstance(operation, Mapping) else operation
        if not isinstance(operation, Mapping):
            yield Problem(self.file, place, "an operation that is not an object")
            return
        if "$ref" in operation:
            reason = f"the reference {operation['$ref']!r} is external or has no target"
            yield Problem(self.file, place, reason)
            return
        identifier = operation.get("operationId")
        has_identifier = isinstance(identifier, str) and bool(identifier.strip())
        name = identifier.strip() if has_identifier else operation_name(method, path)  # type: ignore[union-attr]
        sources = {
            "parameters": [*_list(item.get("parameters")), *_list(operation.get("parameters"))],
            "requestBody": operation.get("requestBody"),
        }
        merged = self._merged(sources, path, place)
        parameters_source = merged.schema
        parameters = types.object_schema(
            parameters_source, lambda reason: self._note(place, reason)
        )
        texts = [operation.get("summary"), operation.get("description")]
        texts = [" ".join(t.split()) for t in texts if isinstance(t, str) and t.strip()]
        if len(texts) == 2 and texts[1].startswith(texts[0].rstrip(".")):
            texts = texts[1:]
        texts += ["Deprecated."] if operation.get("deprecated") is True else []
        yield Found(
            file=self.file,
            pointer=place,
            name=name,
            description=" ".join(t if t[-1] in ".!?" else f"{t}." for t in texts),
            schema=sources,
            parameters=parameters,
            namespace=self.title,
            returns=self._returns(operation, place),
            domain=next((str(t) for t in _list(operation.get("tags"))), ""),
            extra={
                "method": method.upper(),
                "path": path,
                "places": merged.places,
                "servers": self._servers(operation, item),
            }
            | ({"content_type": merged.content_type} if merged.content_type else {}),
        )
        for reason in self.notes:
            yield Problem(self.file, self.notes[reason], reason, "note")

    def _note(self, place: str, reason: str) -> None:
        self.notes.setdefault(reason, place)

    def follow(self, value: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        """Return the object that a chain of references leads to.

        A value without a reference, or with one that cannot be resolved, is returned unchanged.
        """
        for _ in range(types.DEEPEST):
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            target = self._lookup(reference, place)
            if not isinstance(target, Mapping):
                return value
            value = target
        self._note(place, "a reference to itself was cut")
        return {}

    def _lookup(self, reference: str, place: str) -> Any:
        if not reference.startswith("#"):
            self._note(place, f"the external reference {reference!r} was not resolved")
            return None
        try:
            return self.resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, LookupError, RecursionError, AttributeError):
            self._note(place, f"the reference {reference!r} has no target")
            return None

    def _servers(self, *holders: Mapping[str, Any]) -> list[str]:
        """Return the addresses of an operation: its own, its path's, or the document's."""
        for holder in (*holders, self.data):
            servers = [s for s in _list(holder.get("servers")) if isinstance(s, Mapping)]
            addresses = [_address(s) for s in servers if isinstance(s.get("url"), str)]
            if addresses:
                return addresses
        host, base = self.data.get("host"), self.data.get("basePath")  # Swagger 2
        if not isinstance(host, str):
            return []
        base = base if isinstance(base, str) else ""
        schemes = [s for s in _list(self.data.get("schemes")) if isinstance(s, str)] or ["https"]
        return [f"{scheme}://{host}{base}" for scheme in schemes]

    def _merged(self, sources: Mapping[str, Any], path: str, place: str) -> "_Merged":
        """Merge the parameters of path, query, header, cookie and body into one object schema."""
        parameters: dict[tuple[str, str], dict[str, Any]] = {}
        for number, source in enumerate(sources["parameters"]):
            parameter = self.follow(source, place) if isinstance(source, Mapping) else None
            name, location = (
                (parameter.get("name"), parameter.get("in"))
                if parameter is not None
                else (None, None)
            )
            if parameter is None or not isinstance(name, str) or location not in PLACES:
                self._note(place, f"parameter {number} has no name or location and was left out")
                continue
            if location == "header" and name.lower() in NO_PARAMETERS:
                self._note(place, f"the header {name} is not a parameter and was left out")
                continue
            # an operation's parameter overrides its path's
            parameters[location, name] = dict(parameter)
        for name in re.findall(r"\{([^{}]+)\}", path):
            if ("path", name) not in parameters:
                self._note(place, f"the path parameter {name!r} is not declared; read as a string")
                parameters["path", name] = {"schema": {"type": "string"}}
        merged = _Merged()
        for (location, name), parameter in parameters.items():
            if location == "body":
                self._add_body(parameter.get("schema"), parameter, merged, place)
                continue
            property_schema = self._parameter(parameter, place)
            key = self._free(name, location, merged, place)
            merged.properties[key] = property_schema
            if parameter.get("required") is True or location == "path":
                merged.required.append(key)
        body = sources["requestBody"]
        body = self.follow(body, place) if isinstance(body, Mapping) else None
        if body is not None:
            merged.content_type = self._media(body)
            self._add_body(self._content(body, place), body, merged, place)
        return merged

    def _free(self, name: str, location: str, merged: "_Merged", place: str) -> str:
        """Return the name, or `location.name` if another location has a parameter of that name."""
        places = merged.places
        key = name if name not in places else f"{location}.{name}"
        if key != name:
            other = places[name]["in"]
            self._note(place, f"{name!r} occurs in {other} and in {location}; named {key!r}")
        places[key] = {"in": location, "name": name}
        return key

    def _parameter(self, parameter: Mapping[str, Any], place: str) -> Any:
        source = parameter.get("schema")
        if not isinstance(source, Mapping):
            source = self._content(parameter, place)
        if source is None:  # Swagger 2: the parameter itself is the schema
            source = {
                k: v for k, v in parameter.items() if k not in ("name", "in", "required", "schema")
            }
        schema = self._schema(source, place, ())
        if isinstance(schema, dict) and isinstance(parameter.get("description"), str):
            schema["description"] = parameter["description"]
        if isinstance(schema, dict) and parameter.get("deprecated") is True:
            schema["deprecated"] = True
        return schema

    def _add_body(
        self,
        source: Any,
        owner: Mapping[str, Any],
        merged: "_Merged",
        place: str,
    ) -> None:
        """Add a body: the properties of an object, or else one parameter `body`.

        If the object accepts additional properties, the whole tool accepts them.
        """
        schema = self._schema(source, place, ()) if isinstance(source, Mapping) else {}
        body_properties = schema.get("properties") if isinstance(schema, dict) else None
        if isinstance(body_properties, Mapping) and body_properties and not set(schema) & COMPOSED:
            for name, property_schema in body_properties.items():
                key = self._free(str(name), "body", merged, place)
                merged.properties[key] = property_schema
                if name in _list(schema.get("required")):
                    merged.required.append(key)
            extra = schema.get("additionalProperties")
            if isinstance(extra, Mapping) and extra:
                merged.extra = extra
            return
        key = self._free("body", "body", merged, place)
        if isinstance(owner.get("description"), str) and isinstance(schema, dict):
            schema.setdefault("description", owner["description"])
        merged.places[key]["whole"] = True
        merged.properties[key] = schema
        if owner.get("required") is True:
            merged.required.append(key)

    def _schema(self, source: Any, place: str, ancestors: tuple[str, ...], depth: int = 0) -> Any:
        """Return a schema with its references resolved; circular and very large ones are cut."""
        if isinstance(source, list):
            return [self._schema(item, place, ancestors, depth + 1) for item in source]
        if not isinstance(source, Mapping):
            return source
        self.values_left -= 1
        if self.values_left < 0 or depth > types.DEEPEST:
            self._note(place, "a very large schema was cut")
            return {}
        reference = source.get("$ref")
        if isinstance(reference, str):
            if reference in ancestors:
                self._note(place, f"the circular reference {reference!r} was cut")
                return {"type": "object"}
            target = self._lookup(reference, place)
            siblings = {k: v for k, v in source.items() if k != "$ref"}
            if not isinstance(target, Mapping):
                return siblings
            return self._schema({**target, **siblings}, place, (*ancestors, reference), depth + 1)
        schema: dict[str, Any] = {}
        for key, value in source.items():
            if key in ("xml", "example"):
                continue
            if key in types.MAPS and isinstance(value, Mapping):  # names, not keywords
                value_depth = depth + 1
                schema[key] = {
                    n: self._schema(v, place, ancestors, value_depth) for n, v in value.items()
                }
            elif key in ("default", "const", "enum", "required"):
                schema[key] = value
            else:
                schema[key] = self._schema(value, place, ancestors, depth + 1)
        self._drop_read_only(schema, place)
        parts = schema.get("allOf")
        if isinstance(parts, list) and all(isinstance(p, dict) for p in parts):
            schema = _all_of(schema, parts)
        if schema.pop("nullable", False) is True and isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        return schema

    def _drop_read_only(self, schema: dict[str, Any], place: str) -> None:
        """Remove read-only properties: servers return them, requests do not contain them."""
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return
        for name in list(properties):
            if isinstance(properties[name], Mapping) and properties[name].get("readOnly") is True:
                del properties[name]
                schema["required"] = [n for n in _list(schema.get("required")) if n != name]
                self._note(place, f"the read-only property {name!r} was left out")

    def _media(self, holder: Mapping[str, Any]) -> str:
        """Return the media type whose schema `_content` returns; "" if there is none."""
        content = holder.get("content")
        media_types = [str(media) for media in content] if isinstance(content, Mapping) else []
        return next((m for m in media_types if "json" in m), next(iter(media_types), ""))

    def _content(self, holder: Mapping[str, Any], place: str) -> Any:
        """Return the JSON schema of a "content" mapping, or its first schema if it has no JSON."""
        content = holder.get("content")
        if not isinstance(content, Mapping) or not content:
            return None
        schemas = {
            str(media): media_type["schema"]
            for media, media_type in content.items()
            if isinstance(media_type, Mapping) and isinstance(media_type.get("schema"), Mapping)
        }
        if not schemas:
            return None
        media = next((m for m in schemas if "json" in m), next(iter(schemas)))
        if any(schema != schemas[media] for schema in schemas.values()):
            ignored_media = ", ".join(m for m in schemas if m != media)[:80]
            self._note(place, f"several content types: {media} was read, not {ignored_media}")
        return schemas[media]

    def _returns(self, operation: Mapping[str, Any], place: str) -> str:
        """Return the description of the first response that means success."""
        answers = operation.get("responses")
        for code, answer in answers.items() if isinstance(answers, Mapping) else ():
            if str(code).startswith("2") and isinstance(answer, Mapping):
                description = self.follow(answer, place).get("description")
                return " ".join(description.split()) if isinstance(description, str) else ""
        return ""


def _address(server: Mapping[str, Any]) -> str:
    """Return a server's address with the defaults of its variables."""
    variables = server.get("variables")
    address = server["url"]
    for name, variable in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(variable, Mapping) and "default" in variable:
            address = address.replace(f"{{{name}}}", str(variable["default"]))
    return address


def operation_name(method: str, path: str) -> str:
    """Make a name for an operation without one: `GET /pets/{id}/toys` -> get_pets_by_id_toys."""
    words = [method]
    for segment in path.strip("/").split("/"):
        segment_text = re.sub(r"\{([^}]*)\}", r"_by_\1_", segment)
        words += [word for word in re.split(r"[^\w.-]+|_+", segment_text) if word]
    return "_".join(words).lower()


def _all_of(schema: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the parts of an allOf into one schema; parts that cannot be merged stay in allOf."""
    open_ended = COMPOSED | {"enum"}
    unmergeable = [part for part in parts if set(part) & open_ended]
    keywords = {k: v for k, v in schema.items() if k != "allOf"}
    if len(parts) == 1 and not set(keywords) - WORDS_ONLY:
        return {**parts[0], **keywords}
    result: dict[str, Any] = {}
    for part in [*(p for p in parts if p not in unmergeable), keywords]:
        for key, value in part.items():
            if key == "properties" and isinstance(value, dict):
                properties = result.get("properties", {})
                shared = {
                    name: _both(properties[name], value[name]) for name in properties.keys() & value
                }
                result["properties"] = {**properties, **value, **shared}
            elif key == "required" and isinstance(value, list):
                result["required"] = [*_list(result.get("required")), *value]
            else:
                result[key] = value
    return result | ({"allOf": unmergeable} if unmergeable else {})


def _both(first: Any, second: Any) -> Any:
    """Merge the schemas of one property from two parts of an allOf."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    shared_keywords = first.keys() & second.keys() - WORDS_ONLY
    if any(first[key] != second[key] for key in shared_keywords):
        return {"allOf": [first, second]}
    return {**first, **second}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
