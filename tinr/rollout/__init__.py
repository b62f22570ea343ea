"""Rollouts: generate conversations, run their tool calls, score the replies."""
