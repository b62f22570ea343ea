"""Evidence of calling: the area under its curve, worked by hand, and where it is read."""

import pytest

from tinr.chat.codec import Piece
from tinr.chat.parse import parse_text
from tinr.chat.render import render_names, render_prompt, render_response, render_thought
from tinr.evaluation.abstention import _thought_of, auroc, false_calls
from tinr.evaluation.metrics import outcome
from tinr.records import SOME_CALL, Call, Query, Reply
from tinr.rollout.conversation import Conversation
from tinr.rollout.generate import Row

AREAS = {  # expected, evidence, area
    "apart": ([True, True, False], [2.0, 1.0, 0.0], 1.0),
    "upside down": ([True, False], [0.0, 1.0], 0.0),
    "ties are halves": ([True, False], [1.0, 1.0], 0.5),
    # pairs (3,2) right, (3,1) right, (1.5,2) wrong, (1.5,1) right
    "three of four": ([True, True, False, False], [3.0, 1.5, 2.0, 1.0], 0.75),
}


@pytest.mark.parametrize("case", AREAS)
def test_area_under_the_curve(case):
    expected, evidence, area = AREAS[case]
    found = auroc(expected, evidence)
    assert found.value == pytest.approx(area) and found.n == len(expected)
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= area <= found.high <= 1


def test_one_side_alone_has_no_area():
    assert auroc([True, True], [1.0, 2.0]).value is None


def test_false_calls_by_kind():
    def said(kind: str, called: bool) -> Conversation:
        calls = (Call("a", {}),) if called else ()
        query = Query(f"{kind}{called}", "x", kind=kind)
        return Conversation(query, (), Row(), Reply(calls=calls), ())

    found = false_calls([said("chat", False), said("missing", True), said("missing", False)])
    assert found["false_call_no_tool"].value == 0.0
    assert (found["false_call_missing_value"].value, found["false_call_missing_value"].n) == (
        0.5,
        2,
    )


UNREADABLE = '<think>t</think><tool_call>{"token": 1}</tool_call>'
SAID = {  # reply to a query that needs no tool -> abstains, calls
    "<think>t</think><response>No.</response>": (True, False),
    "<think>t</think><response> </response>": (False, False),
    "<think>t</think>": (False, False),
    f"{UNREADABLE}<response>No.</response>": (False, True),
    "<think>t</think><tool_token>\nx\n</tool_token><response>No.</response>": (False, True),
}


@pytest.mark.parametrize("text", SAID)
def test_what_cannot_be_read_is_no_abstaining(text):
    reply, query = parse_text(text), Query("q", "hello", kind="chat")
    abstains, calls = SAID[text]
    assert outcome(reply, query).abstain_acc is abstains
    done = [Conversation(query, (), Row(), reply, ())]
    assert false_calls(done)["false_call_no_tool"].value == float(calls)


def test_a_query_that_any_call_answers_is_none_that_needs_no_call():
    query = Query("q", "do it", flags=(SOME_CALL,))
    assert false_calls([Conversation(query, (), Row(), Reply(), ())]) == {}


@pytest.mark.parametrize("closed", [True, False])
def test_the_evidence_is_read_after_the_thought_whether_closed_or_not(codec, closed):
    frame = codec.frame
    thought = render_thought(["so"])
    rest = render_names(["circle_area"]) if closed else render_response("x")
    pieces = [*(thought if closed else thought[:-1]), *rest]
    prompt = codec.encode(render_prompt("hello", frame))[0]
    row = Row(ids=codec.encode(pieces)[0])
    done = Conversation(Query("q", "hello"), prompt, row, Reply(), tuple(pieces))
    expected = codec.encode([Piece("<think>", token=True), Piece("so")])[0]
    assert _thought_of(codec, done) == [*prompt, *expected, codec.id("</think>")]
