"""Vectors with three coordinates: sums, products, lengths and angles."""

import math

from tool_corpora.kit import choice, flag, integer, integers, number, tool


def _checked(*vectors):
    if len({len(vector) for vector in vectors}) != 1 or not 1 <= len(vectors[0]) <= 100:
        raise ValueError("the vectors must have the same length, from 1 to 100")
    if any(abs(part) > 1e9 for vector in vectors for part in vector):
        raise ValueError("the coordinates are too large")
    return vectors


def _vector(about):
    return integers(about, -9, 9, 3, 3)


def _norm(vector):
    return math.sqrt(sum(part * part for part in vector))


def _tidy(value):
    return round(value, 4) + 0


@tool(
    "Add two vectors coordinate by coordinate.",
    returns="The sum as a vector.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    ask=[
        "Add the vectors ({first}) and ({second}).",
        "What vector do I get if I add ({second}) to ({first})?",
        "Find the sum of the vectors ({first}) and ({second}).",
        "To the vector ({first}), add the vector ({second}).",
        "Vector sum of ({first}) with ({second}), please.",
    ],
    held=[
        "I walk along ({first}), then ({second}). Add both vectors.",
        "How much is the vector ({first}) plus ({second}) when added?",
    ],
)
def add_vectors(first, second):
    _checked(first, second)
    return [_tidy(a + b) for a, b in zip(first, second, strict=True)]


@tool(
    "Subtract one vector from another, coordinate by coordinate.",
    returns="The difference as a vector.",
    minuend=_vector("Vector to subtract from."),
    subtrahend=_vector("Vector that is subtracted."),
    ask=[
        "Subtract the vector ({subtrahend}) from ({minuend}).",
        "What is the vector ({minuend}) minus ({subtrahend})?",
        "From the vector ({minuend}), subtract ({subtrahend}).",
        "Find the difference of the vectors ({minuend}) minus ({subtrahend}).",
    ],
    held=[
        "Take ({subtrahend}) away from the vector ({minuend}) by subtracting.",
        "Starting with vector ({minuend}), what remains when ({subtrahend}) is subtracted?",
    ],
)
def subtract_vectors(minuend, subtrahend):
    _checked(minuend, subtrahend)
    return [_tidy(a - b) for a, b in zip(minuend, subtrahend, strict=True)]


@tool(
    "Scale a vector by multiplying every coordinate with a factor.",
    returns="The scaled vector.",
    vector=_vector("Vector to scale."),
    factor=number("Factor to scale by.", 2, 30, 1),
    ask=[
        "Scale the vector ({vector}) by {factor}.",
        "Multiply every coordinate of the vector ({vector}) with {factor}.",
        "With the factor {factor}, scale ({vector}).",
        "What is the vector ({vector}) scaled by a factor of {factor}?",
        "Make ({vector}) larger: scale it by {factor}.",
    ],
    held=[
        "I need the vector ({vector}) with a scale factor of {factor}.",
        "How does scaling by {factor} change the vector ({vector})?",
    ],
)
def scale_vector(vector, factor):
    _checked(vector, [factor] * len(vector))
    return [_tidy(part * factor) for part in vector]


@tool(
    "Compute the dot product of two vectors.",
    returns="The dot product as a number.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    ask=[
        "What is the dot product of ({first}) and ({second})?",
        "Compute the vector ({first}) dot ({second}).",
        "Find the dot product for the vectors ({first}) and ({second}).",
        "Dot the vector ({first}) with ({second}).",
        "Take ({first}) and ({second}) and give their dot product.",
    ],
    held=[
        "My vectors are ({first}) and ({second}). How big is their dot product?",
        "Tell me the number that ({first}) dot ({second}) gives.",
    ],
)
def dot_product(first, second):
    _checked(first, second)
    return _tidy(sum(a * b for a, b in zip(first, second, strict=True)))


@tool(
    "Compute the cross product of two vectors in space.",
    returns="The cross product as a vector.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    ask=[
        "What is the cross product of ({first}) and ({second})?",
        "Compute the vector ({first}) cross ({second}).",
        "Find the cross product for the vectors ({first}) and ({second}).",
        "Cross the vector ({first}) with ({second}).",
        "Take ({first}) and ({second}) and give their cross product.",
    ],
    held=[
        "My vectors are ({first}) and ({second}). Which vector is their cross product?",
        "Tell me the vector that ({first}) cross ({second}) gives.",
    ],
)
def cross_product(first, second):
    _checked(first, second)
    if len(first) != 3:
        raise ValueError("the cross product needs three coordinates")
    (a, b, c), (x, y, z) = first, second
    return [_tidy(b * z - c * y), _tidy(c * x - a * z), _tidy(a * y - b * x)]


@tool(
    "Compute the length of a vector, its magnitude.",
    returns="The magnitude, rounded to 4 decimals.",
    vector=_vector("Vector to measure."),
    squared=flag("Whether to give the squared magnitude."),
    ask=[
        "What is the magnitude of the vector ({vector})?",
        "How long is the vector ({vector})?",
        "Compute the length of the vector ({vector}).",
        ("Give the squared magnitude of ({vector}).", {"squared": True}),
        ("What is the squared length of the vector ({vector})?", {"squared": True}),
    ],
    held=[
        "Measure the vector ({vector}) and tell me its magnitude.",
        "A force acts as the vector ({vector}). Which length does that vector have?",
        ("Find the magnitude of vector ({vector}), but squared.", {"squared": True}),
    ],
)
def vector_magnitude(vector, squared=False):
    _checked(vector)
    return _tidy(_norm(vector) ** 2 if squared else _norm(vector))


@tool(
    "Normalise a vector to a unit vector of the same direction.",
    returns="The unit vector, rounded.",
    vector=_vector("Vector to normalise."),
    decimals=integer("Decimals to round to.", 1, 4, default=2),
    ask=[
        "Please normalise the vector ({vector}).",
        "What is the unit vector of ({vector})?",
        "Normalise ({vector}) with {decimals} decimals.",
        "Find the unit vector for ({vector}) to {decimals} decimals.",
        "Which unit vector points along ({vector})?",
    ],
    held=[
        "Bring ({vector}) to length one and give the unit vector.",
        "Rounded to {decimals} decimals, what is the normalised vector ({vector})?",
        "I need ({vector}) as a unit vector, {decimals} decimals.",
    ],
)
def unit_vector(vector, decimals=2):
    _checked(vector)
    if not 0 <= decimals <= 4:
        raise ValueError("the decimals must be from 0 to 4")
    if not any(vector):
        raise ValueError("the zero vector has no direction")
    norm = _norm(vector)
    return [round(part / norm, decimals) + 0 for part in vector]


@tool(
    "Compute the angle between two vectors.",
    returns="The angle, rounded to 3 decimals.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    unit=choice("Unit of the angle.", ["degrees", "radians"], default="degrees"),
    ask=[
        "What is the angle between the vectors ({first}) and ({second})?",
        "Angle between ({first}) and ({second}) in {unit}?",
        "In {unit}, find the angle from ({first}) to ({second}).",
        "Compute the angle that ({first}) and ({second}) make.",
        "How many {unit} is the angle between ({first}) and ({second})?",
    ],
    held=[
        "Two vectors, ({first}) and ({second}), meet at which angle?",
        "Give the angle in {unit} for the vectors ({first}) and ({second}).",
        "I want {unit}: how wide is the angle of ({first}) against ({second})?",
    ],
)
def angle_between_vectors(first, second, unit="degrees"):
    _checked(first, second)
    norms = _norm(first) * _norm(second)
    if norms == 0:
        raise ValueError("the zero vector has no direction")
    cosine = sum(a * b for a, b in zip(first, second, strict=True)) / norms
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    return round(math.degrees(angle) if unit == "degrees" else angle, 3)


@tool(
    "Measure the distance between two vectors under a metric.",
    returns="The distance, rounded to 4 decimals.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    metric=choice("Way to measure.", ["euclid", "manhattan", "chebyshev"], default="euclid"),
    ask=[
        "What is the distance between the vectors ({first}) and ({second})?",
        "Measure the {metric} distance of ({first}) and ({second}).",
        "How far apart are the vectors ({first}) and ({second})?",
        "By the {metric} metric, find the distance from ({first}) to ({second}).",
        "Distance between ({first}) and ({second}) with metric {metric}?",
    ],
    held=[
        "Find out how large the distance of vector ({first}) from vector ({second}) is.",
        "Use {metric} to measure how far ({first}) is from ({second}).",
        "Under {metric}, which distance do ({first}) and ({second}) have?",
    ],
)
def vector_distance(first, second, metric="euclid"):
    _checked(first, second)
    gaps = [abs(a - b) for a, b in zip(first, second, strict=True)]
    found = {"euclid": _norm(gaps), "manhattan": sum(gaps), "chebyshev": max(gaps)}
    if metric not in found:
        raise ValueError("unknown metric")
    return _tidy(found[metric])
