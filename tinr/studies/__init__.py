"""Studies and benchmarks: what the documentation's figures come from."""
