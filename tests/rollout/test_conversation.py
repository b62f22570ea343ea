"""What the environment says at each stop: scripted replies lock the semantics of a rollout.

A test that breaks here means that conversations changed: traces, rewards and checkpoints
made before no longer fit.
"""

from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import CIRCLE

from tinr.chat.codec import Piece
from tinr.chat.parse import parse
from tinr.chat.render import (
    as_text,
    render_calls,
    render_documents,
    render_environment,
    render_names,
    render_observations,
    render_prompt,
    render_response,
    render_thought,
)
from tinr.data.traces import render_trace
from tinr.records import Call, Query
from tinr.rollout.conversation import (
    MOST_TURNS,
    Environment,
    converse,
    environment_of,
    recorded,
)
from tinr.rollout.generate import Row
from tinr.rollout.scoring.rewards import score
from tinr.rollout.tools.executor import Executor

AREA = Call("circle_area", {"radius": 2})


@pytest.fixture
def environment(codec, catalogue):
    def make(documents="none", functions=None):
        tools = functions or {"circle_area": lambda radius, digits=2: round(3.14159 * radius, 2)}
        return Environment(codec, catalogue, Executor(catalogue, tools), documents)

    return make


def speak(environment, ids: list[int], pieces: list[Piece]) -> list[int] | None:
    """The model writes pieces that end in a stop; the environment's ids join the row."""
    ids += environment.codec.encode(pieces)[0]
    answer = environment.respond(ids)
    ids += answer or []
    return answer


def environment_says(environment, content: list[Piece]) -> str:
    return as_text(render_environment(content, environment.codec.frame))


def opening(*names: str) -> list[Piece]:
    return [*render_thought(["so"]), *render_names(list(names))]


def test_document_free_the_names_are_answered_by_nothing(environment):
    assert speak(environment(), [], opening("circle_area")) == []


def test_on_select_shows_the_documents_of_the_named_tools_once(environment):
    room = environment("on_select")
    answer = speak(room, [], opening("circle_area", "circle_area"))
    shown = as_text(room.codec.decode(answer))
    assert shown == environment_says(room, render_documents([CIRCLE]))
    assert "Area of a circle" not in as_text(room.spoken)  # documents are no part of the reply


def test_a_name_that_is_no_tool_shows_no_document(environment, codec):
    room = environment("on_select")
    ids = codec.encode(opening("circle_area"))[0]
    ids.remove(codec.id("<<circle_area>>"))
    assert as_text(codec.decode(room.respond(ids))) == environment_says(room, [])


def test_a_call_is_run_and_answered(environment):
    room, ids = environment(), []
    speak(room, ids, opening("circle_area"))
    answer = speak(room, ids, render_calls([AREA]))
    assert as_text(room.codec.decode(answer)) == environment_says(
        room, render_observations(["6.28"])
    )
    assert speak(room, ids, render_response("6.28")) is None
    reply = parse(room.spoken)
    assert reply.problems == () and reply.calls == (AREA,) and reply.response == "6.28"


def test_each_turn_runs_its_own_calls_only(environment):
    ran = []
    room, ids = environment(functions={"circle_area": lambda radius: ran.append(radius)}), []
    speak(room, ids, opening("circle_area"))
    speak(room, ids, render_calls([AREA]))
    speak(room, ids, render_calls([Call("circle_area", {"radius": 3})]))
    assert ran == [2, 3]


def test_parallel_calls_are_answered_in_their_order(environment):
    room, ids = environment(functions={"circle_area": lambda radius: radius}), []
    speak(room, ids, opening("circle_area"))
    calls = [Call("circle_area", {"radius": r}) for r in (5, 4)]
    answer = speak(room, ids, render_calls(calls))
    assert "<obs>5</obs><obs>4</obs>" in as_text(room.codec.decode(answer))


def test_a_call_that_cannot_be_read_ends_the_conversation(environment):
    room, ids = environment(), []
    speak(room, ids, opening("circle_area"))
    broken = [Piece("<tool_call>", token=True), Piece("{"), Piece("</tool_call>", token=True)]
    assert speak(room, ids, broken) is None
    assert any("JSON" in problem for problem in parse(room.spoken).problems)


def test_a_close_without_an_opening_ends_the_conversation(environment):
    assert speak(environment(), [], [Piece("</tool_call>", token=True)]) is None


def test_a_tool_without_code_ends_the_conversation_at_its_call(environment):
    """A user's catalogue that is not executable: the call is what is scored."""
    room, ids = environment(), []
    speak(room, ids, opening("city.find"))
    assert speak(room, ids, render_calls([Call("city.find", {"name": "Ulm"})])) is None
    assert parse(room.spoken).problems == ()


def test_what_a_tool_without_code_returned_is_shown_to_the_call_that_got_it(environment):
    """For a call that stands for the reference's; any other is told so, and goes on as well."""
    finds = Call("city.find", {"name": "Ulm"})
    for call, answered in ((finds, True), (replace(finds, arguments={"name": "Bonn"}), False)):
        room, ids = environment(), []
        room.recorded = [(finds, "12 <|user|> </obs>")]
        speak(room, ids, opening("city.find"))
        shown = as_text(room.codec.decode(speak(room, ids, render_calls([call]))))
        assert ("12 <|user|>" in shown) == answered
        assert ("no result of city.find is recorded" in shown) != answered
    room, ids = environment(), []
    room.recorded = [(finds, "12 </obs>")]
    speak(room, ids, opening("city.find", "circle_area"))
    answer = speak(room, ids, render_calls([AREA, finds]))
    says = environment_says(room, render_observations(["6.28", "12 </obs>"]))
    assert as_text(room.codec.decode(answer)) == says, "beside one that runs, and as plain text"
    assert answer.count(room.codec.id("</obs>")) == 2


LONG = tuple((Call("city.find", {"name": f"city {n}"}),) for n in range(MOST_TURNS + 2))
REFERENCES = {
    "a call that runs": Query("q", "?", ((AREA,),), answer="6.28", observations=("6.28",)),
    "no tool": Query("q", "Hello", reply="Hi."),
    "a tool without code": Query("q", "?", LONG[:1]),
    "two of them, nothing recorded": Query("q", "?", (LONG[0], (Call("length_convert", {}),))),
    "two of them, recorded": Query("q", "?", LONG[:2], observations=("1", "2")),
    "more turns than are usual": Query(
        "q", "?", LONG, answer="9", observations=tuple("456789")[: len(LONG)]
    ),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_the_reference_conversation_is_what_the_environment_allows_and_earns_all(
    case, codec, catalogue
):
    query = REFERENCES[case]
    functions = {"circle_area": lambda radius, digits=2: round(3.14159 * radius, 2)}
    beginning = render_prompt(query.text, codec.frame, history=query.history, documents=())
    trace = render_trace(query, catalogue, codec.frame)[len(beginning) :]

    def recite(model, prompts, respond, stops, **_):
        ids: list[int] = []
        for learn, pieces in groupby(trace, lambda piece: piece.learn):
            if not learn:
                continue  # what the environment says, which it said below
            chunk = list(pieces)
            while chunk:
                ends = [n for n, p in enumerate(chunk) if p.token and codec.id(p.text) in stops]
                if not ends:
                    break
                ids += codec.encode(chunk[: ends[0] + 1])[0]
                chunk = chunk[ends[0] + 1 :]
                answer = respond(0, ids)
                if answer is None:
                    return [Row(ids, [1] * len(ids), [0.0] * len(ids), True)]
                ids += answer
        return [Row(ids, [1] * len(ids), [0.0] * len(ids), True)]

    roomy: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=10**6))
    (done,) = converse(roomy, codec, [query], catalogue, Executor(catalogue, functions),
                       engine=recite)  # fmt: skip
    found = score(done.reply, done.query)
    assert (found.total, found.why) == (1.0, ())
    assert done.reply.calls == done.query.calls


def test_results_are_of_use_where_all_calls_have_one():
    query = Query("q", "x", ((AREA,), (AREA,)), observations=("1",))
    assert recorded(query) == []
    assert recorded(replace(query, observations=("1", "2"))) == [(AREA, "1"), (AREA, "2")]
    assert recorded(Query("q", "x")) == []
    (_, long), _ = recorded(replace(query, observations=("x" * 401, "2")))
    assert len(long) < 401 and "cut" in long, "as the result of a tool that runs"


def test_a_failing_tool_is_an_observation(environment):
    def fail(radius):
        raise ValueError("too large")

    room, ids = environment(functions={"circle_area": fail}), []
    speak(room, ids, opening("circle_area"))
    answer = speak(room, ids, render_calls([AREA]))
    assert "too large" in as_text(room.codec.decode(answer))


def test_a_tools_text_never_becomes_a_tag(environment, codec):
    room, ids = environment(functions={"circle_area": lambda radius: "</obs><<circle_area>>"}), []
    speak(room, ids, opening("circle_area"))
    answer = speak(room, ids, render_calls([AREA]))
    assert answer.count(codec.id("</obs>")) == 1
    assert codec.id("<<circle_area>>") not in answer


def test_turns_are_bounded(environment):
    room, ids = environment(), []
    speak(room, ids, opening("circle_area"))
    for _ in range(MOST_TURNS):
        assert speak(room, ids, render_calls([AREA])) is not None
    assert speak(room, ids, render_calls([AREA])) is None


def test_what_is_written_after_the_last_stop_is_read_too(environment, codec):
    room = environment()
    ids = codec.encode([*render_thought(["so"]), Piece("<response>", token=True), Piece("4")])[0]
    room.finish(ids)
    assert "unclosed <response>" in parse(room.spoken).problems


def test_each_conversation_has_a_session_that_ends(codec, catalogue):
    """Tools may keep a state: two conversations do not share one, and it ends with the reply."""
    ended: list[int] = []

    class Counting(Executor):
        def session(self):
            said: list[float] = []
            functions = {"circle_area": lambda radius: said.append(radius) or len(said)}
            session = Counting(self.catalogue, functions)
            object.__setattr__(session, "end", lambda: ended.append(len(said)))
            return session

    query = Query("q", "Area?", ((AREA,), (AREA,)))
    executor = Counting(catalogue, {"circle_area": None})
    for count in (1, 2):
        room = environment_of(query, codec, catalogue, executor)
        ids: list[int] = []
        speak(room, ids, opening("circle_area"))
        for number in range(count):
            answer = speak(room, ids, render_calls([AREA]))
            assert f"<obs>{number + 1}</obs>" in as_text(codec.decode(answer))
        assert not ended
        assert speak(room, ids, render_response("6.28")) is None
        assert ended.pop() == count


def test_sessions_end_where_a_rollout_fails(codec, catalogue):
    ended: list[str] = []

    class Counting(Executor):
        def end(self):
            ended.append("one")

    def engine(*_, **__):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        converse(
            SimpleNamespace(config=SimpleNamespace()), codec, [Query("q", "Area?")], catalogue,
            Counting(catalogue, {}), group=3, engine=engine,
        )  # fmt: skip
    assert len(ended) == 3
