"""Units of length, mass, temperature and the like."""

import math

from tool_corpora.kit import choice, flag, integer, number, tool

_METRES = {"metre": 1.0, "foot": 0.3048, "inch": 0.0254, "mile": 1609.344, "yard": 0.9144}
_GRAMS = {
    "gram": 1.0,
    "kilogram": 1000.0,
    "pound": 453.59237,
    "ounce": 28.349523125,
    "stone": 6350.29318,
}
_LITRES = {
    "litre": 1.0,
    "millilitre": 0.001,
    "gallon": 3.785411784,
    "pint": 0.473176473,
    "cup": 0.2365882365,
}
_HECTARES = {"hectare": 1.0, "acre": 0.40468564224, "rood": 0.10117141056}
_METRES_PER_SECOND = {"kmh": 1 / 3.6, "mph": 0.44704, "knot": 1852 / 3600, "mps": 1.0}
_PASCALS = {"bar": 100000.0, "pascal": 1.0, "psi": 6894.757293168, "atm": 101325.0}
_KILO_POWERS = {"kilobyte": 0, "megabyte": 1, "gigabyte": 2}
_RADIANS = {
    "degree": math.pi / 180,
    "radian": 1.0,
    "gradian": math.pi / 200,
    "turn": 2 * math.pi,
}


def _amount(value):
    """The value, if it is a quantity these tools take: at least 0, at most 1e12."""
    if not 0 <= value <= 1e12:
        raise ValueError("the amount must be between 0 and 1e12")
    return value


@tool(
    "Convert a length from one unit to another.",
    returns="The length in the wanted unit, rounded to 3 decimals.",
    length=number("Length to convert.", 0, 5000),
    source=choice("Unit of the given length.", list(_METRES)),
    target=choice("Unit of the result.", list(_METRES)),
    ask=[
        "Convert {length} {source} to {target}.",
        "How long is {length} {source} in {target}?",
        "Change a length of {length} from {source} to {target}.",
        "What is {length} {source} expressed in {target}?",
    ],
    held=[
        "A length is {length} {source}. Give it in {target}.",
        "Please turn {length} {source} of length into {target}.",
    ],
)
def convert_length(length, source, target):
    return round(_amount(length) * _METRES[source] / _METRES[target], 3)


@tool(
    "Convert a mass or weight from one unit to another.",
    returns="The mass in the wanted unit, rounded to 4 decimals.",
    mass=number("Mass to convert.", 0, 3000),
    source=choice("Unit of the given mass.", list(_GRAMS)),
    target=choice("Unit of the result.", list(_GRAMS)),
    ask=[
        "Convert a mass of {mass} {source} to {target}.",
        "How much does a weight of {mass} {source} come to in {target}?",
        "Express the mass {mass} {source} in {target}.",
        "I weigh {mass} {source}. What is my weight in {target}?",
        "Change the weight {mass} from {source} into {target}.",
    ],
    held=[
        "A parcel has a mass of {mass} {source}; give that in {target}.",
        "Which weight in {target} equals {mass} {source}?",
        "For the recipe, turn the weight of {mass} {source} into {target}.",
    ],
)
def convert_mass(mass, source, target):
    return round(_amount(mass) * _GRAMS[source] / _GRAMS[target], 4)


@tool(
    "Convert a temperature between celsius, fahrenheit and kelvin.",
    returns="The temperature on the wanted scale, rounded to 2 decimals.",
    temperature=number("Temperature to convert.", 0, 400, 1),
    source=choice("Scale of the given temperature.", ["celsius", "fahrenheit", "kelvin"]),
    target=choice("Scale of the result.", ["celsius", "fahrenheit", "kelvin"]),
    ask=[
        "Convert a temperature of {temperature} {source} to {target}.",
        "How hot is {temperature} {source} on the {target} temperature scale?",
        "Change {temperature} degrees {source} into {target}.",
        "What is the temperature {temperature} {source} in {target}?",
        "In {target}, give a temperature of {temperature} {source}.",
    ],
    held=[
        "The oven temperature says {temperature} {source}. What would that be in {target}?",
        "Please write {temperature} degrees {source} as a {target} temperature.",
    ],
)
def convert_temperature(temperature, source, target):
    if not -1e6 <= temperature <= 1e6:
        raise ValueError("the temperature must be between -1e6 and 1e6")
    kelvin = {
        "celsius": temperature + 273.15,
        "fahrenheit": (temperature - 32) / 1.8 + 273.15,
        "kelvin": temperature,
    }[source]
    if kelvin < 0:
        raise ValueError("the temperature is below absolute zero")
    if target == "kelvin":
        return round(kelvin, 2)
    celsius = kelvin - 273.15
    return round(celsius if target == "celsius" else celsius * 1.8 + 32, 2)


@tool(
    "Convert a volume of liquid between litres and US kitchen units.",
    returns="The volume in the wanted unit, rounded to 4 decimals.",
    volume=number("Volume of liquid to convert.", 0, 500),
    source=choice("Unit of the given volume.", list(_LITRES)),
    target=choice("Unit of the result.", list(_LITRES)),
    ask=[
        "Convert a volume of {volume} {source} to {target}.",
        "How much liquid is {volume} {source} in {target}?",
        "Change {volume} {source} of liquid into {target}.",
        "What volume in {target} is {volume} {source}?",
        "Give me the liquid volume {volume} {source} as {target}.",
    ],
    held=[
        "I poured {volume} {source} of liquid. Measure that in {target}.",
        "A tank has a volume of {volume} {source}. State it in {target}.",
    ],
)
def convert_liquid_volume(volume, source, target):
    return round(_amount(volume) * _LITRES[source] / _LITRES[target], 4)


@tool(
    "Convert an area of land between hectares, acres and roods.",
    returns="The land area in the wanted unit, rounded to 4 decimals.",
    area=number("Land area to convert.", 0, 900),
    source=choice("Unit of the given area.", list(_HECTARES)),
    target=choice("Unit of the result.", list(_HECTARES)),
    ask=[
        "Convert {area} {source} of land to {target}.",
        "How large is a land area of {area} {source} in {target}?",
        "Change the field area {area} {source} into {target}.",
        "What is a plot of land of {area} {source} measured in {target}?",
    ],
    held=[
        "Our farm has {area} {source} of land. How much is that in {target}?",
        "State in {target} the area of a {area} {source} piece of land.",
    ],
)
def convert_land_area(area, source, target):
    return round(_amount(area) * _HECTARES[source] / _HECTARES[target], 4)


@tool(
    "Convert a speed between kmh, mph, knot and mps.",
    returns="The speed in the wanted unit, rounded to 3 decimals.",
    speed=number("Speed to convert.", 1, 900, 1),
    source=choice("Unit of the given speed.", list(_METRES_PER_SECOND)),
    target=choice("Unit of the result.", list(_METRES_PER_SECOND)),
    ask=[
        "Convert a speed of {speed} {source} to {target}.",
        "How fast is {speed} {source} in {target}?",
        "Change the speed {speed} {source} into {target}.",
        "Going at {speed} {source}, what is my speed in {target}?",
        "Express a speed of {speed} {source} as {target}.",
    ],
    held=[
        "The car does {speed} {source}; how fast is that in {target}?",
        "Tell me in {target} the speed that reads {speed} {source}.",
        "A ship moves with a speed of {speed} {source}. Report it in {target}.",
    ],
)
def convert_speed(speed, source, target):
    return round(_amount(speed) * _METRES_PER_SECOND[source] / _METRES_PER_SECOND[target], 3)


@tool(
    "Convert a pressure between bar, pascal, psi and atm.",
    returns="The pressure in the wanted unit, rounded to 4 decimals.",
    pressure=number("Pressure to convert.", 1, 2000, 1),
    source=choice("Unit of the given pressure.", list(_PASCALS)),
    target=choice("Unit of the result.", list(_PASCALS)),
    ask=[
        "Convert a pressure of {pressure} {source} to {target}.",
        "What is a tyre pressure of {pressure} {source} in {target}?",
        "Change the pressure {pressure} {source} into {target}.",
        "Express {pressure} {source} of pressure as {target}.",
    ],
    held=[
        "The gauge shows a pressure of {pressure} {source}. How many {target} is it?",
        "I need the pressure in {target}, and I have {pressure} {source}.",
    ],
)
def convert_pressure(pressure, source, target):
    return round(_amount(pressure) * _PASCALS[source] / _PASCALS[target], 4)


@tool(
    "Convert a file size between kilobytes, megabytes and gigabytes.",
    returns="The file size in the wanted unit, rounded to 4 decimals.",
    size=number("File size to convert.", 1, 5000, 1),
    source=choice("Unit of the given size.", list(_KILO_POWERS)),
    target=choice("Unit of the result.", list(_KILO_POWERS)),
    binary=flag("Count steps of 1024 instead of 1000."),
    ask=[
        "Convert a file size of {size} {source} to {target}.",
        "How big is a file of {size} {source} in {target}?",
        "Change the file size {size} {source} into {target}.",
        (
            "Convert a file size of {size} {source} to {target} with binary steps.",
            {"binary": True},
        ),
        ("In binary units, what is a {size} {source} file in {target}?", {"binary": True}),
    ],
    held=[
        "My video file takes {size} {source}. What size is it in {target}?",
        (
            "Give the size of a {size} {source} file in {target}, counting in binary.",
            {"binary": True},
        ),
    ],
)
def convert_file_size(size, source, target, binary=False):
    power = _KILO_POWERS[source] - _KILO_POWERS[target]
    return round(_amount(size) * (1024.0 if binary else 1000.0) ** power, 4)


@tool(
    "Convert an angle between degree, radian, gradian and turn.",
    returns="The angle in the wanted unit, rounded to 4 decimals.",
    angle=number("Angle to convert.", 0, 360, 1),
    source=choice("Unit of the given angle.", list(_RADIANS)),
    target=choice("Unit of the result.", list(_RADIANS), default="radian"),
    ask=[
        "Convert an angle of {angle} {source} to {target}.",
        "What is the angle {angle} {source} in {target}?",
        "Change an angle from {source} to {target}; the angle is {angle}.",
        "Convert an angle of {angle} {source}.",
        "Express {angle} {source} as an angle in {target}.",
    ],
    held=[
        "My protractor reads an angle of {angle} {source}; I want {target}.",
        "How many {target} are in an angle of {angle} {source}?",
    ],
)
def convert_angle(angle, source, target="radian"):
    return round(_amount(angle) * _RADIANS[source] / _RADIANS[target], 4)


@tool(
    "Turn fuel economy in miles per gallon into litres per 100 kilometres.",
    returns="Litres of fuel per 100 kilometres, rounded to 2 decimals.",
    economy=number("Fuel economy in miles per gallon.", 8, 90, 1),
    imperial=flag("Use the imperial gallon instead of the US gallon."),
    ask=[
        "Turn {economy} miles per gallon into litres per 100 kilometres.",
        "How many litres per 100 kilometres is a fuel economy of {economy}?",
        "My car gets {economy} miles per gallon. What is its metric fuel use?",
        (
            "Turn {economy} miles per imperial gallon into litres per 100 kilometres.",
            {"imperial": True},
        ),
        (
            "With the imperial gallon, what fuel use in litres is {economy} miles per gallon?",
            {"imperial": True},
        ),
    ],
    held=[
        "A van has a fuel economy of {economy} miles per gallon; give litres per 100 kilometres.",
        (
            "Using imperial gallons, find the litres for fuel economy {economy}.",
            {"imperial": True},
        ),
    ],
)
def mpg_to_litres(economy, imperial=False):
    if not 0.01 <= economy <= 1e6:
        raise ValueError("the fuel economy must be between 0.01 and 1e6")
    gallon = 4.54609 if imperial else 3.785411784
    return round(100 * gallon / (economy * 1.609344), 2)


@tool(
    "Split a height in whole inches into feet and inches.",
    returns="The height as text, such as '5 ft 7 in'.",
    inches=integer("Height in inches.", 0, 5000),
    ask=[
        "Split {inches} inches into feet and inches.",
        "How tall is {inches} inches, in feet and inches?",
        "Write a height of {inches} inches with feet and inches.",
        "Someone measures {inches} inches. How many feet and inches is that?",
    ],
    held=[
        "Give me the height {inches} inches broken up as feet plus inches.",
        "In feet and remaining inches, what are {inches} inches?",
    ],
)
def split_feet_inches(inches):
    return f"{inches // 12} ft {inches % 12} in"
