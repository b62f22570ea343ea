"""Scores, averages and ratings in sports."""

from tool_corpora.kit import choice, integer, number, tool


@tool(
    "Compute the batting average of a baseball player. "
    "Divides a hitter's hits by at-bats (BA), to rate hitting rather than pitching.",
    returns="The average, rounded to 3 decimals.",
    hits=number("Number of hits.", 5, 60, 0),
    at_bats=number("Number of at-bats.", 61, 600, 0),
    ask=[
        "What is the batting average for {hits} hits out of {at_bats} at-bats?",
        "A batter made {hits} hits in {at_bats} at-bats. Give the batting average.",
        "Compute a batting average: at-bats {at_bats}, hits {hits}.",
        "With {at_bats} at-bats and {hits} hits, how high is the batting average?",
    ],
    held=[
        "How well does a player bat on average with {hits} hits from {at_bats} at-bats?",
        "She came to {at_bats} at-bats and got {hits} hits; what batting average is that?",
    ],
)
def batting_average(hits, at_bats):
    if not (0 <= hits <= at_bats <= 1e6 and at_bats >= 1):
        raise ValueError("there cannot be more hits than at-bats, nor no at-bats")
    return round(hits / at_bats, 3)


@tool(
    "Compute the earned run average of a baseball pitcher. "
    "The ERA statistic: how many runs a pitcher gives up over a full game.",
    returns="The earned runs per nine innings, rounded to 2 decimals.",
    runs=integer("Earned runs allowed.", 0, 99),
    innings=integer("Innings pitched.", 1, 5000),
    ask=[
        "What is the earned run average for {runs} runs in {innings} innings?",
        "A pitcher allowed {runs} earned runs over {innings} innings. Give the average.",
        "Compute the pitcher's earned run average: innings {innings}, runs {runs}.",
        "With {innings} innings pitched and {runs} earned runs, how high is the run average?",
    ],
    held=[
        "How good is a pitcher's earned run average after {innings} innings and {runs} runs?",
        "He pitched {innings} innings and gave up {runs} earned runs; which average is that?",
    ],
)
def earned_run_average(runs, innings):
    return round(9 * runs / innings, 2)


@tool(
    "Count the league points of a team from its results. "
    "For football or hockey standings: how many points wins and ties earn in the table.",
    returns="The number of points.",
    wins=integer("Number of wins.", 0, 90),
    draws=integer("Number of draws, one point each.", 0, 90),
    win_points=integer("Points for a win.", 1, 10, default=3),
    ask=[
        "How many league points has a team with {wins} wins and {draws} draws?",
        "Count the league points for {draws} draws and {wins} wins.",
        "A team has {wins} wins and {draws} draws at {win_points} points a win. How many points?",
        "Give the team's points in the league after {wins} wins, {draws} draws.",
        "If a win is worth {win_points}, how many league points give {wins} wins and {draws} "
        "draws?",
    ],
    held=[
        "Our team collected {wins} wins plus {draws} draws; what are its league points?",
        "Where each win brings {win_points}, total the league points: draws {draws}, wins {wins}.",
        "In the league table, how many points belong to {draws} draws with {wins} wins?",
    ],
)
def league_points(wins, draws, win_points=3):
    return wins * win_points + draws


@tool(
    "Compute the pace of a run in minutes per kilometre. "
    "Joggers and marathoners see how long each kilometre took them, given distance and time.",
    returns="The pace as minutes:seconds.",
    kilometres=number("Distance run in kilometres.", 3, 42, 1),
    minutes=number("Time of the run in minutes.", 15, 99, 1),
    ask=[
        "What is my pace if I run {kilometres} kilometres in {minutes} minutes?",
        "I ran for {minutes} minutes and covered {kilometres} kilometres. Give the pace.",
        "Compute the running pace: {kilometres} kilometres, {minutes} minutes.",
        "At which pace does one run {kilometres} kilometres within {minutes} minutes?",
    ],
    held=[
        "My run took {minutes} minutes for {kilometres} kilometres; how fast was the pace?",
        "Which pace must a runner hold to finish {kilometres} kilometres in {minutes} minutes?",
    ],
)
def running_pace(kilometres, minutes):
    if not (0.01 <= kilometres <= 1e5 and 0 <= minutes <= 1e6):
        raise ValueError("kilometres must be 0.01 to 100000 and minutes 0 to 1000000")
    seconds = round(minutes * 60 / kilometres)
    return f"{seconds // 60}:{seconds % 60:02d}"


@tool(
    "Update an Elo rating after one game. "
    "For chess and online gaming: a player's new score after beating or losing to someone.",
    returns="The new rating, rounded to 1 decimal.",
    rating=number("Rating before the game.", 900, 2700, 0),
    opponent=number("Rating of the opponent.", 900, 2700, 0),
    result=choice("Result for the player.", ["win", "draw", "loss"]),
    factor=integer("Largest change, the K factor.", 1, 64, default=32),
    ask=[
        "Update the Elo rating {rating} after a {result} against an opponent of {opponent}.",
        "What Elo rating follows for {rating} after a {result} with opponent {opponent}?",
        "A {result} against opponent {opponent}: compute the new Elo for {rating}.",
        "With factor {factor}, update Elo {rating} for a {result} against the opponent {opponent}.",
        "My rating is {rating}, the opponent {opponent}, result {result}, factor {factor}. "
        "New Elo?",
    ],
    held=[
        "How does an Elo of {rating} change through a {result} against an opponent at {opponent}?",
        "The opponent had {opponent}, I had {rating}, it was a {result}. Which Elo do I have now?",
        "Use the factor {factor}: opponent {opponent}, {result}, my Elo {rating} before. "
        "What after?",
    ],
)
def elo_rating_update(rating, opponent, result, factor=32):
    if not (-1e4 <= rating <= 1e4 and -1e4 <= opponent <= 1e4):
        raise ValueError("ratings must be from -10000 to 10000")
    expected = 1 / (1 + 10 ** ((opponent - rating) / 400))
    score = {"win": 1, "draw": 0.5, "loss": 0}[result]
    return round(rating + factor * (score - expected), 1) + 0.0
