"""Tool documents in: loading, checking, rendering and splitting a catalogue."""

from tinr.catalogue.load import (
    Catalogue,
    load_catalogue,
    query_from,
    query_line,
    read_jsonl,
    read_queries,
    write_jsonl,
)
from tinr.catalogue.render import describe, sentences, signature

__all__ = [
    "Catalogue",
    "describe",
    "load_catalogue",
    "query_from",
    "query_line",
    "read_jsonl",
    "read_queries",
    "sentences",
    "signature",
    "write_jsonl",
]
