"""Checkpoints: load, grow and save models, and the registry through which phases exchange them.

A checkpoint is a folder of files and a card. It becomes visible in one step, when its card is
written, and is immutable from then on. It is named by id, by tag, or by `phase@latest`.
"""
