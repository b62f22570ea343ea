"""Whether a catalogue fits into the weights that may move (arXiv 2508.20755)."""
