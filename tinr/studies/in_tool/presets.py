"""The sizes of a study: numbers of facts, widths, budgets and time. Data, no torch."""

from dataclasses import dataclass

from tinr.records import BadInput
from tinr.studies.in_tool.people import Form
from tinr.studies.in_tool.recipe import Budget

WIDTHS = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)  # a multiple of 4: 2 heads, RoPE


@dataclass(frozen=True)
class Schedule:
    """The plan of one form: numbers of facts, candidate widths and budget."""

    facts: tuple[int, ...]
    first: tuple[int, ...]  # the width to try first at each number of facts
    widths: tuple[int, ...]  # the grid, ascending
    batch: tuple[int, int]  # conversations per step, minimum and maximum
    rounds: int  # batches that the facts are split into, if `batch` allows it
    exposures: int  # per fact in a budget, if `steps` allows it
    steps: tuple[int, int]  # per budget, minimum and maximum

    def __post_init__(self) -> None:
        if len(self.facts) != len(self.first) or not set(self.first) <= set(self.widths):
            raise BadInput("plan: give each number of facts a first width from the grid")
        if any(width % 4 for width in self.widths) or list(self.widths) != sorted(self.widths):
            raise BadInput(f"plan: widths {self.widths} must ascend and be multiples of 4")

    def budget(self, facts: int) -> Budget:
        """The budget of one model with this number of facts."""
        batch = _clamp(facts // self.rounds, self.batch)
        return Budget(batch, _clamp(self.exposures * facts // batch, self.steps))


@dataclass(frozen=True)
class Preset:
    """The plans of both forms, the number of seeds and the time limit."""

    plans: dict[Form, Schedule]
    seeds: int
    minutes: float  # of the whole study; unfinished points are left open
    asked: int  # facts per model asked in an evaluation, at most
    unseen: int  # the same, about people with unseen first names


def _clamp(value: int, limits: tuple[int, int]) -> int:
    return max(limits[0], min(limits[1], value))


PRESETS = {
    "smoke": Preset(
        {
            "in_weight": Schedule((8,), (12,), (8, 12), (8, 8), 1, 300, (300, 300)),
            "in_tool": Schedule((8,), (12,), (8, 12), (8, 8), 1, 300, (300, 300)),
        },
        seeds=1,
        minutes=0.75,
        asked=64,
        unseen=16,
    ),
    "cpu": Preset(
        {
            "in_weight": Schedule(
                (64, 256, 512, 1024), (8, 16, 20, 24), WIDTHS[:11], (64, 128), 4, 400,
                (1200, 3000),
            ),
            "in_tool": Schedule(
                (64, 512, 2048, 8192), (12, 20, 20, 16), WIDTHS[:11], (64, 64), 16, 200,
                (1500, 2000),
            ),
        },
        seeds=2,
        minutes=19.0,
        asked=512,
        unseen=128,
    ),
    "full": Preset(
        {
            "in_weight": Schedule(
                (64, 512, 4096, 32768), (8, 16, 36, 72), tuple(range(4, 132, 4)), (64, 1024), 32,
                150, (2000, 4800),
            ),
            "in_tool": Schedule(
                (64, 512, 4096, 32768), (12, 16, 16, 16), tuple(range(4, 68, 4)), (64, 256), 32,
                60, (3000, 3000),
            ),
        },
        seeds=10,
        minutes=9.5,
        asked=1024,
        unseen=256,
    ),
}  # fmt: skip
