"""Values that fit a schema: valid always, varied, the same in every process, or an error."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinr.catalogue.load import Catalogue
from tinr.catalogue.patterns import matching
from tinr.catalogue.values import ArgumentDrawer, NoValue, leaves, merged
from tinr.records import ToolDoc

ROOT = Path(__file__).parents[2]
NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
    "required": ["name"],
}
SCHEMAS = {
    "union": {"type": ["integer", "null"], "minimum": 3},
    "optional of pydantic": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    "const": {"const": {"a": [1]}},
    "enum": {"enum": ["a", 2, None]},
    "enum in bounds": {"type": "string", "enum": ["aa", "b", "cc"], "minLength": 2},
    "pattern": {"type": "string", "pattern": "^AC[0-9a-f]{6}$"},
    "pattern and length": {"type": "string", "pattern": r"^\w+$", "minLength": 4, "maxLength": 6},
    "pattern with classes": {"type": "string", "pattern": r"[^a-z\d]\D\S{2}(x|yz)+?."},
    "integers": {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 5},
    "a negative maximum": {"type": "integer", "maximum": -7},
    "multiples": {"type": "integer", "multipleOf": 15, "minimum": 100, "maximum": 200},
    "parts": {"type": "number", "multipleOf": 0.25, "minimum": 1, "maximum": 3},
    "numbers": {"type": "number", "minimum": 0.31, "maximum": 0.32},
    "a number above": {"type": "number", "exclusiveMinimum": 0},
    "int32": {"type": "integer", "format": "int32"},
    "long": {"type": "string", "minLength": 40, "maxLength": 45},
    "short": {"type": "string", "minLength": 2, "maxLength": 2},
    "array": {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
    "a long array": {"type": "array", "items": {"type": "integer"}, "minItems": 6, "maxItems": 7},
    "a tuple": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}],
                "items": False, "minItems": 2},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}},
    "nested": {"type": "object", "required": ["a"], "additionalProperties": False, "properties": {
        "a": {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}}},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "named map": {"type": "object", "propertyNames": {"pattern": "^k_[a-z]$"}, "minProperties": 1,
                  "additionalProperties": {"type": "boolean"}},
    "pattern map": {"type": "object", "patternProperties": {"^S_[0-9]$": {"type": "integer"}},
                    "additionalProperties": False, "minProperties": 2},
    "dependent": {"type": "object", "properties": {"a": {}, "b": {}, "c": {}},
                  "dependentRequired": {"a": ["b"], "b": ["c"]}},
    "all of": {"allOf": [{"type": "integer", "minimum": 5}, {"type": "number", "maximum": 6}]},
    "all of objects": {"type": "object", "allOf": [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"a": {"minimum": 9}, "b": {"const": 1}}, "required": ["b"]}]},
    "one of": {"oneOf": [
        {"type": "object", "properties": {"k": {"const": "x"}}, "required": ["k"],
         "additionalProperties": False},
        {"type": "object", "properties": {"k": {"const": "y"}, "n": {"type": "integer"}},
         "required": ["k", "n"], "additionalProperties": False}]},
    "any of beside properties": {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "not": {"type": "integer", "minimum": 0, "maximum": 3, "not": {"const": 2}},
    "if": {"type": "object", "properties": {"m": {"enum": ["a", "b"]}, "x": {"type": "integer"}},
           "required": ["m"], "if": {"properties": {"m": {"const": "a"}}},
           "then": {"required": ["x"]}},
    "reference": {"$ref": "#/$defs/node"},
    "no type": {"minimum": 4},
    "anything": {},
    "true": True,
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "uri": {"type": "string", "format": "uri"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "hostname": {"type": "string", "format": "hostname"},
    "example": {"type": "string", "pattern": r"^(?=.*\d)[a-z\d]{4}$", "examples": ["ab12"]},
}  # fmt: skip


def parameters(schema, **more) -> dict:
    """The parameters of a tool that takes one value, `v`."""
    return {"type": "object", "properties": {"v": schema}, "required": ["v"],
            "$defs": {"node": NODE}, **more}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_value_fits_its_schema(name):
    root = parameters(SCHEMAS[name])
    validator = jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())
    drawer, rng = ArgumentDrawer(root), Random(name)
    drawn = [drawer.draw(rng) for _ in range(60)]
    assert [value for value in drawn if not validator.is_valid(value)] == []


@pytest.mark.parametrize("name", ["integers", "pattern", "one of", "numbers", "not", "map", "enum"])
def test_values_vary(name):
    drawer, rng = ArgumentDrawer(parameters(SCHEMAS[name])), Random(0)
    assert len({json.dumps(drawer.draw(rng)) for _ in range(40)}) >= 2


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "array", "enum": ["a", "b"]},
        {"type": "integer", "enum": ["1", "2"]},
        {"allOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "string", "pattern": r"\p{L}+"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "object", "minProperties": 2, "propertyNames": {"const": "a"}},
        {"not": {}},
        {"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9},
    ],
    ids=str,
)
def test_what_nothing_fits_is_an_error_and_ends(schema):
    with pytest.raises(NoValue):
        ArgumentDrawer(parameters(schema)).draw(Random(0))


def test_an_optional_parameter_that_nothing_fits_is_left_out():
    root = {"type": "object", "properties": {"a": {"type": "integer"}, "bad": {"enum": [1]}},
            "required": ["a"], "not": {"required": ["bad"]}}  # fmt: skip
    drawer, rng = ArgumentDrawer(root), Random(0)
    assert all(set(drawer.draw(rng)) == {"a"} for _ in range(30))


@pytest.mark.parametrize("count", [1, 8, 9, 40])
def test_every_parameter_is_in_a_fifth_of_the_calls(count):
    root = {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(count)}}
    drawer, rng = ArgumentDrawer(root), Random(1)
    drawn = [drawer.draw(rng) for _ in range(20)]
    shares = {name: sum(name in call for call in drawn) / 20 for name in root["properties"]}
    assert all(0.2 <= share <= 0.8 for share in shares.values()), shares


def test_null_is_drawn_seldom_and_only_where_it_may_stand():
    drawer, rng = ArgumentDrawer(parameters(SCHEMAS["optional of pydantic"])), Random(0)
    drawn = [drawer.draw(rng)["v"] for _ in range(300)]
    assert 0 < drawn.count(None) < 45


def test_references_that_go_in_circles_end():
    root = parameters({"$ref": "#/$defs/loop"})
    root["$defs"]["loop"] = {"type": "object", "required": ["again"],
                             "properties": {"again": {"$ref": "#/$defs/loop"}}}  # fmt: skip
    with pytest.raises(NoValue):
        ArgumentDrawer(root).draw(Random(0))
    root["properties"]["v"] = root["$defs"]["node"]
    drawer, rng = ArgumentDrawer(root), Random(0)
    assert max(len(json.dumps(drawer.draw(rng))) for _ in range(50)) < 1000


def test_the_root_may_be_composed():
    """Without properties of its own: one of several forms of a call."""
    root = {"type": "object", "properties": {}, "oneOf": [
        {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
        {"properties": {"name": {"type": "string"}}, "required": ["name"],
         "not": {"required": ["id"]}}]}  # fmt: skip
    drawer, rng = ArgumentDrawer(root), Random(0)
    forms = {tuple(drawer.draw(rng)) for _ in range(40)}
    assert forms == {("id",), ("name",)}


SCALARS = st.one_of(
    st.builds(lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
              st.integers(-1000, 1000), st.integers(0, 50)),
    st.builds(lambda low, size: {"type": "number", "minimum": low, "maximum": low + size},
              st.floats(-100, 100), st.floats(0.0, 50)),
    st.builds(lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
              st.integers(0, 30), st.integers(0, 10)),
    st.builds(lambda members: {"enum": members},
              st.lists(st.one_of(st.integers(), st.text(), st.booleans()), min_size=1, max_size=4)),
    st.just({"type": "boolean"}),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda items, low: {"type": "array", "items": items, "minItems": low},
                  inner, st.integers(0, 3)),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda fields: {"type": "object", "properties": fields,
                                  "required": sorted(fields)[:1], "additionalProperties": False},
                  st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)),
    ),
    max_leaves=6,
)  # fmt: skip


@given(TREES, st.integers(0, 5))
def test_schemas_of_any_shape(schema, seed):
    root = parameters(schema)
    drawn = ArgumentDrawer(root).draw(Random(seed))
    assert jsonschema.Draft202012Validator(root).is_valid(drawn)


@pytest.mark.parametrize(
    "pattern",
    [r"^[A-Z]{2}\d{4}$", r"a|bc|", r"(?:x{2,3}y?)*z", r"[^\s]+@[a-z.]+", r"\d{3}-\d{4}",
     r"[\w-]{5}", r"^https?://", r"(?P<n>a)b", r".{3}", r"\S\W"],
)  # fmt: skip
def test_a_pattern_matches_what_is_drawn_for_it(pattern):
    rng = Random(pattern)
    drawn = [matching(pattern, rng) for _ in range(50)]
    assert all(text is not None and re.search(pattern, text) for text in drawn)


@pytest.mark.parametrize("pattern", [r"\p{L}", "(", r"(?<name", r"(a)\1", "[z-a]"])
def test_a_pattern_of_another_dialect_is_nothing(pattern):
    assert matching(pattern, Random(0)) is None


def test_another_process_draws_the_same():
    """Practice calls must not depend on the order of sets."""
    root = json.dumps(json.dumps(parameters(SCHEMAS["pattern with classes"])))
    code = (
        "import json; from random import Random; from tinr.catalogue.values import ArgumentDrawer\n"
        f"root = json.loads({root})\n"
        "rng = Random(5); drawer = ArgumentDrawer(root)\n"
        "print(json.dumps([drawer.draw(rng) for _ in range(5)]))"
    )
    drawn = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(drawn) == 1


def test_leaves_are_what_a_query_must_say():
    assert list(leaves({"a": [1, {"b": None}], "c": "x"})) == [1, None, "x"]


def test_merged_schemas_hold_both():
    both = merged({"type": "number", "minimum": 1, "enum": [1, 2, 3]},
                  {"type": "integer", "minimum": 2, "enum": [3, 2]})  # fmt: skip
    assert both["minimum"] == 2 and both["enum"] == [2, 3] and both["type"] == "integer"


def test_a_tool_that_cannot_be_practised_is_left_out_of_practice_and_named():
    from tinr.data.pseudo_queries import practice, unpractised, unpractised_notice

    good = ToolDoc("good", "Adds numbers.", parameters({"type": "integer"}))
    bad = ToolDoc("bad", "Takes a list.", parameters({"type": "array", "enum": ["a"]}))
    catalogue = Catalogue((good, bad))
    assert unpractised(catalogue) == ["bad"]
    assert "1 tools get no practice calls" in unpractised_notice(["bad"])
    lines = list(practice(catalogue, 4, 0))
    assert [call.name for _, call in lines] == ["good"] * 4
    assert all(str(call.arguments["v"]) in text for text, call in lines)
    assert list(practice(catalogue, 4, 0)) == lines
