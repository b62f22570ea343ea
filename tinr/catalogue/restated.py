"""Texts that people write for a value that a call writes otherwise. No torch.

"March 1st, 2023" stands for 2023-03-01, "7:30 pm" for 19:30, "eight" for 8, "5%" for 0.05.
"""

import calendar
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any

DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d.%m.%Y", "%m-%d-%Y")
TIME_FORMATS = ("%H:%M", "%H:%M:%S")
NUMBER_WORDS = (  # not one: it is seldom a value
    *"two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split(),
    *"sixteen seventeen eighteen nineteen twenty".split(),
)
LARGEST = 10**12
LARGE_NUMBERS = (("billion", 10**9), ("million", 10**6), ("thousand", 10**3))
LONGEST = 30  # characters of a text that may be a date or a time
SHORTEST = 3  # characters of a place that stands for "place, state"


def restated(value: Any) -> list[str]:
    """Return other texts that state all of a value; empty if there are none."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return _numbers(value) if abs(value) < LARGEST else []
    if not isinstance(value, str):
        return []
    texts = [text for day in _dates(value) for text in _with_year(day)]
    texts += [text for moment in _times(value) for text in _clock(moment)]
    return [text for text in dict.fromkeys(texts) if text != value]


def abridged(value: Any) -> list[str]:
    """Return texts that state part of a value: no year, no state of a city, initials; or its rank.

    "March 1st" for 2023-03-01; "San Diego" and "SD" for "San Diego, CA"; "7th" for 7.
    """
    if isinstance(value, int) and value in range(2, 100):
        return [_ordinal(value)]
    if not isinstance(value, str):
        return []
    texts = [text for day in _dates(value) for text in _without_year(day)]
    place, comma, _ = value.partition(",")
    words = place.split()
    if comma and place[:1].isalpha() and len(place) >= SHORTEST:
        texts.append(place)
    if len(words) > 1 and all(word[:1].isupper() and word.isalpha() for word in words):
        texts.append("".join(word[0] for word in words))
    return [text for text in dict.fromkeys(texts) if text != value]


def _dates(text: str) -> list[date]:
    return [moment.date() for moment in _read(text, DATE_FORMATS)]


def _times(text: str) -> list[time]:
    return [moment.time() for moment in _read(text, TIME_FORMATS)]


def _read(text: str, formats: tuple[str, ...]) -> list[datetime]:
    moments = []
    for form in formats if len(text) <= LONGEST and text.isascii() else ():
        with suppress(ValueError):
            moments.append(datetime.strptime(text, form))
    return moments


def _with_year(day: date) -> list[str]:
    year, month, number = day.year, day.month, day.day
    texts = []
    for name in (calendar.month_name[month], calendar.month_abbr[month]):
        for cardinal in (f"{number}", _ordinal(number)):
            texts += [f"{name} {cardinal}, {year}", f"{name} {cardinal} {year}"]
            texts += [f"{cardinal} {name} {year}", f"{year} {name} {cardinal}"]
            texts += [f"{cardinal} of {name} {year}", f"{cardinal} of {name}, {year}"]
    for mark in "-/.":
        texts.append(mark.join((f"{year}", f"{month}", f"{number}")))
        texts.append(mark.join((f"{year}", f"{month:02}", f"{number:02}")))
    return [*texts, f"{month}/{number}/{year}", f"{month:02}/{number:02}/{year}"]


def _without_year(day: date) -> list[str]:
    texts = []
    for name in (calendar.month_name[day.month], calendar.month_abbr[day.month]):
        for cardinal in (_ordinal(day.day), f"{day.day}"):
            texts += [f"{name} {cardinal}", f"{cardinal} of {name}", f"{cardinal} {name}"]
    return texts


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number < 20 else endings.get(number % 10, 'th')}"


def _clock(moment: time) -> list[str]:
    """Return the times of a twelve-hour clock; none for a time with seconds."""
    if moment.second:
        return []
    hour, half = moment.hour % 12 or 12, "pm" if moment.hour >= 12 else "am"
    clocks = [f"{hour}:{moment.minute:02}", *([] if moment.minute else [f"{hour}"])]
    halves = (f" {half}", half, f" {half[0]}.m.")
    return [*(f"{clock}{end}" for clock in clocks for end in halves), f"{moment:%H:%M}"]


def _numbers(value: float) -> list[str]:
    texts = []
    if 0 < value < 1:
        share = f"{value * 100:.10g}"
        texts += [f"{share}%", f"{share} percent", f"{share} per cent"]
    if value in range(2, len(NUMBER_WORDS) + 2):
        texts.append(NUMBER_WORDS[int(value) - 2])
    for name, size in LARGE_NUMBERS:
        if abs(value) >= size and float(f"{value / size:.3g}") * size == value:
            texts.append(f"{value / size:.3g} {name}")
            break
    return texts
