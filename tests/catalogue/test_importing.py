"""Catalogues as users have them: every tool arrives or is reported, whatever is in the file."""

import json
import sys
import textwrap

import pytest
from import_parts import SCHEMA, TOOL, read_value, write
from typer.testing import CliRunner

from tinr.catalogue.importing.import_tools import import_tools, write_catalogue
from tinr.catalogue.importing.names import clean_name, words_of
from tinr.cli.main import app
from tinr.command import guarded
from tinr.records import BadInput


@pytest.mark.parametrize(
    "value",
    [
        TOOL,
        [TOOL],
        {"type": "function", "function": TOOL},
        {"model": "m", "messages": [], "tools": [{"type": "function", "function": TOOL}]},
        {"conversations": [], "tools": json.dumps([TOOL])},
        {"messages": [{"role": "system", "content": f"Use these: [{json.dumps(TOOL)}] Go."}]},
        {"system": "x", "tools": [TOOL]},
        {"jsonrpc": "2.0", "result": {"tools": [{**TOOL, "inputSchema": SCHEMA}]}},
        {"id": "q", "question": [[]], "function": [{**TOOL, "parameters": SCHEMA}]},
        {"a": {**TOOL, "token": "<<weather>>", "parameters": {"city": {"type": "str"}}}},
        {
            "api_name": "weather",
            "api_description": "Weather of a city.",
            "required_parameters": [{"name": "city", "type": "STRING", "default": ""}],
            "optional_parameters": [],
        },
        {
            "name": "weather",
            "description": "Weather of a city.",
            "query_parameters": {"city": {"type": "string", "required": True}},
        },
        {"name": "weather", "description": "Weather of a city.", "arguments": SCHEMA},
        {
            "toolSpec": {
                **{k: TOOL[k] for k in ("name", "description")},
                "inputSchema": {"json": SCHEMA},
            }
        },
        {
            "system": "Tools:\n1. Name: weather\nDescription: Weather of a city.\n"
            "Parameters: {'city': {'type': 'str'}}\n"
        },
        {"system": "Tools:\n1. weather: Weather of a city.\nParameters: {'city': 'str'}\n"},
    ],
)
def test_each_format_gives_the_same_tool(value):
    lines, problems = read_value(value)
    assert [p for p in problems if p.kind == "lost"] == []
    assert list(lines) == ["weather"]
    assert lines["weather"]["description"] == "Weather of a city."
    schema = lines["weather"]["parameters"]
    assert schema["properties"]["city"]["type"] == "string"
    assert schema["required"] == ["city"]


def test_a_page_of_a_list_of_tools_is_known_to_be_one():
    page = {"tools": [TOOL], "nextCursor": "2"}
    for value in (page, {"jsonrpc": "2.0", "id": 1, "result": page}):
        lines, problems = read_value(value)
        assert list(lines) == ["weather"]
        assert [(p.kind, p.pointer[-10:]) for p in problems] == [("lost", "nextCursor")]
    assert read_value({"tools": [TOOL], "nextCursor": None})[1] == []


def test_names_that_collide_get_a_namespace_whatever_the_order():
    one = {"server": "alpha", "tools": [{**TOOL, "description": "One."}]}
    other = {"server": "beta", "tools": [{**TOOL, "description": "Other."}]}
    forth, notes = read_value([one, other])
    back, _ = read_value([other, one])
    assert set(forth) == set(back) == {"alpha.weather", "beta.weather"}
    assert all(forth[name]["hash"] == back[name]["hash"] for name in forth)
    assert sum("namespace" in note.reason for note in notes) == 2


def test_names_that_collide_within_one_source_follow_the_document_not_its_place():
    docs = [{**TOOL, "description": text} for text in ("One.", "Two.", "Three.")]
    forth, _ = read_value(docs)
    back, _ = read_value(docs[::-1])
    assert len(forth) == 3
    assert {n: d["description"] for n, d in forth.items()} == {
        n: d["description"] for n, d in back.items()
    }


def test_the_same_document_twice_is_one_with_a_note():
    lines, problems = read_value([TOOL, TOOL])
    assert list(lines) == ["weather"]
    assert ["kept once" in p.reason for p in problems] == [True]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("GET /a/{b}", "GET_/a/{b}"),
        ("  two words ", "two_words"),
        ("<<tool>>", "tool"),
        ("获取天气", "获取天气"),
        ("???", ""),
        ("___", ""),
    ],
)
def test_names_become_tool_tokens(name, cleaned):
    assert clean_name(name) == cleaned


def test_words_of_a_name():
    assert words_of("getUserId_v2") == "get user id v 2"


def test_an_imported_folder_imports_as_it_is(tmp_path):
    source = write(tmp_path, "t.json", [TOOL, {"odd": 1}])
    write_catalogue(import_tools([str(source)]), tmp_path / "out")
    again = import_tools([str(tmp_path / "out")])
    assert [line["name"] for line in again.lines] == ["weather"] and not again.lost


def test_names_and_ids_do_not_hang_on_the_order_of_the_files(tmp_path):
    for name, text in (("a", "One."), ("b", "One."), ("c", "Other.")):
        write(tmp_path, f"{name}.json", {**TOOL, "description": text})
    files = [str(tmp_path / f"{name}.json") for name in "abc"]
    forth, back = import_tools(files).lines, import_tools([files[n] for n in (1, 0, 2)]).lines
    said = [{line["name"]: (line["id"], line["hash"]) for line in lines} for lines in (forth, back)]
    assert said[0] == said[1] and len({i for i, _ in said[0].values()}) == 2


def test_a_folder_says_which_files_it_leaves_alone(tmp_path):
    write(tmp_path, "a.json", [TOOL])
    (tmp_path / "tools.py").write_text("def scale(x: int): ...\n")
    (tmp_path / "texts.json").write_text('{"hello": "Hello!", "bye": "Goodbye!"}')
    imported = import_tools([str(tmp_path)])
    assert {line["name"] for line in imported.lines} == {"weather", "hello", "bye"}
    said = [problem.reason for problem in imported.notes]
    assert ["1 Python files were skipped" in reason for reason in said] == [True, False]
    assert "was read as tool descriptions" in said[1]


def test_an_import_does_not_read_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.json", [TOOL])
    words = ["catalogue", "import", ".", "--out", "catalogue", "--json"]
    for more in ([], ["--replace"]):
        done = CliRunner().invoke(app, [*words, *more], catch_exceptions=False)
        assert json.loads(done.output) == {"catalogue": "catalogue", "tools": 1, "lost": 0,
                                           "notes": 0}  # fmt: skip


def test_a_folder_of_python_alone_says_so(tmp_path):
    (tmp_path / "tools.py").write_text("def scale(x: int): ...\n")
    with pytest.raises(BadInput, match="contains only Python files"):
        import_tools([str(tmp_path)])
    with pytest.raises(BadInput, match="--mcp: empty"):
        import_tools([], servers=[" "])


def test_overloads_of_a_function_are_no_tools(tmp_path):
    stub = "@typing.overload\ndef f(x: int) -> int: ...\n"
    (tmp_path / "f.py").write_text(f"import typing\n{stub}{stub}def f(x): 'Does.'\n")
    (line,) = import_tools([str(tmp_path / "f.py")]).lines
    assert (line["name"], line["description"]) == ("f", "Does.")


def test_python_functions_are_read_and_never_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent(
            '''
            raise SystemExit("this must never run")

            def scale(values: list[float], factor: float = 2.0, *, unit: str | None = None) -> list:
                """Scale numbers.

                Args:
                    values: What to scale.
                    factor: By how much.

                Returns:
                    The scaled numbers.
                """

            def _private(): ...
            '''
        )
    )
    lines = import_tools([str(path)]).lines
    assert [line["name"] for line in lines] == ["scale"]
    schema = lines[0]["parameters"]
    assert schema["required"] == ["values"]
    assert schema["properties"]["values"] == {
        "type": "array",
        "items": {"type": "number"},
        "description": "What to scale.",
    }
    assert schema["properties"]["factor"]["default"] == 2.0
    assert schema["properties"]["unit"]["type"] == ["string", "null"]
    assert lines[0]["returns"] == "The scaled numbers."


def test_the_command_writes_reports_and_refuses_to_overwrite(tmp_path, capsys, monkeypatch):
    source, out = write(tmp_path, "t.json", [TOOL, {"odd": 1}]), tmp_path / "out"

    def tinr(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tinr", *arguments])
        return guarded(lambda: app(standalone_mode=False))

    assert tinr("catalogue", "import", str(source), "--out", str(out)) == 0
    assert "1 tools in" in capsys.readouterr().out
    problems = [json.loads(line) for line in (out / "problems.jsonl").read_text().splitlines()]
    assert [p["pointer"] for p in problems] == ["/1"]
    assert tinr("catalogue", "import", str(source), "--out", str(out)) == 2
    assert "already exists" in capsys.readouterr().err
    assert tinr("catalogue", "import", str(source), "--out", str(out), "--replace") == 0
    assert tinr("catalogue", "check", str(out)) == 0
    assert tinr("catalogue", "diff", str(out), str(out)) == 0
    assert "no difference" in capsys.readouterr().out
    assert tinr("catalogue", "import") == 2
