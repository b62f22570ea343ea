"""Studies and benchmarks: the source of the documentation's figures."""
