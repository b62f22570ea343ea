"""Coordinates, bearings and map scales."""

import math

from tool_corpora.kit import choice, number, tool

_POINTS = "N NNE NE ENE E ESE SE SSE S SSW SW WSW W WNW NW NNW".split()
_STEPS = {"four": 4, "eight": 2, "sixteen": 1}


def _radians(start_latitude, start_longitude, end_latitude, end_longitude):
    if not (-90 <= start_latitude <= 90 and -90 <= end_latitude <= 90):
        raise ValueError("latitudes must be from -90 to 90")
    if not (-180 <= start_longitude <= 180 and -180 <= end_longitude <= 180):
        raise ValueError("longitudes must be from -180 to 180")
    return map(math.radians, (start_latitude, start_longitude, end_latitude, end_longitude))


@tool(
    "Compute the distance over the globe between two places. "
    "How far apart two coordinates are as the crow flies (great circle, haversine).",
    returns="The distance in kilometres, rounded to 1 decimal.",
    start_latitude=number("Latitude of the start.", -80, 80, 1),
    start_longitude=number("Longitude of the start.", -99, 99, 1),
    end_latitude=number("Latitude of the end.", -80, 80, 1),
    end_longitude=number("Longitude of the end.", -99, 99, 1),
    ask=[
        "What is the globe distance from latitude {start_latitude} longitude {start_longitude} "
        "to latitude {end_latitude} longitude {end_longitude}?",
        "How far is it over the globe from {start_latitude}, {start_longitude} "
        "to {end_latitude}, {end_longitude}?",
        "Give the distance between the places {start_latitude}, {start_longitude} "
        "and {end_latitude}, {end_longitude}.",
        "Start at {start_latitude}, {start_longitude} and end at {end_latitude}, "
        "{end_longitude}. Compute the distance.",
    ],
    held=[
        "A ship leaves {start_latitude}, {start_longitude} for {end_latitude}, {end_longitude}; "
        "what distance lies between these places?",
        "Going around the globe, which distance is {end_latitude}, {end_longitude} "
        "from my start {start_latitude}, {start_longitude}?",
    ],
)
def globe_distance(start_latitude, start_longitude, end_latitude, end_longitude):
    a, b, c, d = _radians(start_latitude, start_longitude, end_latitude, end_longitude)
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return round(2 * 6371 * math.asin(math.sqrt(min(1.0, half))), 1)


@tool(
    "Compute the starting bearing from one place to another. "
    "Tells pilots and sailors which initial heading to take between two coordinates, not how far.",
    returns="The bearing in degrees from north, rounded to 1 decimal.",
    start_latitude=number("Latitude of the start.", -80, 80, 1),
    start_longitude=number("Longitude of the start.", -99, 99, 1),
    end_latitude=number("Latitude of the end.", -80, 80, 1),
    end_longitude=number("Longitude of the end.", -99, 99, 1),
    ask=[
        "What is the bearing from latitude {start_latitude} longitude {start_longitude} "
        "to latitude {end_latitude} longitude {end_longitude}?",
        "Which bearing do I take from {start_latitude}, {start_longitude} "
        "to {end_latitude}, {end_longitude}?",
        "Give the starting bearing between the places {start_latitude}, {start_longitude} "
        "and {end_latitude}, {end_longitude}.",
        "Start at {start_latitude}, {start_longitude} and end at {end_latitude}, "
        "{end_longitude}. Compute the bearing.",
    ],
    held=[
        "A ship leaves {start_latitude}, {start_longitude} for {end_latitude}, {end_longitude}; "
        "on what bearing must it set out?",
        "To reach {end_latitude}, {end_longitude} from my start {start_latitude}, "
        "{start_longitude}, which bearing is right?",
    ],
)
def starting_bearing(start_latitude, start_longitude, end_latitude, end_longitude):
    a, b, c, d = _radians(start_latitude, start_longitude, end_latitude, end_longitude)
    east = math.sin(d - b) * math.cos(c)
    north = math.cos(a) * math.sin(c) - math.sin(a) * math.cos(c) * math.cos(d - b)
    return round(math.degrees(math.atan2(east, north)) % 360, 1) % 360


@tool(
    "Name the compass point nearest to a heading in degrees. "
    "Says which direction, like north or southwest, a bearing or course in degrees means.",
    returns="The compass point, such as NE.",
    heading=number("Heading in degrees from north.", 0, 360, 1),
    detail=choice("How many points to use.", list(_STEPS), default="eight"),
    ask=[
        "Which compass point is a heading of {heading} degrees?",
        "Name the compass point for heading {heading}.",
        "Using {detail} compass points, where does the heading {heading} lead?",
        "What is {heading} degrees on a compass with {detail} points?",
        "Give the compass direction of {heading} degrees.",
    ],
    held=[
        "My heading shows {heading}; what compass point am I going to?",
        "On a compass of {detail} points, call out the heading {heading}.",
        "In which compass direction does a heading {heading} go?",
    ],
)
def compass_point(heading, detail="eight"):
    if not -3600 <= heading <= 3600:
        raise ValueError("the heading must be from -3600 to 3600 degrees")
    step = _STEPS[detail]
    return _POINTS[math.floor(heading % 360 / (22.5 * step) + 0.5) * step % 16]


@tool(
    "Turn centimetres on a map into kilometres on the ground. "
    "Hikers measure a route with a ruler on paper and learn its real distance.",
    returns="The kilometres on the ground, rounded to 3 decimals.",
    centimetres=number("Length on the map in centimetres.", 1, 60, 1),
    scale=number("Scale number, the 50000 of 1:50000.", 1000, 500000, 0),
    ask=[
        "How many kilometres on the ground are {centimetres} centimetres at map scale {scale}?",
        "On a map of scale 1:{scale}, {centimetres} centimetres are how far on the ground?",
        "I measure {centimetres} centimetres; the scale is {scale}. What is it on the ground?",
        "Give the ground distance for {centimetres} centimetres on a 1:{scale} map.",
    ],
    held=[
        "My path is {centimetres} centimetres on a 1:{scale} map. How long is it on the ground?",
        "With the scale {scale}, what ground length do {centimetres} centimetres stand for?",
    ],
)
def ground_kilometres(centimetres, scale):
    if not (0 <= centimetres <= 1e5 and 1 <= scale <= 1e9):
        raise ValueError("centimetres must be 0 to 100000 and scale 1 to 1e9")
    return round(centimetres * scale / 1e5, 3)


@tool(
    "Turn kilometres on the ground into centimetres to draw on a map. "
    "When drawing to scale, tells how long a real-world distance becomes on the paper.",
    returns="The centimetres on the map, rounded to 2 decimals.",
    kilometres=number("Distance on the ground in kilometres.", 1, 90, 1),
    scale=number("Scale number, the 50000 of 1:50000.", 1000, 500000, 0),
    ask=[
        "How many centimetres do I draw on a map of scale {scale} for {kilometres} kilometres?",
        "At a scale of 1:{scale}, {kilometres} kilometres are how many centimetres on the map?",
        "Draw {kilometres} kilometres on a 1:{scale} map: how long is the line?",
        "Give the drawn map length of {kilometres} kilometres when the scale is {scale}.",
    ],
    held=[
        "A road is {kilometres} kilometres. How long must I draw it on the 1:{scale} map?",
        "With the map scale {scale}, what line do {kilometres} kilometres make when drawn?",
    ],
)
def map_centimetres(kilometres, scale):
    if not (0 <= kilometres <= 1e6 and 1 <= scale <= 1e9):
        raise ValueError("kilometres must be 0 to 1000000 and scale 1 to 1e9")
    return round(kilometres * 1e5 / scale, 2)
