"""The cost of a run, and whether a catalogue fits, estimated in advance."""
