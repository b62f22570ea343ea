"""Questions that a teacher writes from documents: kinds, checks, round trip, journal, cost."""

import json
import re

import pytest
from teacher_parts import Teacher
from typer.testing import CliRunner

from tinr.catalogue.load import Catalogue, load_catalogue, read_queries, write_jsonl
from tinr.cli.main import app
from tinr.records import BadInput, RunFailed, ToolDoc

pytest.importorskip("openai", reason="the openai package is not installed")
from tinr.data.teacher.question_writer import KINDS, SOLVE, QuestionConfig, build_queries

VALUES = {
    "circle_area": {"radius": 3},
    "length_convert": {"length": 2, "source": "metre", "target": "foot"},
    "city.find": {"name": "Rome"},
}
OPTIONS = {"circle_area": {"digits": 4}, "city.find": {"tags": ["old"]}}


def asked_of(body):
    """The tools that a prompt shows, in its order, and what the user says."""
    system, user = (message["content"] for message in body["messages"])
    return re.findall(r"(?m)^- ([\w.]+)\(", system), user, system.startswith(SOLVE[:40])


class Author:
    """A teacher that writes what it is told to, and remembers it for the round trip."""

    def __init__(self, change=lambda kind, question: question, solve=lambda calls: calls):
        self.calls, self.change, self.solve = {}, change, solve

    def __call__(self, body):
        names, user, is_solving = asked_of(body)
        if is_solving:
            return f"Sure: {json.dumps(self.solve(self.calls[user]))}"
        told = {k: text.format(tool=names[0], partner=names[-1]) for k, text in KINDS.items()}
        kind = next(k for k, text in told.items() if user.startswith(text))
        chosen = {"missing": [], "two": names, "enumerated": names * 2}.get(kind, names[:1])
        more = OPTIONS.get(names[0], {}) if kind == "option" else {}
        calls = [{"name": name, "arguments": VALUES[name] | more} for name in chosen]
        text = f"Please do it {kind} for {' and '.join(map(str, VALUES[names[0]].values()))}?"
        question = {"query": text, "calls": calls, "reply": "Which one?"}
        question = self.change(kind, question)
        if isinstance(question, dict):
            self.calls[question["query"]] = question["calls"]
            return json.dumps(question)
        return question


def settings(server, **more):
    return QuestionConfig(endpoint=server.url, model="m", pause=0.01, **more)


def test_every_tool_gets_questions_of_every_kind_and_they_read_back(catalogue, tmp_path):
    server = Teacher(Author())
    lines, spent, reasons = build_queries(catalogue, settings(server), tmp_path / "j")
    optional = [
        doc for doc in catalogue.tools
        if {*doc.parameters["properties"]} - {*doc.parameters.get("required", ())}
    ]  # fmt: skip
    assert 0 < len(optional) < 3
    assert len(lines) == 3 * (len(KINDS) - 1) + len(optional) and not reasons
    assert spent.answered == 2 * len(lines) and spent.tokens_in == 200 * len(lines)
    write_jsonl(tmp_path / "q.jsonl", lines)
    queries = {query.id: query for query in read_queries(tmp_path / "q.jsonl", catalogue)}
    missing, two = queries["city.find-missing-0"], queries["city.find-two-0"]
    assert missing.calls == () and missing.reply == "Which one?" and missing.kind == "missing"
    assert len({call.name for call in two.calls}) == 2 and two.calls[0].name == "city.find"
    assert len(queries["city.find-enumerated-0"].calls) == 2


def test_words_that_ask_for_a_value_are_kept_where_they_stand_in_the_question(catalogue, tmp_path):
    """The teacher marks them; what it marks wrongly is left out, and the question kept."""
    marks = {"radius": "for 3", "digits": "precisely", "colour": "Please"}

    def marked(kind, question):
        return question | {"calls": [{**question["calls"][0], "implied": marks}]}

    asked = settings(Teacher(Author(change=marked)), kinds=("plain", "option"))
    names = [name for name in catalogue.names if name != "circle_area"]
    lines, *_ = build_queries(catalogue, asked, tmp_path / "j", unseen=names)
    assert [line["kind"] for line in lines] == ["plain", "option"]
    assert all(line["implied"] == [{"radius": "for 3"}] for line in lines)
    assert all("implied" not in call for line in lines for call in line["calls"])
    write_jsonl(tmp_path / "q.jsonl", lines)
    assert read_queries(tmp_path / "q.jsonl", catalogue)[0].implied == ({"radius": "for 3"},)


def test_a_question_for_an_option_has_one(catalogue, tmp_path):
    def plain(kind, question):
        return question | {"calls": [{"name": "circle_area", "arguments": {"radius": 3}}]}

    asked = settings(Teacher(Author(change=plain)), kinds=("option",))
    names = [name for name in catalogue.names if name != "circle_area"]
    lines, _, reasons = build_queries(catalogue, asked, tmp_path / "j", unseen=names)
    assert lines == [] and reasons == {"its call has no optional value": 1}


def test_a_tool_without_options_is_asked_for_none(tmp_path):
    doc = ToolDoc("find", "Find it.", {"properties": {"name": {}}, "required": ["name"]})
    asked = settings(Teacher(Author()), kinds=("option",))
    assert build_queries(Catalogue((doc,)), asked, tmp_path / "j")[0] == []


FAULTS = {
    "its calls are not those of its kind": {"calls": [{"name": "nobody", "arguments": {}}]},
    "a call that its document refuses: wrong type": {
        "calls": [{"name": "circle_area", "arguments": {"radius": "three"}}]},
    "a call that its document refuses: unknown parameter": {
        "calls": [{"name": "circle_area", "arguments": {"radius": 3, "colour": 1}}]},
    "a call that its document refuses: missing parameter": {
        "calls": [{"name": "circle_area", "arguments": {}}]},
    "it spells a tool's name": {"query": "Use circle_area with 3"},
    "an empty question": {"query": "  "},
    "cannot be read": {"calls": "none"},
}  # fmt: skip


@pytest.mark.parametrize("reason", FAULTS)
def test_a_question_with_a_fault_is_not_kept(reason, catalogue, tmp_path):
    author = Author(change=lambda kind, question: question | FAULTS[reason])
    asked = settings(Teacher(author), kinds=("plain",))
    names = [name for name in catalogue.names if name != "circle_area"]
    lines, _, reasons = build_queries(catalogue, asked, tmp_path / "j", unseen=names)
    assert lines == [] and reasons == {reason: 1}


@pytest.mark.parametrize(
    ("solve", "reason"),
    [
        (lambda calls: [], "the round trip calls otherwise"),
        (lambda calls: [{**calls[0], "arguments": {"radius": 4}}],
         "the round trip calls otherwise"),
        (lambda calls: [{**calls[0], "name": "nobody"}], "the round trip calls otherwise"),
        (lambda calls: {"x": 1}, "the round trip cannot be read"),
        (lambda calls: [{**calls[0], "arguments": {"radius": 3, "digits": 2}}], ""),  # a default
    ],
)  # fmt: skip
def test_the_round_trip_must_call_the_same(solve, reason, catalogue, tmp_path):
    asked = settings(Teacher(Author(solve=solve)), kinds=("plain",))
    names = [name for name in catalogue.names if name != "circle_area"]
    lines, _, reasons = build_queries(catalogue, asked, tmp_path / "j", unseen=names)
    assert (len(lines), dict(reasons)) == ((1, {}) if not reason else (0, {reason: 1}))


def test_unseen_tools_get_no_question_and_are_nobody_s_partner(catalogue, tmp_path):
    server = Teacher(Author())
    lines, *_ = build_queries(catalogue, settings(server), tmp_path / "j", unseen=["city.find"])
    assert lines and not [line for line in lines if "city.find" in json.dumps(line["calls"])]
    with pytest.raises(BadInput, match="'nobody' is not in the catalogue"):
        build_queries(catalogue, settings(server), tmp_path / "k", unseen=["nobody"])
    with pytest.raises(BadInput, match="kinds: 'odd' is not one of plain"):
        build_queries(catalogue, settings(server, kinds=("odd",)), tmp_path / "k")


def test_a_question_that_says_the_same_is_kept_once(catalogue, tmp_path):
    asked = settings(Teacher(Author()), kinds=("plain",), each=2)
    lines, _, reasons = build_queries(catalogue, asked, tmp_path / "j")
    assert len(lines) == 3 and reasons == {"another question says the same": 3}


def test_a_run_goes_on_from_its_journal(catalogue, tmp_path):
    server = Teacher("500", "429", Author())
    asked = settings(server, kinds=("plain", "missing"), attempts=1, in_flight=1)
    lines, spent, reasons = build_queries(catalogue, asked, tmp_path / "j")
    assert len(lines) == 4 and spent.failed == 2 and reasons == {"no answer": 2}
    before = server.count
    lines, *_ = build_queries(catalogue, asked, tmp_path / "j")
    assert len(lines) == 6 and server.count == before + 4, "only what is owed is asked for"
    build_queries(catalogue, asked, tmp_path / "j")
    assert server.count == before + 4


def test_the_command_writes_a_file_or_says_why_not(catalogue, tmp_path):
    write_jsonl(tmp_path / "c" / "tools.jsonl", ({
        "name": d.name, "description": d.description, "parameters": d.parameters,
    } for d in catalogue.tools))  # fmt: skip
    out = tmp_path / "q.jsonl"
    words = ["queries", "build", "--catalogue", str(tmp_path / "c"), "--model", "m",
             "--out", str(out), "--set", "kinds=[plain]", "--set", "price_out=1000000"]  # fmt: skip
    done = CliRunner().invoke(app, [*words, "--endpoint", Teacher(Author()).url, "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert summary["queries"] == 3 and summary["price"] == 60.0
    assert len(read_queries(out, load_catalogue(tmp_path / "c"))) == 3
    out.unlink()
    server = Teacher("Sorry, I write no JSON.")
    done = CliRunner().invoke(app, [*words, "--endpoint", server.url])
    assert isinstance(done.exception, RunFailed) and not out.exists()
