"""The conversation's format: pieces and ids, rendering, parsing."""
