"""The conversation format: pieces and ids, rendering, parsing."""
