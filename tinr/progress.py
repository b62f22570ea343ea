"""Progress bars with the time left, for all that lasts: one look, on stderr, by the first process.

At a terminal a bar is there from the beginning, and gone again where the work was short. In a
log, where nothing can be drawn over, it comes after some seconds and moves twice a minute.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from tinr import distributed

SHORT = 2.0  # seconds of work of which no bar stays at a terminal
TERMINAL_PAUSE, LOG_PAUSE = 0.5, 30.0  # seconds between two looks of a bar
LOG_DELAY = 5.0  # seconds before a log shows a bar
SMOOTHING = 0.1  # of the speed that the time left is told by: batches come in bursts

Move = Callable[[int], Any]
Respond = Callable[[int, Sequence[int]], Sequence[int] | None]  # as tinr.rollout.generate has it
Steer = Callable[
    [Any, Any, Any], tuple[Sequence[int], Sequence[int]]
]  # as tinr.rollout.generate has it


class Bar(tqdm):
    """A bar that leaves no line behind at a terminal where the work was short."""

    monitor_interval = 0  # no thread that draws now and then: it would be in the way of a fork

    def close(self) -> None:
        """Draw the end, or clear what was drawn."""
        if not self.disable and self.format_dict["elapsed"] < SHORT:
            self.leave = False
        super().close()


def progress_bar(total: int, title: str, unit: str) -> Bar:
    """A bar over `total` units; it shows nothing without a title, nor on ranks above 0."""
    terminal = sys.stderr.isatty()
    pause = TERMINAL_PAUSE if terminal else LOG_PAUSE
    return Bar(
        total=total,
        desc=title,
        unit=unit,
        ncols=90,
        mininterval=pause,
        miniters=1,  # looked at whenever it moves: rows end far apart
        smoothing=SMOOTHING,
        delay=0.0 if terminal else LOG_DELAY,
        unit_scale=unit == "token",
        disable=not title or distributed.rank() > 0,
        file=sys.stderr,
    )


@contextmanager
def part_of(bar: tqdm, amount: int) -> Iterator[Move]:
    """Within, what moves the bar: by `amount` at most, and at the end by what is left of it.

    Work that fails moves the bar no further.
    """
    left = amount

    def move(count: int) -> None:
        nonlocal left
        step = min(count, left)
        left -= step
        bar.update(step)

    yield move
    bar.update(left)


def counting_ends(respond: Respond, move: Move) -> Respond:
    """The same environment, which moves a bar by one for each conversation that it ends."""

    def answer(row: int, ids: Sequence[int]) -> Sequence[int] | None:
        added = respond(row, ids)
        if added is None:
            move(1)
        return added

    return answer


def counting_tokens(prompts: int, move: Move) -> Steer:
    """Steers nothing, and moves a bar by each token: those of the prompts before the first step,
    then one for each row that runs."""
    unread = prompts

    def steer(rows: Any, ids: Any, own: Any) -> tuple[Sequence[int], Sequence[int]]:
        nonlocal unread
        move(unread + len(rows))
        unread = 0
        return (), ()

    return steer
