"""Means, spread and other statistics of samples."""

import math

from tool_corpora.kit import choice, flag, integer, integers, number, numbers, tool


def _sample(values, least=1):
    """The values, if there are enough of them and none is huge."""
    if len(values) < least:
        raise ValueError(f"at least {least} values are needed")
    if len(values) > 1000 or not all(-1e9 <= v <= 1e9 for v in values):
        raise ValueError("at most 1000 values between -1e9 and 1e9 are taken")
    return values


def _positive(values):
    """The values as a sample that is positive throughout."""
    if min(_sample(values)) < 1e-9:
        raise ValueError("all values must be positive")
    return values


@tool(
    "Find the arithmetic mean of numbers. "
    "The ordinary average of scores, prices or measurements: add them up and divide by how many.",
    returns="The arithmetic mean, rounded to 4 decimals.",
    values=numbers("Numbers to average.", 0, 100),
    ask=[
        "What is the arithmetic mean of {values}?",
        "Find the arithmetic mean of the numbers {values}.",
        "The readings were {values}. Compute their arithmetic mean.",
        "For {values}, give the arithmetic mean.",
        "Average these numbers for me: {values}.",
        "I scored {values} this term; what is my average?",
        "Add up {values} and divide by how many there are. What comes out?",
        "Data {values}; mean value, please",
        "Could you tell me what {values} come to on average?",
        "Our shop took in {values} over the past days. Calculate the ordinary mean.",
        "Here is my data set, {values}, and I need its plain average.",
        "What average do you get when you take {values} together?",
        "Work out the simple, unweighted average for {values}.",
        "On average, how large are the measurements {values}?",
    ],
    held=[
        "I scored {values}; what arithmetic mean do I have?",
        "Take the numbers {values} and report the arithmetic mean.",
    ],
)
def arithmetic_mean(values):
    return round(math.fsum(_sample(values)) / len(values), 4)


@tool(
    "Find the geometric mean of positive numbers. "
    "Averages growth factors, returns or ratios by multiplying them and taking the root.",
    returns="The geometric mean, rounded to 4 decimals.",
    values=numbers("Positive numbers.", 1, 100),
    ask=[
        "What is the geometric mean of {values}?",
        "Find the geometric mean of the numbers {values}.",
        "The growth factors were {values}. Compute their geometric mean.",
        "For {values}, give the geometric mean.",
        "Multiply {values} together and take the root for their number. What is the result?",
        "I need the geometric average for {values}.",
        "Geometric mean please, data: {values}",
        (
            "My fund multiplied by {values} in successive years. What constant factor per "
            "year would be equivalent?"
        ),
        "Calculate the n-th root of the product of the n numbers {values}.",
        "Could you average {values} geometrically rather than arithmetically?",
        "These ratios came out of my experiment: {values}. Which number is their geometric mean?",
        "Tell me the multiplicative average when the figures are {values}.",
        "Taking {values} as positive readings, how large is the geometric mean?",
        "Work out which single factor, used every time, gives the same product as {values}.",
    ],
    held=[
        "I measured {values}; what geometric mean results?",
        "Report the geometric mean that belongs to {values}.",
    ],
)
def geometric_mean(values):
    return round(math.exp(math.fsum(map(math.log, _positive(values))) / len(values)), 4)


@tool(
    "Find the harmonic mean of positive numbers. "
    "Averages rates, such as speeds over equal distances, through their reciprocals.",
    returns="The harmonic mean, rounded to 4 decimals.",
    values=numbers("Positive numbers.", 1, 100),
    ask=[
        "What is the harmonic mean of {values}?",
        "Find the harmonic mean of the numbers {values}.",
        "The speeds were {values}. Compute their harmonic mean.",
        "For {values}, give the harmonic mean.",
    ],
    held=[
        "On equal legs I drove {values}; what harmonic mean is that?",
        "Report the harmonic mean belonging to {values}.",
    ],
)
def harmonic_mean(values):
    return round(len(values) / math.fsum(1 / value for value in _positive(values)), 4)


@tool(
    "Find the median, the middle value of sorted numbers. "
    "Finds the midpoint of salaries, ages or scores, where half lie above and half below.",
    returns="The median; of an even number of values, the middle of the two or one of them.",
    values=numbers("Numbers to take the median of.", 0, 100),
    tie=choice("Which of two middle values to take.", ["low", "high", "middle"], default="middle"),
    ask=[
        "What is the median of {values}?",
        "Find the median of the numbers {values}.",
        "The waiting times were {values}. Compute the median.",
        "Find the {tie} median of {values}.",
        "For the values {values}, which is the {tie} median?",
    ],
    held=[
        "Half of the results {values} lie under the median; which value is it?",
        "Take the numbers {values} and tell me their {tie} median.",
    ],
)
def median_value(values, tie="middle"):
    ordered = sorted(_sample(values))
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return round({"low": low, "high": high, "middle": (low + high) / 2}[tie], 4)


@tool(
    "Find the midrange, halfway between the smallest and the largest number. "
    "Averages just the minimum and the maximum, such as a day's low and high temperature.",
    returns="The midrange, rounded to 4 decimals.",
    values=numbers("Numbers to take the midrange of.", 0, 100),
    ask=[
        "What is the midrange of {values}?",
        "Find the midrange of the numbers {values}.",
        "The daily highs were {values}. Compute the midrange.",
        "Which value lies halfway between the smallest and the largest of {values}?",
        "Take the lowest and the highest of {values} and average just these two.",
        "Midrange for this data, please: {values}",
        "What is the midpoint between the minimum and maximum among {values}?",
        (
            "The thermometer showed {values}. Which temperature sits exactly in the middle of "
            "the extremes?"
        ),
        "Calculate (min + max) / 2 for {values}.",
        "I have the scores {values} and want the centre between top and bottom score.",
        "Tell me the number midway from the least to the greatest in {values}.",
        "Given {values}, how large is the midrange?",
        "Ignoring everything except the two extremes of {values}, what is their mean?",
        "Could you work out the middle of the range covered by {values}?",
    ],
    held=[
        "Give me the midrange for these measurements: {values}.",
        "What midrange do the values {values} have?",
    ],
)
def midrange_value(values):
    return round((min(_sample(values)) + max(values)) / 2, 4)


@tool(
    "Find the spread, the largest number minus the smallest. "
    "Gives the range between minimum and maximum, such as the gap between best and worst score.",
    returns="The spread, rounded to 4 decimals.",
    values=numbers("Numbers to take the spread of.", 0, 100),
    ask=[
        "What is the spread of {values}?",
        "Find the spread of the numbers {values}.",
        "The prices were {values}. Compute their spread.",
        "What do I get from the largest of {values} minus the smallest?",
        "How wide is the range covered by {values}?",
        "Maximum minus minimum for {values}, please.",
        "What is the gap from the lowest to the highest of {values}?",
        "My runs took {values} minutes. By how much do the extremes differ?",
        "Calculate the statistical range: {values}",
        "Tell me how far apart the biggest and the tiniest of {values} lie.",
        "Take away the minimum of {values} from the maximum.",
        (
            "Temperatures this week were {values}; how large was the difference between the "
            "warmest and coldest day?"
        ),
        "Given the readings {values}, work out the distance between both ends.",
        "Between which extremes do {values} vary? I only need the difference, max less min.",
    ],
    held=[
        "From smallest to largest, how wide is the spread of {values}?",
        "Our offers were {values}; tell me the spread.",
    ],
)
def sample_spread(values):
    return round(max(_sample(values)) - min(values), 4)


@tool(
    "Find the standard deviation of numbers. "
    "Measures how much data scatter around their mean (SD, sigma), for a population or sample.",
    returns="The standard deviation of the population or sample, rounded to 4 decimals.",
    values=numbers("Numbers to take the deviation of.", 0, 100),
    sample=flag("Treat the numbers as a sample (divide by n - 1)."),
    ask=[
        "What is the standard deviation of {values}?",
        "Find the standard deviation of the numbers {values}.",
        "The weights were {values}. Compute the standard deviation.",
        ("What is the sample standard deviation of {values}?", {"sample": True}),
        ("Treat {values} as a sample and find the standard deviation.", {"sample": True}),
        "How much do {values} scatter around their mean? Give the standard deviation.",
        "Calculate sigma for the data {values}.",
        (
            "These are only a few draws from something bigger: {values}. What's the standard "
            "deviation, dividing by n - 1?",
            {"sample": True},
        ),
        "Std dev for the series {values}?",
        (
            "Using Bessel's correction, determine the standard deviation for {values}.",
            {"sample": True},
        ),
        "Our machine filled bottles with {values}. I'd like to know the standard deviation.",
        (
            "My sample consists of {values}; estimate the standard deviation with n minus one "
            "below the fraction.",
            {"sample": True},
        ),
        "Tell me the root mean square deviation from the average for {values}.",
        "With {values} as the whole population, how large is sigma?",
        (
            "Corrected sample standard deviation wanted, data {values}",
            {"sample": True},
        ),
    ],
    held=[
        "How large is the standard deviation among {values}?",
        (
            "The sample is {values}. Which standard deviation does it have?",
            {"sample": True},
        ),
    ],
)
def standard_deviation(values, sample=False):
    mean = math.fsum(_sample(values, 2 if sample else 1)) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return round(math.sqrt(squares / (len(values) - (1 if sample else 0))), 4)


@tool(
    "Find the weighted average of values with one weight each. "
    "For grades with credits or prices with quantities, where some entries count more than others.",
    returns="The weighted average, rounded to 4 decimals.",
    values=numbers("Values to average.", 0, 100, least=4, most=4),
    weights=integers("Weight of each value.", 1, 9, least=4, most=4),
    ask=[
        "What is the weighted average of {values} with the weights {weights}?",
        "Find the weighted average when the weights are {weights} and the values {values}.",
        "The grades {values} have the weights {weights}. Compute their weighted average.",
        "With weights {weights}, average the values {values}.",
        (
            "My marks are {values} and they count {weights} times respectively. What is my "
            "overall mark?"
        ),
        "Weighted mean: numbers {values}, weights {weights}",
        (
            "Given importance factors of {weights} for the scores {values}, calculate the "
            "weighted mean."
        ),
        (
            "I bought {weights} shares at prices of {values} each time. What did one share "
            "cost me on average?"
        ),
        "If {values} are weighted {weights} in that order, what mean comes out?",
        "Could you take {weights} as weights and work out the mean for {values}?",
        "How large is the average of {values}, counting each as often as given here: {weights}?",
        "The credits {weights} go with the grade points {values}. Tell me the grade average.",
        "Weigh {values} by {weights} and average them.",
        "Course weights: {weights}. Results: {values}. I want the final weighted score.",
    ],
    held=[
        "Give the values {values} the weights {weights} and average them.",
        "Weights of {weights} go with values of {values}; which weighted average follows?",
    ],
)
def weighted_average(values, weights):
    if len(_sample(values)) != len(_sample(weights)) or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("each value needs one weight of at least 0, not all 0")
    total = math.fsum(value * weight for value, weight in zip(values, weights, strict=True))
    return round(total / sum(weights), 4)


@tool(
    "Find the z score of a value from the mean and the deviation. "
    "Standardises a test score or measurement: how many sigmas it lies above or below average.",
    returns="The z score, rounded to 4 decimals.",
    value=number("Value to score.", 0, 100, 1),
    mean=number("Mean of the population.", 20, 80, 1),
    deviation=number("Standard deviation of the population.", 1, 20, 1),
    ask=[
        "What is the z score of {value} with mean {mean} and deviation {deviation}?",
        "Find the z score of the value {value} when the mean is {mean}, deviation {deviation}.",
        "With a deviation of {deviation} and a mean of {mean}, compute the z score of {value}.",
        "The mean is {mean} and the deviation {deviation}. Which z score has {value}?",
    ],
    held=[
        "My result is {value}, the mean {mean}, the deviation {deviation}. Give its z score.",
        "Given mean {mean} and deviation {deviation}, turn {value} into a z score.",
    ],
)
def z_score(value, mean, deviation):
    if not 1e-6 <= deviation <= 1e9:
        raise ValueError("the deviation must be between 1e-6 and 1e9")
    first, second = _sample([value, mean])
    return round((first - second) / deviation, 4)


@tool(
    "Find the correlation between two lists of paired numbers. "
    "Shows how strongly two variables, like study hours and grades, move together (Pearson's r).",
    returns="Pearson's correlation from -1 to 1, rounded to 4 decimals.",
    xs=integers("First list of numbers.", 1, 60, least=4, most=4),
    ys=integers("Second list, equally long.", 1, 60, least=4, most=4),
    ask=[
        "What is the correlation between {xs} and {ys}?",
        "Find the correlation of the first list {xs} with the second list {ys}.",
        "Hours were {xs} and marks were {ys}. Compute the correlation.",
        "How strongly are the numbers {xs} in correlation with {ys}?",
        "Calculate Pearson's r for x = {xs} and y = {ys}.",
        "Do the series {xs} and {ys} move together? Give me the coefficient.",
        "First series: {xs}. Second series: {ys}. How well do they correlate?",
        "Is there a linear relationship of {xs} with {ys}, and how tight is it from -1 to 1?",
        "Pearson coefficient wanted, x values {xs}, y values {ys}",
        (
            "I measured {xs} degrees outside and sold {ys} ice creams. How closely are the "
            "two related?"
        ),
        "Tell me the correlation coefficient when {xs} are paired one by one with {ys}.",
        "Ages {xs} belong to the running times {ys}. Work out how strongly they are linked.",
        "Pair up {xs} with {ys} in order and report r.",
        (
            "How strong is the linear association if one variable took the values {xs} and "
            "the other {ys}?"
        ),
    ],
    held=[
        "First we measured {xs}, then {ys}; give me the correlation.",
        "Is there a correlation between {xs} on one side and {ys} on the other?",
    ],
)
def pearson_correlation(xs, ys):
    if len(_sample(xs, 2)) != len(_sample(ys, 2)):
        raise ValueError("the lists must be equally long")
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    dx, dy = [x - mean_x for x in xs], [y - mean_y for y in ys]
    scale = math.hypot(*dx) * math.hypot(*dy)
    if scale < 1e-12:
        raise ValueError("a list of equal numbers has no correlation")
    return round(math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / scale, 4)


@tool(
    "Find the value at a percentile of numbers. "
    "Gives the cutoff below which some percentage of the data lies, like a quartile or decile.",
    returns="The value there, between neighbours by straight line, rounded to 4 decimals.",
    values=integers("Numbers to search.", 1, 99, least=4, most=6),
    percentile=integer("Percentile from 0 to 100.", 0, 100),
    ask=[
        "What is the value at percentile {percentile} of {values}?",
        "Find percentile {percentile} of the numbers {values}.",
        "The heights were {values}. Which one stands at percentile {percentile}?",
        "For {values}, compute the percentile {percentile}.",
        "Which number marks the {percentile} percent point in {values}?",
        "My data are {values}. Below what value do {percentile} percent of them lie?",
        "Percentile wanted: {percentile}. Data: {values}.",
        "Give me the score at the percentile rank of {percentile} among the scores {values}.",
        (
            "At {percentile} percent of the way through the sorted data {values}, what value "
            "do we meet?"
        ),
        "I am looking for the {percentile}% quantile; the observations are {values}.",
        "Response times came in as {values}; report p{percentile}.",
        "Calculate where the percentile number {percentile} falls for salaries of {values}.",
        "If the sample is {values}, how large is its {percentile} percent quantile?",
        (
            "Tell me the cut-off that separates the lower {percentile} percent of {values} "
            "from the rest."
        ),
    ],
    held=[
        "At percentile {percentile}, what value do the results {values} reach?",
        "Tell me which number marks percentile {percentile} among {values}.",
    ],
)
def percentile_value(values, percentile):
    if not 0 <= percentile <= 100:
        raise ValueError("the percentile must be between 0 and 100")
    ordered = sorted(_sample(values))
    place = (len(ordered) - 1) * percentile / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (place - below) * (ordered[above] - ordered[below]), 4)
