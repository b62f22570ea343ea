"""Calendar dates, weekdays and times of day."""

import datetime

from tool_corpora.kit import choice, clock, date, flag, integer, tool

_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_day = datetime.date.fromisoformat


def _shifted(start, days):
    """The ISO date `days` after the ISO date `start`."""
    try:
        return (_day(start) + datetime.timedelta(days=days)).isoformat()
    except OverflowError:
        raise ValueError("the result lies outside the years 1 to 9999") from None


def _minutes(time):
    """Minutes since midnight of an HH:MM time."""
    parsed = datetime.time.fromisoformat(time)
    return parsed.hour * 60 + parsed.minute


@tool(
    "Find the date a number of days after a date.",
    returns="The later date, YYYY-MM-DD.",
    start=date("Date to count from."),
    days=integer("Number of days to add.", 0, 2000),
    ask=[
        "What is the date {days} days after {start}?",
        "Add {days} days to {start}.",
        "Starting on {start}, which date comes {days} days later?",
        "Move the date {start} forward by {days} days.",
        "Count {days} days on from {start}.",
    ],
    held=[
        "My ticket of {start} runs out {days} days later. On which date?",
        "Which day do I reach when {days} days are added to {start}?",
        "{start} plus {days} days gives what date?",
    ],
)
def add_days(start, days):
    return _shifted(start, days)


@tool(
    "Find the date a number of days before a date.",
    returns="The earlier date, YYYY-MM-DD.",
    start=date("Date to count back from."),
    days=integer("Number of days to subtract.", 0, 2000),
    ask=[
        "What is the date {days} days before {start}?",
        "Subtract {days} days from {start}.",
        "Going back {days} days from {start}, which date is it?",
        "Move the date {start} backward by {days} days.",
        "Which date was {days} days earlier than {start}?",
    ],
    held=[
        "I must book {days} days before {start}. Which date is that?",
        "From {start} go {days} days back and tell me the date.",
        "{start} minus {days} days is which day?",
    ],
)
def subtract_days(start, days):
    return _shifted(start, -days)


@tool(
    "Find the date a number of weeks after a date.",
    returns="The later date, YYYY-MM-DD.",
    start=date("Date to count from."),
    weeks=integer("Number of weeks to add.", 0, 500),
    ask=[
        "What is the date {weeks} weeks after {start}?",
        "Add {weeks} weeks to {start}.",
        "Starting on {start}, which date comes {weeks} weeks later?",
        "Move {start} forward by {weeks} weeks.",
    ],
    held=[
        "The course begins {start} and lasts {weeks} weeks. When is it over?",
        "In {weeks} weeks from {start}, what will the date be?",
    ],
)
def add_weeks(start, weeks):
    return _shifted(start, 7 * weeks)


@tool(
    "Find the date a number of months after a date.",
    returns="The later date, YYYY-MM-DD, at most the last day of its month.",
    start=date("Date to count from."),
    months=integer("Number of months to add.", 0, 240),
    ask=[
        "What is the date {months} months after {start}?",
        "Add {months} months to {start}.",
        "Starting on {start}, which date comes {months} months later?",
        "Move {start} forward by {months} months.",
    ],
    held=[
        "A guarantee from {start} holds {months} months. Until which date?",
        "In {months} months from {start}, what will the calendar show?",
    ],
)
def add_months(start, months):
    day = _day(start)
    years, month = divmod(day.month - 1 + months, 12)
    if day.year + years > 9999:
        raise ValueError("the result lies after the year 9999")
    for last in (day.day, 30, 29, 28):
        try:
            return datetime.date(day.year + years, month + 1, min(day.day, last)).isoformat()
        except ValueError:
            continue
    raise ValueError("no such date")


@tool(
    "Count the days between two dates.",
    returns="The number of days, in either order of the dates.",
    first=date("One date."),
    last=date("The other date."),
    inclusive=flag("Count both end dates too."),
    ask=[
        "How many days are there between {first} and {last}?",
        "Count the days from {first} to {last}.",
        "Give the number of days between the dates {first} and {last}.",
        (
            "Count the days from {first} to {last}, both dates inclusive.",
            {"inclusive": True},
        ),
        ("How many days lie between {first} and {last}, inclusive?", {"inclusive": True}),
    ],
    held=[
        "I left on {first} and came back on {last}. How many days passed between?",
        ("Inclusive of both ends, how many days go from {first} to {last}?", {"inclusive": True}),
    ],
)
def count_days_between(first, last, inclusive=False):
    return abs((_day(last) - _day(first)).days) + (1 if inclusive else 0)


@tool(
    "Count the working days, Monday to Friday, between two dates.",
    returns="The number of working days from the earlier date up to, not with, the later.",
    first=date("One date."),
    last=date("The other date."),
    ask=[
        "How many working days are there between {first} and {last}?",
        "Count the working days from {first} to {last}.",
        "Give the number of working days between the dates {first} and {last}.",
        "From {first} until {last}, how many days do we have to work?",
    ],
    held=[
        "The job started {first} and was due {last}. How many working days is that?",
        "Without weekends, how many working days separate {first} and {last}?",
    ],
)
def count_working_days(first, last):
    start, end = sorted((_day(first), _day(last)))
    weeks, rest = divmod((end - start).days, 7)
    return 5 * weeks + sum((start.weekday() + step) % 7 < 5 for step in range(rest))


@tool(
    "Tell which day of the week a date falls on.",
    returns="The weekday's name in lower case, or its first three letters.",
    day=date("Date to look at."),
    short=flag("Give only the first three letters."),
    ask=[
        "Which day of the week is {day}?",
        "What weekday does {day} fall on?",
        "Tell me the weekday of the date {day}.",
        "On which day of the week was I born, if it was {day}?",
        ("Give the short weekday of {day}.", {"short": True}),
        ("In short form, which day of the week is {day}?", {"short": True}),
    ],
    held=[
        "Is {day} a Monday, or which other weekday?",
        ("Name the weekday for {day}, short please.", {"short": True}),
    ],
)
def weekday_of_date(day, short=False):
    weekday = _WEEKDAYS[_day(day).weekday()]
    return weekday[:3] if short else weekday


@tool(
    "Find the first given weekday that comes after a date.",
    returns="The date of that weekday, YYYY-MM-DD.",
    start=date("Date to search from."),
    weekday=choice("Weekday to find.", _WEEKDAYS[:5]),
    ask=[
        "What date is the first {weekday} after {start}?",
        "Find the next {weekday} after {start}.",
        "When is the next {weekday} following {start}?",
        "After {start}, on which date does the first {weekday} come?",
    ],
    held=[
        "We meet on the next {weekday} once {start} is over. Which date?",
        "Looking past {start}, give me the first {weekday}.",
    ],
)
def next_weekday_after(start, weekday):
    ahead = (_WEEKDAYS.index(weekday) - _day(start).weekday() - 1) % 7 + 1
    return _shifted(start, ahead)


@tool(
    "Work out a person's age on a date from the birth date.",
    returns="The age in full years or full months.",
    birth=date("Date of birth.", 1930, 1989),
    day=date("Date on which the age is wanted.", 1990, 2049),
    unit=choice("Unit of the age.", ["years", "months"], default="years"),
    ask=[
        "How old is a person born {birth} on {day}?",
        "Find the age on {day} of someone whose birth date is {birth}.",
        "What is my age on {day}, if my birth was {birth}?",
        "Give the age in {unit} on {day} of a woman born {birth}.",
        "How old in {unit} will a man born on {birth} be on {day}?",
    ],
    held=[
        "With a birth date of {birth}, what age does one have on {day}?",
        "On {day} I want her age in {unit}; she was born {birth}.",
    ],
)
def age_on_date(birth, day, unit="years"):
    born, then = _day(birth), _day(day)
    months = (then.year - born.year) * 12 + then.month - born.month - (then.day < born.day)
    if then < born:
        raise ValueError("the date lies before the birth")
    return months if unit == "months" else months // 12


@tool(
    "Find the clock time a number of minutes after a time.",
    returns="The later clock time, HH:MM, past midnight if need be.",
    time=clock("Clock time to start from."),
    minutes=integer("Number of minutes to add.", 0, 1440),
    ask=[
        "What time is it {minutes} minutes after {time}?",
        "Add {minutes} minutes to the clock time {time}.",
        "The film starts at {time} and takes {minutes} minutes. At what time does it end?",
        "Move the clock from {time} forward by {minutes} minutes.",
    ],
    held=[
        "It is {time} now. What will the clock say in {minutes} minutes?",
        "At what clock time is the cake done, {minutes} minutes from {time}?",
    ],
)
def add_clock_minutes(time, minutes):
    total = (_minutes(time) + minutes) % 1440
    return f"{total // 60:02d}:{total % 60:02d}"


@tool(
    "Count the minutes from one clock time to another.",
    returns="The number of minutes, past midnight if the end is earlier.",
    start=clock("Clock time at the start."),
    end=clock("Clock time at the end."),
    ask=[
        "How many minutes are there from {start} to {end}?",
        "Count the minutes between the clock times {start} and {end}.",
        "The train leaves at {start} and arrives at {end}. How many minutes does it take?",
        "My shift ends at {end} and starts at {start}; count its minutes.",
    ],
    held=[
        "Someone slept from {start} until {end}. For how many minutes?",
        "Between {start} and {end} on the clock, how many minutes go by?",
    ],
)
def minutes_between_times(start, end):
    return (_minutes(end) - _minutes(start)) % 1440
