"""Preference pairs of fragments from a tree search, and the training (iTool, arXiv 2501.09766)."""
