"""Beds, seeds, water and warmth in the garden."""

import math

from tool_corpora.kit import integer, number, tool


def _check_area(area):
    if not 0 <= area <= 1e7:
        raise ValueError("the area must be from 0 to 10000000 square metres")


@tool(
    "Count the plants that fit into a garden bed. "
    "How many seedlings, lettuces or flowers there is room for at a given spacing.",
    returns="The number of plants on a square grid.",
    length=number("Length of the bed in metres.", 1, 20, 1),
    width=number("Width of the bed in metres.", 1, 9, 1),
    spacing=integer("Spacing between plants in centimetres.", 1, 500),
    ask=[
        "How many plants fit into a bed of length {length} and width {width} at spacing {spacing}?",
        "Count the plants for a garden bed: length {length}, width {width}, spacing {spacing}.",
        "With a spacing of {spacing}, how many plants go in a bed {length} long and {width} wide?",
        "My bed has width {width} and length {length}. How many plants at {spacing} spacing?",
    ],
    held=[
        "How many plants should I buy for a bed {length} long, {width} wide, spacing {spacing}?",
        "Leaving {spacing} of spacing, what number of plants has room in a bed with length "
        "{length} and width {width}?",
    ],
)
def plants_in_bed(length, width, spacing):
    if not (0 <= length <= 1e5 and 0 <= width <= 1e5):
        raise ValueError("length and width must be from 0 to 100000 metres")
    along, across = (math.floor(side * 100 / spacing + 1e-9) for side in (length, width))
    return along * across


@tool(
    "Compute the litres of mulch that cover a garden area. "
    "How much bark, compost or wood chips to buy for a layer spread over the beds.",
    returns="The volume in litres, rounded to 1 decimal.",
    area=number("Area in square metres.", 1, 80, 1),
    depth=number("Depth of the mulch in centimetres.", 2, 15, 1),
    ask=[
        "How many litres of mulch cover an area of {area} at a depth of {depth}?",
        "Compute the mulch for a depth of {depth} centimetres on {area} square metres.",
        "I want mulch {depth} centimetres deep over the area {area}. How many litres?",
        "Mulch for {area} square metres, depth {depth}: what volume?",
    ],
    held=[
        "What amount of mulch do I order for {area} square metres if it lies {depth} deep?",
        "To spread mulch to a depth of {depth} over {area} square metres, how much is needed?",
    ],
)
def mulch_litres(area, depth):
    _check_area(area)
    if not 0 <= depth <= 1000:
        raise ValueError("the depth must be from 0 to 1000 centimetres")
    return round(area * depth * 10, 1)


@tool(
    "Compute the litres of water to irrigate a garden area. "
    "Tells how much to water a lawn or vegetable patch, allowing for recent rainfall.",
    returns="The water in litres, rounded to 1 decimal.",
    area=number("Area in square metres.", 1, 80, 1),
    millimetres=number("Water the plants need, millimetres.", 10, 60, 1),
    rain=number("Rain already fallen, millimetres.", 1, 9, 1, default=0),
    ask=[
        "How many litres of water irrigate an area of {area} with {millimetres} millimetres?",
        "Compute the water to irrigate {area} square metres by {millimetres} millimetres.",
        "After {rain} of rain, how much water does the area {area} need for {millimetres} "
        "millimetres?",
        "Irrigate {area} square metres with {millimetres} millimetres less {rain} rain: how much "
        "water?",
        "My garden needs {millimetres} millimetres of water on {area} square metres. How many "
        "litres?",
    ],
    held=[
        "How much water must I pour on {area} square metres of beds to give {millimetres} "
        "millimetres?",
        "The lawn of {area} square metres wants {millimetres} millimetres; {rain} came as rain. "
        "How much water is missing?",
    ],
)
def irrigation_litres(area, millimetres, rain=0):
    _check_area(area)
    if not (0 <= millimetres <= 1e4 and 0 <= rain <= 1e4):
        raise ValueError("millimetres and rain must be from 0 to 10000")
    return round(area * max(0, millimetres - rain), 1)


@tool(
    "Compute the growing degrees a day brings to a crop. "
    "Farmers track heat units (GDD) from the daily high and low to predict crop development.",
    returns="The growing degrees, never below 0, rounded to 2 decimals.",
    warmest=number("Highest temperature of the day.", 16, 38, 1),
    coolest=number("Lowest temperature of the day.", 1, 15, 1),
    base=number("Base temperature of the crop.", 2, 12, 1, default=10),
    ask=[
        "How many growing degrees has a day with warmest {warmest} and coolest {coolest}?",
        "Compute the growing degrees: warmest {warmest}, coolest {coolest}, base {base}.",
        "The coolest hour was {coolest}, the warmest {warmest}. Give the growing degrees.",
        "For a crop with base {base}, how many growing degrees come from warmest {warmest} and "
        "coolest {coolest}?",
    ],
    held=[
        "What growing degrees did my crop get today, warmest at {warmest} and coolest at "
        "{coolest}?",
        "Take {base} as base: which growing degrees result from coolest {coolest} and warmest "
        "{warmest}?",
    ],
)
def growing_degrees(warmest, coolest, base=10):
    if not -100 <= coolest <= warmest <= 100 or not -100 <= base <= 100:
        raise ValueError("temperatures must be -100 to 100, the coolest below the warmest")
    return round(max(0.0, (warmest + coolest) / 2 - base), 2)


@tool(
    "Compute how many seeds to sow for the plants you want. "
    "Accounts for the ones that never sprout, so enough seedlings come up from the packet.",
    returns="The number of seeds, rounded up.",
    plants=integer("Plants wanted.", 1, 100000),
    germination=integer("Percent of seeds that germinate.", 1, 100),
    ask=[
        "How many seeds must I sow for {plants} plants at {germination} percent germination?",
        "With a germination of {germination} percent, how many seeds give {plants} plants?",
        "Sow how many seeds to get {plants} plants, germination {germination}?",
        "I want {plants} plants. The germination is {germination}. How many seeds do I sow?",
    ],
    held=[
        "If {germination} percent of the seeds show germination, what do I sow to raise {plants} "
        "plants?",
        "Raising {plants} plants takes how many seeds when germination reaches {germination} "
        "percent?",
    ],
)
def seeds_to_sow(plants, germination):
    return -(-plants * 100 // germination)
