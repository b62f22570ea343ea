"""What a run would cost, and whether a catalogue fits."""
