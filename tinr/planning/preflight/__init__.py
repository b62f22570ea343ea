"""Memory, time and disk of a phase, estimated before it runs and without loading weights."""
