"""The benchmark measures what it says, in small."""

from tinr import bench


def test_bench_catalogue_loses_nothing(monkeypatch):
    monkeypatch.setattr(bench, "OPENAPI_BYTES", 20_000)
    monkeypatch.setattr(bench, "TOKENS", 300)
    found = bench.bench_catalogue(tools=400)
    assert found["arrived"] == found["tools"] == 400
    assert found["openapi_operations"] > 10
    assert found["tokens"] == 300 and found["tokens_not_round_tripping"] == 0
    assert 0 < found["near_duplicates"] < 40
    assert all(value >= 0 for name, value in found.items() if name.endswith("seconds"))
