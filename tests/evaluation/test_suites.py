"""Suites of real queries: from folders made here, and every named set where the data is."""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.evaluation.evaluate import check_splits
from tinr.evaluation.self_test import self_test
from tinr.evaluation.suites import NAMES, Suite, read_suite, same_names
from tinr.records import HISTORY_CUT, NO_ARGUMENTS, OTHER_REFERENCE, SOME_CALL, BadInput, ToolDoc
from tinr.rollout.conversation import reachable
from tinr.rollout.scoring.matching import lenient_calls, strict_calls
from tinr.rollout.tools.executor import Executor

DATA = Path(__file__).parents[3] / "shared" / "data"
TOOLS = [
    {"name": "book", "description": "Book a room.", "parameters": {"type": "object"}},
    {"name": "pay bill", "description": "Pay.", "parameters": {"type": "object"}},
    {
        "name": "book_2",
        "orig_name": "book",
        "description": "Book a seat.",
        "parameters": {"type": "object", "properties": {"row": {"type": "integer"}}},
    },
]


def line(identifier: str, name: str = "book", **more: Any) -> dict[str, Any]:
    return {"id": identifier, "query": "Do it.", "calls": [{"name": name, "arguments": {}}]} | more


def folder(path: Path, queries: list[Any], tools: list[Any] = TOOLS, zipped: bool = False) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, rows in (("tools.jsonl", tools), ("queries.jsonl", queries)):
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        if zipped:
            (path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (path / name).write_text(text)
    return path


def one(tmp_path: Path, *rows: Any, name: str = "set") -> Suite:
    return read_suite(str(folder(tmp_path / name, list(rows))), tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_becomes_a_suite(tmp_path: Path, zipped: bool) -> None:
    rows = [line("a"), line("b", "pay bill", tools=["pay bill", "book"]), line("c", "lost")]
    folder(tmp_path / "nestful", rows, zipped=zipped)
    suite = read_suite("nestful", tmp_path)
    assert suite.name == "nestful" and [q.id for q in suite.queries] == ["a", "b"]
    assert suite.queries[1].calls[0].name == "pay_bill", "a name that can be a tool token"
    assert suite.queries[1].tools == ("pay_bill", "book")
    assert suite.left_out == (("c", "the reference calls 'lost', which has no document"),)
    assert suite.source_names == {"book": "book", "pay_bill": "pay bill", "book_2": "book"}
    assert same_names(suite) == {"book": "book", "book_2": "book"}


def test_a_gzipped_catalogue_loads(tmp_path: Path) -> None:
    here = folder(tmp_path, [line("a")], TOOLS[::2], zipped=True)
    assert load_catalogue(here).names == ["book", "book_2"]


def test_what_a_query_lacks_stands_in_its_flags(tmp_path: Path) -> None:
    null = line("null", flags=["theirs"]) | {"calls": [{"name": "book", "arguments": None}]}
    some = line("some", expect="some_call") | {"calls": []}
    none = line("none", expect="no_call") | {"calls": []}
    said = [{"role": "user", "content": "Go."}, {"role": "tool", "content": "42"}]
    cut = {k: v for k, v in line("cut", messages=said).items() if k != "query"}
    other = line("other", alt_calls=[[{"name": "book", "arguments": {}}]])
    suite = one(tmp_path, null, some, none, cut, other)
    flags = {q.id: q.flags for q in suite.queries}
    assert flags == {
        "null": ("theirs", NO_ARGUMENTS),
        "some": (SOME_CALL,),
        "none": (),
        "cut": (HISTORY_CUT,),
        "other": (OTHER_REFERENCE,),
    }
    assert [q.id for q in suite.queries if not q.states_arguments] == ["null"]


def test_the_whole_conversation_and_the_system_s_words_reach_the_model(tmp_path: Path) -> None:
    call = {"name": "book", "arguments": {"n": 1}}
    said = [
        {"role": "system", "content": "It is Monday."},
        {"role": "user", "content": "Book."},
        {"role": "assistant", "content": "", "calls": [call]},
        {"role": "tool", "content": "done"},
    ]
    rows = [
        {"id": "a", "messages": said, "suffix": "Go on.", "calls": [call]},
        line("b", context={"time": "It is May.", "profile": ""}),
    ]
    first, second = one(tmp_path, *rows).queries
    assert [(m.role, m.content) for m in first.history] == [
        ("system", "It is Monday."),
        ("user", "Book."),
        ("assistant", json.dumps([call])),
        ("tool", "done"),
    ]
    assert first.text == "Go on." and second.text == "It is May.\n\nDo it."


def test_a_blank_at_the_end_of_a_description_is_no_other_tool(tmp_path: Path) -> None:
    tools = [one | {"description": f"{one['description']}\n"} for one in TOOLS[::2]]
    path = folder(tmp_path / "set", [line("a")], tools)
    suite = read_suite(str(path), tmp_path, None, load_catalogue(path))
    assert [q.id for q in suite.queries] == ["a"] and not suite.left_out


def test_calls_that_use_results_stand_in_later_turns(tmp_path: Path) -> None:
    calls = [
        {"name": "book", "arguments": {}, "label": "var1"},
        {"name": "book", "arguments": {}, "label": "var2"},
        {"name": "book", "arguments": {"x": "$var1.id$"}, "label": "var3"},
        {"name": "book", "arguments": {"x": ["$var3.id$", "$5"]}, "label": "var4"},
    ]
    row = line("a") | {"calls": calls}
    assert [len(turn) for turn in one(tmp_path, row).queries[0].turns] == [2, 1, 1]
    chained = one(tmp_path, row, name="toolalpaca").queries[0]
    assert [len(turn) for turn in chained.turns] == [1, 1, 1, 1]


def test_accepted_values_follow_their_calls_into_the_order_of_the_turns(tmp_path: Path) -> None:
    row = line("a") | {
        "calls": [
            {"name": "book", "arguments": {"x": 2}, "turn": 1},
            {"name": "book", "arguments": {"x": 1}, "turn": 0},
        ],
        "accept": [{"name": "book", "arguments": {"x": [value]}} for value in (2, 1)],
    }
    query = one(tmp_path, row).queries[0]
    assert [call.arguments["x"] for call in query.calls] == [1, 2]
    assert [values["x"] for values in query.accept] == [[1], [2]]


ODD = {
    "message": {"messages": ["hi"]},
    "last message": {"messages": [{"role": "user", "content": "x"}, "hi"]},
    "flags": {"flags": 5},
    "tools": {"tools": [["a"]]},
    "split": {"split": ["seen"]},
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_line_is_bad_input_with_its_place(tmp_path: Path, what: str) -> None:
    with pytest.raises(BadInput, match=r"queries\.jsonl:1"):
        one(tmp_path, line("a") | ODD[what])


def test_a_group_does_not_hide_the_split_that_is_checked(tmp_path: Path) -> None:
    query = one(tmp_path, line("a", split="unseen", category="weather")).queries[0]
    assert (query.split, query.group) == ("unseen", "weather")
    with pytest.raises(BadInput, match="marked unseen"):
        check_splits([query], {query.calls[0].name})


def test_a_sample_is_of_each_split_and_does_not_hang_on_order(tmp_path: Path) -> None:
    rows = [line(f"{split}{n}", split=split) for split in "xyz" for n in range(9)]
    rows[-1]["category"], rows[-2]["part"] = "own", "own"
    here = str(folder(tmp_path / "a", rows))
    there = str(folder(tmp_path / "b", rows[::-1]))
    few = read_suite(here, tmp_path, 3)
    assert Counter(q.group for q in few.queries) == {"x": 3, "y": 3, "z": 3, "own": 2}
    assert {q.id for q in few.queries} == {q.id for q in read_suite(there, tmp_path, 3).queries}
    order = [row["id"] for row in rows]
    assert [q.id for q in few.queries] == sorted((q.id for q in few.queries), key=order.index)


def test_the_model_s_catalogue_gives_the_names(tmp_path: Path) -> None:
    here = str(folder(tmp_path / "set", [line("a"), line("b", "book_2"), line("c", "pay bill")]))
    known = Catalogue(
        (
            ToolDoc("hotel.book", "Book a room.", {"type": "object"}),
            ToolDoc("book_2", "Something else.", {"type": "object"}),
            ToolDoc("pay_bill", "Pay.", {"type": "object"}),
        )
    )
    suite = read_suite(here, tmp_path, catalogue=known)
    assert [q.calls[0].name for q in suite.queries] == ["hotel.book", "pay_bill"]
    assert suite.left_out == (
        ("b", "the reference calls 'book_2', which is not in the model's catalogue"),
    )
    assert suite.source_names == {"hotel.book": "book", "pay_bill": "pay bill"}
    with pytest.raises(BadInput, match="no query can be scored"):
        read_suite(here, tmp_path, catalogue=Catalogue((known.tools[1],)))


BAD = {
    "not JSON": (["{"], "queries.jsonl:1: not JSON"),
    "no calls": ([{"id": "a", "query": "x"}], '"calls" must be a list'),
    "calls of texts": ([{"id": "a", "query": "x", "calls": ["book"]}], "calls"),
    "no name": ([{"id": "a", "query": "x", "calls": [{}]}], "not a call"),
    "no text": ([{"id": "a", "calls": []}], 'no "query" text'),
    "no id": ([{"query": "x", "calls": []}], 'no "id"'),
    "arguments of a list": (
        [{"id": "a", "query": "x", "calls": [{"name": "book", "arguments": []}]}],
        '"arguments" must be an object',
    ),
    "an id twice": ([line("a"), line("a")], "occurs twice"),
    "bad accepted values": ([line("a", accept=[{"arguments": {"x": 1}}])], '"accept" must contain'),
    "accepted values of no call": ([line("a"), line("b", accept=[{}, {}])], "accept"),
    "no queries": ([], "no query can be scored"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(tmp_path: Path, case: str) -> None:
    rows, words = BAD[case]
    with pytest.raises(BadInput) as raised:
        one(tmp_path, *rows)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_bfcl_is_found_in_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not imported; its folders of former data sets are left alone."""
    data = tmp_path / "bfcl_eval" / "data"
    (tmp_path / "bfcl_eval").mkdir()
    (tmp_path / "bfcl_eval" / "__init__.py").write_text("raise ImportError")
    function = {"name": "book", "description": "Book.", "parameters": {
        "type": "dict", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}  # fmt: skip
    question = {"id": "simple_0", "question": [[{"role": "user", "content": "Book 1."}]]}
    turns = {
        "id": "multi_turn_base_0",
        "involved_classes": ["MathAPI"],
        "question": [[{"role": "user", "content": text}] for text in ("Add.", "Again.")],
    }
    add = function | {"name": "add", "description": "Add."}
    rows = {
        "BFCL_v4_simple.json": question | {"function": [function]},
        "possible_answer/BFCL_v4_simple.json": {
            "id": "simple_0", "ground_truth": [{"book": {"n": [1]}}]},
        "BFCL_v4_multi_turn_base.json": turns,
        "possible_answer/BFCL_v4_multi_turn_base.json": {
            "id": "multi_turn_base_0", "ground_truth": [["add(3)"], ["add(n=4)"]]},
        "multi_turn_func_doc/math_api.json": add,
        "unused_datasets/BFCL_v4_old.json": question | {"id": "old_0", "function": [function]},
    }  # fmt: skip
    for name, row in rows.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(json.dumps(row))
    monkeypatch.delitem(sys.modules, "bfcl_eval", raising=False)  # another test may have read it
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = read_suite("bfcl", tmp_path / "none")
    assert suite.name == "bfcl"
    asked = {query.id: query.calls[0].arguments["n"] for query in suite.queries}
    assert asked == {"simple_0": 1, "multi_turn_base_0-0": 3, "multi_turn_base_0-1": 4}


def test_what_is_no_suite_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such suite; give bfcl, "):
        read_suite("nestful", tmp_path)
    broken = folder(tmp_path / "set", [line("a")], zipped=True)
    (broken / "queries.jsonl.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(BadInput, match="cannot be read"):
        read_suite(str(broken), tmp_path)
    half = folder(tmp_path / "half", [line("a")], [*TOOLS, "{"])
    with pytest.raises(BadInput, match=r"tools.jsonl:4: not JSON"):
        read_suite(str(half), tmp_path)
    nameless = folder(tmp_path / "nameless", [line("a")], [*TOOLS, TOOLS[0] | {"name": "<>"}])
    with pytest.raises(BadInput, match="has no letter or digit; correct the document"):
        read_suite(str(nameless), tmp_path)
    twice = folder(tmp_path / "twice", [line("a")], [*TOOLS, TOOLS[0]])
    assert len(read_suite(str(twice), tmp_path).catalogue.tools) == 3, "kept once"


# -- the named sets -----------------------------------------------------------------------

real = pytest.mark.skipif(not DATA.is_dir(), reason="no shared/data beside the repository")
# tools, queries, left out, without reference arguments, expecting no call, groups
COUNTS = {
    "bfcl": (2332, 2274, 0, 0, 681, 13),
    "tinr": (2467, 1873, 0, 0, 0, 4),
    "acebench": (1982, 823, 0, 0, 0, 12),
    "apibank": (84, 597, 0, 0, 0, 3),
    "nestful": (94, 205, 10, 0, 0, 2),
    "toolalpaca": (54, 91, 9, 24, 0, 1),
    "metatool": (199, 18463, 0, 18463, 0, 1),
}
# References that BFCL's own checker calls wrong as well (tests/test_bfcl.py): their values or
# parameters are not those of the document, or cannot be read (simple_java_36).
REFUSED = {
    "parallel_multiple_26",
    "simple_java_36",
    "live_multiple_144-56-0",
    "live_multiple_507-149-4",
    "live_multiple_834-178-9",
    "live_multiple_862-181-3",
    "live_multiple_964-207-0",
}


@real
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_every_query_of_a_named_set_is_there_or_left_out_with_a_reason(name: str) -> None:
    suite = read_suite(name, DATA)
    tools, queries, left_out, unscored, none, groups = COUNTS[name]
    assert len(suite.catalogue.tools) == len(suite.source_names) == tools
    assert (len(suite.queries), len(suite.left_out)) == (queries, left_out)
    assert all("has no document" in reason for _, reason in suite.left_out)
    assert sum(not q.states_arguments for q in suite.queries) == unscored
    assert sum(not q.calls for q in suite.queries) == none
    assert len({q.group for q in suite.queries}) == groups
    for query in suite.queries:
        assert {c.name for c in query.calls} | set(query.tools) <= set(suite.catalogue.by_name)


@real
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_nearly_every_query_of_a_named_set_passes_the_self_test(name: str) -> None:
    """What tools that do not run can reach is asked for: of NESTFUL the first turn alone."""
    suite = read_suite(name, DATA)
    executor = Executor(suite.catalogue, {})
    asked = [reachable(query, executor) for query in suite.queries]
    assert len(self_test(asked, suite.catalogue.by_name)) <= len(asked) * 0.01


@real
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_references_are_right_and_silence_is_wrong(name: str) -> None:
    suite = read_suite(name, DATA)
    documents, wrong = suite.catalogue.by_name, set()
    for query in suite.queries:
        if not query.calls:
            assert lenient_calls((), query, documents) == (not query.any_call)
            continue
        assert strict_calls(query.calls, query) and not strict_calls((), query)
        assert not lenient_calls((), query, documents)
        if not lenient_calls(query.calls, query, documents):
            wrong.add(query.id)
    assert wrong == (REFUSED if name == "bfcl" else set())


@real
@pytest.mark.shared
def test_named_sets_keep_what_their_queries_need() -> None:
    apibank = {q.id: q for q in read_suite("apibank", DATA).queries}
    token = apibank["apibank-l1-21"]
    assert token.history[-1].content == "{'token': 'a9s8d7f6g5h4j3k2l1'}"
    assert not any(HISTORY_CUT in q.flags for q in apibank.values())
    assert len({(q.history, q.text) for q in apibank.values()}) == 587  # as in the source
    tinr = read_suite("tinr", DATA)
    assert sum(HISTORY_CUT in q.flags for q in tinr.queries) == 12
    acebench = read_suite("acebench", DATA).queries
    assert sum("current time" in q.text.lower() for q in acebench) == 252
    assert all(q.tools and q.kind == q.group for q in acebench)
    nestful = read_suite("nestful", DATA).queries
    assert all(len(q.turns) > 1 for q in nestful)


@real
@pytest.mark.shared
@pytest.mark.parametrize(
    ("source", "queries"), [("bfcl/raw/BFCL_v4_parallel.json", 133), ("nestful/raw", 205)]
)
def test_the_files_of_the_source_will_do(source: str, queries: int) -> None:
    suite = read_suite(str(DATA / source), DATA)
    assert len(suite.queries) == queries
    documents = suite.catalogue.by_name
    assert all(lenient_calls(q.calls, q, documents) for q in suite.queries)


@real
@pytest.mark.shared
def test_a_model_s_catalogue_of_200_tools_keeps_their_queries() -> None:
    whole = read_suite("bfcl", DATA)
    part = read_suite("bfcl", DATA, catalogue=Catalogue(whole.catalogue.tools[:200]))
    assert len(part.queries) + len(part.left_out) == len(whole.queries)
    known = set(part.catalogue.by_name)
    assert sum(bool(q.calls) for q in part.queries) > 100
    assert all({c.name for c in q.calls} | set(q.tools) <= known for q in part.queries)
