"""Epochs of sft as ready batches: traces with their replay, the easy ones first where asked.

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
    """Batches in their order, and what the log and the card say of their buckets.

    numbers: the bucket of each batch; (): there is one bucket alone, and batches are made as they
    are asked for.
    """

    batches: Iterator[Batch]
    buckets: Sequence[Bucket]
    numbers: Sequence[int] = ()

    def beside(self, share: int) -> Beside | None:
        """Step -> its bucket and how hard that is. share: batches of a step."""
        if not self.numbers:
            return None

        def at(step: int) -> Mapping[str, float]:
            number = self.numbers[min(step * share, len(self.numbers)) - 1]
            if number == UNORDERED:
                return {}
            return {
                "train/bucket": float(number),
                "train/difficulty": self.buckets[number].mean,
            }

        return at

    @property
    def taught(self) -> dict[str, list[dict[str, float]]]:
        """What the card says of each bucket; batches of all epochs that kept the order."""
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
    """All epochs as batches; the first `ordered` epochs go from bucket to bucket."""

    def numbered() -> Iterator[tuple[int, Batch]]:
        for epoch in range(epochs):
            queries = [bucket.queries for bucket in buckets]
            numbers = list(range(len(buckets)))
            if len(buckets) > 1 and epoch >= ordered:
                queries, numbers = [[query for some in queries for query in some]], [UNORDERED]
            for number, part in zip(numbers, examples(queries, epoch), strict=True):
                for batch in make_batches(part, config, seed + epoch, pad):
                    yield number, batch

    if len(buckets) == 1:
        return Paced((batch for _, batch in numbered()), buckets)
    made = list(numbered())
    return Paced((batch for _, batch in made), buckets, [number for number, _ in made])
