"""What is taught: examples, traces, replay, batches."""
