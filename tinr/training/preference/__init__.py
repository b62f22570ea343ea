"""Preference pairs of fragments from a tree search; training on them (iTool, arXiv 2501.09766)."""
