"""The training queries of a phase, from the shipped corpora or from a user's file."""

from pathlib import Path

from tinr.catalogue.load import Catalogue, read_queries
from tinr.data.replay import teachable
from tinr.records import BadInput, Query
from tool_corpora.suites import training_queries


def load_queries(
    source: str, size: int, seed: int, catalogue: Catalogue, phase: str
) -> list[Query]:
    """Load `size` queries of the shipped corpora ("corpus"), or the teachable ones of a file.

    Corpus queries ask only for tools of the catalogue. phase: part of the seed, so that each phase
    has its own set. Raises BadInput if there are no queries, or too few.
    """
    if source != "corpus":
        return teachable(read_queries(Path(source), catalogue), source)
    try:
        return training_queries(size, seed, phase, catalogue.by_name)
    except ValueError as error:
        raise BadInput(
            f"queries=corpus: shipped queries for this catalogue: {error}; lower size, or give "
            "your own with queries=FILE"
        ) from error
