"""Progress bars with the remaining time, in one style, on stderr, from the first rank only.

At a terminal, a bar appears at once, and disappears at the end of short work. In a log, where a
line cannot be overwritten, it appears after some seconds and is updated twice a minute.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from tinr import distributed

SHORT = 2.0  # seconds; a terminal does not keep the bar of shorter work
TERMINAL_PAUSE, LOG_PAUSE = 0.5, 30.0  # seconds between two updates of a bar
LOG_DELAY = 5.0  # seconds before a log shows a bar
SMOOTHING = 0.1  # of the speed, for the remaining time: batches finish in bursts

Move = Callable[[int], Any]
Respond = Callable[[int, Sequence[int]], Sequence[int] | None]  # as in tinr.rollout.generate
Steer = Callable[
    [Any, Any, Any], tuple[Sequence[int], Sequence[int]]
]  # as in tinr.rollout.generate


class Bar(tqdm):
    """A bar that leaves no line at a terminal after short work."""

    monitor_interval = 0  # no monitor thread: it would interfere with a fork

    def close(self) -> None:
        """Draw the final bar, or clear it."""
        if not self.disable and self.format_dict["elapsed"] < SHORT:
            self.leave = False
        super().close()


def progress_bar(total: int, title: str, unit: str) -> Bar:
    """Return a bar over `total` units; it is hidden without a title and on ranks above 0."""
    is_terminal = sys.stderr.isatty()
    interval = TERMINAL_PAUSE if is_terminal else LOG_PAUSE
    return Bar(
        total=total,
        desc=title,
        unit=unit,
        ncols=90,
        mininterval=interval,
        miniters=1,  # check at every move: rows finish far apart
        smoothing=SMOOTHING,
        delay=0.0 if is_terminal else LOG_DELAY,
        unit_scale=unit == "token",
        disable=not title or distributed.rank() > 0,
        file=sys.stderr,
    )


@contextmanager
def part_of(bar: tqdm, amount: int) -> Iterator[Move]:
    """Yield a function that moves the bar by at most `amount`; the exit moves it by the rest.

    After an exception the bar does not move any further.
    """
    remainder = amount

    def move(count: int) -> None:
        nonlocal remainder
        step = min(count, remainder)
        remainder -= step
        bar.update(step)

    yield move
    bar.update(remainder)


def counting_ends(respond: Respond, move: Move) -> Respond:
    """Return an environment that also moves a bar by one for each conversation it ends."""

    def answer(row: int, ids: Sequence[int]) -> Sequence[int] | None:
        reply = respond(row, ids)
        if reply is None:
            move(1)
        return reply

    return answer


def counting_tokens(prompts: int, move: Move) -> Steer:
    """Return a `Steer` that only moves a bar by one for each token.

    The first step adds the tokens of the prompts; every step adds one per running row.
    """
    unread_prompts = prompts

    def steer(rows: Any, ids: Any, is_own: Any) -> tuple[Sequence[int], Sequence[int]]:
        nonlocal unread_prompts
        move(unread_prompts + len(rows))
        unread_prompts = 0
        return (), ()

    return steer
