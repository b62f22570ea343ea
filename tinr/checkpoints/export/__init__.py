"""Export checkpoints as files for other programs."""
