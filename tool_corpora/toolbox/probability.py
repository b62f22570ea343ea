"""Chances of dice, coins and repeated or combined events, in percent."""

import math

from tool_corpora.kit import flag, integer, number, tool


def _shares(*percents):
    if not all(0 <= percent <= 100 for percent in percents):
        raise ValueError("a percentage must be from 0 to 100")
    return [percent / 100 for percent in percents]


def _counts(high, *counts):
    if not all(0 <= count <= high for count in counts):
        raise ValueError(f"a count must be from 0 to {high}")


@tool(
    "Find the chance that several dice show a given total. "
    "Odds of rolling a certain sum in board games or role-playing, with any die type.",
    returns="The chance in percent, rounded to 4 decimals.",
    dice=integer("Number of dice.", 2, 5),
    total=integer("Total of the dice.", 2, 20),
    sides=integer("Sides of each die.", 4, 12, default=6),
    ask=[
        "What is the chance that {dice} dice show a total of {total}?",
        "Chance of a total of {total} with {dice} dice?",
        "Find the chance for total {total} on {dice} dice with {sides} sides.",
        "I roll {dice} dice with {sides} sides. What is the chance of a total of {total}?",
        "How likely is a total of {total} when I throw {dice} dice?",
    ],
    held=[
        "Throwing {dice} dice, how big is the chance that the total is {total}?",
        "With {sides} sides per die and {dice} dice, how likely is the total {total}?",
        "Tell me how often {dice} dice give {total} in total.",
    ],
)
def dice_total_chance(dice, total, sides=6):
    _counts(20, dice)
    _counts(100, sides)
    if dice < 1 or sides < 1:
        raise ValueError("at least one die with one side is needed")
    ways = {0: 1}
    for _ in range(dice):
        added = {}
        for points, count in ways.items():
            for face in range(1, sides + 1):
                added[points + face] = added.get(points + face, 0) + count
        ways = added
    return round(100 * ways.get(total, 0) / sides**dice, 4)


@tool(
    "Find the chance that coin flips give a number of heads. "
    "Binomial odds for tossing a fair coin: exactly so many heads, or that many or more.",
    returns="The chance in percent, rounded to 4 decimals.",
    flips=integer("Number of coin flips.", 5, 20),
    heads=integer("Number of heads.", 0, 5),
    least=flag("Whether more heads count too."),
    ask=[
        "What is the chance of {heads} heads in {flips} coin flips?",
        "How likely are exactly {heads} heads when a coin is flipped {flips} times?",
        "In {flips} flips of a coin, find the chance of {heads} heads.",
        ("What is the chance of at least {heads} heads in {flips} coin flips?", {"least": True}),
        ("How likely are {heads} or more heads from {flips} flips of a coin?", {"least": True}),
        (
            "Toss a fair coin {flips} times: what is the probability of getting heads "
            "precisely {heads} times?"
        ),
        "I threw a coin {flips} times and it landed heads up {heads} times. How probable was that?",
        (
            "Odds of no fewer than {heads} heads over {flips} tosses?",
            {"least": True},
        ),
        "Probability, exactly {heads} heads, {flips} tosses",
        (
            "Tell me how probable it is that heads turns up {heads} times or more often when "
            "I toss {flips} coins.",
            {"least": True},
        ),
        (
            "A coin gets tossed {flips} times. Compute the likelihood that heads shows "
            "{heads} times, no more and no less."
        ),
        (
            "To win I need a minimum of {heads} heads among {flips} coin tosses. What are my odds?",
            {"least": True},
        ),
        "Give the odds for {heads} heads if {flips} fair coins are thrown.",
        (
            "With {flips} tosses, can you work out the percentage for the heads count being "
            "{heads} or above?",
            {"least": True},
        ),
        (
            "Out of {flips} throws of a coin, how often in percent would I see {heads} heads "
            "on the dot?"
        ),
    ],
    held=[
        "I flip a coin {flips} times. How big is the chance to see {heads} heads?",
        "Getting {heads} heads out of {flips} coin flips has what chance?",
        ("Flip {flips} coins; what chance is there for at least {heads} heads?", {"least": True}),
    ],
)
def coin_heads_chance(flips, heads, least=False):
    _counts(500, flips)
    _counts(10**6, heads)
    last = flips if least else heads
    ways = sum(math.comb(flips, k) for k in range(heads, min(last, flips) + 1))
    return round(100 * ways / 2**flips, 4)


@tool(
    "Find the chance that an event happens at least once in several tries. "
    "Tells how likely one or more successes are when repeating something, like buying several "
    "raffle tickets.",
    returns="The chance in percent, rounded to 4 decimals.",
    percent=number("Chance in one try, in percent.", 1, 90, 1),
    tries=integer("Number of tries.", 2, 30),
    ask=[
        "At {percent} percent per try, how likely is it at least once in {tries} tries?",
        "Chance of at least once in {tries} tries at {percent} percent each?",
        "An event has {percent} percent. Will it happen at least once in {tries} tries?",
        "In {tries} tries of {percent} percent, what is the chance to succeed at least once?",
        (
            "I get {tries} attempts, each working with probability {percent} percent. What "
            "are the odds that one or more works?"
        ),
        (
            "Each lottery ticket wins {percent}% of the time. If I buy {tries} of them, how "
            "probable is some win?"
        ),
        "Probability of one or more hits: {tries} shots, {percent} percent per shot",
        (
            "Suppose a rare item drops with {percent} % probability. After {tries} runs, how "
            "likely is it that I own one?"
        ),
        (
            "Work out the odds of not failing every time when I attempt it {tries} times with "
            "a {percent} percent success rate."
        ),
        (
            "A machine breaks down on {percent} percent of days; what is the probability of "
            "any breakdown within {tries} days?"
        ),
        (
            "How probable is it to see the event one time or more, given {percent}% per trial "
            "and {tries} trials?"
        ),
        (
            "Out of {tries} independent trials, tell me the likelihood that one or more "
            "succeeds when each succeeds {percent}% of the time."
        ),
        (
            "Rain probability is {percent} percent every day. Will I get wet on any of my "
            "{tries} days off? Give the odds."
        ),
        (
            "Please calculate the likelihood of some success over {tries} rounds, "
            "single-round probability {percent} percent."
        ),
    ],
    held=[
        "I get {tries} tries at {percent} percent. How likely do I win at least once?",
        "What is the chance to see it at least once, given {percent} percent and {tries} tries?",
    ],
)
def at_least_once_chance(percent, tries):
    (share,) = _shares(percent)
    _counts(10**6, tries)
    return round(100 * (1 - (1 - share) ** tries), 4)


@tool(
    "Find the chance that the first success comes at a given try. "
    "Geometric distribution: how likely it is to fail every time until exactly that attempt.",
    returns="The chance in percent, rounded to 4 decimals.",
    percent=number("Chance in one try, in percent.", 1, 90, 1),
    attempt=integer("Try with the first success.", 1, 15),
    ask=[
        "At {percent} percent each, what is the chance that the first success is try {attempt}?",
        "Chance that the first success comes on try {attempt} with {percent} percent?",
        "How likely is a first success exactly at try {attempt} if each has {percent} percent?",
        "With {percent} percent per try, find how likely try {attempt} is the first success.",
        (
            "I fail every time until attempt number {attempt}. How probable is that when each "
            "attempt works {percent}% of the time?"
        ),
        "Geometric probability: success rate {percent} %, first hit at trial {attempt}",
        (
            "Each dart hits with {percent} percent probability; what are the odds that dart "
            "number {attempt} is my first hit?"
        ),
        (
            "What's the probability of having to wait until trial {attempt} for a first win, "
            "winning {percent} percent of trials?"
        ),
        (
            "Calculate the odds that nothing works before attempt {attempt}, which then "
            "works, with a {percent}% success rate."
        ),
        (
            "A salesman closes {percent} percent of his calls. How likely is it that call "
            "number {attempt} brings his first deal?"
        ),
        (
            "Tell me the likelihood of my very first goal falling on shot {attempt}, given "
            "{percent}% accuracy."
        ),
        (
            "Shot number {attempt} is the first one to go in. At {percent} percent a shot, "
            "how probable was this?"
        ),
        (
            "Suppose things go right {percent} percent of the time; find the probability of "
            "the initial success landing on round {attempt}."
        ),
        (
            "Please give the percentage for attempt no. {attempt} being the earliest that "
            "succeeds, single-attempt odds {percent} percent."
        ),
    ],
    held=[
        "Each shot hits with {percent} percent. How likely is the first success at shot {attempt}?",
        "What chance has try {attempt} of being the first success at {percent} percent?",
    ],
)
def first_success_chance(percent, attempt):
    (share,) = _shares(percent)
    _counts(10**6, attempt)
    if attempt < 1:
        raise ValueError("the try must be at least 1")
    return round(100 * share * (1 - share) ** (attempt - 1), 4)


@tool(
    "Find the chance that both of two independent events happen. "
    "The probability of A and B together, such as rain today and a late train.",
    returns="The chance in percent, rounded to 4 decimals.",
    first=number("Chance of the first event.", 1, 99, 1),
    second=number("Chance of the second event.", 1, 99, 1),
    ask=[
        "What is the chance that both events of {first} and {second} percent happen?",
        "Two independent events have {first} and {second} percent. Chance of both?",
        "Find the chance of both, the first at {first} percent and the second at {second}.",
        "How likely are both events with chances {first} and {second}?",
    ],
    held=[
        "Rain has {first} percent and wind has {second} percent. How likely are both?",
        "If one event has {first} and the other {second} percent, do both happen, and how likely?",
    ],
)
def both_events_chance(first, second):
    one, two = _shares(first, second)
    return round(100 * one * two, 4)


@tool(
    "Find the chance that either of two independent events happens. "
    "The probability of A or B, where both may happen or only one of them.",
    returns="The chance in percent, rounded to 4 decimals.",
    first=number("Chance of the first event.", 1, 99, 1),
    second=number("Chance of the second event.", 1, 99, 1),
    exclusive=flag("Whether exactly one may happen."),
    ask=[
        "What is the chance that either event happens, at {first} and {second} percent?",
        "Independent events of {first} and {second} percent: chance of either?",
        "Find how likely either the first at {first} percent or the second at {second} is.",
        (
            "Chance of either but not both, with {first} and {second} percent?",
            {"exclusive": True},
        ),
        (
            "How likely is exactly one of either event at {first} percent and {second} percent?",
            {"exclusive": True},
        ),
    ],
    held=[
        "Bus A is late with {first} percent and bus B with {second}. Chance that either is late?",
        "I win if either event comes; they have {first} and {second} percent. How likely is it?",
        (
            "Of two events with {first} and {second} percent, will either come without the other?",
            {"exclusive": True},
        ),
    ],
)
def either_event_chance(first, second, exclusive=False):
    one, two = _shares(first, second)
    return round(100 * (one + two - (2 if exclusive else 1) * one * two), 4)


@tool(
    "Find the chance of being ill after a positive test result. "
    "Bayes for medical screening: how likely a patient testing positive really has the disease.",
    returns="The chance in percent, rounded to 4 decimals (Bayes).",
    ill=number("Percent of people who are ill.", 1, 40, 1),
    detected=number("Percent of ill people detected.", 60, 99, 1),
    alarms=number("Percent of false alarms.", 1, 30, 1),
    ask=[
        "Is a positive test right, with {ill} ill, {detected} detected, {alarms} false alarms?",
        "Chance after a positive test: {ill} percent ill, {detected} detected, {alarms} alarms.",
        "With {alarms} alarms, {detected} detected, {ill} ill, does a positive test mean much?",
        "My test was positive. Ill are {ill} percent, detected {detected}, false alarms {alarms}.",
        (
            "A disease affects {ill}% of people. The test catches {detected}% of cases and "
            "wrongly flags {alarms}%. I tested positive; am I sick?"
        ),
        (
            "Bayes: prevalence {ill} percent, sensitivity {detected} percent, false positive "
            "rate {alarms} percent. Probability of disease given a positive?"
        ),
        (
            "How probable is illness after a positive result when sensitivity is {detected}%, "
            "false positives {alarms}% and prevalence {ill}%?"
        ),
        (
            "False positive rate {alarms} %, prevalence {ill} %, detection rate {detected} %: "
            "how far can I trust a positive result?"
        ),
        (
            "The screening finds {detected} percent of the sick and frightens {alarms} "
            "percent of the healthy. With {ill} percent sick, what does positive mean?"
        ),
        (
            "My result came back positive. Healthy people get that {alarms}% of the time, "
            "sick ones {detected}%, and {ill}% are sick. Odds?"
        ),
        (
            "Work out the likelihood of really being infected: {ill}% carry the virus, hit "
            "rate {detected}%, wrong alerts {alarms}%."
        ),
        (
            "Given a positive outcome, find the probability of having the condition: "
            "sensitivity {detected}, prevalence {ill}, false positives {alarms}, all in "
            "percent."
        ),
        (
            "Of all patients {ill}% have it; a wrong alarm occurs in {alarms}% and a correct "
            "one in {detected}%. What does testing positive imply?"
        ),
        (
            "Should I worry about a positive test? It wrongly flags {alarms} percent, "
            "correctly flags {detected} percent, and {ill} percent are affected."
        ),
    ],
    held=[
        "I am positive. Am I ill, with {ill} ill, {alarms} false alarms, {detected} detected?",
        "Positive test: {detected} percent detected, {alarms} false alarms, {ill} ill. Chance?",
    ],
)
def positive_test_chance(ill, detected, alarms):
    prior, hit, false = _shares(ill, detected, alarms)
    positive = prior * hit + (1 - prior) * false
    if positive == 0:
        raise ValueError("the test is never positive")
    return round(100 * prior * hit / positive, 4)


@tool(
    "Find the Poisson chance of a count when an average is known. "
    "For rare random arrivals, like calls per hour: how likely exactly that many are.",
    returns="The chance in percent, rounded to 4 decimals.",
    average=number("Average count.", 1, 20, 1),
    count=integer("Count to find the chance of.", 0, 20),
    ask=[
        "With an average of {average}, what is the Poisson chance of a count of {count}?",
        "Poisson chance for count {count} and average {average}?",
        "How likely are {count} calls if the average is {average} by Poisson?",
        "Find the Poisson chance: average {average}, count {count}.",
        (
            "We usually receive {average} emails an hour. Under a Poisson model, how probable "
            "is an hour with {count}?"
        ),
        "Poisson probability of exactly {count} events when the mean is {average}?",
        (
            "Assuming Poisson arrivals, give the odds of seeing {count} customers where "
            "{average} are expected."
        ),
        "lambda = {average}, k = {count}, Poisson probability please",
        (
            "A shop sells {average} bikes a day on the whole. Work out how likely a day with "
            "{count} sales is, Poisson distributed."
        ),
        (
            "What percentage does the Poisson distribution give for observing {count}, its "
            "mean being {average}?"
        ),
        (
            "Exactly {count} accidents happened, although the mean is {average}. How probable "
            "was this according to Poisson?"
        ),
        (
            "Tell me the likelihood of {count} occurrences in a Poisson process that "
            "typically yields {average}."
        ),
        (
            "Use Poisson: I expect {average} goals per match, so what are the odds that "
            "precisely {count} are scored?"
        ),
        (
            "How often in percent would {count} faults show up if faults are Poisson with "
            "mean {average}?"
        ),
    ],
    held=[
        "Our shop has {average} visitors on average. Poisson chance of exactly {count}?",
        "By Poisson, a count of {count} is how likely under an average of {average}?",
    ],
)
def poisson_chance(average, count):
    _counts(1000, average, count)
    if average == 0:
        return 100.0 if count == 0 else 0.0
    log = count * math.log(average) - average - math.lgamma(count + 1)
    return round(100 * math.exp(log), 4)


@tool(
    "Find the chance that two people in a group share a birthday. "
    "The birthday paradox: how likely a class or party has two guests born the same day.",
    returns="The chance in percent, rounded to 4 decimals.",
    people=integer("People in the group.", 2, 60),
    days=integer("Days in the year.", 30, 700, default=365),
    ask=[
        "What is the chance of a shared birthday among {people} people?",
        "In a group of {people}, how likely do two share a birthday?",
        "Find the shared birthday chance for {people} people and a year of {days} days.",
        "If a year had {days} days, would {people} people share a birthday? Give the chance.",
        "How likely is the same birthday in a class of {people} people?",
        (
            "There will be {people} guests at my party. What are the odds that some pair was "
            "born on the same date?"
        ),
        "Birthday paradox for {people} persons, please.",
        (
            "On a planet whose year lasts {days} days, {people} aliens meet. How probable is "
            "a birthday match?"
        ),
        "Calculate the probability of any two out of {people} pupils celebrating on the same day.",
        "Year length {days} days, {people} individuals: likelihood of a coinciding birthday?",
        (
            "Would you bet on a birthday match with {people} strangers in the room? Tell me "
            "the percentage."
        ),
        (
            "Suppose the calendar counted {days} days; how probable would a birthday "
            "coincidence be among {people} colleagues?"
        ),
        "Our team has {people} members. How likely is it that some of their birthdays coincide?",
        (
            "Give me the odds that birthdays collide in a crowd of {people}, taking {days} "
            "days for one year."
        ),
        (
            "When {people} folks gather, what percentage of the time do at least two have the "
            "same birth date?"
        ),
    ],
    held=[
        "There are {people} people at the party. Chance that a birthday is shared?",
        "On a planet whose year has {days} days, how likely do {people} share a birthday?",
        "Tell me the odds that among {people} people some two have the same birthday.",
    ],
)
def shared_birthday_chance(people, days=365):
    _counts(10**4, people, days)
    if days < 1:
        raise ValueError("the year needs at least one day")
    different = 1.0
    for taken in range(min(people, days + 1)):
        different *= 1 - taken / days
    return round(100 * (1 - different), 4)
