"""How contenders stand: grades and deficiencies beside the metrics, tested apart from them."""

import io

import pytest
from rich.console import Console

from tinr.chat.parse import parse
from tinr.data.traces import render_trace
from tinr.evaluation.contenders import ALL
from tinr.evaluation.errors.faults import fault_values, faults_of
from tinr.evaluation.report.tables import as_markdown
from tinr.evaluation.standing import sentences, show, standing, standing_tables
from tinr.records import Call, Query

AREA = Query("q1", "Area of a circle of radius 2?", ((Call("circle_area", {"radius": 2}),),))


def test_a_reply_has_a_grade_and_then_what_is_wrong(codec, catalogue):
    """Another radius, which the query does not say: made up; the value alone, and far, so fair."""
    wrong = Query("q1", AREA.text, ((Call("circle_area", {"radius": 77}),),))
    said = [
        parse([p for p in render_trace(query, catalogue, codec.frame) if p.learn])
        for query in (AREA, wrong)
    ]
    assert faults_of(said[0], AREA, catalogue) == ["excellent"]
    assert faults_of(said[1], AREA, catalogue) == ["fair", "hallucinated_value"]


@pytest.fixture
def runs():
    """Of 12 replies the first contender has 8 malformed ones, the second none."""
    poor, good = ["poor", "malformed"], ["excellent"]
    given = {}
    for name, bad in (("sft", 8), ("simpo", 0)):
        faults = {f"q{n}": poor if n < bad else good for n in range(12)}
        metric = {f"q{n}": float(n >= bad) for n in range(12)}
        metrics = {"call_em": metric}
        given[name] = [{"seen": metrics, ALL: fault_values(faults)}]
    return given


def test_kinds_of_deficiency_are_a_family_of_tests_of_their_own(runs):
    """8 mended, none broken: p = 2 / 256. The one metric is corrected with nothing beside it;
    the three faults that occur (excellent, poor, malformed) by Holm's 3."""
    found = standing(runs)
    assert list(found["cells"]["sft"]) == ["seen"]
    assert found["faults"]["sft"]["malformed"]["value"] == pytest.approx(8 / 12)
    [metric] = found["differences"]
    assert metric["p_holm"] == metric["p"] == pytest.approx(2 / 256)
    assert [one["metric"] for one in found["changes"]] == ["excellent", "poor", "malformed"]
    assert found["changes"][2]["p_holm"] == pytest.approx(3 * 2 / 256)


def test_what_nobody_does_wrong_has_no_row(runs):
    faults = standing_tables(standing(runs))[1]
    kinds = [row.label for row in faults.rows if row.group == "deficiency"]
    assert kinds == ["malformed"] and faults.columns == ("sft", "simpo", "n")
    assert "66.7 (39-86)" in as_markdown(faults)


def test_it_is_printed_with_its_findings(runs):
    out = io.StringIO()
    found = standing(runs)
    show(found, Console(file=out, width=200))
    assert "simpo is better than sft on call_em (seen) by 66.7 points" in out.getvalue()
    assert "simpo has fewer replies with malformed than sft: -66.7 points" in out.getvalue()
    assert sentences(found)[-1].startswith("3 of 3 comparisons of grades and deficiencies")
