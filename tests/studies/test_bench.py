"""The benchmark measures what it says, in small."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.chat.codec import IGNORE
from tinr.data.packing import Example, collate
from tinr.records import BadInput, DocumentsMode, Query
from tinr.studies.benchmarks import catalogue as bench
from tinr.studies.benchmarks import rollouts, scaling, training, update
from tinr.studies.benchmarks.prompt_cost import measure_costs, plot_costs


def test_bench_catalogue_loses_nothing(monkeypatch):
    monkeypatch.setattr(bench, "OPENAPI_BYTES", 20_000)
    monkeypatch.setattr(bench, "TOKENS", 300)
    found = bench.bench_catalogue(tools=400)
    assert found["arrived"] == found["tools"] == 400
    assert found["openapi_operations"] > 10
    assert found["tokens"] == 300 and found["tokens_not_round_tripping"] == 0
    assert 0 < found["near_duplicates"] < 40
    assert all(value >= 0 for name, value in found.items() if name.endswith("seconds"))


def test_the_prompt_grows_with_the_tools_only_where_it_carries_documents(tmp_path):
    costs = measure_costs([4, 16])
    by_mode = {
        mode: [c.prompt_tokens for c in costs if c.mode == mode] for mode in get_args(DocumentsMode)
    }
    assert len(costs) == 8 and [c.tools for c in costs] == [4] * 4 + [16] * 4
    few, many = by_mode["in_prompt"]
    assert many > 3 * few
    for mode in ("none", "on_select"):
        assert abs(by_mode[mode][0] - by_mode[mode][1]) < 120  # another tool was asked for
    assert all(c.prefill_seconds and c.end_to_end_seconds for c in costs)
    plot_costs(costs, tmp_path / "cost.svg")
    assert "in_prompt" in (tmp_path / "cost.svg").read_text()


def test_packed_batches_carry_less_padding_and_the_same_examples(monkeypatch):
    few = replace(training.CONFIG, batch_tokens=512, row_tokens=256, compile=False)
    monkeypatch.setattr(training, "CONFIG", few)
    found = training.measure_training(load_catalogue("fieldkit"), steps=5, repeats=1, hidden=64)
    by_name = {speed.name: speed for speed in found.speeds}
    assert len(by_name) == len(found.speeds) >= 6
    usual, ours = found.speeds[0], by_name["tinr's trainer, adamw"]
    assert usual.padding > 0.2 > 0.1 > ours.padding >= 0
    assert all(s.tokens_a_second > 0 and s.operations_a_second > 0 for s in found.speeds)
    assert found.matrix_rate > 0 and found.lengths[0] <= found.lengths[1] <= found.lengths[2]


def test_an_update_is_held_against_supervised_training_of_the_same_tokens(codec):
    """2 x 3 conversations of 7 + 4 tokens; nothing is left of the trainer in the model."""
    model = small_model(len(codec.tokenizer))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = update.measure_update(model, codec, 2, 3, prompt=7, completion=(4, 4), repeats=2)
    assert (found.conversations, found.tokens) == (6, 66)
    assert found.update_seconds > 0 < found.supervised_seconds
    assert found.ratio == found.update_seconds / found.supervised_seconds
    assert found.rollout_tokens_a_second > 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_both_counts_of_a_batch_agree():
    """Padded, packed or a bare list of examples: the same useful tokens, labels and squares."""
    examples = [Example(range(n), [IGNORE] * 2 + [1] * (n - 2)) for n in (3, 5, 9)]
    model = small_model()
    kinds = (
        examples,
        training._pad(examples, 0),
        collate([examples[:2], examples[2:]], 0),
    )
    speeds = [training._speed("x", model, [kind], 1.0) for kind in kinds]
    assert [s.tokens_a_second for s in speeds] == [17, 17, 17]
    assert len({s.operations_a_second for s in speeds}) == 1
    assert [round(s.padding, 3) for s in speeds] == [0.37, 0.37, 0.056]


def small_model(vocabulary: int = 50):
    torch.manual_seed(0)
    sizes = {"vocab_size": vocabulary, "hidden_size": 16, "intermediate_size": 32, "head_dim": 8}
    return Qwen3ForCausalLM(
        Qwen3Config(**sizes, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    )


def test_both_samplers_write_the_same_greedy_completions(codec):
    model = small_model(len(codec.vocabulary))
    queries = [Query(f"q{n}", "word " * (n + 1), ()) for n in range(3)]
    found = rollouts.measure_rollouts(model, codec, queries, group=2, max_tokens=12, repeats=1)
    assert found.same_greedy == found.prompts == 3
    assert found.ours > 0 and found.usual > 0 and 0 < found.our_length <= 12


def test_a_power_law_is_found_and_its_interval_holds_it():
    sizes = (10, 100, 1_000)
    law = scaling.fit_law("x", "things", sizes, [0.5 * n**0.75 for n in sizes])
    assert (law.exponent, round(law.factor, 6)) == (0.75, 0.5)
    assert law.low <= 0.75 <= law.high and law.high - law.low < 0.01
    noisy = scaling.fit_law("x", "things", sizes, [1.0, 30.0, 20.0])
    assert noisy.low < 0 < noisy.exponent < noisy.high  # two decades of noise say little
    with pytest.raises(BadInput, match="a law needs 3"):
        scaling.fit_law("x", "things", [10, 10, 20], [1.0, 1.0, 2.0])


@pytest.mark.slow
def test_time_is_measured_by_tools_model_and_group(monkeypatch, tmp_path):
    few = replace(training.CONFIG, batch_tokens=256, row_tokens=256, compile=False)
    monkeypatch.setattr(training, "CONFIG", few)
    settings = {"TOOLS": (4, 8, 16, 99_999), "HIDDEN": (64, 128, 192), "GROUPS": (2, 3, 4),
                "PROMPTS": 1, "WRITTEN": 4, "STEPS": 2}  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setattr(scaling, name, value)
    laws = scaling.measure_scaling(load_catalogue("fieldkit"), steps=5, repeats=1)
    assert [law.of for law in laws] == ["tools", "parameters", "conversations per prompt"]
    assert laws[0].sizes == (4, 8, 16) and laws[2].sizes == (2, 3, 4)
    assert all(seconds > 0 for law in laws for seconds in law.seconds)
    assert laws[0].exponent > 0.3  # four times the documents are never as quick
    scaling.plot_laws(laws, tmp_path / "laws.svg")
    assert "an epoch of alignment" in (tmp_path / "laws.svg").read_text()
    with pytest.raises(BadInput, match="16 are needed; give more"):
        scaling.measure_scaling(Catalogue(load_catalogue("fieldkit").tools[:8]))
