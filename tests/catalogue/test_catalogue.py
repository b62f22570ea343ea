"""Catalogues and suites: what is wrong is named with its place, what is right reads back."""

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.catalogue.load import (
    Catalogue,
    document_from,
    load_catalogue,
    query_from,
    query_line,
    read_jsonl,
    read_queries,
    write_jsonl,
)
from tinr.catalogue.render import describe, referred, signature
from tinr.chat.parse import parse
from tinr.chat.render import render_calls
from tinr.records import BadInput, Call, Mention, Message, Query, ToolDoc

SCHEMA = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
ADD = {"name": "add", "description": "Adds.", "parameters": SCHEMA}
DEEP = json.loads('{"not": ' * 300 + "{}" + "}" * 300)


def folder(path: Path, *lines: Any, file: str = "tools.jsonl") -> Path:
    """A catalogue or suite folder; a line is an object, or text as it is."""
    path.mkdir(exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (path / file).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


# -- loading --------------------------------------------------------------------------


def test_a_folder_loads_in_order_with_its_source(tmp_path: Path) -> None:
    path = folder(tmp_path / "c", ADD, "", ADD | {"name": "sub", "returns": "A number."})
    catalogue = load_catalogue(path)
    assert [doc.name for doc in catalogue.tools] == ["add", "sub"]
    assert catalogue.by_name["sub"].returns == "A number."
    assert catalogue.by_name["add"].source == str(path)
    assert load_catalogue(path / "tools.jsonl").hash == catalogue.hash


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"name": "add"', ["not JSON", "column"]),
        ("[1]", ["not a JSON object"]),
        ("9" * 5000, []),
        (ADD | {"name": ""}, ["name ''", "spaces"]),
        (ADD | {"name": "two words"}, ["'two words'"]),
        (ADD | {"name": "a<b"}, ["'a<b'"]),
        (ADD | {"name": "a" * 129}, ["1 to 128"]),
        (ADD | {"name": 7}, ["name 7"]),
        ({"description": "Adds.", "parameters": SCHEMA}, ["name None"]),
        (ADD | {"description": " "}, ["'add'", "no description"]),
        (ADD | {"description": None}, ["no description"]),
        (ADD | {"parameters": SCHEMA | DEEP}, ["'add'", "deeper than 100 levels"]),
        (ADD | {"parameters": None}, ["JSON Schema of type object"]),
        (ADD | {"parameters": {"type": "array"}}, ["JSON Schema of type object"]),
        (
            ADD | {"parameters": {"type": "object", "properties": {"x": {"type": "float"}}}},
            ["parameters/properties/x/type", "'float'"],
        ),
        (ADD | {"parameters": SCHEMA | {"required": ["y"]}}, ["required ['y']"]),
        (ADD | {"parameters": {"type": "object", "properties": []}}, ["parameters/properties"]),
    ],
)
def test_a_bad_document_is_named_with_its_line(line: Any, words: list[str], tmp_path: Path) -> None:
    path = folder(tmp_path / "c", ADD | {"name": "first"}, "", line)
    with pytest.raises(BadInput) as raised:
        load_catalogue(path)
    message = str(raised.value)
    assert "tools.jsonl:3: " in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_duplicate_names_are_refused_with_both_places(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", ADD | {"name": "other"}, ADD)
    two = folder(tmp_path / "two", ADD)
    with pytest.raises(BadInput) as raised:
        load_catalogue([one, two])
    message = str(raised.value)
    assert "'add'" in message
    assert str(one / "tools.jsonl:2") in message
    assert str(two / "tools.jsonl:1") in message


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_a_source_without_tools_is_refused(missing: str, tmp_path: Path) -> None:
    folder(tmp_path / "empty", "")
    with pytest.raises(BadInput, match=missing):
        load_catalogue(tmp_path / missing)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tools.jsonl").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(BadInput, match="not UTF-8"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize("name", ["plain", "a.b/c-d", "Århus", 'a"b', "a\\b", "a\x01b", "a\x7fb"])
def test_a_name_that_is_accepted_can_be_called(name: str) -> None:
    """Its token stands inside a JSON string as it is."""
    try:
        doc = document_from(ADD | {"name": name}, "here")
    except BadInput:
        assert re.search(r'["\\]|[^\w./-]', name)
        return
    call = Call(doc.name, {"x": 1})
    assert parse(render_calls([call])).calls == (call,)


# -- the hash -------------------------------------------------------------------------


def test_the_hash_depends_on_the_documents_alone(tmp_path: Path) -> None:
    other = ADD | {"name": "sub"}
    both = load_catalogue(folder(tmp_path / "a", ADD, other))
    turned = load_catalogue(folder(tmp_path / "b", other, ADD))
    apart = load_catalogue([folder(tmp_path / "c", ADD), folder(tmp_path / "d", other)])
    assert both.hash == turned.hash == apart.hash
    changed = [
        load_catalogue(folder(tmp_path / "e", ADD, other | change))
        for change in (
            {"name": "subtract"},
            {"description": "Adds!"},
            {"returns": "A number."},
            {"parameters": SCHEMA | {"required": []}},
        )
    ]
    assert len({both.hash, *(catalogue.hash for catalogue in changed)}) == 5


# -- queries --------------------------------------------------------------------------

QUERY = {"id": "1", "query": "Add?", "calls": [{"name": "add", "arguments": {"x": 1}}]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({k: v for k, v in QUERY.items() if k != "id"}, ["id"]),
        ({k: v for k, v in QUERY.items() if k != "calls"}, ["calls", "[]"]),
        ({k: v for k, v in QUERY.items() if k != "query"}, ["query"]),
        (QUERY | {"calls": [{"name": "ad", "arguments": {}}]}, ["calls[0]", "unknown tool 'ad'"]),
        (QUERY | {"calls": [*QUERY["calls"], 5]}, ["calls[1]", "not a call"]),
        (QUERY | {"calls": [{"name": "add", "arguments": "x"}]}, ["arguments"]),
        (QUERY | {"calls": [{"name": "add", "turn": -1}]}, ["turn"]),
        (QUERY | {"id": "0"}, ["'0'", "queries.jsonl:1"]),
        (QUERY | {"observations": 5}, ["observations"]),
        (QUERY | {"observations": ["1", "2", "3"]}, ["observations", "one per call"]),
        (QUERY | {"implied": {"a": "two"}}, ["implied", "one per call"]),
        (QUERY | {"implied": [{}, {}, {}]}, ["implied", "one per call"]),
        (QUERY | {"implied": [{"a": 2}] * len(QUERY["calls"])}, ["implied", "must be a string"]),
        ('{"id"', ["not JSON"]),
    ],
)
def test_a_bad_query_is_named_with_its_line(line: Any, words: list[str], tmp_path: Path) -> None:
    path = folder(tmp_path, QUERY | {"id": "0"}, line, file="queries.jsonl") / "queries.jsonl"
    with pytest.raises(BadInput) as raised:
        read_queries(path, load_catalogue(folder(tmp_path / "c", ADD)))
    message = str(raised.value)
    assert "queries.jsonl:2" in message
    assert all(word in message for word in words), message


def test_a_file_without_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text("\n\n")
    with pytest.raises(BadInput, match=r"queries\.jsonl: contains no queries"):
        read_queries(tmp_path / "queries.jsonl")


def test_a_query_may_come_as_messages_and_its_answer_as_a_value() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Add?"},
    ]
    query = query_from({"id": 7, "messages": messages, "calls": [], "answer": [1, True]}, "here")
    brief = (Message("system", "Be brief."),)
    assert query == Query("7", "Add?", (), "[1, true]", history=brief)
    alone = query_from({"id": 7, "query": "Add?", "messages": messages[:1], "calls": []}, "here")
    assert alone.history == brief


names = st.from_regex(r"[a-z][a-z_.]{0,6}", fullmatch=True)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
arguments = st.dictionaries(text, st.none() | st.booleans() | st.integers() | text, max_size=2)
queries = st.builds(
    Query,
    id=text,
    text=text,
    turns=st.lists(
        st.lists(st.builds(Call, names, arguments), min_size=1, max_size=2).map(tuple), max_size=3
    ).map(tuple),
    answer=st.none() | text,
    split=st.sampled_from([None, "seen", "unseen", "ood", "no_tool"]),
    kind=text,
    reply=text,
    thought=st.lists(text.filter(bool) | st.builds(Mention, names), max_size=3).map(tuple),
    history=st.lists(
        st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), text), max_size=3
    ).map(tuple),
)


@given(query=queries, recorded=st.booleans(), said=text)
@settings(max_examples=100, deadline=None)
def test_a_query_reads_back_from_its_line(query: Query, recorded: bool, said: str) -> None:
    query = replace(query, observations=(said,) * len(query.calls) if recorded else ())
    query = replace(query, implied=({"a": said},) * len(query.calls) if recorded else ())
    line = json.loads(json.dumps(query_line(query), ensure_ascii=False))
    assert query_from(line, "here") == query


@given(rows=st.lists(st.dictionaries(text, text, max_size=2), max_size=3))
@settings(max_examples=100, deadline=None)
def test_what_is_written_reads_back(rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / "rows.jsonl"
        write_jsonl(path, rows)
        assert [row for _, row in read_jsonl(path)] == rows


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    """As scrapes that were cut have them; no tokenizer and no file takes half of one."""
    path = tmp_path / "queries.jsonl"
    path.write_text(
        '{"id": 1, "query": "\\ud83d\\ude00 and \\ud83d", "calls": [], "answer": "\\uDE00"}\n'
    )
    (query,) = read_queries(path)
    assert (query.text, query.answer) == ("\U0001f600 and \ufffd", "\ufffd")
    write_jsonl(path, [query_line(query)])
    assert read_queries(path) == [query]


def test_other_line_ends_within_a_text_read_back(tmp_path: Path) -> None:
    """A line of a file ends at its line feed only, whatever else Unicode counts as an end."""
    rows = [{"query": f"one{end}two"} for end in ("\u2028", "\u2029", "\x85", "\x0b", "\x1e")]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert [row for _, row in read_jsonl(tmp_path / "rows.jsonl")] == rows


# -- documents as text ----------------------------------------------------------------

NESTED = ToolDoc(
    "plot",
    "Draw points.",
    {
        "type": "object",
        "properties": {
            "points": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            "style": {"enum": ["line", 2, None], "default": "line"},
            "box": {"type": "object", "properties": {"w": {"type": "number"}, "h": {}}},
            "day": {"type": "string", "format": "date", "description": "When."},
            "size": {"type": ["integer", "null"], "default": None},
        },
        "required": ["points"],
    },
)


def test_signatures(catalogue: Catalogue) -> None:
    assert [signature(doc) for doc in catalogue.tools] == [
        "radius: number, digits?: integer = 2",
        "length: number, source: metre|foot, target: metre|foot",
        "name: string, tags?: string[]",
    ]
    assert signature(NESTED) == (
        "points: number[][], style?: line|2|null = line, box?: {w?: number, h?: any}, "
        "day?: date, size?: integer|null = null"
    )
    assert signature(ToolDoc("now", "Now.", {"type": "object"})) == ""


def test_descriptions(catalogue: Catalogue) -> None:
    assert describe(catalogue.by_name["circle_area"]) == (
        "Area of a circle from its radius.\n"
        "radius: number. In metres\n"
        "digits?: integer = 2\n"
        "returns: Square metres."
    )
    assert describe(NESTED).splitlines()[4] == "day?: date. When"
    assert describe(ToolDoc("now", "Now.", {"type": "object"})) == "Now."


def test_a_document_says_what_a_caller_must_know_of_nested_values():
    """Descriptions, required members, defaults, maps, tuples, texts that read as numbers."""
    document = ToolDoc(
        "order",
        "Orders things.",
        {
            "type": "object",
            "properties": {
                "lines": {"type": "array", "description": "What.", "items": {
                    "type": "object", "required": ["sku"], "properties": {
                        "sku": {"type": "string", "description": "The article's number."},
                        "count": {"type": "integer", "default": 1},
                        "old": {"type": "string", "deprecated": True},
                    }}},
                "level": {"enum": ["1", "x", 1, "true", None]},
                "point": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}],
                          "items": False},
                "path": {"type": "array", "prefixItems": [{"type": "number"}]},
                "tags": {"type": "object", "additionalProperties": {"type": "integer"}},
                "note": {"type": "string", "default": "10", "deprecated": True,
                         "description": "Said to nobody."},
                "to": {"$ref": "#/$defs/place"},
            },
            "required": ["lines"],
            "$defs": {"place": {"type": "object", "required": ["city"], "properties": {
                "city": {"type": "string", "description": "Its name."}}}},
        },
    )  # fmt: skip
    assert signature(document) == (
        "lines: {sku: string, count?: integer = 1, old?: string}[], "
        'level?: "1"|x|1|"true"|null, point?: [number, string], path?: [number, any...], '
        'tags?: {*: integer}, note?: string = "10", to?: {city: string}'
    )
    assert describe(document).splitlines()[1:] == [
        "lines: {sku: string, count?: integer = 1, old?: string}[]. What",
        "lines[].sku: string. The article's number",
        "lines[].old?: string. Deprecated.",
        'level?: "1"|x|1|"true"|null',
        "point?: [number, string]",
        "path?: [number, any...]",
        "tags?: {*: integer}",
        'note?: string = "10". Said to nobody. Deprecated.',
        "to?: {city: string}",
        "to.city: string. Its name",
    ]


def test_references_into_lists_of_the_document_itself_and_encoded_ones_are_followed():
    root = {"properties": {"a": {"anyOf": [{"type": "integer"}]}}, "$defs": {"R<s,n>": {"x": 1}}}
    assert referred("#/properties/a/anyOf/0", root) == {"type": "integer"}
    assert referred("#/$defs/R%3Cs%2Cn%3E", root) == {"x": 1}
    assert referred("#", root) is root
    for nowhere in ("#/properties/a/anyOf/1", "#/properties/a/anyOf/x", "other.json#/a", ""):
        assert referred(nowhere, root) is None
