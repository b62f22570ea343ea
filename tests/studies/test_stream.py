"""The stream of updates: its events, its rows, and that it goes on where it was stopped."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from phases import align
from tinr.catalogue.load import Catalogue, write_jsonl
from tinr.catalogue.similar import difference
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config
from tinr.records import BadInput, ToolDoc
from tinr.studies.benchmarks import stream
from tinr.studies.benchmarks.stream import StreamConfig, draw, run_stream, verdict
from tinr.training import catalogue_change, supervised

NEW = [
    {"name": f"ring_bell_{n}", "description": f"Ring bell number {n} of the tower.",
     "parameters": {"type": "object", "properties": {"times": {"type": "integer"}},
                    "required": ["times"]}}
    for n in range(4)
]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """A folder of data sets with a small one in BFCL's place."""
    folder = tmp_path / "data" / "bfcl"
    folder.mkdir(parents=True)
    write_jsonl(folder / "tools.jsonl", NEW)
    write_jsonl(folder / "queries.jsonl", [
        {"id": f"q{n}", "query": f"Ring it {n + 2} times",
         "calls": [{"name": tool["name"], "arguments": {"times": n + 2}}]}
        for n, tool in enumerate(NEW)
    ])  # fmt: skip
    return tmp_path / "data"


def test_events_are_of_the_kinds_and_numbers_that_are_asked_for(catalogue):
    newcomers = [ToolDoc(**tool) for tool in NEW]
    config = StreamConfig(batches=2, adds=2, removals=1, renames=1, changes=1)
    before = catalogue
    for after in stream._catalogues(catalogue, newcomers, config):
        changes = difference(before.by_name, after.by_name)
        counts = [len(part) for part in vars(changes).values()]
        assert counts == [2, 1, 1, 1]
        before = after
    assert isinstance(before, Catalogue) and len(before.tools) == 5


def test_a_stream_goes_on_where_it_was_stopped(tmp_path, tiny_tokenizer, data, monkeypatch):
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64,
                    num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True)
    ).save_pretrained(tmp_path / "base")  # fmt: skip
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    registry = Registry(tmp_path / "registry")
    align.run(
        load_config(align.AlignConfig, None, [
            f"base={tmp_path / 'base'}", "tools=8", "epochs=1", "replay=0", "min_recall={}",
            "training.checkpoint_steps=0", f"registry={registry.root}", f"run={tmp_path / 'run'}",
            "mix={memorise: 1, recall: 0, schema: 0, pseudo: 0, naming: 0, blind: 0, lacking: 0}",
        ])
    )  # fmt: skip
    monkeypatch.setattr(catalogue_change, "MOST_LIKELY", 1.0)
    monkeypatch.setattr(supervised, "compiled", lambda model: None)  # slow, and tested elsewhere
    monkeypatch.setattr(stream, "probe", lambda *_: {})  # the same
    config = StreamConfig(batches=2, adds=2, queries=2, compared=3)
    measure = stream._measured

    def stopped(registry, card, *rest):
        if card.phase == "update":
            raise KeyboardInterrupt
        return measure(registry, card, *rest)

    monkeypatch.setattr(stream, "_measured", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_stream(registry, "align@latest", tmp_path / "out", data, config)
    monkeypatch.setattr(stream, "_measured", measure)
    rows = run_stream(registry, "align@latest", tmp_path / "out", data, config)
    lines = (tmp_path / "out" / "stream.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert [row["batch"] for row in rows] == [0, 1, 2]
    assert len({row["checkpoint"] for row in rows}) == 3
    other = replace(config, retrained="update@latest")  # as if it had been trained anew
    for _ in range(2):  # the second time nothing is measured
        found = run_stream(registry, "align@latest", tmp_path / "out", data, other)
        assert found[:3] == rows and found[3]["checkpoint"] == rows[2]["checkpoint"]
        assert len(found) == 4 and found[3]["batch"] == "retrained"
        monkeypatch.setattr(stream, "_measured", None)
    with pytest.raises(BadInput, match="its catalogue is not that of the last batch"):
        wrong = replace(config, retrained="align@latest")
        run_stream(registry, "align@latest", tmp_path / "out", data, wrong)
    with pytest.raises(BadInput, match="a stream with other settings"):
        run_stream(registry, "align@latest", tmp_path / "out", data, replace(config, seed=1))
    assert [card.phase for card in registry.cards()] == ["base", "align", "update", "update"]
    assert "added_name_em" not in rows[0] and rows[1]["added_name_em"]["n"] == 2
    assert rows[0]["first_call_em"]["n"] >= rows[2]["first_call_em"]["n"] > 0
    assert rows[1]["first_call_em"]["n"] < rows[2]["first_call_em"]["n"]
    assert draw(rows).startswith("<?xml")


def a_row(batch, calls, recall=1.0, removed=None, added=None):
    return {
        "batch": batch, "first_ids": dict(enumerate(calls)), "removed": removed,
        "document_to_token": {"value": recall}, "added_name_em": {"value": added},
    }  # fmt: skip


def test_the_verdict_compares_the_first_tools_calls_query_by_query():
    """By hand: of 400 queries 4 are lost and 2 won; the bound is -.005 - 1.6487 * .006119."""
    before, after = [True] * 300 + [False] * 100, [True] * 300 + [False] * 100
    after[:4], after[-2:] = [False] * 4, [True] * 2
    rows = [
        a_row(0, before, added=0.5),
        a_row(1, before[:50], 0.98, {"before": 0.9, "after": 1e-9}, 0.5),
        a_row(2, after, 0.99, {"before": 0.8, "after": 1e-7}, 0.9),
    ]
    found = verdict(rows)
    assert found["recall"] == {"document_to_token": 0.98}
    assert found["calls"]["n"] == 400 and found["calls"]["difference"] == pytest.approx(-0.005)
    assert found["calls"]["low"] == pytest.approx(-0.005 - 1.64868 * 0.0061263, abs=1e-5)
    assert found["calls"]["not_worse"] and not verdict(rows, 0.01)["calls"]["not_worse"]
    assert found["added"] is None and found["removed"] == 1e-7
    found = verdict([*rows, a_row("retrained", before, added=0.93)])
    assert found["added"] == pytest.approx(0.03)
    found = verdict([rows[0], a_row(1, before, added=1.0)])
    assert found["calls"]["low"] == pytest.approx(-(1 - 0.05 ** (1 / 400)))
    few = [True] * 60  # one win is no proof that nothing is lost
    found = verdict([a_row(0, [False, *few]), a_row(1, [True, *few])])["calls"]
    assert not found["not_worse"] and found["low"] == pytest.approx(1 / 61 - (1 - 0.05 ** (1 / 61)))
    for calls in ([], [True]):
        assert verdict([a_row(0, calls), a_row(1, calls)])["calls"]["difference"] is None


def test_too_few_newcomers_are_told(data, catalogue):
    with pytest.raises(BadInput, match="4 newcomers, but 60 are needed"):
        stream._newcomers(data, catalogue, StreamConfig())
