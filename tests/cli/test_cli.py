"""Commands that need no checkpoint: score, catalogue, help, and the exit codes."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

import tinr
from tinr.cli.main import app
from tinr.cli.options import WIDE, table_console
from tinr.command import guarded
from tinr.records import REWARDS, BadInput

REFERENCES = [
    {"id": 1, "query": "Add 2 and 3", "answer": "5",
     "calls": [{"name": "add", "arguments": {"a": 2, "b": 3}}]},
    {"id": "chat", "query": "Hi", "calls": []},
]  # fmt: skip
GOLD = (
    "<think>add</think><tool_token>\n<<add>>\n</tool_token>"
    '<tool_call>{"token": "<<add>>", "parameters": {"a": 2, "b": 3}}</tool_call>'
    "<obs>5</obs><response>The answer is 5.</response>"
)


def run(*words: str, code: int = 0, capsys=None) -> str:
    """The program in this process; its exit code is asserted."""
    result = []

    def program() -> None:
        result.append(CliRunner().invoke(app, list(words), catch_exceptions=False))

    got = guarded(program)
    assert got == code or (result and result[0].exit_code == code)
    return result[0].output if result else capsys.readouterr().err


@pytest.fixture
def files(tmp_path):
    def write(name: str, rows: list) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def test_score_prints_one_line_a_reply_in_their_order(files):
    replies = [
        {"id": "chat", "text": "<think>no</think><response>Hi!</response>"},
        {"id": 1, "text": GOLD},
        {"id": 1, "messages": [{"role": "assistant", "content": GOLD.split("<obs>")[0]},
                               {"role": "tool", "content": "<obs>5</obs>"},
                               {"role": "assistant", "content": "<response>5</response>"}]},
        {"id": 1, "text": ""},
    ]  # fmt: skip
    out = run("score", "--references", files("q", REFERENCES), "--replies", files("r", replies))
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["id"] for line in lines] == ["chat", "1", "1", "1"]
    assert set(lines[0]) == {"id", "why", *REWARDS}
    chat = {"format": 1.0, "tool": 1.0, "answer": None, "total": 1.0, "why": []}
    assert chat.items() <= lines[0].items()
    assert lines[1]["total"] == lines[2]["total"] == 1.0
    assert (lines[3]["format"], lines[3]["tool"], lines[3]["answer"]) == (0.0, 0.0, 0.0)
    assert lines[3]["why"]


def test_score_knows_defaults_where_a_catalogue_is_given(files, tmp_path):
    numbers = {name: {"type": "number"} for name in ("a", "b")}
    parameters = {"type": "object", "properties": numbers | {"places": {"default": 2}}}
    files("tools.jsonl", [{"name": "add", "description": "Adds.", "parameters": parameters}])
    references = files("q", REFERENCES)
    words = ["score", "--references", references, "--replies"]
    spelled = GOLD.replace('"b": 3', '"b": 3, "places": 2')
    for text, tool in ((spelled, 1.0), (spelled.replace('s": 2', 's": 1'), 0.625)):
        replies = files("r", [{"id": 1, "text": text}])
        assert json.loads(run(*words, replies, "--catalogue", str(tmp_path)))["tool"] == tool
        # two of three arguments: 0.25 + 0.75 * (2/3)/(2 - 2/3)
        assert json.loads(run(*words, replies))["tool"] == pytest.approx(0.625)


BAD_SCORES = {
    "missing references": (None, [{"id": 1, "text": ""}], "no such file"),
    "unknown id": (REFERENCES, [{"id": 9, "text": ""}], "r:1"),
    "no text": (REFERENCES, [{"id": 1}], "r:1"),
    "a role that is none": (REFERENCES, [{"id": 1, "messages": [{"role": "x"}]}], "messages[0]"),
    "calls missing": ([{"id": 1, "query": "x"}], [{"id": 1, "text": ""}], "q:1"),
    "not an object": ([[]], [], "q:1"),
}


@pytest.mark.parametrize("case", BAD_SCORES)
def test_bad_files_of_score_are_one_line_and_code_2(case, files, tmp_path, capsys):
    references, replies, says = BAD_SCORES[case]
    queries = files("q", references) if references is not None else str(tmp_path / "none")
    out = run("score", "--references", queries, "--replies", files("r", replies), code=2,
              capsys=capsys)  # fmt: skip
    assert out.startswith("error: ") and says in out and len(out.strip().splitlines()) == 1


def test_catalogue_check_counts_and_hashes():
    found = json.loads(run("catalogue", "check", "toolbox", "fieldkit", "--json"))
    assert found["tools"] >= 190 and re.fullmatch("[0-9a-f]{64}", found["hash"])


def test_catalogue_show_is_what_the_model_learns():
    out = run("catalogue", "show", "toolbox", "--tool", "convert_length")
    assert out.startswith("<<convert_length>>\nConvert a length")


def test_an_invalid_document_is_refused_by_place(files, tmp_path, capsys):
    files("tools.jsonl", [{"name": "a b", "description": "x", "parameters": {"type": "object"}}])
    out = run("catalogue", "check", str(tmp_path), code=2, capsys=capsys)
    assert "tools.jsonl:1" in out and "'a b'" in out


def test_every_command_has_help_with_an_example():
    commands = re.findall(r"^│ (\w+) ", run("--help"), re.MULTILINE)
    assert {"quickstart", "base", "align", "sft", "grpo", "eval", "probe", "call", "score"} <= set(
        commands
    )
    for command in commands:
        said = run(command, "--help")
        inner = re.findall(r"^│ (\w+) ", said.partition("Commands")[2], re.MULTILINE)
        assert "Example" in said or all("Example" in run(command, i, "--help") for i in inner)


def test_the_version_is_that_of_the_package():
    assert run("--version").strip() == f"tinr {tinr.__version__}"


def test_wrong_use_has_exit_code_2():
    assert CliRunner().invoke(app, ["nosuch"]).exit_code == 2
    assert CliRunner().invoke(app, ["eval"]).exit_code == 2


def test_a_table_in_a_file_is_wide_and_in_a_terminal_as_wide_as_that(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table_console().width == WIDE
    monkeypatch.setenv("COLUMNS", "100")
    assert table_console().width == 100


IGNORED = {
    "--seeds": ["study", "in-tool", "--retention", "--seeds", "2"],
    "--threshold": ["study", "in-tool", "--retention", "--threshold", "0.9"],
    "seed=1": ["base", "--model", "nowhere", "seed=1"],
    "--model": ["traces", "build", "--queries", "q", "--catalogue", "toolbox", "--model", "gpt"],
    "--set": ["traces", "build", "--queries", "q", "--catalogue", "toolbox", "--set", "keep=2"],
}


@pytest.mark.parametrize("option", IGNORED)
def test_an_option_without_a_meaning_is_refused_and_not_passed_over(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = {"id": "1", "query": "hello", "calls": []}
    (tmp_path / "q").write_text(json.dumps(line) + "\n")
    done = CliRunner().invoke(app, IGNORED[option])
    assert isinstance(done.exception, BadInput) and option in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["q"]


def test_one_registry_is_not_taken_for_two_seeds(tmp_path, capsys):
    twice = ("--registry", str(tmp_path), "--registry", f"{tmp_path}/.")
    assert "given twice" in run("compare", "a", "b", *twice, code=2, capsys=capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nosuch"], "No such command 'nosuch'; see "),
        (["eval"], "Missing option '--checkpoint'; see "),
        (["registry", "nosuch"], "registry --help"),
        (["quickstart", "--seed", "x"], "--seed"),
        (["base", "--preset", "huge"], "unknown; the only one is tiny"),
        (["study", "arms", "--change", "nosuch.key=1"], "PHASE.KEY=VALUE"),
        (["registry", "verify", "--registry", "."], "no registry there"),
    ],
)
def test_wrong_words_are_one_line_and_code_2(words, says, capsys):
    assert guarded(lambda: app(words, standalone_mode=False)) == 2
    said = capsys.readouterr().err.strip()
    assert says in said and said.startswith("error: ") and "\n" not in said


def test_a_folder_beside_the_registry_says_where_it_is(tmp_path, capsys):
    (tmp_path / "registry" / "checkpoints").mkdir(parents=True)
    words = ["registry", "list", "--registry", str(tmp_path)]
    assert guarded(lambda: app(words, standalone_mode=False)) == 2
    assert f"did you mean {tmp_path / 'registry'}?" in capsys.readouterr().err


def test_a_check_that_fails_ends_with_its_code():
    def program():
        raise typer.Exit(1)

    one = typer.Typer()
    one.command()(program)
    assert guarded(lambda: one([], standalone_mode=False)) == 1
