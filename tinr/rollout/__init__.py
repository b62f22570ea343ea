"""Conversations of a model: generation, tools that run, rewards."""
