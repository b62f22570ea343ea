"""Bisecting for the smallest width that reaches the threshold. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

Status = Literal["found", "at_most", "not_reached", "open"]


def next_width(widths: Sequence[int], tried: Mapping[int, bool], first: int) -> int | None:
    """The width to try next, None where the answer is known or the grid is at its end.

    widths ascend; tried: width -> whether it reached the threshold. From `first` one step at a
    time to where the outcome changes, then halves. A failure above the smallest success counts
    as that model's bad luck: the answer is the smallest width that reached it.
    """
    low, high = bracket(widths, tried)
    if not tried:
        return first
    if high - low == 1:
        return None
    if low < 0:
        return widths[high - 1]
    if high == len(widths):
        return widths[low + 1]
    return widths[(low + high) // 2]


def bracket(widths: Sequence[int], tried: Mapping[int, bool]) -> tuple[int, int]:
    """Places of the largest failure below the smallest success, and of that success.

    -1: nothing failed below; len(widths): nothing reached it.
    """
    high = min((n for n, width in enumerate(widths) if tried.get(width)), default=len(widths))
    failed = (n for n, width in enumerate(widths[:high]) if tried.get(width) is False)
    return max(failed, default=-1), high


def smallest(widths: Sequence[int], tried: Mapping[int, bool]) -> tuple[Status, int | None]:
    """What is known of the smallest width.

    found: it, with a failure one below or nothing below; at_most: it reached, smaller ones are
    not tried; not_reached: the largest of the grid failed; open: nothing of this.
    """
    low, high = bracket(widths, tried)
    if high < len(widths):
        return ("found" if high - low == 1 else "at_most"), widths[high]
    return ("not_reached" if tried.get(widths[-1]) is False else "open"), None
