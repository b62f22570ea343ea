"""tinr: teach a language model a catalogue of tools, and prove what it learned."""

__version__ = "0.1.0"
