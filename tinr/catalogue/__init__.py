"""Tool documents: loading, checking, rendering, retrieving."""
