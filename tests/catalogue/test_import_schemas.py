"""Schemas: types in words, defaults, composed and recursive parameters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_parts import SCHEMA, imported_by_name, read_value, write

from tinr.catalogue.importing import types
from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.load import load_catalogue
from tinr.catalogue.render import signature
from tinr.data.pseudo_queries import practice


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        ("dict", {"type": "object"}),
        (
            "HashMap<String, Integer>",
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        ("tuple", {"type": "array", "items": {}}),
        ("List[Union[int, float]]", {"type": "array", "items": {"type": ["integer", "number"]}}),
        ("str, optional", {"type": "string"}),
        ("Optional[float]", {"type": ["number", "null"]}),
        ("Literal[1, 2]", {"enum": [1, 2]}),
        ("required, the city", None),
        ("List[" * 2000 + "]" * 2000, None),
        ("float | None", {"type": ["number", "null"]}),
        ("['string', 'null']", {"type": ["string", "null"]}),
        ("ArrayList", {"type": "array", "items": {}}),
        ("int[]", {"type": "array", "items": {"type": "integer"}}),
        ("DATE (YYYY-MM-DD)", {"type": "string", "format": "date"}),
        ("Callable[[float], float]", {"type": "string"}),
        ("Boolean", {"type": "boolean"}),
        ("any", {}),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}),
        (
            "typing.Literal['a, b', 'this or that', None], optional",
            {"enum": ["a, b", "this or that", None]},
        ),
        ("Literal[Color.RED, 2]", {"enum": ["Color.RED", 2]}),
        (
            "Literal['a'] or dict[str, int]",
            {
                "anyOf": [
                    {"enum": ["a"]},
                    {"type": "object", "additionalProperties": {"type": "integer"}},
                ]
            },
        ),
        ("frobnicate", None),
    ],
)
def test_words_for_types(words, schema):
    assert types.from_words(words) == schema


def test_the_verbatim_schema_stands_beside_the_normalised_one():
    lines, _ = read_value({"name": "f", "description": "d", "parameters": {"x": {"type": "float"}}})
    assert lines["f"]["original"]["parameters"] == {"x": {"type": "float"}}
    assert lines["f"]["parameters"]["properties"]["x"] == {"type": "number"}


def test_properties_may_be_called_like_keywords():
    inner = {
        "example": {"type": "string"},
        "xml": {"type": "integer"},
        "nullable": {"type": "string"},
    }
    schema = {"type": "object", "properties": inner, "required": ["example", "nullable"]}
    body = {"content": {"application/json": {"schema": schema}}}
    api = {"openapi": "3.0.0", "paths": {"/a": {"post": {"operationId": "f", "requestBody": body}}}}
    made = read_value(api)[0]["f"]["parameters"]
    assert set(made["properties"]) == set(inner)
    assert made["required"] == ["example", "nullable"]


def test_a_schema_that_refers_into_itself_is_one():
    raw = {"$ref": "#/definitions/X", "definitions": {"X": SCHEMA}, "$schema": "x"}
    lines, _ = read_value({"name": "f", "description": "d", "parameters": raw})
    assert set(lines["f"]["parameters"]["properties"]) == {"city"}
    assert lines["f"]["parameters"]["required"] == ["city"]


def test_a_stated_list_of_required_parameters_decides_for_a_flat_mapping():
    """Seal-Tools: `required` stands beside the parameters, also where it is empty."""
    one = {"api_name": "t", "api_description": "d", "responses": {}}
    flat = {"location": {"type": "str"}, "unit": {"type": "str"}}
    for stated, expected in ((["location"], ["location"]), ([], None)):
        lines, _ = read_value(one | {"parameters": flat, "required": stated})
        assert lines["t"]["parameters"].get("required") == expected
    lines, _ = read_value(one | {"parameters": flat})
    assert lines["t"]["parameters"]["required"] == ["location", "unit"]


def test_references_stand_under_names_of_any_spelling():
    example = {"type": "object", "properties": {"x": {"type": "integer"}}}
    names = ("default", "const", "enum", "required", "example", "examples", "properties")
    schema = {
        "type": "object",
        "$defs": {"E": example},
        "properties": {name: {"$ref": "#/$defs/E"} for name in names},
    }
    lines, problems = read_value({"name": "t", "description": "d", "inputSchema": schema})
    assert not problems
    assert lines["t"]["parameters"]["properties"] == dict.fromkeys(names, example)


def test_a_mark_at_an_object_is_not_taken_for_the_list_inside_it():
    inner = {"type": "object", "properties": {"x": {"type": "integer", "required": True}}}
    for mark in (True, False):
        one = inner | {"required": mark}
        flat = [{"name": "at", **one}]
        schema = {"type": "object", "properties": {"at": one}}
        for parameters in (flat, schema):
            found = {"name": "t", "description": "d", "parameters": parameters}
            made = read_value(found)[0]["t"]["parameters"]
            assert made.get("required") == (["at"] if mark else None)
            assert made["properties"]["at"]["required"] == ["x"]


def test_a_composed_root_shows_all_parameters_and_its_result_can_be_opened(tmp_path):
    """The alternatives' parameters are shown; what every form requires is required."""
    forms = [
        {
            "properties": {"do": {"const": "add"}, "title": {"type": "string"}},
            "required": ["title"],
        },
        {"properties": {"do": {"const": "drop"}, "id": {"type": "integer"}}, "required": ["id"]},
    ]  # fmt: skip
    tools = [
        {"name": "edit", "description": "Edits.", "inputSchema": {
            "type": "object", "required": ["do"], "oneOf": forms}},
        {"name": "both", "description": "Both.", "inputSchema": {"type": "object", "allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]}]}},
        {"name": "unsaid", "description": "Requires what it does not declare.", "inputSchema": {
            "type": "object", "required": ["q"], "properties": {}}},
    ]  # fmt: skip
    imported = import_tools([str(write(tmp_path, "t.json", {"tools": tools}))])
    write_catalogue(imported, tmp_path / "out")
    catalogue = load_catalogue(tmp_path / "out")
    assert signature(catalogue.by_name["edit"]) == "do: add|drop, title?: string, id?: integer"
    assert signature(catalogue.by_name["both"]) == "a: integer, b: string"
    assert signature(catalogue.by_name["unsaid"]) == "q: any"
    drawn = {tuple(call.arguments) for _, call in practice(catalogue, 20, 0) if call.name == "edit"}
    assert drawn == {("do", "title"), ("do", "id")}


SHAPES = {
    "Gemini": {"tools": [{"functionDeclarations": [{
        "name": "t", "description": "T.", "parameters": {
            "type": "OBJECT", "properties": {"x": {"type": "STRING"}}, "required": ["x"]}}]}]},
    "Gemini, another key": [{"function_declarations": [{"name": "t", "parametersJsonSchema": {
        "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
        "description": "T."}]}],
    "Cohere": [{"name": "t", "description": "T.", "parameter_definitions": {
        "x": {"type": "str", "required": True}}}],
    "smolagents": [{"name": "t", "description": "T.", "inputs": {
        "x": {"type": "string", "description": "An x."}}, "output_type": "string"}],
    "LangChain": [{"name": "t", "description": "T.", "args_schema": {
        "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}}],
    "the tool is the schema": [{"name": "t", "description": "T.", "required": ["x"],
                                "properties": {"x": {"type": "string"}}}],
    "a schema that is no object": [{"name": "t", "description": "T.", "inputSchema": {
        "type": "string"}}],
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_read_under_the_keys_that_others_use(name, tmp_path):
    line = imported_by_name(tmp_path, "t.json", SHAPES[name])["t"]
    (parameter,) = line["parameters"]["properties"]
    assert parameter == ("value" if "no object" in name else "x")
    assert line["parameters"]["required"] == [parameter]
    assert line["parameters"]["properties"][parameter]["type"] == "string"


@pytest.mark.parametrize(
    "schema", [{"title": "None"}, {"additionalProperties": False}, {"description": "nothing"}, None,
               {"type": ["object", "null"]}],
)  # fmt: skip
def test_keywords_of_a_schema_are_no_parameters(schema, tmp_path):
    tool = {"name": "t", "description": "T.", "inputSchema": schema}
    assert imported_by_name(tmp_path, "t.json", [tool])["t"]["parameters"]["properties"] == {}


def test_an_unread_key_that_holds_an_object_is_a_note(tmp_path):
    tool = {"name": "t", "description": "T.", "format": {"type": "grammar"}, "_meta": {"a": 1}}
    notes = import_tools([str(write(tmp_path, "t.json", [tool]))]).notes
    assert [note.reason for note in notes] == ["tool 't': the key 'format' was ignored"]


def test_an_annotation_of_the_wrong_kind_costs_the_annotation(tmp_path):
    schema = {"type": "object", "properties": {
        "x": {"type": "integer", "examples": {"a": 1}, "deprecated": "yes", "format": None},
        "y": {"type": "array", "items": {"type": "string", "readOnly": "no"}}}}  # fmt: skip
    tool = {"name": "t", "description": "T.", "parameters": schema}
    imported = import_tools([str(write(tmp_path, "t.json", [tool]))])
    (line,) = imported.lines
    assert line["parameters"]["properties"] == {
        "x": {"type": "integer"}, "y": {"type": "array", "items": {"type": "string"}},
    }  # fmt: skip
    assert len(imported.notes) == 4 and not imported.lost


@pytest.mark.parametrize(
    ("schema", "default"),
    [({"type": "integer", "default": "5"}, 5), ({"type": "boolean", "default": "True"}, True),
     ({"type": "number", "default": "1.5"}, 1.5), ({"type": "array", "default": "[]"}, []),
     ({"type": "string", "default": "5"}, "5"), ({"type": "integer", "default": "five"}, "five"),
     ({"type": "integer", "default": "true"}, "true")],
)  # fmt: skip
def test_a_default_that_is_written_as_text_is_a_value_of_its_type(schema, default):
    assert types.schema(schema, print)["default"] == default


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_type_words_never_break(text):
    made = types.from_words(text)
    assert made is None or isinstance(made, dict)
