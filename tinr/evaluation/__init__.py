"""What a checkpoint knows and can do: suites, metrics, probes, comparison."""
