"""Whether a catalogue fits into the trainable weights (arXiv 2508.20755)."""
