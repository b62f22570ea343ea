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
    "Find the date a number of days after a date. "
    "Answers which calendar day is so many days later, as for deadlines and return periods.",
    returns="The later date, YYYY-MM-DD.",
    start=date("Date to count from."),
    days=integer("Number of days to add.", 0, 2000),
    ask=[
        "What is the date {days} days after {start}?",
        "Add {days} days to {start}.",
        "Starting on {start}, which date comes {days} days later?",
        "Move the date {start} forward by {days} days.",
        "Count {days} days on from {start}.",
        "If today is {start}, what will the date be in {days} days?",
        "The invoice is dated {start} and due in {days} days. When must I pay?",
        "Calculate {start} plus {days} days.",
        "A package shipped on {start} takes {days} days; on what day does it arrive?",
        "Give the calendar date that lies {days} days past {start}.",
        "My visa lasts {days} days from {start}. When will it expire?",
        "{days} days from {start} - which date?",
        "Tell me the day reached after {days} days have gone by since {start}.",
        "We begin on {start} and the project runs for {days} days; find the end date.",
        "Postpone the deadline of {start} by {days} days, please.",
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
    "Find the date a number of days before a date. "
    "Goes back in the calendar, to find which day it was so many days ago.",
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
    "Find the date a number of weeks after a date. "
    "Which calendar day is so many weeks ahead, as for pregnancies, courses and follow-up "
    "appointments.",
    returns="The later date, YYYY-MM-DD.",
    start=date("Date to count from."),
    weeks=integer("Number of weeks to add.", 0, 500),
    ask=[
        "What is the date {weeks} weeks after {start}?",
        "Add {weeks} weeks to {start}.",
        "Starting on {start}, which date comes {weeks} weeks later?",
        "Move {start} forward by {weeks} weeks.",
        "The course opens on {start} and goes on for {weeks} weeks; when is it finished?",
        "Calculate {start} plus {weeks} weeks.",
        "If my cast was put on at {start} and stays for {weeks} weeks, when does it come off?",
        "Which day will it be once {weeks} weeks have elapsed since {start}?",
        "Reschedule the meeting of {start} to {weeks} weeks later.",
        "{weeks} weeks from {start} - on what date is that?",
        "Find the calendar day lying {weeks} full weeks beyond {start}.",
        "Delivery takes {weeks} weeks. I ordered on {start}, so when should it get here?",
        "Please tell me the date in {weeks} weeks, taking {start} as today.",
        "Training plan of {weeks} weeks, first day {start}. End date?",
    ],
    held=[
        "The course begins {start} and lasts {weeks} weeks. When is it over?",
        "In {weeks} weeks from {start}, what will the date be?",
    ],
)
def add_weeks(start, weeks):
    return _shifted(start, 7 * weeks)


@tool(
    "Find the date a number of months after a date. "
    "Dates the end of a subscription, contract, warranty or probation running for some months.",
    returns="The later date, YYYY-MM-DD, at most the last day of its month.",
    start=date("Date to count from."),
    months=integer("Number of months to add.", 0, 240),
    ask=[
        "What is the date {months} months after {start}?",
        "Add {months} months to {start}.",
        "Starting on {start}, which date comes {months} months later?",
        "Move {start} forward by {months} months.",
        "My contract began on {start} and lasts {months} months. When is it over?",
        "Which date will it be once {months} months have passed since {start}?",
        "Calculate {start} plus {months} months.",
        "The warranty covers {months} months from the purchase on {start}; up to what date?",
        "Push the appointment on {start} back by {months} months, please.",
        "{months} months from {start} - give me the calendar date.",
        "If I subscribe on {start} for {months} months, what day does the subscription run out?",
        "Find the date lying {months} calendar months beyond {start}.",
        "Extend a deadline of {start} by another {months} months.",
        "A baby was born on {start}. On which date does it turn {months} months old?",
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
    "Count the days between two dates. "
    "A countdown to a holiday, or the length of a stay, with weekends counted in.",
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
        "We arrive on {first} and leave on {last}. How long is that in days?",
        "How far apart, in days, are {first} and {last}?",
        (
            "Including the first and the last day, how long does {first} to {last} take?",
            {"inclusive": True},
        ),
        "Until {last}, how many days do I have to wait if it's {first} now?",
        "Work out the gap in days separating {last} from {first}.",
        (
            "The fair runs from {first} through {last}. Counting both ends, how many days is "
            "it open?",
            {"inclusive": True},
        ),
        "Days elapsed since {first}, as of {last}?",
        (
            "Tell me the length in days of the period {first} to {last}, start and end day "
            "included.",
            {"inclusive": True},
        ),
        (
            "If I borrowed a book on {first} and returned it on {last}, for how many days did "
            "I have it?"
        ),
        "Difference of the dates {first} and {last}, measured in days, please.",
    ],
    held=[
        "I left on {first} and came back on {last}. How many days passed between?",
        ("Inclusive of both ends, how many days go from {first} to {last}?", {"inclusive": True}),
    ],
)
def count_days_between(first, last, inclusive=False):
    return abs((_day(last) - _day(first)).days) + (1 if inclusive else 0)


@tool(
    "Count the working days, Monday to Friday, between two dates. "
    "How many business days (weekdays) a project or leave takes, leaving out Saturdays and "
    "Sundays.",
    returns="The number of working days from the earlier date up to, not with, the later.",
    first=date("One date."),
    last=date("The other date."),
    ask=[
        "How many working days are there between {first} and {last}?",
        "Count the working days from {first} to {last}.",
        "Give the number of working days between the dates {first} and {last}.",
        "From {first} until {last}, how many days do we have to work?",
        "How many business days lie between {first} and {last}?",
        "My leave starts {first} and I'm back at {last}; how many weekdays does it cost me?",
        "Leaving out weekends, how many days pass from {first} to {last}?",
        "Business days, {first} to {last}?",
        "Tell me the count of Mondays through Fridays in the stretch from {first} until {last}.",
        "The office got the order on {first} and must ship by {last}. How many workdays is that?",
        "Calculate the weekdays between {first} and {last}, ignoring Saturdays and Sundays.",
        "By {last}, how many working days will have gone by since {first}?",
        "I'm paid per workday. How many do I have in the period {first} to {last}?",
        "Figure out how many days aren't weekend days between {first} and {last}.",
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
    "Tell which day of the week a date falls on. "
    "Whether a birthday, wedding or holiday is on a Monday, a Sunday or some other weekday.",
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
    "Find the first given weekday that comes after a date. "
    "Which date is the coming Monday or Friday, as for the next delivery or meeting.",
    returns="The date of that weekday, YYYY-MM-DD.",
    start=date("Date to search from."),
    weekday=choice("Weekday to find.", _WEEKDAYS[:5]),
    ask=[
        "What date is the first {weekday} after {start}?",
        "Find the next {weekday} after {start}.",
        "When is the next {weekday} following {start}?",
        "After {start}, on which date does the first {weekday} come?",
        (
            "The rubbish is collected every {weekday}. It's {start} today, so what date is "
            "the coming pick-up?"
        ),
        "Which date does the {weekday} right after {start} fall on?",
        "Give me the date of the earliest {weekday} later than {start}.",
        "Counting from {start}, when do we reach a {weekday}?",
        "I missed class on {start}; the next one is held on a {weekday}. What's the date?",
        "Upcoming {weekday} past {start}: date?",
        "Look in the calendar for the {weekday} that comes soonest after {start}.",
        "If {start} has passed, on what day of the calendar is the following {weekday}?",
        "Please tell me the date of the closest {weekday} beyond {start}.",
        "Our team meets on {weekday}. Find the first meeting date following {start}.",
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
    "Work out a person's age on a date from the birth date. "
    "How old somebody, or a baby in months, is, was or will be on some day.",
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
        "My daughter came into the world on {birth}. What age has she reached by {day}?",
        (
            "Date of birth {birth}, reference date {day}: age in full years?",
            {"unit": "years"},
        ),
        (
            "By {day}, how many months old is a baby born on {birth}?",
            {"unit": "months"},
        ),
        "Calculate someone's age as of {day}; their birthday is {birth}.",
        "Will an applicant born {birth} be of age on {day}? State how many years old they are.",
        (
            "Count the complete months of life on {day} for a child delivered on {birth}.",
            {"unit": "months"},
        ),
        "The form wants the age, in {unit}, on {day}. I was born on {birth}.",
        "A player has the birth date {birth}; tell me their age when the season opens on {day}.",
        "Expressed in {unit}, what age does a person with birthday {birth} have on {day}?",
        "On {day}, how many years will my grandfather, born {birth}, have lived?",
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
    "Find the clock time a number of minutes after a time. "
    "When a cake, film, meeting or parking ticket will be over, given its start and duration.",
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
    "Count the minutes from one clock time to another. "
    "Measures how long a shift, train ride, nap or lesson lasts from beginning to finish.",
    returns="The number of minutes, past midnight if the end is earlier.",
    start=clock("Clock time at the start."),
    end=clock("Clock time at the end."),
    ask=[
        "How many minutes are there from {start} to {end}?",
        "Count the minutes between the clock times {start} and {end}.",
        "The train leaves at {start} and arrives at {end}. How many minutes does it take?",
        "My shift ends at {end} and starts at {start}; count its minutes.",
        "The film begins at {start} and is over at {end}. How long is it in minutes?",
        "If I fall asleep at {start} and wake up at {end}, for how many minutes did I sleep?",
        "Express the span from {start} until {end} in minutes.",
        "It's {start} now and my bus goes at {end}; how many minutes have I left?",
        "Duration in minutes, start {start}, end {end}.",
        "Calculate how many minutes pass before it is {end}, beginning at {start}.",
        "By {end}, how many minutes has a cake been baking that went in at {start}?",
        (
            "What difference, in minutes, lies between a clock showing {start} and one later "
            "showing {end}?"
        ),
        "A meeting closed at {end} after opening at {start}. Give its length in minutes.",
        "I parked at {start} and drove off at {end}, so how many minutes do I owe?",
    ],
    held=[
        "Someone slept from {start} until {end}. For how many minutes?",
        "Between {start} and {end} on the clock, how many minutes go by?",
    ],
)
def minutes_between_times(start, end):
    return (_minutes(end) - _minutes(start)) % 1440
