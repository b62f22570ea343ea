"""The training queries of a phase: the shipped corpora's, or a user's file."""

from pathlib import Path

from tinr.catalogue.load import Catalogue, read_queries
from tinr.data.replay import teachable
from tinr.records import BadInput, Query
from tool_corpora.suites import training_queries


def load_queries(
    source: str, size: int, seed: int, catalogue: Catalogue, phase: str
) -> list[Query]:
    """`size` queries of the shipped corpora ("corpus") whose tools the catalogue has, or those of
    a file that can be taught.

    phase: as which they are drawn, so that phases have sets of their own. BadInput where there
    are none, or too few.
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
