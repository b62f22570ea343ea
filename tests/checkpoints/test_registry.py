"""The registry: immutable, never a guess. A failure here loses checkpoints."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_parts import (
    make_card,
    make_old,
    moment,
    publish,
    quick_registry,
    write_model,
)

from tinr.checkpoints import card
from tinr.checkpoints.card import CARD_VERSION, PHASES, Card, environment
from tinr.checkpoints.registry import Registry
from tinr.records import BadInput

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
        ({"files": [{"path": "a", "bytes": 1}]}, "key files has"),
        ({"files": [{"path": "../a", "bytes": 1, "sha256": "0"}]}, "key files has"),
        ({"files": [{"path": "/etc/a", "bytes": 1, "sha256": "0"}]}, "key files has"),
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
    assert facts["hardware"].keys() == {
        "cpu", "cores", "accelerators", "ram_gib", "peak_rss_gib",
    }  # fmt: skip
    assert 0 < facts["hardware"]["peak_rss_gib"] < facts["hardware"]["ram_gib"]
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
    with pytest.raises(BadInput, match="tag best: points to base-20250131-00000000"):
        registry.resolve("best")
    assert any("points to" in problem for problem in registry.verify())


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
        ({"phase": "sft"}, "phase is align", "but sft is required"),
        ({"phase": ("sft", "grpo")}, "phase is align", "but sft or grpo is required"),
        ({"catalogue_hash": "cat-2"}, "catalogue is cat-1", "but cat-2 is required"),
        ({"tokenizer_hash": "tok-2"}, "tokenizer is tok-1", "but tok-2 is required"),
    ):
        with pytest.raises(BadInput) as caught:
            registry.open(published.id, **{**good, **bad})
        assert found in str(caught.value) and needed in str(caught.value)
    publish(registry, "base", 2)
    with pytest.raises(BadInput, match="catalogue is none, but cat-1 is required"):
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
