"""A checkpoint as the files that other programs read."""
