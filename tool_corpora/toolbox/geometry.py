"""Areas, lengths and volumes of plane figures and solids."""

import math

from tool_corpora.kit import choice, flag, integer, number, tool


def _sizes(*lengths):
    """Raise ValueError unless all lengths are between 0 and 1e6."""
    if not all(0 <= length <= 1e6 for length in lengths):
        raise ValueError("lengths and angles must be between 0 and 1e6")


@tool(
    "Find the area of a circle from its radius. "
    "How much space a round table, pond, pizza or lawn takes up, in square units.",
    returns="The area, rounded to the wanted decimals.",
    radius=number("Radius of the circle.", 1, 300),
    decimals=integer("Decimals of the result.", 0, 4, default=4),
    ask=[
        "What is the area of a circle with radius {radius}?",
        "Find the area inside a circle of radius {radius}.",
        "A round table has a radius of {radius}. What area does its circle cover?",
        "Give the circle area for radius {radius} with {decimals} decimals.",
        "To {decimals} decimals, what area has a circle of radius {radius}?",
        "How much surface does a round disc cover if it measures {radius} from centre to edge?",
        "My pizza reaches {radius} from the middle to the crust. How big is its surface?",
        "Radius {radius}, round plot of land: area please.",
        (
            "Work out the area of a disc whose radius is {radius}, rounded to a whole number.",
            {"decimals": 0},
        ),
        "I need {decimals} decimal places: area of the circle drawn with radius {radius}.",
        (
            "Calculate the space enclosed by a ring with a radius of {radius}, keeping just "
            "one decimal.",
            {"decimals": 1},
        ),
        "Given that r = {radius}, compute pi r squared and show {decimals} digits after the point.",
        "If I draw a circle with the compass opened to {radius}, what area will be inside?",
        "The lawn sprinkler throws water {radius} far in every direction. Which area gets wet?",
        "Round to {decimals} decimals the area of a coin that has radius {radius}.",
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
    "Find the circumference of a circle from its radius. "
    "The distance all the way around a wheel, pond or plate, its perimeter or rim.",
    returns="The circumference, rounded to 4 decimals.",
    radius=number("Radius of the circle.", 1, 300),
    ask=[
        "What is the circumference of a circle with radius {radius}?",
        "Find the circumference of a circle of radius {radius}.",
        "A wheel has a radius of {radius}. What is its circumference?",
        "How long is the circumference of a round pond with radius {radius}?",
        "How far is it once around a circle of radius {radius}?",
        "Compute the perimeter of a round plate measuring {radius} from centre to rim.",
        "Distance all the way round a disc, radius {radius}?",
        "I want to fence a circular garden with radius {radius}. How much fence goes around it?",
        "Calculate 2 pi r, taking r as {radius}.",
        "A hoop reaches {radius} from its middle to the edge; tell me the length around it.",
        "With {radius} as the radius, how long does the boundary of the circle get?",
        "Please work out the outer length of a circular track whose radius comes to {radius}.",
        "A tyre's radius is {radius}. How far does it roll in one full turn?",
        "What length of ribbon wraps exactly once around a round cake of radius {radius}?",
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
    "Find the area of a triangle from its base and height. "
    "How much surface a three-cornered sail, gable, flag or plot of land has.",
    returns="The area, rounded to 4 decimals.",
    base=number("Base of the triangle.", 1, 300),
    height=number("Height over the base.", 1, 300),
    ask=[
        "What is the area of a triangle with base {base} and height {height}?",
        "Find the area of a triangle of height {height} and base {base}.",
        "A triangle has a base of {base} and a height of {height}. Compute its area.",
        "How large is a triangle whose base is {base} and whose height is {height}?",
        "Calculate the surface of a three-sided sail, {height} high and {base} along the foot.",
        "Base {base}, height {height}: how big is the triangle?",
        (
            "How much space does a triangular flower bed cover with a bottom side of {base} "
            "and a height of {height}?"
        ),
        "Work out half of base times height for base {base} and height {height}.",
        (
            "The tip of my triangle lies {height} above its base, which is {base} long. What "
            "is the area inside?"
        ),
        "Please determine what area a gable of width {base} at the base and height {height} has.",
        (
            "If the height amounts to {height}, which area does a triangle on a base of "
            "{base} enclose?"
        ),
        (
            "I cut a pennant from cloth: base edge {base}, height over it {height}. How much "
            "cloth is that?"
        ),
        "Tell me the triangle's area; its height comes to {height}, its base to {base}.",
        (
            "Standing on a side of {base}, a triangle rises to {height}. How many square "
            "units does it fill?"
        ),
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
    "Find the hypotenuse of a right triangle from its two legs. "
    "Pythagoras for the longest side or a diagonal, such as a ladder, ramp or screen.",
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
    "Find the area of a trapezoid from its parallel sides and height. "
    "Sizes a trapezium, a four-sided plot or roof face with two parallel edges.",
    returns="The area, rounded to 4 decimals.",
    top=number("Parallel side at the top.", 1, 90, 1),
    bottom=number("Parallel side at the bottom.", 1, 90, 1),
    height=number("Height between the parallel sides.", 1, 60, 1),
    ask=[
        "What is the area of a trapezoid with top {top}, bottom {bottom} and height {height}?",
        "Find the area of a trapezoid of height {height} with bottom {bottom} and top {top}.",
        "A trapezoid has bottom {bottom}, top {top} and height {height}. Compute its area.",
        "How large is the trapezoid of top {top} and bottom {bottom} if its height is {height}?",
        (
            "Calculate the surface of a trapezium: upper side {top}, lower side {bottom}, "
            "height {height}."
        ),
        (
            "A plot of land has parallel edges, {bottom} at the bottom and {top} at the top, "
            "lying {height} apart. What area?"
        ),
        "Trapezoid, height {height}, top edge {top}, bottom edge {bottom}: area?",
        (
            "Work out how much space a trapezium covers if its lower base is {bottom}, its "
            "height {height} and its upper base {top}."
        ),
        (
            "The top of my table measures {top} along the upper edge and {bottom} along the "
            "lower one, {height} between. How big is it?"
        ),
        (
            "Please determine the area between two parallel sides, the upper {top} long, the "
            "lower {bottom} long, at a distance of {height}."
        ),
        (
            "With a height of {height} and parallel sides of {top} above and {bottom} below, "
            "which area does the shape have?"
        ),
        (
            "I sewed a skirt panel: waist side on top {top}, hem at the bottom {bottom}, "
            "panel height {height}. How much fabric is it?"
        ),
        (
            "Average the top side {top} and the bottom side {bottom}, multiply by the height "
            "{height}: which trapezoid area results?"
        ),
        (
            "If the bottom side is {bottom} and the height {height}, how large is the "
            "trapezoid whose top side is {top}?"
        ),
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
    "Find the volume of a sphere, or of half a sphere. "
    "How much a ball, globe, balloon, dome or round bowl (hemisphere) holds.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the sphere.", 1, 100),
    half=flag("Take only half of the sphere."),
    ask=[
        "What is the volume of a sphere with radius {radius}?",
        "Find the volume of a sphere of radius {radius}.",
        "A ball is a sphere of radius {radius}. Compute its volume.",
        ("What is the volume of half a sphere with radius {radius}?", {"half": True}),
        ("A dome is half a sphere of radius {radius}. Compute its volume.", {"half": True}),
        "How much air is inside a round balloon with a radius of {radius}?",
        "Calculate the cubic content of a globe measuring {radius} from its centre to the surface.",
        (
            "Hemisphere, radius {radius}: volume please.",
            {"half": True},
        ),
        "A marble has radius {radius}. How much glass was needed to make it?",
        (
            "Work out how much soup a hemispherical bowl of radius {radius} can hold.",
            {"half": True},
        ),
        "Taking r as {radius}, evaluate four thirds pi r cubed.",
        (
            "I sliced an orange of radius {radius} through the middle. What volume does one "
            "of the two parts have?",
            {"half": True},
        ),
        "Please determine the space that a perfectly round planet of radius {radius} takes up.",
        (
            "If a ball's radius comes to {radius}, what is the volume of just one hemisphere?",
            {"half": True},
        ),
        "Volume of a solid ball wanted, radius {radius}.",
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
    "Find the volume of a cylinder from its radius and height. "
    "How much a can, pipe, round tank, barrel or drum holds, its capacity.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the cylinder.", 1, 60),
    height=number("Height of the cylinder.", 1, 100),
    ask=[
        "What is the volume of a cylinder with radius {radius} and height {height}?",
        "Find the volume of a cylinder of height {height} and radius {radius}.",
        "A can is a cylinder of radius {radius} and height {height}. Compute its volume.",
        "How much fits in a cylinder whose radius is {radius} and whose height is {height}?",
        "How much water does a round tank hold if it is {height} high and {radius} in radius?",
        "Calculate the capacity of a drum: radius {radius}, height {height}.",
        "Cylinder, h = {height}, r = {radius}. Volume?",
        (
            "A straight pipe has an inner radius of {radius} and runs for a length of "
            "{height}. Which volume is inside?"
        ),
        (
            "Please work out the cubic content of a candle {height} tall whose round base has "
            "radius {radius}."
        ),
        (
            "My cylindrical vase measures {radius} from axis to wall and stands {height} "
            "high. What can it contain?"
        ),
        (
            "Determine the space taken up by a cylindrical log with height {height} and "
            "radius {radius}."
        ),
        (
            "Tell me the volume that a cylinder with base radius {radius} encloses when it "
            "rises {height}."
        ),
        (
            "If a silo is {height} tall and its circular floor has radius {radius}, how much "
            "grain fits inside?"
        ),
        "I drilled a round hole, radius {radius}, depth {height}. How much material came out?",
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
    "Find the volume of a cone from its radius and height. "
    "How much an ice cream cornet, funnel or pointed heap of sand holds.",
    returns="The volume, rounded to 4 decimals.",
    radius=number("Radius of the cone's base.", 1, 60),
    height=number("Height of the cone.", 1, 100),
    ask=[
        "What is the volume of a cone with radius {radius} and height {height}?",
        "Find the volume of a cone of height {height} and radius {radius}.",
        "A heap of sand is a cone of radius {radius} and height {height}. Compute its volume.",
        "How much fits in a cone whose radius is {radius} and whose height is {height}?",
        "Tell me how much ice cream a wafer cone holds, {height} tall and {radius} in radius.",
        "Calculate the cubic content of a cone: base radius {radius}, height {height}.",
        (
            "A pointed paper cup is {height} high with an opening radius of {radius}. What is "
            "its capacity?"
        ),
        "Cone, h = {height}, r = {radius}, volume wanted.",
        (
            "If a cone stands {height} tall on a circular base of radius {radius}, how much "
            "space does it take up?"
        ),
        (
            "Work out the volume of a traffic cone whose base radius measures {radius} and "
            "which rises to {height}."
        ),
        (
            "The base of my cone has radius {radius}; its tip lies {height} above. Which "
            "volume results?"
        ),
        (
            "I am filling a funnel shaped like a cone, radius {radius}, depth {height}. How "
            "much goes in?"
        ),
        (
            "Please determine the contents of a conical tent with a height of {height} and a "
            "floor radius of {radius}."
        ),
        (
            "What volume does a conical roof have when the radius equals {radius} and the "
            "height {height}?"
        ),
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
    "Find the surface of a box from its length, width and height. "
    "How much wrapping paper, cardboard or paint covers the outside of a carton, crate or cuboid.",
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
    "Find the length of a circular arc from its radius and angle. "
    "Measures along a curved part of a circle only, such as a bend or pizza crust.",
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
    "Find each corner angle of a regular polygon in degrees. "
    "For pentagons, hexagons, octagons and other equal-sided shapes, inside or outside each "
    "vertex.",
    returns="The angle in degrees, rounded to 4 decimals.",
    sides=integer("Number of sides.", 3, 400),
    kind=choice("Angle inside or outside.", ["interior", "exterior"], default="interior"),
    ask=[
        "What is the corner angle of a regular polygon with {sides} sides?",
        "Find each angle in a polygon of {sides} equal sides.",
        "What is the {kind} angle of a regular polygon with {sides} sides?",
        "A regular polygon has {sides} sides. Compute the {kind} angle.",
        "How many degrees does every corner of a regular shape with {sides} edges measure?",
        "Tell me the inside angle at a vertex of an equal-sided figure having {sides} sides.",
        "Regular {sides}-gon: size of one {kind} angle in degrees?",
        (
            "By how many degrees do I turn at each corner when walking around a regular "
            "{sides}-gon?",
            {"kind": "exterior"},
        ),
        (
            "Calculate the outer angle of a regular polygon whose side count is {sides}.",
            {"kind": "exterior"},
        ),
        "I am cutting tiles with {sides} equal edges. What should each corner measure?",
        "For the {kind} angle, take a regular figure of {sides} sides and give me the degrees.",
        "If all {sides} sides and all corners are alike, how wide is one corner?",
        "Work out one {kind} corner angle; the regular polygon has {sides} vertices.",
        (
            "Exterior corner, regular polygon, {sides} sides: how many degrees?",
            {"kind": "exterior"},
        ),
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
