"""Checkpoints: models loaded, grown and saved, and the registry where phases meet.

A checkpoint is a folder of files and a card. It becomes visible in one step, when its card
is written, and is immutable from then on; it is named by id, by tag, or by `phase@latest`.
"""
