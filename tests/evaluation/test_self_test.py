"""Before every evaluation: references win, empty replies do not, the rest is reported apart."""

from dataclasses import replace

import pytest

from tinr.catalogue.load import load_catalogue
from tinr.evaluation import self_test as self_test_module
from tinr.evaluation.metrics import Outcome, outcome
from tinr.evaluation.self_test import reference_reply, self_test
from tinr.records import SOME_CALL, Call, Query, Reply, RunFailed
from tool_corpora import suites

AREA = Query("q1", "area?", ((Call("circle_area", {"radius": 3}),),))


@pytest.mark.parametrize("suite", suites.SUITES)
def test_every_reference_of_the_shipped_suites_scores_fully(suite):
    documents = load_catalogue(["toolbox", "fieldkit"]).by_name
    queries = suites.test_suite(suite, 100)
    assert self_test(queries, documents) == {}
    for query in queries:
        won = outcome(reference_reply(query, documents), query, documents)
        assert won.format_ok and False not in vars(won).values()


def test_a_tool_without_a_document_is_unscorable_with_its_name(catalogue):
    unknown = Query("q2", "x", ((Call("nosuch", {}),),))
    assert "nosuch" in self_test([AREA, unknown], catalogue.by_name)["q2"]


def test_a_reference_that_does_not_win_is_unscorable(catalogue):
    """Strict JSON has no NaN, so no reply can equal this reference."""
    odd = Query("q3", "x", ((Call("circle_area", {"radius": float("nan")}),),))
    assert list(self_test([AREA, odd], catalogue.by_name)) == ["q3"]


def test_a_query_that_any_call_answers_is_won_by_a_call_and_by_nothing_else(catalogue):
    any_call = Query("q6", "do something", flags=(SOME_CALL,))
    assert self_test([any_call], catalogue.by_name) == {}
    assert not any(vars(outcome(Reply(), any_call, catalogue.by_name)).values())


def test_chained_calls_without_observations_are_won_where_they_stand_together(catalogue):
    chained = replace(AREA, turns=(*AREA.turns, (Call("circle_area", {"radius": 4}),)))
    assert self_test([chained], catalogue.by_name) == {}
    assert len(reference_reply(chained, catalogue.by_name).calls) == 2


def test_an_empty_reply_wins_nothing(catalogue):
    for query in (AREA, Query("q4", "hello"), Query("q5", "6 * 7?", answer="42")):
        empty = outcome(Reply(), query, catalogue.by_name)
        assert not any(vars(empty).values())


def test_a_metric_that_rewards_silence_stops_the_evaluation(catalogue, monkeypatch):
    real: Outcome = outcome(Reply(), AREA, catalogue.by_name)
    monkeypatch.setattr(self_test_module, "outcome", lambda *given: replace(real, call_em=True))
    with pytest.raises(RunFailed, match="empty reply"):
        self_test([AREA], catalogue.by_name)
