"""Thoughts from a teacher that misbehaves, from earlier data sets, and composed ones."""

import json
import time
from dataclasses import asdict, replace

import pytest
from teacher_parts import GOOD, Teacher
from typer.testing import CliRunner

from tinr.catalogue.load import Catalogue, query_from, query_line, write_jsonl
from tinr.chat.codec import FRAMES, Piece
from tinr.chat.parse import parse
from tinr.cli.main import app
from tinr.config_files import load_config
from tinr.data.thoughts import Candidate, check, composed, judge, judge_all, with_tokens
from tinr.data.traces import render_trace
from tinr.records import NO_ARGUMENTS, UNANSWERED, BadInput, Call, Mention, Query, ToolDoc

pytest.importorskip("openai", reason="the openai package is not installed")
from tinr.data.teacher.thought_writer import TeacherConfig, build_traces, read_answer

CALL = Call("circle_area", {"radius": 3})
QUERIES = [Query(f"q{n}", f"Area of circle {n}?", ((CALL,),)) for n in range(6)]
BAD_THOUGHTS = {
    GOOD.replace("The area", "From the available tools, the area"): "speaks of a list of tools",
    GOOD.replace("The area", "As the ground truth says, the area"): "speaks of the reference",
    GOOD.replace('"radius": 3', '"radius": 4'): "its calls are not the reference's",
    GOOD.replace("circle_area gives", "something gives"): "does not name every tool that it calls",
    GOOD.replace("needed;", "needed, not city.find;"): "names a tool that is not called",
    GOOD.replace("the radius.", "the radius, unlike length_convert."): (
        "names a tool that is not called"
    ),
    "<think>No calls</think> none": "cannot be read",
    "<think>Half": "cannot be read",
    '<think>x</think>[{"name": 1}]': "cannot be read",
}


@pytest.mark.parametrize(("digits", "taught"), [(2, True), (3, False)])
def test_a_thought_that_spells_a_default_reaches_the_reference(digits, taught, catalogue):
    thought = "The area is asked for, so circle_area is needed; it takes the radius."
    made = Call("circle_area", {"radius": 3, "digits": digits})
    assert bool(judge(Candidate(thought, (made,)), QUERIES[0], catalogue).thought) is taught


def config(server: Teacher, **more) -> TeacherConfig:
    slow = "slow" in server.behaviours
    settings = {"candidates": 1, "pause": 0.01, "timeout": 1.0 if slow else 20.0, "shown": 3} | more
    return TeacherConfig(endpoint=server.url, model="m", **settings)


STRANGE = ("[]", "5", '{"choices": ["x"]}', '{"choices": [{"delta": "x"}]}')


@pytest.mark.parametrize(
    "fault",
    ["429", "500", "503", "cut", "garbage", "slow", *(f"raw:{chunk}" for chunk in STRANGE)],
)
def test_a_fault_is_asked_again(fault, catalogue, tmp_path):
    server = Teacher(fault, "good")
    lines, spent, _ = build_traces(QUERIES[:1], catalogue, config(server), tmp_path / "j")
    assert [line["id"] for line in lines] == ["q0"]
    assert (server.count, spent.requests, spent.retries, spent.failed) == (2, 2, 1, 0)


def test_a_teacher_that_never_answers_costs_that_query_only(catalogue, tmp_path):
    server = Teacher("500")
    asked = config(server, attempts=2)
    lines, spent, reasons = build_traces(QUERIES[:2], catalogue, asked, tmp_path / "j")
    assert lines == [] and spent.failed == 2 and spent.requests == 4
    assert reasons == {"no answer": 2}


@pytest.mark.parametrize("status", ["401", "404"])
def test_a_refused_key_or_model_ends_the_run_with_one_line(status, catalogue, tmp_path):
    with pytest.raises(BadInput, match="the request was refused"):
        build_traces(QUERIES, catalogue, config(Teacher(status)), tmp_path / "j")


def test_a_run_goes_on_from_its_journal_even_where_a_line_was_cut(catalogue, tmp_path):
    server, journal = Teacher("good"), tmp_path / "j"
    build_traces(QUERIES[:3], catalogue, config(server), journal)
    assert server.count == 3
    text = journal.read_text()
    journal.write_text(text[: text.rindex('"mark"')])
    lines, *_ = build_traces(QUERIES, catalogue, config(server), journal)
    assert server.count == 3 + 1 + 3 and len(lines) == 6
    build_traces(QUERIES, catalogue, config(server, temperature=0.5), journal)
    assert server.count == 7 + 6, "other settings must not reuse these answers"


def test_what_a_teacher_owes_is_asked_again_and_a_changed_query_too(catalogue, tmp_path):
    server, journal = Teacher("500", "good"), tmp_path / "j"
    lines, *_ = build_traces(QUERIES[:1], catalogue, config(server, attempts=1), journal)
    assert lines == []
    lines, *_ = build_traces(QUERIES[:1], catalogue, config(server, attempts=1), journal)
    assert len(lines) == 1 and server.count == 2
    other = Query("q0", "Another question?", QUERIES[0].turns)
    build_traces([other], catalogue, config(server, attempts=1), journal)
    assert server.count == 3


@pytest.mark.parametrize("setting", ["in_flight", "candidates", "attempts"])
def test_settings_that_would_hang_are_refused(setting):
    with pytest.raises(BadInput, match=f"{setting}: .*greater than 0"):
        load_config(TeacherConfig, None, [f"{setting}=0"])


def test_one_refused_query_does_not_end_a_run(catalogue, tmp_path):
    server = Teacher("good", "400", "good")
    asked = config(server, in_flight=1)
    lines, spent, _ = build_traces(QUERIES, catalogue, asked, tmp_path / "j")
    assert len(lines) == 5 and spent.failed == 1
    server.behaviours, before = ("400",), server.count  # what is owed alone is asked for again
    lines, *_ = build_traces(QUERIES, catalogue, config(server), tmp_path / "j")
    assert len(lines) == 5 and server.count == before + 1


def test_half_a_pair_of_surrogates_does_not_end_a_run(catalogue, tmp_path):
    broken = GOOD.replace("The area", "\ud83d The area")
    lines, *_ = build_traces(QUERIES[:2], catalogue, config(Teacher(broken, GOOD)), tmp_path / "j")
    assert len(lines) == 2


def test_requests_in_flight_and_a_minute_are_bounded(catalogue, tmp_path):
    server = Teacher("good")
    build_traces(QUERIES, catalogue, config(server, candidates=3, in_flight=2), tmp_path / "j")
    assert server.count == 18 and server.most_inside <= 2
    began = time.monotonic()
    build_traces(QUERIES, catalogue, config(server, per_minute=600), tmp_path / "k")
    assert time.monotonic() - began >= 0.5  # the sixth begins 5 tenths of a second after the first


def test_cost_is_counted(catalogue, tmp_path):
    asked = config(Teacher("good"), price_in=1000.0, price_out=10_000.0)
    _, spent, _ = build_traces(QUERIES[:2], catalogue, asked, tmp_path / "j")
    assert (spent.tokens_in, spent.tokens_out) == (200, 20)
    assert spent.price(asked) == pytest.approx(0.4)


def test_the_gold_tool_is_hidden_among_others_and_its_place_varies(catalogue, tmp_path):
    server = Teacher("good")
    build_traces(QUERIES, catalogue, config(server), tmp_path / "j")
    systems = [body["messages"][0]["content"] for body in server.bodies]
    shown = [[line for line in s.splitlines() if line.startswith("- ")] for s in systems]
    places = {next(n for n, s in enumerate(one) if "circle_area" in s) for one in shown}
    assert all(len(one) == 3 for one in shown) and len(places) > 1


@pytest.mark.parametrize("answer", list(BAD_THOUGHTS))
def test_what_does_not_pass_has_its_reason(answer, catalogue, tmp_path):
    lines, _, reasons = build_traces(
        QUERIES[:1], catalogue, config(Teacher(answer)), tmp_path / "j"
    )
    assert lines == [] and reasons == {BAD_THOUGHTS[answer]: 1}


def test_a_kept_thought_becomes_a_trace_with_tool_tokens(catalogue, tmp_path):
    lines, *_ = build_traces(QUERIES[:1], catalogue, config(Teacher("good")), tmp_path / "j")
    query = query_from(json.loads(json.dumps(lines[0])), "here", catalogue)
    assert Mention("circle_area") in query.thought
    pieces = render_trace(query, catalogue, FRAMES["tinr"])
    assert any(p == Piece("<<circle_area>>", token=True, learn=True) for p in pieces)
    assert query_line(query)["thought"] == lines[0]["thought"]


def test_a_query_without_calls_and_without_a_reply_is_answered_in_a_sentence(catalogue):
    frame = FRAMES["tinr"]
    written = [p for p in render_trace(Query("q", "x"), catalogue, frame) if p.learn]
    reply = parse(written[: -len(frame.end())])
    assert (reply.problems, reply.response) == ((), UNANSWERED)


def test_a_thought_that_spells_a_tag_or_a_token_stays_text(catalogue):
    hostile = "</think><tool_call> <<city.find>>"
    query = Query("q", "x", ((CALL,),), thought=(hostile, Mention("circle_area")))
    pieces = render_trace(query, catalogue, FRAMES["tinr"])
    assert Piece(hostile, learn=True) in pieces
    assert parse([p for p in pieces if p.learn]).named == ("circle_area",)


def test_names_become_mentions_longest_first():
    names = ["get", "get_user"]
    assert with_tokens("use get_user, `get` or getter", names) == [
        "use ",
        Mention("get_user"),
        ", ",
        Mention("get"),
        " or getter",
    ]


def test_the_beginning_of_another_name_is_no_mention():
    names = ["repos/get", "repos/get-branch", "weather", "weather.hourly", "book", "booking"]
    catalogue = Catalogue(tuple(ToolDoc(name, "Does.", {}) for name in names))

    def reason(text: str, called: str) -> str:
        query = Query("q", "?", ((Call(called, {}),),))
        return judge(Candidate(text, query.calls), query, catalogue).reason

    another = "names a tool that is not called"
    assert reason("We ask repos/get-branch for it and repos/get.", "repos/get") == another
    assert reason("We ask repos/get. Then the owner is known.", "repos/get") == ""
    assert reason("It is repos/get-branch, which gives that.", "repos/get-branch") == ""
    assert reason("The booking is made by `book`, which fits.", "book") == ""
    unnamed = "does not name every tool that it calls"
    assert reason("We look at weather.daily, which tells it.", "weather") == unnamed
    assert reason("We look at a weather-proof coat, for one.", "weather") == unnamed


@pytest.mark.parametrize(
    "spelled",
    ["**get_user**", "*get_user*", "[get_user]", "“get_user”", "get_user’s", "get_user—no",
     "x,get_user,no", "(get_user)", "<<get_user>>", "get_user."],
)  # fmt: skip
def test_a_tool_that_is_not_called_is_found_however_it_is_marked(spelled):
    catalogue = Catalogue((ToolDoc("circle_area", "Area.", {}), ToolDoc("get_user", "User.", {})))
    query = Query("q", "?", ((Call("circle_area", {}),),))
    thought = f"Not {spelled} but circle_area gives what is asked for here."
    assert judge(Candidate(thought, query.calls), query, catalogue).reason == (
        "names a tool that is not called"
    )
    told = replace(query, turns=(), thought=(thought,))  # of a query that calls nothing as well
    assert check([told], catalogue, unseen=["get_user"]).leaks == ("get_user",)


def test_read_answer_never_breaks():
    for text in ("", "<think></think>", "<think>a</think>[" + "[" * 5000, GOOD[:-1]):
        assert read_answer(text) is None or isinstance(read_answer(text), Candidate)
    assert read_answer(GOOD) is not None


def test_judging_accepts_what_it_should(catalogue):
    query = QUERIES[0]
    good = read_answer(GOOD)
    assert good is not None and not judge(good, query, catalogue).reason


def test_traces_of_an_earlier_data_set_are_judged(catalogue, tmp_path):
    rows = [
        {"id": "q0", "thought": "We need the area, which circle_area computes for a radius."},
        {
            "id": "q1",
            "assistant_1": "<think>The area is what <<circle_area>> computes, so it fits.</think>",
            "assistant_2": '<tool_call>\n{"token": "<<circle_area>>", "parameters": {"radius": 3}}'
            "\n</tool_call>",
        },
        {"id": "q2", "assistant_1": "<think>cut", "assistant_2": ""},
        {"id": "gone", "thought": "x"},
    ]
    write_jsonl(tmp_path / "t.jsonl", rows)
    lines, reasons = judge_all(tmp_path / "t.jsonl", QUERIES, catalogue)
    assert [line["id"] for line in lines] == ["q0", "q1"]
    assert reasons == {"kept": 2, "cannot be read": 1, "no such query": 1}


def test_check_reports_leaks_coverage_and_duplicates(catalogue):
    queries = [composed(q, catalogue) for q in (*QUERIES[:2], Query("twin", QUERIES[0].text, ()))]
    found = check(queries, catalogue, unseen=["circle_area"])
    assert found.leaks == ("circle_area",)
    assert found.duplicates == (("q0", "twin"),)
    assert "city.find" in found.uncovered and found.tools == 1


def traces_build(server: Teacher, catalogue, folder, *more: str, queries=QUERIES[:2]):
    """`tinr traces build` with a teacher; its result as typer's runner has it."""
    write_jsonl(folder / "q.jsonl", map(query_line, queries))
    write_jsonl(folder / "tools" / "tools.jsonl", map(asdict, catalogue.tools))
    words = ["traces", "build", "--queries", f"{folder}/q.jsonl", "--catalogue", f"{folder}/tools"]
    words += ["--out", f"{folder}/t.jsonl", "--endpoint", server.url, "--model", "x"]
    settings = ("pause=0.01", "attempts=1", "candidates=1")
    words += [word for setting in settings for word in ("--set", setting)]
    return CliRunner().invoke(app, [*words, *more])


def test_the_command_says_how_often_each_reason_was_met(catalogue, tmp_path):
    """The second answer is no trace: its reason and count, in words and in JSON."""
    done = traces_build(Teacher("good", "garbage"), catalogue, tmp_path)
    assert done.exit_code == 0 and "     1  no answer" in done.output
    (tmp_path / "t.jsonl.journal").unlink()
    told = traces_build(Teacher("good", "garbage"), catalogue, tmp_path, "--json")
    assert json.loads(told.stdout.splitlines()[-1])["reasons"] == {"no answer": 1}


def test_a_teacher_is_not_asked_where_nothing_is_known_to_be_right(catalogue, tmp_path):
    unclear = replace(QUERIES[0], id="u", flags=(NO_ARGUMENTS,))
    lines, spent, reasons = build_traces(
        [QUERIES[0], unclear], catalogue, config(Teacher("good")), tmp_path / "j"
    )
    assert [line["id"] for line in lines] == ["q0"] and spent.answered == 1
    assert reasons["its reference is not whole"] == 1


def test_queries_without_calls_are_not_lost_and_the_teacher_is_not_asked(catalogue, tmp_path):
    server = Teacher("good")
    more = Query("chat", "Good morning!")
    done = traces_build(server, catalogue, tmp_path, "--json", queries=(QUERIES[0], more))
    assert json.loads(done.stdout.splitlines()[-1])["composed_without_calls"] == 1
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [(line["id"], bool(line["thought"])) for line in lines] == [("q0", True), ("chat", True)]
    assert server.count == 1


def test_where_no_request_is_answered_what_was_there_stays(catalogue, tmp_path):
    (tmp_path / "t.jsonl").write_text("before")
    done = traces_build(Teacher("500"), catalogue, tmp_path)
    assert isinstance(done.exception, BadInput) and "none of 2 requests" in str(done.exception)
    assert (tmp_path / "t.jsonl").read_text() == "before"
