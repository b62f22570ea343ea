"""The benchmark measures what it says, in small."""

from typing import get_args

from tinr.bench import catalogue as bench
from tinr.bench.prompt_cost import measure_costs, plot_costs
from tinr.records import DocumentsMode


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
