"""Queries that follow other exchanges of one conversation."""

from dataclasses import replace
from random import Random

import pytest

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import FRAMES
from tinr.chat.render import as_text
from tinr.data.earlier_turns import after_others, exchange, some_after_others
from tinr.data.traces import render_trace
from tinr.records import Call, Message, Query

AREA = Call("circle_area", {"radius": 2})
ASKED = Query("asked", "Area of radius 2?", ((AREA,),), "12.57", observations=("12.57",))
PLAIN = Query("plain", "Hello!", reply="Hello to you.", kind="chat")
OPEN = Query("open", "Area of radius 7?", ((AREA,),))  # nothing says what it returned
QUERIES = [ASKED, PLAIN, OPEN, *(replace(ASKED, id=f"q{n}", text=f"Area {n}?") for n in range(30))]


@pytest.mark.parametrize(
    ("query", "answer"), [(ASKED, "The answer is 12.57."), (PLAIN, "Hello to you.")]
)
def test_a_later_turn_sees_the_request_and_the_answer_alone(query, answer):
    assert exchange(query) == (Message("user", query.text), Message("assistant", answer))


def test_a_query_follows_as_many_others_as_there_are_with_an_answer():
    behind = after_others(ASKED, [ASKED, PLAIN, OPEN], 5, Random(0))
    assert behind == replace(ASKED, history=exchange(PLAIN))
    own = replace(ASKED, history=(Message("user", "Before."),))
    assert after_others(own, [PLAIN], 1, Random(0)).history == (*own.history, *exchange(PLAIN))
    assert after_others(ASKED, QUERIES, 0, Random(0)) == ASKED


def test_a_share_of_the_queries_follows_one_or_two_others():
    rng = Random(1)
    assert some_after_others(QUERIES, 0.0, rng) == QUERIES
    assert rng.random() == Random(1).random()  # without a share nothing is drawn
    behind = some_after_others(QUERIES, 0.5, Random(1))
    assert [query.text for query in behind] == [query.text for query in QUERIES]
    lengths = [len(query.history) for query in behind]
    assert set(lengths) == {0, 2, 4} and 8 < sum(map(bool, lengths)) < 25
    texts = {query.text for query in QUERIES if query is not OPEN}
    for query in behind:
        earlier = [message.content for message in query.history if message.role == "user"]
        assert query.text not in earlier and set(earlier) <= texts
    own = replace(ASKED, history=(Message("user", "Before."),))
    assert some_after_others([own, PLAIN], 1.0, Random(1))[0] == own


def test_only_the_last_reply_is_learned_and_its_values_come_from_the_query(catalogue: Catalogue):
    """The earlier message states the same value; the line must bind it in the query's words."""
    earlier = Query("earlier", "Say radius 2 for me.", reply="2.", kind="chat")
    behind = after_others(ASKED, [earlier], 1, Random(0))
    pieces = render_trace(behind, catalogue, FRAMES["tinr"])
    learned = as_text([piece for piece in pieces if piece.learn])
    assert as_text(pieces).count("<response>") == 1 and "Say radius 2 for me." in as_text(pieces)
    assert "radius 2 = radius" in learned and "Say" not in learned


def test_a_value_that_only_an_earlier_message_states_is_found_there(catalogue: Catalogue):
    asked = replace(ASKED, text="And its area?", history=(Message("user", "My radius is 2."),))
    learned = as_text([p for p in render_trace(asked, catalogue, FRAMES["tinr"]) if p.learn])
    assert "radius is 2 = radius" in learned
