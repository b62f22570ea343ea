"""Batches of all epochs of sft: traces with their replay, optionally from easy to hard.

Source of the order: iTool, arXiv 2501.09766, warm-up from easy to hard.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinr.config import TrainingConfig
from tinr.data.curriculum import Bucket
from tinr.data.packing import Batch, Example, make_batches
from tinr.records import Query
from tinr.run_log import Beside

# queries of each bucket, epoch -> the examples of each bucket, replay included
EpochExamples = Callable[[Sequence[Sequence[Query]], int], Sequence[Sequence[Example]]]
UNORDERED = -1  # the bucket of a batch of all queries


@dataclass(frozen=True)
class Paced:
    """Batches in order, and their buckets for the log and the card.

    numbers: the bucket of each batch. (): there is only one bucket, and the iterator makes
    batches on demand.
    """

    batches: Iterator[Batch]
    buckets: Sequence[Bucket]
    numbers: Sequence[int] = ()

    def beside(self, share: int) -> Beside | None:
        """Return a map from a step to its bucket and difficulty. share: batches per step."""
        if not self.numbers:
            return None

        def bucket_values(step: int) -> Mapping[str, float]:
            number = self.numbers[min(step * share, len(self.numbers)) - 1]
            if number == UNORDERED:
                return {}
            return {
                "train/bucket": float(number),
                "train/difficulty": self.buckets[number].mean,
            }

        return bucket_values

    @property
    def taught(self) -> dict[str, list[dict[str, float]]]:
        """Describe each bucket for the card; batches are counted over all ordered epochs."""
        if not self.numbers:
            return {}
        rows = [
            {
                "queries": len(bucket.queries),
                "low": bucket.low,
                "mean": bucket.mean,
                "high": bucket.high,
                "batches": self.numbers.count(number),
            }
            for number, bucket in enumerate(self.buckets)
        ]
        return {"curriculum": rows}


def paced_batches(
    examples: EpochExamples,
    buckets: Sequence[Bucket],
    epochs: int,
    ordered: int,
    config: TrainingConfig,
    seed: int,
    pad: int,
) -> Paced:
    """Make the batches of all epochs; the first `ordered` epochs go from bucket to bucket."""

    def numbered_batches() -> Iterator[tuple[int, Batch]]:
        for epoch in range(epochs):
            queries = [bucket.queries for bucket in buckets]
            numbers = list(range(len(buckets)))
            if len(buckets) > 1 and epoch >= ordered:
                queries, numbers = (
                    [[query for bucket_queries in queries for query in bucket_queries]],
                    [UNORDERED],
                )
            for number, bucket_examples in zip(numbers, examples(queries, epoch), strict=True):
                for batch in make_batches(bucket_examples, config, seed + epoch, pad):
                    yield number, batch

    if len(buckets) == 1:
        return Paced((batch for _, batch in numbered_batches()), buckets)
    pairs = list(numbered_batches())
    return Paced((batch for _, batch in pairs), buckets, [number for number, _ in pairs])
