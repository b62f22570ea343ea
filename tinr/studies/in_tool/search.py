"""Bisection for the smallest width that reaches the threshold. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Literal

Status = Literal["found", "at_most", "not_reached", "open"]


def next_width(widths: Sequence[int], tried: Mapping[int, bool], first: int) -> int | None:
    """The width to try next; None if the answer is known or the grid is exhausted.

    widths ascend; tried: width -> whether it reached the threshold. Starts at `first` and moves one
    step at a time until the outcome changes, then bisects. A failure above the smallest success is
    ignored as noise of that model: the answer is the smallest width that reached the threshold.
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
    """Indices of the largest failure below the smallest success, and of that success.

    -1: nothing failed below it; len(widths): no width reached the threshold.
    """
    high = min((n for n, width in enumerate(widths) if tried.get(width)), default=len(widths))
    failures = (n for n, width in enumerate(widths[:high]) if tried.get(width) is False)
    return max(failures, default=-1), high


def smallest(widths: Sequence[int], tried: Mapping[int, bool]) -> tuple[Status, int | None]:
    """The status of the search and the smallest width so far.

    found: the next smaller width failed, or there is none. at_most: this width reached the
    threshold, but the next smaller one is not tried. not_reached: the grid's largest width failed.
    open: none of these.
    """
    low, high = bracket(widths, tried)
    if high < len(widths):
        return ("found" if high - low == 1 else "at_most"), widths[high]
    return ("not_reached" if tried.get(widths[-1]) is False else "open"), None
