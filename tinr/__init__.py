"""tinr: teach a language model a catalogue of tools, and prove what it learned."""

# Part of every fingerprint: raised whenever the same settings would train or measure otherwise.
__version__ = "0.16.0"
