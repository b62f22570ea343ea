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
    "Add two vectors coordinate by coordinate. "
    "Sums two vectors, such as forces or displacements, into their resultant.",
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
    "Subtract one vector from another, coordinate by coordinate. "
    "Takes one vector away from another, for instance to get the displacement between two points.",
    returns="The difference as a vector.",
    minuend=_vector("Vector to subtract from."),
    subtrahend=_vector("Vector that is subtracted."),
    ask=[
        "Subtract the vector ({subtrahend}) from ({minuend}).",
        "What is the vector ({minuend}) minus ({subtrahend})?",
        "From the vector ({minuend}), subtract ({subtrahend}).",
        "Find the difference of the vectors ({minuend}) minus ({subtrahend}).",
        "Take ({subtrahend}) away from the vector ({minuend}).",
        "({minuend}) - ({subtrahend}), as vectors",
        "Let a = ({minuend}) and b = ({subtrahend}). What is a - b?",
        "Which vector leads from the point ({subtrahend}) to the point ({minuend})?",
        "Deduct ({subtrahend}) component by component from ({minuend}).",
        "What remains when the vector ({minuend}) is reduced by ({subtrahend})?",
        "I stood at ({subtrahend}) and walked to ({minuend}). Give my displacement vector.",
        (
            "Calculate the vector difference with ({minuend}) as the minuend and "
            "({subtrahend}) as the subtrahend."
        ),
        "What must be added to the vector ({subtrahend}) in order to obtain ({minuend})?",
        (
            "Starting with ({minuend}), remove ({subtrahend}) coordinate by coordinate and "
            "show the result."
        ),
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
    "Scale a vector by multiplying every coordinate with a factor. "
    "Stretches, shrinks or flips a vector, for instance doubling or halving it (scalar "
    "multiplication).",
    returns="The scaled vector.",
    vector=_vector("Vector to scale."),
    factor=number("Factor to scale by.", 2, 30, 1),
    ask=[
        "Scale the vector ({vector}) by {factor}.",
        "Multiply every coordinate of the vector ({vector}) with {factor}.",
        "With the factor {factor}, scale ({vector}).",
        "What is the vector ({vector}) scaled by a factor of {factor}?",
        "Make ({vector}) larger: scale it by {factor}.",
        "Take ({vector}) times {factor}, component by component.",
        "{factor} times the vector ({vector})?",
        "What becomes of ({vector}) if all its components are multiplied by {factor}?",
        "Let v = ({vector}). Calculate {factor} · v.",
        "Apply a scalar of {factor} to the vector ({vector}).",
        "My displacement is ({vector}), and I need it resized by a multiplier of {factor}.",
        "Give me the scalar multiple of ({vector}), the scalar being {factor}.",
        "Using {factor} as the multiplier, which vector do we obtain from ({vector})?",
        (
            "An arrow points along ({vector}). Rescale it by the factor {factor} and tell me "
            "its new components."
        ),
        "Work out the product of the number {factor} and the vector ({vector}).",
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
    "Compute the dot product of two vectors. "
    "Scalar or inner product: multiply matching components and add up, zero meaning perpendicular.",
    returns="The dot product as a number.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    ask=[
        "What is the dot product of ({first}) and ({second})?",
        "Compute the vector ({first}) dot ({second}).",
        "Find the dot product for the vectors ({first}) and ({second}).",
        "Dot the vector ({first}) with ({second}).",
        "Take ({first}) and ({second}) and give their dot product.",
        "Scalar product: ({first}) · ({second})",
        "Let u = ({first}) and v = ({second}). How much is u · v?",
        "Multiply ({first}) and ({second}) entry by entry and add everything up.",
        "Are ({first}) and ({second}) perpendicular? Show me the scalar product.",
        "What inner product do the vectors ({first}) and ({second}) have?",
        (
            "The force is ({first}) and the displacement ({second}). Calculate the work as "
            "their scalar product."
        ),
        "I'd like the inner product when ({first}) meets ({second}).",
        "Which number results from ({first}) dotted with ({second})?",
        "Quantities are ({first}), prices are ({second}); sum the pairwise products.",
        "Tell me what you get by taking the scalar product of ({first}) with ({second}).",
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
    "Compute the cross product of two vectors in space. "
    "Gives a vector perpendicular to both inputs (normal, torque), for three-dimensional "
    "geometry and physics.",
    returns="The cross product as a vector.",
    first=_vector("First vector."),
    second=_vector("Second vector."),
    ask=[
        "What is the cross product of ({first}) and ({second})?",
        "Compute the vector ({first}) cross ({second}).",
        "Find the cross product for the vectors ({first}) and ({second}).",
        "Cross the vector ({first}) with ({second}).",
        "Take ({first}) and ({second}) and give their cross product.",
        "Find a vector perpendicular to both ({first}) and ({second}) by the vector product.",
        "Vector product: ({first}) x ({second})",
        "Let a = ({first}) and b = ({second}). What is a x b?",
        "Could you work out the outer vector product when ({first}) is crossed with ({second})?",
        (
            "Calculate the normal to the plane spanned by ({first}) and ({second}), as first "
            "cross second."
        ),
        "Which vector results from ({first}) cross-multiplied by ({second})?",
        "A lever arm ({first}) and a force ({second}) are given. Give the torque vector r x F.",
        "I have two space vectors, ({first}) and then ({second}), and need their vector product.",
        "Tell me what ({first}) times ({second}) is in the sense of the cross product.",
        "Multiply ({first}) by ({second}) as a vector product in three dimensions.",
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
    "Compute the length of a vector, its magnitude. "
    "Gives the norm or size of a single vector, optionally left squared without the root.",
    returns="The magnitude, rounded to 4 decimals.",
    vector=_vector("Vector to measure."),
    squared=flag("Whether to give the squared magnitude."),
    ask=[
        "What is the magnitude of the vector ({vector})?",
        "How long is the vector ({vector})?",
        "Compute the length of the vector ({vector}).",
        ("Give the squared magnitude of ({vector}).", {"squared": True}),
        ("What is the squared length of the vector ({vector})?", {"squared": True}),
        "What is the Euclidean norm for ({vector})?",
        "|v| for v = ({vector})?",
        "How far from the origin does ({vector}) reach?",
        (
            "Calculate |v|², where v = ({vector}).",
            {"squared": True},
        ),
        "A force has the components ({vector}). How strong is it overall?",
        (
            "Sum the squares of all coordinates in ({vector}) and do not take the root.",
            {"squared": True},
        ),
        "Take the root of the summed squares of ({vector}) to get its norm.",
        (
            "I need the norm of ({vector}), but squared.",
            {"squared": True},
        ),
        "My velocity vector is ({vector}). Tell me how large its absolute value is.",
        (
            "Work out the square of the norm belonging to ({vector}).",
            {"squared": True},
        ),
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
    "Normalise a vector to a unit vector of the same direction. "
    "Rescales to length one, for when only the direction matters and not how long it is.",
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
    "Compute the angle between two vectors. "
    "Tells how far apart two directions or arrows point, in degrees or radians.",
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
    "Measure the distance between two vectors under a metric. "
    "Tells how far apart two points lie: straight line, taxicab city blocks or largest "
    "coordinate gap.",
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
        "How far is it from the point ({first}) to the point ({second})?",
        "Straight-line distance, ({first}) to ({second})?",
        (
            "A taxi drives along a square grid from ({first}) to ({second}). How long is its "
            "way in blocks?",
            {"metric": "manhattan"},
        ),
        "Choose the {metric} metric and tell me how far ({first}) lies from ({second}).",
        (
            "Calculate the largest coordinate difference, i.e. the Chebyshev distance, for "
            "({first}) and ({second}).",
            {"metric": "chebyshev"},
        ),
        "Let p = ({first}) and q = ({second}). How much space separates them?",
        (
            "Add up the absolute coordinate differences of ({first}) and ({second}) for the "
            "city block distance.",
            {"metric": "manhattan"},
        ),
        "Points ({first}) and ({second}), metric {metric}: how large is the gap?",
        "I need to know the separation of ({first}) from ({second}), measured the {metric} way.",
        "My drone flies directly from ({first}) over to ({second}). What distance does it cover?",
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
