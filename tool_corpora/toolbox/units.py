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
    "Convert a length from one unit to another. "
    "For distances, heights and widths: changes metres to feet, inches, yards or miles, and back.",
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
    "Convert a mass or weight from one unit to another. "
    "For body weight, groceries or parcels: changes kilos and grams to pounds, ounces or stone.",
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
    "Convert a temperature between celsius, fahrenheit and kelvin. "
    "For weather, ovens, fevers and science: changes degrees C, F or K into one another.",
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
        (
            "My oven dial is in {target}, while the recipe says {temperature} degrees "
            "{source}. What do I set?"
        ),
        (
            "It was {temperature} Fahrenheit in Texas. How much is that in Celsius?",
            {"source": "fahrenheit", "target": "celsius"},
        ),
        "{temperature} {source} to {target}, thermometer reading",
        "What would a thermometer marked in {target} read at {temperature} degrees {source}?",
        "Express {temperature} {source} using the {target} scale.",
        (
            "For a physics exercise I need {temperature} degrees Celsius in kelvin.",
            {"source": "celsius", "target": "kelvin"},
        ),
        (
            "An American friend asks how warm {temperature} Celsius is in Fahrenheit. What "
            "should I answer?",
            {"source": "celsius", "target": "fahrenheit"},
        ),
        "Tell me the {target} equivalent when my sensor shows {temperature} {source}.",
        "Recalculate a reading of {temperature} from {source} to {target}.",
        "Which {target} temperature corresponds to {temperature} on the {source} scale?",
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
    "Convert a volume of liquid between litres and US kitchen units. "
    "For recipes, drinks and fuel: changes cups, pints and gallons into litres or ml, and back.",
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
        (
            "The recipe asks for {volume} {source} of milk, but my jug only shows {target}. "
            "How much do I pour?"
        ),
        "Express {volume} {source} of water in {target}.",
        "{volume} {source} juice, how much in {target}?",
        (
            "How many millilitres do {volume} US cups hold?",
            {"source": "cup", "target": "millilitre"},
        ),
        (
            "My tank holds {volume} gallons. What would that be in litres?",
            {"source": "gallon", "target": "litre"},
        ),
        "Tell me the {target} equivalent for {volume} {source} of oil.",
        "Recalculate a bottle content of {volume} {source} using {target} as the unit.",
        "I'd like to know, measured in {target}, what quantity of soup {volume} {source} is.",
        (
            "Someone ordered {volume} pints of cream; work that out in litres.",
            {"source": "pint", "target": "litre"},
        ),
        (
            "A bucket contains {volume} {source}. If I filled it by the {target}, how many "
            "would go in?"
        ),
    ],
    held=[
        "I poured {volume} {source} of liquid. Measure that in {target}.",
        "A tank has a volume of {volume} {source}. State it in {target}.",
    ],
)
def convert_liquid_volume(volume, source, target):
    return round(_amount(volume) * _LITRES[source] / _LITRES[target], 4)


@tool(
    "Convert an area of land between hectares, acres and roods. "
    "For farms, fields and building plots: tells how many acres a hectare makes, and so on.",
    returns="The land area in the wanted unit, rounded to 4 decimals.",
    area=number("Land area to convert.", 0, 900),
    source=choice("Unit of the given area.", list(_HECTARES)),
    target=choice("Unit of the result.", list(_HECTARES)),
    ask=[
        "Convert {area} {source} of land to {target}.",
        "How large is a land area of {area} {source} in {target}?",
        "Change the field area {area} {source} into {target}.",
        "What is a plot of land of {area} {source} measured in {target}?",
        "My farm covers {area} {source}. What is that in {target}?",
        "Express a meadow of {area} {source} in the unit {target}.",
        "{area} {source} of pasture, to {target} please",
        (
            "An American ranch has {area} acres; how many hectares does it cover?",
            {"source": "acre", "target": "hectare"},
        ),
        (
            "I want to list my estate in {target}. The deed says {area} {source}, so what "
            "number do I write?"
        ),
        "Recalculate the size of a {area} {source} forest with {target} as unit.",
        (
            "How many acres are there in a vineyard measuring {area} hectares?",
            {"source": "hectare", "target": "acre"},
        ),
        "Give the {target} equivalent for grounds of {area} {source}.",
        (
            "An old deed mentions {area} roods of garden. Translate that to acres.",
            {"source": "rood", "target": "acre"},
        ),
        (
            "If a parcel takes up {area} {source}, what would a surveyor working in {target} "
            "note down?"
        ),
    ],
    held=[
        "Our farm has {area} {source} of land. How much is that in {target}?",
        "State in {target} the area of a {area} {source} piece of land.",
    ],
)
def convert_land_area(area, source, target):
    return round(_amount(area) * _HECTARES[source] / _HECTARES[target], 4)


@tool(
    "Convert a speed between kmh, mph, knot and mps. "
    "For cars, ships, planes and wind: changes km/h, miles per hour, knots and m/s.",
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
        "The wind blows at {speed} {source}; what does that make in {target}?",
        "My speedometer says {speed} {source}. I need the {target} value.",
        "{speed} {source} to {target} please, velocity",
        (
            "A ship sails at {speed} knots. How many kilometres per hour is it doing?",
            {"source": "knot", "target": "kmh"},
        ),
        (
            "How many metres per second does a car at {speed} km/h cover?",
            {"source": "kmh", "target": "mps"},
        ),
        "Tell me in {target} how quickly a train at {speed} {source} travels.",
        "Recalculate a velocity of {speed} {source}, using {target} as the unit.",
        (
            "The limit here is {speed} miles per hour. What is that in km/h?",
            {"source": "mph", "target": "kmh"},
        ),
        "What {target} figure corresponds to a pace of {speed} {source}?",
        "If a bird flies {speed} {source}, which reading would a {target} display show?",
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
    "Convert a pressure between bar, pascal, psi and atm. "
    "For tyres, pumps, diving and weather: changes pounds per square inch, atmospheres and "
    "pascals.",
    returns="The pressure in the wanted unit, rounded to 4 decimals.",
    pressure=number("Pressure to convert.", 1, 2000, 1),
    source=choice("Unit of the given pressure.", list(_PASCALS)),
    target=choice("Unit of the result.", list(_PASCALS)),
    ask=[
        "Convert a pressure of {pressure} {source} to {target}.",
        "What is a tyre pressure of {pressure} {source} in {target}?",
        "Change the pressure {pressure} {source} into {target}.",
        "Express {pressure} {source} of pressure as {target}.",
        (
            "My gauge reads {pressure} {source}, but the manual is in {target}. What should I "
            "look for?"
        ),
        "How much is {pressure} {source} when measured in {target}?",
        "{pressure} {source} to {target}, gas pressure",
        (
            "The bike pump shows {pressure} psi. What does this make in bar?",
            {"source": "psi", "target": "bar"},
        ),
        "Give me the {target} equivalent of {pressure} {source}.",
        (
            "A boiler works under {pressure} bar; tell me the same in pascal.",
            {"source": "bar", "target": "pascal"},
        ),
        "In units of {target}, which pressure corresponds to {pressure} {source}?",
        (
            "A diver experiences {pressure} atm down there. How many psi is that?",
            {"source": "atm", "target": "psi"},
        ),
        "Recalculate the tank pressure, given as {pressure} {source}, for a {target} scale.",
        "What would a manometer marked in {target} indicate at {pressure} {source}?",
    ],
    held=[
        "The gauge shows a pressure of {pressure} {source}. How many {target} is it?",
        "I need the pressure in {target}, and I have {pressure} {source}.",
    ],
)
def convert_pressure(pressure, source, target):
    return round(_amount(pressure) * _PASCALS[source] / _PASCALS[target], 4)


@tool(
    "Convert a file size between kilobytes, megabytes and gigabytes. "
    "Changes KB, MB and GB of storage, photos or downloads into each other, decimal or binary.",
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
        "My video takes up {size} {source}. How much is that in {target}?",
        "Express {size} {source} of data as {target}.",
        (
            "Counting 1024 per step, how many {target} make up a {size} {source} download?",
            {"binary": True},
        ),
        "{size} {source} on disk, wanted in {target}",
        (
            "I need the {target} figure for an archive of {size} {source}, with factors of 1024.",
            {"binary": True},
        ),
        "Tell me, in units of one {target}, the storage a {size} {source} backup needs.",
        (
            "How many megabytes does a {size} gigabyte film have?",
            {"source": "gigabyte", "target": "megabyte"},
        ),
        (
            "The upload form wants {target}, but my document is listed with {size} {source}. "
            "What should I enter?"
        ),
        (
            "Recalculate {size} {source} of storage to {target}, where each step is 1024 "
            "rather than 1000.",
            {"binary": True},
        ),
        (
            "A photo of {size} kilobytes: what does that come to in megabytes?",
            {"source": "kilobyte", "target": "megabyte"},
        ),
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
    "Convert an angle between degree, radian, gradian and turn. "
    "For geometry and trigonometry: changes degrees to radians, gons or full revolutions, and "
    "back.",
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
    "Turn fuel economy in miles per gallon into litres per 100 kilometres. "
    "Car drivers compare American or British mpg figures with European fuel consumption this way.",
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
        "My American truck does {economy} mpg. How many litres does it burn over 100 km?",
        "{economy} mpg in l/100 km?",
        (
            "A British car is rated {economy} mpg in imperial gallons. Express the "
            "consumption as litres per 100 km.",
            {"imperial": True},
        ),
        "Convert a consumption of {economy} mpg to the European l/100 km figure.",
        (
            "The brochure promises {economy} miles to the gallon; tell me the litres needed "
            "for 100 kilometres."
        ),
        (
            "UK gallons: {economy} mpg. Litres per hundred kilometres?",
            {"imperial": True},
        ),
        (
            "How thirsty, in litres per 100 km, is a vehicle that manages {economy} miles on "
            "each gallon?"
        ),
        (
            "If one imperial gallon takes me {economy} miles, how much petrol in litres do I "
            "need for 100 km?",
            {"imperial": True},
        ),
        "Work out the l/100 km value matching {economy} mpg.",
        (
            "I drive {economy} miles on a gallon. What would a European call that, in litres "
            "for every 100 kilometres?"
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
    "Split a height in whole inches into feet and inches. "
    "Says how tall a person measured only in inches is, the way people usually say it.",
    returns="The height as text, such as '5 ft 7 in'.",
    inches=integer("Height in inches.", 0, 5000),
    ask=[
        "Split {inches} inches into feet and inches.",
        "How tall is {inches} inches, in feet and inches?",
        "Write a height of {inches} inches with feet and inches.",
        "Someone measures {inches} inches. How many feet and inches is that?",
        "My son is {inches} inches tall. What is that with feet?",
        "Break {inches} inches down to whole feet plus the inches left over.",
        "{inches} in as ft and in, please",
        "How would you say a height of {inches} inches the usual way, feet first and then inches?",
        "Convert {inches} inches to feet with the remaining inches.",
        "A door stands {inches} inches high. Express this using feet and inches.",
        "Taking 12 inches to a foot, how many feet and leftover inches make {inches} inches?",
        "I measured {inches} inches with my tape; give me the feet-and-inches form.",
        "Tell me the feet and inches for a basketball player whose height is {inches} inches.",
        "What does {inches} inches come to when written as feet plus inches?",
    ],
    held=[
        "Give me the height {inches} inches broken up as feet plus inches.",
        "In feet and remaining inches, what are {inches} inches?",
    ],
)
def split_feet_inches(inches):
    return f"{inches // 12} ft {inches % 12} in"
