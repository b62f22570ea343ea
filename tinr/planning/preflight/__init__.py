"""Memory, time and disk of a phase, before anything is spent; no weights are loaded."""
