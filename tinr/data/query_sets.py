"""The training queries of a phase: the shipped corpora's, or a user's file."""

from pathlib import Path

from tinr.catalogue.load import Catalogue, read_queries
from tinr.data.replay import teachable
from tinr.records import BadInput, Query
from tool_corpora.suites import training_queries


def load_queries(
    source: str, size: int, seed: int, catalogue: Catalogue, phase: str
) -> list[Query]:
    """Load `size` queries of the shipped corpora ("corpus"), or the teachable ones of a file.

    The catalogue has the tools of every corpus query. phase: part of the seed, so that phases
    have sets of their own. Raises BadInput where there are none, or too few.
    """
    if source != "corpus":
        return teachable(read_queries(Path(source), catalogue), source)
    try:
        return training_queries(size, seed, phase, catalogue.by_name)
    except ValueError as error:
        raise BadInput(
            f"queries=corpus: of the shipped queries, those of this catalogue: {error}; lower "
            "size, or give queries=FILE of your own"
        ) from error
