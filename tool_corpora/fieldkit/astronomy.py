"""Stars, telescopes and orbits."""

import math

from tool_corpora.kit import choice, number, tool


@tool(
    "Compute how far away a star is from its parallax. "
    "Turns the tiny yearly wobble of a star on the sky into parsecs or light years.",
    returns="The distance in the wanted unit, rounded to 3 decimals.",
    parallax=number("Parallax in milliarcseconds.", 1, 700),
    unit=choice("Unit of the distance.", ["parsecs", "lightyears"], default="parsecs"),
    ask=[
        "How far away is a star with a parallax of {parallax} milliarcseconds?",
        "A star shows a parallax of {parallax} milliarcseconds. Give its distance in {unit}.",
        "Find the distance in {unit} for a stellar parallax of {parallax}.",
        "Work out a star's distance from the parallax {parallax}.",
        "Parallax {parallax}: how many {unit} away is that star?",
    ],
    held=[
        "We measured {parallax} milliarcseconds of parallax; how distant is the star in {unit}?",
        "Turn the measured parallax {parallax} into how far off the star lies.",
        "In {unit}, where would a star of {parallax} milliarcseconds parallax be?",
    ],
)
def parallax_distance(parallax, unit="parsecs"):
    if not 1e-3 <= parallax <= 1e6:
        raise ValueError("parallax must be from 0.001 to 1000000 milliarcseconds")
    factor = {"parsecs": 1.0, "lightyears": 3.261564}[unit]
    return round(1000 / parallax * factor, 3)


def _check_distance(parsecs):
    if not 1e-6 <= parsecs <= 1e11:
        raise ValueError("the distance must be from 0.000001 to 1e11 parsecs")


@tool(
    "Compute the absolute magnitude of a star seen at a known distance. "
    "Tells how bright a star truly is, its intrinsic luminosity, however faint it appears to us.",
    returns="The absolute magnitude, rounded to 2 decimals.",
    apparent=number("Apparent magnitude.", -2, 15),
    parsecs=number("Distance in parsecs.", 1, 2000, 1),
    ask=[
        "What is the absolute magnitude of a star of apparent {apparent} at {parsecs} parsecs?",
        "At {parsecs} parsecs a star looks {apparent}; compute its absolute magnitude.",
        "Find the absolute magnitude given an apparent {apparent} and {parsecs} parsecs.",
        "A star {parsecs} parsecs off appears at {apparent}. What is its absolute magnitude?",
    ],
    held=[
        "How bright in absolute magnitude is a star seen as {apparent} from {parsecs} parsecs?",
        "I need the absolute magnitude: distance {parsecs} parsecs, apparent value {apparent}.",
    ],
)
def absolute_magnitude(apparent, parsecs):
    _check_distance(parsecs)
    if not -100 <= apparent <= 100:
        raise ValueError("the magnitude must be from -100 to 100")
    return round(apparent - 5 * math.log10(parsecs / 10), 2) + 0.0


@tool(
    "Compute the apparent magnitude a star would show from a distance. "
    "Answers how bright a star of known true luminosity would look in our night sky.",
    returns="The apparent magnitude, rounded to 2 decimals.",
    absolute=number("Absolute magnitude.", -5, 15),
    parsecs=number("Distance in parsecs.", 1, 2000, 1),
    ask=[
        "What apparent magnitude does a star of absolute {absolute} have at {parsecs} parsecs?",
        "Seen from {parsecs} parsecs, give the apparent magnitude for absolute {absolute}.",
        "Compute the apparent magnitude from an absolute {absolute} and {parsecs} parsecs.",
        "A star of absolute {absolute} is {parsecs} parsecs off. Find its apparent magnitude.",
    ],
    held=[
        "From {parsecs} parsecs, which apparent magnitude has a star of absolute {absolute}?",
        "With an absolute {absolute}, how high is the apparent magnitude {parsecs} parsecs out?",
    ],
)
def apparent_magnitude(absolute, parsecs):
    _check_distance(parsecs)
    if not -100 <= absolute <= 100:
        raise ValueError("the magnitude must be from -100 to 100")
    return round(absolute + 5 * math.log10(parsecs / 10), 2) + 0.0


@tool(
    "Give the magnification of a telescope with a certain eyepiece. "
    "Stargazers learn how many times an eyepiece or Barlow enlarges the view, the zoom power.",
    returns="The magnification as a factor, rounded to 1 decimal.",
    focal=number("Focal length of the telescope, millimetres.", 200, 3000, 0),
    eyepiece=number("Focal length of the eyepiece, millimetres.", 3, 40, 1),
    barlow=number("Factor of a Barlow lens.", 1.5, 5, 1, default=1),
    ask=[
        "What magnification has a telescope of focal length {focal} with a {eyepiece} mm eyepiece?",
        "Telescope focal {focal}, eyepiece {eyepiece}, Barlow {barlow}: which magnification?",
        "With a {eyepiece} mm eyepiece, how much magnification gives a {focal} mm telescope?",
        "Find the magnification for eyepiece {eyepiece} in a telescope of focal length {focal}.",
        "Add a {barlow} Barlow to a {focal} mm telescope and {eyepiece} mm eyepiece; "
        "magnification?",
    ],
    held=[
        "My telescope has a focal length of {focal}. How much does eyepiece {eyepiece} magnify?",
        "A {eyepiece} mm eyepiece behind a {barlow} Barlow on a {focal} mm telescope magnifies by?",
        "How many times does a {focal} mm telescope magnify through the {eyepiece} mm eyepiece?",
    ],
)
def telescope_magnification(focal, eyepiece, barlow=1):
    if not (0 < focal <= 1e5 and 0.1 <= eyepiece <= 1e4 and 0 < barlow <= 100):
        raise ValueError("focal lengths and Barlow factor must be positive and reasonable")
    return round(focal / eyepiece * barlow, 1)


@tool(
    "Find the orbital period of a planet by Kepler's third law. "
    "How long a year lasts on a planet or asteroid circling its sun at some distance.",
    returns="The period in years, rounded to 3 decimals.",
    axis=number("Semi-major axis in astronomical units.", 0.2, 60),
    mass=number("Mass of the star in solar masses.", 0.5, 9, 1, default=1),
    ask=[
        "What is the orbital period of a planet with semi-major axis {axis}?",
        "Use Kepler's law to find the period of an orbit of {axis} astronomical units.",
        "A planet orbits a star of mass {mass} on an axis of {axis}. Find its period.",
        "How many years does a planet need for an orbit with axis {axis}?",
        "Kepler period please: star mass {mass}, axis {axis}.",
    ],
    held=[
        "How long does one orbit take for a planet whose semi-major axis is {axis}?",
        "Around a star with mass {mass}, which orbital period belongs to the axis {axis}?",
        "By Kepler, a planet {axis} astronomical units out completes an orbit in how many years?",
    ],
)
def kepler_orbit_period(axis, mass=1):
    if not (0 < axis <= 1e5 and 1e-3 <= mass <= 1e4):
        raise ValueError("axis must be in 0 to 100000 and mass in 0.001 to 10000")
    return round(math.sqrt(axis**3 / mass), 3)
