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
    "Split a hex colour code into its red, green and blue values. "
    "Converts a web or CSS color code to its three separate decimal channels.",
    returns="The three channel values from 0 to 255.",
    colour=pattern("Hex code of the colour.", _hex, "#3fa2c8"),
    ask=[
        "Split {colour} into red, green and blue.",
        "What are the red, green and blue values of {colour}?",
        "Give me the RGB channel values behind the hex code {colour}.",
        "I need the hex colour {colour} as red, green and blue numbers.",
        "How much red, green and blue is in {colour}?",
        "Convert {colour} to RGB numbers.",
        "My paint program wants RGB numbers, but I only have {colour}. What are they?",
        "Break the colour code {colour} down into its three channels.",
        "RGB components of {colour}, please?",
        "Translate the web colour {colour} into decimal red/green/blue levels.",
        "Which three numbers between 0 and 255 make up {colour}?",
        "Please decompose {colour} into R, G and B.",
        "From the hexadecimal shade {colour}, extract how strong each primary channel is.",
        "An LED strip needs separate red, green and blue intensities; my code is {colour}.",
        "How would one express {colour} as an rgb triple?",
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
    "Write red, green and blue values as one hex colour code. "
    "Converts three decimal channels into the color code written in HTML or CSS.",
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
        "Convert rgb({red}, {green}, {blue}) to hexadecimal notation.",
        "Which web colour code stands for R={red}, G={green}, B={blue}?",
        (
            "My lamp shows a green level of {green}, blue of {blue} and red of {red}; express "
            "that in hex."
        ),
        "For CSS I need a hash code: blue {blue}, red {red}, green {green}.",
        (
            "Turn the channels {red} (red), {green} (green) and {blue} (blue) into one "
            "hexadecimal colour."
        ),
        "How is a colour with {green} green, {red} red and {blue} blue written in HTML?",
        "Hex for R {red} G {green} B {blue}?",
        "Please encode the RGB triple {red}, {green}, {blue} the way stylesheets do, in hex.",
        (
            "I picked {blue} on the blue slider, {green} on the green and {red} on the red. "
            "Hexadecimal code?"
        ),
        (
            "Find the hexadecimal name of the shade whose red part is {red}, blue part "
            "{blue}, green part {green}."
        ),
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
    "Invert a colour to get its negative. "
    "Gives the opposite shade as on a photographic negative, with each channel flipped.",
    returns="The inverted hex code.",
    colour=pattern("Colour to invert.", _hex, "#3fa2c8"),
    ask=[
        "Please invert the colour {colour}.",
        "What is the negative of {colour}?",
        "Give me the inverted colour for {colour}.",
        "Which colour do I get by inverting {colour}?",
        "Show {colour} as a photo negative.",
        "Swap {colour} for its inverse, please.",
        "If light becomes dark and dark becomes light, what does {colour} turn into?",
        "Find the hex code that is the exact inverse of {colour}.",
        "I'm building a dark mode; give me {colour} with all channels inverted.",
        "Subtract {colour} from pure white: which shade is left?",
        "Inverse shade for colour {colour}?",
        "Compute what {colour} looks like on a film negative.",
        "Which shade shows up when an image editor inverts {colour}?",
        "Flip every channel of {colour} to its reverse value.",
        "My logo uses {colour}. What would it be in an inverted version?",
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
    "Turn a colour's hue around the colour wheel by some degrees. "
    "Finds the complementary or a harmonious color for a palette, equally bright and vivid.",
    returns="The hex code of the turned colour.",
    colour=pattern("Colour to start from.", _hex, "#3fa2c8"),
    degrees=integer("Degrees to turn the hue.", 1, 359, default=180),
    ask=[
        "Turn the hue of {colour} by {degrees} degrees.",
        "Rotate {colour} by {degrees} degrees on the colour wheel.",
        "Move {degrees} degrees around the colour wheel from {colour}.",
        "Which colour lies opposite {colour} on the colour wheel?",
        "What does {colour} become after a hue turn of {degrees} degrees?",
        "What is the complementary colour of {colour}?",
        "Shift the hue of {colour} {degrees}° further round.",
        "Find the shade sitting directly across from {colour} on the colour circle.",
        "I want a matching accent: take {colour} and spin its hue through {degrees} degrees.",
        "Hue rotation of {degrees} degrees applied to {colour}: result?",
        "Give me the opposite hue to {colour}, please.",
        "Adjust the tone {colour} by an angle of {degrees} degrees on the hue circle.",
        "My brand colour is {colour}. Which hex code is its complement?",
        "Starting at {colour}, where do I land after going {degrees} degrees along the hue ring?",
        "Swing {colour} around the wheel of colours, {degrees} degrees far.",
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
    "Lighten a colour towards white by a percentage. "
    "Makes a paler, brighter tint, for instance for a soft background or pastel.",
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
    "Darken a colour towards black by a percentage. "
    "Makes a deeper, dimmer shade, for instance for a button border, shadow or hover state.",
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
    "Blend two colours into one mixed colour. "
    "Mixes a pair of shades like paints, evenly or with more of one than the other.",
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
        "If I stir paint {first} together with paint {second}, which shade comes out?",
        "Combine {first} with {second}, the latter making up {percent} percent.",
        "Find the shade halfway between {first} and {second}.",
        "I'd like a tone that is {percent}% {second} and the rest {first}.",
        "Average the two colours {first} and {second}, please.",
        "Tint {first} by adding {second} at a share of {percent} percent.",
        "Midpoint colour of {first} and {second}?",
        "Base colour {first}, overlay {second} at {percent} percent: what hex code results?",
        "Which hex code do I see when {first} and {second} are merged in equal parts?",
        "With {second} contributing {percent} percent, what does {first} turn into after mixing?",
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
    "Measure the contrast ratio between a text colour and its background. "
    "Web designers check if letters are readable on a page, an accessibility (WCAG) test.",
    returns="The contrast ratio from 1 to 21, rounded to 2 decimals.",
    text=pattern("Colour of the text.", _hex, "#222222"),
    background=pattern("Colour behind the text.", _hex, "#f5f5f5"),
    ask=[
        "What is the contrast of {text} text on {background}?",
        "Measure the contrast ratio for text {text} and background {background}.",
        "On a background of {background}, how much contrast does {text} text have?",
        "Contrast between background {background} and text {text}, please.",
        "Is {text} readable on {background}? Give the contrast ratio.",
        "My font colour is {text} and the page is {background}. How strong is the contrast?",
        "Determine the accessibility contrast of lettering in {text} over a {background} backdrop.",
        "How well does writing in {text} stand out against {background}, expressed as a ratio?",
        "Background {background}, text {text}: contrast ratio?",
        "Calculate the WCAG contrast value for {text} letters upon {background}.",
        (
            "I'm putting {text} words on a button coloured {background}; what ratio of "
            "contrast does that give?"
        ),
        "Behind the words lies {background}, the words are {text}. Compute the luminance contrast.",
        (
            "Please tell me how legible a {text} caption is above {background} in terms of "
            "contrast ratio."
        ),
        "Foreground {text} versus backdrop {background} - what contrast do we reach?",
        (
            "Would a heading coloured {text} be clear enough on {background}? I need the "
            "contrast figure."
        ),
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
    "Turn a colour into a plain grey of similar brightness. "
    "Desaturates a shade to black and white, as for a monochrome (grayscale) print.",
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
