"""Why a call fails, and calls that fail on purpose."""

import json
from random import Random

import pytest

from tinr.catalogue.failures import (
    REASONS,
    invented_reason,
    misfit,
    refusal,
    refusal_reason,
    spoiled,
)
from tinr.catalogue.load import load_catalogue
from tinr.data.pseudo_queries import practice
from tinr.records import Call, ToolDoc


def test_a_spoiled_call_is_refused_by_its_document_for_the_reason_that_is_given() -> None:
    shipped = load_catalogue(("toolbox", "fieldkit"))
    reasons = []
    for number, (_, call) in enumerate(practice(shipped, 2, 0)):
        doc = shipped.by_name[call.name]
        assert misfit(call.arguments, doc.parameters) is None
        wrong, answer = spoiled(call, doc, Random(number))
        reason = misfit(wrong.arguments, doc.parameters)
        assert wrong.name == call.name and answer == refusal(reason)
        assert refusal_reason(answer) == reason[:200]
        reasons.append(reason)
    kinds = ("is not one of", "is a required property", "unexpected", "is not of type",
             "than the m")  # fmt: skip
    shares = [sum(kind in reason for reason in reasons) / len(reasons) for kind in kinds]
    assert len(reasons) > 400 and min(shares) > 0.01 and sum(shares) > 0.95


def test_a_document_that_takes_anything_refuses_nothing() -> None:
    doc = ToolDoc("t", "", {"type": "object", "additionalProperties": True})
    assert spoiled(Call("t", {"a": 1, "b": ["x"]}), doc, Random(0)) is None
    assert spoiled(Call("t", {}), doc, Random(0)) is None


def test_a_call_that_its_document_refuses_anyway_is_not_spoiled() -> None:
    """What corrects it would be refused for the same reason, or was taken in spite of it."""
    schema = {"properties": {"zip": {"type": "integer"}, "city": {"type": "string"}}}
    doc = ToolDoc("t", "", {"type": "object", **schema})
    assert spoiled(Call("t", {"zip": "89073", "city": "Ulm"}), doc, Random(0)) is None
    assert spoiled(Call("t", {"zip": 89073, "city": "Ulm"}), doc, Random(0))


def test_parts_of_a_schema_may_stand_anywhere_in_it() -> None:
    radius = {"type": "object", "properties": {"radius": {"type": "number"}}}
    for schema in ({"allOf": [radius]}, {"$ref": "#/$defs/a", "$defs": {"a": radius}}):
        assert misfit({"radius": 2}, schema) is None
        assert "radius" in misfit({"radius": "2"}, schema)
        assert "made_up" in misfit({"radius": 2, "made_up": 1}, schema)


@pytest.mark.parametrize("schema", [{"type": "object", "properties": {"a": {"$ref": "#/no"}}},
                                    {"$ref": "https://example.org/s.json"}])  # fmt: skip
def test_a_schema_that_cannot_be_checked_gives_a_reason_and_no_exception(schema) -> None:
    assert misfit({"a": 1}, schema)
    spoiled(Call("t", {"a": 1}), ToolDoc("t", "", schema), Random(0))


def test_only_an_object_with_an_error_alone_is_a_failure() -> None:
    assert refusal_reason('{"error": "no tool x"}') == "no tool x"
    for text in (
        '{"error": null}',
        '{"error": 0.03}',
        '{"error": "x", "code": 1}',
        '"error"',
        "error",
        "[]",
        "",
        "[" * 10_000,
    ):
        assert refusal_reason(text) is None


def test_the_reason_of_a_right_call_speaks_of_its_values() -> None:
    call = Call("t", {"city": "Ulm {x}"})
    drawn = {invented_reason(call, Random(seed)) for seed in range(300)}
    assert any("Ulm {x}" in reason for reason in drawn) and len(drawn) > len(REASONS)
    assert invented_reason(Call("t", {}), Random(1))
    assert json.loads(refusal("x" * 999))["error"] == "x" * 200
