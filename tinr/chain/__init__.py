"""The three phases in sequence: the quickstart, its time estimate and its presets."""
