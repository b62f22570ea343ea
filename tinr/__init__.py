"""tinr: teach a language model a catalogue of tools, and prove what it learned."""

# Part of every fingerprint. Raise it if the same settings would train or measure differently.
__version__ = "0.20.0"
