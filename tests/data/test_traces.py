"""Reference conversations in which a call fails: it is mended, or its error is told."""

import json
from dataclasses import replace
from random import Random

import pytest

from tinr.catalogue.failures import misfit, refusal_reason
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import FRAMES, Piece
from tinr.chat.parse import parse
from tinr.chat.render import as_text
from tinr.data.replay import trace_examples
from tinr.data.traces import answer_of, first_try, refused, render_trace, render_turns
from tinr.evaluation.metrics import outcome
from tinr.records import Call, Query, Reply
from tinr.rollout.scoring.rewards import score

FRAME = FRAMES["tinr"]
AREA = Call("circle_area", {"radius": 2})
LENGTH = Call("length_convert", {"length": 3, "source": "foot", "target": "metre"})
BOTH = Query(
    "both", "Area of radius 2, and 3 foot in metre?", ((AREA, LENGTH),), "12.57; 0.9144",
    observations=("12.57", "0.9144"),
)  # fmt: skip
CHAIN = replace(BOTH, id="chain", turns=((LENGTH,), (AREA,)), answer="12.57",
                observations=("0.9144", "12.57"))  # fmt: skip


def said(pieces: list[Piece]) -> list[Piece]:
    """The reply in a rendered conversation, without the marks of messages."""
    start = next((n for n, piece in enumerate(pieces) if piece.text == "<think>"), 0)
    return [piece for piece in pieces[start:] if not piece.text.startswith("<|")]


@pytest.mark.parametrize("query", [BOTH, CHAIN], ids=lambda query: query.id)
def test_a_first_try_is_read_and_the_call_that_mends_it_is_learned(
    catalogue: Catalogue, query: Query
) -> None:
    places = set()
    for seed in range(40):
        failure = first_try(query.turns, catalogue.by_name, query.text, Random(seed))
        places.add((failure.turn, failure.place))
        right = query.turns[failure.turn][failure.place]
        assert failure.call.name == right.name and failure.call != right
        reason = misfit(failure.call.arguments, catalogue.by_name[right.name].parameters)
        assert refusal_reason(failure.observation) == reason
        pieces = render_turns(query.turns, query.observations, "The answer.", FRAME, failure)
        learned = parse(said([piece for piece in pieces if piece.learn]))
        assert failure.call not in learned.calls and learned.calls[-1] in query.calls
        reply = parse(said([Piece("<think>", True), Piece("x"), Piece("</think>", True), *pieces]))
        at = sum(map(len, query.turns[: failure.turn])) + failure.place
        assert reply.failed == (at,) and reply.calls[at] == failure.call
        tried = query.turns[failure.turn]
        assert len(reply.calls) == len(query.calls) + 1
        mending = at + len(tried) - failure.place  # alone, behind all calls of the first try
        assert reply.calls[mending] == right
    assert places == {(t, p) for t, turn in enumerate(query.turns) for p in range(len(turn))}


def test_a_mended_reply_is_measured_apart_and_earns_less_than_a_right_first_try(
    catalogue: Catalogue,
) -> None:
    """Right at once, then mended, then the error told, then silence about the error."""
    failure = first_try(CHAIN.turns, catalogue.by_name, CHAIN.text, Random(1))
    start = render_trace(CHAIN, catalogue, FRAME)
    plan = start[: next(n for n, piece in enumerate(start) if piece.text == "<tool_call>")]
    endings = {
        "right": render_turns(CHAIN.turns, CHAIN.observations, "It is 12.57.", FRAME),
        "mended": render_turns(CHAIN.turns, CHAIN.observations, "It is 12.57.", FRAME, failure),
        "told": render_turns([[failure.call]], [failure.observation], "It failed.", FRAME),
        "untold": render_turns([[failure.call]], [failure.observation], None, FRAME),
    }
    replies = {name: parse(said([*plan, *pieces])) for name, pieces in endings.items()}
    outcomes = {name: outcome(reply, CHAIN) for name, reply in replies.items()}
    assert {name: (o.call_em, o.mended) for name, o in outcomes.items()} == {
        "right": (True, None), "mended": (False, True), "told": (False, False),
        "untold": (False, None),
    }  # fmt: skip
    scores = {name: score(reply, CHAIN) for name, reply in replies.items()}
    totals = [scores[name].total for name in endings]
    assert totals[0] == 1.0 and totals == sorted(totals, reverse=True) and len(set(totals)) > 2
    assert scores["mended"].format == scores["mended"].answer == 1.0 > scores["mended"].tool


def test_mending_pays_more_than_leaving_a_call_that_is_nearly_right() -> None:
    right, wrong = Call("t", dict.fromkeys("abcde", 1)), Call("t", dict.fromkeys("abcd", 1))
    query = Query("q", "Do it.", ((right,),))
    left = Reply("so", ("t",), (wrong,), "It failed.", observed=True, failed=(0,))
    mended = replace(left, calls=(wrong, right))
    guessed = replace(left, calls=(wrong, right), failed=())  # a second call without a reason
    once = replace(left, calls=(right,), failed=())
    tools = [score(reply, query).tool for reply in (guessed, left, mended, once)]
    assert tools == sorted(tools) and len(set(tools)) == 4 and tools[-1] == 1.0


@pytest.mark.parametrize("query", [BOTH, CHAIN], ids=lambda query: query.id)
def test_a_right_call_that_fails_for_good_ends_the_conversation_with_its_reason(
    query: Query,
) -> None:
    lengths = set()
    for seed in range(40):
        turns, observations, response = refused(query.turns, query.observations, Random(seed))
        lengths.add(len(turns))
        assert turns == query.turns[: len(turns)] and len(observations) == sum(map(len, turns))
        reasons = [reason for text in observations if (reason := refusal_reason(text)) is not None]
        assert len(reasons) == 1
        assert response.endswith(f"The tool reports an error: {reasons[0]}.")
        last = observations[-len(turns[-1]) :]
        results = [text for text in last if refusal_reason(text) is None]
        assert all(result in response for result in results)
    assert lengths == set(range(1, len(query.turns) + 1))


def test_an_answer_says_results_bare_and_reasons_behind_them() -> None:
    assert answer_of(['"oak"', "[1, 2]", "no JSON"]) == "The answer is oak; [1, 2]; no JSON."
    assert answer_of(['{"error": "late"}']) == "The tool reports an error: late."
    both = answer_of(["7", '{"error": "late"}', "8"])
    assert both == "The answer is 7; 8. The tool reports an error: late."


def test_as_many_traces_fail_as_asked_for(grown, catalogue: Catalogue) -> None:
    codec = grown("tiny")
    library = Library(catalogue, DocumentsConfig(), 0)
    unknown = replace(BOTH, observations=(), answer=None)  # its results are not known
    for queries, share, low, high in (
        ([BOTH, CHAIN] * 100, 0.0, 0, 0),
        ([BOTH, CHAIN] * 100, 0.3, 40, 80),
        ([unknown] * 50, 1.0, 0, 0),
    ):
        examples = trace_examples(codec, library, queries, {"none": 1}, Random(2), share)
        texts = [as_text(codec.decode(example.ids)) for example in examples]
        failing = [text for text in texts if '{"error": ' in text]
        assert len(texts) == len(queries) and low <= len(failing) <= high
        told = sum("The tool reports an error" in text for text in failing)
        assert not failing or 0.3 < told / len(failing) < 0.7


def test_a_plan_knows_nothing_of_a_failure_or_leads_to_it_without_loss(
    catalogue: Catalogue,
) -> None:
    """The thought comes before the calls. A misled one speaks of the call that then fails."""
    usual = as_text(render_trace(CHAIN, catalogue, FRAME)).partition("<tool_call>")[0]
    misled = 0
    for seed in range(60):
        pieces = render_trace(CHAIN, catalogue, FRAME, failing=Random(seed))
        assert json.dumps("error") in as_text(pieces)
        start = next(n for n, piece in enumerate(pieces) if piece.text == "<tool_call>")
        plan = pieces[next(n for n, p in enumerate(pieces) if p.text == "<think>") : start]
        is_usual = as_text(pieces).partition("<tool_call>")[0] == usual
        assert {piece.learn for piece in plan} == {is_usual} or not any(p.learn for p in plan)
        misled += not is_usual
        first = parse(said(pieces)).calls[0]
        assert is_usual or first not in CHAIN.calls or parse(said(pieces)).failed == (1,)
    assert 8 < misled < 25  # half of half, less what a line does not show


def test_a_thought_that_was_given_is_never_misled(catalogue: Catalogue) -> None:
    query = replace(CHAIN, thought=("Because I say so.",))
    for seed in range(30):
        pieces = render_trace(query, catalogue, FRAME, failing=Random(seed))
        thought = next(piece for piece in pieces if piece.text == "Because I say so.")
        assert thought.learn


def test_a_fixed_value_is_mistaken_for_a_word_of_the_query(catalogue: Catalogue) -> None:
    tries = [
        first_try(((LENGTH,),), catalogue.by_name, "Turn feet into metres", Random(seed))
        for seed in range(80)
    ]
    wrong = {str(t.call.arguments.get(name)) for t in tries for name in ("source", "target")}
    assert wrong & {"Turn", "feet", "into", "metres"}
