"""`tinr registry`: what others' scripts read from it. Bad input is left to the main program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.cli.registry import app
from tinr.records import BadInput


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A base and an aligned checkpoint, the latter tagged."""
    registry = Registry(tmp_path / "registry")
    for phase, parent in (("base", None), ("align", "base@latest")):
        card = Card(
            phase=phase,
            parent=parent and registry.resolve(parent).id,
            base_model="tiny",
            base_hash="b",
            tokenizer_hash="t",
            config={"steps": 3},
            seed=1,
            fingerprint="f",
            gates={"document_to_token": {"value": 0.98251, "n": 400, "passed": phase == "base"}},
            notes=["[red]overridden[/red]"],
        )
        registry.publish(card, lambda folder: (folder / "model.bin").write_bytes(b"weights"))
    registry.tag("best", "align@latest")
    return registry


def run(registry: Registry, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--registry", str(registry.root)])


def run_json(registry: Registry, *words: str) -> object:
    result = run(registry, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_shows_one_line_a_checkpoint(registry: Registry) -> None:
    base, align = registry.cards()
    lines = run(registry, "list").stdout.splitlines()
    assert lines[0].split() == ["id", "phase", "parent", "created", "tags", "gates"]
    assert lines[1].split()[:2] == [base.id, "base"] and "0.983 passed" in lines[1]
    assert lines[2].split()[:3] == [align.id, "align", base.id]
    assert "best" in lines[2] and "document_to_token 0.983 FAILED" in lines[2]


@pytest.mark.parametrize("command", [("list",), ("lineage", "best")])
def test_list_and_lineage_as_json(registry: Registry, command: tuple[str, ...]) -> None:
    base, align = registry.cards()
    rows = run_json(registry, *command)
    assert isinstance(rows, list) and rows[0]["id"] == base.id
    assert rows[1] == {
        "id": align.id,
        "phase": "align",
        "parent": base.id,
        "created": align.created,
        "tags": ["best"],
        "gates": align.gates,
    }


def test_list_says_how_many_cards_are_broken(registry: Registry) -> None:
    path = registry.path(registry.resolve("best")) / "card.json"
    path.chmod(0o644)
    path.write_text("{")
    result = run(registry, "list")
    assert result.exit_code == 0 and "1 with an invalid card left out" in result.stderr


def test_show_prints_the_card(registry: Registry) -> None:
    card = registry.resolve("best")
    assert Card.from_json(run(registry, "show", "best", "--json").stdout) == card
    text = run(registry, "show", "align@latest").stdout
    assert card.id in text and "model.bin (7 bytes)" in text and "[red]overridden[/red]" in text


def test_tag_sets_and_removes(registry: Registry) -> None:
    base = registry.resolve("base@latest")
    assert run_json(registry, "tag", "start", base.id) == {"tag": "start", "id": base.id}
    assert registry.tags()["start"] == base.id
    assert run_json(registry, "tag", "start", "--remove") == {"tag": "start", "id": None}
    assert "start" not in registry.tags()
    for words in (["tag", "start"], ["tag", "best", base.id, "--remove"]):
        assert "either a checkpoint or --remove" in str(run(registry, *words).exception)
    assert "did you mean best" in str(run(registry, "tag", "bes", "--remove").exception)


def test_verify_exits_with_1_at_a_problem(registry: Registry) -> None:
    count = len(registry.ids())
    assert run_json(registry, "verify") == {"checkpoints": count, "problems": []}
    assert run(registry, "verify").stdout == f"no problems in {count} checkpoints\n"
    assert run(registry, "verify", "best").stdout == "no problems in 1 checkpoint\n"
    weights = registry.path(registry.resolve("best")) / "model.bin"
    weights.chmod(0o644)
    weights.write_bytes(b"Weights")
    for words in (["verify"], ["verify", "best"], ["verify", "--json"]):
        result = run(registry, *words)
        assert result.exit_code == 1 and str(weights) in result.stdout
    assert run(registry, "verify", "base@latest").exit_code == 0


def test_gc_deletes_only_when_told(registry: Registry) -> None:
    base = registry.resolve("base@latest")
    old = registry.resolve("best")
    newer = Card.from_json(old.to_json())
    registry.publish(newer, lambda folder: (folder / "model.bin").write_bytes(b"more"))
    registry.untag("best")
    doomed = min(registry.cards()[1:], key=lambda card: (card.created, card.id))
    assert run(registry, "gc").stdout == f"would remove {doomed.id}\n"
    assert len(registry.cards()) == 3
    result = {"deleted": True, "checkpoints": [doomed.id], "leftovers": []}
    assert run_json(registry, "gc", "--delete") == result
    assert [card.phase for card in registry.cards()] == ["base", "align"]
    assert registry.resolve("base@latest") == base
    assert run(registry, "gc").stdout == "nothing to remove\n"


def test_export_copies_out(registry: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    card = registry.resolve("best")
    assert run_json(registry, "export", "best", str(out)) == {
        "id": card.id, "out": str(out), "to": "hf"
    }  # fmt: skip
    assert (out / "model.bin").read_bytes() == b"weights"


@pytest.mark.parametrize(("template", "ours"), [("{{ messages }}", False), ("<response>", True)])
def test_export_says_where_no_template_of_ours_is_in_the_folder(
    registry: Registry, tmp_path: Path, template: str, ours: bool
) -> None:
    card = registry.resolve("best")
    again = Card(**{**vars(card), "id": "", "files": [], "created": ""})
    registry.publish(again, lambda folder: (folder / "chat_template.jinja").write_text(template))
    result = run(registry, "export", "align@latest", str(tmp_path / "out"))
    assert result.exit_code == 0 and ("no chat template" in result.stderr) == (not ours)


def test_bad_input_is_left_to_the_main_program(registry: Registry, tmp_path: Path) -> None:
    for words in (["show", "bst"], ["lineage", "bst"], ["export", "bst", str(tmp_path / "o")]):
        assert isinstance(run(registry, *words).exception, BadInput)
    result = run(Registry(tmp_path / "elsewhere"), "list")
    assert isinstance(result.exception, BadInput) and "--registry" in str(result.exception)


@pytest.mark.parametrize("command", ["list", "show", "lineage", "tag", "verify", "gc", "export"])
def test_every_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and f"Example: tinr registry {command}" in result.output


def test_looking_at_the_registry_does_not_wait_for_torch() -> None:
    script = "import sys, tinr.cli.registry; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root).returncode == 0
