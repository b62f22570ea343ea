"""From a published schema to the line that a model learns: what generators really write."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.catalogue.importing.formats import auto
from tinr.catalogue.importing.names import canonical
from tinr.catalogue.importing.problems import Found, Problem
from tinr.catalogue.importing.read import Data, read
from tinr.catalogue.load import document_from
from tinr.catalogue.render import describe, signature
from tinr.records import ToolDoc

STATUS = {"type": "string", "enum": ["open", "shut"]}
ADDRESS = {"type": "object", "properties": {"city": {"type": "string"}}}


def mark_loss(tool: dict[str, Any]) -> tuple[str, list[str]]:
    """The signature of the one tool that is read, and what was noted."""
    items = list(auto(Data("f.json", "", tool)))
    notes = [item.reason for item in items if isinstance(item, Problem)]
    made = list(canonical([item for item in items if isinstance(item, Found)]))
    notes += [one.reason for one in made if isinstance(one, Problem)]
    (line,) = [one for one in made if isinstance(one, dict)]
    return signature(document_from(line, "here")), notes


def function(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties), **more}
    return {"name": "f", "description": "Does.", "inputSchema": schema}


def operation(schema: Any, parameters: Any = (), media: Any = None, **components: Any) -> dict:
    content = media or {"application/json": {"schema": schema}}
    post = {"operationId": "f", "summary": "Does.", "parameters": list(parameters),
            "requestBody": {"content": content, "required": True}}  # fmt: skip
    return {"openapi": "3.1.0", "info": {"title": "T", "version": "1"},
            "paths": {"/f": {"post": post}}, "components": {"schemas": components}}  # fmt: skip


FUNCTIONS = {
    "pydantic 2, optional": (
        function({"limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}}),
        "limit: integer|null = null",
    ),
    "pydantic 1, a named enum": (
        function({"s": {"allOf": [{"$ref": "#/$defs/S"}], "default": "open"}},
                 **{"$defs": {"S": STATUS}}),
        "s: open|shut = open",
    ),
    "a named object": (
        function({"a": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": ADDRESS}}), "a: {city?: string}",
    ),
    "a list of named objects": (
        function({"a": {"type": "array", "items": {"$ref": "#/definitions/A"}}},
                 definitions={"A": ADDRESS}),
        "a: {city?: string}[]",
    ),
    "types in a list": (
        function({"t": {"type": ["array", "null"], "items": {"type": "string"}}}),
        "t: string[]|null",
    ),
    "one constant": (function({"c": {"const": 5}}), "c: 5"),
    "a tree": (
        function({"n": {"$ref": "#/$defs/N"}},
                 **{"$defs": {"N": {"type": "object",
                                    "properties": {"next": {"$ref": "#/$defs/N"}}}}}),
        "n: {next?: any}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FUNCTIONS)
def test_what_a_function_takes_is_spelled_out(case):
    tool, words = FUNCTIONS[case]
    assert mark_loss(tool)[0] == words


CARD, IBAN = (
    {"type": "object", "properties": {name: {"type": "string"}}} for name in ("card", "iban")
)
BASE = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
OPERATIONS = {
    "inheritance of what inherits": (
        operation({"allOf": [{"$ref": f"#/components/schemas/{name}"} for name in "XY"]},
                  X={"allOf": [BASE]}, Y={"allOf": [CARD, IBAN]}),
        "amount: number, card?: string, iban?: string", (),
    ),
    "inheritance that adds to a property": (
        operation({"allOf": [{"type": "object", "properties": {"s": STATUS}},
                             {"properties": {"s": {"description": "New."}}, "required": ["s"]}]}),
        "s: open|shut", (),
    ),
    "inheritance that narrows a property": (
        operation({"allOf": [{"type": "object", "properties": {"s": {"type": "string"}}},
                             {"properties": {"s": {"type": "integer"}}}]}),
        "s?: string & integer", (),
    ),
    "inheritance and a choice": (
        operation({"type": "object", "properties": {"note": {"type": "string"}},
                   "allOf": [BASE, {"oneOf": [CARD, IBAN]}]}),
        "body: {amount: number, note?: string} & {card?: string}|{iban?: string}", (),
    ),
    "what the server fills in": (
        operation({"type": "object", "required": ["id", "name"],
                   "properties": {"id": {"type": "integer", "readOnly": True},
                                  "name": {"type": "string"}}}),
        "name: string", ("read-only property 'id'",),
    ),
    "a named enum with a default": (
        operation({"type": "object", "properties": {
            "s": {"allOf": [{"$ref": "#/components/schemas/S"}], "default": "open"}}}, S=STATUS),
        "s?: open|shut = open", (),
    ),
    "headers that are no parameters": (
        operation(BASE, [{"name": "Authorization", "in": "header", "required": True,
                          "schema": {"type": "string"}},
                         {"name": "X-Shop", "in": "header", "schema": {"type": "string"}}]),
        "X-Shop?: string, amount: number", ("header Authorization",),
    ),
    "a form where JSON says nothing": (
        operation(None, media={"application/json": {}, "multipart/form-data": {"schema": BASE}}),
        "amount: number", (),
    ),
    "two contents": (
        operation(None, media={"text/xml": {"schema": CARD}, "application/json": {"schema": BASE}}),
        "amount: number", ("application/json was read, not text/xml",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPERATIONS)
def test_what_an_operation_takes_is_spelled_out(case):
    api, words, said = OPERATIONS[case]
    found, notes = mark_loss(api)
    assert found == words
    assert all(any(one in note for note in notes) for one in said), notes


def test_references_out_of_a_schema_are_cut_and_said():
    refs = {"u": {"$ref": "http://127.0.0.1:1/x"}, "v": {"$ref": "#/$defs/Gone"}}
    words, notes = mark_loss(function(refs))
    assert words == "u: any, v: any"
    assert sum("is external or has no target" in note for note in notes) == 2


YAML = """
openapi: 3.0.0
paths:
  /f:
    get:
      operationId: f
      parameters:
        - {name: country, in: query, schema: {type: string, enum: [DK, NO, SE]}}
        - {name: on, in: query, required: true, schema: {type: string, default: 12:30}}
        - {name: zip, in: query, schema: {type: string, default: 01234}}
        - {name: n, in: query, schema: {type: number, default: 1e3}}
        - {name: m, in: query, schema: {type: integer, default: -7}}
        - {name: b, in: query, schema: {type: boolean, default: true}}
        - {name: d, in: query, schema: {type: string, default: 2024-01-02}}
        - {name: z, in: query, schema: {type: string, nullable: true, default: ~}}
"""


def test_words_of_yaml_are_those_of_version_1_2(tmp_path):
    """As the same document in JSON: no Norway that is false, no time that is a number."""
    (tmp_path / "f.yaml").write_text(YAML)
    (data,) = [one for one in read(tmp_path / "f.yaml") if isinstance(one, Data)]
    assert mark_loss(data.value)[0] == (
        "country?: DK|NO|SE, on: string = 12:30, zip?: string = 01234, n?: number = 1000.0, "
        "m?: integer = -7, b?: boolean = true, d?: string = 2024-01-02, "
        "z?: string|null = null"
    )


schemas = st.recursive(
    st.sampled_from(
        [True, {}, {"type": "string"}, {"enum": [1, "a"]}, {"$ref": "#/x"}, {"$ref": "#"}]
    ),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["anyOf", "oneOf", "allOf", "items", "properties", "type", "$ref", "const"]
        ),
        inner
        | st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_size=3,
    ),
    max_leaves=8,
)


@given(schema=schemas)
@settings(max_examples=200, deadline=None)
def test_whatever_the_schema_it_has_words(schema):
    parameters = {"type": "object", "properties": {"x": schema}, "x": schema}
    doc = ToolDoc("f", "Does.", json.loads(json.dumps(parameters)))
    assert signature(doc).startswith("x?: ") and describe(doc).startswith("Does.\nx?: ")
