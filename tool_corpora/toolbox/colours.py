"""Hexadecimal and RGB colours: converting, mixing and comparing them."""

import colorsys
import re

from tool_corpora.kit import choice, integer, pattern, tool


def _hex(rng):
    return f"#{rng.randrange(16**6):06x}"


def _channels(colour):
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", colour):
        raise ValueError("a colour needs six hexadecimal digits, as in #3fa2c8")
    digits = colour.lstrip("#")
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def _code(channels):
    return "#" + "".join(f"{min(255, max(0, int(c + 0.5))):02x}" for c in channels)


def _share(percent):
    if not 0 <= percent <= 100:
        raise ValueError("the percentage must be from 0 to 100")
    return percent / 100


def _luminance(colour):
    linear = []
    for channel in _channels(colour):
        part = channel / 255
        linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@tool(
    "Split a hex colour code into its red, green and blue values.",
    returns="The three channel values from 0 to 255.",
    colour=pattern("Hex code of the colour.", _hex, "#3fa2c8"),
    ask=[
        "Split {colour} into red, green and blue.",
        "What are the red, green and blue values of {colour}?",
        "Give me the RGB channel values behind the hex code {colour}.",
        "I need the hex colour {colour} as red, green and blue numbers.",
        "How much red, green and blue is in {colour}?",
    ],
    held=[
        "Which red, green and blue values does the hex code {colour} stand for?",
        "My designer sent {colour}. Break this hex code down to red, green and blue.",
        "Turn hex {colour} into three RGB values.",
    ],
)
def hex_to_rgb(colour):
    return _channels(colour)


@tool(
    "Write red, green and blue values as one hex colour code.",
    returns="The hex code, for example #3fa2c8.",
    red=integer("Red value.", 0, 255),
    green=integer("Green value.", 0, 255),
    blue=integer("Blue value.", 0, 255),
    ask=[
        "What hex code has red {red}, green {green} and blue {blue}?",
        "Write red {red}, green {green}, blue {blue} as a hex code.",
        "Make a hex colour from blue {blue}, green {green} and red {red}.",
        "Red is {red}, green is {green}, blue is {blue}. Which hex code is it?",
        "Build the hex code for RGB {red}, {green}, {blue}.",
    ],
    held=[
        "I have red at {red}, green at {green} and blue at {blue} and want the hex code.",
        "Give the hex colour that mixes green {green}, red {red} and blue {blue}.",
    ],
)
def rgb_to_hex(red, green, blue):
    if not all(0 <= c <= 255 for c in (red, green, blue)):
        raise ValueError("each value must be from 0 to 255")
    return _code((red, green, blue))


@tool(
    "Invert a colour to get its negative.",
    returns="The inverted hex code.",
    colour=pattern("Colour to invert.", _hex, "#3fa2c8"),
    ask=[
        "Please invert the colour {colour}.",
        "What is the negative of {colour}?",
        "Give me the inverted colour for {colour}.",
        "Which colour do I get by inverting {colour}?",
        "Show {colour} as a photo negative.",
    ],
    held=[
        "I would like {colour} inverted, please.",
        "Take the colour {colour} and return its negative.",
        "If I invert {colour}, what hex code comes out?",
    ],
)
def invert_colour(colour):
    return _code([255 - c for c in _channels(colour)])


@tool(
    "Turn a colour's hue around the colour wheel by some degrees.",
    returns="The hex code of the turned colour.",
    colour=pattern("Colour to start from.", _hex, "#3fa2c8"),
    degrees=integer("Degrees to turn the hue.", 1, 359, default=180),
    ask=[
        "Turn the hue of {colour} by {degrees} degrees.",
        "Rotate {colour} by {degrees} degrees on the colour wheel.",
        "Move {degrees} degrees around the colour wheel from {colour}.",
        "Which colour lies opposite {colour} on the colour wheel?",
        "What does {colour} become after a hue turn of {degrees} degrees?",
    ],
    held=[
        "Starting at {colour}, go {degrees} degrees round the wheel and name the colour.",
        "Shift the hue of {colour} {degrees} degrees.",
        "Turn the hue of {colour} to the other side of the wheel.",
    ],
)
def rotate_hue(colour, degrees=180):
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in _channels(colour)))
    turned = colorsys.hls_to_rgb((hue + degrees % 360 / 360) % 1, light, saturation)
    return _code([c * 255 for c in turned])


@tool(
    "Lighten a colour towards white by a percentage.",
    returns="The lighter hex code.",
    colour=pattern("Colour to lighten.", _hex, "#3fa2c8"),
    percent=integer("How far towards white.", 1, 99, default=20),
    ask=[
        "Lighten {colour} by {percent} percent.",
        "Make {colour} {percent} percent lighter.",
        "Give me a somewhat lighter version of {colour}.",
        "What is {colour} when it is lightened by {percent} percent?",
        "Lighten the colour {colour} a bit.",
    ],
    held=[
        "I want the colour {colour} to be {percent} percent lighter.",
        "The background {colour} looks heavy. Lighten it by {percent} percent.",
        "Which hex code is a lighter {colour}?",
    ],
)
def lighten_colour(colour, percent=20):
    share = _share(percent)
    return _code([c + (255 - c) * share for c in _channels(colour)])


@tool(
    "Darken a colour towards black by a percentage.",
    returns="The darker hex code.",
    colour=pattern("Colour to darken.", _hex, "#3fa2c8"),
    percent=integer("How far towards black.", 1, 99, default=20),
    ask=[
        "Darken {colour} by {percent} percent.",
        "Make {colour} {percent} percent darker.",
        "I need a slightly darker {colour} for the border.",
        "By {percent} percent, darken the colour {colour}.",
        "What does {colour} look like {percent} percent darker?",
    ],
    held=[
        "Could you darken {colour} for me by {percent} percent?",
        "Give a shade of {colour} that is {percent} percent darker.",
        "Please darken {colour} a little.",
    ],
)
def darken_colour(colour, percent=20):
    share = _share(percent)
    return _code([c * (1 - share) for c in _channels(colour)])


@tool(
    "Blend two colours into one mixed colour.",
    returns="The hex code of the blend.",
    first=pattern("First colour.", _hex, "#3fa2c8"),
    second=pattern("Second colour.", _hex, "#f0c419"),
    percent=integer("Share of the second colour.", 1, 99, default=50),
    ask=[
        "Blend colour {first} with {second}.",
        "Mix the colours {first} and {second} evenly.",
        "Blend {first} and {percent} percent of {second}.",
        "What colour is a mix of {first} and {second}?",
        "Mix {percent} percent {second} into {first}.",
    ],
    held=[
        "What do I get when I blend {first} and {second} together?",
        "Into {first}, blend {second} at {percent} percent.",
        "Which colour is the mix of {first} with {percent} percent {second}?",
    ],
)
def blend_colours(first, second, percent=50):
    share = _share(percent)
    pairs = zip(_channels(first), _channels(second), strict=True)
    return _code([a * (1 - share) + b * share for a, b in pairs])


@tool(
    "Measure the contrast ratio between a text colour and its background.",
    returns="The contrast ratio from 1 to 21, rounded to 2 decimals.",
    text=pattern("Colour of the text.", _hex, "#222222"),
    background=pattern("Colour behind the text.", _hex, "#f5f5f5"),
    ask=[
        "What is the contrast of {text} text on {background}?",
        "Measure the contrast ratio for text {text} and background {background}.",
        "On a background of {background}, how much contrast does {text} text have?",
        "Contrast between background {background} and text {text}, please.",
        "Is {text} readable on {background}? Give the contrast ratio.",
    ],
    held=[
        "My page puts text in {text} over {background}; what contrast ratio is that?",
        "Find how strong the contrast is with background {background} and text {text}.",
    ],
)
def contrast_ratio(text, background):
    low, high = sorted((_luminance(text), _luminance(background)))
    return round((high + 0.05) / (low + 0.05), 2)


@tool(
    "Turn a colour into a plain grey of similar brightness.",
    returns="The hex code of the grey.",
    colour=pattern("Colour to make grey.", _hex, "#3fa2c8"),
    method=choice("How brightness is taken.", ["luma", "average", "lightness"], default="luma"),
    ask=[
        "Turn the colour {colour} into grey.",
        "Which grey matches {colour} with the {method} method?",
        "Convert the colour {colour} to grey by {method}.",
        "What grey is as bright as {colour}?",
        "Using {method}, make {colour} grey.",
    ],
    held=[
        "For a black and white print, which grey replaces {colour}?",
        "Find the grey for {colour}, and use {method} for it.",
        "I want {colour} as grey, method {method}.",
    ],
)
def colour_to_grey(colour, method="luma"):
    red, green, blue = channels = _channels(colour)
    greys = {
        "luma": 0.299 * red + 0.587 * green + 0.114 * blue,
        "average": sum(channels) / 3,
        "lightness": (max(channels) + min(channels)) / 2,
    }
    if method not in greys:
        raise ValueError("unknown method")
    return _code([greys[method]] * 3)
