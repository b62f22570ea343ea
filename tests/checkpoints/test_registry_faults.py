"""Publishing that fails, and upkeep: all or nothing, whatever happens in between."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_parts import (
    ROOT,
    make_card,
    make_old,
    publish,
    quick_registry,
    write_model,
)

from tinr.checkpoints import registry as registry_module
from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import PARENT, Registry
from tinr.files import write_text
from tinr.records import BadInput

# publishing fails


@pytest.mark.parametrize(
    ("failure", "raised", "said"),
    [
        (OSError(errno.ENOSPC, "full", "model.bin"), BadInput, "model.bin: No space left.*free"),
        (OSError(errno.EROFS, "read-only"), BadInput, "nothing was published"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), BadInput, "free space"),
        (RuntimeError("unexpected pos 576 vs 534"), BadInput, "free space"),  # torch.save
        (RuntimeError("shape"), RuntimeError, "shape"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_write_that_fails_midway_leaves_nothing(
    registry: Registry, failure: BaseException, raised: type[BaseException], said: str
) -> None:
    def write(folder: Path) -> None:
        write_model(folder)
        raise failure

    with pytest.raises(raised, match=said):
        registry.publish(make_card(), write)
    assert [path for path in registry.root.rglob("*") if path.is_file()] == []
    assert registry.cards() == [] and registry.verify() == []


@pytest.mark.parametrize("good_flushes", range(9))
def test_a_disk_that_fills_at_any_flush_leaves_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, good_flushes: int
) -> None:
    """Two files, a folder, staging, root, checkpoints, the card, and its folder: 8 flushes."""
    flushes = iter(range(100))

    def fsync(_: int) -> None:
        if next(flushes) == good_flushes:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fsync)
    if good_flushes == 8:
        assert registry.publish(make_card(), write_model)
        return
    with pytest.raises(BadInput, match="nothing was published"):
        registry.publish(make_card(), write_model)
    assert [path for path in registry.root.rglob("*") if path.is_file()] == []


def test_publish_refuses_what_is_not_a_checkpoint(registry: Registry, tmp_path: Path) -> None:
    def link(folder: Path) -> None:
        (tmp_path / "weights").write_bytes(b"")
        (folder / "model.bin").symlink_to(tmp_path / "weights")

    with pytest.raises(BadInput, match=r"model\.bin: a checkpoint may contain only regular files"):
        registry.publish(make_card(), link)
    with pytest.raises(ValueError, match="at least one file"):
        registry.publish(make_card(), lambda folder: None)
    with pytest.raises(ValueError, match=r"card\.json is written by the registry"):
        registry.publish(make_card(), lambda folder: (folder / "card.json").touch())
    assert registry.cards() == []


def test_publishing_the_same_card_twice_spares_the_first(registry: Registry) -> None:
    published = publish(registry, "base", 1)
    with pytest.raises(BadInput, match="already exists"):
        publish(registry, "base", 1)
    assert registry.cards() == [published] and registry.verify() == []


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tinr.checkpoints import durable_files
from tinr.checkpoints.registry import Registry
from registry_parts import make_card, write_model, publish
registry = Registry({root!r})
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def then_die(act): return lambda *a, **k: (act(*a, **k), die())
write = write_model
"""
POINTS = {
    "while files are written": "write = then_die(write_model)",
    "before files are sealed": "durable_files.seal = die",
    "before the rename": "os.rename = die",
    "after the rename": "os.rename = then_die(os.rename)",
    "before the card is renamed": "os.replace = die",
    "after the card is renamed": "os.replace = then_die(os.replace)",
}


def run_child(registry: Registry, script: str) -> subprocess.Popen[str]:
    head = CHILD.format(tests=str(ROOT / "tests"), root=str(registry.root))
    return subprocess.Popen(
        [sys.executable, "-c", head + script], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def test_a_killed_publication_is_whole_or_invisible(tmp_path: Path) -> None:
    publish_one = "\nregistry.publish(make_card(seed=2), write)"
    children = {}
    for number, (point, script) in enumerate(POINTS.items()):
        registry = Registry(tmp_path / str(number))
        publish(registry, "base", 1)
        children[point] = registry, run_child(registry, script + publish_one)
    for point, (registry, child) in children.items():
        child.communicate()
        assert child.returncode == -signal.SIGKILL, point
        visible = 2 if point == "after the card is renamed" else 1
        assert len(registry.cards()) == visible, point
        for each in registry.cards():
            registry.open(each.id)
        assert registry.gc(dry_run=False).leftovers == [], point  # it may be alive
        make_old(registry.root)
        dead = registry.gc(dry_run=False).leftovers
        assert len(dead) == 2 - visible, point
        assert registry.verify() == [] and len(list(registry.root.glob("*/*"))) == 1, point


def test_a_folder_without_a_card_is_not_there(registry: Registry) -> None:
    published = publish(registry, "base", 1)
    (registry.path(published) / "card.json").unlink()
    assert registry.cards() == [] and registry.find("base", "f1") is None
    with pytest.raises(BadInput, match="no checkpoint"):
        registry.resolve(published.id)
    assert [f"{published.id}: no card.json" in problem for problem in registry.verify()] == [True]
    assert registry.gc(dry_run=False).leftovers == []
    make_old(registry.path(published))
    (registry.path(published) / "model.bin").touch()
    assert registry.gc().leftovers == []  # still written to
    make_old(registry.path(published))
    assert registry.gc().leftovers == [registry.path(published)]
    assert registry.path(published).exists()  # a dry run removes nothing
    registry.gc(dry_run=False)
    assert not registry.path(published).exists()


def test_step_checkpoints_and_searches_that_nobody_went_on_with_are_leftovers(registry):
    kept, old = registry.steps("sft", "a" * 20).folder, registry.steps("search", "b" * 20).folder
    for folder in (kept, old):
        folder.mkdir(parents=True)
        (folder / "hard.json").write_text("[]")
    for folder, days in ((kept, 2), (old, 8)):
        then = time.time() - days * 86400
        for path in (folder / "hard.json", folder):
            os.utime(path, (then, then))
    assert registry.gc(dry_run=False).leftovers == [old]
    assert kept.is_dir() and not old.exists()


def test_processes_publish_and_tag_at_once(registry: Registry) -> None:
    script = """
for seed in range(10):
    card = registry.publish(make_card(seed=seed, notes=[{name!r}]), write_model)
    registry.tag("shared", card.id)
    registry.verify()
"""
    children = [run_child(registry, script.format(name=name)) for name in "abc"]
    for child in children:
        assert (child.communicate()[1], child.returncode) == ("", 0)
    written = sorted((each.notes[0], each.seed) for each in registry.cards())
    assert written == [(name, seed) for name in "abc" for seed in range(10)]
    assert registry.verify() == []
    assert registry.resolve("shared").seed == 9
    assert list((registry.root / "staging").iterdir()) == []


# upkeep


def test_gc_keeps_tags_the_newest_and_their_ancestors(registry: Registry) -> None:
    base = publish(registry, "base", 1)
    align_1, align_2 = publish(registry, "align", 2, base), publish(registry, "align", 3, base)
    sft_1, sft_2 = publish(registry, "sft", 4, align_1), publish(registry, "sft", 5, align_2)
    doomed = publish(registry, "align", 6, base)
    align_3 = publish(registry, "align", 7, base)
    assert registry.gc().checkpoints == [doomed.id, sft_1.id, align_1.id]  # children first
    registry.tag("paper", sft_1.id)
    assert registry.gc().checkpoints == [doomed.id] and len(registry.cards()) == 7
    assert registry.gc(dry_run=False).checkpoints == [doomed.id]
    assert registry.cards() == [base, align_1, align_2, sft_1, sft_2, align_3]
    assert registry.verify() == [] and registry.gc().checkpoints == []


def test_gc_keeps_what_an_unfinished_phase_starts_from(registry: Registry) -> None:
    base = publish(registry, "base", 1)
    align_1, _ = publish(registry, "align", 2, base), publish(registry, "align", 3, base)
    folder = registry.steps("sft", "some mark").folder
    write_text(folder / PARENT, align_1.id)
    assert registry.gc(dry_run=False).checkpoints == []
    shutil.rmtree(folder)  # the phase has published
    assert registry.gc(dry_run=False).checkpoints == [align_1.id]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_gc_never_breaks_a_lineage_that_a_tag_needs(data: st.DataObject) -> None:
    with quick_registry() as registry:
        cards: list[Card] = []
        for number in range(data.draw(st.integers(1, 8))):
            parent = data.draw(st.sampled_from([None, *cards]))
            phase = data.draw(st.sampled_from(["base", "align", "sft"]))
            cards.append(publish(registry, phase, number, parent))
        tagged = data.draw(st.lists(st.sampled_from(cards), unique_by=lambda each: each.id))
        for number, each in enumerate(tagged):
            registry.tag(f"t{number}", each.id)
        lines = {each.id: registry.lineage(each.id) for each in tagged}
        removed = registry.gc(dry_run=False).checkpoints
        assert len(registry.cards()) == len(cards) - len(removed)
        assert {each.id: registry.lineage(each.id) for each in tagged} == lines
        assert registry.verify() == []


def test_gc_gives_back_what_is_tagged_at_the_last_moment(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(registry, "base", 1)
    publish(registry, "base", 2)
    rename = os.rename

    def tag_then_rename(source: Path, target: Path) -> None:
        if not registry.tags():
            registry.tag("late", old.id)
        rename(source, target)

    monkeypatch.setattr(registry_module.os, "rename", tag_then_rename)
    assert registry.gc(dry_run=False).checkpoints == []
    assert registry.resolve("late") == old and registry.verify() == []


def test_gc_gives_back_what_a_phase_begins_with_at_the_last_moment(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(registry, "base", 1)
    publish(registry, "base", 2)
    rename = os.rename

    def begin_then_rename(source: Path, target: Path) -> None:
        place = registry.steps("align", "some mark").folder / PARENT
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(old.id)
        rename(source, target)

    monkeypatch.setattr(registry_module.os, "rename", begin_then_rename)
    assert registry.gc(dry_run=False).checkpoints == []
    assert registry.resolve(old.id) == old and registry.verify() == []


def test_export_is_a_hugging_face_folder(registry: Registry, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    published = registry.publish(make_card(), lambda folder: model.save_pretrained(folder))
    out = tmp_path / "new" / "out"
    assert registry.export("base@latest", out) == published
    assert Card.from_json((out / "tinr_card.json").read_bytes()) == published
    assert not (out / "card.json").exists()
    loaded = AutoModelForCausalLM.from_pretrained(out).eval()
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    with pytest.raises(BadInput, match="not an empty folder"):
        registry.export("base@latest", out)


def test_export_of_a_damaged_checkpoint_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    weights = registry.path(publish(registry, "base", 1)) / "model.bin"
    weights.chmod(0o644)
    weights.write_bytes(b"Weights" * 100)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BadInput, match=f"{weights}: sha256"):
        registry.export("base@latest", out)
    weights.unlink()
    with pytest.raises(BadInput, match=f"{weights}: missing"):
        registry.export("base@latest", out)
    assert {path.name for path in tmp_path.iterdir()} == {"registry", "out"}
