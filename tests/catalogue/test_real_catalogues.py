"""Real catalogues and query sets: each tool arrives or is reported, nothing is dropped."""

import copy
import gzip
import json
from collections import Counter
from pathlib import Path

import jsonschema_rs
import pytest

from tinr.catalogue.checks import DIALECT
from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.importing.names import clean_name
from tinr.catalogue.importing.queries.read_queries import import_queries
from tinr.catalogue.load import load_catalogue, read_queries, write_jsonl
from tinr.catalogue.survey import survey
from tinr.chat.codec import Codec, Piece, grow_tokenizer
from tinr.data.pseudo_queries import practice, unpractised
from tinr.data.thoughts import judge_all

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="no shared/data beside the repository"),
]


def arrived(*names: str):
    return import_tools([str(DATA / name) for name in names])


def test_every_operation_of_26_openapi_documents_arrives_or_is_reported():
    index = [json.loads(line) for line in (DATA / "openapi/index.jsonl").read_text().splitlines()]
    imported = arrived("openapi/specs")
    here = Counter(line["source"] for line in imported.lines)
    lost = Counter(Path(p.file).name for p in imported.lost)
    same = Counter(Path(p.file).name for p in imported.notes if "kept once" in p.reason)
    assert len(index) == 26
    for row in index:
        name = row["file"]
        if row["external_refs"] > 100:  # its operations lie in other files, which are not there
            assert lost[name] == row["operations"] == 659
        else:
            assert here[name] + same[name] == row["operations"], name
        if row["operations"] == 0:
            assert lost[name] == 1, f"{name}: silently empty"
    for row in index:
        known = {(op["method"], op["path"]) for op in row["ops"]}
        lines = [line for line in imported.lines if line["source"] == row["file"]]
        made = {(line["extra"]["method"], line["extra"]["path"]) for line in lines}
        assert made <= known or row["external_refs"] > 100


@pytest.mark.parametrize(
    ("source", "tools", "lost"),
    [
        ("mcp/raw/tools_list", 447, 0),
        ("tinr/raw/tools.json", 2467, 0),
        ("toolalpaca/openapi", 54, 0),
        ("toolalpaca/raw", 54, 0),
        ("restbench/raw/tmdb_oas.json.gz", 54, 0),
        ("restbench/raw/spotify_oas.json", 40, 0),
        ("nestful/raw/non-executable-glaive-spec.json", 64, 0),
        ("nestful/raw/non-executable-sgd-spec.json", 30, 0),
        ("apibank/raw/level-1-api_processed.json", None, 0),
        ("apibank/raw/level-3-api_processed.json", None, 0),
        ("acebench/raw/data_normal_atom_bool.json", None, 0),
        ("stabletoolbench/raw/G3_instruction.json", None, 0),
        ("bfcl/raw/multi_turn_func_doc", None, 0),
        ("chat_formats/raw", None, 0),
        ("gorilla_apizoo/raw/yfinance.json", None, 0),
        ("bfcl/tools.jsonl", 2332, 0),
    ],
)
def test_real_sources_arrive_whole(source, tools, lost):
    imported = arrived(source)
    assert len(imported.lost) == lost, imported.lost[:3]
    assert tools is None or len(imported.lines) == tools
    assert len({line["name"] for line in imported.lines}) == len(imported.lines) > 0


def test_the_broken_file_is_reported_and_the_others_are_kept():
    imported = arrived("gorilla_apizoo/raw")
    assert [Path(p.file).name for p in imported.lost] == ["KubernetesPodPodTemplateAPI.json"]
    assert "line 60" in imported.lost[0].reason
    assert len(imported.lines) == 45


def test_imported_catalogues_load_and_can_be_surveyed(tmp_path):
    write_catalogue(arrived("mcp/raw/tools_list"), tmp_path)
    found = survey(load_catalogue(tmp_path))
    assert found["tools"] == 447
    assert len(found["undescribed"]) == 12
    assert any("search" in name for pair in found["near"] for name in (pair["first"],))


@pytest.mark.parametrize(
    ("source", "calls", "none"),
    [("bfcl/raw", 2814, 786), ("acebench/raw", 200, 0), ("nestful/raw", 205, 0)],
)
def test_queries_with_reference_calls_are_brought_into_one_form(source, calls, none, tmp_path):
    write_catalogue(arrived(source), tmp_path)
    lines, _ = import_queries([str(DATA / source)], tmp_path, keep_refused=True)
    write_jsonl(tmp_path / "queries.jsonl", lines)
    queries = read_queries(tmp_path / "queries.jsonl", load_catalogue(tmp_path))
    assert sum(bool(q.calls) for q in queries) == calls
    assert sum(not q.calls for q in queries) == none
    if source == "bfcl/raw":
        calling = [line for line in lines if line["calls"]]
        assert all("accept" in line or "multi_turn" in line["category"] for line in calling)


@pytest.mark.parametrize(
    ("source", "kept", "refused"),
    [
        ("bfcl", 1566, 27),
        ("acebench/raw", 197, 3),
        ("apibank/raw", 472, 120),
        ("nestful/raw", 153, 52),
        ("toolalpaca", 86, 5),
        ("tinr", 1845, 28),
        ("toolrl", 335, 80),
        ("chat_formats/raw", 468, 10),
    ],
)
def test_reference_calls_that_their_documents_refuse_are_not_taught(
    source, kept, refused, tmp_path
):
    """The shares that docs/importing.md states."""
    folder = DATA / source
    tools, queries = folder / "tools.jsonl", folder / "queries.jsonl"
    write_catalogue(import_tools([str(tools if tools.is_file() else folder)]), tmp_path)
    lines, problems = import_queries([str(queries if queries.is_file() else folder)], tmp_path)
    faults = Counter(problem.fault for problem in problems if problem.kind == "lost")
    del faults[""]
    assert (sum(bool(line["calls"]) for line in lines), faults.total()) == (kept, refused)
    if source == "toolalpaca":  # the same in every set, and each import takes its time
        every, _ = import_queries([str(queries)], tmp_path, keep_refused=True)
        assert len(every) == len(lines) + refused


def test_of_1060_plain_turns_of_real_chats_at_least_99_in_100_are_taught(tmp_path):
    """Chats with code, brackets and JSON, some beside tools; two have results but no call."""
    write_catalogue(arrived("chat_formats/raw"), tmp_path)
    lines, problems = import_queries([str(DATA / "chat_formats/raw")], tmp_path)
    plain = sum(not line["calls"] for line in lines)
    lost = [p for p in problems if p.kind == "lost" and not p.fault]
    assert plain == 1058 and len(lost) == 2
    assert all("no call was recognised" in p.reason for p in lost)


@pytest.mark.parametrize(
    "source",
    ["mcp/tools.jsonl", "bfcl/tools.jsonl", "tinr/tools.jsonl", "acebench/tools.jsonl.gz",
     "stabletoolbench/tools.jsonl", "toolrl/tools.jsonl", "tooleyes/tools.jsonl",
     "openapi/specs", "nestful/tools.jsonl", "apibank/tools.jsonl", "toolalpaca/tools.jsonl"],
)  # fmt: skip
def test_every_practice_call_is_one_that_its_document_accepts(source, tmp_path):
    """Of all real documents, as align would practise them."""
    write_catalogue(arrived(source), tmp_path)
    catalogue = load_catalogue(tmp_path)
    validators = {
        doc.name: jsonschema_rs.Draft202012Validator({**doc.parameters, "$schema": DIALECT})
        for doc in catalogue.tools
    }
    calls = [call for _, call in practice(catalogue, 1, 0)]
    assert not [c for c in calls if not validators[c.name].is_valid(dict(c.arguments))]
    assert len(calls) + len(unpractised(catalogue)) == len(catalogue.tools)


def test_bfcl_s_multi_turn_files_are_conversations(tmp_path):
    write_catalogue(arrived("bfcl/raw"), tmp_path)
    for name, queries, without in (
        ("base", 409, 2),
        ("miss_func", 409, 2),
        ("miss_param", 520, 113),
    ):
        file = DATA / f"bfcl/raw/BFCL_v4_multi_turn_{name}.json"
        lines, problems = import_queries([str(file)], tmp_path, keep_refused=True)
        assert not problems and len(lines) == queries
        assert sum(not line["calls"] for line in lines) == without
    sort = next(line for line in lines if line["id"] == "multi_turn_miss_param_0-2")
    assert sort["calls"] == [
        {"name": "sort", "arguments": {"file_name": "final_report.pdf"}, "turn": 0}
    ], "an argument by place gets its name"
    assert [m["role"] for m in sort["messages"]] == ["user", "assistant"] * 2 + ["user"]


def test_histories_come_with_their_queries(tmp_path):
    write_catalogue(arrived("apibank/raw"), tmp_path)
    lines, problems = import_queries([str(DATA / "apibank/raw")], tmp_path, keep_refused=True)
    assert len(lines) == 592
    ambiguous = [p for p in problems if "tools have that name" in p.reason]
    assert len(ambiguous) == 5
    write_jsonl(tmp_path / "q.jsonl", lines)
    queries = read_queries(tmp_path / "q.jsonl")
    assert sum(bool(q.history) for q in queries) == 387
    assert all(q.history[0].role == "user" for q in queries if q.history)


def test_of_284_published_traces_22_pass_the_filter(tmp_path):
    """Most speak of a list of tools that an internalised model does not see."""
    write_catalogue(arrived("tinr/tools.jsonl"), tmp_path)
    lines, _ = import_queries([str(DATA / "tinr/queries.jsonl")], tmp_path, keep_refused=True)
    write_jsonl(tmp_path / "q.jsonl", lines)
    catalogue = load_catalogue(tmp_path)
    queries = read_queries(tmp_path / "q.jsonl", catalogue)
    kept, reasons = judge_all(DATA / "tinr/sft_traces.jsonl", queries, catalogue)
    assert len(kept) == 22 and sum(reasons.values()) == 284
    assert reasons["speaks of a list of tools"] == 197
    assert reasons["its calls are not the reference's"] == 1, "it calls with nulls"
    assert reasons["speaks of the reference"] == 53


def test_46985_tool_tokens_are_one_id_each_anywhere_in_a_text(tiny_tokenizer):
    raw = gzip.decompress((DATA / "toolgen/virtual_tokens.txt.gz").read_bytes()).decode()
    names = [line[2:-2] for line in raw.split("\n") if line]
    assert len(set(names)) == 46_985
    names = list(dict.fromkeys(map(clean_name, names)))
    assert len(names) == 46_985, "two tokens would become one"
    tokenizer = copy.deepcopy(tiny_tokenizer)
    grow_tokenizer(tokenizer, names)
    codec = Codec(tokenizer)
    around = len(codec.encode_plain("a")) + len(codec.encode_plain("b"))
    for name in names:
        pieces = [Piece("a"), Piece(f"<<{name}>>", token=True), Piece("b")]
        ids, _ = codec.encode(pieces)
        assert len(ids) == around + 1 and codec.tool_ids[name] in ids
        assert [p for p in codec.decode(ids) if p.token] == [pieces[1]]
