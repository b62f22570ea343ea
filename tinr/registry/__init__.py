"""The checkpoint registry: where phases meet.

A checkpoint is a folder of files and a card. It becomes visible in one step, when its card
is written, and is immutable from then on; it is named by id, by tag, or by `phase@latest`.

    card    what one checkpoint is, and the facts of the machine it came from
    files   hashing, flushing and removing files
    shelf   resolve, open, find, lineage, verify: whatever only reads
    store   publish, tag, gc, export: whatever writes
"""

from tinr.registry.card import CARD_VERSION, PHASES, Card, environment, peak_rss_gib
from tinr.registry.store import Garbage, Registry

__all__ = [
    "CARD_VERSION",
    "PHASES",
    "Card",
    "Garbage",
    "Registry",
    "environment",
    "peak_rss_gib",
]
