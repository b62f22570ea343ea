"""Run tool calls: in this process, or with limits in a separate process."""
