"""Areas, lengths and volumes of plane figures and solids."""

import math

from tool_corpora.kit import choice, flag, integer, number, tool


def _sizes(*lengths):
    """Raise ValueError unless all lengths are between 0 and 1e6."""
    if not all(0 <= length <= 1e6 for length in lengths):
        raise ValueError("lengths and angles must be between 0 and 1e6")


@tool(
    "Find the area of a circle from its radius.",
    returns="The area, rounded to the wanted decimals.",
    radius=number("Radius of the circle.", 1, 300),
    decimals=integer("Decimals of the result.", 0, 4, default=4),
    ask=[
        "What is the area of a circle with radius {radius}?",
        "Find the area inside a circle of radius {radius}.",
        "A round table has a radius of {radius}. What area does its circle cover?",
        "Give the circle area for radius {radius} with {decimals} decimals.",
        "To {decimals} decimals, what area has a circle of radius {radius}?",
    ],
    held=[
        "How much area lies within a circle if its radius is {radius}?",
        "The radius being {radius}, compute the circle's area to {decimals} decimals.",
    ],
)
def circle_area(radius, decimals=4):
    _sizes(radius, decimals)
    return round(math.pi * radius**2, min(decimals, 4))


@tool(
    "Find the circumference of a circle from its radius.",
    returns="The circumference, rounded to 4 decimals.",
    radius=number("Radius of the circle.", 1, 300),
    ask=[
        "What is the circumference of a circle with radius {radius}?",
        "Find the circumference of a circle of radius {radius}.",
        "A wheel has a radius of {radius}. What is its circumference?",
        "How long is the circumference of a round pond with radius {radius}?",
    ],
    held=[
        "Once around a circle of radius {radius}, what circumference do I walk?",
        "The radius being {radius}, compute the circumference.",
    ],
)
def circle_circumference(radius):
    _sizes(radius)
    return round(2 * math.pi * radius, 4)


@tool(
    "Find the area of a triangle from its base and height.",
    returns="The area, rounded to 4 decimals.",
    base=number("Base of the triangle.", 1, 300),
    height=number("Height over the base.", 1, 300),
    ask=[
        "What is the area of a triangle with base {base} and height {height}?",
        "Find the area of a triangle of height {height} and base {base}.",
        "A triangle has a base of {base} and a height of {height}. Compute its area.",
        "How large is a triangle whose base is {base} and whose height is {height}?",
    ],
    held=[
        "The triangle stands {height} in height on a base of {base}; what is its area?",
        "Base {base}, height {height}: how much area does the triangle have?",
    ],
)
def triangle_area(base, height):
    _sizes(base, height)
    return round(base * height / 2, 4)


@tool(
    "Find the hypotenuse of a right triangle from its two legs.",
    returns="The length of the hypotenuse, rounded to 4 decimals.",
    first=number("One leg of the triangle.", 1, 200, 1),
    second=number("The other leg of the triangle.", 1, 200, 1),
    ask=[
        "What is the hypotenuse of a right triangle with legs {first} and {second}?",
        "Find the hypotenuse when the legs are {first} and {second}.",
        "The legs of a right triangle measure {first} and {second}. Compute the hypotenuse.",
        "How long is the hypotenuse over the legs {first} and {second}?",
    ],
    held=[
        "Legs of {first} and {second} meet at a right angle; give the hypotenuse.",
        "Which hypotenuse belongs to a triangle having legs {first} and {second}?",
    ],
)
def hypotenuse_length(first, second):
    _sizes(first, second)
    return round(math.hypot(first, second), 4)


@tool(
    "Find the area of a trapezoid from its parallel sides and height.",
    returns="The area, rounded to 4 decimals.",
    top=number("Parallel side at the top.", 1, 90, 1),
    bottom=number("Parallel side at the bottom.", 1, 90, 1),
    height=number("Height between the parallel sides.", 1, 60, 1),
    ask=[
        "What is the area of a trapezoid with top {top}, bottom {bottom} and height {height}?",
        "Find the area of a trapezoid of height {height} with bottom {bottom} and top {top}.",
        "A trapezoid has bottom {bottom}, top {top} and height {height}. Compute its area.",
        "How large is the trapezoid of top {top} and bottom {bottom} if its height is {height}?",
    ],
    held=[
        "With height {height}, top {top} and bottom {bottom}, what area has the trapezoid?",
        "Give me a trapezoid's area: its bottom is {bottom}, its top {top}, its height {height}.",
    ],
)
def trapezoid_area(top, bottom, height):
    _sizes(top, bottom, height)
    return round((top + bottom) * height / 2, 4)


@tool(
    "Find the volume of a sphere, or of half a sphere.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the sphere.", 1, 100),
    half=flag("Take only half of the sphere."),
    ask=[
        "What is the volume of a sphere with radius {radius}?",
        "Find the volume of a sphere of radius {radius}.",
        "A ball is a sphere of radius {radius}. Compute its volume.",
        ("What is the volume of half a sphere with radius {radius}?", {"half": True}),
        ("A dome is half a sphere of radius {radius}. Compute its volume.", {"half": True}),
    ],
    held=[
        "How much volume does a sphere hold if its radius is {radius}?",
        ("Cut a sphere of radius {radius} in half; what is the volume?", {"half": True}),
    ],
)
def sphere_volume(radius, half=False):
    _sizes(radius)
    return round(math.pi * radius**3 * (2 if half else 4) / 3, 4)


@tool(
    "Find the volume of a cylinder from its radius and height.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the cylinder.", 1, 60),
    height=number("Height of the cylinder.", 1, 100),
    ask=[
        "What is the volume of a cylinder with radius {radius} and height {height}?",
        "Find the volume of a cylinder of height {height} and radius {radius}.",
        "A can is a cylinder of radius {radius} and height {height}. Compute its volume.",
        "How much fits in a cylinder whose radius is {radius} and whose height is {height}?",
    ],
    held=[
        "The cylinder reaches a height of {height} at radius {radius}; give its volume.",
        "Radius {radius}, height {height}: how much volume does the cylinder have?",
    ],
)
def cylinder_volume(radius, height):
    _sizes(radius, height)
    return round(math.pi * radius**2 * height, 4)


@tool(
    "Find the volume of a cone from its radius and height.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the cone's base.", 1, 60),
    height=number("Height of the cone.", 1, 100),
    ask=[
        "What is the volume of a cone with radius {radius} and height {height}?",
        "Find the volume of a cone of height {height} and radius {radius}.",
        "A heap of sand is a cone of radius {radius} and height {height}. Compute its volume.",
        "How much fits in a cone whose radius is {radius} and whose height is {height}?",
    ],
    held=[
        "The cone reaches a height of {height} at radius {radius}; give its volume.",
        "Radius {radius}, height {height}: how much volume does the cone have?",
    ],
)
def cone_volume(radius, height):
    _sizes(radius, height)
    return round(math.pi * radius**2 * height / 3, 4)


@tool(
    "Find the surface of a box from its length, width and height.",
    returns="The area of all faces, rounded to 4 decimals.",
    length=number("Length of the box.", 1, 60, 1),
    width=number("Width of the box.", 1, 60, 1),
    height=number("Height of the box.", 1, 60, 1),
    open=flag("Leave out the face at the top."),
    ask=[
        "What is the surface of a box of length {length}, width {width} and height {height}?",
        "Find the surface of a box with height {height}, width {width} and length {length}.",
        "A box has length {length}, width {width} and height {height}. Compute its surface.",
        (
            "Which surface has an open box of length {length}, width {width}, height {height}?",
            {"open": True},
        ),
        (
            "An open box has width {width}, length {length}, height {height}. Find its surface.",
            {"open": True},
        ),
    ],
    held=[
        "Wrapping a box of length {length}, width {width}, height {height} covers which surface?",
        (
            "The box is open: length {length}, width {width}, height {height}. Give the surface.",
            {"open": True},
        ),
    ],
)
def box_surface(length, width, height, open=False):
    _sizes(length, width, height)
    lids = 1 if open else 2
    return round(lids * length * width + 2 * height * (length + width), 4)


@tool(
    "Find the length of a circular arc from its radius and angle.",
    returns="The length of the arc, rounded to 4 decimals.",
    radius=number("Radius of the arc.", 1, 100, 1),
    angle=number("Angle of the arc.", 1, 90, 1),
    unit=choice("Unit of the angle.", ["degrees", "radians"], default="degrees"),
    ask=[
        "How long is an arc of radius {radius} and angle {angle}?",
        "Find the arc length for angle {angle} and radius {radius}.",
        "An arc has radius {radius} and an angle of {angle} {unit}. Compute its length.",
        "What is the length of an arc over {angle} {unit} at radius {radius}?",
    ],
    held=[
        "The arc turns by {angle} {unit} at radius {radius}; how long is it?",
        "With a radius of {radius} and an angle of {angle}, what is the arc's length?",
    ],
)
def arc_length(radius, angle, unit="degrees"):
    _sizes(radius, angle)
    return round(radius * (math.radians(angle) if unit == "degrees" else angle), 4)


@tool(
    "Find each corner angle of a regular polygon in degrees.",
    returns="The angle in degrees, rounded to 4 decimals.",
    sides=integer("Number of sides.", 3, 400),
    kind=choice("Angle inside or outside.", ["interior", "exterior"], default="interior"),
    ask=[
        "What is the corner angle of a regular polygon with {sides} sides?",
        "Find each angle in a polygon of {sides} equal sides.",
        "What is the {kind} angle of a regular polygon with {sides} sides?",
        "A regular polygon has {sides} sides. Compute the {kind} angle.",
    ],
    held=[
        "With {sides} equal sides, how wide is every corner of the polygon?",
        "Name the {kind} angle that a {sides} sided regular polygon shows.",
    ],
)
def polygon_corner_angle(sides, kind="interior"):
    if not 3 <= sides <= 1e6:
        raise ValueError("a polygon has between 3 and 1e6 sides")
    exterior = 360 / sides
    return round(exterior if kind == "exterior" else 180 - exterior, 4)
