"""The registry: all or nothing, immutable, never a guess. A failure here loses checkpoints."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinr.records import BadInput
from tinr.registry import CARD_VERSION, PHASES, Card, Registry, card, environment, store

ROOT = Path(__file__).parents[1]
A_DAY_AND_AN_HOUR = 90000  # seconds


def make_card(phase: str = "base", **changes: Any) -> Card:
    """A card as a phase hands it to `publish`."""
    given = {
        "base_model": "tiny",
        "base_hash": "b" * 64,
        "tokenizer_hash": "tok-1",
        "config": {"seed": 1},
        "seed": 1,
        "fingerprint": "f1",
    }
    return Card(phase=phase, **{**given, **changes})


def write_model(folder: Path) -> None:
    """Two files, one of them in a folder."""
    (folder / "model.bin").write_bytes(b"weights" * 100)
    (folder / "trainer").mkdir()
    (folder / "trainer" / "state.json").write_text("{}")


def moment(number: int) -> str:
    """The time of the n-th publication, n seconds after midnight."""
    return f"2025-01-31T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z"


def publish(registry: Registry, phase: str, number: int, parent: Card | None = None) -> Card:
    """A checkpoint published at the n-th second."""
    wanted = make_card(phase, created=moment(number), parent=parent.id if parent else None)
    return registry.publish(wanted, write_model)


def make_old(*folders: Path) -> None:
    """Lets folders and all in them look as if last written more than a day ago."""
    then = time.time() - A_DAY_AND_AN_HOUR
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (then, then))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@contextmanager
def quick_registry() -> Iterator[Registry]:
    """A registry for one example of a property; it does not wait for the disk."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
        yield Registry(folder)


# cards


def test_publish_completes_the_card(registry: Registry) -> None:
    published = publish(registry, "base", 7)
    assert card.ID.fullmatch(published.id) and published.id.startswith("base-20250131-")
    assert [(entry["path"], entry["bytes"]) for entry in published.files] == [
        ("model.bin", 700),
        ("trainer/state.json", 2),
    ]
    # printf '{}' | sha256sum
    assert published.files[1]["sha256"].startswith("44136fa355b3678a1146ad16f7e8649e")
    assert registry.resolve(published.id) == published
    stored = [path for path in registry.path(published).rglob("*") if path.is_file()]
    assert len(stored) == 3 and all(path.stat().st_mode & 0o222 == 0 for path in stored)
    assert list((registry.root / "staging").iterdir()) == []


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), plain, max_size=4)


@given(
    phase=st.sampled_from(PHASES), config=objects, gates=objects, notes=st.lists(st.text()),
    seconds=st.floats(0, 1e9), parent=st.none() | st.just("base-20250131-0123abcd"),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_to_json_and_from_json_are_inverses(phase: str, **changes: Any) -> None:
    wanted = make_card(phase, **changes)
    read = Card.from_json(wanted.to_json())
    assert read == wanted
    assert card.card_id(read) == card.card_id(wanted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": CARD_VERSION + 1, "novel": 0}, "card version 2 is newer"),
        ({"version": 0}, "version is 0"),
        ({"novel": 0}, "unknown key novel"),
        ({"seed": "one"}, "key seed is 'one'"),
        ({"seconds": float("nan")}, "NaN is not a JSON number"),
        ({"phase": "pretrain"}, "key phase is 'pretrain'"),
        ({"parent": "base@latest"}, "key parent is 'base@latest'"),
        ({"created": "yesterday"}, "key created is 'yesterday'"),
        ({"files": [{"path": "a", "bytes": 1}]}, "key files holds"),
        ({"files": [{"path": "../a", "bytes": 1, "sha256": "0"}]}, "key files holds"),
        ({"files": [{"path": "/etc/a", "bytes": 1, "sha256": "0"}]}, "key files holds"),
    ],
)
def test_a_wrong_card_names_the_file_and_the_key(change: dict[str, Any], said: str) -> None:
    text = json.dumps({**json.loads(make_card().to_json()), **change})
    with pytest.raises(BadInput, match=said) as caught:
        Card.from_json(text, "there/card.json")
    assert str(caught.value).startswith("there/card.json: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", json.loads(make_card().to_json()))
def test_a_missing_key_is_named(key: str) -> None:
    data = json.loads(make_card().to_json())
    del data[key]
    with pytest.raises(BadInput, match=f"missing key {key}"):
        Card.from_json(json.dumps(data))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"seed": NaN}'])
def test_a_card_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput, match="restore the file"):
        Card.from_json(text)


@pytest.mark.parametrize("value", [float("nan"), Path("a")])
def test_publish_refuses_a_card_that_json_cannot_hold_before_it_writes(
    registry: Registry, value: object
) -> None:
    with pytest.raises(BadInput, match="metrics is not plain JSON"):
        registry.publish(make_card(metrics={"loss": value}), lambda _: pytest.fail("wrote"))
    assert not registry.root.exists()


def test_environment_names_packages_machine_and_commit() -> None:
    facts = environment()
    assert facts["packages"].keys() >= {"python", "tinr", "torch", "transformers"}
    assert facts["hardware"]["cores"] >= 1 and facts["hardware"]["ram_gib"] > 0
    assert facts["hardware"].keys() == {"cpu", "cores", "accelerators", "ram_gib"}
    assert Card.from_json(make_card(**facts).to_json()) == make_card(**facts)


def test_git_commit_is_the_commit_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    code = tmp_path / "tinr" / "__init__.py"
    code.parent.mkdir()
    code.write_text("1")
    monkeypatch.setattr("tinr.__file__", str(code))
    assert card.git_commit() is None  # no repository
    git("init", "-q")
    assert card.git_commit() is None  # no commit
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "-am", "a tag does not stand in for the commit", "v1")
    assert card.git_commit() == git("rev-parse", "HEAD")
    code.write_text("2")
    assert card.git_commit() == git("rev-parse", "HEAD") + "-dirty"
    installed = tmp_path / "venv" / "tinr" / "__init__.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr("tinr.__file__", str(installed))
    assert card.git_commit() is None  # another project's repository


# names


def test_a_name_is_an_id_a_tag_or_the_latest_of_a_phase(registry: Registry) -> None:
    old, new = publish(registry, "align", 1), publish(registry, "align", 2)
    publish(registry, "sft", 3, new)
    registry.tag("best", old.id)
    assert registry.resolve("best") == old
    assert registry.resolve("align@latest") == new
    assert [each.id for each in registry.cards()][:2] == [old.id, new.id]
    registry.tag("best", "align@latest")
    assert registry.tags() == {"best": new.id}
    registry.untag("best")
    assert registry.tags() == {}


def test_latest_breaks_a_tie_by_id(registry: Registry) -> None:
    pair = [registry.publish(make_card(seed=s, created=moment(1)), write_model) for s in range(5)]
    assert registry.resolve("base@latest").id == max(each.id for each in pair)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("bset", "did you mean best"),
        ("algn@latest", "did you mean align@latest"),
        ("align@newest", "did you mean align@latest"),
        ("grpo@latest", "no checkpoint of phase grpo"),
        ("base-20250131", "did you mean base-20250131-"),  # a prefix is not a name
        ("../../etc", "no checkpoint of this name"),
        ("", "no checkpoint of this name"),
    ],
)
def test_nobody_guesses(registry: Registry, ref: str, said: str) -> None:
    registry.tag("best", publish(registry, "base", 1).id)
    with pytest.raises(BadInput, match=said):
        registry.resolve(ref)


@pytest.mark.parametrize(
    "name",
    ["", "Best", "-x", ".x", "a/b", "a@b", "sft@latest", "a b", "x" * 101, "a\n", "é",
     "base-20250131-0123abcd"],
)  # fmt: skip
def test_tag_names_that_are_refused(registry: Registry, name: str) -> None:
    published = publish(registry, "base", 1)
    with pytest.raises(BadInput, match="not a tag name"):
        registry.tag(name, published.id)
    assert registry.tags() == {}


@given(name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True))
@settings(max_examples=30, deadline=None)
def test_every_good_tag_name_resolves(name: str) -> None:
    with quick_registry() as registry:
        published = publish(registry, "base", 1)
        registry.tag(name, published.id)
        assert registry.resolve(name) == published


def test_a_tag_that_stands_for_nothing_is_said_to(registry: Registry) -> None:
    publish(registry, "base", 1)
    registry.tag("best", "base@latest")
    (registry.root / "tags" / "best").write_text("base-20250131-00000000\n")
    with pytest.raises(BadInput, match="tag best: stands for base-20250131-00000000"):
        registry.resolve("best")
    assert any("stands for" in problem for problem in registry.verify())


def test_lineage_goes_from_the_base_to_the_named(registry: Registry) -> None:
    base = publish(registry, "base", 1)
    align = publish(registry, "align", 2, base)
    sft = publish(registry, "sft", 3, align)
    assert registry.lineage("sft@latest") == [base, align, sft]
    os.rename(registry.path(align), registry.root / "gone")
    with pytest.raises(BadInput, match=f"its parent {align.id} is not in"):
        registry.lineage(sft.id)
    assert [align.id in problem for problem in registry.verify()] == [True]


def test_find_returns_the_newest_of_the_same_work(registry: Registry) -> None:
    for number, fingerprint in enumerate(("f1", "f1", "f2")):
        wanted = make_card("sft", fingerprint=fingerprint, created=moment(number), seed=number)
        registry.publish(wanted, write_model)
    found = registry.find("sft", "f1")
    assert found is not None and found.seed == 1
    assert registry.find("sft", "f3") is None and registry.find("align", "f1") is None


# opening


def test_open_shows_both_values_of_a_mismatch(registry: Registry) -> None:
    wanted = make_card("align", catalogue_hash="cat-1", created=moment(1))
    published = registry.publish(wanted, write_model)
    good = {"phase": ("base", "align"), "catalogue_hash": "cat-1", "tokenizer_hash": "tok-1"}
    assert registry.open(published.id, **good) == (published, registry.path(published))
    for bad, found, needed in (
        ({"phase": "sft"}, "phase is align", "needed is sft"),
        ({"phase": ("sft", "grpo")}, "phase is align", "needed is sft or grpo"),
        ({"catalogue_hash": "cat-2"}, "catalogue is cat-1", "needed is cat-2"),
        ({"tokenizer_hash": "tok-2"}, "tokenizer is tok-1", "needed is tok-2"),
    ):
        with pytest.raises(BadInput) as caught:
            registry.open(published.id, **{**good, **bad})
        assert found in str(caught.value) and needed in str(caught.value)
    publish(registry, "base", 2)
    with pytest.raises(BadInput, match="catalogue is none, needed is cat-1"):
        registry.open("base@latest", catalogue_hash="cat-1")


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_flipped_bit_and_any_truncation_is_found(data: st.DataObject) -> None:
    with quick_registry() as registry:
        published = publish(registry, "base", 1)
        name = data.draw(st.sampled_from(["model.bin", "trainer/state.json", "card.json"]))
        path = registry.path(published) / name
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans(), "flip"):
            place = data.draw(st.integers(0, len(content) * 8 - 1))
            content[place // 8] ^= 1 << place % 8
        else:  # the newline at the end of a card says nothing
            del content[data.draw(st.integers(0, len(content) - 2)) :]
        truncated = name != "card.json" and len(content) < path.stat().st_size
        path.chmod(0o644)
        path.write_bytes(content)
        said = f"{len(content)} bytes, its card says" if truncated else path.name
        with pytest.raises(BadInput, match=said):
            registry.open(published.id)
        assert [str(path) in problem for problem in registry.verify()] == [True]
        if name != "card.json":
            assert registry.open(published.id, verify=False)[0] == published


def test_an_edited_card_does_not_fit_its_id(registry: Registry) -> None:
    published = publish(registry, "base", 1)
    path = registry.path(published) / "card.json"
    path.chmod(0o644)
    path.write_text(replace(published, metrics={"name_em": 1.0}).to_json())
    with pytest.raises(BadInput, match="changed after it was published"):
        registry.resolve(published.id)


def test_a_broken_card_is_never_passed_over_for_an_older_one(registry: Registry) -> None:
    old, new = publish(registry, "sft", 1), publish(registry, "sft", 2)
    path = registry.path(new) / "card.json"
    path.chmod(0o644)
    path.write_text("{")
    for ref in ("sft@latest", new.id):
        with pytest.raises(BadInput, match=str(path)):
            registry.resolve(ref)
    assert registry.cards() == [old]
    assert [str(path) in problem for problem in registry.verify()] == [True]
    assert [str(path) in problem for problem in registry.verify(new.id)] == [True]
    with pytest.raises(BadInput, match=str(path)):
        registry.gc()


def test_verify_names_what_does_not_belong(registry: Registry) -> None:
    folder = registry.path(publish(registry, "base", 1))
    assert registry.verify() == [] and registry.verify("base@latest") == []
    (folder / "extra.bin").write_bytes(b"")
    (folder / "model.bin").unlink()
    (registry.root / "checkpoints" / "my-model").mkdir()
    problems = registry.verify()
    for problem, said in zip(
        problems,
        ("model.bin: missing", "extra.bin: not in the card", "my-model: not named by an id"),
        strict=True,
    ):
        assert said in problem
    make_old(registry.root)
    assert registry.gc().leftovers == []  # what the registry did not write it does not remove


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

    with pytest.raises(BadInput, match=r"model\.bin: a checkpoint holds plain files only"):
        registry.publish(make_card(), link)
    with pytest.raises(ValueError, match="at least one file"):
        registry.publish(make_card(), lambda folder: None)
    with pytest.raises(ValueError, match=r"card\.json is written by the registry"):
        registry.publish(make_card(), lambda folder: (folder / "card.json").touch())
    assert registry.cards() == []


def test_publishing_the_same_card_twice_spares_the_first(registry: Registry) -> None:
    published = publish(registry, "base", 1)
    with pytest.raises(BadInput, match="already there"):
        publish(registry, "base", 1)
    assert registry.cards() == [published] and registry.verify() == []


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tinr.registry import Registry, files, store
from test_registry import make_card, write_model, publish
registry = Registry({root!r})
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def then_die(act): return lambda *a, **k: (act(*a, **k), die())
write = write_model
"""
POINTS = {
    "while files are written": "write = then_die(write_model)",
    "before files are sealed": "files.seal = die",
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

    monkeypatch.setattr(store.os, "rename", tag_then_rename)
    assert registry.gc(dry_run=False).checkpoints == []
    assert registry.resolve("late") == old and registry.verify() == []


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
