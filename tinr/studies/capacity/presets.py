"""The sizes of the capacity study: catalogues, models and epochs. No torch."""

from dataclasses import dataclass

from tinr.records import BadInput


@dataclass(frozen=True)
class Point:
    """One model to align: its size, and the number of documents, which the seed samples."""

    documents: int
    hidden: int
    epochs: int  # three examples per tool in each: memorise, recall, schema
    layers: int = 2
    seed: int = 0

    @property
    def heads(self) -> int:
        return max(1, self.hidden // 64)


@dataclass(frozen=True)
class Preset:
    """The points and their shared settings."""

    points: tuple[Point, ...]
    longest: int  # characters per document, at most
    asked: int  # tools asked per model, at most
    base_tokens: int  # training tokens of each base
    vocabulary: int  # pieces before tags, role markers and tools
    batch_tokens: int
    rate: float  # peak learning rate of Muon
    minutes: float  # time limit of one run; the next run resumes

    def __post_init__(self) -> None:
        if any(point.documents < 2 or point.epochs < 1 for point in self.points):
            raise BadInput("preset: a point needs at least two documents and one epoch")


def _grid(sizes: dict[int, tuple[int, ...]], epochs: int, layers: int = 2) -> tuple[Point, ...]:
    """Hidden width -> numbers of documents."""
    return tuple(Point(n, hidden, epochs, layers) for hidden in sizes for n in sizes[hidden])


PRESETS = {
    "smoke": Preset(
        _grid({16: (4, 8, 16), 32: (4, 8, 16)}, epochs=2),
        longest=240, asked=8, base_tokens=4_000, vocabulary=1024, batch_tokens=2048, rate=0.01,
        minutes=2,
    ),
    # About three quarters of an hour on one core. In 56 thousand parameters, 50 documents were not
    # learned at all with 72 exposures, and completely with 288: too few exposures would measure
    # training time, not capacity. So would models narrower than 32 (docs/notebook.md).
    "cpu": Preset(
        (
            *_grid({32: (50, 100, 150, 200, 400), 40: (200,), 48: (100, 200, 300, 400),
                    64: (50, 100, 200, 400), 96: (100, 200), 128: (200,)}, epochs=64),
            Point(100, 64, 8), Point(100, 64, 16), Point(100, 64, 32), Point(100, 32, 192),
        ),
        longest=240, asked=200, base_tokens=300_000, vocabulary=1024, batch_tokens=2048,
        rate=0.01, minutes=90,
    ),
    "full": Preset(
        (
            *_grid({32: (50, 100, 200), 64: (50, 100, 200, 400), 128: (100, 200, 400, 800, 1600),
                    256: (400, 800, 1600, 2400), 384: (800, 1600, 2400)}, epochs=64),
            Point(400, 128, 8), Point(400, 128, 16), Point(400, 128, 32), Point(400, 64, 192),
        ),
        longest=600, asked=512, base_tokens=2_000_000, vocabulary=2048, batch_tokens=4096,
        rate=0.01, minutes=600,
    ),
}  # fmt: skip
