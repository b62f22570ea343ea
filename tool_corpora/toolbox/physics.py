"""School mechanics: energy, falling, swinging, springs and throws."""

import math

from tool_corpora.kit import choice, flag, integer, number, tool

_GRAVITY = {"earth": 9.81, "moon": 1.62, "mars": 3.71, "jupiter": 24.79}


def _positive(*values):
    if not all(0 <= value <= 1e9 for value in values):
        raise ValueError("the values must be from 0 to a thousand million")


def _pull(place):
    if place not in _GRAVITY:
        raise ValueError("unknown place")
    return _GRAVITY[place]


@tool(
    "Compute the kinetic energy of a moving mass. "
    "Tells how many joules a car, ball or bullet carries because of its motion.",
    returns="The energy in joules, rounded to 2 decimals.",
    mass=number("Mass in kilograms.", 1, 2000, 1),
    speed=number("Speed in metres per second.", 1, 60, 1),
    ask=[
        "What is the kinetic energy of a mass of {mass} kg at speed {speed}?",
        "Kinetic energy for speed {speed} and mass {mass}?",
        "How much kinetic energy has {mass} kg moving at {speed} metres per second?",
        "Compute the kinetic energy: mass {mass}, speed {speed}.",
        "At a speed of {speed}, how large is the kinetic energy of {mass} kg?",
    ],
    held=[
        "A cart has mass {mass} kg and moves with speed {speed}. Find its kinetic energy.",
        "I need the kinetic energy when speed is {speed} and mass is {mass}.",
    ],
)
def kinetic_energy(mass, speed):
    _positive(mass, abs(speed))
    return round(mass * speed**2 / 2, 2)


@tool(
    "Compute the potential energy of a mass lifted to a height. "
    "Joules gained by raising something against gravity, on our planet, the Moon, Mars or Jupiter.",
    returns="The energy in joules, rounded to 2 decimals.",
    mass=number("Mass in kilograms.", 1, 500, 1),
    height=number("Height in metres.", 1, 90, 1),
    place=choice("Where the mass is.", list(_GRAVITY), default="earth"),
    ask=[
        "What is the potential energy of {mass} kg at height {height}?",
        "Potential energy on {place} for mass {mass} and height {height}?",
        "How much potential energy does a mass of {mass} have at a height of {height} on {place}?",
        "Lift {mass} kg to height {height}. What potential energy does it gain?",
        "Compute the potential energy: height {height}, mass {mass}.",
        (
            "An object weighing {mass} kilograms sits {height} metres above the floor; how "
            "many joules are stored in it?"
        ),
        "Tell me the gravitational energy gained by hoisting {mass} kg up {height} m.",
        (
            "At {height} metres up there is a rock of {mass} kilograms. Its energy due to "
            "height on {place}?"
        ),
        "Joules needed to raise {mass} kg by {height} m",
        (
            "On {place} a crane carries a {mass} kg load to an elevation of {height} metres. "
            "Work out the potential energy."
        ),
        (
            "How many joules does it take to bring a crate {height} m higher if the crate is "
            "{mass} kg?"
        ),
        (
            "An astronaut on the moon raises a {mass} kg box {height} metres. What energy "
            "does the box gain?",
            {"place": "moon"},
        ),
        (
            "Please calculate the stored gravitational energy, elevation {height} m, body "
            "{mass} kg, planet {place}."
        ),
        (
            "A Mars rover of {mass} kg climbs {height} metres upward; how much potential "
            "energy is that?",
            {"place": "mars"},
        ),
        (
            "I carry {mass} kilos of shopping up a staircase rising {height} metres. What is "
            "the increase in potential energy?"
        ),
    ],
    held=[
        "A box with mass {mass} stands at height {height}. Find its potential energy.",
        "On {place}, a height of {height} gives {mass} kg which potential energy?",
        "Tell me the potential energy of mass {mass} lifted by {height} metres on {place}.",
    ],
)
def potential_energy(mass, height, place="earth"):
    _positive(mass, abs(height))
    return round(mass * _pull(place) * height, 2)


@tool(
    "Compute the momentum of a moving mass. "
    "Mass times velocity, for collision problems with vehicles, balls or other bodies in motion.",
    returns="The momentum in kg m/s, rounded to 2 decimals.",
    mass=number("Mass in kilograms.", 1, 2000, 1),
    speed=number("Speed in metres per second.", 1, 60, 1),
    ask=[
        "What is the momentum of a mass of {mass} kg at speed {speed}?",
        "Momentum for speed {speed} and mass {mass}, please.",
        "How much momentum has {mass} kg that moves at {speed} metres per second?",
        "Compute the momentum: mass {mass}, speed {speed}.",
        "At speed {speed}, which momentum does the mass {mass} carry?",
        (
            "A cart weighing {mass} kg rolls at {speed} m/s. What is the product of its mass "
            "and velocity?"
        ),
        "How great is the impulse carried by an object going {speed} m/s with a mass of {mass} kg?",
        "Calculate p for m = {mass} kg and v = {speed} m/s.",
        "Velocity {speed} m/s, mass {mass} kg: momentum?",
        (
            "A ball flies at {speed} metres per second and has {mass} kilograms. Determine "
            "its momentum."
        ),
        (
            "Tell me the momentum in kg m/s when {mass} kilograms travel with a velocity of "
            "{speed} m/s."
        ),
        "If something of {mass} kg goes {speed} m/s fast, how much momentum is in it?",
        "Work out mass times velocity; the velocity is {speed} m/s, the mass {mass} kg.",
        (
            "My sledge has a mass of {mass} kg and glides at {speed} m/s. Which momentum must "
            "I brake away?"
        ),
        "Moving along at {speed} m/s, what quantity of motion does a {mass} kg vehicle have?",
    ],
    held=[
        "A truck of mass {mass} drives with speed {speed}. Find its momentum.",
        "Tell me how big the momentum gets for a speed of {speed} and a mass of {mass}.",
    ],
)
def linear_momentum(mass, speed):
    _positive(mass, abs(speed))
    return round(mass * speed, 2)


@tool(
    "Find the time a dropped object needs to fall from a height. "
    "Tells how long a stone let go from a tower or cliff takes to land.",
    returns="The time in seconds, rounded to 2 decimals.",
    height=number("Height in metres.", 1, 900, 1),
    place=choice("Where the object falls.", list(_GRAVITY), default="earth"),
    ask=[
        "How long does a fall from {height} metres take?",
        "What time does an object dropped from height {height} on {place} need to fall?",
        "Find the falling time for a height of {height}.",
        "On {place}, how much time passes in a fall from {height} metres?",
        "A stone is dropped from {height} metres. After what time does it land?",
    ],
    held=[
        "If I drop a ball at height {height}, how much time until it has fallen?",
        "Tell me the time to fall {height} metres on {place}.",
        "With a drop on {place} of {height} metres, what is the time of the fall?",
    ],
)
def fall_time(height, place="earth"):
    _positive(height)
    return round(math.sqrt(2 * height / _pull(place)), 2)


@tool(
    "Find the speed at which a dropped object hits the ground. "
    "Tells how fast something falling off a roof or bridge is going when it lands.",
    returns="The speed in metres per second, rounded to 2 decimals.",
    height=number("Height in metres.", 1, 900, 1),
    place=choice("Where the object falls.", list(_GRAVITY), default="earth"),
    ask=[
        "At what speed does something dropped from {height} metres hit the ground?",
        "How fast does an object hit the ground on {place} from height {height}?",
        "Find the impact speed for a drop of {height} metres.",
        "On {place}, with what speed does a drop from {height} end?",
        "A stone falls {height} metres. What is its speed when it hits the ground?",
        (
            "How many metres per second does a ball reach at the bottom after being let go "
            "{height} metres up?"
        ),
        (
            "I let a hammer go {height} m above the lunar surface. How fast is it on landing?",
            {"place": "moon"},
        ),
        "Drop height {height} m, location {place}: final velocity?",
        (
            "A flowerpot tumbles from a balcony {height} metres high. How fast is it when it "
            "reaches the pavement?"
        ),
        (
            "Calculate the velocity on landing for an object released on {place}, {height} "
            "metres above ground."
        ),
        (
            "If a probe falls freely over {height} metres on the red planet Mars, what is its "
            "velocity at touchdown?",
            {"place": "mars"},
        ),
        "Ignoring air, how quick is a coin at the end of a free fall of {height} metres?",
        (
            "Suppose we were on {place} and let a rock fall {height} m. Tell me its velocity "
            "at the bottom."
        ),
        (
            "With Jupiter's gravity, what velocity does a free fall through {height} metres "
            "produce?",
            {"place": "jupiter"},
        ),
        "Work out how quickly a brick is moving as it strikes the floor {height} metres below.",
    ],
    held=[
        "If I drop a ball at height {height}, with which speed will it hit the floor?",
        "Tell me the impact speed after {height} metres of falling on {place}.",
        "From a height of {height} on {place}, how fast is the hit at the ground?",
    ],
)
def impact_speed(height, place="earth"):
    _positive(height)
    return round(math.sqrt(2 * height * _pull(place)), 2)


@tool(
    "Compute the swing period of a pendulum from its length. "
    "Tells how long one full back-and-forth oscillation of a clock bob or swing takes.",
    returns="The period in seconds, rounded to 3 decimals.",
    length=number("Length in metres.", 1, 50, 2),
    place=choice("Where the pendulum hangs.", list(_GRAVITY), default="earth"),
    ask=[
        "What is the period of a pendulum of length {length}?",
        "How long does a pendulum {length} metres long take for one swing?",
        "Pendulum on {place} with length {length}: what period?",
        "Compute the swing period for a pendulum of {length} metres on {place}.",
        "My pendulum has a length of {length}. Find its period.",
        (
            "If a bob hangs from a string measuring {length} m, how many seconds does a full "
            "back-and-forth take?"
        ),
        "Give me the oscillation time for a pendulum with a {length} metre cord.",
        (
            "We are on {place}. A weight dangles from a {length} m wire; how long is each "
            "complete swing?"
        ),
        "Period wanted: pendulum, {length} m, located on {place}.",
        (
            "A clock maker needs the time per swing of a rod {length} metres in length. "
            "Please calculate it."
        ),
        (
            "Imagine a {length} metre pendulum set up on {place}: how slowly would it swing "
            "to and fro?"
        ),
        (
            "How many seconds pass per oscillation for a lunar pendulum {length} metres long?",
            {"place": "moon"},
        ),
        (
            "Under Jupiter's gravity, what would the swing time be for a pendulum {length} m long?",
            {"place": "jupiter"},
        ),
        "Swing duration please, string length {length} m",
        (
            "Work out how much time a {length} metre pendulum needs to go over and come back "
            "if it hangs on {place}."
        ),
    ],
    held=[
        "Hang a pendulum of {length} metres and tell me the time of a full swing.",
        "On {place}, which period would a pendulum with a length of {length} have?",
        "The pendulum length is {length}. What is the period on {place}?",
    ],
)
def pendulum_period(length, place="earth"):
    _positive(length)
    return round(2 * math.pi * math.sqrt(length / _pull(place)), 3)


@tool(
    "Compute the force of a stretched spring. "
    "Hooke's law: how many newtons a coil pulls back with when extended.",
    returns="The force in newtons, rounded to 2 decimals.",
    stiffness=number("Stiffness in newtons per metre.", 5, 900, 0),
    stretch=number("Stretch of the spring in metres.", 1, 9, 2),
    ask=[
        "What force has a spring of stiffness {stiffness} at stretch {stretch}?",
        "Spring force for stretch {stretch} and stiffness {stiffness}?",
        "How strong is the force of a spring stretched by {stretch}, stiffness {stiffness}?",
        "Compute the force in a spring: stiffness {stiffness}, stretch {stretch}.",
        "With a stretch of {stretch}, which force does a spring of stiffness {stiffness} give?",
    ],
    held=[
        "My spring has stiffness {stiffness} and I stretch it by {stretch}. What force pulls back?",
        "Find the force on a spring when the stretch is {stretch} and the stiffness {stiffness}.",
    ],
)
def spring_force(stiffness, stretch):
    _positive(stiffness, abs(stretch))
    return round(stiffness * stretch, 2)


@tool(
    "Compute the energy stored in a stretched spring. "
    "Elastic energy in joules held by a coil or bungee pulled out so far.",
    returns="The energy in joules, rounded to 2 decimals.",
    stiffness=number("Stiffness in newtons per metre.", 5, 900, 0),
    stretch=number("Stretch of the spring in metres.", 1, 9, 2),
    ask=[
        "What energy does a spring of stiffness {stiffness} store at stretch {stretch}?",
        "Spring energy for stretch {stretch} and stiffness {stiffness}?",
        "How much energy is stored in a spring stretched by {stretch}, stiffness {stiffness}?",
        "Compute the stored energy of a spring: stiffness {stiffness}, stretch {stretch}.",
        "With stretch {stretch}, find the energy in the spring of stiffness {stiffness}.",
        (
            "I pull a coil out by {stretch} m and its constant is {stiffness} N/m; how many "
            "joules does it hold?"
        ),
        (
            "A spring constant of {stiffness} newtons per metre and an extension of {stretch} "
            "metres give how much elastic energy?"
        ),
        "Elastic energy: k = {stiffness} N/m, extension = {stretch} m",
        (
            "Work out the joules loaded into a spring that has been lengthened {stretch} "
            "metres, its stiffness being {stiffness}."
        ),
        (
            "Someone extends a {stiffness} N/m spring by {stretch} metres. What amount of "
            "energy sits in it now?"
        ),
        (
            "Please determine how many joules an elongation of {stretch} m puts into a spring "
            "rated {stiffness} N/m."
        ),
        (
            "When a spring with constant {stiffness} gets pulled {stretch} m beyond its rest "
            "length, what energy is held?"
        ),
        (
            "Tell me the elastic potential energy, given {stretch} m of extension on a "
            "{stiffness} newton per metre coil."
        ),
        (
            "How many joules could I get back from a spring drawn out {stretch} metres with "
            "stiffness {stiffness} N/m?"
        ),
        (
            "Our door spring has {stiffness} N/m and is stretched {stretch} m when open. "
            "Calculate the energy inside."
        ),
    ],
    held=[
        "My spring has stiffness {stiffness} and stretch {stretch}. How much energy is in it?",
        "If the stretch is {stretch}, which energy sits in a spring of stiffness {stiffness}?",
    ],
)
def spring_energy(stiffness, stretch):
    _positive(stiffness, abs(stretch))
    return round(stiffness * stretch**2 / 2, 2)


@tool(
    "Find how far or how high a thrown projectile flies. "
    "For a ball or arrow launched at an angle: where it lands, or its maximum height.",
    returns="The range or the peak height in metres, rounded to 2 decimals.",
    speed=number("Throwing speed in metres per second.", 1, 90, 1),
    angle=integer("Throwing angle in degrees.", 10, 80, default=45),
    peak=flag("Whether to give the peak height instead of the range."),
    ask=[
        "How far does a projectile thrown at speed {speed} and angle {angle} fly?",
        "Find the range of a projectile with angle {angle} and speed {speed}.",
        "A projectile leaves at {speed} metres per second. How far does it go?",
        (
            "What peak height does a projectile of speed {speed} and angle {angle} reach?",
            {"peak": True},
        ),
        (
            "At an angle of {angle}, how high is the peak of a projectile at speed {speed}?",
            {"peak": True},
        ),
        "I hurl a ball at {speed} m/s. Where will it land, in metres from me?",
        (
            "What distance does a shot cover when launched {angle} degrees above the ground "
            "with {speed} m/s?"
        ),
        "Horizontal range please: launch velocity {speed} m/s, elevation {angle} degrees",
        (
            "Tell me the maximum altitude of a stone tossed at {speed} metres per second.",
            {"peak": True},
        ),
        (
            "A cannonball is fired {angle} degrees upward, muzzle velocity {speed} m/s. How "
            "far away does it come down?"
        ),
        (
            "With a launch velocity of {speed} m/s, how high above the ground will my arrow "
            "climb at most?",
            {"peak": True},
        ),
        (
            "Calculate the top of the trajectory for something thrown under {angle} degrees "
            "at {speed} m/s.",
            {"peak": True},
        ),
        "How many metres does a javelin travel if it leaves the hand with {speed} m/s?",
        (
            "Kicked at {speed} m/s with an inclination of {angle} degrees, the ball touches "
            "down after how many metres?"
        ),
        (
            "Highest point of flight wanted: tilt {angle} degrees, initial velocity {speed} m/s.",
            {"peak": True},
        ),
    ],
    held=[
        "I throw a projectile under an angle of {angle} with speed {speed}. What is its range?",
        "With a speed of {speed}, how far will the projectile fly?",
        (
            "Give the peak of the projectile's flight for speed {speed}, angle {angle}.",
            {"peak": True},
        ),
    ],
)
def projectile_flight(speed, angle=45, peak=False):
    _positive(speed)
    if not 0 <= angle <= 90:
        raise ValueError("the angle must be from 0 to 90")
    turn = math.radians(angle)
    if peak:
        return round((speed * math.sin(turn)) ** 2 / (2 * 9.81), 2)
    return round(speed**2 * math.sin(2 * turn) / 9.81, 2)
