"""Training data: examples, traces, replay, batches."""
