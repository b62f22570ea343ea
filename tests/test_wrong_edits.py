"""Wrong edits: each applies once and compiles, its tests are there, no two are alike."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    """The runner as a module: `scripts` is no package."""
    spec = importlib.util.spec_from_file_location("wrong_edits", ROOT / "scripts/wrong_edits.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


runner = load()


@pytest.mark.parametrize("number", range(1, len(runner.EDITS) + 1))
def test_an_edit_applies_once_and_compiles_and_its_tests_are_there(number: int) -> None:
    edit = runner.EDITS[number - 1]
    assert runner.fault_of(edit, ROOT) == ""
    assert edit.area and edit.tests


def test_there_are_many_edits_and_no_two_are_alike() -> None:
    assert len({(edit.file, edit.right, edit.wrong) for edit in runner.EDITS}) == len(runner.EDITS)
    assert len({(edit.file, edit.right) for edit in runner.EDITS}) == len(runner.EDITS)
    assert len(runner.EDITS) >= 60
    assert all(edit.right.count("\n") < 3 for edit in runner.EDITS)


def small_repository(folder: Path) -> None:
    """A module and its test in a folder."""
    (folder / "small.py").write_text("LIMIT = 3\n")
    (folder / "test_small.py").write_text("def test_it():\n    pass\n")


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("LIMIT = 3", "LIMIT = 4", ""),
        ("LIMIT = 5", "LIMIT = 4", "occurs 0 times"),
        ("LIMIT = 3", "LIMIT = (", "does not compile"),
        ("LIMIT = 3", "LIMIT = 3", "nothing changes"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(
    tmp_path: Path, right: str, wrong: str, fault: str
) -> None:
    small_repository(tmp_path)
    edit = runner.Edit("area", "small.py", right, wrong, ("test_small.py::test_it",))
    output = runner.fault_of(edit, tmp_path)
    assert fault in output and bool(output) == bool(fault)


@pytest.mark.parametrize("test", ["test_other.py", "test_small.py::test_other"])
def test_a_test_that_is_not_there_is_a_fault(tmp_path: Path, test: str) -> None:
    small_repository(tmp_path)
    edit = runner.Edit("area", "small.py", "LIMIT = 3", "LIMIT = 4", (test,))
    assert "test" in runner.fault_of(edit, tmp_path)


CODES = {  # exit codes of pytest: without the edit, with it
    "a test fails": ([0, 1], "caught"),
    "a test file cannot be read": ([0, 4], "caught"),
    "it takes too long": ([0, None], "caught"),
    "no test fails": ([0, 0], "NOT CAUGHT"),
    "no test runs": ([0, 5], "NOT CAUGHT"),
    "a test fails without the edit": ([1], "NOT CAUGHT"),
}


@pytest.mark.parametrize("case", CODES)
def test_only_a_test_that_fails_with_the_edit_alone_catches_it(
    case: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes, words = CODES[case]
    answers = list(codes)
    sources: list[str] = []

    def answer(arguments: list[str], copy: Path) -> int | None:
        sources.append((copy / "small.py").read_text())
        return answers.pop(0)

    small_repository(tmp_path)
    monkeypatch.setattr(runner, "_pytest", answer)
    edit = runner.Edit("area", "small.py", "LIMIT = 3", "LIMIT = 4", ("test_small.py::test_it",))
    code = runner.run([(1, edit)], [tmp_path])
    output = capsys.readouterr().out.splitlines()
    assert f"[  1] {words} " in "\n".join(output) and output[-1] == f"1 {words}"
    assert code == (0 if words == "caught" else 1) and not answers
    assert sources == ["LIMIT = 3\n", "LIMIT = 4\n"][: len(codes)]
    assert (tmp_path / "small.py").read_text() == "LIMIT = 3\n"
