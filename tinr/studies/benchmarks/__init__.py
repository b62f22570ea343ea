"""Benchmarks that the docs quote: imports, steps, rollouts, prompts, growth."""
