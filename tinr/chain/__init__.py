"""The three phases in sequence: the quickstart, its estimate of time, its presets."""
